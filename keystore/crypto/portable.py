"""The page kernel on the `cryptography` package, which is always there."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import compress, repeat
from operator import getitem, length_hint, setitem
from typing import Any, Final

import numpy as np
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from keystore.crypto.buffers import check_apart, check_arrays, check_length, check_room, check_writable, flat
from keystore.crypto.changes import seal_changes
from keystore.crypto.contexts import AeadContexts
from keystore.crypto.protocols import TAG_BYTES, Buffer, CommitWriter, SlotReader, TagMismatchError, U8Array
from keystore.crypto.secret import SecretKey

STEP_MAX: Final = 256
"""LIMIT: pages that are cut out of their buffers at once; where, is known from the first batch of their size on."""

_get: Final[Any] = getitem  # whose types know nothing of memoryviews
_set: Final[Any] = setitem


class PortableKernel:
    """The kernel on the `cryptography` package: one library call for each page."""

    name = "portable"
    write_commit: CommitWriter | None = None

    def __init__(self, contexts: AeadContexts[AESGCM]) -> None:
        self._contexts = contexts

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
        count = check_arrays(page_size, nonces, aads, tags)
        source, target = flat(plaintext, "plaintext"), flat(out, "out")
        check_length(source, "plaintext", count * page_size)
        check_room(target, "out", count * page_size + TAG_BYTES)
        check_writable(tags, "tags")
        for other, what in ((source, "plaintext"), (nonces, "nonces"), (aads, "aads"), (tags, "tags")):
            check_apart(target, other, "out", what)
        encrypt_into = self._contexts.get(key).encrypt_into
        # The tag of a page shorter than a tag reaches beyond the next page: such pages go one by one.
        step = STEP_MAX if page_size >= TAG_BYTES else 1
        if count <= step:
            _seal(encrypt_into, source, page_size, nonces, aads, target, tags)
            return
        for at in range(0, count, step):
            part, start = slice(at, at + step), at * page_size
            _seal(encrypt_into, source[start:], page_size, nonces[part], aads[part], target[start:], tags[part])

    def seal_changes(
        self,
        key: SecretKey,
        pages: Sequence[bytes | memoryview],
        page_size: int,
        aad: bytes,
        drawn: bytes,
        counter: int,
        session: int,
        page_nos: Sequence[int],
        slots: Sequence[int],
        out: bytearray,
    ) -> bytes:
        encrypt_into = self._contexts.get(key).encrypt_into
        return seal_changes(encrypt_into, pages, page_size, aad, drawn, counter, session, page_nos, slots, out)

    def open_pages(
        self,
        key: SecretKey,
        ciphertext: Buffer,
        page_size: int,
        nonces: U8Array,
        aads: U8Array,
        tags: U8Array,
        out: bytearray | memoryview | U8Array,
        *,
        lent: bool = False,
    ) -> None:
        count = check_arrays(page_size, nonces, aads, tags)
        source, target = flat(ciphertext, "ciphertext"), flat(out, "out")
        check_length(source, "ciphertext", count * page_size + (TAG_BYTES if lent else 0))
        if lent:
            check_writable(source, "ciphertext")
        check_room(target, "out", count * page_size)
        for other, what in ((source, "ciphertext"), (nonces, "nonces"), (aads, "aads"), (tags, "tags")):
            check_apart(target, other, "out", what)
        # A tag of a shorter page would reach beyond the next page.
        backwards = lent and count > 0 and page_size >= TAG_BYTES
        decrypt_into, open_step = self._contexts.get(key).decrypt_into, _open_backwards if backwards else _open
        if count <= STEP_MAX:
            failed = open_step(decrypt_into, source, page_size, nonces, aads, tags, target)
        else:
            failed = _in_steps(open_step, decrypt_into, source, page_size, nonces, aads, tags, target)
        if failed is not None:
            # SAFETY: the library has already written the page that it then rejects; later ones may be open.
            target[failed * page_size : count * page_size] = 0
            raise TagMismatchError(failed)

    def forget(self, key: SecretKey) -> None:
        self._contexts.forget(key)

    def slot_reader(self, fd: int, page_size: int) -> SlotReader | None:
        return None


def _seal(
    encrypt_into: Callable[..., int],
    source: U8Array,
    page_size: int,
    nonces: U8Array,
    aads: U8Array,
    target: U8Array,
    tags: U8Array,
) -> None:
    """Seal pages; the library writes each tag behind its page, and it is lifted before the next page goes there."""
    pages, places, behind, rows = _cuts(page_size)
    sealed = map(encrypt_into, _rows(nonces), _views(source, pages), _rows(aads), _views(target, places))
    lifted = compress(_views(target, behind), sealed)  # no call returns zero: a page has some bytes
    _exhaust(map(_set, repeat(tags.reshape(-1).data), rows, lifted))


def _open(
    decrypt_into: Callable[..., int],
    source: U8Array,
    page_size: int,
    nonces: U8Array,
    aads: U8Array,
    tags: U8Array,
    target: U8Array,
) -> int | None:
    """Open pages in ascending order; return the first that failed."""
    count, pages, left = len(nonces), _cuts(page_size)[0], iter(_rows(nonces))
    # The library wants ciphertext and tag in one piece.
    sealed = map(b"".join, zip(_views(source, pages[:count]), _rows(tags), strict=True))
    try:
        _exhaust(map(decrypt_into, left, sealed, _rows(aads), _views(target, pages)))
    except InvalidTag:
        return count - length_hint(left) - 1
    return None


def _open_backwards(
    decrypt_into: Callable[..., int],
    source: U8Array,
    page_size: int,
    nonces: U8Array,
    aads: U8Array,
    tags: U8Array,
    target: U8Array,
) -> int | None:
    """As `_open`, but backwards, and instead of a copy of each page its tag is put behind it for a while.

    There begins a page that is already open, or other bytes; what stood there comes back at the end.
    """
    left, failed = len(nonces), None
    each_nonce, each_aad, each_tag = _rows(nonces), _rows(aads), _rows(tags)
    pages, sealed, behind, _ = _cuts(page_size)
    begins = np.ndarray(left, _row(TAG_BYTES), source.data, page_size, page_size)
    begun = begins.copy()
    try:
        while left:
            down = slice(left - 1, None, -1)
            to_do = iter(each_nonce[down])
            put = map(_set, repeat(source.data), behind[down], each_tag[down])
            page, place = _views(source, sealed[down]), _views(target, pages[down])
            try:
                _exhaust(zip(put, map(decrypt_into, to_do, page, each_aad[down], place), strict=False))
            except InvalidTag:
                failed = length_hint(to_do)
            left = length_hint(to_do)
    finally:
        begins[:] = begun
    return failed


def _in_steps(
    open_step: Callable[..., int | None],
    decrypt_into: Callable[..., int],
    source: U8Array,
    page_size: int,
    nonces: U8Array,
    aads: U8Array,
    tags: U8Array,
    target: U8Array,
) -> int | None:
    for at in range(0, len(nonces), STEP_MAX):
        part, start = slice(at, at + STEP_MAX), at * page_size
        failed = open_step(
            decrypt_into, source[start:], page_size, nonces[part], aads[part], tags[part], target[start:]
        )
        if failed is not None:
            return at + failed
    return None


@lru_cache(maxsize=16)
def _cuts(page_size: int) -> tuple[Sequence[slice], ...]:
    """Return where pages are, pages with their tags behind them, those tags, and the rows of an array of tags."""

    def each(step: int, width: int, offset: int = 0) -> list[slice]:
        return [slice(at, at + width) for at in range(offset, offset + STEP_MAX * step, step)]

    pages, sealed = each(page_size, page_size), each(page_size, page_size + TAG_BYTES)
    return pages, sealed, each(page_size, TAG_BYTES, page_size), each(TAG_BYTES, TAG_BYTES)


def _views(array: U8Array, cuts: Iterable[slice]) -> Iterator[memoryview]:
    """Cut `array`; faster than a loop in Python."""
    return map(_get, repeat(array.data), cuts)


def _exhaust(calls: Iterable[object]) -> None:
    """Make all calls of a `map`; faster than a loop in Python, which costs a tenth of sealing 4 KiB."""
    deque(calls, maxlen=0)


def _rows(array: U8Array) -> list[bytes]:
    """Return the rows of `array` as bytes, which the library takes faster than views."""
    count, width = array.shape
    return np.ndarray(count, _row(width), array.data).tolist() if width else [b""] * count


@lru_cache(maxsize=32)
def _row(width: int) -> np.dtype[np.void]:
    return np.dtype(f"V{width}")
