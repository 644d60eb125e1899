"""Makes names durable: what was made, renamed or removed in a directory is so for good once the directory is synced."""

import ctypes
import errno
import os
from pathlib import Path

_AT_FDCWD = -100
_RENAME_NOREPLACE = 1


def sync_directory(path: Path) -> None:
    """Return once the names in a directory are durable; errors come out as `OSError`."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def rename_once(old: Path, new: Path) -> None:
    """Rename a file, at once, where nothing has the new name (`renameat2`); errors come out as `OSError`."""
    renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if renameat2 is None:  # a C library without it
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS), str(new))
    if renameat2(_AT_FDCWD, os.fsencode(old), _AT_FDCWD, os.fsencode(new), _RENAME_NOREPLACE):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(new))
