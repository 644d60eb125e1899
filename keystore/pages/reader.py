"""The reading side of an open store: pages as of the latest commit, from memory or from the file.

Invariant: what is returned is what an entry of the map authenticates. A page that does not open is looked up again: a
writer may have replaced it and used its slot, or its data key was destroyed; if the entry is the same, it is damaged.
"""

import contextlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from keystore.errors import InputError, PageRangeError, StoreDamagedError, StoreIOError, WrongKeyError
from keystore.format.entry import HOLE, EntryArray, entries_from_bytes
from keystore.pages.arena import Arena
from keystore.pages.life import Life
from keystore.pages.reading import READ_BYTES, Batch, UnreadableError, open_batch, read_batch
from keystore.pages.state import StoreState

READ_TRIES = 8
"""LIMIT: how often a reader follows a page that a writer moves under it."""


class Reader:
    """Reads one open store; threads may share it."""

    def __init__(self, state: StoreState, life: Life, cache_bytes: int) -> None:
        self._state, self._life = state, life
        self._arena = Arena(state.page_size, cache_bytes)

    def read(self, page_no: int) -> bytes:
        """Return a page; see `PageStore.read`."""
        page = bytearray(self._state.page_size)
        self.read_into(page_no, page)
        return bytes(page)

    def read_into(self, page_no: int, buffer: bytearray | memoryview) -> None:
        """Read a page into `buffer`, of exactly `page_size` bytes."""
        view = memoryview(buffer).cast("B")
        if len(view) != self._state.page_size:
            raise InputError(f"a buffer of {len(view)} bytes; pages have {self._state.page_size}")
        entry = self._entry(page_no)
        for _ in range(READ_TRIES):
            if entry == HOLE:
                view[:] = bytes(len(view))
                return
            if self._arena.read_into(entry, view):
                return
            try:
                view[:] = self._open_pages([page_no], entries_from_bytes(entry))
                self._arena.put(entry, view)
                return
            except (UnreadableError, WrongKeyError) as error:
                before, entry = entry, self._entry(page_no)
                if entry == before and isinstance(error, WrongKeyError):
                    raise
                if entry == before:
                    raise self._life.latch(StoreDamagedError(self._state.name, "page", page_no, str(error))) from None
        raise StoreDamagedError(self._state.name, "page", page_no, f"it moved {READ_TRIES} times while it was read")

    def read_many(self, page_nos: Sequence[int]) -> list[bytes]:
        """Return several pages, in the order asked for; adjacent ones are read together."""
        pages: list[bytes] = []
        step = max(1, READ_BYTES // self._state.page_size)
        for at in range(0, len(page_nos), step):
            pages += self._read_step(page_nos[at : at + step])
        return pages

    def _read_step(self, page_nos: Sequence[int]) -> list[bytes]:
        with self._life.lock:
            entries = [self._entry(page_no) for page_no in page_nos]
        there = [at for at, entry in enumerate(entries) if entry != HOLE]
        pages = [bytes(self._state.page_size)] * len(page_nos)
        try:
            joined = entries_from_bytes(b"".join(entries[at] for at in there))
            plain = memoryview(self._open_pages([page_nos[at] for at in there], joined))
        except (UnreadableError, WrongKeyError):
            return [self.read(page_no) for page_no in page_nos]
        for index, at in enumerate(there):
            pages[at] = bytes(plain[index * self._state.page_size : (index + 1) * self._state.page_size])
        return pages

    @contextmanager
    def view(self, page_no: int) -> Iterator[memoryview]:
        """Lend a read-only view of a page, valid inside the `with` block."""
        entry, page = self._entry(page_no), self.read(page_no)
        with contextlib.nullcontext(memoryview(page)) if entry == HOLE else self._arena.view(entry, page) as view:
            yield view

    def _entry(self, page_no: int) -> bytes:
        with self._life.lock:
            self._life.check()
            if not 0 <= page_no < self._state.page_count:
                text = f"page {page_no} of {self._state.page_count}; nothing was read"
                raise PageRangeError(f"store {self._state.name}: {text}")
            try:
                return self._state.pages.entry(page_no)
            except StoreDamagedError as error:
                raise self._life.latch(error) from None

    def _open_pages(self, page_nos: list[int], entries: EntryArray) -> bytearray:
        state = self._state
        try:
            batch = read_batch(state.file, state.page_size, np.array(page_nos, dtype=np.uint64), entries)
            return open_batch(state.sessions, state.page_size, batch)
        except (ValueError, StoreIOError) as error:
            self._life.check()  # a key that was wiped, a file that was closed: the reason is that the store was closed
            if isinstance(error, ValueError):
                raise WrongKeyError(f"store {state.name}: the data key of this page was destroyed") from error
            raise

    def check_opens(self, batch: Batch) -> None:
        """Open the pages of a batch and forget them."""
        self._life.check()
        plain = open_batch(self._state.sessions, self._state.page_size, batch)
        plain[:] = bytes(len(plain))

    def wipe(self) -> None:
        """Overwrite every page in memory."""
        self._arena.wipe()

    def after_fork_in_child(self) -> None:
        self._arena.after_fork_in_child()
