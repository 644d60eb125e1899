"""Buffers for one batch of sealed pages, used again: making one costs about as much as sealing what fits in it.

Nothing in clear may be put into one.
"""

from typing import Final

from keystore.crypto.kernel import TAG_BYTES

BATCH_BYTES: Final = 256 << 10
"""Bytes of pages sealed in one call of the kernel and written before the next: the processor's cache holds them."""
KEPT_MAX: Final = 4
"""LIMIT: buffers that wait to be used again."""

_FREE: list[bytearray] = []


def take() -> bytearray:
    """Return a buffer of `BATCH_BYTES` and a tag, with anything in it; it is the caller's until `give_back`."""
    try:
        return _FREE.pop()
    except IndexError:
        return bytearray(BATCH_BYTES + TAG_BYTES)


def give_back(buffer: bytearray) -> None:
    """Let the next one have it."""
    if len(_FREE) < KEPT_MAX:
        _FREE.append(buffer)
