"""The prelude of the three sealed blocks: header, commit record and watermark (docs/FORMAT.md, section 5)."""

import struct
from collections.abc import Sequence
from typing import Final, NamedTuple, Self

from keystore.format import layout

HEADER: Final = 1
RECORD: Final = 2
WATERMARK: Final = 3
NAMES: Final = {HEADER: "header", RECORD: "commit record", WATERMARK: "watermark"}

PRELUDE_BYTES: Final = 144
AAD_BYTES: Final = 128
RUN_BYTES: Final = 12
RUNS_MAX: Final = 256
"""LIMIT: runs of one record; with these the first 4096 bytes still hold 880 bytes of the body."""

_PRELUDE = struct.Struct("<8sBBBBI16sQQIIQ32s16s12s4x")
_RUN = struct.Struct("<QI")


class NotABlockError(Exception):
    """The bytes are not a block of this kind; the text says which check failed."""


class Prelude(NamedTuple):
    """The clear part of a sealed block; the field order of the format."""

    kind: int
    page_size: int
    body_bytes: int
    store_id: bytes
    epoch: int
    sequence: int
    generation: int
    runs: int
    checkpoint: int
    salt: bytes
    commitment: bytes
    nonce: bytes

    def encode(self) -> bytes:
        """Return the first 128 bytes of the block: its associated data, but for the runs."""
        return _PRELUDE.pack(
            layout.MAGIC,
            layout.VERSION,
            layout.SUITE,
            self.kind,
            self.page_size.bit_length() - 1,
            self.body_bytes,
            self.store_id,
            self.epoch,
            self.sequence,
            self.generation,
            self.runs,
            self.checkpoint,
            self.salt,
            self.commitment,
            self.nonce,
        )

    @classmethod
    def decode(cls, data: bytes, kind: int) -> Self:
        """Read the prelude of a block that should be of `kind`.

        Raises:
            NotABlockError: magic, version, suite, type, page size or a length does not fit (F-14).
        """
        if len(data) < PRELUDE_BYTES:
            raise NotABlockError(f"{len(data)} bytes; a prelude has {PRELUDE_BYTES}")
        (magic, version, suite, found_kind, shift, body, store_id, epoch, sequence, generation, runs, checkpoint) = (
            _PRELUDE.unpack_from(data)[:12]
        )
        salt, commitment, nonce = _PRELUDE.unpack_from(data)[12:]
        if magic != layout.MAGIC:
            raise NotABlockError("its magic is missing")
        if version != layout.VERSION:
            raise NotABlockError(f"version {version}; this program knows {layout.VERSION}")
        if suite != layout.SUITE:
            raise NotABlockError(f"suite {suite}; this program knows {layout.SUITE}")
        if found_kind != kind:
            raise NotABlockError(f"type {found_kind}; a {NAMES[kind]} has {kind}")
        page_size = 1 << min(shift, 63)
        if page_size not in layout.PAGE_SIZES_BYTES:
            raise NotABlockError(f"page size 2^{shift}")
        if runs > (RUNS_MAX if kind == RECORD else 0):
            raise NotABlockError(f"{runs} runs")
        if data[124:128] != bytes(4):
            raise NotABlockError("its padding is not zero")
        return cls(
            kind, page_size, body, store_id, epoch, sequence, generation, runs, checkpoint, salt, commitment, nonce
        )


def encode_runs(runs: Sequence[tuple[int, int]]) -> bytes:
    """Encode ``(first slot, slots)`` of each run of a record."""
    return b"".join([_RUN.pack(*run) for run in runs])


def decode_runs(data: bytes) -> list[tuple[int, int]]:
    return [(int(slot), int(count)) for slot, count in _RUN.iter_unpack(data)]


INLINE_BYTES_MAX: Final = layout.BLOCK_BYTES - PRELUDE_BYTES
"""Bytes of a body that fit into the first 4096 bytes of a block without runs."""


def inline_bytes(runs: int) -> int:
    """Return how many bytes of the ciphertext stand in the first 4096 bytes of a block with `runs` runs."""
    return INLINE_BYTES_MAX - RUN_BYTES * runs
