"""Stands between a store and its file: turns the system's errors into typed ones, and stops after an unknown outcome.

Invariant: after a sync that failed, or an error while a record or header was being written, nothing more is written
through this object. What the disk has is then unknown (F-2, F-16), and only a new opening can tell.
"""

import errno
from collections.abc import Callable
from typing import Self

from keystore.errors import CommitUnknownError, KeystoreError, StoreError, StoreFullError, StoreIOError
from keystore.pages.protocols import BlockFile, Buffer, ChangingFile, DescribedFile, DirectFile, EarlyFile, T


class Change:
    """A change of a store, from its first to its last step; a context manager.

    Before `no_return` an error calls `undo`; from there on, and after a signal at any point, the outcome is unknown:
    memory may be torn, so nothing more is done through this object. What is no `KeystoreError` may be of a signal's
    handler, which raises what it likes.
    """

    def __init__(self, file: "GuardedFile", what: str, undo: Callable[[], None]) -> None:
        self._file, self._what, self._undo = file, what, undo
        self._begun = False

    def no_return(self) -> None:
        """From here on an error leaves the outcome unknown: the disk may show the change."""
        self._begun = True

    def nothing_done(self) -> None:
        """Of what came after `no_return` the disk has nothing."""
        self._begun = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        if error is None:
            return
        if not self._begun and isinstance(error, KeystoreError):
            self._undo()
            return
        file = self._file
        file.poison = file.poison or f"writing {self._what} was cut off ({type(error).__name__})"
        if isinstance(error, StoreError):
            raise file.unknown() from error


class GuardedFile:
    """A `BlockFile` whose errors are `StoreError` (and `EOFError` for reads past the end)."""

    def __init__(self, name: str, file: BlockFile) -> None:
        self._name, self._file = name, file
        self._early = file if isinstance(file, EarlyFile) else None
        self._direct = file if isinstance(file, DirectFile) else None
        self.poison: str | None = None
        self.written_bytes = 0
        """Bytes given to `write` since the opening."""

    def size(self) -> int:
        return self._file.size()

    def read(self, offset: int, buffer: memoryview) -> None:
        if offset + len(buffer) >= 1 << 63:
            raise EOFError(f"no file reaches {offset + len(buffer)}")
        try:
            self._file.read(offset, buffer)
        except OSError as error:
            raise self.reading_failed(error, f"{len(buffer)} bytes at {offset}") from error

    def reading_failed(self, error: OSError, what: str) -> StoreIOError:
        """Return the error for a read that the system refused, here or by `descriptor`."""
        return StoreIOError(
            f"store {self._name}: reading {what} failed ({error.strerror}). Nothing was changed; see the system log, "
            "then try again"
        )

    def descriptor(self) -> int | None:
        """Return a descriptor by which the file's bytes can be read as `read` returns them, or None if there is none.

        It is valid until `close`, or until what was given to `when_moved` was called.
        """
        return self._file.descriptor() if isinstance(self._file, DescribedFile) else None

    def when_moved(self, act: Callable[[], None]) -> None:
        """Call `act` whenever the descriptor has become another one."""
        if isinstance(self._file, ChangingFile):
            self._file.when_moved(act)

    def write(self, offset: int, data: Buffer) -> None:
        if self.poison is not None:
            raise self.unknown()
        try:
            self._file.write(offset, data)
            self.written_bytes += len(data) if type(data) is bytes else memoryview(data).nbytes
        except OSError as error:
            raise self.refusal(error, "a write") from error

    @property
    def is_direct(self) -> bool:
        """Whether `by_descriptor` may have a way."""
        return self._direct is not None

    def by_descriptor(self, act: Callable[[int], T]) -> T | None:
        """Let `act` write by the descriptor; see `DirectFile`. The caller adds to `written_bytes` what it wrote."""
        self.check()
        return None if self._direct is None else self._direct.by_descriptor(act)

    def begin_writing(self, offset: int, length: int) -> None:
        """Have the system begin to write these bytes out, where the file has a way to; promises nothing."""
        if self._early is not None:
            self._early.begin_writing(offset, length)

    def extend(self, size: int, *, written: bool = False) -> None:
        self.check()
        try:
            self._file.extend(size, written=written)
        except OSError as error:
            raise self.refusal(error, "growing the file") from error

    def truncate(self, size: int) -> None:
        self.check()
        try:
            self._file.truncate(size)
        except OSError as error:
            raise self.refusal(error, "cutting the file") from error

    def sync(self) -> None:
        self.check()
        try:
            self._file.sync()
        except OSError as error:
            self.poison = f"a sync failed ({error.strerror})"
            raise self.unknown() from error

    def evict(self, offset: int, length: int) -> None:
        self._file.evict(offset, length)

    def close(self) -> None:
        self._file.close()

    def changing(self, what: str, undo: Callable[[], None]) -> Change:
        """Return the guard of one change of the store."""
        return Change(self, what, undo)

    def check(self) -> None:
        """Raise if the outcome of an earlier change is unknown."""
        if self.poison is not None:
            raise self.unknown()

    def unknown(self) -> CommitUnknownError:
        """Return the error for a change whose outcome `poison` leaves unknown."""
        return CommitUnknownError(
            f"store {self._name}: {self.poison}, so it is unknown whether the last commit is durable; all earlier ones "
            "are. Close the store and open it again to learn it"
        )

    def refusal(self, error: OSError, what: str) -> StoreError:
        """Return the error for a change that the system refused, here or by `by_descriptor`."""
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            return StoreFullError(
                f"store {self._name}: the device is full ({error.strerror}); nothing was changed and the store stays "
                "readable. Make space, then try again"
            )
        return StoreIOError(
            f"store {self._name}: {what} failed ({error.strerror}); nothing was changed. See the system log, then try "
            "again"
        )
