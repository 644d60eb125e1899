"""Executors: each start with its epoch, dead when the beat stands still, and dead for good."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from keystore.control.database import Database
from keystore.control.executors import Watch, beat, register, require_alive, retire
from keystore.control.tables import executors
from keystore.errors import ControlSetupError, FencedError
from tests.control.postgres import Postgres

WAIT_S = 60


class Seconds:
    """A monotonic clock that the test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def _watch(database: Database) -> tuple[Watch, Seconds]:
    seconds = Seconds()
    return Watch(database, 10, now_s=seconds), seconds


def test_every_start_has_a_greater_epoch_and_ends_the_one_before(database: Database) -> None:
    first, other, again = register(database, "a"), register(database, "b"), register(database, "a")
    assert first.epoch < other.epoch < again.epoch
    beat(database, other)
    beat(database, again)
    with pytest.raises(FencedError, match="another one does its work now"):
        beat(database, first)


def test_epochs_of_starts_at_once_differ(database: Database) -> None:
    with ThreadPoolExecutor(8) as pool:
        found = [done.result(WAIT_S) for done in [pool.submit(register, database, f"n{n}") for n in range(8)]]
    assert sorted(executor.epoch for executor in found) == list(range(1, 9))


def test_who_beats_lives_and_who_stands_still_is_dead_once(database: Database) -> None:
    alive, silent = register(database, "alive"), register(database, "silent")
    (watch, seconds), (other, _) = _watch(database), _watch(database)
    assert watch.look() == other.look() == []
    for _ in range(4):
        seconds.now += 3
        beat(database, alive)
        found = watch.look()
    assert found == [silent]
    assert watch.look() == []
    beat(database, alive)
    with pytest.raises(FencedError):
        beat(database, silent)


def test_a_watcher_that_has_just_started_gives_everybody_their_time(database: Database) -> None:
    register(database, "a")
    watch, seconds = _watch(database)
    seconds.now += 1e6
    assert watch.look() == []
    found = []
    for after in (4, 4, 1.9, 0.2):
        seconds.now += after
        found.append([executor.name for executor in watch.look()])
    assert found == [[], [], [], ["a"]]


def test_a_watcher_that_stood_still_itself_knows_nothing(database: Database) -> None:
    register(database, "a")
    watch, seconds = _watch(database)
    for after in (0, 4, 5.1, 4, 4):
        seconds.now += after
        assert watch.look() == []
    seconds.now += 2
    assert [executor.name for executor in watch.look()] == ["a"]


def test_a_beat_between_look_and_judgement_saves(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    late = register(database, "late")
    watch, seconds = _watch(database)
    for _ in range(3):
        watch.look()
        seconds.now += 4
    judge = Watch._declare_dead

    def beat_first(self: Watch, epoch: int, count: int) -> bool:
        beat(database, late)
        return judge(self, epoch, count)

    monkeypatch.setattr(Watch, "_declare_dead", beat_first)
    assert watch.look() == []
    beat(database, late)


def test_nobody_declares_itself_dead(database: Database) -> None:
    me, other = register(database, "me"), register(database, "other")
    seconds = Seconds()
    watch = Watch(database, 10, me, seconds)
    found = []
    for _ in range(4):
        found += watch.look()
        seconds.now += 4
    assert found == [other]


def test_nobody_is_declared_dead_inside_its_transaction(database: Database) -> None:
    executor = register(database, "a")
    order: list[str] = []

    def end() -> None:
        retire(database, executor)
        order.append("retired")

    thread = threading.Thread(target=end)
    with database.write() as connection:
        require_alive(connection, executor)
        thread.start()
        thread.join(0.2)
        order.append("committed")
    thread.join(WAIT_S)
    assert order == ["committed", "retired"]
    with pytest.raises(FencedError), database.write() as connection:
        require_alive(connection, executor)


def test_a_beat_waits_for_no_transaction_that_relies_on_being_alive(
    postgres: Postgres, opened: Callable[[str], Database]
) -> None:
    database = opened(postgres.create_database())  # SQLite has one writer at a time
    executor = register(database, "a")
    with database.write() as connection:
        require_alive(connection, executor)
        beat(database, executor)
        row = connection.execute(sa.select(executors).where(executors.c.epoch == executor.epoch)).one()
    assert row.beat == 1


@pytest.mark.parametrize("name", ["", "a b", "-a", "a/b", "x" * 65, "é"])
def test_a_name_that_cannot_be_one_is_refused(database: Database, name: str) -> None:
    with pytest.raises(ControlSetupError, match="cannot name a control process"):
        register(database, name)
