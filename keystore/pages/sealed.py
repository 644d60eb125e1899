"""Seals and reads the three self-describing blocks: header, record, watermark (docs/FORMAT.md, section 5)."""

from collections.abc import Sequence
from dataclasses import dataclass

from keystore.crypto.kernel import TagMismatchError, open_block, seal_block
from keystore.format import layout
from keystore.format.block import (
    AAD_BYTES,
    PRELUDE_BYTES,
    RUN_BYTES,
    NotABlockError,
    Prelude,
    decode_runs,
    encode_runs,
    inline_bytes,
)
from keystore.pages.guarded import GuardedFile
from keystore.pages.sessions import Session

BODY_BYTES_MAX = 64 << 20
"""LIMIT: bytes of a body; the largest commit has 2^18 pages, 12.6 MB. Bounds what a forged length can make us read."""


@dataclass(frozen=True)
class RawBlock:
    """A block as it stands in the file, not yet opened."""

    prelude: Prelude
    aad: bytes
    tag: bytes
    ciphertext: bytes
    runs: list[tuple[int, int]]

    def open(self, session: Session) -> bytearray:
        """Return the body.

        Raises:
            NotABlockError: the tag does not match.
        """
        try:
            return open_block(session.metadata_key, self.prelude.nonce, self.ciphertext, self.tag, self.aad)
        except TagMismatchError:
            raise NotABlockError("its tag does not match") from None


def read_raw(file: GuardedFile, offset: int, kind: int, page_size: int | None = None) -> RawBlock:
    """Read the block of `kind` at `offset`, with its runs.

    Raises:
        NotABlockError: there is none; the text says which check failed.
    """
    first = bytearray(layout.WATERMARK_BYTES if offset == layout.WATERMARK_OFFSET else layout.BLOCK_BYTES)
    try:
        file.read(offset, memoryview(first))
    except EOFError:
        raise NotABlockError("the file ends before it") from None
    prelude = Prelude.decode(bytes(first), kind)
    if page_size is not None and prelude.page_size != page_size:
        raise NotABlockError(f"page size {prelude.page_size}; the store has {page_size}")
    start = PRELUDE_BYTES + RUN_BYTES * prelude.runs
    runs = decode_runs(bytes(first[PRELUDE_BYTES:start]))
    room = sum(count for _, count in runs) * prelude.page_size
    if prelude.body_bytes > min(len(first) - start + room, BODY_BYTES_MAX) or room > BODY_BYTES_MAX:
        raise NotABlockError(f"a body of {prelude.body_bytes} bytes has no room in it")
    ciphertext = bytes(first[start:]) + _read_runs(file, runs, prelude.page_size)
    return RawBlock(
        prelude,
        bytes(first[:AAD_BYTES] + first[PRELUDE_BYTES:start]),
        bytes(first[AAD_BYTES:PRELUDE_BYTES]),
        ciphertext[: prelude.body_bytes],
        runs,
    )


def _read_runs(file: GuardedFile, runs: list[tuple[int, int]], page_size: int) -> bytes:
    parts = []
    for slot, count in runs:
        part = bytearray(count * page_size)
        try:
            file.read(slot * page_size, memoryview(part))
        except EOFError:
            raise NotABlockError("the file ends inside one of its runs") from None
        parts.append(bytes(part))
    return b"".join(parts)


def seal_whole(prelude: Prelude, body: bytes, session: Session, runs: Sequence[tuple[int, int]] = ()) -> bytes:
    """Seal `body` behind `prelude`, made for it; return prelude, tag, runs and ciphertext in order, not padded."""
    clear, table = prelude.encode(), encode_runs(runs) if runs else b""
    sealed = seal_block(session.metadata_key, prelude.nonce, body, clear + table)
    return b"".join((clear, sealed[len(body) :], table, sealed[: len(body)]))


def tag_of(block: bytes) -> bytes:
    """Return the tag of what `seal_whole` returned."""
    return block[AAD_BYTES:PRELUDE_BYTES]


def overflow_bytes(body_bytes: int, runs: int) -> int:
    """Return how much of a body does not fit beside `runs` runs in the first 4096 bytes."""
    return max(0, body_bytes - inline_bytes(runs))
