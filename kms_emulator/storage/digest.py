"""A digest over all rows of a sealed file: rows that were removed, added or put back are noticed at the next opening.

    row digest   keyed BLAKE2b-256 of the table's name and the row's columns, each part behind its length
    digest       sum of the row digests modulo 2^256: of the rows as they are, in whatever order they came

It is stored, sealed, in the transaction that changes the rows: a crash leaves both or neither. SQLite tells it of each
row that comes or goes, also by a cascade or in another's place, through triggers of this connection only.

SAFETY: a sum of keyed digests cannot be met by other rows while nobody knows key or sum (Clarke et al., "Incremental
multiset hash functions", ASIACRYPT 2003); a row is there once at most, for its key.

Not noticed: the whole file put back as it once was, or the newest changes cut off its log. Its digest fits it again,
and nothing in a directory can tell that it is old.
"""

import hashlib
import sqlite3
from collections.abc import Iterable

from kms_emulator.model.context import encode_fields

DIGEST_BYTES = 32
NO_ROWS = bytes(DIGEST_BYTES)
_MODULUS = 1 << (8 * DIGEST_BYTES)
_CAME, _WENT = 1, -1
_EVENTS = (("INSERT", "NEW", _CAME), ("DELETE", "OLD", _WENT), ("UPDATE", "OLD", _WENT), ("UPDATE", "NEW", _CAME))


class RowDigest:
    """The digest of the rows of some tables, kept up to date with every statement of one connection."""

    def __init__(self, db: sqlite3.Connection, tables: Iterable[str], key: bytes) -> None:
        """Take the rows as they are, and watch them from now on; `key` has 32 bytes."""
        self._key, self._stored, self._sum = key, 0, 0
        for table in tables:
            for row in db.execute(f"SELECT * FROM {table}"):
                self._change(_CAME, table, *row)
            _watch(db, table)
        db.create_function("row_changed", -1, self._change)
        self.settle()

    @property
    def value(self) -> bytes:
        """Return the digest of the rows as they are in the running transaction: 32 bytes."""
        return self._sum.to_bytes(DIGEST_BYTES, "big")

    def settle(self) -> None:
        """Take the changes since the last time for good."""
        self._stored = self._sum

    def revert(self) -> None:
        """Forget the changes since the last time: their transaction did not happen."""
        self._sum = self._stored

    def _change(self, sign: int, table: str, *columns: bytes | str | int) -> None:
        row = encode_fields(table.encode(), *(_encode(column) for column in columns))
        digest = hashlib.blake2b(row, digest_size=DIGEST_BYTES, key=self._key).digest()
        self._sum = (self._sum + sign * int.from_bytes(digest, "big")) % _MODULUS


def _encode(column: bytes | str | int) -> bytes:
    return repr(column).encode()  # one to one, also across types: b'1', '1' and 1 differ


def _watch(db: sqlite3.Connection, table: str) -> None:
    names = [column[1] for column in db.execute(f"PRAGMA table_info({table})")]
    for event, row, sign in _EVENTS:
        columns = ", ".join(f"{row}.{name}" for name in names)
        db.execute(
            f"CREATE TEMP TRIGGER {table}_{event}_{row} AFTER {event} ON main.{table} "
            f"BEGIN SELECT row_changed({sign}, '{table}', {columns}); END"
        )
