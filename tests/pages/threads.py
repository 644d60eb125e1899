"""What the tests of threads share: a disk whose sync waits to be let, and waiting for a state without sleeping long."""

import errno
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Final

from keystore.pages.blockfile import OsBlockFile
from keystore.pages.protocols import BlockFile
from keystore.pages.store import PageStore
from tests.pages.stores import CountedFile, StaticKeys

PAGE_BYTES: Final = 4096
TIMEOUT_S: Final = 240


def wait_until(reached: Callable[[], bool]) -> None:
    """Wait for a state that another thread is sure to reach.

    By a clock that no test sets: how often this looks is the scheduler's, and moves nothing that a test repeats.
    """
    end_s = time.perf_counter() + TIMEOUT_S
    pause = threading.Event()
    while not reached():
        assert time.perf_counter() < end_s, "it was never reached"
        pause.wait(0.001)


class GatedFile(CountedFile):
    """A file whose sync, once the gate is shut, waits until it is opened. It ends at `limit` bytes, and the syncs with
    the numbers in `failing` (from 0) fail."""

    def __init__(self, file: BlockFile) -> None:
        super().__init__(file)
        self.gate = threading.Event()
        self.gate.set()
        self.waiting = threading.Event()
        self.limit = 1 << 62
        self.failing: set[int] = set()

    def extend(self, size: int, *, written: bool = False) -> None:
        if size > self.limit:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        super().extend(size, written=written)

    def sync(self) -> None:
        if not self.gate.is_set():
            self.waiting.set()
            assert self.gate.wait(TIMEOUT_S)
        super().sync()
        if self.calls["sync"] - 1 in self.failing:
            raise OSError(errno.EIO, os.strerror(errno.EIO))


def gated_store(path: Path, keys: StaticKeys | None = None) -> tuple[PageStore, GatedFile]:
    """Return a store of 4 KiB pages that has room for a thousand, so that no commit grows it."""
    file = GatedFile(OsBlockFile.create(path))
    store = PageStore.create(file, name="gated", keys=keys or StaticKeys(), page_size=PAGE_BYTES)
    store.commit(dict.fromkeys(range(1000), b"." * PAGE_BYTES))
    store.commit(page_count=0)
    for _ in range(3):
        store.commit({0: b"-" * PAGE_BYTES})
        store.checkpoint()
    return store, file


def line_up(
    store: PageStore, file: GatedFile, pool: ThreadPoolExecutor, commits: list[Callable[[], int]]
) -> list[Future[int]]:
    """Start the first commit, which is alone, and the others one after the other while its sync waits at the gate."""
    file.waiting.clear()
    file.gate.clear()
    futures = [pool.submit(commits[0])]
    assert file.waiting.wait(TIMEOUT_S)
    for commit in commits[1:]:
        futures.append(pool.submit(commit))
        wait_until(lambda: len(store._writer._line) == len(futures) - 1)
    return futures
