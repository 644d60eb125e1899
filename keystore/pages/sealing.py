"""Seals the pages of a commit and writes them into free slots, a batch at a time.

Invariant: what is joined here of several pages in clear is wiped when its batch is sealed, or sealing failed.
"""

from collections.abc import Sequence

from keystore.crypto.kernel import KERNEL, TAG_BYTES
from keystore.format import layout
from keystore.format.entry import U8Array, encode_aads, rows_of
from keystore.format.record import encode_changes
from keystore.pages import log
from keystore.pages.handover import Kept
from keystore.pages.protocols import Buffer
from keystore.pages.scratch import BATCH_BYTES, scratch
from keystore.pages.sessions import Session
from keystore.pages.state import StoreState

_ZEROS = bytes(BATCH_BYTES)


def seal_and_write(state: StoreState, session: Session, pages: Sequence[tuple[int, Buffer]], kept: Kept) -> bytes:
    """Seal `pages` into free slots and write them; return their rows of the record."""
    if not pages:
        return b""
    page_size, page_nos = state.page_size, [page_no for page_no, _ in pages]
    slots = state.space.take(len(pages))
    nonces = session.nonces(len(pages))
    aads = encode_aads(layout.TREE_PAGES, 0, session.record.origin, page_nos)
    tags = rows_of(bytearray(TAG_BYTES * len(pages)), TAG_BYTES)
    step = max(1, BATCH_BYTES // page_size)
    with scratch() as out:
        for at in range(0, len(pages), step):
            part = slice(at, at + step)
            _seal(session, pages[part], page_size, nonces[part], aads[part], out, tags[part])
            ciphertext = memoryview(out)[: len(slots[part]) * page_size]
            write_slots(state, slots[part], ciphertext)
            kept.add(ciphertext)
    return encode_changes(page_nos, slots, session.record.number, nonces, tags)


def _seal(
    session: Session,
    pages: Sequence[tuple[int, Buffer]],
    page_size: int,
    nonces: U8Array,
    aads: U8Array,
    out: bytearray,
    tags: U8Array,
) -> None:
    """Seal one batch into `out` and `tags`."""
    if len(pages) == 1:
        KERNEL.seal_pages(session.page_key, memoryview(pages[0][1]).cast("B"), page_size, nonces, aads, out, tags)
        return
    size = len(pages) * page_size
    with scratch() as plain:
        try:
            for number, (_, data) in enumerate(pages):
                plain[number * page_size : (number + 1) * page_size] = data
            plaintext = memoryview(plain)[:size]
            KERNEL.seal_pages(session.page_key, plaintext, page_size, nonces, aads, out, tags)
        finally:
            memoryview(plain)[:size] = memoryview(_ZEROS)[:size]


def write_slots(state: StoreState, slots: list[int], data: memoryview) -> None:
    """Write the pages in `data`, adjacent slots together."""
    at = 0
    for slot, count in log.adjacent_runs(slots):
        length = count * state.page_size
        state.file.write(slot * state.page_size, data[at : at + length])
        at += length
