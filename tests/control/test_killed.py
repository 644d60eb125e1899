"""kill -9 of the control process and of nodes at every step of every operation: it ends, and each effect is one."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from keystore.cli import exits
from keystore.control.operation_rows import Operation
from keystore.control.rolling import Act, OperationState
from keystore.kms.local import create_key_file
from tests.agents.running import NodeProcess, wait_until
from tests.cli.running import keystore
from tests.control.real_cluster import NAMES, RealCluster, killed

KINDS = ("rotate", "change-cmk", "convert")
TURNS = {"rotate": 1, "change-cmk": 1, "convert": 2}
"""How many orders of a kind differ: a conversion switches customer keys off and on in turn."""
CONTROL_POINTS = 14
"""Of an operation; see `tests.control.test_operations`."""
NODE_POINTS_MAX = 200
"""LIMIT: file operations of a change of a master key, or of a conversion."""
FEW_CONTROL_POINTS = {"change-cmk": [9]}
FEW_NODE_POINTS = {"rotate": [3], "convert": [12]}
"""What every run does; `make soak` does all points of all operations."""


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[RealCluster]:
    """Three nodes under key files, and a writer."""
    for name in ("a", "b", "platform"):
        create_key_file(tmp_path / name)
    url = f"sqlite:///{tmp_path / 'control.db'}"
    with RealCluster(tmp_path, url, "", uri(tmp_path, "a"), uri(tmp_path, "platform")) as cluster:
        cluster.start_nodes()
        yield cluster


def uri(folder: Path, name: str) -> str:
    return f"local://{folder / name}"


def order(cluster: RealCluster, kind: str) -> int:
    """Give an order that changes something, and return the number of the operation."""
    current = cluster.cluster.customer_key
    other = uri(cluster.folder, "b" if current == uri(cluster.folder, "a") else "a")
    arguments = {"rotate": ["rotate", "orders"], "change-cmk": ["change-cmk", "orders", other]}
    arguments["convert"] = ["convert", "orders", *(["--off"] if current else ["--on", other])]
    run = keystore("cluster", *arguments[kind], "--no-wait", "--database", cluster.url, "--json")
    assert run.code == exits.OK, run
    return int(run.json["operation"])


def check(cluster: RealCluster, done: Operation, generation: int) -> None:
    """Every member has changed once more, has its key, and serves."""
    assert done.state is OperationState.DONE
    touches = [step for step in done.steps if step.act is Act.TOUCH]
    assert [(step.generation_before, step.generation_after) for step in touches] == [(generation, generation + 1)] * 3
    assert sum(step.attempts for step in touches) <= 4
    assert cluster.generations() == dict.fromkeys(NAMES, generation + 1)


def kill_control_at(cluster: RealCluster, kind: str, points: list[int]) -> None:
    for count, point in enumerate(points):
        victim = cluster.start_control(program=killed("control", point))
        ordered = order(cluster, kind)
        wait_until(lambda: victim.popen.poll() is not None, f"the kill at point {point}")  # noqa: B023
        assert cluster.operation(ordered).is_open
        successor = cluster.start_control()
        check(cluster, cluster.wait_done(ordered), 1 + count)
        successor.kill()


def kill_node_at(cluster: RealCluster, kind: str, points: list[int], name: str = "n2") -> None:
    cluster.start_control()
    survived = 0
    for count, point in enumerate(points):

        class Victim(NodeProcess):
            program = killed("node", point)

        cluster.kill_node(name)
        cluster.start_nodes([name], Victim)
        victim = cluster.nodes[name].popen
        ordered = order(cluster, kind)
        wait_until(lambda: victim.poll() is not None or not cluster.operation(ordered).is_open, f"point {point}")  # noqa: B023
        was_killed = victim.poll() is not None
        if was_killed:
            cluster.start_nodes([name])
        check(cluster, cluster.wait_done(ordered), 1 + count)
        survived = 0 if was_killed else survived + 1
        if survived == TURNS[kind]:
            assert point > 3, "a change of a key has more file operations"
            return
    assert len(set(points)) < NODE_POINTS_MAX


def in_turn(kind: str, count: int) -> list[int]:
    """Return the points below `count`, each as often as there are orders that differ."""
    return [point for point in range(count) for _ in range(TURNS[kind])]


def check_after_a_restart(cluster: RealCluster) -> None:
    """No node is without its key."""
    generations = cluster.generations()
    for name in NAMES:
        cluster.kill_node(name)
    cluster.start_nodes()
    assert cluster.generations() == generations


@pytest.mark.parametrize("kind", FEW_CONTROL_POINTS)
def test_a_killed_control_process_goes_on(cluster: RealCluster, kind: str) -> None:
    with cluster.writing():
        kill_control_at(cluster, kind, FEW_CONTROL_POINTS[kind])
    check_after_a_restart(cluster)


@pytest.mark.parametrize("kind", FEW_NODE_POINTS)
def test_a_killed_node_goes_on(cluster: RealCluster, kind: str) -> None:
    with cluster.writing():
        kill_node_at(cluster, kind, FEW_NODE_POINTS[kind])
    check_after_a_restart(cluster)


@pytest.mark.soak
@pytest.mark.parametrize("kind", KINDS)
def test_a_control_process_killed_at_every_point(cluster: RealCluster, kind: str) -> None:
    with cluster.writing():
        kill_control_at(cluster, kind, in_turn(kind, CONTROL_POINTS))
    check_after_a_restart(cluster)


@pytest.mark.soak
@pytest.mark.parametrize("name", ["n2", "n1"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_node_killed_at_every_point(cluster: RealCluster, kind: str, name: str) -> None:
    with cluster.writing():
        kill_node_at(cluster, kind, in_turn(kind, NODE_POINTS_MAX), name)
    check_after_a_restart(cluster)
