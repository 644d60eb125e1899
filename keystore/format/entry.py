"""Entries: what a parent knows of a block (F-4, F-11), one at a time as 40 bytes or many as a numpy array.

An entry in memory is its 40 encoded bytes: hashable, comparable, and unique to one version of one block, because no
nonce is ever used twice. Caches use it as their key and need no invalidation.
"""

import struct
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from keystore.format import layout

U8Array = npt.NDArray[np.uint8]
U64Array = npt.NDArray[np.uint64]
EntryArray = npt.NDArray[np.void]
"""Structured array of `ENTRY`."""

ENTRY: Final = np.dtype([("slot", "<u8"), ("session", "<u4"), ("nonce", "u1", (12,)), ("tag", "u1", (16,))])
"""One entry; 40 bytes, no padding."""

SLOT_ROW: Final = np.dtype([("entry", ENTRY), ("used", "<u8")])
"""A row of a node of the slot map; 48 bytes, no padding."""

HOLE: Final = bytes(layout.ENTRY_BYTES)
"""The entry of a block that was never written."""

AAD_BYTES: Final = 40

FEW: Final = 8
"""Up to so many rows, working on them one by one is faster than numpy, whose calls cost as much as a dozen."""

_SLOT = struct.Struct("<Q")
_SESSION = struct.Struct("<I")
_PLACE = struct.Struct("<QI")
_AAD = struct.Struct("<8sBBBB4x16sQ")


def entry_slot(entry: bytes) -> int:
    return int(_SLOT.unpack_from(entry, 0)[0])


def entry_session(entry: bytes) -> int:
    return int(_SESSION.unpack_from(entry, 8)[0])


def places_of(entries: Sequence[bytes]) -> tuple[list[int], dict[int, int]]:
    """Return the slots of those entries that are no holes, and how many of them each session has."""
    if len(entries) > FEW:
        rows = entries_from_bytes(b"".join(entries))
        there = rows[rows["slot"] != 0]
        numbers, counts = np.unique(there["session"], return_counts=True)
        return there["slot"].tolist(), dict(zip(numbers.tolist(), counts.tolist(), strict=True))
    slots: list[int] = []
    sessions: dict[int, int] = {}
    for entry in entries:
        if entry != HOLE:
            slot, session = _PLACE.unpack_from(entry)
            slots.append(slot)
            sessions[session] = sessions.get(session, 0) + 1
    return slots, sessions


def entry_nonce(entry: bytes) -> bytes:
    return entry[12:24]


def entry_tag(entry: bytes) -> bytes:
    return entry[24:40]


def entries_from_bytes(data: Any) -> EntryArray:
    """View `data` (a multiple of 40 bytes) as entries, without a copy."""
    return np.frombuffer(data, dtype=ENTRY)


def rows_from_bytes(node: bytes | bytearray, tree: int) -> EntryArray:
    """Return the entries of a node of `tree`, without what stands beside them."""
    if tree == layout.TREE_SLOTS:
        entries: EntryArray = slot_rows(node)["entry"]
        return entries
    return np.frombuffer(memoryview(node)[: len(node) // ENTRY.itemsize * ENTRY.itemsize], dtype=ENTRY)


def slot_rows(node: bytes | bytearray) -> EntryArray:
    """Return the rows of a node of the slot map: an array of `SLOT_ROW`."""
    return np.frombuffer(memoryview(node)[: len(node) // SLOT_ROW.itemsize * SLOT_ROW.itemsize], dtype=SLOT_ROW)


def encode_aad(tree: int, level: int, origin: bytes, number: int) -> bytes:
    """Return the associated data of one block (F-11)."""
    return _AAD.pack(layout.MAGIC, layout.SEAL_VERSION, layout.SUITE, tree, level, origin, number)


def rows_of(data: bytes | bytearray, width: int) -> U8Array:
    """View joined rows of `width` bytes as an array of shape (n, width), without a copy."""
    return np.frombuffer(data, dtype=np.uint8).reshape(-1, width)


def encode_aads(tree: int, level: int, origin: bytes, numbers: U64Array) -> U8Array:
    """Return the associated data of many blocks: shape (n, 40), uint8."""
    if len(numbers) <= FEW:
        return rows_of(b"".join([encode_aad(tree, level, origin, number) for number in numbers.tolist()]), AAD_BYTES)
    rows = np.empty((len(numbers), AAD_BYTES), dtype=np.uint8)
    rows[:] = np.frombuffer(encode_aad(tree, level, origin, 0), dtype=np.uint8)
    rows[:, 32:40] = np.ascontiguousarray(numbers, dtype="<u8").view(np.uint8).reshape(-1, 8)
    return rows
