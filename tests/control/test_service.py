"""A control process: what is due is started once, by whoever lives, and a fault does not end a job for good."""

import threading
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from keystore.control import tables
from keystore.control.database import Database
from keystore.control.dbos_engine import DbosEngine
from keystore.control.due import Due, DueTable
from keystore.control.engine import Run, State
from keystore.control.executors import register, retire
from keystore.control.service import FAILED_AGAIN_NS, ControlService
from keystore.errors import FencedError, KmsUnreachableError
from tests.control.worker import WAIT_S, wait_until

DAY_NS = 86_400 * 10**9


class HandClock:
    """A clock that the test sets."""

    def __init__(self) -> None:
        self.ns = 0

    def now_ns(self) -> int:
        return self.ns


class Bench:
    """A launched engine and a service whose looks the test makes."""

    def __init__(self, database: Database) -> None:
        self.table, self.clock, self.done = DueTable(database), HandClock(), list[Due]()
        self.fails = self.forgets = False
        self.engine = DbosEngine(database, "me", beat_s=0.05, dead_after_s=60, poll_s=0.05)
        self.engine.register("job", self._job)
        self.engine.launch()
        self.service = self.serving()

    def serving(self) -> ControlService:
        return ControlService(self.table.database, self.engine, self.clock, ["job"], 0.02)

    def _job(self, run: Run, row: Mapping[str, Any]) -> None:
        run.step("do", lambda: self._do(Due(**row)))

    def _do(self, job: Due) -> None:
        if self.fails:
            raise KmsUnreachableError("no answer")
        self.done.append(job)
        if not self.forgets:
            self.table.done(job, job.at_ns + DAY_NS)

    def wait_done(self, count: int) -> None:
        wait_until(lambda: len(self.done) >= count, f"job {count}")


@pytest.fixture
def bench(database: Database) -> Iterator[Bench]:
    found = Bench(database)
    yield found
    found.service.stop(WAIT_S)
    found.engine.close()


def test_a_job_is_done_when_it_is_due_and_comes_again(bench: Bench) -> None:
    for subject in ("a", "b"):
        bench.table.add(Due("job", subject, DAY_NS))
    assert bench.service.look() == 0
    bench.clock.ns = DAY_NS
    assert bench.service.look() == 2
    assert bench.service.look() == 0
    bench.wait_done(2)
    bench.clock.ns = 2 * DAY_NS  # not later: a job that is quick would be due once more in the same look
    next_rows = [2 * DAY_NS] * 2
    wait_until(lambda: [job.at_ns for job in bench.table.open_jobs("job")] == next_rows, "the next rows")
    assert bench.service.look() == 2
    bench.wait_done(4)
    assert sorted((job.subject, job.at_ns // DAY_NS) for job in bench.done) == [("a", 1), ("a", 2), ("b", 1), ("b", 2)]


def test_the_thread_does_all_that_and_ends(bench: Bench) -> None:
    bench.table.add(Due("job", "a", 0))
    bench.service.start()
    bench.wait_done(1)
    bench.service.stop(WAIT_S)
    assert [thread.name for thread in threading.enumerate() if thread.name == "control-due"] == []
    assert bench.service.look() == 0


def test_a_claim_of_a_process_that_died_before_it_started_anything_is_anothers(
    bench: Bench, database: Database
) -> None:
    job = Due("job", "a", 0)
    bench.table.add(job)
    dead = register(database, "dead")
    assert bench.table.claim(["job"], 0, dead) == job
    assert bench.service.look() == 0
    retire(database, dead)
    assert bench.service.look() == 1
    bench.wait_done(1)


def test_a_job_whose_start_was_repeated_is_done_once(bench: Bench, database: Database) -> None:
    job = Due("job", "a", 0)
    bench.table.add(job)
    dead = register(database, "dead")
    bench.table.claim(["job"], 0, dead)
    bench.engine.start("job", job.key, {"kind": "job", "subject": "a", "at_ns": 0})
    bench.wait_done(1)
    retire(database, dead)
    assert bench.service.look() == 0
    assert bench.done == [job]


def test_a_job_that_fails_or_forgets_its_row_comes_back(bench: Bench) -> None:
    job = Due("job", "a", 0)
    bench.table.add(job)
    bench.fails = True
    bench.service.look()
    wait_until(lambda: bench.service.tend() == [job], "the failure")
    assert bench.service.tend() == []
    bench.fails, bench.forgets = False, True
    bench.clock.ns = FAILED_AGAIN_NS - 1
    assert bench.service.look() == 0
    bench.clock.ns += 1
    assert bench.service.look() == 1
    again = Due("job", "a", FAILED_AGAIN_NS)
    wait_until(lambda: bench.service.tend() == [again], "the forgotten row")
    assert bench.done == [again]
    assert bench.table.open_jobs("job") == [Due("job", "a", 2 * FAILED_AGAIN_NS)]


def test_a_process_that_was_taken_for_dead_starts_nothing(bench: Bench, database: Database) -> None:
    bench.table.add(Due("job", "a", 0))
    retire(database, bench.engine.executor)
    with pytest.raises(FencedError):
        bench.service.look()
    wait_until(bench.engine.fenced, "the engine to notice")
    assert bench.done == []


def test_what_is_done_and_old_is_forgotten_and_nothing_else(bench: Bench, database: Database) -> None:
    done, waits = Due("job", "a", 0), Due("job", "a", DAY_NS)
    bench.table.add(done)
    bench.service.look()
    wait_until(lambda: bench.table.open_jobs("job") == [waits], "the job")
    wait_until(lambda: _state(bench, done) is State.DONE, "the end of its workflow")
    bench.service.forget()
    assert _state(bench, done) is State.DONE
    bench.clock.ns = 40 * DAY_NS
    assert bench.engine.forget(datetime.now(UTC) + timedelta(seconds=1)) == 1
    bench.service.forget()
    assert _state(bench, done) is None
    with database.read() as connection:
        assert connection.execute(sa.select(tables.runs)).all() == []
        assert connection.execute(sa.select(tables.due.c.at_ns)).scalars().all() == [DAY_NS]
    assert bench.service.look() == 1


def _state(bench: Bench, job: Due) -> State | None:
    status = bench.engine.status(job.key)
    return status.state if status else None
