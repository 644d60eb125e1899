"""Buffers for one batch of pages, used again: making one costs about as much as sealing what fits in it.

Leaves to others: wiping what was in clear before a buffer is given back.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from keystore.crypto.kernel import TAG_BYTES

BATCH_BYTES: Final = 256 << 10
"""Bytes of pages sealed in one call of the kernel and written before the next: the processor's cache holds them."""
KEPT_MAX: Final = 4
"""LIMIT: buffers that wait to be used again."""

_FREE: list[bytearray] = []


@contextmanager
def scratch() -> Iterator[bytearray]:
    """Lend a buffer of `BATCH_BYTES` and a tag, with anything in it."""
    try:
        buffer = _FREE.pop()
    except IndexError:
        buffer = bytearray(BATCH_BYTES + TAG_BYTES)
    try:
        yield buffer
    finally:
        if len(_FREE) < KEPT_MAX:
            _FREE.append(buffer)
