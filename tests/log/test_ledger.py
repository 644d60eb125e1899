"""What the log knows of each store, and when it says that something is missing."""

from dataclasses import replace
from types import MappingProxyType

import numpy as np
import pytest

from keystore.crypto.secret import SecretKey
from keystore.format.log_body import EventKind
from keystore.format.log_state import GAPS_MAX, GapReason, LogState
from keystore.format.record import CHANGE
from keystore.keys.hierarchy import Database, DataKey, StoreRecord
from keystore.pages.witness import Committed, Moment
from keystore.snapshots.log_ledger import Ledger, changes

A, B, DB = b"a" * 16, b"b" * 16, b"d" * 16


def tag(sequence: int) -> bytes:
    return sequence.to_bytes(16, "little")


def commit(sequence: int, previous: int | None = None) -> Committed:
    before = tag(sequence - 1 if previous is None else previous)
    return Committed(sequence, 1000 + sequence, before, tag(sequence), 1, 0, np.empty(0, dtype=CHANGE), (), b"")


def database(*stores: bytes, keys: bool = True) -> Database:
    records = {each.hex(): StoreRecord(each, each.hex(), 4096, 1) for each in stores}
    data_keys = (DataKey(1, SecretKey.generate(), 1),) if keys else ()
    return Database(DB, "db", 1, data_keys, MappingProxyType(records))


@pytest.fixture
def ledger() -> Ledger:
    """Of a log that knows store A as opened, with five commits."""
    made = Ledger.of_run([database(A)])
    made.opened(A, Moment(2, 0, tag(0)), 1000)
    assert all(made.committed(A, commit(number), None) for number in range(1, 6))
    return made


def gaps(ledger: Ledger) -> list[tuple[GapReason, int, int]]:
    return [(gap.reason, gap.from_sequence, gap.to_sequence) for gap in ledger.state(0).gaps]


def test_a_store_is_unknown_until_it_is_opened() -> None:
    made = Ledger.of_run([database(A)])
    assert made.position(A) is None
    assert not made.state(0).stores[A].certain
    made.opened(A, Moment(7, 3, tag(3)), 1000)
    position = made.position(A)
    assert position is not None
    assert (position.epoch, position.sequence, position.certain, position.entered) == (7, 3, True, True)
    assert gaps(made) == []


def test_what_was_archived_before_is_left_out(ledger: Ledger) -> None:
    assert [ledger.committed(A, commit(number), None) for number in (4, 5, 6)] == [False, False, True]
    assert gaps(ledger) == []


def test_a_commit_that_does_not_follow_is_behind_a_gap(ledger: Ledger) -> None:
    assert ledger.committed(A, commit(8), None)
    assert gaps(ledger) == [(GapReason.KILLED, 5, 7)]
    assert ledger.committed(A, commit(9), None)
    assert len(gaps(ledger)) == 1


def test_a_commit_with_the_next_number_and_another_past_is_behind_a_gap(ledger: Ledger) -> None:
    assert ledger.committed(A, commit(6, previous=77), None)
    assert gaps(ledger) == [(GapReason.KILLED, 5, 5)]


def test_gaps_that_touch_are_one(ledger: Ledger) -> None:
    for number in (6, 7, 8):
        assert not ledger.committed(A, commit(number), GapReason.LAG)
    assert ledger.committed(A, commit(9), None)
    assert not ledger.committed(A, commit(10), GapReason.LAG)
    (first, second) = ledger.state(0).gaps
    assert (first.from_sequence, first.to_sequence, first.from_ns, first.to_ns) == (5, 8, 1005, 1008)
    assert (second.from_sequence, second.to_sequence) == (9, 10)


def test_only_the_last_gaps_are_named(ledger: Ledger) -> None:
    for number in range(6, 6 + 2 * (GAPS_MAX + 5), 2):
        ledger.committed(A, commit(number), GapReason.LAG)
        ledger.committed(A, commit(number + 1), None)
    state = ledger.state(0)
    assert len(state.gaps) == GAPS_MAX
    assert LogState.decode(state.encode()) == state


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        (Moment(3, 5, tag(5)), []),
        (Moment(3, 9, tag(9)), [(GapReason.KILLED, 5, 9)]),
        (Moment(3, 4, tag(4)), [(GapReason.UNKNOWN, 5, 4)]),
        (Moment(3, 5, tag(66)), [(GapReason.UNKNOWN, 5, 5)]),
    ],
)
def test_an_opening_elsewhere_than_the_log_is_a_gap(
    ledger: Ledger, at: Moment, expected: list[tuple[GapReason, int, int]]
) -> None:
    ledger.opened(A, at, 2000)
    assert gaps(ledger) == expected
    position = ledger.position(A)
    assert position is not None
    assert (position.epoch, position.sequence, position.tag) == (at.epoch, at.sequence, at.tag)


def test_the_next_process_vouches_for_what_was_closed_and_not_opened_since(ledger: Ledger) -> None:
    closed = Moment(2, 5, tag(5))
    ledger.closed(A, closed, 2000, settled=True)
    state = ledger.state(3000)
    anchored = {
        "as it was": (closed, True),
        "opened since": (Moment(3, 5, tag(5)), False),
        "at another commit": (Moment(2, 6, tag(6)), False),
        "without an anchor": (None, False),
    }
    for at, certain in anchored.values():
        following = Ledger(state)
        following.go_on({} if at is None else {A: at}, [database(A)])
        assert following.state(0).stores[A].certain is certain


def test_a_store_that_was_open_is_not_vouched_for_by_the_next_process(ledger: Ledger) -> None:
    following = Ledger(ledger.state(3000))
    following.go_on({A: Moment(2, 5, tag(5))}, [database(A)])
    assert not following.state(0).stores[A].certain
    assert following.committed(A, commit(6), None), "of its record chain"
    following.opened(A, Moment(3, 6, tag(6)), 4000)
    assert following.state(0).stores[A].certain
    assert gaps(following) == []


def test_a_close_of_unknown_outcome_vouches_for_nothing(ledger: Ledger) -> None:
    ledger.closed(A, Moment(2, 5, tag(5)), 2000, settled=False)
    position = ledger.state(0).stores[A]
    assert (position.closed, position.certain) == (False, False)


def test_changes_of_the_catalogue_that_nobody_told_of(ledger: Ledger) -> None:
    following = Ledger(ledger.state(3000))
    following.go_on({}, [database(B)])
    found = following.missed([database(B)], since_ns=3000, now_ns=5000)
    assert [(event.kind, event.store_id, event.since_ns, event.time_ns) for event in found] == [
        (EventKind.STORE_MADE, B, 3000, 5000),
        (EventKind.STORE_DROPPED, A, 3000, 5000),
    ]
    for event in found:
        following.event(event)
    assert set(following.state(0).stores) == {B}
    assert following.missed([database(B)], 5000, 6000) == []
    (shredded,) = following.missed([database(B, keys=False)], 5000, 6000)
    assert shredded.kind is EventKind.DATABASE_SHREDDED


def test_a_store_dropped_while_nobody_vouches_for_it_leaves_a_gap(ledger: Ledger) -> None:
    ledger.closed(A, Moment(2, 5, tag(5)), 2000, settled=False)
    for event in changes({"db": database(A)}, {"db": database()}, 5000):
        ledger.event(event)
    assert gaps(ledger) == [(GapReason.KILLED, 5, 5)]


def test_a_store_that_never_came_to_be_is_forgotten(ledger: Ledger) -> None:
    ledger.opened(B, Moment(1, 0, tag(0)), 1000)
    assert B in ledger.state(0).stores
    following = Ledger(ledger.state(3000))
    following.go_on({}, [database(A)])
    assert set(following.state(0).stores) == {A}


def test_what_a_change_of_the_catalogue_did() -> None:
    empty: dict[str, Database] = {}
    kinds = [event.kind for event in changes(empty, {"db": database(A, B)}, 5)]
    assert kinds == [EventKind.DATABASE_MADE, EventKind.STORE_MADE, EventKind.STORE_MADE]
    kinds = [event.kind for event in changes({"db": database(A, B)}, {"db": database(keys=False)}, 5)]
    assert kinds == [EventKind.STORE_DROPPED, EventKind.STORE_DROPPED, EventKind.DATABASE_SHREDDED]
    assert changes({"db": database(A)}, {"db": database(A)}, 5) == []


def test_a_renamed_store_is_told_as_made_by_its_name_and_once_more_where_nobody_could_tell(ledger: Ledger) -> None:
    former = database(A)
    record = replace(former.stores[A.hex()], name="new", created_ns=9)
    renamed = replace(former, stores=MappingProxyType({"new": record}))
    (event,) = changes({"db": former}, {"db": renamed}, 10)
    assert (event.kind, event.store_id, event.name) == (EventKind.STORE_MADE, A, "new")
    before = ledger.state(0)
    ledger.event(event)
    assert ledger.state(0) == before
    assert [each.name for each in ledger.missed([renamed], 8, 10)] == ["new"]
    assert ledger.missed([renamed], 9, 10) == []
