"""What a policy asks for at a moment: occurrences, lateness, what was passed over, expiry; any policy at any times."""

import time as clock
from dataclasses import replace
from datetime import UTC, datetime, time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keystore.format.kind import SnapshotKind
from keystore.snapshots.policy import (
    DAY_NS,
    DEFAULT_POLICY,
    HOURS,
    LAST,
    UNITS,
    Policy,
    PolicyItem,
    Retention,
    problems_of,
)
from keystore.snapshots.retention import Occurrence, due, expired, next_occurrence
from tests.snapshots.virtual_target import HOUR_NS, Times, VirtualTarget, ns, text

HOURLY, DAILY, WEEKLY = SnapshotKind.HOURLY, SnapshotKind.DAILY, SnapshotKind.WEEKLY
MONTHLY, YEARLY = SnapshotKind.MONTHLY, SnapshotKind.YEARLY
WEEK = Retention(7, "days")


def only(kind: SnapshotKind, keep: Retention = WEEK, reference: str = "18:00", **values: int | str) -> Policy:
    return Policy(time.fromisoformat(reference), (PolicyItem(kind, keep, **values),))  # type: ignore[arg-type]


def times_of(policy: Policy, first: str, last: str) -> list[str]:
    """Return every occurrence after one moment and up to another."""
    found, at_ns = [], ns(first)
    while (at_ns := next_occurrence(policy, at_ns).at_ns) <= ns(last):
        found.append(text(at_ns))
    return found


@pytest.mark.parametrize(("hours", "a_day"), [(1, 24), (2, 12), (4, 6), (6, 4), (8, 3), (12, 2)])
def test_hours_count_from_the_reference_time(hours: int, a_day: int) -> None:
    found = times_of(only(HOURLY, every_hours=hours, reference="17:20"), "2026-05-04T17:19", "2026-05-05T17:19")
    assert len(found) == a_day
    assert found[0] == "2026-05-04T17:20"
    assert all(at.endswith(":20") for at in found)


@pytest.mark.parametrize(
    ("policy", "first", "expected"),
    [
        (only(DAILY), "2028-02-28T18:00", ["2028-02-29T18:00", "2028-03-01T18:00"]),
        (only(DAILY), "2026-02-28T18:00", ["2026-03-01T18:00", "2026-03-02T18:00"]),
        (only(WEEKLY, weekday=5), "2026-12-20T00:00", ["2026-12-26T18:00", "2027-01-02T18:00"]),
        (only(WEEKLY, weekday=0, reference="00:00"), "2028-02-28T00:00", ["2028-03-06T00:00", "2028-03-13T00:00"]),
        (only(MONTHLY, day=LAST), "2028-01-31T18:00", ["2028-02-29T18:00", "2028-03-31T18:00"]),
        (only(MONTHLY, day=LAST), "2026-01-31T18:00", ["2026-02-28T18:00", "2026-03-31T18:00"]),
        (only(MONTHLY, day=LAST), "2100-01-31T18:00", ["2100-02-28T18:00", "2100-03-31T18:00"]),
        (only(MONTHLY, day=28), "2026-01-28T18:00", ["2026-02-28T18:00", "2026-03-28T18:00"]),
        (only(YEARLY, month=12), "2026-12-01T18:00", ["2027-12-01T18:00", "2028-12-01T18:00"]),
        (only(YEARLY, month=3), "2027-03-02T00:00", ["2028-03-01T18:00", "2029-03-01T18:00"]),
    ],
)
def test_days_weeks_months_and_years(policy: Policy, first: str, expected: list[str]) -> None:
    assert times_of(policy, first, expected[-1]) == expected


@pytest.mark.parametrize(
    ("keep", "start", "end"),
    [
        ("1 days", "2028-02-28T18:00", "2028-02-29T18:00"),
        ("4 weeks", "2026-02-28T18:00", "2026-03-28T18:00"),
        ("1 months", "2026-01-31T18:00", "2026-02-28T18:00"),
        ("1 months", "2028-01-31T18:00", "2028-02-29T18:00"),
        ("1 months", "2026-02-28T18:00", "2026-03-28T18:00"),
        ("12 months", "2028-02-29T18:00", "2029-02-28T18:00"),
        ("2 months", "2026-12-31T18:00", "2027-02-28T18:00"),
        ("1 years", "2028-02-29T18:00", "2029-02-28T18:00"),
        ("4 years", "2028-02-29T18:00", "2032-02-29T18:00"),
        ("100 years", "2027-12-01T18:00", "2127-12-01T18:00"),
    ],
)
def test_retention_goes_by_the_calendar(keep: str, start: str, end: str) -> None:
    count, unit = keep.split()
    retention = Retention(int(count), next(known for known in UNITS if known == unit))
    assert text(retention.end_ns(ns(start))) == end
    assert retention.end_ns(ns(start) + 1) - retention.end_ns(ns(start)) == 1  # exact, not to the second


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/Santiago", "Australia/Lord_Howe"])
def test_summer_time_of_the_machine_changes_nothing(zone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    first, last = "2026-03-01T00:00", "2026-11-30T00:00"
    expected = times_of(DEFAULT_POLICY, first, last)
    monkeypatch.setenv("TZ", zone)
    clock.tzset()
    try:
        offsets = {datetime.fromtimestamp(at / 1e9, UTC).astimezone().utcoffset() for at in map(ns, expected)}
        assert len(offsets) == 2
        assert times_of(DEFAULT_POLICY, first, last) == expected
        assert len(expected) == (ns(last) - ns(first)) // DAY_NS * 4
    finally:
        monkeypatch.undo()
        clock.tzset()


def test_what_was_missed_is_taken_once() -> None:
    target = VirtualTarget(DEFAULT_POLICY, since_ns=ns("2026-03-02T00:00"))
    target.run(ns("2026-03-02T00:00"))
    late = ns("2026-03-10T09:17")
    found = target.run(late)
    assert found is not None
    assert found.occurrences == (
        Occurrence(ns("2026-03-10T06:00"), HOURLY),
        Occurrence(ns("2026-03-09T18:00"), DAILY),
        Occurrence(ns("2026-03-07T18:00"), WEEKLY),
    )
    assert (found.kind, found.expires_ns) == (WEEKLY, late + 28 * DAY_NS)
    assert target.run(late) is None
    assert target.run(ns("2026-03-10T11:59")) is None
    next_found = target.run(ns("2026-03-10T12:00"))
    assert next_found is not None
    assert next_found.occurrences == (Occurrence(ns("2026-03-10T12:00"), HOURLY),)


def test_what_is_late_is_not_kept_shorter_than_what_is_in_time() -> None:
    policy = only(MONTHLY, Retention(1, "months"), day=28)
    found = due(policy, [], ns("2026-01-30T10:00"), since_ns=ns("2026-01-01T00:00"))
    assert found is not None
    # A month after the 30th at 10:00 would be 28 February at 10:00, before what the occurrence itself would have had.
    assert text(found.expires_ns) == "2026-02-28T18:00"


def test_what_would_have_expired_is_not_taken_any_more() -> None:
    # From 28 February a month is over on 28 March, three days before the next last day.
    policy = only(MONTHLY, Retention(1, "months"), day=LAST)
    target = VirtualTarget(policy, since_ns=ns("2026-02-01T00:00"))
    taken = [text(now_ns) for now_ns in range(target.since_ns, ns("2026-04-01T00:00"), HOUR_NS) if target.run(now_ns)]
    assert taken == ["2026-02-28T18:00", "2026-03-31T18:00"]


def test_nothing_is_due_from_before_the_policy_began() -> None:
    now_ns = ns("2026-01-05T09:00")
    assert due(DEFAULT_POLICY, [], now_ns, since_ns=ns("2026-01-05T08:59")) is None
    found = due(DEFAULT_POLICY, [], now_ns, since_ns=ns("2026-01-05T06:00"))
    assert found is not None
    assert found.kind is HOURLY


def test_a_snapshot_on_demand_serves_no_schedule() -> None:
    now_ns = ns("2026-01-05T06:00")
    on_demand = Times(now_ns, SnapshotKind.ON_DEMAND)
    assert due(DEFAULT_POLICY, [on_demand], now_ns, since_ns=now_ns) is not None
    assert due(DEFAULT_POLICY, [replace(on_demand, kind=HOURLY)], now_ns, since_ns=now_ns) is None


def test_a_snapshot_from_the_future_serves_nothing() -> None:
    now_ns = ns("2026-01-05T06:00")
    ahead = Times(ns("2027-01-05T06:00"), YEARLY, ns("2028-01-05T06:00"))
    found = due(DEFAULT_POLICY, [ahead], now_ns, since_ns=now_ns)
    assert found is not None
    assert found.kind is HOURLY


def test_what_was_passed_over_is_not_made_up_for() -> None:
    target = VirtualTarget(DEFAULT_POLICY, since_ns=ns("2026-03-07T12:00"))
    target.run(ns("2026-03-07T12:00"))
    assert target.run(ns("2026-03-07T18:00"), disabled=True) is not None
    assert {occurrence.kind for occurrence in target.skipped} == {HOURLY, DAILY, WEEKLY}
    assert target.run(ns("2026-03-07T23:59")) is None
    found = target.run(ns("2026-03-08T00:00"))
    assert found is not None
    assert found.kind is HOURLY
    # The clock of what was taken runs on meanwhile.
    target.run(ns("2026-03-14T12:00"), disabled=True)
    assert [text(snapshot.created_ns) for snapshot in target.kept] == ["2026-03-08T00:00"]


def test_expiry_is_each_snapshots_own() -> None:
    at_ns = ns("2026-03-07T18:00")
    snapshots = [
        Times(0, HOURLY, at_ns),
        Times(0, YEARLY, at_ns - 1),
        Times(0, SnapshotKind.ON_DEMAND, at_ns + 1),
        Times(0, SnapshotKind.ON_DEMAND),
    ]
    assert list(expired(snapshots, at_ns)) == [0, 1]
    assert list(expired(snapshots, at_ns + 1)) == [0, 1, 2]


KEEP = st.builds(Retention, st.integers(1, 40), st.sampled_from(UNITS))
ITEM = st.one_of(
    st.builds(PolicyItem, st.just(HOURLY), KEEP, every_hours=st.sampled_from(HOURS)),
    st.builds(PolicyItem, st.just(DAILY), KEEP),
    st.builds(PolicyItem, st.just(WEEKLY), KEEP, weekday=st.integers(0, 6)),
    st.builds(PolicyItem, st.just(MONTHLY), KEEP, day=st.one_of(st.just("last"), st.integers(1, 28))),
    st.builds(PolicyItem, st.just(YEARLY), KEEP, month=st.integers(1, 12)),
)
POLICY = st.builds(
    lambda reference, items: Policy(reference, tuple(sorted(set(items), key=lambda item: item.kind))),
    st.builds(time, st.integers(0, 23), st.integers(0, 59)),
    st.lists(ITEM, min_size=1, max_size=6),
).filter(lambda policy: not problems_of(policy))
START = st.integers(ns("2023-01-01T00:00"), ns("2105-01-01T00:00"))
PAUSES = st.lists(st.integers(1, 70 * DAY_NS), min_size=1, max_size=25)


@given(POLICY, START, PAUSES)
def test_no_occurrence_is_served_twice_and_none_too_long_or_too_short(
    policy: Policy, start_ns: int, pauses: list[int]
) -> None:
    target = VirtualTarget(policy, since_ns=start_ns)
    now_ns = start_ns
    for pause in pauses:
        now_ns += pause
        found = target.run(now_ns)
        assert target.run(now_ns) is None
        if found is not None:
            assert found.kind is max(occurrence.kind for occurrence in found.occurrences)
            assert all(start_ns <= occurrence.at_ns <= now_ns < found.expires_ns for occurrence in found.occurrences)
    assert len(set(target.served)) == len(target.served)
    assert all(snapshot.expires_ns > now_ns for snapshot in target.kept)


@given(POLICY, START)
def test_who_looks_at_every_occurrence_serves_every_one(policy: Policy, start_ns: int) -> None:
    target = VirtualTarget(policy, since_ns=start_ns)
    target.run(start_ns)
    expected: list[Occurrence] = []
    at_ns = start_ns
    for _ in range(12):
        occurrence = next_occurrence(policy, at_ns)
        at_ns = occurrence.at_ns
        assert target.run(at_ns - 1) is None
        assert target.run(at_ns) is not None
        assert target.taken[-1].created_ns == at_ns
        assert target.taken[-1].kind is occurrence.kind
        expected.append(occurrence)
    assert set(expected) <= set(target.served)


@settings(max_examples=30)
@given(POLICY, START, st.integers(1, 40), st.integers(0, 10))
def test_a_longer_policy_deletes_nothing_sooner(policy: Policy, start_ns: int, days: int, more: int) -> None:
    longer = replace(
        policy, items=tuple(replace(i, keep=replace(i.keep, count=i.keep.count + more)) for i in policy.items)
    )
    shorter_target, longer_target = VirtualTarget(policy, start_ns), VirtualTarget(longer, start_ns)
    for now_ns in range(start_ns, start_ns + days * DAY_NS, 7 * HOUR_NS):
        shorter_target.run(now_ns)
        longer_target.run(now_ns)
    assert {item.created_ns for item in shorter_target.kept} <= {item.created_ns for item in longer_target.kept}
