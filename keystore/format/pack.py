"""A pack: sealed pages of one store in batches, as a snapshot keeps them (docs/FORMAT.md, "Snapshots").

Leaves to others: sealing and opening the index of a batch, and the order of batches (`keystore.snapshots`).
"""

import struct
from dataclasses import dataclass
from typing import Final, Self

import numpy as np

from keystore.format import layout
from keystore.format.cursor import NotDecodableError
from keystore.format.entry import ENTRY, EntryArray, U64Array

MAGIC: Final = b"CMKSPACK"
VERSION: Final = 1
SUITE: Final = 1
"""AES-256-GCM, HKDF-SHA256."""

HEADER_BYTES: Final = 64
PRELUDE_BYTES: Final = 16

BATCH_BYTES_MAX: Final = 4 << 20
"""LIMIT: bytes of pages in one batch. With index and copies, a snapshot and a restore stay below 20 MiB of buffers."""

INDEX: Final = np.dtype([("page", "<u8"), ("session", "<u4"), ("nonce", "u1", (12,)), ("tag", "u1", (16,))])
"""One row of an index; 40 bytes, no padding."""

_HEADER = struct.Struct("<8sBBB5x16s16s16x")
_PRELUDE = struct.Struct("<QII")


def pages_per_batch(page_size: int) -> int:
    return BATCH_BYTES_MAX // page_size


@dataclass(frozen=True)
class PackHeader:
    """The first 64 bytes; clear, and associated data of every index (S-8)."""

    page_size: int
    pack_id: bytes
    store_id: bytes

    def encode(self) -> bytes:
        return _HEADER.pack(MAGIC, VERSION, SUITE, self.page_size.bit_length() - 1, self.pack_id, self.store_id)

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Raises `NotDecodableError` on another magic, version, suite, page size, or padding."""
        if len(data) != HEADER_BYTES:
            raise NotDecodableError(f"{len(data)} bytes; the header of a pack has {HEADER_BYTES}")
        magic, version, suite, shift, pack_id, store_id = _HEADER.unpack(data)
        if magic != MAGIC:
            raise NotDecodableError("the magic of a pack is missing")
        if (version, suite) != (VERSION, SUITE):
            raise NotDecodableError(f"pack version {version}, suite {suite}; this program knows {VERSION}, {SUITE}")
        page_size = 1 << min(shift, 63)
        header = cls(page_size, pack_id, store_id)
        if page_size not in layout.PAGE_SIZES_BYTES or header.encode() != data:
            raise NotDecodableError("the header of the pack has a wrong page size or padding")
        return header


@dataclass(frozen=True)
class BatchPrelude:
    """Sixteen clear bytes before each batch; associated data of its index."""

    position: int
    pages: int
    index_bytes: int

    def encode(self) -> bytes:
        return _PRELUDE.pack(self.position, self.pages, self.index_bytes)

    @classmethod
    def decode(cls, data: bytes, position: int, page_size: int, overhead_bytes: int) -> Self:
        """Read the prelude of the batch that should stand at `position`.

        Raises:
            NotDecodableError: another position, no page or too many, or an index of another length than
                ``pages * 40 + overhead_bytes``.
        """
        prelude = cls(*_PRELUDE.unpack(data))
        if prelude.position != position:
            raise NotDecodableError(f"batch {position} says that it is batch {prelude.position}")
        if not 0 < prelude.pages <= pages_per_batch(page_size):
            raise NotDecodableError(f"batch {position} claims {prelude.pages} pages")
        if prelude.index_bytes != prelude.pages * INDEX.itemsize + overhead_bytes:
            raise NotDecodableError(f"batch {position} claims an index of {prelude.index_bytes} bytes")
        return prelude


def encode_index(page_nos: U64Array, entries: EntryArray) -> bytes:
    """Encode the rows of one batch from page numbers and their entries; slots are left out."""
    rows = np.empty(len(page_nos), dtype=INDEX)
    rows["page"] = page_nos
    for field in ("session", "nonce", "tag"):
        rows[field] = entries[field]
    return rows.tobytes()


def decode_index(data: bytes | bytearray) -> tuple[U64Array, EntryArray]:
    """Return page numbers and entries of the rows in `data` (a multiple of 40 bytes); every slot is 0."""
    rows = np.frombuffer(data, dtype=INDEX)
    entries = np.zeros(len(rows), dtype=ENTRY)
    for field in ("session", "nonce", "tag"):
        entries[field] = rows[field]
    return rows["page"].astype(np.uint64), entries
