"""A durable commit of one page, beside a plain write and fdatasync of as many bytes to the same file system."""

import os
from pathlib import Path
from typing import Any

import pytest

from benchmarks.test_kernel import best_s
from keystore.testing import new_store

PAGE_SIZES_BYTES = (4096, 16384, 65536)
ROUNDS = 100


@pytest.mark.parametrize("page_size", PAGE_SIZES_BYTES)
def test_durable_commit_of_one_page(benchmark: Any, page_size: int, tmp_path: Path) -> None:
    page = os.urandom(page_size)
    fd = os.open(tmp_path / "bare", os.O_RDWR | os.O_CREAT)
    os.posix_fallocate(fd, 0, 1 << 20)

    def bare() -> None:
        os.pwrite(fd, page, 0)
        os.fdatasync(fd)

    bare_s = best_s(bare)
    os.close(fd)
    with new_store(tmp_path / "store", page_size) as store:
        benchmark.pedantic(lambda: store.commit({0: page}), rounds=ROUNDS, warmup_rounds=5)
    benchmark.extra_info |= {
        "bare_write_and_sync_us": round(bare_s * 1e6, 1),
        "ratio": round(bare_s / benchmark.stats.stats.min, 3),
    }
