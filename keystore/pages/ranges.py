"""Reads consecutive pages of an open store into the caller's buffer, and scans all of them a piece at a time.

No object is made for a page: entries come from the leaves of the map as one array, and pages are opened in steps.

Invariants: those of `keystore.pages.reader`. What one call fills is of one commit; two pieces of a scan may be of two.
"""

from collections.abc import Generator
from contextlib import suppress

import numpy as np
import numpy.typing as npt

from keystore.errors import InputError, PageRangeError, StoreDamagedError, WrongKeyError
from keystore.format.entry import EntryArray
from keystore.pages.life import Life
from keystore.pages.reading import READ_BYTES, UnreadableError, open_batch, read_batch
from keystore.pages.state import StoreState

READ_TRIES = 8
"""LIMIT: how often a reader follows a page that a writer moves under it."""

Places = npt.NDArray[np.int64]
"""Places within a range, ascending."""


class RangeReader:
    """Reads ranges of one open store; threads may share it."""

    def __init__(self, state: StoreState, life: Life) -> None:
        self._state, self._life = state, life
        self._lent: dict[int, bytearray] = {}
        """What scans lend, by identity."""

    def read_into(self, first: int, buffer: bytearray | memoryview) -> None:
        """Fill `buffer` with the pages from `first` on; see `PageStore.read_range_into`."""
        view = memoryview(buffer).cast("B")
        count, rest = divmod(len(view), self._state.page_size)
        if rest:
            raise InputError(
                f"a buffer of {len(view)} bytes; whole pages of {self._state.page_size} are read. Nothing was read"
            )
        entries, left = self._entries(first, count), np.arange(count)
        for _ in range(READ_TRIES):
            try:
                self._open(first, entries, left, view)
                return
            except UnreadableError as error:
                before, entries = entries, self._entries(first, count)
                changed, failed = _changed(before, entries), int(left[error.index])
                if failed not in changed:
                    raise self._life.latch(
                        StoreDamagedError(self._state.name, "page", first + failed, str(error))
                    ) from None
                left = np.union1d(changed, left[error.index :])
            except WrongKeyError:
                before, entries = entries, self._entries(first, count)
                changed = _changed(before, entries)
                if not len(changed):
                    raise
                left = np.union1d(changed, left)
        found = f"it moved {READ_TRIES} times while it was read"
        raise StoreDamagedError(self._state.name, "page", first + int(left[0]), found)

    def scan(self, first: int, count: int | None) -> Generator[memoryview, None, None]:
        """Yield the pages from `first` on; see `PageStore.scan`."""
        end = self._state.page_count if count is None else first + count
        self._check(first, end - first)
        return self._pieces(first, end)

    def _pieces(self, first: int, end: int) -> Generator[memoryview, None, None]:
        page_size = self._state.page_size
        step = max(1, READ_BYTES // page_size)
        buffer = bytearray(min(step, end - first) * page_size)
        self._lent[id(buffer)] = buffer
        try:
            for at in range(first, end, step):
                piece = memoryview(buffer)[: min(step, end - at) * page_size]
                self.read_into(at, piece)
                lent = piece.toreadonly()
                yield lent
                with suppress(BufferError):  # something was made of it, and shows the next piece
                    lent.release()
        finally:
            del self._lent[id(buffer)]
            buffer[:] = bytes(len(buffer))

    def wipe(self) -> None:
        """Overwrite what scans lend with zeros."""
        for buffer in list(self._lent.values()):
            buffer[:] = bytes(len(buffer))

    def _entries(self, first: int, count: int) -> EntryArray:
        """Return what the map has for these pages, all at one moment."""
        state = self._state
        with state.map_lock:
            self._check(first, count)
            try:
                return state.pages.range(first, count)
            except StoreDamagedError as error:
                raise self._life.latch(error) from None

    def _check(self, first: int, count: int) -> None:
        state = self._state
        self._life.check()
        if state.torn:
            raise state.file.unknown()
        if first < 0 or count < 0 or first + count > state.page_count:
            text = f"pages {first} to {first + count - 1} of {state.page_count}; nothing was read"
            raise PageRangeError(f"store {state.name}: {text}")

    def _open(self, first: int, entries: EntryArray, left: Places, view: memoryview) -> None:
        """Open the pages at the places `left` into `view`, in that order.

        Raises:
            UnreadableError: with the first one in `left` that did not open; those before it are in `view`.
        """
        page_size = self._state.page_size
        step = max(1, READ_BYTES // page_size)
        for at in range(0, len(left), step):
            places = left[at : at + step]
            chosen = entries[places]
            there = np.flatnonzero(chosen["slot"])
            page_nos = (places[there] + first).astype(np.uint64)
            try:
                plain = self._open_pages(page_nos, chosen[there])
            except UnreadableError as error:
                raise UnreadableError(at + int(there[error.index]), str(error)) from None
            _spread(plain, places, there, page_size, view)

    def _open_pages(self, page_nos: npt.NDArray[np.uint64], entries: EntryArray) -> bytearray:
        state = self._state
        try:
            with self._life.unless_closed():
                batch = read_batch(state.file, state.page_size, page_nos, entries)
                return open_batch(state.sessions, state.page_size, batch)
        except ValueError as error:
            raise WrongKeyError(f"store {state.name}: the data key of this page was destroyed") from error


def _changed(before: EntryArray, entries: EntryArray) -> Places:
    """Return the places at which the map has another entry than before."""
    width = f"V{entries.itemsize}"
    return np.flatnonzero(before.view(width) != entries.view(width))


def _spread(plain: bytearray, places: Places, there: Places, page_size: int, view: memoryview) -> None:
    """Put opened pages where they belong, zeros where a page is a hole, and wipe `plain`."""
    rows = np.frombuffer(view, dtype=np.uint8).reshape(-1, page_size)
    if len(there) < len(places):
        rows[places] = 0
    rows[places[there]] = np.frombuffer(plain, dtype=np.uint8).reshape(-1, page_size)
    plain[:] = bytes(len(plain))
