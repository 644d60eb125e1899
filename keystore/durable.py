"""Makes names durable: what was made, renamed or removed in a directory is so for good once the directory is synced."""

import os
from pathlib import Path


def sync_directory(path: Path) -> None:
    """Return once the names in a directory are durable; errors come out as `OSError`."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
