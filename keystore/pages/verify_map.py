"""Checks headers, watermark and the three trees of one moment, and that the slot map says what the trees name."""

from contextlib import closing
from dataclasses import dataclass

import numpy as np

from keystore.errors import StoreDamagedError, WrongKeyError
from keystore.format import block, layout
from keystore.format.block import NotABlockError
from keystore.format.entry import HOLE, U8Array, U64Array, entry_slot, rows_from_bytes, slot_rows
from keystore.pages.pace import Pace
from keystore.pages.sealed import read_raw
from keystore.pages.state import StoreState
from keystore.pages.tree import Tree


@dataclass(frozen=True)
class Moment:
    """A pinned state: trees that nothing is taken from while it lives.

    Attributes:
        log_slots: slots of the coming records.
        whole: whether the trees have every commit; else the slot map belongs to another state than the pages.
    """

    pages: Tree
    sessions: Tree
    slots: Tree
    page_count: int
    slot_count: int
    log_slots: frozenset[int]
    whole: bool


class MapVerifier:
    """One pass over the trees of `moment`."""

    def __init__(self, state: StoreState, moment: Moment, pace: Pace) -> None:
        self._state, self._moment, self._pace = state, moment, pace
        self.pages = self.nodes = self._twice = 0
        self.damaged: list[StoreDamagedError] = []
        self._reached: dict[int, U8Array] = {}
        """Bits of the slots that were named, by block of the slot map."""

    def run(self) -> None:
        """Fill `pages` (named by the map), `nodes` (read) and `damaged`."""
        self._headers()
        for tree in (self._moment.sessions, self._moment.slots, self._moment.pages):
            self._descend(tree, tree.height, 0, tree.root_row)
        if not self.damaged and self._moment.whole:
            self._reach(np.array(sorted(self._moment.log_slots), dtype=np.uint64))
            self._compare()

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
                self.damaged.append(StoreDamagedError(state.name, block.NAMES[kind], number, str(error)))

    def _descend(self, tree: Tree, level: int, number: int, row: bytes) -> None:
        entry = row[: layout.ENTRY_BYTES]
        if entry == HOLE:
            return
        self._reach(np.array([entry_slot(entry)], dtype=np.uint64))
        if level == 0 and tree.tree == layout.TREE_PAGES:  # a map of one page
            self.pages += 1
            return
        content = self._read(tree, level, number, entry)
        if content is None or level == 0:
            return
        entries = rows_from_bytes(content, tree.tree)
        present = np.flatnonzero(entries["slot"])
        if level == 1 and tree.tree == layout.TREE_PAGES:
            self._reach(entries["slot"][present])
            self.pages += len(present)
            return
        rows = slot_rows(content) if tree.tree == layout.TREE_SLOTS else entries
        for child in present.tolist():
            self._descend(tree, level - 1, number * tree.fanout + child, rows[child].tobytes())

    def _read(self, tree: Tree, level: int, number: int, entry: bytes) -> bytes | None:
        self._pace.passed(self._state.page_size)
        try:
            content = tree.blocks.read_from_disk(tree.tree, level, number, entry)
        except StoreDamagedError as error:
            reach = tree.fanout**level
            pages = range(number * reach, min((number + 1) * reach, self._moment.page_count))
            below = pages if tree.tree == layout.TREE_PAGES else None
            self.damaged.append(StoreDamagedError(error.store, error.part, error.number, error.found, below))
            return None
        self.nodes += 1
        return content

    # -- slot map -----------------------------------------------------------------------------------------------------

    def _reach(self, slots: U64Array) -> None:
        """Note that a tree names `slots`; one that is named twice is damage of the slot map."""
        per_block = layout.slots_per_block(self._state.page_size)
        numbers = slots // per_block
        for number in np.unique(numbers).tolist():
            reached = self._reached.setdefault(number, np.zeros(self._state.page_size, dtype=np.uint8))
            before = int(np.bitwise_count(reached).sum())
            within = (slots[numbers == number] % per_block).astype(np.intp)
            np.bitwise_or.at(reached, within >> 3, np.left_shift(1, within & 7).astype(np.uint8))
            self._twice += len(within) - (int(np.bitwise_count(reached).sum()) - before)

    def _compare(self) -> None:
        """Compare the slots that were reached with those that the map says are used, and its counts with its bits."""
        name, tree, size = self._state.name, self._moment.slots, self._state.page_size
        blocks = layout.slot_blocks(self._moment.slot_count, size)
        for number in sorted({*range(blocks), *self._reached}):
            row = tree.row(0, number)
            entry, used = row[: layout.ENTRY_BYTES], int.from_bytes(row[layout.ENTRY_BYTES :], "little")
            content = bytes(size) if entry == HOLE else tree.blocks.read_from_disk(tree.tree, 0, number, entry)
            mapped = np.frombuffer(content, dtype=np.uint8)
            differing = int(np.bitwise_count(mapped ^ self._reached.get(number, np.zeros(size, dtype=np.uint8))).sum())
            if differing:
                text = f"{differing} slots are not what the trees name"
                self.damaged.append(StoreDamagedError(name, "slot map", number, text))
            elif used != int(np.bitwise_count(mapped).sum()):
                self.damaged.append(StoreDamagedError(name, "slot map", number, f"{used} slots are not its bits"))
        if self._twice:
            text = f"{self._twice} slots are named twice"
            self.damaged.append(StoreDamagedError(name, "slot map", None, text))
