"""A read point: the pages of a store as one commit left them, however many follow.

Lighter than a pin: beginning one reads and writes nothing, and waits for no disk. What it keeps is in memory: the map
of its checkpoint, and what later commits replace in it. Slots that it may reach are not used again (`SlotMap`).

LIMIT: a read point keeps at most the entries of the commits between two checkpoints, and the file grows by what is
replaced while it is there.

Who reads one page after the other is given them from a batch that was read and opened at once.

Invariant: what is read is what the commit at `sequence` left, or an error.
"""

from typing import Final

import numpy as np

from keystore.errors import PageRangeError, StoreDamagedError, WrongKeyError
from keystore.format.entry import HOLE, entries_from_bytes
from keystore.format.layout import ENTRY_BYTES
from keystore.pages.life import Life
from keystore.pages.opening import Opener
from keystore.pages.reader import Reader
from keystore.pages.reading import UnreadableError
from keystore.pages.state import StoreState

AHEAD_AFTER: Final = 3
"""How many pages in a row are read one by one."""
AHEAD_BYTES: Final = 256 << 10
"""LIMIT: bytes of pages that a read point reads ahead, and keeps in memory in clear until it is released."""


class ReadPoint:
    """Made by `PageStore.read_point`, which says more; used by one thread at a time."""

    def __init__(self, state: StoreState, life: Life, reader: Reader, opener: Opener) -> None:
        self._state, self._life, self._reader, self._opener = state, life, reader, opener
        with state.map_lock:
            life.check()
            if state.torn:
                raise state.file.unknown()
            pages = state.pages
            self._tree, self._recent, self._former = pages.tree, pages.recent, pages.former
            self._begun = state.checkpoint
            self._former.viewers += 1
            state.read_points[self._begun] += 1
            self.sequence, self.page_count, self.byte_length = state.sequence, state.page_count, state.byte_length
        self._released = False
        self._next_page = self._in_a_row = 0
        self._ahead, self._ahead_first, self._ahead_end = bytearray(), 0, 0

    def read(self, page_no: int) -> bytes:
        """Return a page; a hole reads as zeros. Errors as `PageStore.read`."""
        if self._ahead_first <= page_no < self._ahead_end and not (self._life.closed or self._life.forked):
            self._next_page = page_no + 1
            at = (page_no - self._ahead_first) * self._state.page_size
            return bytes(memoryview(self._ahead)[at : at + self._state.page_size])
        if page_no == self._next_page:
            self._in_a_row += 1
            if self._in_a_row > AHEAD_AFTER and self._read_ahead(page_no):
                return self.read(page_no)
        else:
            self._in_a_row = 0
        self._next_page = page_no + 1
        entry = self.entry(page_no)
        return bytes(self._state.page_size) if entry == HOLE else self._reader.open(page_no, entry)

    def _read_ahead(self, first: int) -> bool:
        """Open the pages from `first` on together; False: one of them does not open, or there is only this."""
        size = self._state.page_size
        count = min(4 * self._in_a_row, AHEAD_BYTES // size, self.page_count - first)
        self._ahead_first = self._ahead_end = 0
        if count < 2:
            return False
        if not self._ahead:
            self._ahead = bytearray(AHEAD_BYTES)
        numbers = range(first, first + count)
        entries = entries_from_bytes(b"".join([self.entry(page_no) for page_no in numbers]))
        try:
            out = memoryview(self._ahead)[: count * size]
            self._opener.pages_into(np.arange(first, first + count, dtype=np.uint64), entries, out, 1)
        except (UnreadableError, WrongKeyError):
            self._in_a_row = 0  # one by one, so that the one which does not open is told when it is asked for
            return False
        self._ahead_first, self._ahead_end = first, first + count
        self._in_a_row += count
        return True

    def entry(self, page_no: int) -> bytes:
        """Return what the map had for a page: bytes that name one version of it, or `HOLE`."""
        state = self._state
        if not 0 <= page_no < self.page_count or self._released:
            text = f"page {page_no} of {self.page_count}{', after the end' if self._released else ''}"
            raise PageRangeError(f"store {state.name}: {text}; nothing was read")
        with state.map_lock:
            if self._life.closed or self._life.forked:
                self._life.check()
            entry = self._former.entry(page_no, self.sequence) or self._recent.get(page_no)
            if entry is not None:
                return entry
            tree = self._tree
            number, child = divmod(page_no, tree.fanout)
            try:
                leaf = tree.known_leaves.get(number) or tree.leaf(number)
            except StoreDamagedError as error:
                raise self._life.latch(error) from None
        return leaf[child * ENTRY_BYTES : (child + 1) * ENTRY_BYTES]

    def release(self) -> None:
        """Give up the slots that nobody else reaches: the next checkpoint frees them. May be called twice."""
        state = self._state
        with state.map_lock:
            if self._released:
                return
            self._released = True
            self._ahead[:] = bytes(len(self._ahead))
            self._ahead_first = self._ahead_end = 0
            self._former.leave()
            state.read_points[self._begun] -= 1
            if not state.read_points[self._begun]:
                del state.read_points[self._begun]
