"""Scans an open store: its pages in order, a piece at a time, the next one read and opened while one is lent.

Invariant: once the scan has ended, or the store is closed, no plaintext is left in its buffers.
"""

from collections.abc import Generator
from contextlib import suppress

import numpy as np

from keystore.errors import InputError, KeystoreError
from keystore.pages.opening import Opener, Opening
from keystore.pages.ranges import RangeReader
from keystore.pages.reading import READ_BYTES, UnreadableError
from keystore.pages.state import StoreState

THREADS_MAX = 64
"""LIMIT: threads of one scan; more are taken for as many."""


class Scans:
    """The scans of one open store."""

    def __init__(self, state: StoreState, ranges: RangeReader, opener: Opener) -> None:
        self._state, self._ranges, self._opener = state, ranges, opener
        self._running: dict[int, Scan] = {}
        """By identity."""

    def begin(self, first: int, count: int | None, threads: int | None) -> Generator[memoryview, None, None]:
        """Return a new scan; see `PageStore.scan`."""
        if threads is not None and threads < 1:
            raise InputError(f"{threads} threads; at least one reads. Nothing was read")
        end = self._state.page_count if count is None else first + count
        self._ranges.check(first, end - first)
        wanted = self._opener.threads if threads is None else min(threads, THREADS_MAX)
        return self._run(Scan(self._ranges, self._state.page_size, first, end, wanted))

    def wipe(self) -> None:
        """Overwrite what is lent, and what was read ahead, with zeros."""
        for scan in list(self._running.values()):
            scan.wipe()

    def _run(self, scan: "Scan") -> Generator[memoryview, None, None]:
        self._running[id(scan)] = scan
        try:
            yield from scan.pieces()
        finally:
            del self._running[id(scan)]
            scan.wipe()


class Scan:
    """Pages `first` to `end`, in pieces of a mebibyte."""

    def __init__(self, ranges: RangeReader, page_size: int, first: int, end: int, threads: int) -> None:
        self._ranges, self._page_size, self._end, self._threads = ranges, page_size, end, threads
        self._step = max(1, READ_BYTES // page_size)
        self._starts = range(first, end, self._step)
        length = min(self._step, end - first) * page_size
        self._buffers = [bytearray(length) for _ in range(2 if threads > 1 else 1)]
        self._ahead: Opening | None = None
        self._wiped = False

    def pieces(self) -> Generator[memoryview, None, None]:
        """Yield the pieces; each is released, and overwritten, when the next one is asked for."""
        for number, start in enumerate(self._starts):
            piece = self._piece(number, start)
            self._fill(start, piece)
            if number + 1 < len(self._starts):
                self._begin(number + 1, start + self._step)
            if self._wiped:  # by the close of the store, maybe before the last of this came
                self._ranges.check(0, 0)
            lent = piece.toreadonly()
            yield lent
            self._ranges.check(0, 0)  # or a store that was closed meanwhile: what was lent was wiped
            with suppress(BufferError):  # something was made of it, and shows a later piece
                lent.release()

    def wipe(self) -> None:
        """Stop reading ahead, and overwrite the buffers with zeros."""
        self._wiped = True
        ahead = self._ahead  # the scan may take it meanwhile
        if ahead is not None:
            ahead.stop()
        for buffer in self._buffers:
            np.frombuffer(buffer, dtype=np.uint8).fill(0)

    def _piece(self, number: int, start: int) -> memoryview:
        """Return memory for a piece: not that of the one before, if there are threads that read ahead."""
        buffer = self._buffers[number % len(self._buffers)]
        return memoryview(buffer)[: min(self._step, self._end - start) * self._page_size]

    def _begin(self, number: int, start: int) -> None:
        """Begin with the next piece; what stands in its way is told when it is asked for."""
        if self._threads > 1:
            with suppress(KeystoreError, UnreadableError):
                self._ahead = self._ranges.begin(start, self._piece(number, start), self._threads)

    def _fill(self, start: int, piece: memoryview) -> None:
        ahead, self._ahead = self._ahead, None
        if ahead is not None:
            try:
                ahead.finish()
                self._ranges.check(0, 0)
                return
            except (KeystoreError, UnreadableError):
                pass  # a writer may have moved a page meanwhile; if not, this is told now
        self._ranges.read_into(start, piece, self._threads)
