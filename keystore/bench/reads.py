"""Reads of a page store beside `os.pread` and `os.preadv` of a plain file: single pages far apart, and all in order."""

import os
import time
from collections.abc import Callable, Iterator
from itertools import cycle, islice
from random import Random
from typing import TYPE_CHECKING, TypeAlias

from keystore.bench.result import Result
from keystore.bench.timing import in_turns, percentiles, timed
from keystore.crypto.kernel import KERNEL

if TYPE_CHECKING:
    from keystore.bench.stores import Pair

READS, READS_COLD = 200, 40
"""Random reads in one turn."""
TURNS_COLD = 8
NEAR_BYTES = 1 << 20
"""Read again and again, so that the store's own cache has all of it."""
SCAN_BYTES = 1 << 20
"""Read in one call of the plain scan."""
THREADS = (1, 2)

Read: TypeAlias = Callable[[int], object]


def measure(pair: "Pair", budget_s: float) -> Iterator[Result]:
    """Yield random reads from the store's own cache, from the system's, and from the disk; then scans."""
    walk = _Walk(pair.total_bytes // pair.store.page_size)
    yield random_read(pair, budget_s, walk)
    yield _random_read_near(pair, budget_s / 2)
    yield _random_read_cold(pair, walk)
    for threads in THREADS:
        yield scan(pair, threads, budget_s)


class _Walk:
    """Numbers of pages in a random order, the same in every run; each comes again when all had their turn."""

    def __init__(self, pages: int) -> None:
        numbers = list(range(pages))
        Random(1).shuffle(numbers)
        self._numbers = cycle(numbers)

    def next(self, count: int) -> list[int]:
        return list(islice(self._numbers, count))


def random_read(pair: "Pair", budget_s: float, walk: "_Walk | None" = None) -> Result:
    """From the system's cache: the store's own has hardly one of these pages.

    Args:
        walk: what has been read so far; who reads on elsewhere would meet pages that the store still has.
    """
    size, walk = pair.store.page_size, walk or _Walk(pair.total_bytes // pair.store.page_size)
    ours, plain = _ways(pair)

    def turn(read: Read) -> float:
        numbers = walk.next(READS)
        start = time.perf_counter()
        for number in numbers:
            read(number)
        return time.perf_counter() - start

    found = in_turns({"ours": lambda: turn(ours), "plain": lambda: turn(plain)}, budget_s / 2)
    ours_each, plain_each = _each(ours, plain, walk, budget_s / 2)
    seconds = found.median_s("ours") / READS
    return Result(
        "random read", KERNEL.name, size, 1, seconds, size / seconds / 1e9, of_plain=found.ratio("ours", "plain"),
        cpu_s_per_gb=found.cpu_s_per_gb("ours", READS * size),
        percentiles_s=percentiles(ours_each), plain_percentiles_s=percentiles(plain_each),
    )  # fmt: skip


def _random_read_near(pair: "Pair", budget_s: float) -> Result:
    """From the store's own cache; beside the system's."""
    size, walk = pair.store.page_size, _Walk(NEAR_BYTES // pair.store.page_size)
    ours_each, plain_each = _each(*_ways(pair), walk, budget_s)
    return _from_single("random read, our cache", size, ours_each, plain_each)


def _random_read_cold(pair: "Pair", walk: _Walk) -> Result:
    """From the disk, of both: what the system has cached is dropped before every turn; the map stays in memory."""
    size = pair.store.page_size
    ours, plain = _ways(pair)
    ours_each: list[float] = []
    plain_each: list[float] = []
    fd = os.open(pair.path, os.O_RDONLY)
    try:
        for _ in range(TURNS_COLD):
            numbers = walk.next(READS_COLD)
            for read, which, each in ((ours, fd, ours_each), (plain, pair.fd, plain_each)):
                os.fsync(which)
                os.posix_fadvise(which, 0, 0, os.POSIX_FADV_DONTNEED)
                each += [_time(read, number) for number in numbers]
    finally:
        os.close(fd)
    return _from_single("random read, cold", size, ours_each, plain_each)


def _from_single(name: str, size: int, ours: list[float], plain: list[float]) -> Result:
    mine, theirs = percentiles(ours), percentiles(plain)
    ratio = theirs["p50"] / mine["p50"]
    return Result(
        name, KERNEL.name, size, 1, mine["p50"], size / mine["p50"] / 1e9, of_plain=ratio,
        percentiles_s=mine, plain_percentiles_s=theirs,
    )  # fmt: skip


def _ways(pair: "Pair") -> tuple[Read, Read]:
    size, fd, pread = pair.store.page_size, pair.fd, os.pread
    return pair.store.read, lambda number: pread(fd, size, number * size)


def _each(ours: Read, plain: Read, walk: _Walk, budget_s: float) -> tuple[list[float], list[float]]:
    """Return the seconds of single reads; both take turns at the same pages."""
    mine: list[float] = []
    theirs: list[float] = []
    end = time.perf_counter() + budget_s
    while not mine or time.perf_counter() < end:
        numbers = walk.next(READS)
        mine += [_time(ours, number) for number in numbers]
        theirs += [_time(plain, number) for number in numbers]
    return mine, theirs


def _time(read: Read, number: int) -> float:
    start = time.perf_counter()
    read(number)
    return time.perf_counter() - start


def scan(pair: "Pair", threads: int, budget_s: float) -> Result:
    """All pages in order; the plain side reads a mebibyte a call into the same buffer, on one thread."""
    buffer = bytearray(SCAN_BYTES)

    def ours() -> None:
        for _ in pair.store.scan(threads=threads):
            pass

    def plain() -> None:
        for offset in range(0, pair.total_bytes, SCAN_BYTES):
            os.preadv(pair.fd, [buffer], offset)

    found = in_turns({"ours": timed(ours), "plain": timed(plain)}, budget_s)
    seconds = found.median_s("ours")
    return Result(
        "scan", KERNEL.name, pair.store.page_size, threads, seconds, pair.total_bytes / seconds / 1e9,
        of_plain=found.ratio("ours", "plain"), cpu_s_per_gb=found.cpu_s_per_gb("ours", pair.total_bytes),
    )  # fmt: skip
