"""Seals and opens pages in batches: AES-256-GCM, one call for many pages, buffers owned by the caller.

Leaves to others: which key, nonce and associated data belong to a page (`keystore.pages`), and what a failed tag means.

Invariants:
1. Every length is checked before the first byte is written.
2. No plaintext of a page whose tag failed, nor of a later one, is left in `out`.
3. At most `CONTEXTS_MAX` expanded keys are held; `forget` drops one, and a forked child starts with none.

SAFETY: a pair of key and nonce must never come here twice to be sealed. Nothing in this module can notice.
"""

import os
import threading
from collections import OrderedDict
from typing import Any, Final, Protocol, TypeAlias

import numpy as np
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from numpy.typing import NDArray

from keystore.crypto.secret import SecretKey

U8Array: TypeAlias = NDArray[np.uint8]
Buffer: TypeAlias = bytes | bytearray | memoryview | U8Array

KEY_BYTES = 32
NONCE_BYTES = 12
TAG_BYTES = 16
CONTEXTS_MAX = 64
"""LIMIT: AEAD contexts kept. Making one costs about as much as sealing 4 KiB; a store uses two for each session."""


class TagMismatchError(Exception):
    """Page `index` of the batch (from 0) did not authenticate; the caller says which page of which store that was."""

    def __init__(self, index: int) -> None:
        self.index = index
        super().__init__(f"the authentication tag of page {index} of the batch does not match")


class PageKernel(Protocol):
    """Seals and opens `n` pages of `page_size` bytes in one call. Threads may share it.

    `nonces` is uint8 of shape (n, 12), `aads` (n, A), `tags` (n, 16), all C-contiguous; `n` may be 0, `A` may be 0.
    Wrong types, lengths or shapes, and buffers that overlap where they may not, raise ValueError and write nothing.
    """

    name: str

    def seal_pages(
        self,
        key: SecretKey,
        plaintext: Buffer,
        page_size: int,
        nonces: U8Array,
        aads: U8Array,
        out: bytearray | memoryview | U8Array,
        tags: U8Array,
    ) -> None:
        """Seal `plaintext` (n * page_size bytes) into `out` and `tags`.

        `out` has at least n * page_size + 16 bytes, whose last 16 are scratch, and shares no memory with the rest.
        """

    def open_pages(
        self,
        key: SecretKey,
        ciphertext: Buffer,
        page_size: int,
        nonces: U8Array,
        aads: U8Array,
        tags: U8Array,
        out: bytearray | memoryview | U8Array,
    ) -> None:
        """Open `ciphertext` (n * page_size bytes) into `out` (at least as many), in ascending order.

        Raises:
            TagMismatchError: with the index of the first page that failed. Pages before it are in `out`, that page is
                zeros, later ones are as they were. A second try with the same bytes cannot help.
        """

    def forget(self, key: SecretKey) -> None:
        """Drop what was expanded from `key`; call it where the key is wiped."""


class AeadContexts:
    """The last `CONTEXTS_MAX` AEAD contexts, by identity of their key object. Threads may share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # The key object is kept alive beside its context: so its id cannot come to mean another key.
        self._contexts: OrderedDict[int, tuple[SecretKey, AESGCM]] = OrderedDict()
        os.register_at_fork(after_in_child=self._start_again)

    def get(self, key: SecretKey) -> AESGCM:
        """Return the context of `key`, made now if it is not there.

        Raises:
            ValueError: the key was wiped, or has not 32 bytes.
        """
        with self._lock:
            if key.wiped:
                self._contexts.pop(id(key), None)
            elif (known := self._contexts.get(id(key))) is not None:
                self._contexts.move_to_end(id(key))
                return known[1]
            if len(key) != KEY_BYTES:
                raise ValueError(f"the key has {len(key)} bytes; AES-256-GCM takes {KEY_BYTES}")
            context = AESGCM(key.view())
            key.check()
            self._contexts[id(key)] = (key, context)
            if len(self._contexts) > CONTEXTS_MAX:
                self._contexts.popitem(last=False)
            return context

    def forget(self, key: SecretKey) -> None:
        with self._lock:
            self._contexts.pop(id(key), None)

    def __len__(self) -> int:
        return len(self._contexts)

    def _start_again(self) -> None:
        # Another thread may have held the lock at the fork; its copy in the child would stay locked for ever.
        self._lock = threading.Lock()
        self._contexts = OrderedDict()


_CONTEXTS: Final = AeadContexts()


class PortableKernel:
    """The kernel on the `cryptography` package: one library call for each page, no temporary for each page."""

    name = "portable"

    def __init__(self, contexts: AeadContexts | None = None) -> None:
        self._contexts = _CONTEXTS if contexts is None else contexts

    def seal_pages(
        self,
        key: SecretKey,
        plaintext: Buffer,
        page_size: int,
        nonces: U8Array,
        aads: U8Array,
        out: bytearray | memoryview | U8Array,
        tags: U8Array,
    ) -> None:
        count = _check_arrays(page_size, nonces, aads, tags)
        source, target = _flat(plaintext, "plaintext"), _flat(out, "out")
        _check_length(source, "plaintext", count * page_size)
        _check_room(target, "out", count * page_size + TAG_BYTES)
        _check_writable(tags, "tags")
        for other, what in ((source, "plaintext"), (nonces, "nonces"), (aads, "aads"), (tags, "tags")):
            _check_apart(target, other, "out", what)
        encrypt_into = self._contexts.get(key).encrypt_into
        data, sealed, tag_bytes = source.data, target.data, tags.reshape(-1).data
        start = at = 0
        for nonce, aad in zip(_rows(nonces), _rows(aads), strict=True):
            end = start + page_size
            encrypt_into(nonce, data[start:end], aad, sealed[start : end + TAG_BYTES])
            # The next page overwrites these 16 bytes.
            tag_bytes[at : at + TAG_BYTES] = sealed[end : end + TAG_BYTES]
            start, at = end, at + TAG_BYTES

    def open_pages(
        self,
        key: SecretKey,
        ciphertext: Buffer,
        page_size: int,
        nonces: U8Array,
        aads: U8Array,
        tags: U8Array,
        out: bytearray | memoryview | U8Array,
    ) -> None:
        count = _check_arrays(page_size, nonces, aads, tags)
        source, target = _flat(ciphertext, "ciphertext"), _flat(out, "out")
        _check_length(source, "ciphertext", count * page_size)
        _check_room(target, "out", count * page_size)
        for other, what in ((source, "ciphertext"), (nonces, "nonces"), (aads, "aads"), (tags, "tags")):
            _check_apart(target, other, "out", what)
        decrypt_into = self._contexts.get(key).decrypt_into
        data, plain = source.data, target.data
        # The library wants ciphertext and tag in one piece: one scratch page for the whole batch.
        scratch = memoryview(bytearray(page_size + TAG_BYTES))
        page_part, tag_part = scratch[:page_size], scratch[page_size:]
        start = 0
        try:
            for nonce, aad, tag in zip(_rows(nonces), _rows(aads), _rows(tags), strict=True):
                end = start + page_size
                page_part[:] = data[start:end]
                tag_part[:] = tag
                decrypt_into(nonce, scratch, aad, plain[start:end])
                start = end
        except InvalidTag:
            # SAFETY: the library has already written the page that it then rejects.
            target[start : start + page_size] = 0
            raise TagMismatchError(start // page_size) from None

    def forget(self, key: SecretKey) -> None:
        self._contexts.forget(key)


KERNEL: Final[PageKernel] = PortableKernel()
"""The kernel of this process, chosen at import."""


def seal_block(key: SecretKey, nonce: bytes, plaintext: Buffer, aad: bytes) -> bytes:
    """Seal one small block of any length; returns ciphertext, then the tag: `len(plaintext) + 16` bytes.

    Raises:
        ValueError: the nonce has not 12 bytes, or the key not 32.
    """
    _check_nonce(nonce)
    return _CONTEXTS.get(key).encrypt(nonce, _flat(plaintext, "plaintext").data, aad)


def open_block(key: SecretKey, nonce: bytes, ciphertext: Buffer, tag: Buffer, aad: bytes) -> bytearray:
    """Open what `seal_block` sealed, its tag given apart.

    Raises:
        TagMismatchError: with index 0; nothing of the plaintext is left.
        ValueError: nonce, tag or key have the wrong length.
    """
    _check_nonce(nonce)
    source = _flat(ciphertext, "ciphertext")
    tag_row = _flat(tag, "tag")
    _check_length(tag_row, "tag", TAG_BYTES)
    out = bytearray(source.size)
    try:
        _CONTEXTS.get(key).decrypt_into(nonce, b"".join((source.data, tag_row.data)), aad, out)
    except InvalidTag:
        out[:] = bytes(len(out))
        raise TagMismatchError(0) from None
    return out


def _rows(array: U8Array) -> list[bytes]:
    """Return the rows of `array` as bytes, which the library takes faster than views."""
    width = array.shape[1]
    whole = array.tobytes()
    return [whole[at : at + width] for at in range(0, len(whole), width)] if width else [b""] * len(array)


def _flat(buffer: Buffer, what: str) -> U8Array:
    """View any contiguous buffer as one row of bytes, without a copy."""
    if isinstance(buffer, np.ndarray):
        if buffer.dtype != np.uint8 or not buffer.flags.c_contiguous:
            raise ValueError(f"{what}: a C-contiguous array of uint8 is needed, not {buffer.dtype}")
        return buffer.reshape(-1)
    try:
        return np.frombuffer(buffer, np.uint8) if len(buffer) else np.empty(0, np.uint8)
    except (TypeError, ValueError, BufferError) as error:
        raise ValueError(f"{what}: a contiguous buffer of bytes is needed") from error


def _check_arrays(page_size: int, nonces: U8Array, aads: U8Array, tags: U8Array) -> int:
    """Check shapes and dtypes; return the number of pages."""
    if page_size < 1:
        raise ValueError(f"page_size is {page_size}; at least 1 is needed")
    count = len(nonces)
    for array, what, width in ((nonces, "nonces", NONCE_BYTES), (aads, "aads", None), (tags, "tags", TAG_BYTES)):
        if array.dtype != np.uint8 or array.ndim != 2 or not array.flags.c_contiguous:
            raise ValueError(f"{what}: a C-contiguous array of uint8 with two dimensions is needed")
        if array.shape[0] != count or width not in (None, array.shape[1]):
            raise ValueError(f"{what} has shape {array.shape}; ({count}, {width or 'any'}) is needed")
    return count


def _check_length(buffer: U8Array, what: str, length: int) -> None:
    if buffer.size != length:
        raise ValueError(f"{what} has {buffer.size} bytes; {length} are needed")


def _check_room(buffer: U8Array, what: str, length: int) -> None:
    if buffer.size < length:
        raise ValueError(f"{what} has {buffer.size} bytes; at least {length} are needed")
    _check_writable(buffer, what)


def _check_writable(array: U8Array, what: str) -> None:
    if not array.flags.writeable:
        raise ValueError(f"{what} is read-only")


def _check_apart(a: U8Array, b: NDArray[Any], a_name: str, b_name: str) -> None:
    if np.may_share_memory(a, b):
        raise ValueError(f"{a_name} overlaps {b_name}")


def _check_nonce(nonce: bytes) -> None:
    if len(nonce) != NONCE_BYTES:
        raise ValueError(f"the nonce has {len(nonce)} bytes; {NONCE_BYTES} are needed")
