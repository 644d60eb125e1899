"""Checks of the buffers of a batch: every length, shape and overlap, before the first byte is written."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from keystore.crypto.protocols import NONCE_BYTES, TAG_BYTES, Buffer, U8Array

_U8: Final = np.dtype(np.uint8)


def flat(buffer: Buffer, what: str) -> U8Array:
    """View any contiguous buffer as one row of bytes, without a copy."""
    if isinstance(buffer, np.ndarray):
        if buffer.dtype != _U8 or not buffer.flags.c_contiguous:
            raise ValueError(f"{what}: a C-contiguous array of uint8 is needed, not {buffer.dtype}")
        return buffer.reshape(-1)
    try:
        return np.frombuffer(buffer, np.uint8) if len(buffer) else np.empty(0, np.uint8)
    except (TypeError, ValueError, BufferError) as error:
        raise ValueError(f"{what}: a contiguous buffer of bytes is needed") from error


def check_arrays(page_size: int, nonces: U8Array, aads: U8Array, tags: U8Array) -> int:
    """Check shapes and dtypes; return the number of pages."""
    if page_size < 1:
        raise ValueError(f"page_size is {page_size}; at least 1 is needed")
    count = len(nonces)
    for array, what, width in ((nonces, "nonces", NONCE_BYTES), (aads, "aads", None), (tags, "tags", TAG_BYTES)):
        if array.dtype != _U8 or array.ndim != 2 or not array.flags.c_contiguous:
            raise ValueError(f"{what}: a C-contiguous array of uint8 with two dimensions is needed")
        if array.shape[0] != count or width not in (None, array.shape[1]):
            raise ValueError(f"{what} has shape {array.shape}; ({count}, {width or 'any'}) is needed")
    return count


def check_length(buffer: U8Array, what: str, length: int) -> None:
    if buffer.size != length:
        raise ValueError(f"{what} has {buffer.size} bytes; {length} are needed")


def check_room(buffer: U8Array, what: str, length: int) -> None:
    if buffer.size < length:
        raise ValueError(f"{what} has {buffer.size} bytes; at least {length} are needed")
    check_writable(buffer, what)


def check_writable(array: U8Array, what: str) -> None:
    if not array.flags.writeable:
        raise ValueError(f"{what} is read-only")


def check_apart(a: U8Array, b: NDArray[Any], a_name: str, b_name: str) -> None:
    if np.may_share_memory(a, b):
        raise ValueError(f"{a_name} overlaps {b_name}")
