"""What is due: exactly one process gets a row, a dead one's row goes to another, and done stays done."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from keystore.control.database import Database
from keystore.control.due import Due, DueTable, next_at_ns
from keystore.control.executors import register, retire
from keystore.errors import ControlSetupError, FencedError

WAIT_S = 60
KINDS = ["rotate"]


def test_a_job_is_claimed_when_its_time_has_come_the_earliest_first(database: Database) -> None:
    table, me = DueTable(database), register(database, "me")
    for at in (30, 10, 20):
        assert table.add(Due("rotate", "c1", at))
    assert not table.add(Due("rotate", "c1", 10))
    assert table.claim(KINDS, 9, me) is None
    assert [table.claim(KINDS, 20, me) for _ in range(3)] == [Due("rotate", "c1", 10), Due("rotate", "c1", 20), None]
    assert table.claim(["other"], 100, me) is None


def test_each_job_goes_to_one_process_whoever_asks(database: Database) -> None:
    table = DueTable(database)
    jobs = [Due("rotate", f"c{n}", 5) for n in range(24)]
    for job in jobs:
        table.add(job)
    executors = [register(database, f"e{n}") for n in range(4)]

    def take(n: int) -> list[Due]:
        taken = []
        while job := table.claim(KINDS, 5, executors[n]):
            taken.append(job)
        return taken

    with ThreadPoolExecutor(4) as pool:
        taken = [job for done in [pool.submit(take, n) for n in range(4)] for job in done.result(WAIT_S)]
    assert sorted(taken, key=lambda job: job.subject) == sorted(jobs, key=lambda job: job.subject)


def test_a_claim_ends_with_its_process_and_the_late_one_is_fenced(database: Database) -> None:
    table, zombie, other = DueTable(database), register(database, "zombie"), register(database, "other")
    job = Due("rotate", "c1", 5)
    table.add(job)
    assert table.claim(KINDS, 5, zombie) == job
    assert table.claim(KINDS, 5, other) is None
    retire(database, zombie)
    assert table.claim(KINDS, 5, other) == job
    with pytest.raises(FencedError, match="claimed by another control process"):
        table.started(job, zombie)
    with pytest.raises(FencedError):
        table.claim(KINDS, 5, zombie)
    table.started(job, other)


def test_a_job_that_its_process_may_not_have_stays_open_also_where_that_is_found_at_the_last_moment(
    database: Database,
) -> None:
    table, first, second = DueTable(database), register(database, "first"), register(database, "second")
    job, asked = Due("rotate", "c1", 5), list[int]()
    table.add(job)

    def require(connection: sa.Connection) -> None:
        asked.append(len(asked))
        if len(asked) > 1:
            raise ControlSetupError("not for this process")

    for _ in range(2):
        with pytest.raises(ControlSetupError):
            table.claim(KINDS, 5, first, require)
    assert len(asked) == 3
    assert table.claim(KINDS, 5, second) == job


def test_what_was_started_is_not_claimed_again(database: Database) -> None:
    table, first, second = DueTable(database), register(database, "first"), register(database, "second")
    job = Due("rotate", "c1", 5)
    table.add(job)
    table.claim(KINDS, 5, first)
    table.started(job, first)
    retire(database, first)
    assert table.claim(KINDS, 5, second) is None
    assert table.open_jobs("rotate") == [job]


def test_done_makes_the_next_once_also_before_it_was_marked_as_started(database: Database) -> None:
    table, me = DueTable(database), register(database, "me")
    job = Due("rotate", "c1", 5)
    table.add(job)
    table.claim(KINDS, 5, me)
    table.done(job, 95)
    table.done(job, 96)
    table.started(job, me)
    assert table.open_jobs("rotate") == [Due("rotate", "c1", 95)]
    assert table.claim(KINDS, 94, me) is None
    assert table.claim(KINDS, 95, me) == Due("rotate", "c1", 95)
    table.done(Due("rotate", "c1", 95), None)
    assert table.open_jobs("rotate") == []


def test_a_clock_that_jumps_a_year_gives_one_job_and_one_that_jumps_back_none(database: Database) -> None:
    table, me = DueTable(database), register(database, "me")
    job = Due("rotate", "c1", 90)
    table.add(job)
    assert table.claim(KINDS, 455, me) == job
    assert table.claim(KINDS, 455, me) is None
    table.done(job, next_at_ns(job.at_ns, 455, 90))
    assert table.claim(KINDS, 100, me) is None
    assert table.open_jobs("rotate") == [Due("rotate", "c1", 545)]


@given(st.integers(0, 2**62), st.integers(0, 2**62), st.integers(1, 2**50))
def test_the_next_time_is_after_both_what_was_due_and_what_was_done(at: int, completed: int, interval: int) -> None:
    following = next_at_ns(at, completed, interval)
    assert following >= at + interval
    assert following >= completed + interval
    assert following in (at + interval, completed + interval)
