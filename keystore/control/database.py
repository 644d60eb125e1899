"""The control plane's state in SQL: one SQLite file for one machine, PostgreSQL for several control processes.

Statements are left to the modules that own the tables. Transactions here are short: nothing waits for a node, a KMS or
a workflow inside one.

Invariants:
1. A transaction that writes on SQLite has the file's one write lock from its first statement, so that what it read is
   still true when it writes. On PostgreSQL callers guard an UPDATE with what they read.
2. A process that stops in the middle of a transaction holds up the others for `IDLE_IN_TRANSACTION_S` at most.
3. Only errors of `keystore.errors` leave; none shows the password of the URL.
"""

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from keystore.control.migrating import migrate
from keystore.errors import (
    ControlConflictError,
    ControlError,
    ControlUnreachableError,
    ControlUrlError,
    PathMissingError,
)

CONNECT_TIMEOUT_S = 5
"""LIMIT: seconds until a PostgreSQL that does not answer counts as unreachable."""

LOCK_WAIT_S = 30
"""LIMIT: seconds that a transaction waits for another one's lock."""

IDLE_IN_TRANSACTION_S = 10
"""LIMIT: seconds that PostgreSQL leaves locks to a client that says nothing inside a transaction. Ours never pause."""

CONNECTIONS_MAX = 10
"""LIMIT: connections to PostgreSQL, half of which stay open; who needs one more waits for the end of a transaction."""

CREATION_LOCK = 0x6B657973
"""Number of the advisory lock under which PostgreSQL's tables are made; any number that nobody else takes."""

USE = "sqlite:///PATH or postgresql://USER@HOST/DATABASE"


class Database:
    """An open database. Threads may share it; a fork may not.

    Attributes:
        shown: its URL without what may be secret in it.
    """

    def __init__(self, url: URL) -> None:
        self.url = url
        self.is_sqlite = url.get_backend_name() == "sqlite"
        self.shown = _shown(url)
        self._engine = _sqlite_engine(url) if self.is_sqlite else _postgresql_engine(url)
        self._writing = threading.Lock()
        self._reading = self._engine.execution_options(reads_only=True)

    @contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """Give a connection in a transaction: committed at the end of the block, undone if the block raises.

        Raises:
            ControlConflictError: a row that may be there once is there; nothing was changed.
            ControlUnreachableError: no answer. If it went missing in the commit, nobody knows whether that happened.
            ControlError: the database refused a statement; nothing was changed.
        """
        with self._translated(), self._turn(), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Let the threads of this process write to SQLite one after the other; its own waiting is by growing sleeps."""
        if not self.is_sqlite:
            yield
            return
        if not self._writing.acquire(timeout=LOCK_WAIT_S):
            raise ControlUnreachableError(
                f"the control database {self.shown} was busy for {LOCK_WAIT_S} s. Nothing was changed; try again."
            )
        try:
            yield
        finally:
            self._writing.release()

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """Give a connection to read with; on SQLite it waits for no writer, and all it reads is of one moment.

        Raises:
            ControlUnreachableError, ControlError: as `write`.
        """
        with self._translated(), self._reading.begin() as connection:
            yield connection

    def close(self) -> None:
        """Close every connection that is not in use."""
        self._engine.dispose()

    def __repr__(self) -> str:
        return f"Database({self.shown})"

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except IntegrityError as error:
            raise ControlConflictError(
                f"the control database {self.shown} has that already: {_cause(error)}. Nothing was changed."
            ) from None
        except SQLAlchemyError as error:
            if _is_unreachable(error):
                raise ControlUnreachableError(
                    f"the control database {self.shown} does not answer: {_cause(error)}. What runs on the nodes goes "
                    "on; try again when it is back."
                ) from None
            raise ControlError(
                f"the control database {self.shown} cannot be used: {_cause(error)}. Nothing was changed."
            ) from None


def open_database(text: str) -> Database:
    """Open the control database at a URL; make its tables if it is empty. Any number of processes may do so at once.

    Raises:
        ControlUrlError, PathMissingError: the URL cannot be used.
        ControlSchemaError: a newer version of this program made the tables; they are unchanged.
        ControlUnreachableError: no answer; a second try can help.
        ControlError: what is there is not such a database.
    """
    database = Database(_url_of(text))
    try:
        with database.write() as connection:
            if not database.is_sqlite:
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(CREATION_LOCK)))
            migrate(connection, database.shown)
    except BaseException:
        database.close()
        raise
    return database


def _url_of(text: str) -> URL:
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise ControlUrlError(
            f"the URL of the control database cannot be read. Nothing was changed; it looks like {USE}."
        ) from None
    if url.drivername == "sqlite" and url.database and url.database != ":memory:" and not url.query:
        path = Path(url.database)
        if not path.parent.is_dir():
            raise PathMissingError.parent_of(path)
        return url.set(database=str(path.absolute()))
    if url.drivername in ("postgresql", "postgres", "postgresql+psycopg") and url.database:
        return url.set(drivername="postgresql+psycopg")
    raise ControlUrlError(f"{_shown(url)} is not a control database. Nothing was changed; it looks like {USE}.")


def _shown(url: URL) -> str:
    """Return a URL without its password, and without its query, which may have one too."""
    return url.set(query={}).render_as_string(hide_password=True)


def _sqlite_engine(url: URL) -> sa.Engine:
    def connect() -> sqlite3.Connection:
        # Transactions are begun below: the module's own would let two that read first both think that they may write.
        path = str(url.database)
        _create(path)
        connection = sqlite3.connect(path, timeout=LOCK_WAIT_S, isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        return connection

    engine = sa.create_engine("sqlite://", creator=connect, poolclass=sa.QueuePool)

    @sa.event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        reads_only = connection.get_execution_options().get("reads_only")
        connection.exec_driver_sql("BEGIN" if reads_only else "BEGIN IMMEDIATE")

    return engine


def _create(path: str) -> None:
    """Make the file for its owner only if it is missing.

    One that is there is not opened: to close it again would give up every lock that this process has on it, and another
    process would take the file for unused and remove the log that this one writes to.
    """
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        pass
    except OSError as error:
        raise sqlite3.OperationalError(f"unable to open database file: {error.strerror}") from None


def _postgresql_engine(url: URL) -> sa.Engine:
    settings = {
        "idle_in_transaction_session_timeout": f"{IDLE_IN_TRANSACTION_S}s",
        "lock_timeout": f"{LOCK_WAIT_S}s",
        "statement_timeout": f"{2 * LOCK_WAIT_S}s",
    }
    arguments: dict[str, Any] = {
        "connect_timeout": CONNECT_TIMEOUT_S,
        "tcp_user_timeout": IDLE_IN_TRANSACTION_S * 1000,
        "options": " ".join(f"-c {name}={value}" for name, value in settings.items()),
        "application_name": "keystore control",
    }
    return sa.create_engine(
        url,
        connect_args=arguments,
        pool_pre_ping=True,
        pool_size=CONNECTIONS_MAX // 2,
        max_overflow=CONNECTIONS_MAX // 2,
    )


def _is_unreachable(error: SQLAlchemyError) -> bool:
    if isinstance(error, OperationalError | PoolTimeoutError):
        return True
    return isinstance(error, DBAPIError) and error.connection_invalidated


def _cause(error: SQLAlchemyError) -> str:
    """Return what the driver said, in one line, without the statement and its values."""
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    return " ".join(str(cause).split()).rstrip(".")
