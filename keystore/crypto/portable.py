"""The page kernel on the `cryptography` package, which is always there."""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from operator import length_hint

import numpy as np
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from keystore.crypto.buffers import check_apart, check_arrays, check_length, check_room, check_writable, flat
from keystore.crypto.changes import seal_changes
from keystore.crypto.contexts import AeadContexts
from keystore.crypto.protocols import TAG_BYTES, Buffer, SlotReader, TagMismatchError, U8Array
from keystore.crypto.secret import SecretKey


class PortableKernel:
    """The kernel on the `cryptography` package: one library call for each page."""

    name = "portable"

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
        step = max(count, 1) if page_size >= TAG_BYTES else 1
        for at in range(0, count, step):
            part, start, end = slice(at, at + step), at * page_size, (at + step) * page_size
            _seal(encrypt_into, source[start:end], page_size, nonces[part], aads[part], target[start:], tags[part])

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
    ) -> None:
        count = check_arrays(page_size, nonces, aads, tags)
        source, target = flat(ciphertext, "ciphertext"), flat(out, "out")
        check_length(source, "ciphertext", count * page_size)
        check_room(target, "out", count * page_size)
        for other, what in ((source, "ciphertext"), (nonces, "nonces"), (aads, "aads"), (tags, "tags")):
            check_apart(target, other, "out", what)
        pages = [source.data[at : at + page_size] for at in range(0, source.size, page_size)]
        places = [target.data[at : at + page_size] for at in range(0, source.size, page_size)]
        # The library wants ciphertext and tag in one piece.
        sealed = map(b"".join, zip(pages, _rows(tags), strict=True))
        left = iter(places)
        try:
            _exhaust(map(self._contexts.get(key).decrypt_into, _rows(nonces), sealed, _rows(aads), left))
        except InvalidTag:
            failed = count - length_hint(left) - 1
            # SAFETY: the library has already written the page that it then rejects.
            target[failed * page_size : (failed + 1) * page_size] = 0
            raise TagMismatchError(failed) from None

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
    """Seal pages 0, 2, 4 … and then the others.

    The library writes each tag behind its page, where the next one begins. So the tags of the first half are lifted
    before the second half is sealed, and the beginnings that this overwrites are put back: four copies of tags for the
    whole batch instead of one for each page.
    """
    count, data, out = len(nonces), source.data, target.data
    pages = [data[at : at + page_size] for at in range(0, count * page_size, page_size)]
    places = [out[at : at + page_size + TAG_BYTES] for at in range(0, count * page_size, page_size)]
    each_nonce, each_aad = _rows(nonces), _rows(aads)
    behind = np.ndarray((count, TAG_BYTES), np.uint8, target, page_size, (page_size, 1))
    first, second = slice(0, None, 2), slice(1, None, 2)
    _exhaust(map(encrypt_into, each_nonce[first], pages[first], each_aad[first], places[first]))
    tags[first] = behind[first]
    begun = behind[second].copy()
    _exhaust(map(encrypt_into, each_nonce[second], pages[second], each_aad[second], places[second]))
    tags[second] = behind[second]
    behind[second] = begun


def _exhaust(calls: Iterable[object]) -> None:
    """Make all calls of a `map`; faster than a loop in Python, which costs a tenth of sealing 4 KiB."""
    deque(calls, maxlen=0)


def _rows(array: U8Array) -> list[bytes]:
    """Return the rows of `array` as bytes, which the library takes faster than views."""
    count, width = array.shape
    return array.view(f"V{width}").reshape(count).tolist() if width else [b""] * count
