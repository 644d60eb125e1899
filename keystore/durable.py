"""Makes names durable: what was made, renamed or removed in a directory is so for good once the directory is synced.

And has the system begin to write content out, so that a sync later has little left to wait for.
"""

import ctypes
import errno
import os
from pathlib import Path
from typing import Any

_AT_FDCWD = -100
_RENAME_NOREPLACE = 1
_SYNC_FILE_RANGE_WRITE = 2


def _sync_file_range() -> Any:
    call = getattr(ctypes.CDLL(None), "sync_file_range", None)
    if call is not None:
        call.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)
    return call


_SYNC_FILE_RANGE = _sync_file_range()


def sync_directory(path: Path) -> None:
    """Return once the names in a directory are durable; errors come out as `OSError`."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def replace_file(path: Path, content: bytes) -> None:
    """Put `content` in the place of a file, for its owner only; durable on return. Errors come out as `OSError`.

    CRASH: `path` is the former file or the new one, never a mixture; what stays beside it the next call replaces.
    """
    unfinished = path.with_name(f".{path.name}.new")
    unfinished.unlink(missing_ok=True)
    fd = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)
    sync_directory(path.parent)


def begin_writing(fd: int, offset: int, length: int) -> None:
    """Have the system write out what was changed in a part of a file (`sync_file_range`); promises nothing.

    Where the system or the file knows no such call, nothing happens: only the sync that follows counts.
    """
    if _SYNC_FILE_RANGE is not None:
        _SYNC_FILE_RANGE(fd, offset, length, _SYNC_FILE_RANGE_WRITE)


def rename_once(old: Path, new: Path) -> None:
    """Rename a file, at once, where nothing has the new name (`renameat2`); errors come out as `OSError`."""
    renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if renameat2 is None:  # a C library without it
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS), str(new))
    if renameat2(_AT_FDCWD, os.fsencode(old), _AT_FDCWD, os.fsencode(new), _RENAME_NOREPLACE):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(new))
