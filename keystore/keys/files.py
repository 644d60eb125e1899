"""The file operations on which durability rests outside page stores: keystore file, anchors, objects of a directory.

One class, so that tests can put a crash at every one of them. Errors come out as `OSError`.
"""

import errno
import fcntl
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from keystore import durable


@dataclass(frozen=True)
class Entry:
    """A name in a directory. `byte_length` is None for a directory."""

    name: str
    byte_length: int | None


class Files:
    """The real file system."""

    def read(self, path: Path, bytes_max: int) -> bytes:
        """Return the whole content, or its first ``bytes_max + 1`` bytes where it is longer.

        Memory is taken for what is there, not for what may be. Only a regular file is read: a pipe would wait for ever.
        """
        # O_NONBLOCK: opening a pipe must not wait either.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise OSError(errno.EINVAL, "it is not a regular file", str(path))
            return file.read(min(status.st_size, bytes_max) + 1)

    def create(self, path: Path) -> int:
        """Create a file for its owner only and return its descriptor; `FileExistsError` if something is there."""
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)

    def open(self, path: Path) -> int:
        """Return a descriptor of an existing file, for reading and writing."""
        return os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)

    def open_to_read(self, path: Path) -> tuple[int, int]:
        """Return a descriptor of a regular file, for reading only, and its length in bytes."""
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            os.close(fd)
            raise OSError(errno.EINVAL, "it is not a regular file", str(path))
        return fd, status.st_size

    def read_into(self, fd: int, offset: int, buffer: memoryview) -> int:
        """Fill `buffer` from `offset` on; return how many bytes there were, fewer only at the end of the file."""
        done = 0
        while done < len(buffer) and (count := os.preadv(fd, [buffer[done:]], offset + done)):
            done += count
        return done

    def lock(self, fd: int) -> bool:
        """Take the lock of a file, which ends with its descriptor or its process.

        Returns:
            False where another has it, or where the file was removed meanwhile.
        """
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return os.fstat(fd).st_nlink > 0

    def write(self, fd: int, offset: int, data: bytes | bytearray | memoryview) -> None:
        """Write all of `data`; not durable before `sync`."""
        done = 0
        while done < len(data):
            count = os.pwrite(fd, memoryview(data)[done:], offset + done)
            if count == 0:
                raise OSError(errno.EIO, "a write made no progress")
            done += count

    def begin_writing(self, fd: int, offset: int, length: int) -> None:
        """Have the system write out what was written of a part of a file, without waiting for it."""
        durable.begin_writing(fd, offset, length)

    def sync(self, fd: int) -> None:
        """Return once the file's content and length are durable."""
        os.fsync(fd)

    def close(self, fd: int) -> None:
        os.close(fd)

    def rename(self, old: Path, new: Path) -> None:
        """Put `old` in the place of `new`, at once; durable after `sync_directory`."""
        old.replace(new)

    def name_once(self, old: Path, new: Path) -> None:
        """Give the file `old` the name `new`, at once; durable after `sync_directory`. `old` may stay as a second name.

        Raises:
            FileExistsError: something has that name, and is unchanged.
        """
        try:
            os.link(old, new, follow_symlinks=False)
        except OSError as error:
            # EPERM, by the manual, and what others say: a file system that knows no second name, as on a memory card.
            if error.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS):
                raise
            durable.rename_once(old, new)

    def remove(self, path: Path) -> None:
        """Remove a file, if it is there."""
        path.unlink(missing_ok=True)

    def entries(self, path: Path) -> list[Entry]:
        """Return the directories and regular files in a directory, in no order; symbolic links are neither."""
        found = []
        with os.scandir(path) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    found.append(Entry(entry.name, None))
                elif entry.is_file(follow_symlinks=False):
                    try:
                        found.append(Entry(entry.name, entry.stat(follow_symlinks=False).st_size))
                    except FileNotFoundError:
                        continue  # removed since
        return found

    def make_directory(self, path: Path, *, exist_ok: bool = True) -> None:
        """Make a directory for its owner only, if it is not there; durable after its parent is synced.

        Raises:
            FileExistsError: something is there, and is no directory or was not to be.
        """
        path.mkdir(mode=0o700, exist_ok=exist_ok)

    def sync_directory(self, path: Path) -> None:
        """Return once the names in a directory are durable."""
        durable.sync_directory(path)


def write_beside(files: Files, path: Path, data: bytes) -> Path:
    """Write `data` durably to a temporary file beside `path`, read it back, and return its path.

    CRASH: leaves the temporary file, whole or not; whoever opens the directory next removes it.

    Raises:
        OSError: it could not be written, or reads back differently; the temporary file is removed.
    """
    temporary = temporary_path(path)
    files.remove(temporary)
    try:
        fd = files.create(temporary)
        try:
            files.write(fd, 0, data)
            files.sync(fd)
        finally:
            files.close(fd)
        if files.read(temporary, len(data)) != data:
            raise OSError(errno.EIO, "what was written reads back differently", str(temporary))
    except OSError:
        files.remove(temporary)
        raise
    return temporary


def publish(files: Files, path: Path) -> None:
    """Put the temporary file beside `path` in its place, durably.

    CRASH: before the rename is durable, `path` is the former file or the new one, never a mixture.
    """
    files.rename(temporary_path(path), path)
    files.sync_directory(path.parent)


def temporary_path(path: Path) -> Path:
    """Return where the next content of `path` is prepared."""
    return path.with_name(path.name + ".new")
