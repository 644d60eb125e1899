"""Reads consecutive pages of an open store into the caller's buffer, or any pages at once.

No object is made for a page of a range: entries come from the leaves of the map as one array.

Invariants: those of `keystore.pages.reader`.
"""

from collections.abc import Callable, Sequence

import numpy as np

from keystore.errors import InputError, PageRangeError, StoreDamagedError, WrongKeyError
from keystore.format import layout
from keystore.format.entry import EntryArray, U64Array, entries_from_bytes
from keystore.pages.life import Life
from keystore.pages.opening import Opener, Opening
from keystore.pages.reader import READ_TRIES
from keystore.pages.reading import Places, UnreadableError, room_of
from keystore.pages.state import StoreState


class RangeReader:
    """Reads many pages of one open store at once; threads may share it."""

    def __init__(self, state: StoreState, life: Life, opener: Opener) -> None:
        self._state, self._life, self._opener = state, life, opener

    def read_into(self, first: int, buffer: bytearray | memoryview, threads: int | None = None) -> None:
        """Fill `buffer` with the pages from `first` on; see `PageStore.read_range_into`."""
        view = room_of(buffer)
        count, rest = divmod(len(view), self._state.page_size)
        if rest:
            raise InputError(
                f"a buffer of {len(view)} bytes; whole pages of {self._state.page_size} are read. Nothing was read"
            )
        self.check(first, count)
        self._fill(_numbers(first, count), lambda: self._range(first, count), view, threads)

    def read_many(self, page_nos: Sequence[int]) -> list[bytes]:
        """Return several pages, in the order asked for; see `PageStore.read_many`."""
        if min(page_nos, default=0) < 0 or max(page_nos, default=0) > layout.PAGES_MAX:
            self._entries(page_nos)  # refuses what no array of numbers holds
        size, numbers = self._state.page_size, np.array(page_nos, dtype=np.uint64)
        buffer = bytearray(len(page_nos) * size)
        view = memoryview(buffer)
        self._fill(numbers, lambda: self._entries(page_nos), view, None)
        pages = [bytes(view[at : at + size]) for at in range(0, len(view), size)]
        buffer[:] = bytes(len(buffer))
        return pages

    def begin(self, first: int, view: memoryview, threads: int) -> Opening:
        """Begin to fill `view`, of whole pages, with those from `first` on: one try, as `Opener.begin`."""
        count = len(view) // self._state.page_size
        return self._opener.begin(_numbers(first, count), self._range(first, count), view, threads)

    def check(self, first: int, count: int) -> None:
        """Raise unless these pages are there, and the store may be read."""
        with self._state.map_lock:
            self._check(first, count)

    def _fill(
        self, page_nos: U64Array, look_up: Callable[[], EntryArray], view: memoryview, threads: int | None
    ) -> None:
        """Open pages into `view` by what `look_up` returns, and again by that, where they do not open."""
        entries = look_up()
        left: Places = np.arange(len(page_nos))
        for _ in range(READ_TRIES):
            try:
                self._open(page_nos, entries, left, view, threads)
                return
            except UnreadableError as error:
                before, entries = entries, look_up()
                changed, failed = _changed(before, entries), left[error.index]
                if failed not in changed:
                    raise self._life.latch(
                        StoreDamagedError(self._state.name, "page", int(page_nos[failed]), str(error))
                    ) from None
                left = np.union1d(changed, left[error.opened :])
            except WrongKeyError:
                before, entries = entries, look_up()
                changed = _changed(before, entries)
                if not len(changed):
                    raise
                left = np.union1d(changed, left)
        found = f"it moved {READ_TRIES} times while it was read"
        raise StoreDamagedError(self._state.name, "page", int(page_nos[left[0]]), found)

    def _open(
        self, page_nos: U64Array, entries: EntryArray, left: Places, view: memoryview, threads: int | None
    ) -> None:
        """Open the pages at the places `left` into `view`.

        Raises:
            UnreadableError: its numbers are those of `left`.
        """
        if len(left) == len(page_nos):
            self._opener.pages_into(page_nos, entries, view, threads)
            return
        size = self._state.page_size
        part = bytearray(len(left) * size)
        try:
            self._opener.pages_into(page_nos[left], entries[left], memoryview(part), threads)
            np.frombuffer(view, dtype=np.uint8).reshape(-1, size)[left] = np.frombuffer(part, np.uint8).reshape(
                -1, size
            )
        except UnreadableError as error:
            raise UnreadableError(error.index, str(error)) from None
        finally:
            part[:] = bytes(len(part))

    def _range(self, first: int, count: int) -> EntryArray:
        """Return what the map has for consecutive pages, all at one moment."""
        state = self._state
        with state.map_lock:
            self._check(first, count)
            try:
                return state.pages.range(first, count)
            except StoreDamagedError as error:
                raise self._life.latch(error) from None

    def _entries(self, page_nos: Sequence[int]) -> EntryArray:
        """Return what the map has for these pages, all at one moment."""
        state = self._state
        with state.map_lock:
            self._check(0, 0)
            for page_no in page_nos:
                if not 0 <= page_no < state.page_count:
                    text = f"page {page_no} of {state.page_count}; nothing was read"
                    raise PageRangeError(f"store {state.name}: {text}")
            try:
                return entries_from_bytes(b"".join([state.pages.entry(page_no) for page_no in page_nos]))
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


def _numbers(first: int, count: int) -> U64Array:
    return np.arange(first, first + count, dtype=np.uint64)


def _changed(before: EntryArray, entries: EntryArray) -> Places:
    """Return the places at which the map has another entry than before."""
    width = f"V{entries.itemsize}"
    return np.flatnonzero(before.view(width) != entries.view(width))
