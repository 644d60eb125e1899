"""Two control processes on PostgreSQL: one is lost in the middle of a rotation, the other finishes it, nothing twice.

The nodes are real and answer over gRPC with mutual TLS from this process, which holds a call where it wants.
"""

import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import sqlalchemy as sa
from keystore_api.node.v1 import node_pb2 as pb

from keystore.agents.identity import Role
from keystore.agents.service import NodeService
from keystore.agents.serving import AgentServer, Call
from keystore.control import tables
from keystore.control.clock import MovableClock
from keystore.control.clusters import MemberRecord, NewCluster
from keystore.control.creation import ClusterFiles
from keystore.control.database import Database
from keystore.control.founding import add_cluster
from keystore.control.jobs import ROTATION_INTERVAL_NS
from keystore.control.operation_rows import Operation, operations_of
from keystore.kms.connect import connector
from keystore.node.directory import Node
from tests.cli.running import PROGRAM, environment
from tests.control.postgres import Postgres
from tests.control.worker import WAIT_S, wait_until
from tests.key_files import new_key

NAMES = ("n1", "n2", "n3")
HELD = "n3"
"""The second that is touched; n1 is the primary."""


class Touches:
    """Who is being asked for a new master key, and for how long one is held."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.held, self.go = threading.Event(), threading.Event()
        self.order: list[str] = []
        self.under_way: list[str] = []
        self.most_at_once = 0

    def begin(self, name: str) -> None:
        with self._lock:
            self.order.append(name)
            self.under_way.append(name)
            self.most_at_once = max(self.most_at_once, len(set(self.under_way)))
        if name == HELD:
            self.held.set()
            assert self.go.wait(WAIT_S)

    def end(self, name: str) -> None:
        with self._lock:
            self.under_way.remove(name)


class HeldService(NodeService):
    """The calls of a node, of which one may be held."""

    touches: Touches

    def rotate_master_key(self, request: pb.RotateMasterKeyRequest, call: Call) -> pb.MasterKeyChange:
        self.touches.begin(self._node.name)
        try:
            return super().rotate_master_key(request, call)
        finally:
            self.touches.end(self._node.name)


class Rotating:
    """A cluster that two control processes look after."""

    def __init__(self, folder: Path, url: str, database: Database) -> None:
        self.folder, self.url, self.database = folder, url, database
        self.touches, self.nodes, self._stack = Touches(), dict[str, Node](), ExitStack()
        self.processes: dict[str, subprocess.Popen[str]] = {}
        connect, key = connector(), new_key(folder / "cmk")
        files = ClusterFiles.create(folder / "orders", "orders", NAMES, key, None, connect)
        records = []
        for name in NAMES:
            node = self.nodes[name] = self._stack.enter_context(Node.open(files.node(name), connect))
            service = HeldService(node, connect, lambda: None)
            service.touches = self.touches
            server = AgentServer("127.0.0.1:0", files.tls(Role.NODE, name), Role.NODE, service.service())
            server.start()
            self._stack.callback(server.stop)
            records.append(MemberRecord(name, server.address, ""))
        clock = MovableClock(database)
        new = NewCluster("orders", str(files.directory), key, None, NAMES[0], tuple(records))
        self.cluster = add_cluster(database, new, clock.now_ns())
        self.advance = clock.advance

    def serve(self, *names: str) -> None:
        for name in names:
            command = [*PROGRAM, "control", "serve", "--database", self.url, "--name", name, "--movable-clock"]
            command += ["--dead-after", "2", "--ready-file", str(self.folder / f"{name}.ready")]
            self.processes[name] = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment())
        for name in names:
            ready, process = self.folder / f"{name}.ready", self.processes[name]
            wait_until(lambda ready=ready, p=process: ready.exists() or p.poll() is not None, f"{name} ready")  # type: ignore[misc]
            assert process.poll() is None

    def worker(self) -> str:
        """Return the name of the process that has the operation's workflow."""
        with self.database.read() as connection:
            key = sa.select(tables.runs.c.epoch).where(tables.runs.c.key.startswith("operation/"))
            name = sa.select(tables.executors.c.name).where(tables.executors.c.epoch.in_(key))
            return str(connection.execute(name).scalar_one())

    def operations(self) -> list[Operation]:
        with self.database.read() as connection:
            return operations_of(connection, self.cluster.id)

    def generations(self) -> dict[str, int]:
        return {name: node.master_info.generation for name, node in self.nodes.items()}

    def close(self) -> None:
        self.touches.go.set()
        for process in self.processes.values():
            process.kill()
            process.communicate(timeout=WAIT_S)
        self._stack.close()


@pytest.fixture
def rotating(tmp_path: Path, postgres: Postgres, opened: Callable[[str], Database]) -> Iterator[Rotating]:
    url = postgres.create_database()
    found = Rotating(tmp_path, url, opened(url))
    yield found
    found.close()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "asleep"])
def test_the_other_process_finishes_the_rotation_and_touches_each_member_once(
    rotating: Rotating, how: signal.Signals
) -> None:
    rotating.serve("a", "b")
    rotating.advance(ROTATION_INTERVAL_NS)
    assert rotating.touches.held.wait(WAIT_S)
    lost = rotating.worker()
    rotating.processes[lost].send_signal(how)
    wait_until(lambda: rotating.touches.order.count(HELD) == 2, "the take-over")
    assert rotating.worker() != lost
    assert rotating.generations() == {"n1": 1, "n2": 2, "n3": 1}
    rotating.touches.go.set()
    wait_until(lambda: all(not operation.is_open for operation in rotating.operations()), "the end of the rotation")
    (operation,) = rotating.operations()
    assert operation.state == "done"
    assert [step.member for step in operation.steps if step.generation_after] == ["n2", "n3", "n1"]
    assert rotating.touches.order == ["n2", "n3", "n3", "n1"]
    assert rotating.touches.most_at_once == 1
    assert rotating.generations() == {"n1": 2, "n2": 2, "n3": 2}
    if how == signal.SIGSTOP:
        rotating.processes[lost].send_signal(signal.SIGCONT)
        assert rotating.processes[lost].wait(WAIT_S) == 8
        assert rotating.generations() == {"n1": 2, "n2": 2, "n3": 2}
        assert len(rotating.operations()) == 1
