"""A pack: sealed pages of one store, and sealed nodes of the maps of snapshots (docs/FORMAT.md, section 13).

Leaves to others: sealing and opening nodes, and what is in which pack (`keystore.snapshots`).
"""

import struct
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np

from keystore.format import layout
from keystore.format.cursor import NotDecodableError
from keystore.format.entry import ENTRY, EntryArray

MAGIC: Final = b"CMKSPACK"
VERSION: Final = 2
SUITE: Final = 1
"""AES-256-GCM, HKDF-SHA256."""

HEADER_BYTES: Final = 64

PACK_BYTES_MAX: Final = 256 << 20
"""LIMIT: bytes of a pack. What is sent again after a fault, and what stays until its last page is not needed."""
BATCH_BYTES_MAX: Final = 4 << 20
"""LIMIT: bytes of pages read at once."""

PAGE_ROW: Final = np.dtype(
    [("session", "<u4"), ("nonce", "u1", (12,)), ("tag", "u1", (16,)), ("pack", "<u4"), ("offset", "<u8")]
)
"""A row of a leaf: a page, and where it lies; 44 bytes, no padding."""
NODE_ROW: Final = np.dtype([*((name, PAGE_ROW[name]) for name in PAGE_ROW.names or ()), ("length", "<u4")])
"""A row of a node above: the store's own node that the child was made from, and where the child lies; 48 bytes."""
NO_NODE: Final = bytes(NODE_ROW.itemsize)
SOURCE_BYTES: Final = 32
"""A row begins with these bytes of the store's own entry: session, nonce, tag."""

_HEADER = struct.Struct("<8sBBB5x16s16s16x")


def pages_per_batch(page_size: int) -> int:
    return BATCH_BYTES_MAX // page_size


@dataclass(frozen=True)
class PackHeader:
    """The first 64 bytes, clear."""

    page_size: int
    pack_id: bytes
    store_id: bytes

    def encode(self) -> bytes:
        return _HEADER.pack(MAGIC, VERSION, SUITE, self.page_size.bit_length() - 1, self.pack_id, self.store_id)

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Raises `NotDecodableError` on another magic, version, suite, page size, or padding (S-19)."""
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


def row_type(level: int) -> "np.dtype[Any]":
    """Return the type of the rows in a node of `level`, from 1 (a leaf)."""
    return PAGE_ROW if level == 1 else NODE_ROW


def encode_node(rows: EntryArray) -> bytes:
    """Encode the rows of a node; holes at its end are left out."""
    there = np.flatnonzero(rows["session"])
    return rows[: there[-1] + 1].tobytes() if len(there) else b""


def decode_node(data: bytes | bytearray, level: int, page_size: int) -> EntryArray:
    """Return all rows of a node of `level`, the holes at its end too.

    Raises:
        NotDecodableError: there are more than a node has, or part of one, or none (S-20).
    """
    kind = row_type(level)
    count, rest = divmod(len(data), kind.itemsize)
    if rest or not 0 < count <= layout.fanout(page_size):
        raise NotDecodableError(f"a node of {len(data)} bytes, with rows of {kind.itemsize}")
    rows = np.zeros(layout.fanout(page_size), dtype=kind)
    rows[:count] = np.frombuffer(data, dtype=kind)
    if not rows["session"][count - 1]:
        raise NotDecodableError("a node ends with a hole")
    return rows


def node_bytes_max(page_size: int) -> int:
    """Return the bytes of the largest node, before it is sealed."""
    return layout.fanout(page_size) * NODE_ROW.itemsize


def entries_of(rows: EntryArray) -> EntryArray:
    """Return the entries of pages that rows of a leaf name; every slot is 0."""
    entries = np.zeros(len(rows), dtype=ENTRY)
    for field in ("session", "nonce", "tag"):
        entries[field] = rows[field]
    return entries
