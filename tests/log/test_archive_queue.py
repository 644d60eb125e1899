"""What waits for the log is bounded by rows as by bytes, however long its place is away."""

import numpy as np
import pytest

from keystore.format.log_state import GapReason
from keystore.format.record import CHANGE
from keystore.node.archive_queue import RECORD_BYTES, ArchiveQueue, Handed
from keystore.pages.witness import Committed, Moment
from keystore.snapshots.log_ledger import Ledger
from keystore.snapshots.log_segment import LoggedStore

A, B = (LoggedStore(name * 16, b"d" * 16, 4096) for name in (b"a", b"b"))
ROOM = 10


@pytest.fixture
def queue() -> ArchiveQueue:
    """With room for ten short commits."""
    return ArchiveQueue(lambda: 1, ROOM * RECORD_BYTES, 1 << 30)


def tag(sequence: int) -> bytes:
    return sequence.to_bytes(16, "little")


def commit(sequence: int, *, pages: bool = True, readable: bool = True) -> Committed:
    changes = np.empty(0 if pages else 100, dtype=CHANGE)
    data = b"" if pages else None
    return Committed(sequence, sequence, tag(sequence - 1), tag(sequence), 1, 0, changes, (), data, readable)


def rows(items: list[Handed]) -> list[tuple[bytes, int, int]]:
    return [
        (item.store.store_id[:1], item.commit.sequence, (item.last or item.commit).sequence)
        for item in items
        if item.store and item.commit
    ]


@pytest.mark.parametrize("pages", [True, False])
def test_a_row_of_commits_that_are_left_out_takes_one_place(queue: ArchiveQueue, pages: bool) -> None:
    for sequence in range(1, ROOM + 1):
        queue.committed(A, commit(sequence))
    for sequence in range(ROOM + 1, 1000):
        queue.committed(A, commit(sequence, pages=pages))
        queue.committed(B, commit(sequence, pages=pages))
        assert len(queue) <= ROOM + 2
    items = queue.take(1 << 30)
    assert rows(items)[ROOM:] == [(b"a", ROOM + 1, 999), (b"b", ROOM + 1, 999)]
    assert sum(item.commit.changes.nbytes for item in items if item.commit) == 0
    assert queue.byte_count == ROOM * RECORD_BYTES


def test_a_row_ends_where_a_commit_is_kept_or_lost_for_another_reason(queue: ArchiveQueue) -> None:
    out = {sequence: commit(sequence, pages=False) for sequence in range(1, 9)}
    queue.committed(A, out[1])
    queue.committed(A, commit(2))
    queue.committed(A, out[3])
    queue.committed(A, commit(4, pages=False, readable=False))
    queue.committed(A, out[7])
    taken = queue.take(1 << 30)
    queue.committed(A, out[8])
    assert rows(taken) == [(b"a", number, number) for number in (1, 2, 3, 4, 7)]
    assert rows(queue.take(1 << 30)) == [(b"a", 8, 8)]


def test_a_store_that_is_opened_and_closed_over_and_over_takes_a_few_places(queue: ArchiveQueue) -> None:
    """What they say is what the log would be told one by one."""
    one, other, sequence = Ledger.of_run([]), Ledger.of_run([]), 0
    for epoch in range(1, 200):
        at = Moment(epoch, sequence, tag(sequence))
        queue.opened(A, at)
        one.opened(A.store_id, at, 1)
        if epoch % 2 and epoch > 20:
            sequence += 1
            queue.committed(A, commit(sequence, pages=False))
            one.left_out(A.store_id, commit(sequence), commit(sequence), GapReason.LAG)
        at = Moment(epoch, sequence, tag(sequence))
        queue.closed(A, at, settled=True)
        one.closed(A.store_id, at, 1, settled=True)
    items = queue.take(1 << 30)
    assert len(items) <= 4
    for item in items:
        if item.commit and item.last:
            other.left_out(A.store_id, item.commit, item.last, GapReason.LAG)
        if item.opened:
            other.opened(A.store_id, item.opened, 1)
        if item.closed:
            other.closed(A.store_id, item.closed, 1, settled=item.settled)
    assert other.state(0) == one.state(0)
    assert len(one.state(0).gaps) == 1


def test_a_store_that_changed_without_the_log_is_told_of_as_it_was(queue: ArchiveQueue) -> None:
    queue.closed(A, Moment(1, 4, tag(4)), settled=True)
    queue.opened(A, Moment(2, 5, tag(5)))
    queue.closed(A, Moment(2, 5, tag(5)), settled=False)
    queue.opened(A, Moment(3, 5, tag(5)))
    told = [(item.opened or item.closed, item.settled) for item in queue.take(1 << 30)]
    assert [moment.sequence for moment, _ in told if moment] == [4, 5, 5, 5]
    assert [settled for _, settled in told] == [True, True, False, True]


def test_nothing_is_settled_that_a_row_may_yet_hide(queue: ArchiveQueue) -> None:
    for sequence in range(5, 9):
        queue.committed(A, commit(sequence, pages=False))
    assert queue.settled() == 5


def test_a_row_is_one_gap_and_the_next_commit_follows_it() -> None:
    ledger = Ledger.of_run([])
    ledger.opened(A.store_id, Moment(1, 0, tag(0)), 1)
    assert ledger.committed(A.store_id, commit(1), None)
    ledger.left_out(A.store_id, commit(2), commit(900), GapReason.LAG)
    assert ledger.committed(A.store_id, commit(901), None)
    (gap,) = ledger.state(0).gaps
    assert (gap.reason, gap.from_sequence, gap.to_sequence) == (GapReason.LAG, 1, 900)
    assert (gap.from_ns, gap.to_ns) == (1, 900)


def test_of_a_row_that_is_partly_in_the_log_the_rest_is_a_gap() -> None:
    ledger = Ledger.of_run([])
    ledger.opened(A.store_id, Moment(1, 5, tag(5)), 5)
    ledger.left_out(A.store_id, commit(4), commit(9), GapReason.UNREADABLE)
    (gap,) = ledger.state(0).gaps
    assert (gap.from_sequence, gap.to_sequence) == (5, 9)
    ledger.left_out(A.store_id, commit(4), commit(9), GapReason.UNREADABLE)
    assert len(ledger.state(0).gaps) == 1
