"""The reading side of an open store: pages as of the latest durable commit, from memory or from the file.

Readers do not wait for the disk that a writer waits for: they look entries up under `StoreState.map_lock`, and read and
open pages under none.

Invariants:
1. What is returned is what an entry of the map authenticates. A page that does not open is looked up again: a writer
   may have replaced it and used its slot, or its data key was destroyed; if the entry is the same, it is damaged.
2. Pages of one call are of one commit, and that was the latest at some moment of the call.
3. A commit is visible once it is durable, all of it at once.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from keystore.errors import InputError, PageRangeError, StoreDamagedError, WrongKeyError
from keystore.format.entry import HOLE, EntryArray, entries_from_bytes
from keystore.pages.arena import Arena
from keystore.pages.life import Life
from keystore.pages.reading import READ_BYTES, UnreadableError, open_batch, read_batch
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
        self._read(page_no, view)

    def read_many(self, page_nos: Sequence[int]) -> list[bytes]:
        """Return several pages, in the order asked for; adjacent ones are read together."""
        opened = {HOLE: bytes(self._state.page_size)}
        entries = self._entries(page_nos)
        step = max(1, READ_BYTES // self._state.page_size)
        for _ in range(READ_TRIES):
            missing = [at for at, entry in enumerate(entries) if entry not in opened]
            try:
                for at in range(0, len(missing), step):
                    part = missing[at : at + step]
                    self._read_step([page_nos[at] for at in part], [entries[at] for at in part], opened)
                return [opened[entry] for entry in entries]
            except UnreadableError as error:
                before, entries = entries, self._entries(page_nos)
                failed = missing[at + error.index]
                if entries[failed] == before[failed]:
                    raise self._damaged(page_nos[failed], str(error)) from None
            except WrongKeyError:
                before, entries = entries, self._entries(page_nos)
                if entries == before:
                    raise
        raise self._moved(page_nos[missing[0]])

    @contextmanager
    def view(self, page_no: int) -> Iterator[memoryview]:
        """Lend a read-only view of a page, valid inside the `with` block."""
        page = bytearray(self._state.page_size)
        entry = self._read(page_no, memoryview(page))
        kept = bytes(page)
        if entry == HOLE:
            yield memoryview(kept)
            return
        with self._life.unless_closed(), self._arena.view(entry, kept) as lent:
            yield lent

    def _read(self, page_no: int, view: memoryview) -> bytes:
        """Fill `view` with a page; return the entry that it was read by."""
        entry = self._entries([page_no])[0]
        for _ in range(READ_TRIES):
            if entry == HOLE:
                view[:] = bytes(len(view))
                return entry
            if self._arena.read_into(entry, view):
                return entry
            try:
                view[:] = self._open_pages([page_no], entries_from_bytes(entry))
                self._arena.put(entry, view)
                return entry
            except UnreadableError as error:
                before, entry = entry, self._entries([page_no])[0]
                if entry == before:
                    raise self._damaged(page_no, str(error)) from None
            except WrongKeyError:
                before, entry = entry, self._entries([page_no])[0]
                if entry == before:
                    raise
        raise self._moved(page_no)

    def _read_step(self, page_nos: list[int], entries: list[bytes], opened: dict[bytes, bytes]) -> None:
        page_size = self._state.page_size
        plain = memoryview(self._open_pages(page_nos, entries_from_bytes(b"".join(entries))))
        for at, entry in enumerate(entries):
            opened[entry] = bytes(plain[at * page_size : (at + 1) * page_size])

    def _entries(self, page_nos: Sequence[int]) -> list[bytes]:
        """Return what the map has for these pages, all at one moment."""
        state = self._state
        with state.map_lock:
            self._life.check()
            if state.torn:
                raise state.file.unknown()
            for page_no in page_nos:
                if not 0 <= page_no < state.page_count:
                    text = f"page {page_no} of {state.page_count}; nothing was read"
                    raise PageRangeError(f"store {state.name}: {text}")
            try:
                return [state.pages.entry(page_no) for page_no in page_nos]
            except StoreDamagedError as error:
                raise self._life.latch(error) from None

    def _open_pages(self, page_nos: list[int], entries: EntryArray) -> bytearray:
        state = self._state
        try:
            with self._life.unless_closed():
                batch = read_batch(state.file, state.page_size, np.array(page_nos, dtype=np.uint64), entries)
                return open_batch(state.sessions, state.page_size, batch)
        except ValueError as error:
            raise WrongKeyError(f"store {state.name}: the data key of this page was destroyed") from error

    def _damaged(self, page_no: int, found: str) -> StoreDamagedError:
        return self._life.latch(StoreDamagedError(self._state.name, "page", page_no, found))

    def _moved(self, page_no: int) -> StoreDamagedError:
        return StoreDamagedError(self._state.name, "page", page_no, f"it moved {READ_TRIES} times while it was read")

    def wipe(self) -> None:
        """Overwrite every page in memory."""
        self._arena.wipe()

    def after_fork_in_child(self) -> None:
        self._arena.after_fork_in_child()
