"""One process per node directory: a lock on the directory itself, which dies with its owner."""

import fcntl
import os
from pathlib import Path

from keystore.errors import NodeIOError, NodeLockedError, NodeMissingError
from keystore.pages.blockfile import lock_owner


class DirectoryLock:
    """An exclusive flock on a directory, from construction to `release`.

    Raises:
        NodeMissingError: there is no such directory.
        NodeLockedError: another process, or another object of this one, has it.
        NodeIOError: the system refuses.
    """

    def __init__(self, path: Path) -> None:
        self._fd = -1
        try:
            self._fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError):
            raise NodeMissingError(f"{path} is not a directory. Nothing was changed; check the path.") from None
        except OSError as error:
            raise NodeIOError(f"{path} cannot be opened: {error.strerror}. Nothing was changed.") from None
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = lock_owner(self._fd)
            self.release()
            raise NodeLockedError(
                f"node {path} is open in {owner}. Nothing was changed; close it there, or wait until it ends."
            ) from None
        except OSError as error:
            self.release()
            raise NodeIOError(
                f"{path} cannot be locked: {error.strerror}. Nothing was changed; a node needs a file system with "
                "locks."
            ) from None

    def release(self) -> None:
        """Give the lock up. May be called twice."""
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            os.close(fd)

    def __del__(self) -> None:
        self.release()  # an interrupt between taking the lock and giving it to its owner must not keep it
