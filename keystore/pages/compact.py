"""Gives space at the end of a store's file back, while readers and writers go on (docs/FORMAT.md, section 7).

Pages that stand beyond the new end are moved to free slots below it: ciphertext, nonce and tag stay, so nothing is
sealed again but the map. Each batch is an ordinary commit, the lock is held for one batch at a time.

Invariants:
1. The file is cut only where no slot is in use or held (F-17): no header copy, pin, or commit reaches it.
2. Both header copies on the disk name the smaller number of slots before the file is cut (F-23).
CRASH: before the cut the file is longer than its headers say, and the next opening uses all of it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from keystore.errors import InputError, StoreDamagedError
from keystore.format import layout
from keystore.format.entry import entries_from_bytes, entry_slot
from keystore.format.record import CHANGE
from keystore.pages.checkpoint import write_checkpoint
from keystore.pages.commit import Change, adopt
from keystore.pages.life import Life
from keystore.pages.pace import Pace
from keystore.pages.pagemap import LEAVES_PER_HOLD_MAX
from keystore.pages.reading import READ_BYTES, UnreadableError, open_batch, read_batch
from keystore.pages.state import StoreState
from keystore.pages.writer import Writer
from keystore.progress import Progress
from keystore.units import plural

ROUNDS_MAX = 4
"""LIMIT: passes over the map; a further one only finds what writers put at the end meanwhile."""
NODES_PER_CHECKPOINT = 4096
"""LIMIT: nodes of the map that one checkpoint moves."""


@dataclass(frozen=True)
class CompactReport:
    """What a compaction did.

    Attributes:
        moved_bytes: bytes of pages that were moved.
        limited_by: why the file did not get as short as it could, or None.
    """

    bytes_before: int
    bytes_after: int
    moved_bytes: int
    limited_by: str | None

    @property
    def given_back(self) -> int:
        return self.bytes_before - self.bytes_after


class Compactor:
    """One compaction of one open store."""

    def __init__(self, state: StoreState, life: Life, writer: Writer, progress: Progress, pace: Pace) -> None:
        self._state, self._life, self._writer = state, life, writer
        self._progress, self._pace = progress, pace
        self._moved = 0
        self._stuck = False

    def run(self) -> CompactReport:
        """Move and cut until it gains nothing more; see `PageStore.compact`."""
        before = self._file_bytes()
        with self._emptying():
            for _ in range(ROUNDS_MAX):
                size = self._file_bytes()
                if not self._aim():
                    break
                self._move_pages()
                self._move_nodes()
                self._cut()
                if self._file_bytes() >= size:
                    break
        return CompactReport(before, self._file_bytes(), self._moved * self._state.page_size, self._limit())

    def _file_bytes(self) -> int:
        with self._life.lock:
            self._life.check()
            return self._state.file.size()

    @contextmanager
    def _emptying(self) -> Iterator[None]:
        slots = self._state.space.slots
        with self._life.lock:
            self._life.check_writable()
            if slots.ceiling is not None:
                raise InputError(f"store {self._state.name} is being compacted already; nothing was changed")
            slots.ceiling = slots.slot_count
        try:
            yield
        finally:
            with self._life.lock:
                slots.ceiling = None

    def _aim(self) -> bool:
        """Choose the new end: room for all in use or held, and for the next checkpoints. Return whether it gains.

        What pins hold counts too: else pages would be moved where there is no room, and the file would grow.
        """
        state = self._state
        with self._life.lock:
            for _ in range(2):  # what was killed lately is held until two more headers are durable
                self._checkpoint()
            slots = state.space.slots
            end = layout.first_slot(state.page_size) + slots.busy_count + state.space.reserve
            self._stuck = state.users() > 0 and slots.busy_count > slots.used_count
            slots.ceiling = min(end, slots.slot_count)
            return end < slots.slot_count

    @property
    def _ceiling(self) -> int:
        ceiling = self._state.space.slots.ceiling
        assert ceiling is not None
        return ceiling

    def _checkpoint(self, moving: list[int] | None = None, *, fresh_places: bool = False) -> None:
        state = self._state
        self._life.check_writable()
        session = state.checkpoint_session(len(moving or ()))
        write_checkpoint(state, session, fresh_places=fresh_places, moving=moving or ())

    # -- pages --------------------------------------------------------------------------------------------------------

    def _move_pages(self) -> None:
        at: int | None = 0
        while at is not None:
            with self._life.lock:
                self._life.check_writable()
                at, page_nos = self._pages_beyond(at)
                if page_nos and not self._move(page_nos):
                    return
            self._pace.passed(2 * len(page_nos) * self._state.page_size)

    def _pages_beyond(self, start: int) -> tuple[int | None, list[int]]:
        """Return some pages from `start` on that stand beyond the new end, and the page to go on from."""
        state, found = self._state, list[int]()
        most = max(64, READ_BYTES // state.page_size)
        for leaves, (first, entries) in enumerate(state.pages.tree.leaves(start)):
            self._progress(min(first, state.page_count), state.page_count)
            if leaves == LEAVES_PER_HOLD_MAX:
                return first, found
            for child in np.flatnonzero(entries["slot"] >= self._ceiling).tolist():
                page_no = first + child
                if entry_slot(state.pages.entry(page_no)) >= self._ceiling:
                    found.append(page_no)
                if len(found) == most:
                    return page_no + 1, found
        return None, found

    def _move(self, page_nos: list[int]) -> bool:
        """Move pages in one commit; return False where there is no room left below the new end."""
        state = self._state
        self._writer.checkpoint_if_due()
        changes = np.zeros(len(page_nos), dtype=CHANGE)
        changes["page"] = page_nos
        changes["entry"] = entries_from_bytes(b"".join(state.pages.entry(page_no) for page_no in page_nos))
        try:
            batch = read_batch(state.file, state.page_size, changes["page"], np.ascontiguousarray(changes["entry"]))
            plain = open_batch(state.sessions, state.page_size, batch)
        except UnreadableError as error:
            damage = StoreDamagedError(state.name, "page", page_nos[error.index], str(error))
            raise self._life.latch(damage) from None
        plain[:] = bytes(len(plain))
        adopt(state, Change([], [], [], state.page_count, state.byte_length), (), changes, batch.ciphertext, moved=True)
        self._moved += len(page_nos)
        return all(entry_slot(state.pages.entry(page_no)) < self._ceiling for page_no in page_nos)

    # -- nodes --------------------------------------------------------------------------------------------------------

    def _move_nodes(self) -> None:
        """Have checkpoints write the nodes of the page map anew that stand beyond the new end."""
        while True:
            with self._life.lock:
                self._checkpoint()
                moving = self._nodes_beyond()
                if not moving:
                    return
                before = len(moving)
                self._checkpoint(moving)
                if before < NODES_PER_CHECKPOINT or len(self._nodes_beyond()) >= before:
                    return
            self._pace.passed(before * self._state.page_size)

    def _nodes_beyond(self) -> list[int]:
        """Return a page below each node that stands beyond the new end."""
        tree, found = self._state.pages.tree, list[int]()
        for level in range(1, tree.height + 1):
            for number, entry in tree.nodes(level):
                if entry_slot(entry) >= self._ceiling:
                    found.append(number * tree.fanout**level)
                    if len(found) == NODES_PER_CHECKPOINT:
                        return found
        return found

    # -- the end of the file ------------------------------------------------------------------------------------------

    def _cut(self) -> None:
        """Move what is left (records, session table, slot map), then cut the file where nothing is any more."""
        state = self._state
        slots = state.space.slots
        with self._life.lock:
            self._life.check_writable()
            self._dirty_slot_map()
            # Two checkpoints, so that no commit stands between them: each header copy leads to the fresh places.
            self._checkpoint(fresh_places=True)
            self._checkpoint()
            end = max(slots.end, self._ceiling)
            self._stuck = self._stuck or end > self._ceiling
            if end >= slots.slot_count:
                return
            slots.shrink(end)
            self._checkpoint()
            self._checkpoint()
            if slots.slot_count * state.page_size < state.file.size():  # CRASH, F-23: both headers name this end
                state.file.truncate(slots.slot_count * state.page_size)
                state.file.sync()

    def _dirty_slot_map(self) -> None:
        """Have the next checkpoint write every block of the slot map anew that it has, or a node above, too far up."""
        tree, slots = self._state.slots_tree, self._state.space.slots
        for level in range(tree.height + 1):
            for number, entry in tree.nodes(level):
                if entry_slot(entry) >= self._ceiling:
                    slots.touch(number * tree.fanout**level)

    def _limit(self) -> str | None:
        if not self._stuck:
            return None
        if users := self._state.users():
            return f"{plural(users, 'pin')} held slots at the end of the file; release and compact again"
        return "writers took slots at the end of the file meanwhile; compact again"
