"""The page map of an open store: the tree of the last checkpoint, and over it what was committed since."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from keystore.format.entry import HOLE, EntryArray, entries_from_bytes
from keystore.format.layout import ENTRY_BYTES
from keystore.pages.tree import Tree

LEAVES_PER_HOLD_MAX = 64
"""LIMIT: leaves that a walk over the whole map looks at under one hold of the store's lock; writers wait so long."""


class Former:
    """What pages were before commits since the last checkpoint, as far as somebody reads an earlier state.

    Attributes:
        viewers: how many do; while there are none nothing is kept.
    """

    def __init__(self) -> None:
        self.viewers = 0
        self._entries: dict[int, list[tuple[int, bytes]]] = {}

    def note(self, sequence: int, entries: Iterable[tuple[int, bytes]]) -> None:
        """Keep what pages were until commit `sequence`; called in the order of commits."""
        if self.viewers:
            for page_no, entry in entries:
                self._entries.setdefault(page_no, []).append((sequence, entry))

    def entry(self, page_no: int, sequence: int) -> bytes | None:
        """Return what a page was after commit `sequence`, None if it was not changed since."""
        for until, entry in self._entries.get(page_no, ()):
            if until > sequence:
                return entry
        return None

    def leave(self) -> None:
        """One viewer less."""
        self.viewers -= 1
        if not self.viewers:
            self._entries.clear()


Leaves = Mapping[int, bytes]
"""Leaves of the tree, by number."""


class PageMap:
    """Page number to entry, as of the latest commit."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self.recent: dict[int, bytes] = {}
        self.former = Former()
        self.dirty_leaves: set[int] = set()
        """Numbers of the leaves that the next checkpoint writes."""

    def entry(self, page_no: int, leaves: Leaves | None = None) -> bytes:
        """Return the entry of a page, `HOLE` if it was never written; with its `leaves_of` this reads nothing."""
        recent = self.recent.get(page_no)
        if recent is not None:
            return recent
        tree = self.tree
        number = page_no // tree.fanout
        leaf = (leaves or tree.known_leaves).get(number) or tree.leaf(number)
        at = page_no % tree.fanout * ENTRY_BYTES
        return leaf[at : at + ENTRY_BYTES]

    def leaves_of(self, page_nos: Sequence[int]) -> Leaves:
        """Return the leaves that have the entries of pages, as far as these are not recent."""
        tree, recent = self.tree, self.recent
        numbers = [page_no // tree.fanout for page_no in page_nos if page_no not in recent]
        return {number: tree.known_leaves.get(number) or tree.leaf(number) for number in numbers}

    def entries(self, page_nos: Sequence[int], leaves: Leaves | None = None) -> list[bytes]:
        """Return the entries of pages, holes too; of adjacent numbers each leaf is looked up once."""
        if len(page_nos) == 1 or leaves is not None:
            return [self.entry(page_no, leaves) for page_no in page_nos]
        recent, fanout, leaf_no, leaf = self.recent, self.tree.fanout, -1, b""
        found = [recent.get(page_no, b"") for page_no in page_nos]
        if all(found):
            return found
        for index, page_no in enumerate(page_nos):
            if not found[index]:
                if page_no // fanout != leaf_no:
                    leaf_no = page_no // fanout
                    leaf = self.tree.leaf(leaf_no)
                at = page_no % fanout * ENTRY_BYTES
                found[index] = leaf[at : at + ENTRY_BYTES]
        return found

    def range(self, first: int, count: int) -> EntryArray:
        """Return the entries of consecutive pages, holes too, in an array of its own."""
        fanout, rows = self.tree.fanout, bytearray()
        for leaf in range(first // fanout, -(-(first + count) // fanout)):
            start = max(first - leaf * fanout, 0)
            stop = min(first + count - leaf * fanout, fanout)
            at = len(rows)
            rows += memoryview(self.tree.leaf(leaf))[start * ENTRY_BYTES : stop * ENTRY_BYTES]
            if leaf not in self.dirty_leaves:
                continue
            for page_no in range(leaf * fanout + start, leaf * fanout + stop):
                recent = self.recent.get(page_no)
                if recent is not None:
                    rows[at : at + ENTRY_BYTES] = recent
                at += ENTRY_BYTES
        return entries_from_bytes(rows)

    def existing(self, start: int) -> Iterator[tuple[int, bytes]]:
        """Yield page number and entry of every page from `start` on that is not a hole; not in order."""
        for page_no, entry in self.recent.items():
            if page_no >= start and entry != HOLE:
                yield page_no, entry
        for first, entries in self.tree.leaves(start):
            for at in np.flatnonzero(entries["slot"]):
                page_no = first + int(at)
                if page_no not in self.recent:
                    yield page_no, entries[at].tobytes()

    def cut_point(self, start: int, pages_max: int) -> int:
        """Return the lowest number from `start` on, from which on there are at most `pages_max` pages.

        Only right after a checkpoint, when nothing is recent.
        """
        assert not self.recent
        left = pages_max
        for number, _ in self.tree.nodes(1, start // self.tree.fanout, downwards=True):
            first, entries = next(self.tree.leaves(max(start, number * self.tree.fanout)))
            there = np.flatnonzero(entries["slot"])
            if len(there) > left:
                return first + int(there[len(there) - left - 1]) + 1
            left -= len(there)
        return start

    def batches(self, page_count: int) -> Iterator[tuple[npt.NDArray[np.uint64], EntryArray]]:
        """Yield page numbers and entries of all pages that are not holes, ascending, a leaf at a time.

        Only right after a checkpoint, when nothing is recent.
        """
        assert not self.recent
        for first, entries in self.tree.leaves():
            present = np.flatnonzero(entries["slot"])
            present = present[present + first < page_count]
            if len(present):
                yield (present + first).astype(np.uint64), entries[present]

    def apply(self, entries: Mapping[int, bytes]) -> None:
        """Take over new entries by page number."""
        fanout = self.tree.fanout
        self.recent.update(entries)
        self.dirty_leaves.update([page_no // fanout for page_no in entries])

    def fold(self, tree: Tree) -> None:
        """`tree` holds everything recent now."""
        self.tree.forget_leaves()
        self.tree = tree
        self.recent = {}
        self.former = Former()
        self.dirty_leaves = set()
