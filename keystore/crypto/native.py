"""The page kernel in Rust (`native/`): one call for a batch, with the interpreter's lock released.

Leaves to others: everything but the call. Checks and messages are the extension's, the same as the portable kernel's.
"""

import os
from collections.abc import Callable, Sequence
from typing import Any, Final

import cmk_keystore_native as library
from cmk_keystore_native import THREADS_MAX, PageKey

from keystore.crypto.buffers import check_length, check_writable, flat
from keystore.crypto.contexts import AeadContexts
from keystore.crypto.protocols import TAG_BYTES, Buffer, CommitWriter, PageKernel, SlotReader, TagMismatchError, U8Array
from keystore.crypto.secret import SecretKey

THREADS_VARIABLE: Final = "KEYSTORE_THREADS"
"""Environment variable: threads that a large batch is divided over; 1 by default."""

_seal_changes: Final[Callable[..., bytes] | None] = getattr(library, "seal_changes", None)
_write_commit: Final[Callable[..., tuple[bytes, bytes, int, int]] | None] = getattr(library, "write_commit", None)
"""The library is a wheel of its own, and may be older than this."""


class NativeKernel:
    """The kernel on aws-lc-rs.

    Attributes:
        threads: over which a batch of 128 KiB and more is divided.
    """

    name = "native"

    def __init__(self, portable: PageKernel, threads: int | None = None) -> None:
        """`portable` is used for single blocks; what it holds of a key is forgotten with what this one holds."""
        self._portable = portable
        self._contexts: AeadContexts[PageKey] = AeadContexts(PageKey)
        self.threads = max(1, min(threads or _threads_wanted(), THREADS_MAX))
        self.write_commit: CommitWriter | None = self._commit if _write_commit is not None else None

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
        self._contexts.get(key).seal_pages(plaintext, page_size, nonces, aads, out, tags, self.threads)

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
        if _seal_changes is None:
            seal = self._portable.seal_changes
            return seal(key, pages, page_size, aad, drawn, counter, session, page_nos, slots, out)
        context = self._contexts.get(key)
        return _seal_changes(context, pages, page_size, aad, drawn, counter, session, page_nos, slots, out)

    def _commit(
        self,
        fd: int,
        page_key: SecretKey,
        record_key: SecretKey,
        pages: Sequence[bytes | memoryview],
        page_size: int,
        aad: bytes,
        drawn: bytes,
        counter: int,
        session: int,
        page_nos: Sequence[int],
        slots: Sequence[int],
        out: bytearray,
        clear: bytes,
        head: bytes,
        record_at: int,
    ) -> tuple[bytes, bytes, int, int]:
        """See `CommitWriter`."""
        assert _write_commit is not None
        first, second = self._contexts.get(page_key), self._contexts.get(record_key)
        return _write_commit(
            fd, first, second, pages, page_size, aad, drawn, counter, session, page_nos, slots, out, clear, head,
            record_at,
        )  # fmt: skip

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
        if lent:
            source = flat(ciphertext, "ciphertext")
            check_length(source, "ciphertext", len(nonces) * page_size + TAG_BYTES)
            check_writable(source, "ciphertext")
            ciphertext = source[:-TAG_BYTES]
        failed = self._contexts.get(key).open_pages(ciphertext, page_size, nonces, aads, tags, out, self.threads)
        if failed is not None:
            raise TagMismatchError(failed)

    def forget(self, key: SecretKey) -> None:
        self._contexts.forget(key)
        self._portable.forget(key)

    def slot_reader(self, fd: int, page_size: int) -> SlotReader | None:
        if not hasattr(library, "SlotReader"):  # a wheel of its own, and this one is older
            return None
        return NativeSlots(library.SlotReader(fd, page_size), self._contexts, self.threads)


class NativeSlots:
    """The library's reader of slots, which takes keys from the kernel's contexts."""

    def __init__(self, reader: Any, contexts: AeadContexts[PageKey], threads: int) -> None:
        self._reader, self._contexts, self.threads = reader, contexts, threads
        self.forget, self.close, self.begin = reader.forget, reader.close, reader.begin
        self.read_page, self.read_page_into = reader.read_page, reader.read_page_into

    def admit(self, session: int, key: SecretKey, aad: bytes) -> None:
        """As `SlotReader.admit`.

        Raises:
            ValueError: the key was wiped; then no key is held either.
        """
        self._reader.admit(session, self._contexts.get(key), aad)
        if key.wiped:  # and `forget` may have come before the admission
            self._reader.forget()
            key.check()


def _threads_wanted() -> int:
    wanted = os.environ.get(THREADS_VARIABLE, "1")
    return int(wanted) if wanted.isascii() and wanted.isdigit() else 1
