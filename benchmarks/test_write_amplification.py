"""Bytes written to the file for each byte of page committed. Counted, not timed: the same on every machine."""

from pathlib import Path
from random import Random
from typing import Any

import pytest

from keystore.pages.store import PageStore
from keystore.testing import new_store

PAGES = 8192
COMMITS = {"one random page": 4000, "64 random pages": 200, "sequential import": 128}
PAGE_SIZES_BYTES = (4096, 16384, 65536)


def write(store: PageStore, workload: str, commits: int) -> None:
    """Commit `commits` times, and checkpoint, so that what they put off is counted as well."""
    random, page = Random(1), bytes(store.page_size)
    for turn in range(commits):
        numbers: range | list[int] = range(turn * 64, turn * 64 + 64)
        if workload != "sequential import":
            numbers = random.sample(range(PAGES), 1 if workload == "one random page" else 64)
        store.commit(dict.fromkeys(numbers, page))
    store.checkpoint()


def measure(path: Path, workload: str, page_size: int, commits: int) -> float:
    """Return the write amplification of a workload on a store of 8192 pages (a new one for the import)."""
    with new_store(path, page_size) as store:
        if workload != "sequential import":
            for first in range(0, PAGES, 256):
                store.commit(dict.fromkeys(range(first, first + 256), bytes(page_size)))
            store.checkpoint()
        before = store.stats()
        write(store, workload, commits)
        after = store.stats()
    return (after.written_bytes - before.written_bytes) / (after.committed_bytes - before.committed_bytes)


@pytest.mark.parametrize("page_size", PAGE_SIZES_BYTES)
@pytest.mark.parametrize("workload", COMMITS)
def test_write_amplification(benchmark: Any, workload: str, page_size: int, tmp_path: Path) -> None:
    found = benchmark.pedantic(
        lambda: measure(tmp_path / "s", workload, page_size, COMMITS[workload]), rounds=1, iterations=1
    )
    benchmark.extra_info["bytes_written_per_byte_committed"] = round(found, 3)
