"""Backup schedules as the API has them: every number, every rule, and a year of occurrences to the nanosecond."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from keystore.errors import ApiError
from keystore.format.kind import SnapshotKind
from keystore.projects.schedules import DEFAULT_SCHEDULE, LAST_DAY, Schedule, decode_schedule, kept_until_ns
from keystore.snapshots.policy import HOURS
from keystore.snapshots.retention import next_occurrence

S = 10**9
START = datetime(2027, 1, 1, tzinfo=UTC)
DAYS = 365


def item(kind: str, interval: object = 1, unit: object = "days", value: object = 7) -> dict[str, Any]:
    names = ("frequencyType", "frequencyInterval", "retentionUnit", "retentionValue")
    return dict(zip(names, (kind, interval, unit, value), strict=True))


def ns(at: datetime) -> int:
    return int(at.timestamp()) * S


def occurrences(schedule: Schedule) -> list[datetime]:
    """Return when the schedule is due in the year from `START` on, its first nanosecond included."""
    found, at_ns, end_ns = [], ns(START) - 1, ns(START + timedelta(days=DAYS))
    while (at_ns := next_occurrence(schedule.policy, at_ns).at_ns) < end_ns:
        assert at_ns % S == 0
        found.append(datetime.fromtimestamp(at_ns // S, UTC))
    return found


@pytest.mark.row("R99")
@pytest.mark.parametrize("every", HOURS)
@pytest.mark.parametrize("reference", [(18, 0), (0, 59), (23, 1)])
def test_a_year_of_every_hourly_schedule(every: int, reference: tuple[int, int]) -> None:
    schedule = decode_schedule(reference, 7, [item("hourly", every)])
    hours = [START + timedelta(hours=number, minutes=reference[1]) for number in range(DAYS * 24)]
    due = [at for at in hours if (at.hour - reference[0]) % every == 0]
    assert occurrences(schedule) == due
    assert len(due) == DAYS * 24 // every


@pytest.mark.parametrize("hour", [0, 18, 23])
def test_a_year_of_daily_and_of_every_weekday(hour: int) -> None:
    days = [START + timedelta(days=number, hours=hour, minutes=30) for number in range(DAYS)]
    assert occurrences(decode_schedule((hour, 30), 7, [item("daily")])) == days
    for weekday in range(1, 8):
        schedule = decode_schedule((hour, 30), 7, [item("weekly", weekday, "weeks", 4)])
        assert occurrences(schedule) == [at for at in days if at.isoweekday() == weekday]


def test_a_year_of_every_day_of_the_month_and_of_every_month() -> None:
    days = [START + timedelta(days=number, hours=18) for number in range(DAYS)]
    for day in range(1, 29):
        found = occurrences(decode_schedule((18, 0), 7, [item("monthly", day, "months", 12)]))
        assert found == [at for at in days if at.day == day]
    last = occurrences(decode_schedule((18, 0), 7, [item("monthly", LAST_DAY, "months", 12)]))
    assert last == [at for at in days if (at + timedelta(days=1)).day == 1]
    assert [at.day for at in last] == [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
    for month in range(1, 13):
        found = occurrences(decode_schedule((18, 0), 7, [item("yearly", month, "years", 1)]))
        assert found == [datetime(2027, month, 1, 18, tzinfo=UTC)]


def test_the_default_schedule() -> None:
    schedule = DEFAULT_SCHEDULE
    assert schedule.window_days == 7
    assert (schedule.policy.reference.hour, schedule.policy.reference.minute) == (18, 0)
    assert schedule.items == [
        item("hourly", 6, "days", 7),
        item("daily", 1, "days", 7),
        item("weekly", 6, "weeks", 4),
        item("monthly", LAST_DAY, "months", 12),
        item("yearly", 12, "years", 1),
    ]
    assert decode_schedule((18, 0), 7, schedule.items) == schedule
    assert len(occurrences(schedule)) == 4 * DAYS


def test_an_end_is_that_of_the_calendar_at_the_same_time_of_day() -> None:
    schedule = decode_schedule((18, 0), 1, [item("daily", 1, "days", 1), item("monthly", LAST_DAY, "months", 1)])
    taken = datetime(2027, 1, 31, 18, tzinfo=UTC)
    assert kept_until_ns(schedule, SnapshotKind.MONTHLY, ns(taken) + 5) == ns(datetime(2027, 2, 28, 18, tzinfo=UTC)) + 5
    assert kept_until_ns(schedule, SnapshotKind.DAILY, ns(taken)) == ns(taken) + 86_400 * S
    assert kept_until_ns(schedule, SnapshotKind.YEARLY, ns(taken)) is None


def test_the_restore_window_is_at_most_what_the_most_frequent_are_kept() -> None:
    items = [item("hourly", 6, "days", 3), item("daily", 1, "days", 9)]
    for days in (1, 2, 3):
        assert decode_schedule((18, 0), days, items).window_days == days
    with pytest.raises(ApiError, match="restoreWindowDays: 4") as refused:
        decode_schedule((18, 0), 4, items)
    assert (refused.value.status, refused.value.code) == (400, "INVALID_BACKUP_SCHEDULE")
    assert refused.value.field == "restoreWindowDays"


REFUSED: list[tuple[dict[str, Any], str]] = [
    *((item("hourly", every), "policies") for every in (3, 5, 7, 24)),
    (item("hourly", 0), "policies.0.policyItems.0.frequencyInterval"),
    (item("hourly", True), "policies.0.policyItems.0.frequencyInterval"),
    (item("hourly", "6"), "policies.0.policyItems.0.frequencyInterval"),
    (item("daily", 2), "policies.0.policyItems.0.frequencyInterval"),
    (item("weekly", 0, "weeks"), "policies.0.policyItems.0.frequencyInterval"),
    (item("weekly", 8, "weeks"), "policies.0.policyItems.0.frequencyInterval"),
    (item("weekly", 1, "days", 6), "policies"),
    (item("monthly", 29, "months"), "policies"),
    (item("monthly", 41, "months"), "policies.0.policyItems.0.frequencyInterval"),
    (item("monthly", 1, "days", 28), "policies"),
    (item("yearly", 13, "years"), "policies.0.policyItems.0.frequencyInterval"),
    (item("yearly", 1, "months", 11), "policies"),
    (item("secondly"), "policies.0.policyItems.0.frequencyType"),
    (item("on demand"), "policies.0.policyItems.0.frequencyType"),
    (item("daily", 1, "hours"), "policies.0.policyItems.0.retentionUnit"),
    (item("daily", 1, "days", 0), "policies.0.policyItems.0.retentionValue"),
    (item("daily", 1, "years", 101), "policies"),
    ({"frequencyType": "daily", "retentionUnit": "days"}, "policies.0.policyItems.0.frequencyInterval"),
]


@pytest.mark.parametrize(("wrong", "field"), REFUSED)
def test_an_item_that_is_wrong_is_refused_and_named(wrong: dict[str, Any], field: str) -> None:
    with pytest.raises(ApiError, match="The backup schedule is invalid") as refused:
        decode_schedule((18, 0), 1, [wrong])
    assert refused.value.field == field


def test_orders_of_items_and_times_that_are_wrong_are_refused() -> None:
    with pytest.raises(ApiError, match="less than the 8 days of hourly"):
        decode_schedule((18, 0), 1, [item("hourly", 6, "days", 8), item("daily", 1, "days", 7)])
    with pytest.raises(ApiError, match="2 daily schedules"):
        decode_schedule((18, 0), 1, [item("daily"), item("daily")])
    with pytest.raises(ApiError, match="no schedule"):
        decode_schedule((18, 0), 1, [])
    with pytest.raises(ApiError, match="at most 60"):
        decode_schedule((18, 0), 1, [item("daily")] * 61)
    for reference, field in (((24, 0), "referenceHourOfDay"), ((0, 60), "referenceMinuteOfHour")):
        with pytest.raises(ApiError) as refused:
            decode_schedule(reference, 1, [item("daily")])
        assert refused.value.field == field
