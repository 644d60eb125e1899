"""Reads everything that a store reaches, from its file, and says what is damaged, while readers and writers go on.

First the three trees, of one moment, under a pin: every node, and that the slot map says what the trees name
(`verify_map`). Then the pages, a batch at a time, as of the latest commit. The page part can begin at any page, so a
pass over a large store can be cut off and taken up again.
"""

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import numpy as np

from keystore.errors import StoreDamagedError
from keystore.format.entry import ENTRY, HOLE, EntryArray, U64Array, entries_from_bytes
from keystore.pages.life import Life
from keystore.pages.opening import Opener
from keystore.pages.pace import Pace
from keystore.pages.pagemap import LEAVES_PER_HOLD_MAX
from keystore.pages.pin import unpin
from keystore.pages.reading import READ_BYTES, UnreadableError
from keystore.pages.state import StoreState
from keystore.pages.verify_map import MapVerifier, Moment
from keystore.pages.writer import Writer
from keystore.progress import Progress, untold

TRIES = 8
"""LIMIT: how often a page is looked up again that a writer moves while it is read."""

Save = Callable[[int, list[int]], None]
"""``(page to go on from, damaged pages so far)``: told after every batch."""


@dataclass
class VerifyReport:
    """What `verify` found. `notes` are things mended at opening; they need no action."""

    pages: int = 0
    holes: int = 0
    nodes: int = 0
    damaged: list[StoreDamagedError] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not self.damaged

    @property
    def damaged_pages(self) -> list[int]:
        """Numbers of the pages that do not open themselves; those below a damaged node are not among them."""
        return sorted(error.number for error in self.damaged if error.part == "page" and error.number is not None)


class Verifier:
    """One pass over one open store."""

    def __init__(
        self,
        state: StoreState,
        life: Life,
        writer: Writer,
        opener: Opener,
        *,
        progress: Progress | None,
        pace: Pace | None,
        save: Save | None,
        from_disk: bool,
    ) -> None:
        self._state, self._life, self._writer, self._opener = state, life, writer, opener
        self._progress = progress or untold
        self._pace, self._save = pace or Pace(), save or (lambda following, damaged: None)
        self._from_disk = from_disk
        self._report = VerifyReport()
        self._lost: list[range] = []
        self._scratch = memoryview(bytearray(max(READ_BYTES, state.page_size)))

    def run(self, start: int, suspects: Collection[int]) -> VerifyReport:
        """Check `suspects`, and all pages from `start` on; see `PageStore.verify`."""
        try:
            return self._run(start, suspects)
        finally:
            self._scratch[:] = bytes(len(self._scratch))

    def _run(self, start: int, suspects: Collection[int]) -> VerifyReport:
        with self._moment() as pinned:
            if self._from_disk:
                self._state.file.evict(0, self._state.file.size())
            trees = MapVerifier(self._state, pinned, self._pace)
            trees.run()
        self._report.nodes, self._report.damaged = trees.nodes, trees.damaged
        self._lost = sorted((error.pages for error in trees.damaged if error.pages), key=lambda pages: pages.start)
        lost = sum(len(pages) for pages in self._lost)
        self._report.holes = max(0, pinned.page_count - trees.pages - lost)
        self._check_some(sorted(number for number in suspects if number < start))
        at = start
        while at < self._state.page_count:
            page_nos, entries, at = self._next(at)
            self._check(page_nos, entries)
            self._progress(min(at, self._state.page_count), self._state.page_count)
            self._save(at, self._report.damaged_pages)
            self._pace.passed(len(page_nos) * self._state.page_size)
        with self._life.lock:
            recent = sorted(number for number in self._state.pages.recent if number >= start)
        self._check_some(recent)
        return self._report

    @contextmanager
    def _moment(self) -> Iterator[Moment]:
        """Hold the trees of the present moment, also of a store that takes no more commits."""
        state = self._state
        with self._life.lock:
            self._life.check()
            with suppress(StoreDamagedError):
                self._writer.checkpoint_now()
            state.pins += 1
            moment = Moment(
                state.pages.tree,
                state.sessions_tree,
                state.slots_tree,
                state.page_count,
                state.space.slots.slot_count,
                frozenset(state.log_slots),
                whole=not state.records,
            )
        try:
            yield moment
        finally:
            unpin(state, self._life)

    def _check_some(self, numbers: list[int]) -> None:
        """Check single pages, those that are holes or gone left out."""
        step = max(1, READ_BYTES // self._state.page_size)
        for at in range(0, len(numbers), step):
            with self._life.lock:
                self._life.check()
                found = {number: self._entry(number) for number in numbers[at : at + step]}
            there = {number: entry for number, entry in found.items() if entry != HOLE}
            self._check(np.array(list(there), dtype=np.uint64), entries_from_bytes(b"".join(there.values())))

    def _entry(self, page_no: int) -> bytes:
        if page_no >= self._state.page_count or any(page_no in pages for pages in self._lost):
            return HOLE
        return self._state.pages.entry(page_no)

    def _next(self, start: int) -> tuple[U64Array, EntryArray, int]:
        """Return the next pages of the map from `start` on, at most a batch, and where to go on.

        Pages below a node that is known to be damaged are passed over, and those changed since the last checkpoint are
        left for later.
        """
        for pages in self._lost:
            if start in pages:
                return np.empty(0, dtype=np.uint64), np.empty(0, dtype=ENTRY), pages.stop
        limit = min((pages.start for pages in self._lost if pages.start > start), default=1 << 63)
        with self._life.lock:
            self._life.check()
            try:
                return self._gather(start, limit)
            except StoreDamagedError as error:  # since the trees were read
                fanout = self._state.pages.tree.fanout
                self._report.damaged.append(error)
                return np.empty(0, dtype=np.uint64), np.empty(0, dtype=ENTRY), (start // fanout + 1) * fanout

    def _gather(self, start: int, limit: int) -> tuple[U64Array, EntryArray, int]:
        state, wanted = self._state, max(1, READ_BYTES // self._state.page_size)
        numbers, rows, following = [np.empty(0, dtype=np.uint64)], [np.empty(0, dtype=ENTRY)], state.page_count
        for leaf, (first, entries) in enumerate(state.pages.tree.leaves(start)):
            if leaf == LEAVES_PER_HOLD_MAX or wanted <= 0:
                following = first
                break
            there = np.flatnonzero(entries["slot"])
            if len(there) > wanted:
                following = first + int(there[wanted])
            chosen = [at for at in there[:wanted].tolist() if first + at not in state.pages.recent]
            numbers.append((np.array(chosen, dtype=np.int64) + first).astype(np.uint64))
            rows.append(entries[chosen])
            if len(there) > wanted:
                break
            wanted -= len(there)
            if first + len(entries) >= limit:
                following = limit
                break
        return np.concatenate(numbers), np.concatenate(rows), following

    def _check(self, page_nos: U64Array, entries: EntryArray) -> None:
        """Open pages; one that fails is looked up again, and reported if it is still the same."""
        self._report.pages += len(page_nos)
        if self._opens(page_nos, entries) is None:
            return
        for index, number in enumerate(page_nos.tolist()):
            found = self._opens(page_nos[index : index + 1], entries[index : index + 1])
            if found is not None:
                self._look_again(number, entries[index].tobytes(), found)

    def _look_again(self, number: int, entry: bytes, found: str) -> None:
        for _ in range(TRIES):
            with self._life.lock:
                before, entry = entry, self._entry(number)
            if entry == HOLE:
                return
            if entry == before:
                self._report.damaged.append(StoreDamagedError(self._state.name, "page", number, found))
                return
            again = self._opens(np.array([number], dtype=np.uint64), entries_from_bytes(entry))
            if again is None:
                return
            found = again

    def _opens(self, page_nos: U64Array, entries: EntryArray) -> str | None:
        """Open these pages; return why one does not open, or None."""
        try:
            self._opener.pages_into(page_nos, entries, self._scratch[: len(page_nos) * self._state.page_size])
        except UnreadableError as error:
            return str(error)
        return None
