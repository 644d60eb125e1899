"""The page kernel beside the library it stands on, called once for each page with nothing around it.

`extra_info` has MiB/s of both and their ratio: 1.0 would mean that the kernel costs nothing.
"""

import time
from collections.abc import Callable
from typing import Any

import pytest

from keystore.bench.kernels import BATCH_BYTES, PAGE_SIZES_BYTES, Batch
from keystore.crypto.kernel import KERNEL

ROUNDS = 50


def best_s(call: Callable[[], object]) -> float:
    """Return the shortest of many runs, in seconds."""
    times = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return min(times)


@pytest.mark.parametrize("page_size", PAGE_SIZES_BYTES)
@pytest.mark.parametrize("what", ["seal", "open"])
def test_kernel_beside_the_bare_library(benchmark: Any, what: str, page_size: int) -> None:
    batch = Batch(page_size, BATCH_BYTES)
    batch.seal(KERNEL)()
    seal, open_ = batch.bare()
    ours, bare = (batch.seal(KERNEL), seal) if what == "seal" else (batch.open(KERNEL), open_)
    bare_s = best_s(bare)
    benchmark.pedantic(ours, rounds=ROUNDS, warmup_rounds=3)
    ours_s = benchmark.stats.stats.min
    benchmark.extra_info |= {
        "kernel": KERNEL.name,
        "mib_per_s": round(BATCH_BYTES / ours_s / (1 << 20)),
        "bare_mib_per_s": round(BATCH_BYTES / bare_s / (1 << 20)),
        "ratio": round(bare_s / ours_s, 3),
    }
