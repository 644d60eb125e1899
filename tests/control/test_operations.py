"""Rolling operations on real nodes and a real database: order, failures, and kills at every step."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import pytest
import sqlalchemy as sa

from keystore.control.clock import MovableClock
from keystore.control.cluster_keys import ClusterKeys, SameForAll
from keystore.control.clusters import Cluster, cluster_named
from keystore.control.database import Database
from keystore.control.due import Due, DueTable
from keystore.control.executors import Executor, register, require_alive
from keystore.control.founding import add_cluster
from keystore.control.jobs import CHECK_INTERVAL_NS, ROTATION_JOB, WAIT_NS_MAX, Jobs, wait_ns
from keystore.control.operation_rows import Operation, operation_of, operations_of
from keystore.control.operations import Operator
from keystore.control.requests import OPERATION_JOB, Requests
from keystore.control.rolling import Action, Done, Halt, OperationState, StepDown, StepState, Touch, Wait
from keystore.errors import (
    ClusterExistsError,
    ClusterMissingError,
    ClusterStateError,
    FencedError,
    InputError,
    KmsInvalidError,
    NodeUnreachableError,
    OperationMissingError,
    OperationOpenError,
)
from keystore.kms.connect import connector
from keystore.kms.local import create_key_file
from keystore.kms.protocol import KmsConnector
from tests.control.local_members import CONTENT, KilledError, LocalMembers
from tests.key_files import cmk as cmk
from tests.key_files import other_cmk as other_cmk

NAMES = ("n1", "n2", "n3")
ORDER = ["n2", "n3", "n1"]
DAY_NS = 86400 * 10**9


@dataclass
class Plane:
    """A control plane in this process, and the cluster that it has."""

    database: Database
    members: LocalMembers
    executor: Executor
    guarded: Callable[[], None] = field(default=lambda: None)
    keys: ClusterKeys | None = None

    def __post_init__(self) -> None:
        self.clock = MovableClock(self.database)
        keys = self.keys or SameForAll(connector())
        self.operator = Operator(self.database, self.clock, self.members.connect, keys)
        self.requests = Requests(self.database, self.clock, self.operator, keys)
        self.jobs = Jobs(self.database, self.clock, self.operator)
        self.due = DueTable(self.database)

    def guard(self, connection: sa.Connection) -> None:
        require_alive(connection, self.executor)
        self.guarded()

    @property
    def cluster(self) -> Cluster:
        return cluster_named(self.database, "orders")

    def operation(self, operation_id: int) -> Operation:
        with self.database.read() as connection:
            return operation_of(connection, operation_id)

    def history(self) -> list[Operation]:
        with self.database.read() as connection:
            return operations_of(connection, self.cluster.id)

    def run_due(self) -> Action | None:
        """Do the job that is due longest, as the service does; return how an operation ended or paused."""
        job = self.due.claim((ROTATION_JOB, OPERATION_JOB), self.clock.now_ns(), self.executor)
        if job is None:
            return None
        if job.kind == ROTATION_JOB:
            self.jobs.begin_rotation(job, self.guard)
            return self.run_due()
        return self.run(job)

    def run(self, job: Due) -> Action:
        for _ in range(20):
            action = self.jobs.advance(job, self.guard)
            if not isinstance(action, Touch | StepDown):
                self.jobs.conclude(job, action, self.guard)
                return action
        raise AssertionError("no end of the operation")

    def replaced(self) -> "Plane":
        """Return a plane that goes on after this one was killed."""
        return Plane(self.database, self.members, register(self.database, self.executor.name))


@dataclass
class KeysOfCustomers:
    """The way of clusters whose members need credentials; a `ClusterKeys`."""

    connect: KmsConnector
    asked: list[tuple[str, list[str]]] = field(default_factory=list)

    def connector(self, cluster: str, source_address: str | None = None) -> KmsConnector:
        return self.connect

    def message(self, cluster: Cluster, key_uris: Iterable[str] = ()) -> bytes:
        self.asked.append((cluster.name, list(key_uris)))
        return b"credentials"


@pytest.fixture
def plane(database: Database, cmk: str, tmp_path: Path) -> Iterator[Plane]:
    members = LocalMembers(tmp_path, connector())
    create_key_file(tmp_path / "cmk-platform")
    members.create(NAMES, cmk)
    plane = Plane(database, members, register(database, "control-1"))
    add_cluster(database, members.new_cluster(NAMES, cmk), plane.clock.now_ns())
    yield plane
    members.close()


def test_each_member_gets_the_credentials_for_all_keys_that_the_operation_needs(
    plane: Plane, cmk: str, other_cmk: str
) -> None:
    keys = KeysOfCustomers(connector())
    plane = replace(plane, keys=keys)
    plane.requests.change_cmk("orders", other_cmk)
    assert plane.run_due() == Done()
    assert plane.members.given == [(name, b"credentials") for name in ORDER]
    assert keys.asked == [("orders", [cmk, other_cmk])] * 3


def test_a_rotation_touches_secondaries_then_the_primary(plane: Plane) -> None:
    operation = plane.requests.rotate("orders")
    assert plane.run_due() == Done()
    assert plane.members.touched == ORDER
    assert plane.members.generations() == dict.fromkeys(NAMES, 2)
    assert plane.cluster.primary == "n2"
    done = plane.operation(operation.id)
    assert done.state is OperationState.DONE
    assert [step.member for step in done.steps] == ["n2", "n3", "n1", "n1"]
    assert all(step.attempts == 1 for step in done.steps)
    times = [time for step in done.steps for time in (step.started_ns, step.finished_ns)]
    assert times == sorted(time for time in times if time is not None)
    assert [step.generation_after for step in done.steps] == [2, 2, None, 2]
    assert plane.due.open_jobs(OPERATION_JOB) == []


@pytest.mark.row("R63")
def test_a_change_of_the_key_ends_with_the_last_member(plane: Plane, cmk: str, other_cmk: str) -> None:
    operation = plane.requests.change_cmk("orders", other_cmk)
    assert plane.cluster.customer_key == cmk
    assert plane.run_due() == Done()
    assert set(plane.members.keys().values()) == {other_cmk}
    assert plane.cluster.customer_key == other_cmk
    assert not plane.operation(operation.id).is_open


def order(plane: Plane, kind: str, key_uri: str) -> Operation:
    """Order an operation that changes something: conversions go off and on by turns."""
    if kind == "rotate":
        return plane.requests.rotate("orders")
    if kind == "change-cmk":
        return plane.requests.change_cmk("orders", key_uri)
    if plane.cluster.customer_key is None:
        return plane.requests.convert_on("orders", key_uri)
    return plane.requests.convert_off("orders")


POINTS = 14
"""Where a run can be killed: around the opening, the effect and the closing of three touches, at the step-down, and at
the end."""


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("kind", ["rotate", "change-cmk", "convert"])
def test_a_kill_at_every_point_leaves_each_effect_once(plane: Plane, kind: str, cmk: str, other_cmk: str) -> None:
    before = 1
    for point in range(100):
        operation = order(plane, kind, (cmk, other_cmk)[before % 2])
        was_killed = killed_at(plane, point)
        plane = plane.replaced()
        while plane.operation(operation.id).is_open:
            assert plane.run_due() == Done()
        assert plane.members.generations() == dict.fromkeys(NAMES, before + 1), f"killed at point {point}"
        assert len(set(plane.members.keys().values())) == len(set(plane.members.volume_keys().values())) == 1
        assert plane.members.contents() == dict.fromkeys(NAMES, CONTENT)
        assert sum(step.attempts for step in plane.operation(operation.id).steps) <= 5
        before += 1
        if not was_killed:
            assert point == POINTS
            return
    raise AssertionError("there are more points than expected")


def killed_at(plane: Plane, point: int) -> bool:
    """Run until the process is killed at its point of that number; return whether there are so many."""
    passed = 0

    def pass_point(*_: object) -> None:
        nonlocal passed
        if passed == point:
            raise KilledError
        passed += 1

    def nothing(*_: object) -> None:
        pass

    def pass_guard() -> None:
        if not members.touching:  # then progress is told, as often as time allows
            pass_point()

    members = plane.members
    plane.guarded = pass_guard
    members.before_touch = members.after_touch = pass_point
    try:
        plane.run_due()
    except KilledError:
        return True
    finally:
        plane.guarded = nothing
        members.before_touch = members.after_touch = nothing
    return False


def test_customer_keys_go_off_and_on(plane: Plane, cmk: str, other_cmk: str) -> None:
    platform_key = plane.cluster.platform_key
    plane.requests.convert_off("orders")
    assert plane.run_due() == Done()
    assert plane.cluster.customer_key is None
    assert plane.members.keys() == dict.fromkeys(NAMES, platform_key)
    assert plane.members.volume_keys() == dict.fromkeys(NAMES, None)
    assert plane.members.contents() == dict.fromkeys(NAMES, CONTENT)
    plane.requests.convert_on("orders", other_cmk)
    assert plane.run_due() == Done()
    assert plane.cluster.customer_key == other_cmk
    assert plane.members.keys() == dict.fromkeys(NAMES, other_cmk)
    assert plane.members.volume_keys() == dict.fromkeys(NAMES, platform_key)
    assert plane.members.contents() == dict.fromkeys(NAMES, CONTENT)
    assert plane.members.touched == [*ORDER, "n1", "n3", "n2"]
    done = [step for each in plane.history() for step in each.steps if step.bytes_total]
    assert len(done) == 6
    assert all(step.bytes_done == step.bytes_total for step in done)


def test_who_was_taken_for_dead_writes_nothing(plane: Plane) -> None:
    operation = plane.requests.rotate("orders")
    successor = plane.replaced()
    with pytest.raises(FencedError):
        plane.operator.advance(operation.id, plane.guard)
    assert plane.members.touched == []
    assert successor.run_due() == Done()


def test_who_was_taken_for_dead_tells_no_progress(plane: Plane) -> None:
    operation = plane.requests.convert_off("orders")
    successors: list[Plane] = []
    plane.members.before_touch = lambda name: successors.append(plane.replaced())
    with pytest.raises(FencedError):
        plane.operator.advance(operation.id, plane.guard)
    assert plane.operation(operation.id).steps[0].bytes_total in (None, 0)


def test_a_dead_process_in_a_touch_and_its_successor_touch_once(plane: Plane) -> None:
    operation = plane.requests.rotate("orders")
    successors: list[Plane] = []

    def lost(name: str) -> None:
        plane.members.after_touch = lambda name: None
        successors.append(plane.replaced())

    plane.members.after_touch = lost
    with pytest.raises(FencedError):
        plane.run_due()
    assert plane.members.generations() == {"n1": 1, "n2": 2, "n3": 1}
    assert successors[0].run_due() == Done()
    assert plane.members.generations() == dict.fromkeys(NAMES, 2)
    assert [step.attempts for step in plane.operation(operation.id).steps] == [2, 1, 1, 1]


@pytest.mark.parametrize("down", NAMES)
def test_nothing_is_touched_while_a_member_is_down(plane: Plane, down: str) -> None:
    operation = plane.requests.rotate("orders")
    plane.members.stop(down)
    assert plane.run_due() == Wait(f"{down} does not serve ({down} does not answer)")
    assert plane.members.touched == []
    paused = plane.operation(operation.id)
    assert (paused.state, paused.tries) == (OperationState.RUNNING, 1)
    assert down in paused.reason
    assert plane.run_due() is None
    plane.members.start(down)
    plane.clock.advance(wait_ns(0))
    assert plane.run_due() == Done()
    assert plane.operation(operation.id).reason == ""


def test_a_member_that_falls_midway_stops_the_rest(plane: Plane) -> None:
    plane.requests.rotate("orders")
    plane.members.after_touch = lambda name: plane.members.stop("n3") if name == "n2" else None
    assert isinstance(plane.run_due(), Wait)
    assert plane.members.touched == ["n2"]
    plane.members.start("n3")
    plane.clock.advance(WAIT_NS_MAX)
    assert plane.run_due() == Done()
    assert plane.members.touched == ORDER


@pytest.mark.parametrize("which", ["old", "new"])
def test_a_change_halts_when_a_key_goes_midway_and_goes_on_when_it_is_back(
    plane: Plane, which: str, cmk: str, other_cmk: str
) -> None:
    path = Path((cmk if which == "old" else other_cmk).removeprefix("local://"))
    material = path.read_bytes()
    operation = plane.requests.change_cmk("orders", other_cmk)

    def lose(name: str) -> None:
        path.unlink(missing_ok=True)

    plane.members.after_touch = lose
    action = plane.run_due()
    assert isinstance(action, Halt)
    assert plane.members.touched == ["n2"]
    halted = plane.operation(operation.id)
    assert (halted.state, halted.reason) == (OperationState.HALTED, action.reason)
    assert path.name in halted.reason
    plane.clock.advance(CHECK_INTERVAL_NS)
    assert plane.run_due() == action
    plane.members.after_touch = lambda name: None
    path.write_bytes(material)
    path.chmod(0o600)
    assert plane.run_due() is None
    plane.requests.resume("orders")
    assert plane.run_due() == Done()
    assert plane.members.touched == ORDER
    assert set(plane.members.keys().values()) == {other_cmk}


def test_a_generation_that_nobody_expected_halts_and_is_looked_at_again(plane: Plane) -> None:
    operation = plane.requests.rotate("orders")

    def rotated_by_hand(name: str) -> None:
        plane.members.before_touch = lambda name: None
        for _ in range(2):
            plane.members.changes[name].rotate(None)

    plane.members.before_touch = rotated_by_hand
    assert isinstance(plane.run_due(), Halt)
    assert plane.operation(operation.id).steps[0].state is StepState.PENDING
    plane.requests.resume("orders")
    assert plane.run_due() == Done()
    assert plane.members.generations() == {"n1": 2, "n2": 4, "n3": 2}


def test_an_abandoned_change_is_taken_back_or_forward_member_by_member(plane: Plane, cmk: str, other_cmk: str) -> None:
    plane.requests.change_cmk("orders", other_cmk)
    plane.members.after_touch = lambda name: plane.members.stop("n3")
    assert isinstance(plane.run_due(), Wait)
    plane.members.after_touch = lambda name: None
    plane.members.start("n3")
    assert plane.requests.abandon("orders").state is OperationState.ABANDONED
    plane.clock.advance(WAIT_NS_MAX)
    assert plane.run_due() == Done()
    assert plane.members.keys() == {"n1": cmk, "n2": other_cmk, "n3": cmk}
    plane.requests.change_cmk("orders", other_cmk)
    plane.members.touched.clear()
    assert plane.run_due() == Done()
    assert plane.members.touched == ["n3", "n1"]
    assert plane.cluster.customer_key == other_cmk


def test_an_abandoned_change_goes_back(plane: Plane, cmk: str, other_cmk: str) -> None:
    plane.requests.change_cmk("orders", other_cmk)
    plane.members.after_touch = lambda name: plane.members.stop("n3")
    assert isinstance(plane.run_due(), Wait)
    plane.members.start("n3")
    plane.members.after_touch = lambda name: None
    plane.requests.abandon("orders")
    plane.requests.change_cmk("orders", cmk)
    plane.clock.advance(WAIT_NS_MAX)
    renewed_ns = plane.cluster.renewed_ns
    for _ in range(2):
        plane.run_due()
    assert set(plane.members.keys().values()) == {cmk}
    assert plane.members.generations() == {"n1": 1, "n2": 3, "n3": 1}
    assert plane.cluster.renewed_ns == renewed_ns, "two master keys are as old as before"


def abandoned_at_second(plane: Plane, order: Callable[[], Operation]) -> None:
    """Begin an operation and abandon it when one member is done."""
    order()
    plane.members.after_touch = lambda name: plane.members.stop("n3")
    assert isinstance(plane.run_due(), Wait)
    plane.members.after_touch = lambda name: None
    plane.members.start("n3")
    plane.requests.abandon("orders")
    plane.clock.advance(WAIT_NS_MAX)
    assert plane.run_due() == Done()


def test_abandoned_conversions_go_back(plane: Plane, cmk: str, other_cmk: str) -> None:
    requests, platform_key = plane.requests, plane.cluster.platform_key
    requests.convert_off("orders")
    assert plane.run_due() == Done()

    abandoned_at_second(plane, lambda: requests.convert_on("orders", other_cmk))
    assert plane.members.keys() == {"n1": platform_key, "n2": platform_key, "n3": platform_key} | {
        plane.members.touched[-1]: other_cmk
    }
    requests.convert_off("orders")
    assert plane.run_due() == Done()
    assert plane.members.keys() == dict.fromkeys(NAMES, platform_key)
    assert plane.members.volume_keys() == dict.fromkeys(NAMES, None)
    with pytest.raises(ClusterStateError, match="off already"):
        requests.convert_off("orders")

    requests.convert_on("orders", cmk)
    assert plane.run_due() == Done()
    layered = plane.members.volume_keys()
    abandoned_at_second(plane, lambda: requests.convert_off("orders"))
    assert sorted(plane.members.keys().values()) == sorted([cmk, cmk, platform_key])
    with pytest.raises(ClusterStateError, match="on, under"):
        requests.convert_on("orders", other_cmk)
    requests.convert_on("orders", cmk)
    assert plane.run_due() == Done()
    assert plane.members.keys() == dict.fromkeys(NAMES, cmk)
    assert plane.members.volume_keys() == layered == dict.fromkeys(NAMES, platform_key)
    assert plane.members.contents() == dict.fromkeys(NAMES, CONTENT)
    with pytest.raises(ClusterStateError, match="on, under"):
        requests.convert_on("orders", cmk)


@pytest.mark.row("R26")
def test_a_rotation_is_due_ninety_days_after_the_last_new_master_keys(plane: Plane, other_cmk: str) -> None:
    plane.clock.advance(89 * DAY_NS)
    assert plane.run_due() is None
    plane.clock.advance(DAY_NS)
    assert plane.run_due() == Done()
    assert plane.members.generations() == dict.fromkeys(NAMES, 2)
    plane.clock.advance(50 * DAY_NS)
    plane.requests.change_cmk("orders", other_cmk)
    assert plane.run_due() == Done()
    plane.clock.advance(41 * DAY_NS)
    assert plane.run_due() is None
    assert plane.members.generations() == dict.fromkeys(NAMES, 3)
    plane.clock.advance(50 * DAY_NS)
    assert plane.run_due() == Done()
    assert plane.members.generations() == dict.fromkeys(NAMES, 4)
    assert len(plane.due.open_jobs(ROTATION_JOB)) == 1


def test_a_rotation_that_comes_due_behind_a_halted_change_waits_for_it(plane: Plane, cmk: str, other_cmk: str) -> None:
    path = Path(other_cmk.removeprefix("local://"))
    plane.requests.change_cmk("orders", other_cmk)
    material = path.read_bytes()
    path.unlink()
    assert isinstance(plane.run_due(), Halt)
    plane.clock.advance(91 * DAY_NS)
    assert isinstance(plane.run_due(), Halt)
    assert plane.run_due() is None
    assert len(plane.history()) == 1
    path.write_bytes(material)
    path.chmod(0o600)
    plane.clock.advance(CHECK_INTERVAL_NS)
    plane.run_due()
    assert plane.members.touched == ORDER
    plane.clock.advance(CHECK_INTERVAL_NS)
    assert plane.run_due() is None
    assert len(plane.due.open_jobs(ROTATION_JOB)) == 1


def test_tries_come_less_often_the_longer_nobody_answers() -> None:
    assert [wait_ns(tries) // 10**9 for tries in (0, 1, 2, 8, 9, 1000)] == [1, 2, 4, 256, 300, 300]


def test_a_second_operation_is_refused_while_one_is_open(plane: Plane, other_cmk: str) -> None:
    plane.requests.rotate("orders")
    with pytest.raises(OperationOpenError, match="rotate is pending there"):
        plane.requests.rotate("orders")
    with pytest.raises(OperationOpenError):
        plane.requests.change_cmk("orders", other_cmk)
    assert plane.run_due() == Done()
    assert plane.members.touched == ORDER


@pytest.mark.row("R137")
@pytest.mark.parametrize("again", ["{cmk}", "local://relative", "nothing", "", "aws://us-east-1/alias/key"])
def test_a_key_that_cannot_follow_is_refused(plane: Plane, cmk: str, again: str) -> None:
    with pytest.raises(InputError, match="Nothing was changed"):
        plane.requests.change_cmk("orders", again.format(cmk=cmk))
    assert plane.history() == []
    assert plane.members.generations() == dict.fromkeys(NAMES, 1)


def test_a_key_that_cannot_be_used_is_refused(plane: Plane, tmp_path: Path) -> None:
    with pytest.raises(KmsInvalidError):
        plane.requests.change_cmk("orders", f"local://{tmp_path}/absent")
    assert plane.history() == []


def test_an_order_is_refused_while_a_member_is_down(plane: Plane, other_cmk: str) -> None:
    plane.members.stop("n3")
    for order in (plane.requests.rotate, partial(plane.requests.change_cmk, key_uri=other_cmk)):
        with pytest.raises(NodeUnreachableError, match="n3"):
            order("orders")
    assert plane.history() == []


def test_an_order_for_what_is_not_there_is_refused(plane: Plane, cmk: str, other_cmk: str) -> None:
    with pytest.raises(ClusterMissingError):
        plane.requests.rotate("invoices")
    with pytest.raises(OperationMissingError):
        plane.requests.resume("orders")
    with pytest.raises(OperationMissingError):
        plane.requests.abandon("orders")
    with pytest.raises(ClusterStateError, match="on, under"):
        plane.requests.convert_on("orders", other_cmk)
    with plane.database.write() as connection:
        connection.execute(sa.text("UPDATE clusters SET customer_key = NULL"))
    with pytest.raises(ClusterStateError, match="off"):
        plane.requests.change_cmk("orders", other_cmk)
    with pytest.raises(InputError, match="platform"):
        plane.requests.convert_on("orders", f"{cmk}-platform")
    assert plane.history() == []


def test_a_cluster_has_its_name_alone_and_members_with_a_primary(plane: Plane, cmk: str) -> None:
    with pytest.raises(ClusterExistsError):
        add_cluster(plane.database, plane.members.new_cluster(NAMES, cmk), 0)
    for names in ((), ("n1", "n1"), tuple(f"n{number}" for number in range(51))):
        new = plane.members.new_cluster(names or ("n1",), cmk)
        with pytest.raises(InputError, match="1 to 50 members"):
            add_cluster(plane.database, new if names else type(new)(**{**vars(new), "members": ()}), 0)
    assert plane.cluster.member_names == list(NAMES)
