"""Engines as processes: killed, stopped and woken up, started at once; every step has its effect once."""

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from keystore.control.database import Database
from keystore.control.dbos_client import DbosClient
from keystore.control.engine import State
from tests.control.worker import WAIT_S, effects, wait_until

KEY = "w1"
ARGUMENTS = {"count": 5, "hold": 3}
ALL = [1, 2, 3, 4, 5]


class Workers:
    """Worker processes on one database."""

    def __init__(self, url: str, directory: Path) -> None:
        self.url, self.directory = url, directory
        self.processes: list[subprocess.Popen[bytes]] = []

    def start(self, *names: str) -> list[subprocess.Popen[bytes]]:
        """Start processes at once and wait until all are ready."""
        command = [sys.executable, "-m", "tests.control.worker", self.url]
        started = [subprocess.Popen([*command, name, str(self.directory)]) for name in names]
        self.processes += started
        for process, name in zip(started, names, strict=True):
            ready = self.directory / f"ready-{name}"
            wait_until(lambda ready=ready, p=process: ready.exists() or p.poll() is not None, f"{name} ready")  # type: ignore[misc]
            assert process.poll() is None
            ready.unlink()
        return started

    def held(self, name: str) -> bool:
        return (self.directory / f"held-{name}").exists()

    def go(self) -> None:
        (self.directory / "go").touch()


@pytest.fixture
def workers(database_url: str, tmp_path: Path) -> Iterator[Workers]:
    found = Workers(database_url, tmp_path)
    yield found
    for process in found.processes:
        process.kill()
        process.wait(WAIT_S)


@pytest.fixture
def client(database: Database) -> Iterator[DbosClient]:
    found = DbosClient(database)
    yield found
    found.close()


def _wait_for_end(client: DbosClient) -> None:
    def ended() -> bool:
        status = client.status(KEY)
        return status is not None and status.ended

    wait_until(ended, "the end of the workflow")
    status = client.status(KEY)
    assert status is not None
    assert (status.state, status.value) == (State.DONE, ALL)


ON_POSTGRESQL = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
ON_SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def test_a_killed_process_goes_on_in_the_step_that_it_was_in(
    workers: Workers, client: DbosClient, database: Database
) -> None:
    (process,) = workers.start("a")
    client.start("steps", KEY, ARGUMENTS)
    wait_until(lambda: workers.held("a"), "step 3")
    process.kill()
    process.wait(WAIT_S)
    assert effects(database) == [(1, "a"), (2, "a")]
    workers.go()
    workers.start("a")
    _wait_for_end(client)
    assert effects(database) == [(number, "a") for number in ALL]


@ON_POSTGRESQL
def test_another_process_takes_over_from_a_killed_one(workers: Workers, client: DbosClient, database: Database) -> None:
    (first,) = workers.start("a")
    client.start("steps", KEY, ARGUMENTS)
    wait_until(lambda: workers.held("a"), "step 3")
    workers.start("b", "c")
    first.kill()
    workers.go()
    _wait_for_end(client)
    found = effects(database)
    assert [number for number, _ in found] == ALL
    assert [name for _, name in found[:2]] == ["a", "a"]
    assert {name for _, name in found[2:]} <= {"b", "c"}


@ON_POSTGRESQL
def test_a_process_that_wakes_up_after_its_take_over_changes_nothing(
    workers: Workers, client: DbosClient, database: Database
) -> None:
    (zombie,) = workers.start("a")
    client.start("steps", KEY, ARGUMENTS)
    wait_until(lambda: workers.held("a"), "step 3")
    zombie.send_signal(signal.SIGSTOP)
    workers.start("b")
    wait_until(lambda: workers.held("b"), "the take-over")
    workers.go()
    _wait_for_end(client)
    zombie.send_signal(signal.SIGCONT)
    assert zombie.wait(WAIT_S) == 3
    assert effects(database) == [(1, "a"), (2, "a"), (3, "b"), (4, "b"), (5, "b")]
    _wait_for_end(client)


@ON_POSTGRESQL
def test_a_process_that_wakes_up_before_the_other_has_finished_changes_nothing(
    workers: Workers, client: DbosClient, database: Database
) -> None:
    (zombie,) = workers.start("a")
    client.start("steps", KEY, ARGUMENTS)
    wait_until(lambda: workers.held("a"), "step 3")
    zombie.send_signal(signal.SIGSTOP)
    workers.start("b")
    wait_until(lambda: workers.held("b"), "the take-over")
    zombie.send_signal(signal.SIGCONT)
    workers.go()
    assert zombie.wait(WAIT_S) == 3
    _wait_for_end(client)
    assert effects(database) == [(1, "a"), (2, "a"), (3, "b"), (4, "b"), (5, "b")]


@ON_SQLITE
def test_a_process_that_is_told_to_stop_ends_its_step_and_no_other(
    workers: Workers, client: DbosClient, database: Database
) -> None:
    (process,) = workers.start("a")
    client.start("steps", KEY, ARGUMENTS)
    wait_until(lambda: workers.held("a"), "step 3")
    process.terminate()
    workers.go()
    assert process.wait(WAIT_S) == 0
    assert effects(database) == [(1, "a"), (2, "a"), (3, "a")]
    workers.start("b")
    _wait_for_end(client)
    assert effects(database) == [(1, "a"), (2, "a"), (3, "a"), (4, "b"), (5, "b")]


def test_processes_that_start_at_once_on_an_empty_database_share_the_work(
    database_url: str, tmp_path: Path, opened: Callable[[str], Database]
) -> None:
    workers = Workers(database_url, tmp_path)
    try:
        workers.go()
        workers.start("a", "b")
        database = opened(database_url)
        clients = [DbosClient(database) for _ in range(4)]
        for client in clients:
            client.start("steps", KEY, ARGUMENTS)
        _wait_for_end(clients[0])
        for client in clients:
            client.start("steps", KEY, {"count": 9, "hold": 0})
            client.close()
        assert [number for number, _ in effects(database)] == ALL
        assert len({name for _, name in effects(database)}) == 1
    finally:
        for process in workers.processes:
            process.kill()
            process.wait(WAIT_S)
