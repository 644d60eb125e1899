"""A read point: the pages of a store as one commit left them, however many follow.

Lighter than a pin: beginning one reads and writes nothing, and waits for no disk. What it keeps is in memory: the map
of its checkpoint, and what later commits replace in it. Slots that it may reach are not used again (`SlotMap`).

LIMIT: a read point keeps at most the entries of the commits between two checkpoints, and the file grows by what is
replaced while it is there.

Invariant: what is read is what the commit at `sequence` left, or an error.
"""

from keystore.errors import PageRangeError, StoreDamagedError
from keystore.format.entry import HOLE
from keystore.format.layout import ENTRY_BYTES
from keystore.pages.life import Life
from keystore.pages.reader import Reader
from keystore.pages.state import StoreState


class ReadPoint:
    """Made by `PageStore.read_point`, which says more; used by one thread at a time."""

    def __init__(self, state: StoreState, life: Life, reader: Reader) -> None:
        self._state, self._life, self._reader = state, life, reader
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

    def read(self, page_no: int) -> bytes:
        """Return a page; a hole reads as zeros. Errors as `PageStore.read`."""
        entry = self.entry(page_no)
        return bytes(self._state.page_size) if entry == HOLE else self._reader.open(page_no, entry)

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
            self._former.leave()
            state.read_points[self._begun] -= 1
            if not state.read_points[self._begun]:
                del state.read_points[self._begun]
