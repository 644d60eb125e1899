"""What a place remembers of a node's policy."""

from pathlib import Path

import pytest

from keystore.format.kind import SnapshotKind
from keystore.objects.directory import DirectoryPlace
from keystore.snapshots.policy_records import (
    RECORDS,
    RECORDS_KEPT_NS,
    PolicyRecords,
    forget_old_records,
    read_all_records,
    read_records,
    reason_of,
    record_beginning,
    record_passed_over,
)
from keystore.snapshots.retention import Occurrence

ONE, OTHER = b"1" * 16, b"2" * 16
WEEKLY, DAILY = Occurrence(2_000, SnapshotKind.WEEKLY), Occurrence(1_000, SnapshotKind.DAILY)


@pytest.fixture
def place(tmp_path: Path) -> DirectoryPlace:
    return DirectoryPlace(tmp_path / "snapshots")


def test_nothing_is_remembered_of_a_place_that_is_not_there(place: DirectoryPlace) -> None:
    assert read_records(place, ONE) == PolicyRecords(None, ())
    assert not place.path.exists()


def test_each_node_has_its_own(place: DirectoryPlace) -> None:
    record_beginning(place, ONE, 7)
    record_passed_over(place, ONE, [WEEKLY, DAILY], "key disabled")
    record_passed_over(place, OTHER, [DAILY], "gone")
    place.put(f"{RECORDS}readme", b"")
    place.put(f"{RECORDS}{ONE.hex()}-fortnightly-{7:020}", b"")
    assert read_all_records(place) == {
        ONE: PolicyRecords(7, (DAILY, WEEKLY)),
        OTHER: PolicyRecords(None, (DAILY,)),
    }
    assert reason_of(place, ONE, WEEKLY) == "key disabled"


def test_two_at_once_say_the_same(place: DirectoryPlace) -> None:
    for at_ns in (9, 7):
        record_beginning(place, ONE, at_ns)
    for reason in ("first", "second"):
        record_passed_over(place, ONE, [DAILY], reason)
    assert read_records(place, ONE) == PolicyRecords(7, (DAILY,))
    assert reason_of(place, ONE, DAILY) == "first"


def test_what_is_long_over_is_forgotten(place: DirectoryPlace) -> None:
    record_beginning(place, ONE, 7)
    record_passed_over(place, ONE, [DAILY, WEEKLY], "disabled")
    forget_old_records(place, ONE, DAILY.at_ns + RECORDS_KEPT_NS)
    assert read_records(place, ONE) == PolicyRecords(7, (DAILY, WEEKLY))
    forget_old_records(place, ONE, DAILY.at_ns + RECORDS_KEPT_NS + 1)
    assert read_records(place, ONE) == PolicyRecords(7, (WEEKLY,))
