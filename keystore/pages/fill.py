"""Fills an empty store: few commits of many pages, written as they come, in bounded memory.

For stores that have no name yet: an import, a restore. Cut off in between, the first pages are there, or none; who
fills a store removes it then.

Invariants:
1. Every page was sealed or opened on its way, and none has a former version.
2. The pages of a commit are synced before its record (flag 0), as those of any large one.

Leaves to others: wiping what came in clear (the caller's), the ends of the store (`PageStore.commit`).
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt

from keystore.crypto.kernel import KERNEL, TAG_BYTES
from keystore.errors import InputError, KeystoreError, PageRangeError, StoreDamagedError, StoreFullError
from keystore.format import layout
from keystore.format.entry import encode_aads
from keystore.format.record import CHANGE, SessionRecord
from keystore.pages.checked import Checker
from keystore.pages.commit import Change, commit_new
from keystore.pages.handover import Kept
from keystore.pages.life import Life
from keystore.pages.protocols import Buffer
from keystore.pages.reading import Batch, UnreadableError
from keystore.pages.sealing import write_slots
from keystore.pages.sessions import Session
from keystore.pages.state import StoreState
from keystore.pages.writer import Writer

COMMIT_BYTES = 256 << 20
"""LIMIT: bytes of pages that share a record and its syncs. Most are out before those, because they are written out as
they come."""
COMMIT_PAGES = 1 << 15
"""LIMIT: the same in pages; bounds the record, 1.5 MB, and the work of replaying it."""
WATCHED_BYTES = 4 << 20
"""LIMIT: the same where a witness keeps the pages until it has passed them on."""

_BESIDE_BYTES = 96
"""What a page takes besides: its rows in the map and in a record, and the nodes above."""

Item = TypeVar("Item")


class _SourceError(KeystoreError):
    """What went wrong where pages come from; the commit that waited for them can be undone."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


@dataclass(frozen=True)
class _Work(Generic[Item]):
    """What a store is filled with.

    Attributes:
        items: come one after the other; each is of `count` pages.
        pages: makes of one an array of `CHANGE`, slots not known yet, and the ciphertext; valid until the next.
        sessions: that were not begun here.
        end: number of pages after the commit that follows.
    """

    items: Iterator[Item]
    count: Callable[[Item], int]
    pages: Callable[[Session, Item], tuple[npt.NDArray[np.void], memoryview]]
    sessions: tuple[SessionRecord, ...]
    end: Callable[[], int]


class Fill:
    """Fills one store; used once."""

    def __init__(self, state: StoreState, life: Life, writer: Writer) -> None:
        self._state, self._life, self._writer = state, life, writer
        self._bytes_max = COMMIT_BYTES if state.witness is None else WATCHED_BYTES
        self._pages_max = min(self._bytes_max // state.page_size, COMMIT_PAGES)
        self._next_page = self._pages = 0
        self._out = memoryview(bytearray())

    def seal(self, chunks: Iterable[Buffer], room: int) -> int:
        """Fill with pages in clear; see `PageStore.fill`."""
        size = self._state.page_size

        def count(chunk: Buffer) -> int:
            pages, rest = divmod(memoryview(chunk).nbytes, size)
            if rest or not 0 < pages <= self._pages_max:
                raise InputError(f"store {self._state.name}: {pages} pages and {rest} bytes; whole pages are needed")
            return pages

        with self._life.lock:
            self._begin(room)
            return self._run(_Work(iter(chunks), count, self._seal, (), lambda: self._next_page + self._pages_max))

    def adopt(self, sessions: Sequence[SessionRecord], batches: Iterable[Batch], page_count: int, room: int) -> int:
        """Fill with pages that were sealed in another store; see `PageStore.fill_sealed`."""
        checker = Checker(self._state.page_size)

        def pages(_: Session, batch: Batch) -> tuple[npt.NDArray[np.void], memoryview]:
            return self._check(checker, known, batch), batch.ciphertext

        with self._life.lock:
            self._begin(room)
            known = {origin.number: self._state.sessions.adopt(origin) for origin in sessions}
            work = _Work(
                iter(batches), lambda batch: len(batch.page_nos), pages, tuple(known.values()), lambda: page_count
            )
            return self._run(work)

    def _begin(self, room: int) -> None:
        state = self._state
        self._life.check_writable()
        if state.page_count:
            raise InputError(f"store {state.name} has {state.page_count} pages; only an empty one is filled")
        with suppress(StoreFullError):  # fewer may come; what has no room is refused when it is there
            state.space.make_room(room + room * _BESIDE_BYTES // state.page_size)

    def _run(self, work: _Work[Item]) -> int:
        """Commit until nothing comes any more; return how many pages there were."""
        state, item = self._state, next(work.items, None)

        def write_pages(session: Session) -> bytes:
            nonlocal item
            rows, leaves, count = bytearray(), set[int](), 0
            while item is not None and count + work.count(item) <= self._pages_max:
                changes, ciphertext = work.pages(session, item)
                self._write(changes, ciphertext, change.page_count, leaves)
                kept.add(ciphertext)
                rows += changes.tobytes()
                count += len(changes)
                try:
                    item = next(work.items, None)
                except Exception as error:
                    raise _SourceError(error) from error  # of where pages come from: this commit is undone
            return bytes(rows)

        while item is not None:
            self._writer.checkpoint_if_due()
            session, kept = state.sessions.for_seals(self._pages_max + 2), Kept(state, self._bytes_max)
            change = Change([], [], [], work.end(), state.byte_length)
            try:
                commit_new(state, change, session, work.sessions, write_pages, kept)
            except _SourceError as broken:
                raise broken.error from None
        return self._pages

    def _write(self, changes: npt.NDArray[np.void], ciphertext: memoryview, page_count: int, leaves: set[int]) -> None:
        """Write pages into free slots, and note those in `changes`."""
        state, fanout, page_nos = self._state, layout.fanout(self._state.page_size), changes["page"]
        first, last = int(page_nos[0]), int(page_nos[-1])
        if not self._next_page <= first <= last < page_count or np.any(page_nos[1:] <= page_nos[:-1]):
            text = f"pages {first} to {last} do not come in order, or are not below {page_count}"
            raise PageRangeError(f"store {state.name}: {text}; remove what was filled")
        leaves.update(np.unique(page_nos // np.uint64(fanout)).tolist())
        state.reserve_for_checkpoint([leaf * fanout for leaf in leaves])
        slots = state.space.take(len(changes))
        write_slots(state, slots, ciphertext)
        changes["entry"]["slot"] = slots
        self._next_page = last + 1
        self._pages += len(changes)

    def _seal(self, session: Session, chunk: Buffer) -> tuple[npt.NDArray[np.void], memoryview]:
        plain, size = memoryview(chunk).cast("B"), self._state.page_size
        if len(self._out) < len(plain) + TAG_BYTES:
            self._out = memoryview(bytearray(len(plain) + TAG_BYTES))
        changes = np.zeros(len(plain) // size, dtype=CHANGE)
        changes["page"] = np.arange(self._next_page, self._next_page + len(changes), dtype=np.uint64)
        nonces, tags = session.nonces(len(changes)), np.empty((len(changes), TAG_BYTES), dtype=np.uint8)
        aads = encode_aads(layout.TREE_PAGES, 0, session.record.origin, changes["page"])
        KERNEL.seal_pages(session.page_key, plain, size, nonces, aads, self._out, tags)
        entries = changes["entry"]
        entries["session"], entries["nonce"], entries["tag"] = session.record.number, nonces, tags
        return changes, self._out[: len(plain)]

    def _check(self, checker: Checker, known: dict[int, SessionRecord], batch: Batch) -> npt.NDArray[np.void]:
        """Open pages of another store; return their changes."""
        name, changes = self._state.name, np.zeros(len(batch.entries), dtype=CHANGE)
        changes["page"], changes["entry"] = batch.page_nos, batch.entries
        entries = changes["entry"]
        try:
            entries["session"] = [known[number].number for number in batch.entries["session"].tolist()]
            checker.check(self._state.sessions, Batch(batch.page_nos, entries, batch.ciphertext))
        except KeyError as error:
            raise StoreDamagedError(name, "page", None, f"it names session {error}, which is unknown") from None
        except UnreadableError as error:
            number = int(batch.page_nos[error.index])
            raise StoreDamagedError(name, "page", number, "its tag does not match") from None
        return changes
