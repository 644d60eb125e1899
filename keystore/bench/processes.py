"""The page kernel in two processes at once: what a machine gives where no lock and no pool is shared."""

import multiprocessing
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from multiprocessing.connection import Connection
from statistics import median

from keystore.bench.kernels import BATCH_BYTES, PAGE_SIZES_BYTES, PAGE_SIZES_QUICK_BYTES, Batch
from keystore.bench.result import Result
from keystore.crypto.kernel import KERNEL

PROCESSES = 2
TURNS = 5
ANSWER_MAX_S = 60.0
"""LIMIT: seconds that a worker may take for a turn before the measurement fails."""


def measure(*, quick: bool, budget_s: float) -> Iterator[Result]:
    """Yield seal and open by page size, of two processes beside one of them alone."""
    with ExitStack() as stack:
        workers = [stack.enter_context(_Worker()) for _ in range(PROCESSES)]
        for page_bytes in PAGE_SIZES_QUICK_BYTES if quick else PAGE_SIZES_BYTES:
            for what in ("seal", "open"):
                yield _measured(workers, what, page_bytes, budget_s)


def _measured(workers: "Sequence[_Worker]", what: str, page_bytes: int, budget_s: float) -> Result:
    turn_s = budget_s / (2 * TURNS)
    one, all_of_them = [], []
    for _ in range(TURNS):
        one.append(_rate(workers[:1], what, page_bytes, turn_s))
        all_of_them.append(_rate(workers, what, page_bytes, turn_s))
    rate = median(all_of_them)
    return Result(
        f"kernel {what}", KERNEL.name, page_bytes, 1, BATCH_BYTES * len(workers) / rate, rate / 1e9,
        processes=len(workers), of_one=rate / median(one),
    )  # fmt: skip


def _rate(workers: "Sequence[_Worker]", what: str, page_bytes: int, seconds: float) -> float:
    """Return bytes per second of all workers together."""
    for worker in workers:
        worker.begin(what, page_bytes, seconds)
    return sum(worker.end() for worker in workers)


class _Worker:
    """A process of its own, and the pipe to it; a context manager that ends it."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_work, args=(theirs,), daemon=True)
        self._process.start()

    def begin(self, what: str, page_bytes: int, seconds: float) -> None:
        self._pipe.send((what, page_bytes, seconds))

    def end(self) -> float:
        if not self._pipe.poll(ANSWER_MAX_S):
            raise TimeoutError(f"a worker gave no answer in {ANSWER_MAX_S:.0f} s")
        rate: float = self._pipe.recv()
        return rate

    def __enter__(self) -> "_Worker":
        return self

    def __exit__(self, *_: object) -> None:
        self._pipe.close()
        self._process.join(ANSWER_MAX_S)
        if self._process.is_alive():
            self._process.kill()


def _work(pipe: Connection) -> None:
    """Answer each order with bytes per second, until the other end is closed."""
    batches: dict[int, Batch] = {}
    while True:
        try:
            what, page_bytes, seconds = pipe.recv()
        except EOFError:
            return
        if page_bytes not in batches:
            batches = {page_bytes: Batch(page_bytes, BATCH_BYTES)}
        call = batches[page_bytes].work(what, KERNEL)
        count, start = 0, time.perf_counter()
        while (now := time.perf_counter()) - start < seconds:
            call()
            count += 1
        pipe.send(count * BATCH_BYTES / (now - start))
