"""One tree of a store: looks entries up, walks them, and folds changes into new nodes (copy on write).

Leaves to others: where new nodes go (`write`), and what becomes of replaced ones (`replaced`).
"""

from collections import defaultdict
from collections.abc import Callable, Iterator

import numpy as np

from keystore.format import layout
from keystore.format.entry import HOLE, EntryArray, rows_from_bytes, slot_rows
from keystore.format.layout import ENTRY_BYTES
from keystore.pages.blocks import Blocks

NodeWriter = Callable[[int, int, bytes], bytes]
"""``(level, number, content) -> entry``: puts a new node somewhere."""

LEAVES_KEPT_BYTES = 8 << 20
"""LIMIT: bytes of leaves that a tree finds by number alone, without the walk from its root."""


class Tree:
    """An immutable state of one tree: `root` names its block of level `height`.

    A *row* is an entry and what its tree keeps beside it: nothing, or in the slot map the number of used slots.
    """

    def __init__(self, blocks: Blocks, tree: int, root_row: bytes, height: int) -> None:
        self.blocks, self.tree, self.root_row, self.height = blocks, tree, root_row, height
        self.fanout = layout.fanout(blocks.page_size, tree)
        self._row_bytes = layout.row_bytes(tree)
        self.known_leaves: dict[int, bytes] = {}
        """Some of what `leaf` returns, by number."""

    @property
    def root(self) -> bytes:
        return self.root_row[:ENTRY_BYTES]

    def entry(self, level: int, number: int) -> bytes:
        """Return the entry of a block, `HOLE` if there is none.

        Raises:
            StoreDamagedError: a node on the way is damaged.
        """
        return self.row(level, number)[:ENTRY_BYTES]

    def row(self, level: int, number: int) -> bytes:
        """Return the row of a block, zeros if there is none; errors as `entry`."""
        at, row = self.height, self.root_row
        reach = self.fanout ** (self.height - level) if level <= self.height else 0
        if number >= reach:
            return bytes(self._row_bytes)
        while at > level and any(row):
            node = self.blocks.read(self.tree, at, number // self.fanout ** (at - level), row[:ENTRY_BYTES])
            at -= 1
            child = number // self.fanout ** (at - level) % self.fanout
            row = node[child * self._row_bytes : (child + 1) * self._row_bytes]
        return row

    def children(self, level: int, number: int) -> bytes:
        """Return the content of a node, zeros if there is none."""
        entry = self.entry(level, number)
        if entry == HOLE:
            return bytes(self.blocks.page_size)
        return self.blocks.read(self.tree, level, number, entry)

    def leaf(self, number: int) -> bytes:
        """Return the rows of `fanout` blocks of level 0, from number ``number * fanout`` on; errors as `entry`."""
        known = self.known_leaves.get(number)
        if known is not None:
            return known
        if self.height == 0:
            content = (self.root_row if number == 0 else b"").ljust(self.blocks.page_size, b"\0")
        else:
            content = self.children(1, number)
        if (len(self.known_leaves) + 1) * self.blocks.page_size > LEAVES_KEPT_BYTES:
            self.known_leaves.clear()
        self.known_leaves[number] = content
        return content

    def forget_leaves(self) -> None:
        """Drop the leaves in memory; they are looked up anew."""
        self.known_leaves.clear()

    def leaves(self, start: int = 0) -> Iterator[tuple[int, EntryArray]]:
        """Yield ``(first number, entries)`` of each leaf that holds blocks of level 0 from `start` on, holes included.

        Raises:
            StoreDamagedError: a node is damaged; the walk ends there.
        """
        if self.height == 0:
            if self.root != HOLE and start == 0:
                yield 0, rows_from_bytes(self.root_row, self.tree)
            return
        for number, _ in self.nodes(1, start // self.fanout):
            entries = rows_from_bytes(self.children(1, number), self.tree)
            first = number * self.fanout
            skip = max(0, start - first)
            yield first + skip, entries[skip:]

    def nodes(self, level: int, start: int = 0, *, downwards: bool = False) -> Iterator[tuple[int, bytes]]:
        """Yield ``(number, entry)`` of every block of `level` that exists, from number `start` on, or down to it."""
        if level > self.height or self.root == HOLE:
            return
        yield from self._descend(self.height, 0, self.root, level, start, -1 if downwards else 1)

    def _descend(
        self, at: int, number: int, entry: bytes, level: int, start: int, step: int
    ) -> Iterator[tuple[int, bytes]]:
        if at == level:
            if number >= start:
                yield number, entry
            return
        reach = self.fanout ** (at - 1 - level)
        content = self.blocks.read(self.tree, at, number, entry)
        entries = rows_from_bytes(content, self.tree)
        for child in np.flatnonzero(entries["slot"])[::step].tolist():
            below = number * self.fanout + child
            if (below + 1) * reach > start:
                yield from self._descend(at - 1, below, entries[child].tobytes(), level, start, step)

    def fold(
        self, changes: dict[int, bytes], blocks: int, write: NodeWriter, replaced: Callable[[bytes], None]
    ) -> "Tree":
        """Return the tree with new rows of level 0 and room for `blocks` blocks.

        `replaced` hears of every node that the new tree no longer names; rows of level 0 are the caller's to count.
        Changes beyond `blocks` must be holes.
        """
        height = layout.height(blocks, self.blocks.page_size, self.tree)
        at_level = dict(changes)
        root = at_level.get(0, self.row(0, 0))
        for level in range(1, max(self.height, height) + 1):
            if level - 1 == self.height < height and self.root != HOLE:
                at_level.setdefault(0, self.root_row)
            if level - 1 == height < self.height:
                at_level.setdefault(0, self.row(height, 0))
            at_level = self._fold_level(level, at_level, write if level <= height else None, replaced)
            if level == height:
                root = at_level.get(0, self.row(height, 0))
        return Tree(self.blocks, self.tree, root, height)

    def _fold_level(
        self, level: int, changes: dict[int, bytes], write: NodeWriter | None, replaced: Callable[[bytes], None]
    ) -> dict[int, bytes]:
        by_parent: dict[int, list[int]] = defaultdict(list)
        for number in sorted(changes):
            by_parent[number // self.fanout].append(number)
        above: dict[int, bytes] = {}
        no_row = bytes(self._row_bytes)
        for parent, numbers in by_parent.items():
            content = bytearray(self.children(level, parent))
            for number in numbers:
                child = number % self.fanout * self._row_bytes
                content[child : child + self._row_bytes] = changes[number]
            old = self.entry(level, parent)
            if old != HOLE:
                replaced(old)
            # Above the new root nothing is written; the hole makes the next level up drop its node as well.
            if write is not None and any(content):
                above[parent] = self._row_of(write(level, parent, bytes(content)), content)
            else:
                above[parent] = no_row
        return above

    def _row_of(self, entry: bytes, content: bytearray) -> bytes:
        """Return the row of a node of this content: in the slot map a count is the sum of those below."""
        if self.tree != layout.TREE_SLOTS:
            return entry
        return entry + int(slot_rows(content)["used"].sum()).to_bytes(8, "little")
