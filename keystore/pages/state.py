"""The state of one open store, shared by commit, checkpoint, recovery and reading. Knows no rule of its own."""

import time
from collections import Counter
from dataclasses import dataclass, field
from threading import RLock
from typing import Final

from keystore.format import layout
from keystore.format.block import Prelude
from keystore.pages.blocks import Blocks
from keystore.pages.guarded import GuardedFile
from keystore.pages.pagemap import PageMap
from keystore.pages.protocols import Anchor, AnchorState
from keystore.pages.sessions import Session, SessionTable
from keystore.pages.space import RESERVE_SLOTS, Space
from keystore.pages.tree import Tree
from keystore.pages.witness import Moment, Witness

_HEIGHT_MAX: Final = {page_size: layout.height(layout.PAGES_MAX, page_size) for page_size in layout.PAGE_SIZES_BYTES}


@dataclass
class StoreState:
    """Everything that changes while a store is open; guarded by the store's lock.

    `pages`, both ends and `sequence` are what readers look at: they change under `map_lock` as well, in one step for
    each record, after its sync.
    """

    name: str
    store_id: bytes
    page_size: int
    file: GuardedFile
    anchor: Anchor | None
    sessions: SessionTable
    blocks: Blocks
    pages: PageMap
    slots_tree: Tree
    sessions_tree: Tree
    space: Space
    epoch: int
    header_epoch: int
    """Epoch of the newest header on the disk; behind `epoch` only while a recovery is under way."""
    sequence: int
    checkpoint: int
    last_tag: bytes
    page_count: int = 0
    byte_length: int = 0
    time_ns: int = 0
    next_place: int = 0
    later_place: int = 0
    log_slots: list[int] = field(default_factory=list)
    """Of the records since the last checkpoint, and of the two to come; in the order in which they were taken."""
    table_rows: int = 0
    """Sessions in the table that the newest header names."""
    records: int = 0
    record_bytes: int = 0
    watermark: int = 0
    """The commit that the watermark names."""
    watermark_s: float = float("-inf")
    """When a commit of this opening wrote it last, by the monotonic clock."""
    pins: int = 0
    read_points: Counter[int] = field(default_factory=Counter)
    """How many read points were begun at each header; guarded by `map_lock`."""
    free_of: dict[int, int] = field(default_factory=dict)
    """Generations that the header of that number was the first to need nothing of."""
    stages: int = 0
    """How many writers have pages in slots that no commit names yet."""
    map_lock: RLock = field(default_factory=RLock)
    """Held to look entries up, and while a durable record or a new tree takes its place; never while one is synced.

    Who has it may take it again: garbage that is collected meanwhile may release a read point.
    """
    torn: bool = False
    """A signal hit while `map_lock` was held for a change: what readers look at is of no commit."""
    committed_pages: int = 0
    """Pages written by commits since the opening."""
    witness: Witness | None = None
    """Is told of every commit."""

    def prelude(
        self, kind: int, session: Session, sequence: int, body_bytes: int, nonce: bytes, *, runs: int = 0
    ) -> Prelude:
        """Return the clear part of a new block."""
        record = session.record
        return Prelude(
            kind,
            self.page_size,
            body_bytes,
            self.store_id,
            self.epoch,
            sequence,
            record.generation,
            runs,
            self.checkpoint,
            record.salt,
            record.commitment,
            nonce,
        )

    def checkpoint_session(self, moving: int = 0) -> Session:
        """Return a session with seals left for a checkpoint now, which also moves that many nodes.

        What changed counts twice, for the nodes above it; the rest is for the session table.
        """
        return self.sessions.for_seals(2 * (len(self.pages.recent) + len(self.space.slots.dirty) + moving) + 1024)

    def now_ns(self) -> int:
        """Return the time for the next record: the system's, never earlier than the last one."""
        return max(time.time_ns(), self.time_ns + 1)

    def record_time_ns(self) -> int:
        """Return the time for the next record; a witness gives it one that fits the node's other stores too."""
        return self.now_ns() if self.witness is None else self.witness.next_time(self.time_ns + 1)

    @property
    def moment(self) -> Moment:
        return Moment(self.epoch, self.sequence, self.last_tag)

    def held_since(self) -> list[int]:
        """Return the headers since which something keeps slots that headers do not reach any more.

        A pin keeps all that it finds kept.
        """
        with self.map_lock:
            return [*([0] if self.pins else []), *self.read_points]

    def users(self, generation: int | None = None) -> int:
        """Return how many pins, read points and stages may need what no header names, or that of one generation.

        A read point that began at a header which needs nothing of a generation needs nothing of it either.
        """
        with self.map_lock:
            free_of = self.free_of.get(generation or 0, self.checkpoint + 1)
            return self.pins + self.stages + sum(n for begun, n in dict(self.read_points).items() if begun < free_of)

    def reserve_for_checkpoint(self, page_nos: list[int]) -> None:
        """Keep as many slots free as a checkpoint can need after a commit of `page_nos`.

        So a store on a full disk can still be cut, checkpointed, closed and opened.
        """
        fanout, dirty = self.pages.tree.fanout, self.pages.dirty_leaves
        leaves = len(dirty) + len({page_no // fanout for page_no in page_nos}.difference(dirty))
        reckoned_from = leaves, self.space.slots.slot_count, len(self.sessions)
        if self.space.reserved_for == reckoned_from:
            return
        self.space.reserved_for = reckoned_from
        nodes = leaves + leaves // (fanout - 1) + _HEIGHT_MAX[self.page_size]
        map_blocks = layout.slot_blocks(self.space.slots.slot_count, self.page_size)
        table = len(self.sessions) // layout.sessions_per_block(self.page_size)
        self.space.reserve = nodes + 2 * map_blocks + 2 * table + RESERVE_SLOTS

    def anchor_state(self) -> AnchorState:
        return AnchorState(self.header_epoch, self.sequence, self.last_tag)

    def store_anchor(self, *, sync: bool) -> None:
        if self.anchor is not None:
            self.anchor.store(self.anchor_state(), sync=sync)
