"""Bits of one block of the slot map: sets, clears and finds them. Pure; a bit is a number within the block.

A few bits are changed one by one, many with numpy, whose calls cost as much as a dozen bits.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from keystore.format.entry import U8Array

FEW = 24
"""LIMIT: bits changed one by one."""

_BITS = np.array([1 << bit for bit in range(8)], dtype=np.uint8)


def set_bits(bits: bytearray, slots: Sequence[int], first: int) -> None:
    """Set the bits of `slots`, numbers of which `first` is bit 0."""
    if len(slots) <= FEW:
        for slot in slots:
            at = slot - first
            bits[at >> 3] |= 1 << (at & 7)
        return
    at_byte, mask = _places(slots, first)
    np.bitwise_or.at(_array(bits), at_byte, mask)


def clear_bits(bits: bytearray, slots: Sequence[int], first: int) -> None:
    """Clear the bits of `slots`; see `set_bits`."""
    if len(slots) <= FEW:
        for slot in slots:
            at = slot - first
            bits[at >> 3] &= ~(1 << (at & 7)) & 0xFF
        return
    at_byte, mask = _places(slots, first)
    np.bitwise_and.at(_array(bits), at_byte, ~mask)


def set_all(bits: bytearray, other: bytearray) -> None:
    """Set the bits that are set in `other`."""
    _array(bits)[:] |= _array(other)


def clear_all(bits: bytearray, other: bytearray) -> None:
    """Clear the bits that are set in `other`."""
    _array(bits)[:] &= ~_array(other)


def count(bits: bytearray) -> int:
    """Return how many bits are set."""
    return int(np.bitwise_count(_array(bits)).sum())


def last_set(bits: bytearray) -> int:
    """Return the number of the last bit that is set, -1 if none is."""
    there = np.flatnonzero(_array(bits))
    return int(there[-1]) * 8 + bits[there[-1]].bit_length() - 1 if len(there) else -1


def clear_runs(bits: bytearray, start: int, stop: int) -> Iterator[tuple[int, int]]:
    """Yield ``(first, end)`` of every run of clear bits from `start` to `stop`, ascending."""
    base = start & ~7
    left = int.from_bytes(bits[base >> 3 : (stop + 7) >> 3], "little") >> (start - base)
    while start < stop:
        busy = _trailing_ones(left)
        start, left = start + busy, left >> busy
        if start >= stop:
            return
        free = min((left & -left).bit_length() - 1 if left else stop - start, stop - start)
        yield start, start + free
        start, left = start + free, left >> free


def _trailing_ones(value: int) -> int:
    return (~value & (value + 1)).bit_length() - 1


def _places(slots: Sequence[int], first: int) -> tuple[np.ndarray[tuple[int], np.dtype[np.int64]], U8Array]:
    at = np.array(slots, dtype=np.int64) - first
    return at >> 3, _BITS[at & 7]


def _array(bits: bytearray) -> U8Array:
    return np.frombuffer(bits, dtype=np.uint8)
