"""Seals the pages of a commit and writes them into free slots, a batch at a time."""

from collections.abc import Callable, Sequence

from keystore.crypto.kernel import KERNEL
from keystore.errors import InputError
from keystore.pages import log, scratch
from keystore.pages.handover import Kept
from keystore.pages.protocols import Buffer
from keystore.pages.scratch import BATCH_BYTES
from keystore.pages.sessions import Session
from keystore.pages.state import StoreState

EARLY_BYTES = 64 << 10
"""Bytes in one place from which on the system is asked to begin writing at once, while the next batch is sealed."""


def seal_and_write(
    state: StoreState,
    session: Session,
    drawn: bytes,
    counter: int,
    page_nos: list[int],
    pages: Sequence[Buffer],
    kept: Kept,
) -> bytes:
    """Seal `pages` into free slots and write them; return their rows of the record.

    They take the nonces of `session` that begin with `drawn`, from `counter` on.
    """
    if not pages:
        return b""
    slots = state.space.take(len(pages))
    return seal_into(state, session, drawn, counter, page_nos, pages, slots, kept.add)


def seal_into(
    state: StoreState,
    session: Session,
    drawn: bytes,
    counter: int,
    page_nos: list[int],
    pages: Sequence[Buffer],
    slots: list[int],
    written: Callable[[memoryview], None],
) -> bytes:
    """As `seal_and_write`, into `slots`; `written` is told each batch of ciphertext, valid until the next."""
    page_size, number, buffers = state.page_size, session.record.number, flat(state, pages)
    step, rows = max(1, BATCH_BYTES // page_size), []
    out = scratch.take()
    try:
        for at in range(0, len(pages), step):
            part = slice(at, at + step)
            taken, batch, numbers = slots[part], buffers[part], page_nos[part]
            rows.append(
                KERNEL.seal_changes(
                    session.page_key,
                    batch,
                    page_size,
                    session.page_aad,
                    drawn,
                    counter + at,
                    number,
                    numbers,
                    taken,
                    out,
                )
            )
            ciphertext = memoryview(out)[: len(taken) * page_size]
            write_slots(state, taken, ciphertext)
            written(ciphertext)
    finally:
        scratch.give_back(out)
    return b"".join(rows)


def flat(state: StoreState, pages: Sequence[Buffer]) -> list[bytes | memoryview]:
    """Return the pages as buffers of bytes; none changes its length, or goes, while it is in the list.

    Raises:
        InputError: one did since it was checked.
    """
    try:
        buffers = [page if type(page) is bytes else memoryview(page).cast("B") for page in pages]
    except ValueError:
        buffers = [b""]
    if any(len(page) != state.page_size for page in buffers):
        raise InputError(
            f"store {state.name}: a page was closed, or got another length, while it was to be committed; nothing was "
            "changed. Keep pages as they are until the commit returns"
        )
    return buffers


def write_slots(state: StoreState, slots: list[int], data: memoryview) -> None:
    """Write the pages in `data`, adjacent slots together."""
    at = 0
    for slot, count in log.adjacent_runs(slots):
        length = count * state.page_size
        state.file.write(slot * state.page_size, data[at : at + length])
        if length >= EARLY_BYTES:
            state.file.begin_writing(slot * state.page_size, length)
        at += length
