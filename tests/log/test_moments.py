"""Times as people write them: what is printed names one commit, and is read back as the same."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keystore.units import format_moment, parse_moment

NOW = 1_800_000_000_123_456_789
S = 10**9


@given(st.integers(0, 4 * 10**18))
def test_what_is_printed_is_read_back(ns: int) -> None:
    assert parse_moment(format_moment(ns), NOW) == ns


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1970-01-01T00:00:01Z", S),
        ("1970-01-01 02:00:00.5+02:00", S // 2),
        ("1970-01-01T00:00:00.000000001Z", 1),
        ("1969-12-31T23:30:00-0100", 1800 * S),
        ("90s", NOW - 90 * S),
        ("1h30m ago", NOW - 5400 * S),
        ("-2d", NOW - 2 * 86400 * S),
        ("99999999d", 0),
        ("1970-01-01T00:00:01", None),
        ("2026-13-01T00:00:00Z", None),
        ("2026-01-01", None),
        ("yesterday", None),
        ("", None),
        ("ago", None),
        ("-", None),
        ("5", None),
    ],
)
def test_a_time_is_iso_8601_with_a_zone_or_so_long_ago(text: str, expected: int | None) -> None:
    assert parse_moment(text, NOW) == expected


def test_a_time_that_no_calendar_has_is_shown_as_the_last_one() -> None:
    assert format_moment(2**80).startswith("9999-12-31T23:59:59")
