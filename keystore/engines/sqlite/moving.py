"""SQLite databases in and out: from plain files and from SQLCipher, and out as plain files, both verified.

A plain database whose pages have a size that a store can have is copied page by page, by SQLite's backup. Any other is
copied by SQL: tables with their rows and rowids, indexes, then views, triggers and virtual tables as they are written.
Either way it is one transaction, so what was cut off is not there. Afterwards every row of both is compared, and SQLite
checks the new one.

Leaves to others: what a database holds (`contents`), and opening either (`sources`, `opening`).
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apsw

from keystore.engines.sqlite.contents import Connection, Table, count_rows, digest, pragma, quoted, schema, tables
from keystore.engines.sqlite.opening import DATABASE, FILE, MAGIC, PAGE_SIZE, node_of
from keystore.engines.sqlite.sources import CipherKey, open_source
from keystore.errors import CopyDiffersError, InputError, KeystoreError, PathTakenError
from keystore.format.layout import PAGE_SIZES_BYTES
from keystore.node.reports import Transfer
from keystore.progress import Progress, untold

BACKUP_PAGES = 256
"""Pages between two reports of progress."""
ROWS_TOLD = 1000
PASSING = "keystore_import_in_progress"
"""Name of a table that is there for a moment."""
OWN = (DATABASE, "/", FILE)


@dataclass(frozen=True)
class Imported:
    """What came in.

    Attributes:
        by_pages: whether it is the same page by page; otherwise row by row.
    """

    tables: int
    rows: int
    by_pages: bool


class _Steps:
    """Tells how far an import is, in bytes of the source. One third is the copy; then both sides are read."""

    def __init__(self, progress: Progress | None, total_bytes: int, rows: int) -> None:
        self._progress, self._bytes, self._rows, self._done = progress or untold, total_bytes, max(rows, 1), 0

    def row(self) -> None:
        self._done += 1
        if self._done % ROWS_TOLD == 0:
            self.told(self._done / (3 * self._rows))

    def told(self, part: float) -> None:
        self._progress(min(int(part * self._bytes), self._bytes), self._bytes)

    def copied(self) -> None:
        """The copy is there, however it was made."""
        self._done = self._rows
        self.told(1 / 3)


def import_database(
    source: Path, connection: apsw.Connection, key: CipherKey | None = None, progress: Progress | None = None
) -> Imported:
    """Copy a database into an encrypted one that is empty, and compare the two; durable on return.

    Args:
        key: of a source that SQLCipher made.
        progress: is told a part of the bytes of the source, and all of them.

    Raises:
        PathTakenError: the encrypted database is not empty; it is unchanged.
        InputError, PathMissingError, WrongKeyError, EngineSetupError: as `open_source`; or the source has something
            that cannot be copied. Nothing was imported.
        CopyDiffersError: the copy is not the same; the encrypted database is empty again.
        StoreError: as of a commit, such as a full disk; nothing was imported.
    """
    if schema(connection):
        raise PathTakenError("the encrypted database has tables already, and is unchanged; import into a new one.")
    with open_source(source, key) as opened, _told(source):
        chosen = tables(opened)
        rows, size = count_rows(opened, chosen), pragma(opened, "page_count") * _page_size(opened)
        steps = _Steps(progress, size, rows)
        by_pages = isinstance(opened, apsw.Connection) and _page_size(opened) == _page_size(connection)
        if isinstance(opened, apsw.Connection) and by_pages:
            _copy_pages(opened, connection, steps)
        else:
            _copy_rows(opened, connection, chosen, steps)
        steps.copied()
        try:
            _compare(opened, connection, chosen, steps)
            check(connection)
        except CopyDiffersError:
            _empty(connection)
            raise
        steps.told(1)
    return Imported(len(chosen), rows, by_pages)


def export_database(
    connection: apsw.Connection, target: Path, *, overwrite: bool = False, progress: Progress | None = None
) -> Transfer:
    """Write a database as a plain file, which is there whole or not at all; nobody writes to it meanwhile.

    It passes SQLite's check before, and what was written is what the file has when it is read back.

    Raises:
        CopyDiffersError: it does not pass; nothing was exported.
        PathTakenError, PathMissingError, InputError, NodeIOError, StoreDamagedError: as `Node.export_file`.
    """
    node, name = node_of(connection), connection.filename
    database, _, file = name.removeprefix(f"{node.directory}/").partition("/") if name != str(node.directory) else OWN
    connection.execute("BEGIN IMMEDIATE")
    try:
        check(connection)
        done = node.export_file(database, file, target, overwrite=overwrite, progress=progress)
    finally:
        connection.execute("ROLLBACK")
    with target.open("rb") as written:
        if hashlib.file_digest(written, "sha256").hexdigest() != done.sha256:
            raise CopyDiffersError(f"{target} has not what was written to it. Do not use it; look at its device.")
    return done


def check(connection: apsw.Connection) -> None:
    """Have SQLite check a database, all of it.

    Raises:
        CopyDiffersError: it found something; the message has the first of it.
    """
    found = [text for (text,) in connection.execute("PRAGMA main.integrity_check(3)")]
    if found != ["ok"]:
        text = "; ".join(map(str, found))
        raise CopyDiffersError(f"SQLite's integrity_check says: {text}. Such a database is not copied.")


def _empty(connection: apsw.Connection) -> None:
    with closing(apsw.Connection(":memory:")) as nothing:
        nothing.execute(f"PRAGMA page_size = {_page_size(connection)}; PRAGMA user_version = 0")
        with connection.backup("main", nothing, "main") as backup:
            backup.step()


def _page_size(connection: Connection) -> int:
    return int(pragma(connection, "page_size"))


def _copy_pages(source: apsw.Connection, target: apsw.Connection, steps: _Steps) -> None:
    with target.backup("main", source, "main") as backup:
        while not backup.done:
            backup.step(BACKUP_PAGES)
            steps.told((1 - backup.remaining / max(backup.page_count, 1)) / 3)


def _copy_rows(source: Connection, target: apsw.Connection, chosen: list[Table], steps: _Steps) -> None:
    made: dict[str, list[tuple[str, str, str, str]]] = {}
    for entry in _made_in_order(source):
        made.setdefault(entry[0], []).append(entry)
    own = {each.name for each in chosen if each.name.startswith("sqlite_")}
    target.execute("PRAGMA ignore_check_constraints = ON")
    try:
        with _transaction(target):
            for _, name, _, sql in made.get("table", []):
                if any(each.name == name for each in chosen):
                    _make(target, sql)
            _make_own_tables(target, own)
            for table in sorted(chosen, key=lambda each: each.name in own):
                if table.name in own:
                    target.execute(f"DELETE FROM {quoted(table.name)}")
                target.executemany(table.insert, _counted(source.execute(table.select), steps.row))
            for _, _, _, sql in made.get("index", []):
                _make(target, sql)
            with_rows = {("table", each.name) for each in chosen}
            _write_schema(target, [each for each in _as_written(made) if each[:2] not in with_rows])
            for name in ("user_version", "application_id"):
                target.execute(f"PRAGMA main.{name} = {int(pragma(source, name))}")
    finally:
        target.execute("PRAGMA ignore_check_constraints = OFF")
        target.execute("PRAGMA writable_schema = RESET")


@contextmanager
def _transaction(target: apsw.Connection) -> Iterator[None]:
    target.execute("BEGIN IMMEDIATE")
    try:
        yield
        target.execute("COMMIT")
    except BaseException:
        if target.in_transaction:  # a full disk ends it by itself
            target.execute("ROLLBACK")
        raise


def _make(target: apsw.Connection, sql: str) -> None:
    """Run one statement of a schema. A source may be forged, and what stands behind the statement would run too."""
    begun = 0

    def alone(*_: object) -> bool:
        nonlocal begun
        begun += 1
        return begun == 1

    cursor = target.cursor()
    cursor.exec_trace = alone
    try:
        cursor.execute(sql)
    except (apsw.ExecTraceAbort, ValueError):  # of a null byte
        raise InputError("the schema of the source has more than it may. Nothing was imported.") from None


def _make_own_tables(target: apsw.Connection, own: set[str]) -> None:
    """Have SQLite make those of its own tables that the source has; it lets nobody else."""
    if "sqlite_sequence" in own:
        target.execute(f"CREATE TABLE {PASSING} (number INTEGER PRIMARY KEY AUTOINCREMENT); DROP TABLE {PASSING}")
    if any(name.startswith("sqlite_stat") for name in own):
        target.execute("ANALYZE main.sqlite_schema")


def _made_in_order(source: Connection) -> Iterable[tuple[str, str, str, str]]:
    named = "WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
    return list(source.execute(f"SELECT type, name, tbl_name, sql FROM main.sqlite_schema {named} ORDER BY rowid"))


def _as_written(made: dict[str, list[tuple[str, str, str, str]]]) -> list[tuple[str, str, str, str]]:
    """Return what has no rows of its own and is entered as it is written, so that nothing of it runs."""
    return [*made.get("table", []), *made.get("view", []), *made.get("trigger", [])]


def _write_schema(target: apsw.Connection, entries: list[tuple[str, str, str, str]]) -> None:
    if entries:
        target.execute("PRAGMA writable_schema = ON")
        target.executemany("INSERT INTO main.sqlite_schema VALUES (?, ?, ?, 0, ?)", entries)


def _counted(rows: Iterable[Any], count: Callable[[], None]) -> Iterator[tuple[Any, ...]]:
    for row in rows:
        count()
        yield tuple(row)


def _compare(source: Connection, target: apsw.Connection, chosen: list[Table], steps: _Steps) -> None:
    if schema(source) != schema(target):
        raise CopyDiffersError("the schema of the copy is not that of the source. Nothing was kept of the copy.")
    for table in chosen:
        if digest(source, table, steps.row) != digest(target, table, steps.row):
            raise CopyDiffersError(
                f"table {table.name!r} of the copy has not the rows of the source. Nothing was kept of the copy."
            )


@contextmanager
def _told(source: Path) -> Iterator[None]:
    """Have what the libraries say of a source come out as an error of ours, with theirs as its cause."""
    try:
        yield
    except KeystoreError:
        raise
    except Exception as error:
        if isinstance(error.__cause__, KeystoreError):
            raise error.__cause__ from None
        is_theirs = type(error).__module__.partition(".")[0] in ("apsw", "sqlcipher3")
        if not is_theirs and not isinstance(error, UnicodeDecodeError):
            raise
        raise InputError(f"{source} cannot be copied: {error}. Nothing was imported.") from error


def page_size_for(source: Path) -> int:
    """Return the page size that a store for a copy of `source` is to have: its own, where a store can have it."""
    try:
        with source.open("rb") as file:
            head = file.read(18)
    except OSError:
        return PAGE_SIZE  # opening it says why
    size = int.from_bytes(head[16:18], "big")
    size = 65536 if size == 1 else size
    return size if head.startswith(MAGIC) and size in PAGE_SIZES_BYTES else PAGE_SIZE
