"""A witness that keeps everything, and a store built of what it was told."""

import itertools
from pathlib import Path

import numpy as np

from keystore.pages.protocols import Buffer, DataKeys
from keystore.pages.reading import Batch
from keystore.pages.store import PageStore
from keystore.pages.witness import Committed, Moment, TagAt


class Recorder:
    """Keeps what it is told; its clock gives 1, 2, 3, … from `floor_ns` on."""

    def __init__(self, bytes_max: int = 1 << 30) -> None:
        self.commits: list[Committed] = []
        self.moments: list[Moment] = []
        self.ends: list[tuple[Moment, bool]] = []
        self.knows = self.refusals = 0
        self._bytes_max = bytes_max

    def next_time(self, floor_ns: int) -> int:
        return floor_ns

    def refused(self) -> None:
        self.refusals += 1

    def takes(self, byte_count: int) -> bool:
        return byte_count <= self._bytes_max

    def committed(self, commit: Committed) -> None:
        self.commits.append(commit)

    def known(self, first: int, last: int, tag_at: TagAt) -> int:
        return max(first, self.knows)

    def opened(self, at: Moment) -> None:
        self.moments.append(at)

    def closed(self, at: Moment, *, settled: bool) -> None:
        self.ends.append((at, settled))

    def require_chain(self, sequence: int, tag: bytes) -> None:
        """Every record follows on the one before, from `sequence` and `tag` on; times rise."""
        for commit in self.commits:
            sequence += 1
            assert (commit.sequence, commit.previous_tag) == (sequence, tag)
            tag = commit.tag
        assert all(a.time_ns < b.time_ns for a, b in itertools.pairwise(self.commits))


def built(path: Path, keys: DataKeys, page_size: int, commits: list[Committed]) -> PageStore:
    """Return a new store to which the commits were applied, one after the other, ciphertext as it is."""
    store = PageStore.create(path, name="built", keys=keys, page_size=page_size)
    for commit in commits:
        assert commit.ciphertext is not None
        if commit.page_count < store.page_count:
            store.cut(commit.page_count, byte_length=commit.byte_length)
        there = commit.changes["entry"]["slot"] != 0
        if there.any():
            chosen = commit.changes[there]
            entries = np.ascontiguousarray(chosen["entry"])
            store.adopt(commit.sessions, Batch(chosen["page"].astype("u8"), entries, memoryview(commit.ciphertext)))
        holes: dict[int, Buffer | None] = dict.fromkeys(commit.changes["page"][~there].tolist())
        store.commit(holes, page_count=commit.page_count, byte_length=commit.byte_length)
    return store
