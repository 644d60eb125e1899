"""A page store beside the same bytes without encryption: reads from the system's cache, scans, durable commits."""

import os
import secrets
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from keystore.bench.result import Result
from keystore.bench.timing import Beside, beside, timed
from keystore.crypto.kernel import KERNEL
from keystore.pages.store import PageStore
from keystore.testing import new_store

STORE_BYTES, STORE_QUICK_BYTES = 64 << 20, 8 << 20
SCAN_BYTES = 1 << 20
"""Read in one call of a scan, by both."""
READS = 200
"""Random reads timed as one."""
COMMIT_PAGES = (1, 16, 256)
PAGE_SIZES_BYTES, PAGE_SIZES_QUICK_BYTES = (4096, 16384), (16384,)
RECORD_BYTES = 4096
"""What a commit writes besides its pages; the plain side writes as much."""


def measure(*, quick: bool, budget_s: float) -> Iterator[Result]:
    """Yield random reads, a scan, commits and checkpoints, by page size."""
    total_bytes = STORE_QUICK_BYTES if quick else STORE_BYTES
    for page_bytes in PAGE_SIZES_QUICK_BYTES if quick else PAGE_SIZES_BYTES:
        with (
            tempfile.TemporaryDirectory(prefix="keystore-bench-") as place,
            _filled(Path(place), page_bytes, total_bytes) as store,
            _plain(Path(place), total_bytes) as fd,
        ):
            yield _random_read(store, fd, total_bytes, budget_s)
            yield _scan(store, fd, total_bytes, budget_s)
            for count in COMMIT_PAGES:
                yield _commit(store, fd, count, budget_s)
            yield _checkpoint(store)


@contextmanager
def _filled(place: Path, page_bytes: int, total_bytes: int) -> Iterator[PageStore]:
    """Give a store of that many bytes, none of them in its own cache."""
    pages = total_bytes // page_bytes
    with new_store(place / "store", page_bytes) as store:
        batch = SCAN_BYTES // page_bytes
        for first in range(0, pages, batch):
            store.commit({number: secrets.token_bytes(page_bytes) for number in range(first, first + batch)})
        store.checkpoint()
        yield store


@contextmanager
def _plain(place: Path, total_bytes: int) -> Iterator[int]:
    """Give a plain file as long as the store's, in the system's cache."""
    fd = os.open(place / "plain", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        for _ in range(total_bytes // SCAN_BYTES):
            os.write(fd, secrets.token_bytes(SCAN_BYTES))
        os.fsync(fd)
        yield fd
    finally:
        os.close(fd)


def _random_read(store: PageStore, fd: int, total_bytes: int, budget_s: float) -> Result:
    """Pages far apart, each time others: the store's own cache has hardly one of them."""
    size, pages = store.page_size, total_bytes // store.page_size
    stride = (pages // 2) | 1
    at = 0

    def numbers() -> list[int]:
        nonlocal at
        at += READS
        return [(number * stride) % pages for number in range(at, at + READS)]

    def ours() -> float:
        chosen, read = numbers(), store.read
        start = time.perf_counter()
        for number in chosen:
            read(number)
        return time.perf_counter() - start

    def plain() -> float:
        chosen, pread = numbers(), os.pread
        start = time.perf_counter()
        for number in chosen:
            pread(fd, size, number * size)
        return time.perf_counter() - start

    found = beside(ours, plain, budget_s)
    return _result("random read", store.page_size, found.ours_s / READS, size, found)


def _scan(store: PageStore, fd: int, total_bytes: int, budget_s: float) -> Result:
    """All pages in order, a mebibyte at a time."""
    size = store.page_size
    batch, pages = SCAN_BYTES // size, total_bytes // size
    buffer = bytearray(SCAN_BYTES)

    def ours() -> None:
        for first in range(0, pages, batch):
            store.read_many(range(first, first + batch))

    def plain() -> None:
        for offset in range(0, total_bytes, SCAN_BYTES):
            os.preadv(fd, [buffer], offset)

    found = beside(timed(ours), timed(plain), budget_s)
    return _result("scan", size, found.ours_s, total_bytes, found)


def _commit(store: PageStore, fd: int, count: int, budget_s: float) -> Result:
    """A durable commit of pages far apart, beside as many bytes and a record written and synced in one place."""
    size, pages = store.page_size, store.page_count
    content = [secrets.token_bytes(size) for _ in range(count)]
    joined = b"".join(content) + bytes(RECORD_BYTES)
    stride, at = (pages // 2) | 1, 0

    def ours() -> float:
        nonlocal at
        at += count
        changed = {((at + i) * stride) % pages: page for i, page in enumerate(content)}
        return timed(lambda: store.commit(changed))()

    def write() -> None:
        os.pwrite(fd, joined, 0)
        os.fdatasync(fd)

    found = beside(ours, timed(write), budget_s)
    return _result(f"commit {count} pages" if count > 1 else "commit 1 page", size, found.ours_s, count * size, found)


def _checkpoint(store: PageStore) -> Result:
    """One checkpoint after 256 changed pages; nothing plain is like it."""
    content = secrets.token_bytes(store.page_size)
    store.commit({number: content for number in range(0, 256 * 3, 3) if number < store.page_count})
    return Result("checkpoint of 256 pages", KERNEL.name, store.page_size, _threads(), timed(store.checkpoint)())


def _result(name: str, page_bytes: int, seconds: float, total_bytes: int, found: Beside) -> Result:
    speed = total_bytes / seconds / 1e9
    return Result(name, KERNEL.name, page_bytes, _threads(), seconds, speed, of_plain=found.ratio)


def _threads() -> int:
    return int(getattr(KERNEL, "threads", 1))
