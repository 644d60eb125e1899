"""What a page kernel is: sealing and opening in batches, in buffers that the caller owns."""

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
                zeros, later ones are zeros or as they were. A second try with the same bytes cannot help.
        """

    def forget(self, key: SecretKey) -> None:
        """Drop what was expanded from `key`; call it where the key is wiped."""
