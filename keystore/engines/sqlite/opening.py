"""Opens databases, and closes them with their last connection.

A database has a node directory of its own, or is a file of a node that is open already. All connections of a process to
one database share its store; it is opened for the first one.

Leaves to others: everything about keys, and what is on the disk (`keystore.node`).
"""

import os
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import RLock
from typing import Any, Final

import apsw

from keystore.engines.sqlite.database import Database
from keystore.engines.sqlite.failures import as_sqlite
from keystore.engines.sqlite.main_file import MainFile
from keystore.engines.sqlite.vfs import NAME, KeystoreVfs
from keystore.errors import InputError, KeystoreError, NameUnknownError, NotAStoreError, WrongKeyError
from keystore.format.layout import PAGE_SIZES_BYTES
from keystore.keys import keyfile
from keystore.keys.files import Files
from keystore.kms.connect import connector as connector_of
from keystore.kms.protocol import KmsConnector
from keystore.kms.uri import parse
from keystore.node import opening as node_opening
from keystore.node.directory import Node
from keystore.node.layout import Layout
from keystore.pages.store import PageStore

DATABASE: Final = "main"
FILE: Final = "main.sqlite"
"""Where a database lies in a node directory of its own."""

PAGE_SIZE: Final = 4096
"""Bytes of a page of a new database, unless the caller says otherwise; SQLite's own default."""

BUSY_TIMEOUT_S: Final = 5.0
"""How long a connection waits for another one that writes, unless its user sets another time."""

MAGIC: Final = b"SQLite format 3\0"


@dataclass
class _Open:
    """A database that is open: how many files of it SQLite has, or `connect` is about to open; and how it is closed."""

    database: Database
    node: Node
    close: Callable[[], None]
    users: int = 0


_lock = RLock()
_OPEN: Final[dict[str, _Open]] = {}
"""By the path that SQLite is given. Guarded by `_lock`, which is held while one is opened and closed."""


class _CountedFile(MainFile):
    """A file that closes its database behind it, if it was the last."""

    def __init__(self, name: str, opened: _Open) -> None:
        super().__init__(opened.database)
        self._name, self._opened = name, opened

    def xClose(self) -> None:  # noqa: N802
        try:
            super().xClose()
        finally:
            try:
                _leave(self._name, self._opened)
            except KeystoreError as error:
                raise as_sqlite(error) from error


def connect(
    path: str | os.PathLike[str],
    *,
    cmk: str | None = None,
    node: Node | None = None,
    page_size: int = PAGE_SIZE,
    connector: KmsConnector | None = None,
    **options: Any,
) -> apsw.Connection:
    """Open a database and connect to it, as `apsw.Connection`; make it where there is none.

    A process opens a database once, and may have many connections to it; it is closed with the last of them.

    Args:
        path: a directory, which is this database's alone and is made with it; with `node`, DATABASE/FILE in that node.
        cmk: URI of the customer master key, which a new database needs; one that is there must be under this key.
        node: an open node to keep it in, which stays open longer than the connection.
        page_size: of a new database, and for ever: 4, 8, 16, 32 or 64 KiB.
        connector: gives the client for a key, by default as the environment says; see `kms.connect`.
        options: what else `apsw.Connection` takes: `flags`, `statementcachesize`.

    Raises:
        InputError: neither path nor key can be used, or a plain SQLite file is there; nothing was changed.
        WrongKeyError: it is under another key than `cmk`; nothing was asked of any KMS.
        NameUnknownError: it is a node, and has no database of SQLite.
        KmsError, NodeError, StoreError: as `Node.open`, `Node.init` and `PageStore.open`: key disabled, locked by
            another process, damaged, rolled back, …
    """
    with _lock:
        name, opened = _opened(path, cmk, node, page_size, connector)
        opened.users += 1
        try:
            _register()
            connection = apsw.Connection(name, vfs=NAME, **options)
            try:
                connection.set_busy_handler(_waiting(opened.database))
                _write_head(connection, opened.database)
            except BaseException:
                connection.close()
                raise
            return connection
        finally:
            _leave(name, opened)


def node_of(connection: apsw.Connection) -> Node:
    """Return the open node that a connection's database is in: for snapshots, rotation and checks while it is in use.

    It is closed with the last connection, unless it was given to `connect`.

    Raises:
        InputError: the connection has no encrypted database, or is closed.
    """
    with _lock, suppress(apsw.ConnectionClosedError):
        opened = _OPEN.get(connection.filename)
        if opened is not None:
            return opened.node
    raise InputError("this connection has no encrypted database that is open")


def _opened(
    path: str | os.PathLike[str], cmk: str | None, node: Node | None, page_size: int, connector: KmsConnector | None
) -> tuple[str, _Open]:
    """Return a database that is open, or open it; the caller has the lock."""
    if node is not None:
        name = f"{node.directory}/{os.fspath(path)}"
        if cmk is not None:
            raise InputError("a database of a node is under the node's key; give `node` or `cmk`, not both")
        if name not in _OPEN:
            _OPEN[name] = _in_node(node, os.fspath(path), page_size)
        return name, _OPEN[name]
    if "\0" in os.fspath(path):
        raise InputError(f"{os.fspath(path)!r} cannot be a path: it has a null byte")
    directory = Path(path).absolute().resolve()
    name = str(directory)
    if name in _OPEN:
        _require_key(directory, _OPEN[name].node.master_info.key_id, cmk)
        return name, _OPEN[name]
    _OPEN[name] = _alone(directory, cmk, page_size, connector or connector_of())
    return name, _OPEN[name]


def _in_node(node: Node, path: str, page_size: int) -> _Open:
    database, _, file = path.partition("/")
    if not file:
        raise InputError(f"{path!r} names no file in a node: DATABASE/FILE is needed, such as orders/{FILE}")
    there = node.databases.get(database)
    if there is None or file not in there.stores:
        store = node.create_store(database, file, page_size)
    else:
        store = node.open_store(database, file)
    return _checked(store, node, store.close)


def _alone(directory: Path, cmk: str | None, page_size: int, connector: KmsConnector) -> _Open:
    """Open the database of a directory, with the node that it is; or make both."""
    with ExitStack() as undo:
        is_unmade = directory.is_dir() and node_opening.is_unmade(Layout(directory))
        if directory.is_dir() and (cmk is None or not is_unmade) and any(directory.iterdir()):
            if cmk is not None and Layout(directory).keystore.is_file():
                loaded = keyfile.load(Files(), Layout(directory).keystore)
                _require_key(directory, loaded.head.wrapped.key_id, cmk)
            node = undo.enter_context(Node.open(directory, connector))
        else:
            _require_no_file(directory)
            if cmk is None:
                raise InputError(f'there is no database at {directory}; name a key to make one: cmk="aws://…"')
            if page_size not in PAGE_SIZES_BYTES:
                raise InputError(f"a page size of {page_size} bytes; it is one of {PAGE_SIZES_BYTES}. Nothing was made")
            node = undo.enter_context(Node.init(directory, cmk, connector))
        if DATABASE in node.databases and FILE in node.databases[DATABASE].stores:
            store = node.open_store(DATABASE, FILE)
        elif node.databases and (cmk is None or not _is_cut_off(node)):
            raise NameUnknownError(
                f"{directory} is a node without a SQLite database of its own ({DATABASE}/{FILE}). Nothing was changed; "
                "open the node and connect with `node=`"
            )
        else:  # CRASH: between the making of the node, of its database and of the store
            store = node.create_store(DATABASE, FILE, page_size)
        opened = _checked(store, node, node.close)
        undo.pop_all()
        return opened


def _is_cut_off(node: Node) -> bool:
    """Tell whether a node has the database that `connect` makes in it, and nothing else yet."""
    made = node.databases.get(DATABASE)
    return made is not None and made.shredded is None and not made.stores and len(node.databases) == 1


def _require_no_file(path: Path) -> None:
    if not path.is_file():
        return
    with path.open("rb") as file:
        is_sqlite = file.read(len(MAGIC)) == MAGIC
    if is_sqlite:
        raise InputError(
            f"{path} is a plain SQLite database, not an encrypted one, and is unchanged. To make an encrypted copy: "
            "keystore sqlite import"
        )
    raise InputError(f"{path} is a file; an encrypted database is a directory. It is unchanged")


def _require_key(directory: Path, key_id: str, cmk: str | None) -> None:
    if cmk is not None and parse(cmk).text != key_id:
        raise WrongKeyError(
            f"{directory} is under the key {key_id}, not under {parse(cmk).text}. No KMS was asked, and nothing was "
            "changed; open it without a key or under its own, and change the key with `change_cmk`"
        )


def _checked(store: PageStore, node: Node, close: Callable[[], None]) -> _Open:
    """Refuse a store that has anything but a SQLite database in it, or one that SQLite cannot use here."""
    try:
        head = store.read(0)[:100] if store.page_count else b""
        if head:
            _require_sqlite(store, head)
    except BaseException:
        with suppress(KeystoreError):
            close()
        raise
    return _Open(Database(store), node, close)


def _require_sqlite(store: PageStore, head: bytes) -> None:
    if not head.startswith(MAGIC):
        raise NotAStoreError(f"{store.name} is no SQLite database; it is unchanged")
    size = int.from_bytes(head[16:18], "big")
    size = 65536 if size == 1 else size
    if size != store.page_size:
        raise NotAStoreError(
            f"{store.name} is a SQLite database with pages of {size} bytes in a store with pages of {store.page_size}; "
            "they must be equal. It is unchanged; export it, and import it with `keystore sqlite import`"
        )
    if head[18:20] != b"\1\1":
        raise NotAStoreError(
            f"{store.name} is a SQLite database in WAL mode, which needs a file beside it. It is unchanged; export it, "
            "and import it with `keystore sqlite import`"
        )


def _write_head(connection: apsw.Connection, database: Database) -> None:
    """Give an empty store its first page, so that every connection knows the size of pages."""
    if not database.store.page_count and not connection.readonly("main"):
        connection.execute(f"PRAGMA page_size = {database.page_size}")
        connection.execute("PRAGMA user_version = 0")


def _waiting(database: Database) -> Callable[[int], bool]:
    """Return a busy handler: it waits for the connection that writes, and not for a time as SQLite's own does."""
    until_s = 0.0

    def wait(calls: int) -> bool:
        nonlocal until_s
        if not calls:
            until_s = time.monotonic() + BUSY_TIMEOUT_S
        return time.monotonic() < until_s and database.wait(until_s)

    return wait


def _open_file(name: str) -> MainFile:
    with _lock:
        opened = _OPEN.get(name)
        if opened is None:
            raise apsw.CantOpenError(
                f"{name} is no encrypted database that is open in this process; open it with "
                "`keystore.engines.sqlite.connect`. VACUUM INTO cannot make one: take a snapshot, or for a plain copy "
                "`keystore sqlite export`"
            )
        opened.users += 1
        return _CountedFile(name, opened)


def _leave(name: str, opened: _Open) -> None:
    """Close a database that nobody uses any more; one from before a fork is the parent's to close."""
    with _lock:
        opened.users -= 1
        if not opened.users and _OPEN.get(name) is opened:
            del _OPEN[name]
            opened.close()


def _after_fork_in_child() -> None:
    """A child opens its own, which the parent's lock refuses while it has them; other threads may have held locks."""
    global _lock
    _lock = RLock()
    for opened in _OPEN.values():
        opened.database.after_fork_in_child()
    _OPEN.clear()


os.register_at_fork(after_in_child=_after_fork_in_child)


_VFS: list[KeystoreVfs] = []


def _register() -> None:
    if not _VFS:
        _VFS.append(KeystoreVfs(_open_file))
