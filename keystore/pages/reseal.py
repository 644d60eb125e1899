"""Seals what stands under former data keys anew under the current one, while readers and writers go on.

Goes through the map in batches. Each holds the store's lock: it opens the pages as the map has them and commits them,
unchanged, so a page that was written meanwhile is never overwritten. Blocks of the map follow at checkpoints.

Nothing is kept of how far it came: a page that was done is under the current data key, and the map says so. So whoever
starts again after a kill goes on, and reads nothing but the map for what is done.

Leaves to others: which generations are former ones, and what becomes of their keys.
"""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from keystore.errors import InputError, StoreDamagedError
from keystore.format.entry import ENTRY, EntryArray, U64Array, entry_session
from keystore.pages.generations import settle
from keystore.pages.life import Life
from keystore.pages.pace import Pace
from keystore.pages.pagemap import LEAVES_PER_HOLD_MAX
from keystore.pages.protocols import Buffer
from keystore.pages.reading import UnreadableError, open_batch, read_batch
from keystore.pages.state import StoreState
from keystore.pages.writer import Writer
from keystore.progress import Progress

BATCH_BYTES = 1 << 20
"""LIMIT: bytes of pages sealed anew under one hold of the lock; writers wait so long."""
CHECKPOINT_BYTES = 64 << 20
"""LIMIT: bytes of pages between two checkpoints. The former slots are free again two checkpoints later, so the file
grows by about three times as much, however much is sealed anew."""
PASSES_MAX = 3
"""LIMIT: walks over the map. One is enough, unless pages sealed elsewhere are adopted meanwhile."""


@dataclass(frozen=True)
class Resealed:
    """What was done to one store.

    Attributes:
        pages: pages that were sealed anew.
        left: pages and blocks that still stand under the former data keys.
    """

    pages: int
    left: int


class Resealer:
    """One walk over one open store."""

    def __init__(self, state: StoreState, life: Life, writer: Writer, generations: Collection[int] | None) -> None:
        """Reseal what stands under `generations`, by default under any but the current one."""
        self._state, self._life, self._writer = state, life, writer
        with life.lock:
            current = state.sessions.generation
            if generations is not None and current in generations:
                raise InputError(
                    f"store {state.name}: data key generation {current} is the current one; nothing was changed"
                )
            known = {record.generation for record, _ in state.sessions.all_rows()} - {current}
            self._former = known if generations is None else known & set(generations)
        self._pages = 0

    def run(self, progress: Progress, pace: Pace) -> Resealed:
        """Do it all; see `PageStore.reseal`."""
        for _ in range(PASSES_MAX):
            with self._life.lock:
                self._life.check_writable()
                self._writer.checkpoint_now()
                total = self._left()
            if not total:
                break
            self._walk(total, progress, pace)
            with self._life.lock:
                self._life.check_writable()
                self._touch_slot_map()
                settle(self._state)
        with self._life.lock:
            return Resealed(self._pages, self._left())

    def _left(self) -> int:
        return sum(count for record, count in self._state.sessions.all_rows() if record.generation in self._former)

    def _walk(self, total: int, progress: Progress, pace: Pace) -> None:
        page_size, start, unfolded = self._state.page_size, 0, 0
        while start < self._state.page_count:
            with self._life.lock:
                self._life.check_writable()
                if unfolded >= CHECKPOINT_BYTES:
                    self._writer.checkpoint_now()
                    unfolded = 0
                count, start = self._step(start)
                unfolded += count * page_size
                done = max(0, total - self._left())
            self._pages += count
            progress(done * page_size, total * page_size)
            pace.passed(count * page_size)

    def _step(self, start: int) -> tuple[int, int]:
        """Reseal the next batch from page `start` on; return its number of pages, and where to go on."""
        state = self._state
        page_nos, entries, following = self._find(start)
        if not len(page_nos):
            return 0, following
        try:
            batch = read_batch(state.file, state.page_size, page_nos, entries)
            plain = open_batch(state.sessions, state.page_size, batch)
        except UnreadableError as error:
            number = int(page_nos[error.index])
            raise self._life.latch(StoreDamagedError(state.name, "page", number, str(error))) from None
        try:
            self._writer.commit(_by_number(page_nos, memoryview(plain), state.page_size))
        finally:
            plain[:] = bytes(len(plain))
        return len(page_nos), following

    def _find(self, start: int) -> tuple[U64Array, EntryArray, int]:
        """Return the next pages under former data keys, their entries, and where to go on.

        Pages changed since the last checkpoint are left out: they are under the current one.
        """
        state = self._state
        sessions = [record.number for record, _ in state.sessions.all_rows() if record.generation in self._former]
        wanted = max(1, BATCH_BYTES // state.page_size)
        found: list[tuple[U64Array, EntryArray]] = []
        following = state.page_count
        for leaf, (first, entries) in enumerate(state.pages.tree.leaves(start)):
            if leaf == LEAVES_PER_HOLD_MAX or not wanted:
                following = first
                break
            chosen = np.flatnonzero((entries["slot"] != 0) & np.isin(entries["session"], sessions))
            numbers = [int(at) for at in chosen if first + int(at) not in state.pages.recent]
            if len(numbers) > wanted:
                following = first + numbers[wanted]
            taken = np.array(numbers[:wanted], dtype=np.int64)
            found.append(((taken + first).astype(np.uint64), entries[taken]))
            wanted -= len(taken)
            if len(numbers) > len(taken):
                break
        if not found:
            return np.empty(0, dtype=np.uint64), np.empty(0, dtype=ENTRY), following
        return np.concatenate([part for part, _ in found]), np.concatenate([part for _, part in found]), following

    def _touch_slot_map(self) -> None:
        """Have the next checkpoint write every block of the slot map that is under a former data key."""
        state = self._state
        sessions = {record.number for record, _ in state.sessions.all_rows() if record.generation in self._former}
        for number, entry in state.slots_tree.nodes(0):
            if entry_session(entry) in sessions:
                state.space.slots.touch(number)


def _by_number(page_nos: U64Array, pages: memoryview, page_size: int) -> dict[int, Buffer | None]:
    return {number: pages[at * page_size : (at + 1) * page_size] for at, number in enumerate(page_nos.tolist())}
