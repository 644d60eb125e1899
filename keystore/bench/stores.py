"""A page store beside the same bytes without encryption: reads, scans, durable commits, recovery."""

import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from keystore.bench import commits, reads
from keystore.bench.result import Result
from keystore.bench.timing import timed
from keystore.crypto.kernel import KERNEL
from keystore.pages.store import PageStore
from keystore.testing import ThrowawayKeys, new_store

STORE_BYTES, STORE_QUICK_BYTES = 64 << 20, 32 << 20
"""More than the store's own cache holds, so that a walk over all pages meets hardly one there."""
PIECE_BYTES = 1 << 20
PAGE_SIZES_BYTES, PAGE_SIZES_QUICK_BYTES = (4096, 8192, 16384, 32768, 65536), (16384,)
RECOVERED_COMMITS, RECOVERED_COMMITS_QUICK = 1000, 50
RECOVERED_PAGE_BYTES = 16384


@dataclass(frozen=True)
class Pair:
    """A store, and a plain file of as many bytes beside it; both in the system's cache."""

    store: PageStore
    path: Path
    fd: int
    total_bytes: int


def measure(*, quick: bool, budget_s: float) -> Iterator[Result]:
    """Yield random reads, scans, commits and checkpoints, by page size; and a recovery."""
    total_bytes = STORE_QUICK_BYTES if quick else STORE_BYTES
    for page_bytes in PAGE_SIZES_QUICK_BYTES if quick else PAGE_SIZES_BYTES:
        with _place() as place, pair(place, page_bytes, total_bytes) as made:
            yield from reads.measure(made, budget_s)
            yield from commits.measure(made, budget_s)
    yield _recovery(RECOVERED_COMMITS_QUICK if quick else RECOVERED_COMMITS)


@contextmanager
def _place() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="keystore-bench-") as place:
        yield Path(place)


@contextmanager
def pair(place: Path, page_bytes: int, total_bytes: int) -> Iterator[Pair]:
    """Make both, with random content."""
    path = place / "store"
    with new_store(path, page_bytes) as store:
        fill(store, total_bytes)
        fd = os.open(place / "plain", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            for _ in range(total_bytes // PIECE_BYTES):
                os.write(fd, secrets.token_bytes(PIECE_BYTES))
            os.fsync(fd)
            yield Pair(store, path, fd, total_bytes)
        finally:
            os.close(fd)


def fill(store: PageStore, total_bytes: int) -> None:
    """Commit that many bytes of random pages, in order."""
    size = store.page_size
    batch = PIECE_BYTES // size
    for first in range(0, total_bytes // size, batch):
        store.commit({number: secrets.token_bytes(size) for number in range(first, first + batch)})
    store.checkpoint()


def _recovery(count: int) -> Result:
    """Open a copy of the file of a store that is in use, as a kill would leave it."""
    keys = ThrowawayKeys()
    with _place() as place:
        path, killed = place / "store", place / "killed"
        with new_store(path, RECOVERED_PAGE_BYTES, keys=keys) as store:
            page = secrets.token_bytes(RECOVERED_PAGE_BYTES)
            for number in range(count):
                store.commit({number: page})
            shutil.copyfile(path, killed)
        seconds = timed(lambda: PageStore.open(killed, name="killed", keys=keys).close())()
    return Result(f"recovery, {count} commits", KERNEL.name, RECOVERED_PAGE_BYTES, 1, seconds)
