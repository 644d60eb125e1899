"""Plaintext pages in memory: one bounded arena of frames, kept out of core dumps, wiped on close.

An entry names one version of one page, so a frame never goes stale; the least recently used one makes room.
"""

import contextlib
import mmap
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

from keystore.crypto.locked import keep_out_of_dumps


class Arena:
    """At most `capacity_bytes` of opened pages (at least one page). Threads may share it."""

    def __init__(self, page_size: int, capacity_bytes: int) -> None:
        frames = max(1, capacity_bytes // page_size)
        self._page_size = page_size
        self._memory = mmap.mmap(-1, frames * page_size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        keep_out_of_dumps(self._memory)
        self._view = memoryview(self._memory)
        self._frames: OrderedDict[bytes, int] = OrderedDict()
        self._pinned: dict[int, int] = {}
        self._free = list(range(frames - 1, -1, -1))
        self._used = 0
        """Frames below this one may hold something; the others were never touched and take no memory."""
        self._lent: dict[int, memoryview] = {}
        self._wiped = False
        self._lock = Lock()

    def get(self, entry: bytes) -> bytes | None:
        """Return the page of `entry` if it is here."""
        with self._lock:
            frame = self._frames.get(entry)
            if frame is None:
                return None
            self._frames.move_to_end(entry)
            at = frame * self._page_size
            return self._memory[at : at + self._page_size]

    def read_into(self, entry: bytes, buffer: memoryview) -> bool:
        """Copy the page of `entry` into `buffer` if it is here."""
        with self._lock:
            frame = self._frames.get(entry)
            if frame is None:
                return False
            self._frames.move_to_end(entry)
            buffer[:] = self._frame(frame)
            return True

    def put(self, entry: bytes, page: bytes | bytearray | memoryview) -> None:
        """Keep a page, if a frame can be had."""
        with self._lock:
            self._put(entry, page)

    @contextmanager
    def view(self, entry: bytes, page: bytes) -> Iterator[memoryview]:
        """Lend a read-only view of the page, in its frame while that is pinned, else of `page` itself.

        Raises:
            ValueError: at the end of the block, if the arena was wiped meanwhile.
        """
        with self._lock:
            frame = self._frames.get(entry)
            if frame is None:
                frame = self._put(entry, page)
            view = memoryview(page) if frame is None else self._frame(frame).toreadonly()
            self._lent[id(view)] = view
            wiped_before = self._wiped
            if frame is not None:
                self._pinned[frame] = self._pinned.get(frame, 0) + 1
        try:
            yield view
        finally:
            self._take_back(view, frame)
        if self._wiped and not wiped_before:
            raise ValueError("the page was wiped while it was lent")

    def _take_back(self, view: memoryview, frame: int | None) -> None:
        with self._lock:
            del self._lent[id(view)]
            if frame is not None:
                self._pinned[frame] -= 1
                if not self._pinned[frame]:
                    del self._pinned[frame]
        view.release()

    def wipe(self) -> None:
        """Overwrite every frame with zeros; nothing is kept from now on, and views that are lent are released.

        A view that something else was made of (a slice, an array) stays, and shows zeros.
        """
        with self._lock:
            self._wiped = True
            for view in self._lent.values():
                with contextlib.suppress(BufferError):
                    view.release()
            self._frames.clear()
            self._free = []
            used = self._view[: self._used * self._page_size]
            used[:] = bytes(len(used))

    def after_fork_in_child(self) -> None:
        """Another thread may have held the lock at the fork; its copy here would stay locked for ever."""
        self._lock = Lock()

    def _frame(self, frame: int) -> memoryview:
        return self._view[frame * self._page_size : (frame + 1) * self._page_size]

    def _put(self, entry: bytes, page: bytes | bytearray | memoryview) -> int | None:
        frames = self._frames
        frame = frames.get(entry)
        if frame is not None:
            frames.move_to_end(entry)
            return frame
        if self._free:
            frame = self._free.pop()
            self._used = max(self._used, frame + 1)
        elif frames and not self._pinned:
            frame = frames.popitem(last=False)[1]
        else:
            frame = self._evict()
        if frame is not None:
            at = frame * self._page_size
            self._memory[at : at + self._page_size] = page
            frames[entry] = frame
        return frame

    def _evict(self) -> int | None:
        for entry, frame in self._frames.items():
            if frame not in self._pinned:
                del self._frames[entry]
                return frame
        return None
