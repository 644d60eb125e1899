"""How a policy is written: what is read back, and what is refused with everything that is wrong."""

from pathlib import Path

import pytest
from hypothesis import given

from keystore.errors import PolicyError
from keystore.format.kind import SnapshotKind
from keystore.snapshots.policy import DEFAULT_POLICY, Policy, Retention
from keystore.snapshots.policy_file import decode_policy, encode_policy, parse_retention, schedule_text
from tests.snapshots.test_retention import POLICY

AT = 'reference_time = "18:00"\n'


@given(POLICY)
def test_what_is_written_is_read(policy: Policy) -> None:
    assert decode_policy(encode_policy(policy), "text") == policy


def test_the_default_policy_as_the_requirements_have_it() -> None:
    written = encode_policy(DEFAULT_POLICY)
    assert decode_policy(written, "text") == DEFAULT_POLICY
    assert [f"{item.kind.label}: {schedule_text(item)}, {item.keep}" for item in DEFAULT_POLICY.items] == [
        "hourly: every 6 hours, 7 days",
        "daily: every day, 7 days",
        "weekly: every Saturday, 4 weeks",
        "monthly: on the last day of every month, 12 months",
        "yearly: every 1 December, 1 year",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("7 days", Retention(7, "days")),
        ("1 day", Retention(1, "days")),
        ("30d", Retention(30, "days")),
        ("4w", Retention(4, "weeks")),
        ("1 month", Retention(1, "months")),
        ("2y", Retention(2, "years")),
    ],
)
def test_lengths_of_time(text: str, expected: Retention) -> None:
    assert parse_retention(text) == expected
    assert parse_retention(str(expected)) == expected


@pytest.mark.parametrize("text", ["", "7", "days", "0 days", "-1 days", "7 hours", "7m", "1.5 days", "7 days ago"])
def test_what_is_no_length_of_time(text: str) -> None:
    with pytest.raises(PolicyError, match="no length of time"):
        parse_retention(text)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "reference_time: .* it is missing"),
        ('reference_time = "24:00"', "'24:00' is none"),
        ("reference_time = 18:00:00", "is none"),
        (AT, "it has no schedule"),
        (AT + "[hourly", "not TOML"),
        (AT + 'daily = "7 days"', "daily: a table is needed"),
        (AT + "[daily]", "daily: keep is missing"),
        (AT + "[daily]\nkeep = 7", "daily: keep: '7' is no length"),
        (AT + '[daly]\nkeep = "7 days"', "nobody knows 'daly'"),
        (AT + '[daily]\nkeep = "7 days"\nat = "19:00"', "daily: nobody knows 'at'"),
        (AT + '[hourly]\nevery_hours = 5\nkeep = "7 days"', "every 5 hours, where 1, 2, 4, 6, 8, 12"),
        (AT + '[hourly]\nevery_hours = true\nkeep = "7 days"', "True is not a whole number"),
        (AT + '[hourly]\nkeep = "7 days"', "every_hours is missing"),
        (AT + '[weekly]\nweekday = "caturday"\nkeep = "4 weeks"', "'caturday' is none of monday"),
        (AT + '[monthly]\nday = 31\nkeep = "2 months"', "day 31, where 1 to 28 and 'last'"),
        (AT + '[yearly]\nmonth = 12\nkeep = "1 year"', "12 is none of january"),
        (AT + '[daily]\nkeep = "101 years"', "1 day to 100 years"),
        (AT + '[[daily]]\nkeep = "7 days"\n[[daily]]\nkeep = "8 days"', "2 daily schedules"),
        (AT + '[weekly]\nweekday = "monday"\nkeep = "6 days"', "less than 1 week, when the next one comes"),
        (AT + '[monthly]\nday = 1\nkeep = "30 days"', "less than 1 month"),
        (AT + '[yearly]\nmonth = "may"\nkeep = "11 months"', "less than 1 year"),
        (
            AT + '[daily]\nkeep = "5 weeks"\n[weekly]\nweekday = "monday"\nkeep = "4 weeks"',
            "weekly: kept for 4 weeks, which is less than the 5 weeks of daily",
        ),
        (AT + 'restore_window_days = 8\n[daily]\nkeep = "7 days"', "restore_window_days: 8"),
        (AT + 'restore_window_days = 0\n[daily]\nkeep = "7 days"', "restore_window_days: 0"),
    ],
)
def test_what_is_refused(text: str, problem: str) -> None:
    with pytest.raises(PolicyError, match=problem) as refused:
        decode_policy(text, "nightly.toml")
    assert str(refused.value).startswith("nightly.toml is no backup policy: ")
    assert "Nothing was taken and nothing deleted" in str(refused.value)


def test_everything_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(PolicyError) as refused:
        decode_policy('[daily]\nkeep = "x"\n[weekly]\nkeep = "1 week"', "text")
    assert [part in str(refused.value) for part in ("reference_time", "daily: keep", "weekly: weekday")] == [True] * 3


def test_several_weekly_schedules() -> None:
    text = AT + "".join(f'[[weekly]]\nweekday = "{day}"\nkeep = "2 weeks"\n' for day in ("monday", "Thursday"))
    policy = decode_policy(text, "text")
    assert [(item.kind, item.weekday) for item in policy.items] == [(SnapshotKind.WEEKLY, 0), (SnapshotKind.WEEKLY, 3)]


def test_the_guide_shows_the_default_policy() -> None:
    guide = (Path(__file__).parents[2] / "docs" / "SNAPSHOTS.md").read_text(encoding="utf-8")
    assert decode_policy(guide.partition("```toml\n")[2].partition("```")[0], "the guide") == DEFAULT_POLICY
