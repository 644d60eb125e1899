"""Patterns and dates that somebody writes into a policy: what they match, and that none of them takes long or fails."""

from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kms_emulator.model.conditions import epoch_s, wildcard
from kms_emulator.wire.aws.sigv4 import seconds_of


@given(st.text("ab?*", max_size=12), st.text("ab", max_size=12))
def test_patterns_match_what_a_shell_matches(pattern: str, text: str) -> None:
    assert (wildcard(pattern).fullmatch(text) is not None) == fnmatchcase(text, pattern)


def test_many_stars_take_no_longer_than_text_times_pattern() -> None:
    """With backtracking this would not end: each star multiplied the time by nine."""
    assert wildcard("*a" * 200 + "b").fullmatch("a" * 4000) is None
    assert wildcard("*a" * 200 + "*").fullmatch("a" * 4000) is not None


@pytest.mark.parametrize(
    "text", ["2020-13-01", "2020-02-31", "0000-01-01", "2020-01-01T24:00:00Z", "2020-01-01T10:99Z"]
)
def test_no_day_of_the_calendar_is_no_date(text: str) -> None:
    assert epoch_s(text) is None


def test_days_of_the_calendar() -> None:
    assert epoch_s("2020-02-29") == 1582934400
    assert epoch_s("1970-01-01T00:00:01Z") == 1


def test_a_signature_of_the_year_zero_has_no_time() -> None:
    assert seconds_of("00000101T000000Z") is None
