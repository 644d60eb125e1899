"""Databases that encrypt their files, and ours: values of 4 KiB written, read at random, read all; with and without.

Files are opened anew before they are read, so that the database's own cache is empty; the system has them cached.
"""

import os
import random
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from benchmarks.peers.attacks import KEY, SALT
from keystore.bench.result import Result
from keystore.bench.timing import percentiles

VALUE_BYTES = 4096
IN_ONE_TRANSACTION = 256
TURNS = 3
READS = 500


class Table(Protocol):
    """An open database, or a store of ours."""

    def write(self, first: int, values: Sequence[bytes]) -> None:
        """Write consecutive values; durable on return."""

    def read(self, number: int) -> bytes: ...

    def read_all(self) -> int:
        """Read every value; return how many bytes there were."""

    def close(self) -> None: ...


class SqlTable:
    """A table in whatever speaks SQL."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        connection.execute("CREATE TABLE IF NOT EXISTS t (id INTEGER PRIMARY KEY, v BLOB)")

    def write(self, first: int, values: Sequence[bytes]) -> None:
        rows = ", ".join(["(?, ?)"] * len(values))
        parameters = [part for row in enumerate(values, first) for part in row]
        self._connection.execute("BEGIN")
        self._connection.execute(f"INSERT INTO t VALUES {rows}", parameters)
        self._connection.execute("COMMIT")

    def read(self, number: int) -> bytes:
        (value,) = self._connection.execute("SELECT v FROM t WHERE id = ?", (number,)).fetchone()
        return bytes(value)

    def read_all(self) -> int:
        return sum(len(value) for (value,) in self._connection.execute("SELECT v FROM t").fetchall())

    def close(self) -> None:
        self._connection.close()


class OurTable:
    """A page store; a value is a page."""

    def __init__(self, path: Path, keys: Any) -> None:
        from keystore.pages.store import PageStore

        make = PageStore.open if path.exists() else PageStore.create
        options: dict[str, Any] = {} if path.exists() else {"page_size": VALUE_BYTES}
        self._store = make(path, name="t", keys=keys, **options)

    def write(self, first: int, values: Sequence[bytes]) -> None:
        self._store.commit(dict(enumerate(values, first)))

    def read(self, number: int) -> bytes:
        return self._store.read(number)

    def read_all(self) -> int:
        return sum(len(piece) for piece in self._store.scan())

    def close(self) -> None:
        self._store.close()


class PlainTable:
    """A plain file, which is what ours is measured beside."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)

    def write(self, first: int, values: Sequence[bytes]) -> None:
        os.pwrite(self._fd, b"".join(values), first * VALUE_BYTES)
        os.fdatasync(self._fd)

    def read(self, number: int) -> bytes:
        return os.pread(self._fd, VALUE_BYTES, number * VALUE_BYTES)

    def read_all(self) -> int:
        buffer, read = bytearray(1 << 20), 0
        while got := os.preadv(self._fd, [buffer], read):
            read += got
        return read

    def close(self) -> None:
        os.close(self._fd)


Opener = Callable[[Path], Table]


@dataclass(frozen=True)
class Database:
    """One peer: how it is opened with encryption, and how without.

    Attributes:
        version: of the library itself, where that of the Python package says nothing of it.
    """

    distribution: str
    sealed: Callable[[], Opener]
    plain: Callable[[], Opener]
    version: Callable[[], str] | None = None

    def measure(self, place: Path, label: str, total_bytes: int) -> Iterator[Result]:
        """Yield writing, reading one, and reading all; both kinds take turns."""
        kinds = {"sealed": self.sealed(), "plain": self.plain()}
        took: dict[str, dict[str, list[float]]] = {kind: {"write": [], "read": [], "scan": []} for kind in kinds}
        for turn in range(TURNS):
            for kind, opener in kinds.items():
                _turn(opener, place / f"{kind}-{turn}", total_bytes, took[kind])
        for what, name, each in (
            ("write", "peer: write", total_bytes),
            ("read", "peer: read one", VALUE_BYTES),
            ("scan", "peer: read all", total_bytes),
        ):
            mine, theirs = (sorted(took[kind][what]) for kind in ("sealed", "plain"))
            seconds, plain_s = mine[len(mine) // 2], theirs[len(theirs) // 2]
            single = percentiles(mine) if what == "read" else None
            yield Result(
                name, label, VALUE_BYTES, 1, seconds, each / seconds / 1e9, of_plain=plain_s / seconds,
                percentiles_s=single,
            )  # fmt: skip


def _turn(opener: Opener, path: Path, total_bytes: int, took: dict[str, list[float]]) -> None:
    count = total_bytes // VALUE_BYTES
    data = random.Random(1).randbytes(IN_ONE_TRANSACTION * VALUE_BYTES)
    values = [data[at : at + VALUE_BYTES] for at in range(0, len(data), VALUE_BYTES)]
    table = opener(path)
    start = time.perf_counter()
    for first in range(0, count, IN_ONE_TRANSACTION):
        table.write(first, values)
    took["write"].append(time.perf_counter() - start)
    table.close()
    table = opener(path)
    for number in random.Random(2).choices(range(count), k=READS):
        start = time.perf_counter()
        value = table.read(number)
        took["read"].append(time.perf_counter() - start)
        assert value == values[number % IN_ONE_TRANSACTION]
    table.close()
    table = opener(path)
    start = time.perf_counter()
    read = table.read_all()
    took["scan"].append(time.perf_counter() - start)
    table.close()
    assert read == total_bytes


def _sqlite() -> Opener:
    return lambda path: SqlTable(sqlite3.connect(path, isolation_level=None))


def _sqlcipher(pragmas: Sequence[str]) -> Callable[[], Opener]:
    def opener() -> Opener:
        module = import_module("sqlcipher3")

        def connect(path: Path) -> Table:
            connection = module.connect(str(path), isolation_level=None)
            for pragma in pragmas:
                connection.execute(f"PRAGMA {pragma}")
            return SqlTable(connection)

        return connect

    return opener


def _sqlcipher_version() -> str:
    (told,) = import_module("sqlcipher3").connect(":memory:").execute("PRAGMA cipher_version").fetchone()
    return str(told).split()[0]


def _apsw_with_ciphers() -> Any:
    apsw = import_module("apsw")
    if not hasattr(apsw, "mc_version"):
        raise ModuleNotFoundError("this apsw has no ciphers")
    return apsw


def _sqlite3mc_version() -> str:
    return str(_apsw_with_ciphers().mc_version).split()[-1]


def _sqlite3mc(cipher: str | None) -> Callable[[], Opener]:
    def opener() -> Opener:
        apsw = _apsw_with_ciphers()

        def connect(path: Path) -> Table:
            connection = apsw.Connection(str(path))
            if cipher is not None:
                connection.pragma("cipher", cipher)
                connection.pragma("hexkey", KEY)
            return SqlTable(connection)

        return connect

    return opener


def _duckdb(cipher: str | None) -> Callable[[], Opener]:
    def opener() -> Opener:
        module = import_module("duckdb")

        def connect(path: Path) -> Table:
            connection = module.connect()
            options = ""
            if cipher is not None:
                connection.execute("SET force_mbedtls_unsafe = 'true'")  # that of the extension httpfs is not at hand
                options = f"(ENCRYPTION_KEY '{KEY}', ENCRYPTION_CIPHER '{cipher}')"
            connection.execute(f"ATTACH '{path}' AS d {options}")
            connection.execute("USE d")
            return SqlTable(connection)

        return connect

    return opener


def _ours() -> Opener:
    from keystore.testing import ThrowawayKeys

    keys = ThrowawayKeys()
    return lambda path: OurTable(path, keys)


def _plain() -> Opener:
    return PlainTable


RAW_KEY = f"key = \"x'{KEY}{SALT}'\""
DATABASES: dict[str, Database] = {
    "keystore": Database("cmk-keystore", _ours, _plain),
    "SQLCipher": Database("sqlcipher3-wheels", _sqlcipher([RAW_KEY]), _sqlcipher([]), _sqlcipher_version),
    "SQLite3MC chacha20": Database("apsw-sqlite3mc", _sqlite3mc("chacha20"), _sqlite3mc(None), _sqlite3mc_version),
    "SQLite3MC aes256cbc": Database("apsw-sqlite3mc", _sqlite3mc("aes256cbc"), _sqlite3mc(None), _sqlite3mc_version),
    "SQLite3MC aegis": Database("apsw-sqlite3mc", _sqlite3mc("aegis"), _sqlite3mc(None), _sqlite3mc_version),
    "DuckDB GCM": Database("duckdb", _duckdb("GCM"), _duckdb(None)),
}
