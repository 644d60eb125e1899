"""The control plane's clock."""

import time
from collections.abc import Callable

import pytest

from keystore.control.clock import MovableClock, SystemClock
from keystore.control.database import Database
from keystore.errors import InputError

DAY_NS = 86_400 * 10**9


def test_the_system_clock_is_the_machines() -> None:
    before = time.time_ns()
    assert before <= SystemClock().now_ns() <= time.time_ns()


def test_every_process_sees_a_clock_that_one_moves(
    database: Database, database_url: str, opened: Callable[[str], Database]
) -> None:
    other = MovableClock(opened(database_url))
    MovableClock(database).advance(90 * DAY_NS)
    MovableClock(database).advance(DAY_NS)
    before = time.time_ns()
    assert before + 91 * DAY_NS <= other.now_ns() <= time.time_ns() + 91 * DAY_NS


def test_it_never_moves_back(database: Database) -> None:
    clock = MovableClock(database)
    before = clock.now_ns()
    with pytest.raises(InputError, match="forward only"):
        clock.advance(-1)
    assert clock.now_ns() >= before
