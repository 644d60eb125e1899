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
    """Yield commits of 1, 16 and 256 pages far apart, the writes of a small one alone, and a checkpoint."""
    for count in COMMIT_PAGES:
        yield commit(pair, count, budget_s)
    yield writes_of_a_commit(pair, budget_s)
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


def writes_of_a_commit(pair: "Pair", budget_s: float) -> Result:
    """The writes of a commit of one page without anything else: page and record, each in its place.

    What they take beyond one write of as many bytes is the price of the file's form, not of sealing or of Python.
    """
    size, fd = pair.store.page_size, pair.fd
    page, record = secrets.token_bytes(size), secrets.token_bytes(RECORD_BYTES)
    records_at = pair.total_bytes // 2 // size * size
    places, joined, at = records_at // size - 1, page + record, 0

    def apart() -> None:
        nonlocal at
        at = (at + 1) % places
        os.pwrite(fd, page, (at + 1) * size)
        os.pwrite(fd, record, records_at + at * RECORD_BYTES)
        os.fdatasync(fd)

    def together() -> None:
        os.pwrite(fd, joined, 0)
        os.fdatasync(fd)

    found = in_turns({"apart": timed(apart), "together": timed(together)}, budget_s)
    seconds = found.median_s("apart")
    return Result(
        "commit 1 page, its writes alone", "pwrite", size, 1, seconds, size / seconds / 1e9,
        of_plain=found.ratio("apart", "together"), plain="one write", cpu_s_per_gb=found.cpu_s_per_gb("apart", size),
        percentiles_s=percentiles(found.seconds["apart"]), plain_percentiles_s=percentiles(found.seconds["together"]),
    )  # fmt: skip


def _checkpoint(store: PageStore) -> Result:
    """One checkpoint after 256 pages changed."""
    content = secrets.token_bytes(store.page_size)
    numbers = range(0, CHECKPOINT_PAGES * 3, 3)
    store.commit({number: content for number in numbers if number < store.page_count})
    return Result(f"checkpoint of {CHECKPOINT_PAGES} pages", KERNEL.name, store.page_size, 1, timed(store.checkpoint)())
