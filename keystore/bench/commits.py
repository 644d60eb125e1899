"""Durable commits beside as many bytes written and synced in one place; and checkpoints, beside nothing."""

import os
import secrets
from collections.abc import Iterator
from typing import TYPE_CHECKING

from keystore.bench.result import Result
from keystore.bench.timing import in_turns, percentiles, timed
from keystore.crypto.kernel import KERNEL
from keystore.pages.store import PageStore

if TYPE_CHECKING:
    from keystore.bench.stores import Pair

COMMIT_PAGES = (1, 16, 256)
CHECKPOINT_PAGES = 256
RECORD_BYTES = 4096
"""What a commit writes besides its pages; the plain side writes as much."""


def measure(pair: "Pair", budget_s: float) -> Iterator[Result]:
    """Yield commits of 1, 16 and 256 pages far apart, and a checkpoint."""
    for count in COMMIT_PAGES:
        yield commit(pair, count, budget_s)
    yield _checkpoint(pair.store)


def commit(pair: "Pair", count: int, budget_s: float) -> Result:
    """Pages far apart, each time others; the plain side writes its bytes in one piece."""
    store, fd = pair.store, pair.fd
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

    found = in_turns({"ours": ours, "plain": timed(write)}, budget_s)
    seconds, total = found.median_s("ours"), count * size
    return Result(
        f"commit {count} pages" if count > 1 else "commit 1 page", KERNEL.name, size, 1, seconds, total / seconds / 1e9,
        of_plain=found.ratio("ours", "plain"), cpu_s_per_gb=found.cpu_s_per_gb("ours", total),
        percentiles_s=percentiles(found.seconds["ours"]), plain_percentiles_s=percentiles(found.seconds["plain"]),
    )  # fmt: skip


def _checkpoint(store: PageStore) -> Result:
    """One checkpoint after 256 pages changed."""
    content = secrets.token_bytes(store.page_size)
    numbers = range(0, CHECKPOINT_PAGES * 3, 3)
    store.commit({number: content for number in numbers if number < store.page_count})
    return Result(f"checkpoint of {CHECKPOINT_PAGES} pages", KERNEL.name, store.page_size, 1, timed(store.checkpoint)())
