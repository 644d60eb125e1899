"""What a page kernel is: sealing and opening in batches, in buffers that the caller owns."""

from collections.abc import Sequence
from enum import IntEnum
from typing import Final, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from keystore.crypto.secret import SecretKey

U8Array: TypeAlias = NDArray[np.uint8]
Buffer: TypeAlias = bytes | bytearray | memoryview | U8Array

KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12
TAG_BYTES: Final = 16


class TagMismatchError(Exception):
    """Page `index` of the batch (from 0) did not authenticate; the caller says which page of which store that was."""

    def __init__(self, index: int) -> None:
        self.index = index
        super().__init__(f"the authentication tag of page {index} of the batch does not match")


class SlotFault(IntEnum):
    """Why a `SlotReader` did not open a page."""

    SESSION_UNKNOWN = 1
    """Its session is to be admitted first."""
    FILE_ENDS = 2
    TAG_MISMATCH = 3


class SlotReading(Protocol):
    """A batch that a `SlotReader` has begun."""

    def finish(self) -> tuple[int, int, int] | None:
        """Do what is left of it, and wait for the rest.

        Returns:
            None, or of the first page that did not open: its index, the `SlotFault`, and the number of pages from the
            first on that are all open. Later ones are zeros, open, or as they were.

        Raises:
            OSError, ValueError: as the methods of `SlotReader`.
        """

    def stop(self) -> None:
        """Begin no more of it, and wait: nobody writes to its buffer any more."""


class SlotReader(Protocol):
    """Reads the slots of one file and opens them, in one call with the interpreter's lock released. Threads share it.

    An entry is the 40 bytes that the map has for a page. All methods raise ValueError after `close`, or for a wrong
    length, and OSError where the system does not read.
    """

    threads: int
    """Over how many a batch is divided, if nobody says otherwise."""

    def admit(self, session: int, key: SecretKey, aad: bytes) -> None:
        """Open pages of this session with `key` from now on; `aad` is that of its pages, with page number 0."""

    def forget(self) -> None:
        """Drop all keys; a call under way keeps what it uses to its end."""

    def close(self) -> None:
        """Wait for who uses the file's descriptor, and use it no more."""

    def read_page(self, entry: bytes, page_no: int) -> bytes | int:
        """Return the page, or a `SlotFault`."""

    def read_page_into(self, entry: bytes, page_no: int, out: memoryview) -> int:
        """Open the page into `out`; return 0, or a `SlotFault`, and then `out` is zeros or as it was."""

    def begin(self, entries: U8Array, page_nos: U8Array, out: memoryview, threads: int) -> SlotReading | int:
        """Begin to open n pages into `out`, holes as zeros: `entries` has shape (n, 40), `page_nos` (n, 8).

        Returns:
            What is begun; or the number of a session that is to be admitted first.
        """


class CommitFault(IntEnum):
    """What a `CommitWriter` could not write."""

    PAGES = 1
    """Nothing of the record is written."""
    RECORD = 2


class CommitWriter(Protocol):
    """Seals the pages of a small commit and its record, and writes both, with the interpreter's lock released."""

    def __call__(
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
        """Seal pages as `PageKernel.seal_changes`, and a record with `record_key`; write the pages, then the record.

        The record has the 128 bytes of `clear`, its nonce among them, for its associated data, and `head` and the rows
        of the pages for its body; with it 4096 bytes are written at `record_at` of the file `fd`, page `i` at
        `slots[i] * page_size`. The system is asked to begin to write all of it to the disk. Wrong lengths raise
        ValueError, and nothing was written.

        Returns:
            The rows, the tag of the record, a `CommitFault` or 0, and the system's number of the error.
        """


class PageKernel(Protocol):
    """Seals and opens `n` pages of `page_size` bytes in one call. Threads may share it.

    `nonces` is uint8 of shape (n, 12), `aads` (n, A), `tags` (n, 16), all C-contiguous; `n` may be 0, `A` may be 0.
    Wrong types, lengths or shapes, and buffers that overlap where they may not, raise ValueError and write nothing.
    """

    name: str

    write_commit: CommitWriter | None
    """None where this kernel has no such thing."""

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
        """Seal the pages of a commit, each from a buffer of its own, into `out`, one behind the other.

        Page `i` is sealed with the nonce `drawn` (8 bytes) and `counter + i` (u32), under the 40 bytes of `aad` with
        its number for the last 8 (F-8, F-11). `out` has at least n * page_size + 16 bytes, whose last 16 are scratch,
        and shares no memory with the pages.

        Returns:
            What a record says of them: n rows of 48 bytes.
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
        *,
        lent: bool = False,
    ) -> None:
        """Open `ciphertext` (n * page_size bytes) into `out` (at least as many).

        `lent`: `ciphertext` has 16 bytes more, which are scratch, and nobody else looks at it before this returns. It
        can be written to, and may be changed meanwhile, but for the scratch not for longer: that spares the portable
        kernel a copy.

        Raises:
            TagMismatchError: with the index of the first page that failed. Pages before it are in `out`, that page is
                zeros, later ones are zeros or as they were. A second try with the same bytes cannot help.
        """

    def forget(self, key: SecretKey) -> None:
        """Drop what was expanded from `key`; call it where the key is wiped."""

    def slot_reader(self, fd: int, page_size: int) -> SlotReader | None:
        """Return what reads the slots of the file `fd`, or None where this kernel has no such thing.

        The descriptor stays the caller's, who keeps it open until `SlotReader.close` returned.
        """
