"""The engine in this process: errors, retries, cancelling, closing, and a database that goes away."""

import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
import sqlalchemy as sa
from dbos import DBOS
from hypothesis import given
from hypothesis import strategies as st

from keystore.control import dbos_engine, ownership, tables
from keystore.control.database import Database
from keystore.control.dbos_client import DbosClient
from keystore.control.dbos_engine import DbosEngine
from keystore.control.dbos_status import APART_QUEUE, EXTENDED_QUEUE, QUEUE, options
from keystore.control.engine import Retry, Run, State, Status, WorkflowEngine
from keystore.control.executors import register, retire
from keystore.errors import ControlError, FencedError, KeyDisabledError, KmsUnreachableError, StoreDamagedError
from tests.control.postgres import Postgres
from tests.control.worker import WAIT_S, wait_until


class Engines:
    """Starts engines one after the other on a database, as restarts of one process."""

    def __init__(self) -> None:
        self._open: list[DbosEngine] = []

    def launch(self, database: Database, **workflows: Callable[[Run, Mapping[str, Any]], Any]) -> DbosEngine:
        self.close()
        engine = DbosEngine(database, "me", beat_s=0.05, dead_after_s=1, poll_s=0.05)
        for name, workflow in workflows.items():
            engine.register(name, workflow)
        engine.launch()
        self._open.append(engine)
        return engine

    def close(self) -> None:
        while self._open:
            self._open.pop().close()


@pytest.fixture
def engines() -> Iterator[Engines]:
    found = Engines()
    yield found
    found.close()


@pytest.fixture
def sqlite(tmp_path_factory: pytest.TempPathFactory, opened: Callable[[str], Database]) -> Database:
    """A database on SQLite, for what does not depend on which it is."""
    return opened(f"sqlite:///{tmp_path_factory.mktemp('control') / 'control.db'}")


def _ended(engine: WorkflowEngine, key: str) -> Status:
    def ended() -> bool:
        status = engine.status(key)
        return status is not None and status.ended

    wait_until(ended, f"the end of {key}")
    status = engine.status(key)
    assert status is not None
    return status


def test_values_come_back_as_json_whether_first_or_read_back(database: Database, engines: Engines) -> None:
    seen: list[Any] = []

    def workflow(run: Run, arguments: Mapping[str, Any]) -> Any:
        seen.append(run.step("one", lambda: {"pair": (1, 2), "none": None}))
        return [arguments["x"], run.step("two", lambda: None), run.key, run.fence]

    engine = engines.launch(database, w=workflow)
    engine.start("w", "k/1", {"x": "é"})
    assert _ended(engine, "k/1") == Status("k/1", State.DONE, ["é", None, "k/1", 1])
    assert seen == [{"pair": [1, 2], "none": None}]
    assert engine.status("k/2") is None


def test_a_key_starts_one_workflow_and_keeps_its_arguments(sqlite: Database, engines: Engines) -> None:
    calls: list[Any] = []
    engine = engines.launch(sqlite, w=lambda run, arguments: run.step("one", lambda: calls.append(arguments["x"])))
    for x in range(5):
        engine.start("w", "k", {"x": x})
    assert _ended(engine, "k").state is State.DONE
    engine.start("w", "k", {"x": 9})
    engine.start("w", "other", {"x": 10})
    assert _ended(engine, "other").state is State.DONE
    assert calls == [0, 10]


def test_an_error_comes_back_as_its_type_and_is_not_tried_again_after_a_restart(
    database: Database, engines: Engines
) -> None:
    calls: list[str] = []
    reached, go = threading.Event(), threading.Event()

    def disabled() -> None:
        calls.append("one")
        raise KeyDisabledError("the key is disabled. Enable it.")

    def hold() -> str:
        reached.set()
        assert go.wait(WAIT_S)
        calls.append("two")
        return "held"

    def workflow(run: Run, _: Mapping[str, Any]) -> list[str]:
        try:
            run.step("one", disabled)
        except KeyDisabledError as error:
            return [str(error), run.step("two", hold), run.step("three", lambda: "end")]
        return []

    engine = engines.launch(database, w=workflow)
    engine.start("w", "k", {})
    assert reached.wait(WAIT_S)
    threading.Timer(0.1, go.set).start()
    engine = engines.launch(database, w=workflow)
    assert _ended(engine, "k").value == ["the key is disabled. Enable it.", "held", "end"]
    assert calls == ["one", "two"]


def _raise(error: Exception) -> None:
    raise error


def test_a_workflow_that_fails_says_why(sqlite: Database, engines: Engines) -> None:
    damaged = StoreDamagedError("orders", "page", 7, "the tag does not match")
    engine = engines.launch(
        sqlite,
        ours=lambda run, _: run.step("one", lambda: _raise(KmsUnreachableError("no answer"))),
        made_of_more=lambda run, _: run.step("one", lambda: _raise(damaged)),
        foreign=lambda run, _: run.step("one", lambda: _raise(ZeroDivisionError("of 32 bytes"))),
        outside=lambda run, _: _raise(KmsUnreachableError("no answer at all")),
        no_json=lambda run, _: run.step("one", lambda: object()),
    )
    for name in ("ours", "made_of_more", "foreign", "outside", "no_json"):
        engine.start(name, name, {})
    found = {name: _ended(engine, name) for name in ("ours", "made_of_more", "foreign", "outside", "no_json")}
    assert {status.state for status in found.values()} == {State.FAILED}
    told = {name: (type(status.error), str(status.error)) for name, status in found.items()}
    assert told == {
        "ours": (KmsUnreachableError, "no answer"),
        "made_of_more": (StoreDamagedError, str(damaged)),
        "foreign": (ControlError, "step one of foreign failed: ZeroDivisionError."),
        "outside": (KmsUnreachableError, "no answer at all"),
        "no_json": (ControlError, "step one of no_json failed: TypeError."),
    }


def test_a_step_is_tried_again_as_its_retry_says(sqlite: Database, engines: Engines) -> None:
    calls: dict[str, int] = {"heals": 0, "stays": 0, "other": 0}

    def failing(name: str, error: Exception, heals_at: int) -> int:
        calls[name] += 1
        if calls[name] < heals_at:
            raise error
        return calls[name]

    retry = Retry((KmsUnreachableError,), attempts_max=3, first_wait_s=0.01)
    unreachable, disabled = KmsUnreachableError("no answer"), KeyDisabledError("no")
    engine = engines.launch(
        sqlite,
        heals=lambda run, _: run.step("one", lambda: failing("heals", unreachable, 3), retry),
        stays=lambda run, _: run.step("one", lambda: failing("stays", unreachable, 9), retry),
        other=lambda run, _: run.step("one", lambda: failing("other", disabled, 9), retry),
    )
    for name in calls:
        engine.start(name, name, {})
    assert _ended(engine, "heals").value == 3
    assert isinstance(_ended(engine, "stays").error, KmsUnreachableError)
    assert isinstance(_ended(engine, "other").error, KeyDisabledError)
    assert calls == {"heals": 3, "stays": 3, "other": 1}


@given(st.integers(1, 10**6), st.floats(0.001, 10), st.floats(10, 100))
def test_pauses_grow_up_to_their_limit(attempt: int, first: float, longest: float) -> None:
    retry = Retry((KmsUnreachableError,), 10**6, first, longest)
    assert first <= retry.wait_s(attempt) <= retry.wait_s(attempt + 1) <= longest


def test_a_cancelled_workflow_begins_no_further_step(sqlite: Database, engines: Engines) -> None:
    reached, go, calls = threading.Event(), threading.Event(), []

    def hold() -> None:
        reached.set()
        assert go.wait(WAIT_S)

    def workflow(run: Run, _: Mapping[str, Any]) -> None:
        run.step("one", hold)
        run.step("two", lambda: calls.append("two"))

    engine = engines.launch(sqlite, w=workflow, idle=lambda run, _: run.step("one", lambda: 1))
    engine.start("w", "k", {})
    assert reached.wait(WAIT_S)
    engine.cancel("k")
    go.set()
    assert _ended(engine, "k") == Status("k", State.CANCELLED)
    engine.start("w", "k", {})
    engine = engines.launch(sqlite, w=workflow, idle=lambda run, _: run.step("one", lambda: 1))
    engine.start("idle", "after", {})
    assert _ended(engine, "after").value == 1
    assert _ended(engine, "k") == Status("k", State.CANCELLED)
    assert calls == []


def test_closing_ends_a_pause_at_once_and_the_workflow_goes_on_at_the_next_start(
    sqlite: Database, engines: Engines
) -> None:
    paused, calls = threading.Event(), []

    def workflow(run: Run, _: Mapping[str, Any]) -> str:
        run.step("one", lambda: calls.append(1))
        paused.set()
        run.pause(1e6 if len(calls) == 1 and run.fence == 1 else 0)
        return run.step("two", lambda: "on")

    engine = engines.launch(sqlite, w=workflow)
    engine.start("w", "k", {})
    assert paused.wait(WAIT_S)
    engine = engines.launch(sqlite, w=workflow)
    assert _ended(engine, "k").value == "on"
    assert calls == [1]


def test_a_name_that_nobody_registered_is_refused_here_and_fails_elsewhere(sqlite: Database, engines: Engines) -> None:
    engine = engines.launch(sqlite)
    with pytest.raises(ControlError, match="there is no workflow w"):
        engine.start("w", "k", {})
    client = DbosClient(sqlite)
    client.start("w", "k", {})
    assert "knows no workflow w" in str(_ended(engine, "k").error)
    client.close()


def test_a_client_on_a_database_that_nobody_served_says_what_to_do(database: Database) -> None:
    client = DbosClient(database)
    with pytest.raises(ControlError, match="keystore control serve"):
        client.start("w", "k", {})
    with pytest.raises(ControlError, match="keystore control serve"):
        client.status("k")
    client.close()


def test_an_engine_goes_on_when_its_database_is_back(
    postgres: Postgres, engines: Engines, opened: Callable[[str], Database], caplog: pytest.LogCaptureFixture
) -> None:
    calls: list[int] = []
    reached, go = threading.Event(), threading.Event()

    def hold() -> None:
        calls.append(1)
        reached.set()
        assert go.wait(WAIT_S)

    def workflow(run: Run, _: Mapping[str, Any]) -> list[int]:
        run.step("one", hold)
        run.step("two", lambda: calls.append(2))
        return calls

    engine = engines.launch(opened(postgres.create_database()), w=workflow)
    engine.start("w", "k", {})
    assert reached.wait(WAIT_S)
    postgres.stop()
    try:
        go.set()
    finally:
        postgres.start()
    # The first step runs once more for each time that the workflow was taken over, as what became of it may be lost.
    *first, second = _ended(engine, "k").value
    assert (set(first), second) == ({1}, 2)
    assert len(first) <= max(2, 1 + sum("took over" in record.message for record in caplog.records))
    assert not engine.fenced()


def test_who_begins_last_and_lives_owns_a_workflow(database: Database) -> None:
    first, second = register(database, "first"), register(database, "second")
    old = ownership.begin(database, "k", first)
    new = ownership.begin(database, "k", second)
    assert (old.fence, new.fence) == (1, 2)
    with database.write() as connection:
        ownership.require(connection, new)
    with pytest.raises(FencedError, match="was taken over"), database.write() as connection:
        ownership.require(connection, old)
    retire(database, second)
    with pytest.raises(FencedError), database.write() as connection:
        ownership.require(connection, new)
    with pytest.raises(FencedError):
        ownership.begin(database, "k", second)


def test_one_of_the_living_claims_what_a_dead_one_left(database: Database) -> None:
    dead, first, second = (register(database, name) for name in ("dead", "first", "second"))
    ownership.begin(database, "begun", dead)
    assert not ownership.claim(database, "begun", first)
    retire(database, dead)
    for key in ("begun", "never begun"):
        assert ownership.claim(database, key, first)
        assert not ownership.claim(database, key, second)
        assert ownership.claim(database, key, first)  # its first try may have stopped half way
    with pytest.raises(FencedError):
        ownership.claim(database, "begun", dead)
    with database.read() as connection:
        assert set(connection.scalars(sa.select(tables.runs.c.epoch))) == {first.epoch}


def test_what_waits_for_strangers_takes_no_place_of_the_others_and_none_is_lost(
    sqlite: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dbos_engine, "RUNS_MAX", 2)
    monkeypatch.setattr(dbos_engine, "RUNS_APART_MAX", 3)
    answered, lock, waiting, ran = threading.Event(), threading.Lock(), list[str](), list[str]()

    def stranger(run: Run, arguments: Mapping[str, Any]) -> None:
        def ask() -> None:
            with lock:
                waiting.append(run.key)
            answered.wait(WAIT_S)

        run.step("ask", ask)

    def own(run: Run, arguments: Mapping[str, Any]) -> None:
        run.step("do", lambda: ran.append(run.key))

    engine = DbosEngine(sqlite, "me", beat_s=0.05, dead_after_s=60, poll_s=0.05)
    engine.register("stranger", stranger, apart=True)
    engine.register("own", own)
    engine.register("another", own, apart=True)
    engine.launch()
    try:
        asked = [f"stranger/{number}" for number in range(8)]
        for key in asked:
            engine.start("stranger", key, {})
        wait_until(lambda: len(waiting) == 3, "as many to wait as may")
        for number in range(5):
            engine.start("own", f"own/{number}", {})
            assert _ended(engine, f"own/{number}").state is State.DONE
        engine.start("another", "another/0", {})
        assert _ended(engine, "another/0").state is State.DONE
        assert len(waiting) == 3
        answered.set()
        assert {_ended(engine, key).state for key in asked} == {State.DONE}
        assert sorted(waiting) == asked
        assert len(ran) == 6
    finally:
        answered.set()
        engine.close()


def test_what_waits_apart_is_left_to_processes_that_know_it(sqlite: Database) -> None:
    ran: list[str] = []

    def work(run: Run, arguments: Mapping[str, Any]) -> None:
        run.step("do", lambda: ran.append(run.key))

    def launch(*names: str) -> DbosEngine:
        engine = DbosEngine(sqlite, "me", beat_s=0.05, dead_after_s=60, poll_s=0.05)
        for name in names:
            engine.register(name, work, apart=True)
        engine.launch()
        return engine

    launch("mail", "other").close()  # both queues are known on this database from here on
    stranger = launch("other")
    try:
        DBOS.enqueue_workflow_with_options(options("mail/0", f"{APART_QUEUE}-mail"), "mail", {})  # as others did
        for number in range(3):
            stranger.start("other", f"other/{number}", {})
            assert _ended(stranger, f"other/{number}").state is State.DONE
        left = stranger.status("mail/0")
        assert left is not None
        assert left.state is State.WAITING
    finally:
        stranger.close()
    knows = launch("mail")
    try:
        assert _ended(knows, "mail/0").state is State.DONE
    finally:
        knows.close()
    assert ran == ["other/0", "other/1", "other/2", "mail/0"]


def test_what_an_extended_process_started_is_left_to_such_and_they_run_what_others_left(sqlite: Database) -> None:
    ran: list[str] = []

    def launch(queue: str) -> DbosEngine:
        engine = DbosEngine(sqlite, "me", beat_s=0.05, dead_after_s=60, poll_s=0.05, queue=queue)
        engine.register("work", lambda run, arguments: run.step("do", lambda: ran.append(run.key)))
        engine.launch()
        return engine

    launch(EXTENDED_QUEUE).close()  # both queues are known on this database from here on
    plain = launch(QUEUE)
    try:
        DBOS.enqueue_workflow_with_options(options("extended", EXTENDED_QUEUE), "work", {})  # as others did
        for number in range(3):
            plain.start("work", f"plain/{number}", {})
            assert _ended(plain, f"plain/{number}").state is State.DONE
        left = plain.status("extended")
        assert left is not None
        assert left.state is State.WAITING
    finally:
        plain.close()
    extended = launch(EXTENDED_QUEUE)
    try:
        assert _ended(extended, "extended").state is State.DONE
        DBOS.enqueue_workflow_with_options(options("left", QUEUE), "work", {})
        assert _ended(extended, "left").state is State.DONE
        extended.start("work", "own", {})
        assert _ended(extended, "own").state is State.DONE
    finally:
        extended.close()
    assert ran == ["plain/0", "plain/1", "plain/2", "extended", "left", "own"]
