"""The data directory: made if missing, readable by its owner only, and of one process at a time."""

import fcntl
import os
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from kms_emulator.storage.errors import DataDirError, DataDirInUseError
from kms_emulator.storage.sqlite import SqliteStore

DATABASE_NAME = "keys.sqlite"
LOCK_NAME = "lock"
_LOCK_FLAGS = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
"""SAFETY: the lock file is cut and written; a link in its place must not turn that against another file."""


class DataDir:
    """A locked data directory; a context manager that closes the store and gives the lock back.

    The lock is the kernel's (flock) and dies with its owner, so a killed process leaves nothing to clean up. The lock
    file names the owner for the message only.
    """

    def __init__(self, path: Path, secret: bytes | None = None) -> None:
        """Open or create, sealed under `secret` if one is given.

        Raises:
            DataDirKeyError: sealed under another secret, or not sealed at all.
            DataDirInUseError: another process has it; the message names its pid.
            DataDirError: it cannot be created, written or read.
        """
        self.path = path
        with ExitStack() as undone:
            try:
                path.mkdir(mode=0o700, parents=True, exist_ok=True)
                self._lock = os.open(path / LOCK_NAME, _LOCK_FLAGS, 0o600)
                undone.callback(os.close, self._lock)
                self._take_lock()
            except OSError as error:
                raise DataDirError(
                    f"data directory {path} cannot be used: {error.strerror}. Name one that you may write to."
                ) from error
            self.store = SqliteStore(path / DATABASE_NAME, secret)
            undone.pop_all()

    def _take_lock(self) -> None:
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.pread(self._lock, 32, 0).decode("ascii", "replace").strip() or "unknown"
            raise DataDirInUseError(
                f"data directory {self.path} is in use by process {owner}. Stop that one, or name another directory."
            ) from None
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, f"{os.getpid()}\n".encode(), 0)

    def close(self) -> None:
        """Close the store, then give the lock back."""
        self.store.close()
        os.close(self._lock)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
