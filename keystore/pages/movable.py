"""A `BlockFile` that moves to another one while a store uses it: readers, writers and pins go on and notice nothing.

A move copies the bytes, piece by piece. What is written meanwhile is written to both; the former file is read and
counts until the copy is durable and has its name. So the copy needs no catching up: at any moment what was copied is
the same on both sides.

Invariants:
1. Until the copy gets its name nothing depends on it: an error on it ends the move, and no commit fails.
2. When it gets its name it is durable and equal to the former one, no write is under way, and none comes before that
   name is durable. From then on nothing is written to the former one.
3. Where it is unknown which of the two has the name, both are written and synced until the store is closed: whichever
   the next opening finds has every commit.

The former file is closed when the last reader lets go of it (CPython counts references), and its space is free then.

CRASH: before the name, a copy that nobody needs; after it, the copy in place of the former file.
Leaves to others: names, and what either file is.
"""

import errno
import os
from collections.abc import Callable
from threading import Lock

from keystore.errors import InputError, StoreClosedError, StoreFullError, StoreIOError
from keystore.pages.pace import Pace
from keystore.pages.protocols import BlockFile, Buffer, DescribedFile, DirectFile, EarlyFile, T
from keystore.progress import Progress

STEP_BYTES = 1 << 20
"""LIMIT: bytes copied while writers wait."""


class _Turns:
    """A lock that two threads get by turns: who lets go of it does not get it again before one who waits."""

    def __init__(self) -> None:
        self._next, self._lock = Lock(), Lock()

    def __enter__(self) -> None:
        with self._next:
            self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()


class MovableFile:
    """The file of one open store, `name` in messages; it owns the file that it is given. Threads may share it."""

    def __init__(self, name: str, file: BlockFile) -> None:
        self._name, self._file = name, file
        self._copy: BlockFile | None = None
        self._same = False
        """Whether every change since the move began was done to both."""
        self._problem: OSError | None = None
        """Why not, if the copy is to blame."""
        self._both = False
        """Whether either may be the one that the next opening finds."""
        self._closed = False
        self._moved: Callable[[], None] = lambda: None
        self._process, self._changing = os.getpid(), _Turns()

    @property
    def file(self) -> BlockFile:
        """The file that is read, for a look at what it is."""
        return self._file

    def descriptor(self) -> int | None:
        return self._file.descriptor() if isinstance(self._file, DescribedFile) else None

    def when_moved(self, act: Callable[[], None]) -> None:
        self._moved = act

    def size(self) -> int:
        return self._file.size()

    def read(self, offset: int, buffer: memoryview) -> None:
        self._file.read(offset, buffer)

    def write(self, offset: int, data: Buffer) -> None:
        self._change(lambda file: file.write(offset, data))

    def by_descriptor(self, act: Callable[[int], T]) -> T | None:
        with self._changing:
            file = self._file
            return file.by_descriptor(act) if self._copy is None and isinstance(file, DirectFile) else None

    def begin_writing(self, offset: int, length: int) -> None:
        file = self._file
        if isinstance(file, EarlyFile):
            file.begin_writing(offset, length)

    def extend(self, size: int, *, written: bool = False) -> None:
        self._change(lambda file: file.extend(size, written=written))

    def truncate(self, size: int) -> None:
        self._change(lambda file: file.truncate(size))

    def sync(self) -> None:
        try:
            self._file.sync()
        except BaseException:
            self._same = False  # nobody knows what the disk has of the former file: what was copied proves nothing
            raise
        if self._both and self._copy is not None:
            self._copy.sync()

    def evict(self, offset: int, length: int) -> None:
        self._file.evict(offset, length)

    def close(self) -> None:
        if os.getpid() != self._process:
            self._close()  # a forked child: who had the lock does not run here
            return
        with self._changing:
            self._close()

    def _close(self) -> None:
        self._closed = True
        try:
            self._file.close()
        finally:
            copy, self._copy = self._copy, None
            if copy is not None:
                copy.close()

    def _change(self, act: Callable[[BlockFile], None]) -> None:
        with self._changing:
            copy = self._copy
            if copy is None or not (self._same or self._both):
                act(self._file)
                return
            self._same = False  # stays so after an error, or a signal, between the two
            act(self._file)
            try:
                act(copy)
            except OSError as error:
                self._problem = error
                if self._both:
                    raise
            else:
                self._same = True

    def move(
        self,
        copy: BlockFile,
        give_name: Callable[[], None],
        make_durable: Callable[[], None],
        progress: Progress,
        pace: Pace,
    ) -> None:
        """Move to `copy`, an empty file, and own it; durable on return.

        Args:
            give_name: puts the copy in the place of the former file, all or nothing.
            make_durable: makes that durable.
            progress: is told bytes done and in all; each counts twice, copied and compared.

        Raises:
            InputError: a move is under way.
            StoreFullError, StoreIOError, StoreClosedError: the former file counts; the copy is closed.
            OSError: of `give_name`, likewise; of `make_durable`: it is unknown which file has the name.
        """
        try:
            self._begin(copy)
            self._pass(self._copy_piece, progress, 0, pace)
            copy.sync()
            copy.evict(0, copy.size())
            self._pass(self._compare_piece, progress, 1, pace)
            with self._changing:
                self._require_same()
                copy.sync()
                self._put_in_place(copy, give_name, make_durable)
        except BaseException as error:
            self._give_up(copy)
            if self._closed and isinstance(error, OSError | ValueError):  # the system's, and Python's for no descriptor
                raise self._was_closed() from error
            if isinstance(error, OSError) and not self._both:
                raise self._refusal(error) from error
            raise

    def _begin(self, copy: BlockFile) -> None:
        copy.extend(self._file.size())  # takes the space, before anything is written and while writers go on
        with self._changing:
            if self._both:
                raise StoreIOError(f"store {self._name}: it is unknown where it lies since an error; open it again")
            if self._copy is not None or self._closed:
                raise InputError(f"store {self._name} is being moved, or closed; nothing was changed")
            size = self._file.size()
            copy.truncate(min(size, copy.size()))
            copy.extend(size)
            self._copy, self._same, self._problem = copy, True, None

    def _pass(self, step: Callable[[int, int], None], progress: Progress, passed: int, pace: Pace) -> None:
        """Do `step` with each piece of the file; it may grow and shrink meanwhile."""
        offset = 0
        while True:
            with self._changing:
                self._require_same()
                size = self._file.size()
                length = min(STEP_BYTES, size - offset)
                if length <= 0:
                    return
                step(offset, length)
            offset += length
            progress(passed * size + offset, 2 * size)
            pace.passed(length)

    def _copy_piece(self, offset: int, length: int) -> None:
        piece = self._piece(self._file, offset, length)
        if piece.count(0) < length:  # what nobody wrote is zeros in the copy already
            self._there().write(offset, piece)

    def _compare_piece(self, offset: int, length: int) -> None:
        if self._piece(self._file, offset, length) != self._piece(self._there(), offset, length):
            raise OSError(errno.EIO, "what was copied reads back differently")

    def _put_in_place(self, copy: BlockFile, give_name: Callable[[], None], make_durable: Callable[[], None]) -> None:
        self._both = True
        try:
            give_name()
        except OSError:
            self._both = False
            raise
        make_durable()
        former = self._file
        self._file, self._copy, self._both = copy, None, False
        self._moved()
        del former  # from here on nobody reads by its descriptor

    def _give_up(self, copy: BlockFile) -> None:
        with self._changing:
            if self._both or self._file is copy:
                return
            if self._copy is copy:
                self._copy = None
        copy.close()

    def _require_same(self) -> None:
        if self._closed:
            raise self._was_closed()
        if not self._same:
            raise self._problem or OSError(errno.EIO, "a change could not be done to both files")

    def _there(self) -> BlockFile:
        assert self._copy is not None
        return self._copy

    @staticmethod
    def _piece(file: BlockFile, offset: int, length: int) -> bytearray:
        piece = bytearray(length)
        file.read(offset, memoryview(piece))
        return piece

    def _was_closed(self) -> StoreClosedError:
        return StoreClosedError(f"store {self._name} was closed while it was being moved; nothing of it was changed")

    def _refusal(self, error: OSError) -> StoreFullError | StoreIOError:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            return StoreFullError(
                f"store {self._name}: no space for its copy ({error.strerror}). The store is as it was and goes on; "
                "make space, then try again"
            )
        return StoreIOError(
            f"store {self._name}: its copy could not be made ({error.strerror}). The store is as it was and goes on; "
            "see the system log, then try again"
        )
