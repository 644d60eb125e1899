"""Finds blocks of the slot map by the counts in the nodes above them, so that no search reads the whole map.

Reads the tree of the last checkpoint. Leaves to others: what changed since (`slots`).
"""

from collections.abc import Callable, Iterator

from keystore.format import layout
from keystore.format.entry import HOLE, slot_rows
from keystore.pages.tree import Tree


class SlotIndex:
    """The slot map as the newest header reaches it; `tree()` returns that tree."""

    def __init__(self, page_size: int, tree: Callable[[], Tree]) -> None:
        self._page_size, self._tree = page_size, tree
        self._per_block = layout.slots_per_block(page_size)

    def load(self, block: int) -> bytes | None:
        """Return a block, or None for one that was never written (none of its slots is used)."""
        tree = self._tree()
        entry = tree.entry(0, block)
        return None if entry == HOLE else tree.blocks.read(layout.TREE_SLOTS, 0, block, entry)

    def used(self, block: int) -> int:
        """Return how many slots of a block are used."""
        return _used(self._tree().row(0, block))

    def capacity(self, first: int, blocks: int, slot_count: int) -> int:
        """Return how many slots there are in `blocks` blocks from `first` on."""
        low = max(first * self._per_block, layout.first_slot(self._page_size))
        return max(0, min((first + blocks) * self._per_block, slot_count) - low)

    def with_room(self, start: int, slot_count: int) -> Iterator[int]:
        """Yield the blocks from `start` on with a slot that is not used, ascending."""
        tree, blocks = self._tree(), layout.slot_blocks(slot_count, self._page_size)
        for number in self._descend(tree, tree.height, 0, tree.root_row, start, slot_count):
            if number >= blocks:
                return
            yield number
        yield from range(max(start, tree.fanout**tree.height), blocks)

    def _descend(self, tree: Tree, level: int, number: int, row: bytes, start: int, slot_count: int) -> Iterator[int]:
        reach = tree.fanout**level
        first = number * reach
        if first + reach <= start or _used(row) >= self.capacity(first, reach, slot_count):
            return
        if level == 0:
            yield number
        elif not any(row):
            yield from range(max(start, first), first + reach)
        else:
            rows = slot_rows(tree.blocks.read(layout.TREE_SLOTS, level, number, row[: layout.ENTRY_BYTES]))
            for child in range(tree.fanout):
                below = number * tree.fanout + child
                yield from self._descend(tree, level - 1, below, rows[child].tobytes(), start, slot_count)


def _used(row: bytes) -> int:
    return int.from_bytes(row[layout.ENTRY_BYTES :], "little")
