"""The reading side of an open store: single pages as of the latest durable commit, from memory or from the file.

Readers do not wait for the disk that a writer waits for: they look entries up under `StoreState.map_lock`, and read and
open pages under none.

Invariants:
1. What is returned is what an entry of the map authenticates. A page that does not open is looked up again: a writer
   may have replaced it and used its slot, or its data key was destroyed; if the entry is the same, it is damaged.
2. Pages of one call are of one commit, and that was the latest at some moment of the call.
3. A commit is visible once it is durable, all of it at once.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from keystore.errors import InputError, PageRangeError, StoreDamagedError, WrongKeyError
from keystore.format.entry import HOLE
from keystore.pages.arena import Arena
from keystore.pages.life import Life
from keystore.pages.opening import Opener
from keystore.pages.reading import UnreadableError, room_of
from keystore.pages.state import StoreState

READ_TRIES = 8
"""LIMIT: how often a reader follows a page that a writer moves under it."""


class Reader:
    """Reads one open store; threads may share it."""

    def __init__(self, state: StoreState, life: Life, opener: Opener, cache_bytes: int) -> None:
        self._state, self._life, self._opener = state, life, opener
        self._arena = Arena(state.page_size, cache_bytes)

    def read(self, page_no: int) -> bytes:
        """Return a page; see `PageStore.read`."""
        return self._read(page_no)[1]

    def read_into(self, page_no: int, buffer: bytearray | memoryview) -> None:
        """Read a page into `buffer`; see `PageStore.read_into`."""
        view = room_of(buffer)
        if len(view) != self._state.page_size:
            raise InputError(f"a buffer of {len(view)} bytes; pages have {self._state.page_size}")
        entry, tries = self._entry(page_no), 0
        while entry != HOLE:
            if self._arena.read_into(entry, view):
                return
            try:
                self._opener.page_into(page_no, entry, view)
            except (UnreadableError, WrongKeyError) as error:
                entry, tries = self._entry_after(page_no, entry, error, tries), tries + 1
            else:
                self._arena.put(entry, view)
                return
        view[:] = bytes(len(view))

    @contextmanager
    def view(self, page_no: int) -> Iterator[memoryview]:
        """Lend a read-only view of a page, valid inside the `with` block."""
        entry, page = self._read(page_no)
        if entry == HOLE:
            yield memoryview(page)
            return
        with self._life.unless_closed(), self._arena.view(entry, page) as lent:
            yield lent

    def _read(self, page_no: int) -> tuple[bytes, bytes]:
        """Return a page, and the entry that it was read by."""
        entry, tries = self._entry(page_no), 0
        while entry != HOLE:
            page = self._arena.get(entry)
            if page is not None:
                return entry, page
            try:
                page = self._opener.page(page_no, entry)
            except (UnreadableError, WrongKeyError) as error:
                entry, tries = self._entry_after(page_no, entry, error, tries), tries + 1
            else:
                self._arena.put(entry, page)
                return entry, page
        return entry, bytes(self._state.page_size)

    def open(self, page_no: int, entry: bytes) -> bytes:
        """Return the version of a page that `entry` names, no hole; whoever names it keeps its slot from being used.

        Raises:
            StoreDamagedError: it does not open.
            WrongKeyError: its data key was destroyed.
        """
        page = self._arena.get(entry)
        if page is None:
            try:
                page = self._opener.page(page_no, entry)
            except UnreadableError as error:
                raise self._life.latch(StoreDamagedError(self._state.name, "page", page_no, str(error))) from None
            self._arena.put(entry, page)
        return page

    def _entry(self, page_no: int) -> bytes:
        """Return what the map has for this page."""
        state, life = self._state, self._life
        with state.map_lock:
            if life.closed or life.forked:
                life.check()
            if state.torn:
                raise state.file.unknown()
            if not 0 <= page_no < state.page_count:
                text = f"page {page_no} of {state.page_count}; nothing was read"
                raise PageRangeError(f"store {state.name}: {text}")
            try:
                return state.pages.entry(page_no)
            except StoreDamagedError as error:
                raise life.latch(error) from None

    def _entry_after(self, page_no: int, before: bytes, error: UnreadableError | WrongKeyError, tries: int) -> bytes:
        """Return what the map has now for a page that did not open by what it had before.

        Raises:
            StoreDamagedError, WrongKeyError: it is the same, or it was another one too often.
        """
        entry = self._entry(page_no)
        if entry != before:
            if tries + 1 == READ_TRIES:
                found = f"it moved {READ_TRIES} times while it was read"
                raise StoreDamagedError(self._state.name, "page", page_no, found)
            return entry
        if isinstance(error, WrongKeyError):
            raise error
        raise self._life.latch(StoreDamagedError(self._state.name, "page", page_no, str(error))) from None

    def wipe(self) -> None:
        """Overwrite every page in memory."""
        self._arena.wipe()

    def after_fork_in_child(self) -> None:
        self._arena.after_fork_in_child()
