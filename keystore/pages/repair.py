"""Puts damaged pages back from a copy that was kept elsewhere.

A page goes back as a commit, ciphertext unchanged, like one that is adopted; nothing is overwritten in place. Leaves to
others: where copies are, and whether a version other than the damaged one is wanted.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from keystore.format.entry import HOLE, entries_from_bytes
from keystore.format.record import SessionRecord
from keystore.pages.life import Life
from keystore.pages.reading import Batch, UnreadableError, open_batch, read_batch
from keystore.pages.state import StoreState
from keystore.pages.writer import Writer


@dataclass(frozen=True)
class PageVersion:
    """One version of one page: two are equal only if their contents are, because no key seals twice under a nonce."""

    salt: bytes
    origin: bytes
    nonce: bytes
    tag: bytes


def versions_in(batch: Batch, sessions: Sequence[SessionRecord]) -> list[PageVersion]:
    """Return the versions of the pages of a batch, whose entries name `sessions` by number."""
    known = {session.number: session for session in sessions}
    return [
        PageVersion(
            known[int(entry["session"])].salt,
            known[int(entry["session"])].origin,
            entry["nonce"].tobytes(),
            entry["tag"].tobytes(),
        )
        for entry in batch.entries
    ]


def choose(batch: Batch, indexes: Sequence[int], page_size: int) -> Batch:
    """Return a batch of its own with the pages at `indexes`."""
    data = b"".join(batch.ciphertext[at * page_size : (at + 1) * page_size] for at in indexes)
    chosen = np.array(indexes, dtype=np.intp)
    return Batch(batch.page_nos[chosen], batch.entries[chosen], memoryview(data))


class Repairer:
    """Repairs one open store."""

    def __init__(self, state: StoreState, life: Life, writer: Writer) -> None:
        self._state, self._life, self._writer = state, life, writer

    def versions(self, page_nos: Collection[int]) -> dict[int, PageVersion]:
        """Return what the map says pages are; holes and pages beyond the end are left out."""
        with self._life.lock:
            self._life.check()
            found = {no: self._state.pages.entry(no) for no in page_nos if no < self._state.page_count}
            sessions = [record for record, _ in self._state.sessions.all_rows()]
        there = {number: entry for number, entry in found.items() if entry != HOLE}
        batch = Batch(
            np.array(list(there), dtype=np.uint64), entries_from_bytes(b"".join(there.values())), memoryview(b"")
        )
        return dict(zip(there, versions_in(batch, sessions), strict=True))

    def put_back(self, sessions: Sequence[SessionRecord], batch: Batch) -> list[int]:
        """Commit those pages of `batch` that do not open now; return their numbers. See `PageStore.put_back`."""
        with self._life.lock:
            self._life.check()
            wanted = [at for at, number in enumerate(batch.page_nos.tolist()) if not self._opens(number)]
            if not wanted:
                return []
            chosen = choose(batch, wanted, self._state.page_size)
            damage, self._life.damage = self._life.damage, None
            try:
                named = set(chosen.entries["session"].tolist())
                self._writer.adopt([session for session in sessions if session.number in named], chosen)
            finally:
                self._life.damage = damage  # until a whole pass finds no more
            return [int(number) for number in chosen.page_nos]

    def _opens(self, page_no: int) -> bool:
        state = self._state
        entry = state.pages.entry(page_no) if page_no < state.page_count else HOLE
        if entry == HOLE:
            return True
        try:
            numbers = np.array([page_no], dtype=np.uint64)
            batch = read_batch(state.file, state.page_size, numbers, entries_from_bytes(entry))
            plain = open_batch(state.sessions, state.page_size, batch)
        except UnreadableError:
            return False
        plain[:] = bytes(len(plain))
        return True
