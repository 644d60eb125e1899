"""One commit: seal, write, record, sync, show (docs/FORMAT.md, section 6).

Invariants:
1. Until the record is being written an error leaves store and file as they were; a signal leaves the file so, and
   poisons the store (F-16).
2. One record is in flight: this runs under the store's lock and returns after its sync (F-15).
"""

from collections.abc import Callable, Mapping, Sequence
from operator import index
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt

from keystore.errors import InputError, PageRangeError
from keystore.format import layout
from keystore.format.entry import places_of
from keystore.format.record import CHANGE, PAGES_SYNCED, RecordBody, SessionRecord, encode_holes
from keystore.pages import at_once, log
from keystore.pages.apply import count_record, find_replaced, show_record
from keystore.pages.guarded import Change as UnderWay
from keystore.pages.handover import Kept, hand_over
from keystore.pages.protocols import Buffer
from keystore.pages.reading import READ_BYTES, read_batch
from keystore.pages.sealed import tag_of
from keystore.pages.sealing import seal_and_write, seal_into, write_slots
from keystore.pages.sessions import Session, nonce_of
from keystore.pages.state import StoreState

COMMIT_PAGES_MAX = 1 << 18
"""LIMIT: pages of one commit; a quarter of what one session may seal, and a record of 12.6 MB."""
CUT_PAGES_MAX = 1 << 18
"""LIMIT: pages that one commit may leave beyond a new end; bounds the memory of a commit and of its replay."""
SYNC_FIRST_BYTES = 8 << 20
"""LIMIT: bytes of pages that share a sync with their record; recovery opens at most these again."""


class Change(NamedTuple):
    """A commit as asked for, checked: what to seal, what becomes a hole, and the new ends."""

    page_nos: list[int]
    pages: list[Buffer]
    """The content of `page_nos`."""
    holes: list[int]
    page_count: int
    byte_length: int

    @classmethod
    def of(cls, pages: Mapping[int, Buffer | None], page_count: int, byte_length: int) -> Self:
        """Part pages and holes, in ascending order."""
        if len(pages) == 1:  # as most commits are
            ((page_no, only),) = pages.items()
            if only is not None:
                return cls([page_no], [only], [], page_count, byte_length)
        ordered = sorted(pages)
        contents = list(map(pages.__getitem__, ordered))
        there = [data for data in contents if data is not None]
        if len(there) == len(ordered):
            return cls(ordered, there, [], page_count, byte_length)
        holes = [page_no for page_no, data in zip(ordered, contents, strict=True) if data is None]
        ordered = [page_no for page_no, data in zip(ordered, contents, strict=True) if data is not None]
        return cls(ordered, there, holes, page_count, byte_length)


def check_change(
    state: StoreState,
    ends: tuple[int, int],
    pages: Mapping[int, Buffer | None],
    page_count: int | None,
    byte_length: int | None,
) -> tuple[int, int]:
    """Check a commit, to a store that ends at `ends`, before anything is touched; return its new ends.

    Raises:
        PageRangeError: a page number is negative, beyond the limit, or beyond the new `page_count`.
        InputError: a page has not exactly `page_size` bytes, or there are too many.
        TypeError: a number is no integer.
    """
    low, high = (min(pages), max(pages)) if pages else (0, -1)
    count = max(ends[0], high + 1) if page_count is None else page_count
    length = ends[1] if byte_length is None else byte_length
    for number in (*pages, count, length):
        index(number)  # what is none would fail later, where such an error may be of a signal (`guarded.Change`)
    if low < 0 or not high < count <= layout.PAGES_MAX:
        raise PageRangeError(
            f"store {state.name}: pages {low} to {max(high, 0)} in a store of {count} pages "
            f"(at most {layout.PAGES_MAX}); nothing was changed"
        )
    if len(pages) > COMMIT_PAGES_MAX:
        raise InputError(f"store {state.name}: {len(pages)} pages in one commit; at most {COMMIT_PAGES_MAX}")
    if not 0 <= length < 1 << 63:
        raise InputError(f"store {state.name}: a length of {length} bytes; nothing was changed")
    size = state.page_size
    for page_no in [number for number, data in pages.items() if type(data) is not bytes or len(data) != size]:
        data = pages[page_no]
        if data is None:
            continue
        if not memoryview(data).c_contiguous:
            raise InputError(f"store {state.name}: page {page_no} is not in one piece; nothing was changed")
        if memoryview(data).nbytes != size:
            raise InputError(
                f"store {state.name}: page {page_no} has {memoryview(data).nbytes} bytes; this store's pages have "
                f"{size}. Nothing was changed"
            )
    return count, length


def commit(state: StoreState, change: Change) -> int:
    """Make `change` durable and return its sequence.

    Raises:
        StoreFullError, StoreIOError, StoreDamagedError: nothing changed.
        CommitUnknownError: the record may or may not be durable; the store is poisoned.
    """

    def write_pages(drawn: bytes, counter: int) -> bytes:
        rows = seal_and_write(state, session, drawn, counter, change.page_nos, change.pages, kept)
        return rows + encode_holes(change.holes) if change.holes else rows

    seals, byte_count = len(change.pages), len(change.pages) * state.page_size
    kept = Kept(state, byte_count)
    page_nos = change.page_nos + change.holes
    session = state.sessions.for_seals(seals + 2)
    flags = PAGES_SYNCED if byte_count > SYNC_FIRST_BYTES else 0
    small = change if at_once.can(state, change) else None
    return _commit(state, session, page_nos, seals, change, flags, (), write_pages, kept, seals=seals, small=small)


def adopt(
    state: StoreState,
    change: Change,
    sessions: Sequence[SessionRecord],
    entries: npt.NDArray[np.void],
    ciphertext: memoryview,
    *,
    moved: bool = False,
) -> int:
    """Commit pages that were sealed elsewhere, ciphertext unchanged: `entries` is an array of `CHANGE`, its sessions
    numbers of this store; `ciphertext` holds the pages in the same order. The caller has opened each. Pages that only
    `moved` stand in other slots of this store."""

    def write_pages(_: bytes, __: int) -> bytes:
        slots = state.space.take(len(entries))
        write_slots(state, slots, ciphertext)
        kept.add(ciphertext)
        placed = entries.copy()
        placed["entry"]["slot"] = slots
        return placed.tobytes()

    session = state.sessions.for_seals(2)
    kept = Kept(state, 0 if moved else ciphertext.nbytes)
    page_nos = entries["page"].tolist()
    known = tuple(sessions)
    return _commit(state, session, page_nos, len(page_nos), change, PAGES_SYNCED, known, write_pages, kept, moved=moved)


def commit_staged(state: StoreState, change: Change, staged: Mapping[int, bytes]) -> int:
    """Commit pages that are in staged slots, by number with their entries, and the holes and ends of `change`.

    Recovery opens the pages of a record under its own session; where there are others, they are synced before it.
    """

    def write_pages(_: bytes, __: int) -> bytes:
        state.space.slots.enter(slots)
        rows = b"".join([number.to_bytes(8, "little") + staged[number] for number in page_nos])
        if kept.wanted:
            _keep_staged(state, kept, rows)
        return rows + encode_holes(change.holes)

    page_nos = sorted(staged)
    slots, named = places_of([staged[number] for number in page_nos])
    session = state.sessions.for_seals(2)
    others = tuple(state.sessions.record(number) for number in sorted(named) if number != session.record.number)
    byte_count = len(page_nos) * state.page_size
    flags = PAGES_SYNCED if byte_count > SYNC_FIRST_BYTES or others else 0
    kept = Kept(state, byte_count)
    return _commit(state, session, page_nos + change.holes, len(page_nos), change, flags, others, write_pages, kept)


def _keep_staged(state: StoreState, kept: Kept, rows: bytes) -> None:
    """Read the ciphertext of staged pages again, for the witness."""
    changes, step = np.frombuffer(rows, dtype=CHANGE), max(1, READ_BYTES // state.page_size)
    for at in range(0, len(changes), step):
        part = changes[at : at + step]
        kept.add(read_batch(state.file, state.page_size, part["page"], np.ascontiguousarray(part["entry"])).ciphertext)


def commit_new(
    state: StoreState,
    change: Change,
    session: Session,
    sessions: Sequence[SessionRecord],
    write_pages: Callable[[Session], bytes],
    kept: Kept,
) -> int:
    """Commit pages of which there is no former version; `write_pages` puts them into slots and returns their rows."""
    known = tuple(sessions)
    return _commit(state, session, [], None, change, PAGES_SYNCED, known, lambda *_: write_pages(session), kept)


def _commit(
    state: StoreState,
    session: Session,
    page_nos: list[int],
    placed: int | None,
    change: Change,
    flags: int,
    sessions: tuple[SessionRecord, ...],
    write_pages: Callable[[bytes, int], bytes],
    kept: Kept,
    *,
    seals: int = 0,
    moved: bool = False,
    small: Change | None = None,
) -> int:
    """Commit what changes `page_nos`; `placed` of them, or all, are pages, which `write_pages` puts into slots.

    It gets `seals` nonces of the session: what they begin with, and the counter of the first. A change that is `small`
    is written at once with its record, where the file allows it just now.
    """
    slots, log_slots = state.space.slots, len(state.log_slots)

    def undo() -> None:
        slots.rollback()
        del state.log_slots[log_slots:]
        if state.witness is not None:
            state.witness.refused()

    with state.file.changing("a commit record", undo) as under_way:
        slots.begin()
        replaced = find_replaced(state, page_nos, change.page_count, cut_max=CUT_PAGES_MAX)
        state.reserve_for_checkpoint(page_nos)
        drawn, counter = session.draw(seals + 2)  # the last two are for the record and the watermark
        taken = state.space.take(seals) if small else []
        rows = b"" if small else write_pages(drawn, counter)
        placed = len(rows) // CHANGE.itemsize if placed is None else placed
        body = RecordBody(
            time_ns=state.record_time_ns(),
            page_count=change.page_count,
            byte_length=change.byte_length,
            next_place=state.later_place,
            later_place=log.new_place(state, use_reserve=not placed),
            previous_tag=state.last_tag,
            session=session.record.number,
            flags=flags,
            sessions=sessions,
            rows=rows,
        )
        nonce, written = nonce_of(drawn, counter + seals), None
        if small:
            written = at_once.write(state, session, drawn, counter, nonce, small, taken, body, kept, under_way)
            if written is None:
                rows = seal_into(state, session, drawn, counter, small.page_nos, small.pages, taken, kept.add)
                body = body._replace(rows=rows)
        body, tag = written or _write_record(state, session, nonce, body, under_way, use_reserve=not placed)
        counted = count_record(state, body, replaced)
        slots.accept()
        state.committed_pages += placed
        state.file.sync()
        show_record(state, state.sequence + 1, body, tag, replaced, counted)
        log.write_watermark_if_due(state, session, drawn, counter + seals + 1)
        state.store_anchor(sync=False)
    hand_over(state, body, kept, moved=moved)
    return state.sequence


def _write_record(
    state: StoreState, session: Session, nonce: bytes, body: RecordBody, under_way: UnderWay, *, use_reserve: bool
) -> tuple[RecordBody, bytes]:
    """Seal a record and write it; return it and its tag."""
    encoded = body.encode()
    runs = log.take_runs(state, len(encoded), use_reserve=use_reserve)
    record = log.seal_record(state, encoded, session, nonce, runs)
    if body.flags & PAGES_SYNCED:
        state.file.sync()
    under_way.no_return()
    log.write_record(state, state.next_place, record, runs)
    state.file.begin_writing(0, 0)
    return body, tag_of(record)
