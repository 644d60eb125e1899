"""Copies one store into packs: what its parent snapshot has already is named where it lies, the rest is written.

The tree of the pinned store and the map of the parent are walked side by side. Where the entry of a store's node equals
the one that the parent recorded, everything below is the same, and is not looked at. An entry has a nonce and a tag: it
is equal only for the same sealed bytes. So nothing else is trusted to find what changed: no number of a commit, no
lineage. After a restore, a copy of the directory, a roll-back or a compaction less is shared, and nothing is wrong.

Invariants:
1. Every page that is written was opened before (S-2).
2. The counts of pages and nodes by pack, and of pages by session, are those of the new map: what the parent counted,
   less what it has and the new map has not, and what was written besides.
3. Memory is bounded by the nodes on one path and `NODES_AHEAD` of the parent's for each level.
4. What is done can be noted at any time as a map of its own; where the walk has not been yet, that has what the parent
   has.

Leaves to others: pinning, packs, and what becomes of packs with nothing left (`create`).
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import cycle

import numpy as np

from keystore.format import layout
from keystore.format.entry import ENTRY, HOLE, EntryArray, entries_from_bytes
from keystore.format.pack import NO_NODE, NODE_ROW, PAGE_ROW, SOURCE_BYTES, row_type
from keystore.objects.place import PIECES_LENT
from keystore.pages.pin import Pin
from keystore.snapshots.reading import NODES_AHEAD, Buffer, Indexes, MapReader, NodeAt, as_page_rows
from keystore.snapshots.writing import StorePacks

PIECE_BYTES = 2 << 20
"""LIMIT: bytes of pages read at once, into one buffer while those before it are hashed."""
_SLOT_BYTES = 8
"""An entry of the store is a slot, and then what a row begins with."""
_NO_SOURCE = b"\xff" * 4 + bytes(SOURCE_BYTES - 4)
"""Begins the row of a node that was made from no node of the store: no entry is equal to it."""


@dataclass
class Counts:
    """How much of a map lies where."""

    pages: Counter[int] = field(default_factory=Counter)
    """Pages by number of pack."""
    nodes: Counter[int] = field(default_factory=Counter)
    """Nodes by number of pack."""
    sessions: Counter[int] = field(default_factory=Counter)
    """Pages by number of session."""

    @classmethod
    def of(cls, parent: MapReader | None) -> "Counts":
        if parent is None:
            return cls()
        store = parent.store
        return cls(
            Counter({pack.number: pack.pages for pack in store.packs}),
            Counter({pack.number: pack.nodes for pack in store.packs}),
            Counter({use.record.number: use.pages for use in store.uses}),
        )

    def live(self) -> set[int]:
        """Return the numbers of the packs that something of the map lies in."""
        return {number for counter in (self.pages, self.nodes) for number, count in counter.items() if count}

    def with_nodes(self, more: Counter[int]) -> "Counts":
        """Return a copy with more nodes."""
        return Counts(Counter(self.pages), self.nodes + more, Counter(self.sessions))

    def add_pages(self, rows: EntryArray, sign: int) -> None:
        for counter, name in ((self.pages, "pack"), (self.sessions, "session")):
            numbers, counts = np.unique(rows[name], return_counts=True)
            for number, count in zip(numbers.tolist(), counts.tolist(), strict=True):
                counter[number] += sign * count


@dataclass
class _Step:
    """A node on the way from the root to where the walk is; `rows` are the parent's until a child is done."""

    level: int
    number: int
    rows: EntryArray
    child: int = 0


Note = Callable[[bytes, Counts], None]
"""Is given the row of a root, and what lies where, of a map of what is done and, beyond, what the parent has."""


class Difference:
    """Copies one pinned store; used once."""

    def __init__(
        self, pin: Pin, packs: StorePacks, parent: MapReader | None, advance: Callable[[int], None], note: Note
    ) -> None:
        """`advance` is told up to which byte of its pages the store is done, and `note` after each full pack."""
        self._pin, self._packs, self._parent, self._advance, self._note = pin, packs, parent, advance, note
        self._path: list[_Step] = []
        self._fanout = layout.fanout(pin.page_size)
        self._old_height = -1 if parent is None else parent.store.height
        self._done = 0
        self._buffers = cycle([Buffer() for _ in range(PIECES_LENT + 1)])
        self.counts = Counts.of(parent)

    def copy(self) -> bytes:
        """Write what the parent has not; return the row of the new map's root.

        Raises:
            StoreDamagedError: a page or node of the store is damaged.
            SnapshotDamagedError: a node of the parent's map is.
            PlaceError: a pack cannot be written, or one of the parent's not be read.
        """
        height, root = self._pin.height, self._pin.root
        old = self._lowered(height)
        if height == 0:
            row = self._single_page(root, old)
        else:
            row = self._visit(height, 0, root, old, self._old_rows(height, [(0, root, old)])[0])
        self._tell(self._pin.page_count)
        return row

    def _lowered(self, height: int) -> bytes:
        """Return the row of the parent's node where the new root is; drop what the parent has above and beside it."""
        row = NO_NODE if self._parent is None or self._old_height < height else self._parent.store.root
        for level in range(self._old_height, height, -1):
            if row == NO_NODE:
                break
            (rows,) = self._read_old([(level, 0, row)])
            self._count_off(row)
            row = _row(rows, 0)
            rows[0] = 0
            self._drop_below(level, 0, rows)
        return row

    def _single_page(self, root: bytes, old: bytes) -> bytes:
        rows = self._pages(0, entries_from_bytes(root), as_page_rows(np.frombuffer(old, dtype=NODE_ROW)))
        return _row(rows, 0, self._pin.page_size)

    def _visit(self, level: int, number: int, entry: bytes, old: bytes, old_rows: EntryArray | None) -> bytes:
        """Return the row of the new node, or of no node; `old_rows` is None where the old one has the same below it."""
        if old_rows is None:
            self._tell((number + 1) * self._fanout**level)
            return old
        if old != NO_NODE:
            self._count_off(old)
        entries = np.zeros(self._fanout, dtype=ENTRY)
        if entry != HOLE:
            entries = self._pin.children(level, number, entry)
        if level == 1:
            rows = self._pages(number * self._fanout, entries, old_rows)
        else:
            rows = self._children(level, number, entries, old_rows)
        if not rows["session"].any():
            return NO_NODE
        pack, row = self._packs.add_node(level, number, entry[_SLOT_BYTES:], rows)
        self.counts.nodes[pack] += 1
        return row

    def _children(self, level: int, number: int, entries: EntryArray, old_rows: EntryArray) -> EntryArray:
        wanted = (entries["slot"] != 0) | (old_rows["session"] != 0)
        wanted[0] |= self._has_old_root_below(level - 1, number)
        step = _Step(level, number, old_rows.copy())
        self._path.append(step)
        for ahead in _chunks(np.flatnonzero(wanted), NODES_AHEAD):
            below = [
                (number * self._fanout + child, entries[child].tobytes(), old_rows[child].tobytes())
                for child in ahead.tolist()
            ]
            known = self._old_rows(level - 1, below)
            for step.child, each, known_rows in zip(ahead.tolist(), below, known, strict=True):
                row = self._visit(level - 1, *each, known_rows)
                step.rows[step.child] = np.frombuffer(row, dtype=NODE_ROW)[0]
                if self._packs.full:
                    self._note_all()
        self._path.pop()
        return step.rows

    def _note_all(self) -> None:
        """Write the nodes of the path as they are now, and let the pack appear."""
        row, more = NO_NODE, Counter[int]()
        for step in reversed(self._path):
            rows = step.rows.copy()
            if row != NO_NODE:
                rows[step.child] = np.frombuffer(row, dtype=NODE_ROW)[0]
            if rows["session"].any():
                pack, row = self._packs.add_node(step.level, step.number, _NO_SOURCE, rows)
                more[pack] += 1
        self._packs.finish()
        self._note(row, self.counts.with_nodes(more))

    def _pages(self, first: int, entries: EntryArray, old_rows: EntryArray) -> EntryArray:
        """Return the rows of a leaf, after writing the pages that the parent has not."""
        there = entries["slot"] != 0
        same = there & (entries["session"] == old_rows["session"])
        for name in ("nonce", "tag"):
            same &= (entries[name] == old_rows[name]).all(axis=1)
        rows = np.zeros(len(entries), dtype=PAGE_ROW)
        rows[same] = old_rows[same]
        self.counts.add_pages(old_rows[(old_rows["session"] != 0) & ~same], -1)
        for new in _chunks(np.flatnonzero(there & ~same), PIECE_BYTES // self._pin.page_size):
            buffer = next(self._buffers).view(len(new) * self._pin.page_size)
            batch = self._pin.read((new + first).astype(np.uint64), entries[new], buffer)
            written = np.zeros(len(new), dtype=PAGE_ROW)
            for name in ("session", "nonce", "tag"):
                written[name] = batch.entries[name]
            written["pack"], written["offset"] = self._packs.add_pages(batch.ciphertext)
            rows[new] = written
            self._tell(first + int(new[-1]) + 1)
        self.counts.add_pages(rows[there & ~same], 1)
        self._tell(first + len(entries))
        return rows

    def _old_rows(self, level: int, nodes: list[tuple[int, bytes, bytes]]) -> list[EntryArray | None]:
        """Return the parent's rows of nodes, each (number, entry of the store, row of the parent).

        None stands for a node with the same below it; no row is there where the parent has no such node.
        """
        changed = [
            (number, old)
            for number, entry, old in nodes
            if old[:SOURCE_BYTES] != entry[_SLOT_BYTES:] or self._has_old_root_below(level, number)
        ]
        wanted = [(level, number, old) for number, old in changed if old != NO_NODE]
        read = {number: rows for (_, number, _), rows in zip(wanted, self._read_old(wanted), strict=True)}
        new = {number: self._no_rows(level, number) for number, old in changed if old == NO_NODE}
        return [read.get(number, new.get(number)) for number, _, _ in nodes]

    def _has_old_root_below(self, level: int, number: int) -> bool:
        """Tell whether the parent's map begins below a node, because the store has grown since."""
        return self._parent is not None and number == 0 and level > self._old_height

    def _no_rows(self, level: int, number: int) -> EntryArray:
        """Return what the parent has of a node that it has not: its root, where that is the first child."""
        rows = np.zeros(self._fanout, dtype=row_type(level))
        if self._parent is not None and number == 0 and level == self._old_height + 1:
            root = np.frombuffer(self._parent.store.root, dtype=NODE_ROW)
            rows[:1] = as_page_rows(root) if level == 1 else root
        return rows

    def _read_old(self, wanted: list[NodeAt]) -> list[EntryArray]:
        return self._parent.nodes(wanted) if self._parent is not None and wanted else []

    def _count_off(self, row: bytes) -> None:
        """Count off a node of the parent that the new map has not."""
        self.counts.nodes[int(np.frombuffer(row, dtype=NODE_ROW)["pack"][0])] -= 1

    def _drop_below(self, level: int, number: int, rows: EntryArray) -> None:
        """Count off everything that the parent has below a node."""
        if level == 1:
            self.counts.add_pages(rows[rows["session"] != 0], -1)
            return
        for ahead in _chunks(np.flatnonzero(rows["session"]), NODES_AHEAD):
            below = [(level - 1, number * self._fanout + child, _row(rows, child)) for child in ahead.tolist()]
            for (_, child_no, row), child_rows in zip(below, self._read_old(below), strict=True):
                self._count_off(row)
                self._drop_below(level - 1, child_no, child_rows)

    def _tell(self, pages: int) -> None:
        done = min(pages, self._pin.page_count) * self._pin.page_size
        if done > self._done:
            self._done = done
            self._advance(done)


def _row(rows: EntryArray, at: int, page_size: int = 0) -> bytes:
    """Return one row as that of a node, also if it is that of a page."""
    wide = np.zeros(1, dtype=NODE_ROW)
    for name in rows.dtype.names or ():
        wide[name] = rows[name][at]
    if rows.dtype == PAGE_ROW and wide["session"][0]:
        wide["length"] = page_size
    return wide.tobytes()


def _chunks(numbers: Indexes, length: int) -> Iterator[Indexes]:
    for at in range(0, len(numbers), length):
        yield numbers[at : at + length]
