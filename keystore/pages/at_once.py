"""Seals a small commit and writes it, pages and record, in one call of the kernel, where kernel and file allow it.

What is written is what the steps one by one write (`sealing`, `log`); these stay, and are always tested.

Invariants:
1. What failed before the record was begun changed nothing (F-16).
2. Whoever is told of a signal meanwhile finds the outcome unknown.
"""

import os
from collections.abc import Sequence
from typing import Final, Protocol

from keystore.crypto.kernel import KERNEL
from keystore.crypto.protocols import CommitFault
from keystore.format import block, layout
from keystore.format.record import CHANGE, FIXED_BYTES, RecordBody
from keystore.pages import scratch
from keystore.pages.guarded import Change
from keystore.pages.handover import Kept
from keystore.pages.protocols import Buffer
from keystore.pages.scratch import BATCH_BYTES
from keystore.pages.sealing import flat
from keystore.pages.sessions import Session
from keystore.pages.state import StoreState

PAGES_MAX: Final = (block.INLINE_BYTES_MAX - FIXED_BYTES) // CHANGE.itemsize
"""LIMIT: pages whose rows fit into a record of one block."""


class Pages(Protocol):
    """Pages to be sealed, and what becomes a hole."""

    @property
    def page_nos(self) -> list[int]: ...
    @property
    def pages(self) -> Sequence[Buffer]: ...
    @property
    def holes(self) -> list[int]: ...


def can(state: StoreState, change: Pages) -> bool:
    """Tell whether `write` may do it; whether it does, the file decides then."""
    count = len(change.pages)
    return (
        state.file.is_direct
        and KERNEL.write_commit is not None
        and 0 < count <= PAGES_MAX
        and count * state.page_size <= BATCH_BYTES
        and not change.holes
    )


def write(
    state: StoreState,
    session: Session,
    drawn: bytes,
    counter: int,
    record_nonce: bytes,
    change: Pages,
    slots: list[int],
    body: RecordBody,
    kept: Kept,
    under_way: Change,
) -> tuple[RecordBody, bytes] | None:
    """Seal and write `change` into `slots`, and its record, `body` with their rows; return that and its tag.

    The pages take the nonces that begin with `drawn`, from `counter` on. None, and nothing was done: the file has no
    way just now.
    """
    size, count, pages = state.page_size, len(slots), flat(state, change.pages)
    head = body.encode_head(count)
    length = len(head) + count * CHANGE.itemsize
    clear = state.prelude(block.RECORD, session, state.sequence + 1, length, record_nonce).encode()

    writer = KERNEL.write_commit
    assert writer is not None

    def act(fd: int) -> tuple[bytes, bytes, int, int]:
        under_way.no_return()
        return writer(
            fd, session.page_key, session.metadata_key, pages, size, session.page_aad, drawn, counter,
            session.record.number, change.page_nos, slots, out, clear, head, state.next_place * layout.BLOCK_BYTES,
        )  # fmt: skip

    out = scratch.take()
    try:
        done = state.file.by_descriptor(act)
        if done is None:
            return None
        rows, tag, failed, number = done
        if failed:
            if failed == CommitFault.PAGES:
                under_way.nothing_done()
            raise state.file.refusal(OSError(number, os.strerror(number)), "a write")
        state.file.written_bytes += count * size + layout.BLOCK_BYTES
        if kept.wanted:
            kept.add(memoryview(out)[: count * size])
    finally:
        scratch.give_back(out)
    return RecordBody(*body[:-1], rows), tag
