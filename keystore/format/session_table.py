"""Blocks of the session table: rows of a session and the number of entries that name it (docs/FORMAT.md, section 4)."""

import struct
from collections.abc import Iterable, Iterator

from keystore.format import layout
from keystore.format.record import SESSION_BYTES, SessionRecord

_REFERENCES = struct.Struct("<Q")


def encode_table(rows: Iterable[tuple[SessionRecord, int]], page_size: int) -> Iterator[bytes]:
    """Yield the blocks of the table, each of `page_size` bytes."""
    per_block = layout.sessions_per_block(page_size)
    encoded = [session.encode() + _REFERENCES.pack(references) for session, references in rows]
    for at in range(0, len(encoded), per_block):
        yield b"".join(encoded[at : at + per_block]).ljust(page_size, b"\0")


def decode_block(block: bytes | bytearray, rows: int) -> list[tuple[SessionRecord, int]]:
    """Return the first `rows` rows of a block."""
    view, row = memoryview(block), layout.SESSION_ROW_BYTES
    return [
        (
            SessionRecord.decode(view[row * i : row * i + SESSION_BYTES]),
            int(_REFERENCES.unpack_from(view, row * i + SESSION_BYTES)[0]),
        )
        for i in range(rows)
    ]
