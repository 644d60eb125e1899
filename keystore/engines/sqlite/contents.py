"""What is in a SQLite database, told by SQL alone, so that two libraries can be asked the same.

Tables with rows of their own count: those of users, the hidden ones of virtual tables, and SQLite's. A digest is over
the rows in the order of their keys, each value with its type, so equal digests are equal contents.
"""

import hashlib
import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

Row = tuple[Any, ...]


class Connection(Protocol):
    """What apsw's connections and those of the standard library's kind have in common."""

    def execute(self, sql: str, /) -> Iterable[Any]: ...


@dataclass(frozen=True)
class Table:
    """A table with rows.

    Attributes:
        columns: those that are stored, in order; with the name of the rowid first where it has one.
        order: by which its rows are read.
    """

    name: str
    columns: tuple[str, ...]
    order: tuple[str, ...]

    @property
    def select(self) -> str:
        """Return what reads its rows, in order."""
        listed = ", ".join(map(quoted, self.columns))
        return f"SELECT {listed} FROM {quoted(self.name)} ORDER BY {', '.join(map(quoted, self.order))}"

    @property
    def insert(self) -> str:
        """Return what adds a row."""
        listed = ", ".join(map(quoted, self.columns))
        return f"INSERT INTO {quoted(self.name)} ({listed}) VALUES ({', '.join('?' * len(self.columns))})"


def quoted(name: str) -> str:
    """Return a name as SQL has it."""
    return '"' + name.replace('"', '""') + '"'


def tables(connection: Connection) -> list[Table]:
    """Return all tables with rows, in the order in which they were made."""
    listed = connection.execute("PRAGMA table_list")
    without_rowid = {name for schema, name, _, _, without, _ in listed if schema == "main" and without}
    named = "WHERE type = 'table' AND rootpage > 0 ORDER BY rowid"
    found = connection.execute(f"SELECT name FROM main.sqlite_schema {named}")
    return [_table(connection, name, rowid=name not in without_rowid) for (name,) in list(found)]


def _table(connection: Connection, name: str, *, rowid: bool) -> Table:
    described = list(connection.execute(f"PRAGMA main.table_xinfo({quoted(name)})"))
    columns = tuple(column for _, column, _, _, _, _, hidden in described if hidden == 0)
    taken = {column.lower() for _, column, *_ in described}
    alias = next((each for each in ("rowid", "_rowid_", "oid") if each not in taken), None) if rowid else None
    if alias is not None:
        return Table(name, (alias, *columns), (alias,))
    keys = sorted((place, column) for _, column, _, _, _, place, _ in described if place)
    return Table(name, columns, tuple(column for _, column in keys) or columns)


def schema(connection: Connection) -> list[Row]:
    """Return what was made by users, each with its SQL, in the order in which it was made."""
    sql = "SELECT type, name, tbl_name, sql FROM main.sqlite_schema WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
    return sorted(tuple(row) for row in connection.execute(sql))


def pragma(connection: Connection, name: str) -> Any:
    """Return the one value of a PRAGMA."""
    ((value,),) = connection.execute(f"PRAGMA main.{name}")
    return value


def count_rows(connection: Connection, chosen: Iterable[Table]) -> int:
    """Return how many rows the tables have."""
    return sum(row[0] for each in chosen for row in connection.execute(f"SELECT count(*) FROM {quoted(each.name)}"))


def digest(connection: Connection, table: Table, count: Callable[[], None]) -> bytes:
    """Return SHA-256 over the rows of a table; `count` is called for each."""
    state = hashlib.sha256()
    for row in connection.execute(table.select):
        for part in _encoded(row):
            state.update(part)
        count()
    return state.digest()


def _encoded(row: Row) -> Iterator[bytes]:
    """Yield the values of a row, one to one: a type, a length, and the value."""
    yield struct.pack("<I", len(row))
    for value in row:
        kind, data = _typed(value)
        yield kind + struct.pack("<Q", len(data))
        yield data


def _typed(value: Any) -> tuple[bytes, bytes]:
    if value is None:
        return b"n", b""
    if isinstance(value, int):
        return b"i", str(value).encode()
    if isinstance(value, float):
        return b"f", struct.pack("<d", value)
    if isinstance(value, str):
        return b"t", value.encode("utf-8", "surrogatepass")
    return b"b", bytes(value)
