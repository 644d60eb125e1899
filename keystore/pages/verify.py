"""Reads everything that a store reaches, from the disk, and says what is damaged."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from keystore.errors import StoreDamagedError, WrongKeyError
from keystore.format import block, layout
from keystore.format.block import NotABlockError
from keystore.format.entry import HOLE, EntryArray, U64Array, entries_from_bytes, entry_slot, rows_from_bytes
from keystore.pages.reading import READ_BYTES, UnreadableError, open_batch, read_batch
from keystore.pages.sealed import read_raw
from keystore.pages.state import StoreState
from keystore.pages.tree import Tree

Progress = Callable[[int, int], None]
"""``(pages done, pages in all)``."""


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


class Verifier:
    """One pass over one state of a store."""

    def __init__(self, state: StoreState, progress: Progress | None) -> None:
        self._state, self._progress = state, progress
        self._report = VerifyReport()
        self._reached: dict[int, npt.NDArray[np.bool_]] = {}
        self._twice = 0

    def run(self) -> VerifyReport:
        state = self._state
        self._headers()
        for tree in (state.sessions_tree, state.slots_tree, state.pages.tree):
            self._descend(tree, tree.height, 0, tree.root)
        self._report.holes = state.page_count - self._report.pages
        self._slot_map()
        return self._report

    def _headers(self) -> None:
        state = self._state
        for kind, offset in ((block.HEADER, 0), (block.HEADER, 4096), (block.WATERMARK, layout.WATERMARK_OFFSET)):
            try:
                raw = read_raw(state.file, offset, kind, state.page_size)
                if raw.prelude.store_id != state.store_id:
                    raise NotABlockError("it belongs to another store")
                with closing(state.sessions.derive(state.sessions.record_of(raw.prelude))) as session:
                    raw.open(session)
            except (NotABlockError, WrongKeyError) as error:
                number = offset // layout.BLOCK_BYTES if kind == block.HEADER else None
                self._damaged(StoreDamagedError(state.name, block.NAMES[kind], number, str(error)))

    def _descend(self, tree: Tree, level: int, number: int, entry: bytes) -> None:
        if entry == HOLE:
            return
        if level == 0 and tree.tree == layout.TREE_PAGES:
            self._pages(np.array([number], dtype=np.uint64), entries_from_bytes(entry))
            return
        self._reach(np.array([entry_slot(entry)], dtype=np.uint64))
        try:
            content = tree.blocks.read_from_disk(tree.tree, level, number, entry)
        except StoreDamagedError as error:
            self._damaged(error)
            return
        self._report.nodes += 1
        if level == 0:
            return
        children = rows_from_bytes(content, tree.tree)
        present = np.flatnonzero(children["slot"])
        if level == 1 and tree.tree == layout.TREE_PAGES:
            self._pages((present + number * tree.fanout).astype(np.uint64), children[present])
            return
        for child in present.tolist():
            self._descend(tree, level - 1, number * tree.fanout + child, children[child].tobytes())

    def _pages(self, page_nos: U64Array, entries: EntryArray) -> None:
        state = self._state
        self._reach(entries["slot"])
        step = max(1, READ_BYTES // state.page_size)
        for at in range(0, len(page_nos), step):
            numbers, part = page_nos[at : at + step], entries[at : at + step]
            if not self._opens(numbers, part) and len(numbers) > 1:
                for index in range(len(numbers)):
                    self._opens(numbers[index : index + 1], part[index : index + 1])
            self._report.pages += len(numbers)
            if self._progress is not None:
                self._progress(self._report.pages, state.page_count)

    def _opens(self, page_nos: U64Array, entries: EntryArray) -> bool:
        """Open these pages; report one that fails if it is alone."""
        state = self._state
        try:
            batch = read_batch(state.file, state.page_size, page_nos, entries)
            plaintext = open_batch(state.sessions, state.page_size, batch)
            plaintext[:] = bytes(len(plaintext))
        except UnreadableError as error:
            if len(page_nos) == 1:
                self._damaged(StoreDamagedError(state.name, "page", int(page_nos[0]), str(error)))
            return False
        return True

    # -- slot map -----------------------------------------------------------------------------------------------------

    def _reach(self, slots: U64Array) -> None:
        """Note that a tree names `slots`; one that is named twice is damage of the slot map."""
        per_block = layout.slots_per_block(self._state.page_size)
        numbers = slots // per_block
        for number in np.unique(numbers).tolist():
            reached = self._reached.setdefault(number, np.zeros(per_block, dtype=np.bool_))
            within = (slots[numbers == number] % per_block).astype(np.intp)
            self._twice += int(np.count_nonzero(reached[within])) + len(within) - len(np.unique(within))
            reached[within] = True

    def _slot_map(self) -> None:
        """Compare the slots that were reached with the slots that the map says are used."""
        if self._report.damaged:
            return
        state = self._state
        self._reach(np.array(sorted(state.log_slots), dtype=np.uint64))
        per_block = layout.slots_per_block(state.page_size)
        for number in range(-(-state.space.slots.slot_count // per_block)):
            mapped = np.frombuffer(state.space.slots.block_bytes(number), dtype=np.uint8)
            reached = self._reached.get(number, np.zeros(per_block, dtype=np.bool_))
            differing = int(np.count_nonzero(np.unpackbits(mapped, bitorder="little") != reached))
            if differing:
                text = f"{differing} slots are not what the trees name"
                self._damaged(StoreDamagedError(state.name, "slot map", number, text))
        if self._twice:
            text = f"{self._twice} slots are named twice"
            self._damaged(StoreDamagedError(state.name, "slot map", None, text))

    def _damaged(self, error: StoreDamagedError) -> None:
        self._report.damaged.append(error)
