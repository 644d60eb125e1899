"""Millions of nonces from real sessions: copies, kills, restores, forks and limits, and no pair of key and nonce twice.

Drawn at the sessions of stores (`Session.nonces`), under the key of each, without the sealing: that has its own tests
(`test_nonces`), which record what the library is given. Pairs are compared exactly: number of the key, and 12 bytes.
"""

import hashlib
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from random import Random

import numpy as np
import numpy.typing as npt
import pytest

from keystore.format.record import SessionRecord
from keystore.pages import sessions
from keystore.pages.sessions import SEALS_MAX, SESSION_S_MAX, Session, SessionTable
from tests.pages.stores import StaticKeys

SEALS = 300_000
SEALS_SOAK = 2_000_000
SEALS_MAX_HERE = 5_000
"""So that sessions end often."""
STORE_ID = b"s" * 16


class Audit:
    """All pairs that were drawn: numbers of keys, and nonces."""

    def __init__(self) -> None:
        self._keys: dict[bytes, int] = {}
        self._pairs: list[npt.NDArray[np.uint8]] = []
        self._lock = threading.Lock()

    def add(self, key: bytes, nonces: npt.NDArray[np.uint8]) -> None:
        with self._lock:
            number = self._keys.setdefault(hashlib.sha256(key).digest(), len(self._keys))
            numbers = np.full((len(nonces), 1), number, dtype="<u4").view(np.uint8)
            self._pairs.append(np.hstack([numbers, nonces]))

    @property
    def keys(self) -> int:
        return len(self._keys)

    def count(self) -> tuple[int, int]:
        """Return how many pairs there are, and how many different ones."""
        words = np.ascontiguousarray(np.vstack(self._pairs)).view("<u8")
        order = np.lexsort((words[:, 1], words[:, 0]))
        same = np.all(np.diff(words[order].view("<i8"), axis=0) == 0, axis=1)
        return len(words), len(words) - int(np.count_nonzero(same))


class Copy:
    """One copy of a store, in use: what it knows of sessions is what the file had when the copy was made."""

    def __init__(self, keys: StaticKeys, rows: list[SessionRecord]) -> None:
        self.table = SessionTable("copy", STORE_ID, keys)
        for row in rows:
            self.table.load(row, 1)
        self.table.begin()  # as every opening does

    def rows(self) -> list[SessionRecord]:
        return [record for record, _ in self.table.all_rows()]

    def seal(self, count: int) -> Session:
        return self.table.for_seals(count)


def draw(audit: Audit, copy: Copy, count: int) -> None:
    session = copy.seal(count)
    audit.add(bytes(session.page_key.view()), session.nonces(count))


def draw_in_child(audit: Audit, copy: Copy, count: int) -> None:
    """Fork; the child makes a copy of the file's sessions, uses it, and dies; what it drew comes back by a pipe."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        with suppress(BaseException), os.fdopen(writer, "wb") as out:
            own = Copy(copy.table._keys, copy.rows())  # type: ignore[arg-type]
            session = own.seal(count)
            out.write(bytes(session.page_key.view()) + session.nonces(count).tobytes())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as answer:
        data = answer.read()
    os.waitpid(pid, 0)
    assert len(data) == 32 + 12 * count
    audit.add(data[:32], np.frombuffer(data[32:], dtype=np.uint8).reshape(count, 12))


def live(audit: Audit, wanted: int, seed: int) -> None:
    """Use copies of one store until `wanted` nonces are drawn: killed, copied, restored, forked, under new keys."""
    random, keys, drawn, forks = Random(seed), StaticKeys(), 0, 0
    copies = [Copy(keys, [])]
    while drawn < wanted:
        copy, act, count = random.choice(copies), random.random(), random.choice((1, 3, 40, 200, 1_500))
        if act < 0.02:  # a clone, a reflink, a copy by hand
            copies.append(Copy(keys, copy.rows()))
        elif act < 0.03:  # killed, and opened again
            copies[copies.index(copy)] = Copy(keys, copy.rows())
        elif act < 0.04:  # a restore adopts the sessions and seals under its own
            restored = Copy(keys, [])
            for row in copy.rows():
                restored.table.adopt(row)
            copies.append(restored)
        elif act < 0.045:
            keys.rotate()
        elif act < 0.05 and forks < 40:
            draw_in_child(audit, copy, count)
            drawn, forks = drawn + count, forks + 1
        del copies[:-12]
        draw(audit, random.choice(copies), count)
        drawn += count


@pytest.fixture
def audit(monkeypatch: pytest.MonkeyPatch, tell: Callable[[str], None]) -> Iterator[Audit]:
    monkeypatch.setattr(sessions, "SEALS_MAX", SEALS_MAX_HERE)
    audit = Audit()
    yield audit
    pairs, different = audit.count()
    tell(f"{pairs} nonces of {audit.keys} sessions, {pairs - different} pairs of key and nonce twice")


def test_no_pair_twice(audit: Audit) -> None:
    live(audit, SEALS, seed=1)
    pairs, different = audit.count()
    assert pairs == different >= SEALS
    assert audit.keys > 50


@pytest.mark.soak
def test_no_pair_twice_in_millions(audit: Audit) -> None:
    for seed in range(4):
        live(audit, SEALS_SOAK // 4, seed)
    pairs, different = audit.count()
    assert pairs == different >= SEALS_SOAK


def test_the_audit_sees_a_single_repetition(audit: Audit, monkeypatch: pytest.MonkeyPatch) -> None:
    live(audit, 10_000, seed=2)
    keys = StaticKeys()
    monkeypatch.setattr("secrets.token_bytes", bytes)
    for _ in range(2):
        draw(audit, Copy(keys, []), 1)
    pairs, different = audit.count()
    assert pairs - different == 1


# -- limits -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("seals", "wanted", "stays"), [(0, 2, True), (-2, 2, True), (-1, 2, False), (0, 1, True)])
def test_a_session_ends_before_its_count_of_seals(seals: int, wanted: int, stays: bool) -> None:
    table = SessionTable("s", STORE_ID, StaticKeys())
    first = table.begin()
    first.seals = SEALS_MAX + seals if seals else 1
    next_one = table.for_seals(wanted)
    assert (next_one is first) == stays
    if not stays:
        assert (next_one.seals, next_one.record.salt != first.record.salt) == (0, True)


@pytest.mark.parametrize(("age_s", "stays"), [(SESSION_S_MAX / 2, True), (SESSION_S_MAX + 1, False)])
def test_a_session_ends_after_an_hour(age_s: float, stays: bool) -> None:
    table = SessionTable("s", STORE_ID, StaticKeys())
    first = table.begin()
    first.nonces(1)
    first.started_s -= age_s
    assert (table.for_seals(1) is first) == stays


def test_the_counter_never_wraps() -> None:
    session = SessionTable("s", STORE_ID, StaticKeys()).begin()
    session.seals = 2**32 - 2
    last = session.nonces(2)
    assert last[1, 8:].tobytes() == b"\xff" * 4
    with pytest.raises(AssertionError):
        session.nonces(1)
    with pytest.raises(AssertionError):
        session.nonces(2)
    assert session.seals == 2**32
