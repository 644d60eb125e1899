"""Folds what was committed into the trees and writes a header (docs/FORMAT.md, section 7).

Invariants:
1. Nothing that a header on the disk reaches is overwritten; all new blocks are synced before the header is written.
2. Anchor and watermark on the disk are never behind the header (F-18, F-26).
3. Until the header is written an error changes nothing; from then on, and after a signal, the store is poisoned.
"""

from collections.abc import Collection
from dataclasses import dataclass, field

from keystore.format import block, layout
from keystore.format.entry import HOLE, entry_session, entry_slot
from keystore.format.header import HeaderBody
from keystore.format.session_table import encode_table
from keystore.pages import log
from keystore.pages.blocks import SlotWriter
from keystore.pages.sealed import seal_whole
from keystore.pages.sessions import Session
from keystore.pages.state import StoreState
from keystore.pages.tree import Tree


@dataclass
class _Fold:
    """One checkpoint under way: where its blocks go, and what must be taken back if it fails."""

    state: StoreState
    session: Session
    writer: SlotWriter
    counted: list[tuple[int, int]] = field(default_factory=list)
    planned: dict[tuple[int, int], int] = field(default_factory=dict)
    gone: set[tuple[int, int]] = field(default_factory=set)
    """Blocks and nodes of the slot map, by level and number, that speak of nothing but what is beyond the end."""

    def count(self, number: int, change: int) -> None:
        self.state.sessions.count(number, change)
        self.counted.append((number, change))

    def take_back(self) -> None:
        for number, change in self.counted:
            self.state.sessions.count(number, -change)

    def put(self, tree: int, level: int, number: int, content: bytes, slot: int, *, counted: bool) -> bytes:
        entry, ciphertext = self.state.blocks.seal(tree, level, number, content, self.session, slot)
        self.writer.put(slot, ciphertext)
        if counted:
            self.count(self.session.record.number, 1)
        return entry

    def replaced(self, entry: bytes) -> None:
        self.state.space.slots.kill([entry_slot(entry)])
        self.count(entry_session(entry), -1)

    # -- pages --------------------------------------------------------------------------------------------------------

    def fold_pages(self, moving: Collection[int]) -> Tree:
        def write(level: int, number: int, content: bytes) -> bytes:
            slot = self.state.space.take_for_checkpoint(1)[0]
            return self.put(layout.TREE_PAGES, level, number, content, slot, counted=True)

        pages = self.state.pages
        changes = pages.recent
        if moving:
            changes = {page_no: pages.tree.entry(0, page_no) for page_no in moving} | changes
        return pages.tree.fold(changes, self.state.page_count, write, self.replaced)

    # -- session table ------------------------------------------------------------------------------------------------

    def plan_sessions(self) -> tuple[list[int], list[int]]:
        """Take slots for the new table and kill those of the old; return the sessions in it and the slots."""
        state, old = self.state, self.state.sessions_tree
        numbers = [record.number for record, _ in state.sessions.rows()]
        blocks = -(-len(numbers) // layout.sessions_per_block(state.page_size))
        for level in range(old.height + 1):
            state.space.slots.kill([entry_slot(entry) for _, entry in old.nodes(level)])
        nodes, level_blocks = 0, blocks
        while level_blocks > 1:
            level_blocks = -(-level_blocks // layout.fanout(state.page_size))
            nodes += level_blocks
        return numbers, state.space.take_for_checkpoint(blocks + nodes)

    def write_sessions(self, numbers: list[int], slots: list[int]) -> Tree:
        state = self.state
        free = iter(slots)

        def write(level: int, number: int, content: bytes) -> bytes:
            return self.put(layout.TREE_SESSIONS, level, number, content, next(free), counted=False)

        kept = set(numbers)
        rows = [row for row in state.sessions.all_rows() if row[0].number in kept]
        contents = list(encode_table(rows, state.page_size))
        entries = {number: write(0, number, content) for number, content in enumerate(contents)}
        empty = Tree(state.blocks, layout.TREE_SESSIONS, HOLE, 0)
        return empty.fold(entries, len(contents), write, self.replaced)

    # -- slot map -----------------------------------------------------------------------------------------------------

    def plan_slots(self) -> int:
        """Take a slot for every block of the slot map that changes, and for the nodes above; return the block count.

        Taking a slot changes the map, so this goes on until no block without a slot is dirty. It ends: a block gets
        one slot, and the map has finitely many blocks.
        """
        state, tree = self.state, self.state.slots_tree
        self._drop_beyond(layout.slot_blocks(state.space.slots.slot_count, state.page_size))
        while True:
            blocks = layout.slot_blocks(state.space.slots.slot_count, state.page_size)
            wanted = self._slot_nodes(blocks) - self.planned.keys()
            if not wanted:
                return blocks
            for (level, number), slot in zip(sorted(wanted), state.space.take_for_checkpoint(len(wanted)), strict=True):
                self.planned[level, number] = slot
                self.count(self.session.record.number, 1)
                old = tree.entry(level, number)
                if old != HOLE and (level, number) not in self.gone:
                    self.replaced(old)

    def _drop_beyond(self, blocks: int) -> None:
        """Kill what a map of only `blocks` blocks, of a file that became shorter, has no more."""
        tree = self.state.slots_tree
        height = layout.height(blocks, self.state.page_size, layout.TREE_SLOTS)
        for level in range(tree.height + 1):
            first = -(-blocks // tree.fanout**level) if level <= height else 0
            for number, entry in list(tree.nodes(level, first)):
                self.replaced(entry)
                self.gone.add((level, number))

    def _slot_nodes(self, blocks: int) -> set[tuple[int, int]]:
        fanout = layout.fanout(self.state.page_size, layout.TREE_SLOTS)
        height = layout.height(blocks, self.state.page_size, layout.TREE_SLOTS)
        wanted = {(0, number) for number in self.state.space.slots.dirty}
        wanted |= {(level, 0) for level in range(self.state.slots_tree.height + 1, height + 1)}
        for number in self.state.space.slots.dirty:
            wanted |= {(level, number // fanout**level) for level in range(1, height + 1)}
        return wanted

    def write_slots(self, blocks: int) -> Tree:
        def write(level: int, number: int, content: bytes) -> bytes:
            slot = self.planned[level, number]
            return self.put(layout.TREE_SLOTS, level, number, content, slot, counted=False)

        slots = self.state.space.slots
        gone = [number for level, number in self.gone if level == 0]
        changes = dict.fromkeys(gone, bytes(layout.SLOT_ROW_BYTES)) | {
            number: write(0, number, slots.block_bytes(number)) + slots.used_in(number).to_bytes(8, "little")
            for number in sorted(slots.dirty)
        }
        return self.state.slots_tree.fold(changes, blocks, write, lambda _: None)


def write_checkpoint(
    state: StoreState, session: Session, *, fresh_places: bool = False, moving: Collection[int] = ()
) -> None:
    """Write a checkpoint of the latest commit under `session`.

    Args:
        fresh_places: announce other places for the next two records.
        moving: pages; the nodes above them are written anew, changed or not.

    Raises:
        StoreFullError, StoreIOError, StoreDamagedError: nothing changed; the store goes on.
        CommitUnknownError: the header or a sync failed; the store is poisoned, and every commit is safe.
    """
    fold = _Fold(state, session, SlotWriter(state.file, state.page_size))
    slots = state.space.slots
    places, log_slots, dirty = (state.next_place, state.later_place), list(state.log_slots), set(slots.dirty)

    def undo() -> None:
        slots.rollback()
        slots.dirty = dirty
        fold.take_back()
        state.next_place, state.later_place = places
        state.log_slots = log_slots

    with state.file.changing("a header", undo) as under_way:
        slots.begin()
        if fresh_places:
            log.announce_fresh_places(state)
        log.drop_passed_slots(state)
        pages = fold.fold_pages(moving)
        numbers, table_slots = fold.plan_sessions()
        blocks = fold.plan_slots()
        sessions_tree = fold.write_sessions(numbers, table_slots)
        slots_tree = fold.write_slots(blocks)
        fold.writer.flush()
        if state.watermark != state.sequence:
            log.write_watermark(state, session)
        state.file.sync()
        state.store_anchor(sync=True)
        under_way.no_return()
        slots.accept()
        with state.map_lock:
            state.pages.fold(pages)
        state.sessions_tree, state.slots_tree, state.table_rows = sessions_tree, slots_tree, len(numbers)
        slots.dirty.clear()
        state.records = state.record_bytes = 0
        write_header(state, session)
        state.reserve_for_checkpoint([])


def write_header(state: StoreState, session: Session) -> None:
    """Write a header of the state at the last checkpoint over the older copy, and wait until it is durable.

    At an opening it is called once more, so that both copies are of this opening: then either can be lost (F-17).
    """
    state.checkpoint += 1
    state.time_ns = state.now_ns()
    slots = state.space.slots
    body = HeaderBody(
        state.time_ns,
        state.page_count,
        state.byte_length,
        slots.slot_count,
        state.next_place,
        state.later_place,
        state.last_tag,
        session.record.number,
        state.table_rows,
        slots.used_count,
        state.pages.tree.root,
        state.sessions_tree.root,
        state.slots_tree.root,
    )
    encoded = body.encode()
    prelude = state.prelude(block.HEADER, session, state.sequence, len(encoded), session.nonce())
    sealed = seal_whole(prelude, encoded, session)
    offset = layout.HEADER_OFFSETS[state.checkpoint % len(layout.HEADER_OFFSETS)]
    state.file.write(offset, sealed.ljust(layout.BLOCK_BYTES, b"\0"))
    state.file.sync()
    state.header_epoch = state.epoch
    slots.header_durable(state.checkpoint - 2, state.held_since())
