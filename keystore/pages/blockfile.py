"""The file of a page store on a real file system, with a lock that dies with its owner."""

import errno
import fcntl
import os
from collections.abc import Callable
from pathlib import Path
from typing import Self

from keystore.durable import begin_writing
from keystore.errors import StoreExistsError, StoreIOError, StoreLockedError, StoreMissingError
from keystore.pages.protocols import Buffer, T


class OsBlockFile:
    """A `BlockFile` over one file descriptor, exclusively locked (flock) from opening to close."""

    def __init__(self, fd: int, path: Path) -> None:
        self._fd, self.path = fd, path

    @classmethod
    def create(cls, path: str | os.PathLike[str]) -> Self:
        """Create an empty file, readable by its owner only.

        Raises:
            StoreExistsError: something is at `path`; it is unchanged.
        """
        path = Path(path)
        try:
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except FileExistsError:
            raise StoreExistsError(f"{path} exists and is unchanged; choose another place for the new store") from None
        except OSError as error:
            raise StoreIOError(f"store {path} cannot be made ({error.strerror}); nothing was changed") from error
        return cls._locked(fd, path)

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Self:
        """Open an existing file.

        Raises:
            StoreMissingError: nothing is at `path`.
            StoreLockedError: it is open elsewhere; the message names the process where the system tells it.
        """
        path = Path(path)
        try:
            fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except (FileNotFoundError, IsADirectoryError):
            raise StoreMissingError(
                f"store {path} is missing. A missing file is never a fresh start: restore it from a snapshot"
            ) from None
        except OSError as error:
            raise StoreIOError(f"store {path} cannot be opened ({error.strerror}); nothing was changed") from error
        return cls._locked(fd, path)

    @classmethod
    def _locked(cls, fd: int, path: Path) -> Self:
        file = cls(fd, path)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = lock_owner(fd)
            file.close()
            raise StoreLockedError(
                f"store {path} is open in {owner}; nothing was changed. Close it there, or wait until it ends"
            ) from None
        except OSError as error:
            file.close()
            raise StoreIOError(f"store {path} cannot be locked ({error.strerror}); nothing was changed") from error
        return file

    def size(self) -> int:
        return os.fstat(self._fd).st_size

    def descriptor(self) -> int:
        return self._fd

    def read(self, offset: int, buffer: memoryview) -> None:
        done = 0
        while done < len(buffer):
            count = os.preadv(self._fd, [buffer[done:]], offset + done)
            if count == 0:
                raise EOFError(f"the file ends at {offset + done}, inside {len(buffer)} bytes from {offset}")
            done += count

    def write(self, offset: int, data: Buffer) -> None:
        done = os.pwrite(self._fd, data, offset)
        if done == (len(data) if type(data) is bytes else memoryview(data).nbytes):
            return
        view = memoryview(data).cast("B")
        while done < len(view):
            count = os.pwrite(self._fd, view[done:], offset + done)
            if count == 0:
                raise OSError(errno.EIO, "a write made no progress", str(self.path))
            done += count

    def by_descriptor(self, act: Callable[[int], T]) -> T | None:
        return act(self._fd) if self._fd >= 0 else None

    def begin_writing(self, offset: int, length: int) -> None:
        begin_writing(self._fd, offset, length)

    def extend(self, size: int, *, written: bool = False) -> None:
        now = self.size()
        if size > now:
            os.posix_fallocate(self._fd, now, size - now)
            if written:
                self.write(now, bytes(size - now))

    def truncate(self, size: int) -> None:
        os.ftruncate(self._fd, size)

    def sync(self) -> None:
        os.fdatasync(self._fd)

    def evict(self, offset: int, length: int) -> None:
        os.posix_fadvise(self._fd, offset, length, os.POSIX_FADV_DONTNEED)

    def close(self) -> None:
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            os.close(fd)

    def __del__(self) -> None:
        self.close()  # an interrupt between taking the lock and giving it to its owner must not keep it


def lock_owner(fd: int) -> str:
    """Say which process holds the flock on the file of `fd`, and its program, as far as the system tells.

    A flock belongs to the opened file, so a process that inherited the descriptor has it as long as it lives. Python's
    own ways to fork and to start a program leave no such process: a store closes its file in a forked child
    (`PageStore`), and a new program does not inherit it (O_CLOEXEC). Who forks by other means is named here.
    """
    stat = os.fstat(fd)
    wanted = f"{os.major(stat.st_dev):02x}:{os.minor(stat.st_dev):02x}:{stat.st_ino}"
    try:
        for line in Path("/proc/locks").read_text().splitlines():
            fields = line.split()
            if len(fields) > 5 and fields[1] == "FLOCK" and fields[5] == wanted:
                return _describe(int(fields[4]), (stat.st_dev, stat.st_ino))
    except OSError:
        pass
    return "another process"


def _describe(owner: int, file: tuple[int, int]) -> str:
    if owner == os.getpid():
        return "this process"
    if (program := _program(owner)) is not None:
        return f"process {owner} ({program})"
    heirs = [pid for pid in _processes() if pid != os.getpid() and _has_open(pid, file)]
    if not heirs:
        return f"process {owner}" if owner > 0 else "another process"
    return f"process {heirs[0]} ({_program(heirs[0])}), which inherited it from process {owner}"


def _program(pid: int) -> str | None:
    """Return the name of the program that a process runs, None where there is no such process here."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip() if pid > 0 else None
    except OSError:
        return None


def _processes() -> list[int]:
    return sorted(int(path.name) for path in Path("/proc").iterdir() if path.name.isdecimal())


def _has_open(pid: int, file: tuple[int, int]) -> bool:
    try:
        stats = [path.stat() for path in Path(f"/proc/{pid}/fd").iterdir()]
    except OSError:  # another user's process, or one that ended meanwhile
        return False
    return any((stat.st_dev, stat.st_ino) == file for stat in stats)
