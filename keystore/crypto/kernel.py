"""The page kernel of this process, and sealed blocks of any length.

Leaves to others: which key, nonce and associated data belong to a page (`keystore.pages`), and what a failed tag means.

Invariants:
1. Every length is checked before the first byte is written.
2. No plaintext of a page whose tag failed, nor of a later one, is left in `out`.
3. At most `CONTEXTS_MAX` expanded keys are held; `forget` drops one, and a forked child starts with none.

SAFETY: a pair of key and nonce must never come here twice to be sealed. Nothing in this module can notice.
"""

import os
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from keystore.crypto.buffers import check_length, flat
from keystore.crypto.contexts import CONTEXTS_MAX, AeadContexts
from keystore.crypto.portable import PortableKernel
from keystore.crypto.protocols import KEY_BYTES, NONCE_BYTES, TAG_BYTES, Buffer, PageKernel, TagMismatchError, U8Array
from keystore.crypto.secret import SecretKey
from keystore.errors import InputError

__all__ = [
    "CONTEXTS_MAX",
    "KERNEL",
    "KEY_BYTES",
    "NONCE_BYTES",
    "TAG_BYTES",
    "AeadContexts",
    "Buffer",
    "PageKernel",
    "PortableKernel",
    "TagMismatchError",
    "U8Array",
    "choose",
    "open_block",
    "open_page",
    "seal_block",
]

KERNEL_VARIABLE: Final = "KEYSTORE_KERNEL"
"""Environment variable: `portable` or `native` instead of the best that is there."""

_CONTEXTS: Final = AeadContexts(AESGCM)


def choose(wanted: str) -> PageKernel:
    """Return the kernel of that name, or the best that is there for an empty one.

    Raises:
        InputError: there is none of that name, or it is not installed.
    """
    portable = PortableKernel(_CONTEXTS)
    if wanted not in ("", "native", "portable"):
        raise InputError(f"{KERNEL_VARIABLE} is {wanted!r}; `native` and `portable` are known. Nothing was done.")
    if wanted == "portable":
        return portable
    try:
        from keystore.crypto.native import NativeKernel
    except ImportError:
        if wanted:
            raise InputError(
                f"{KERNEL_VARIABLE} is native, and the native kernel is not installed. Nothing was done; `make native` "
                "builds it."
            ) from None
        return portable
    return NativeKernel(portable)


KERNEL: Final[PageKernel] = choose(os.environ.get(KERNEL_VARIABLE, ""))
"""The kernel of this process, chosen at import."""


def seal_block(key: SecretKey, nonce: bytes, plaintext: Buffer, aad: bytes) -> bytes:
    """Seal one small block of any length; returns ciphertext, then the tag: `len(plaintext) + 16` bytes.

    Raises:
        ValueError: the nonce has not 12 bytes, or the key not 32.
    """
    _check_nonce(nonce)
    data = plaintext if type(plaintext) is bytes else flat(plaintext, "plaintext").data
    return _CONTEXTS.get(key).encrypt(nonce, data, aad)


def open_block(key: SecretKey, nonce: bytes, ciphertext: Buffer, tag: Buffer, aad: bytes) -> bytearray:
    """Open what `seal_block` sealed, its tag given apart.

    Raises:
        TagMismatchError: with index 0; nothing of the plaintext is left.
        ValueError: nonce, tag or key have the wrong length.
    """
    _check_nonce(nonce)
    source = flat(ciphertext, "ciphertext")
    tag_row = flat(tag, "tag")
    check_length(tag_row, "tag", TAG_BYTES)
    out = bytearray(source.size)
    try:
        _CONTEXTS.get(key).decrypt_into(nonce, b"".join((source.data, tag_row.data)), aad, out)
    except InvalidTag:
        out[:] = bytes(len(out))
        raise TagMismatchError(0) from None
    return out


def open_page(key: SecretKey, nonce: bytes, sealed: bytearray, aad: bytes) -> bytes:
    """Open one page from `sealed`, its ciphertext and then its tag: faster than a batch of one.

    Raises:
        TagMismatchError: with index 0.
        ValueError: nonce or key have the wrong length, or the key was wiped.
    """
    _check_nonce(nonce)
    try:
        return _CONTEXTS.get(key).decrypt(nonce, sealed, aad)
    except InvalidTag:
        raise TagMismatchError(0) from None


def _check_nonce(nonce: bytes) -> None:
    if len(nonce) != NONCE_BYTES:
        raise ValueError(f"the nonce has {len(nonce)} bytes; {NONCE_BYTES} are needed")
