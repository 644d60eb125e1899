"""The jobs of a cluster as workflows on the real engine."""

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest

from keystore.control.dbos_engine import DbosEngine
from keystore.control.due import Due
from keystore.control.engine import State
from keystore.control.jobs import ROTATION_JOB
from keystore.control.requests import OPERATION_JOB
from keystore.control.rolling import OperationState
from keystore.control.workflows import register_jobs
from tests.control.on_sqlite import database_url as database_url
from tests.control.test_operations import NAMES, ORDER, Plane
from tests.control.test_operations import plane as plane
from tests.control.worker import wait_until
from tests.key_files import cmk as cmk
from tests.key_files import other_cmk as other_cmk


@pytest.fixture
def engine(plane: Plane) -> Iterator[DbosEngine]:
    engine = DbosEngine(plane.database, "me", beat_s=0.05, dead_after_s=5, poll_s=0.05)
    register_jobs(engine, plane.jobs)
    engine.launch()
    yield engine
    engine.close()


def run(engine: DbosEngine, job: Due) -> None:
    """Have a job done, to the end of its workflow."""
    engine.start(job.kind, job.key, asdict(job))

    def ended() -> bool:
        status = engine.status(job.key)
        return status is not None and status.ended

    wait_until(ended, job.key)
    status = engine.status(job.key)
    assert status is not None
    assert status.state is State.DONE, status


def test_a_rotation_that_is_due_is_begun_and_carried_out(plane: Plane, engine: DbosEngine) -> None:
    (rotation,) = plane.due.open_jobs(ROTATION_JOB)
    plane.clock.advance(rotation.at_ns - plane.clock.now_ns() + 1)
    run(engine, rotation)
    (operation,) = plane.due.open_jobs(OPERATION_JOB)
    run(engine, operation)
    assert plane.members.touched == ORDER
    assert plane.members.generations() == dict.fromkeys(NAMES, 2)
    assert [each.state for each in plane.history()] == [OperationState.DONE]
    assert plane.due.open_jobs(OPERATION_JOB) == []


def test_a_pause_ends_the_workflow_and_the_next_one_goes_on(plane: Plane, engine: DbosEngine, other_cmk: str) -> None:
    path = Path(other_cmk.removeprefix("local://"))
    material = path.read_bytes()
    plane.requests.change_cmk("orders", other_cmk)
    path.unlink()
    (first,) = plane.due.open_jobs(OPERATION_JOB)
    run(engine, first)
    (operation,) = plane.history()
    assert operation.state is OperationState.HALTED
    (second,) = plane.due.open_jobs(OPERATION_JOB)
    assert second.at_ns > first.at_ns
    path.write_bytes(material)
    path.chmod(0o600)
    run(engine, second)
    assert set(plane.members.keys().values()) == {other_cmk}


def test_a_fault_of_ours_halts_with_its_name(plane: Plane, engine: DbosEngine) -> None:
    def fail(name: str) -> None:
        raise ZeroDivisionError

    plane.members.before_touch = fail
    plane.requests.rotate("orders")
    (job,) = plane.due.open_jobs(OPERATION_JOB)
    run(engine, job)
    (operation,) = plane.history()
    assert operation.state is OperationState.HALTED
    assert "ZeroDivisionError" in operation.reason
