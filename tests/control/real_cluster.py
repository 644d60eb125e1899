"""A cluster of real processes for tests: nodes, control processes, and a writer that counts at a majority."""

import hashlib
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from keystore.agents.client import NodeClient
from keystore.agents.identity import Role
from keystore.control.clock import MovableClock
from keystore.control.clusters import Cluster, MemberRecord, NewCluster, cluster_named, set_addresses
from keystore.control.creation import ClusterFiles
from keystore.control.database import Database, open_database
from keystore.control.founding import add_cluster
from keystore.control.operation_rows import Operation, operation_of, operations_of
from keystore.errors import KeystoreError
from keystore.kms.connect import connector
from keystore.node.directory import Node
from tests.agents.running import NodeProcess, wait_until
from tests.cli.running import PROGRAM, environment

NAMES = ("n1", "n2", "n3")
PAGE = 4096
DAY_NS = 86400 * 10**9


def killed(what: str, point: int) -> tuple[str, ...]:
    """Return the program that kills itself at a point; see `tests.control.killed`."""
    return sys.executable, "-m", "tests.control.killed", what, str(point)


class ControlProcess:
    """`keystore control serve`, started."""

    def __init__(
        self, folder: Path, url: str, name: str, env: dict[str, str], program: Sequence[str] = PROGRAM
    ) -> None:
        ready_file, self.errors = folder / f"{name}.ready", folder / f"{name}.log"
        ready_file.unlink(missing_ok=True)
        command = [*program, "control", "serve", "--database", url, "--name", name, "--ready-file", ready_file]
        with self.errors.open("ab") as log:
            self.popen = subprocess.Popen(
                [*map(str, command), "--movable-clock"], stdin=subprocess.DEVNULL, stderr=log, env=environment(env)
            )
        self._ready_file = ready_file

    def wait_ready(self) -> None:
        wait_until(lambda: self._ready_file.exists() or self.popen.poll() is not None, "the control process")
        assert self.popen.poll() is None, self.errors.read_text()

    def kill(self) -> None:
        self.popen.kill()
        self.popen.wait(timeout=60)


class RealCluster:
    """Three nodes as processes on one control database; a context manager that kills all that is left."""

    def __init__(self, folder: Path, url: str, endpoint: str, key_uri: str, platform_key: str) -> None:
        self.folder, self.url, self.endpoint = folder, url, endpoint
        self.env = {"KEYSTORE_KMS_ENDPOINT": endpoint} if endpoint else {}
        connect = connector(endpoint or None)
        self.files = ClusterFiles.create(folder / "orders", "orders", NAMES, platform_key, key_uri, connect)
        idle = folder / "idle"
        idle.write_bytes(bytes(range(256)) * 1024)
        for name in NAMES:
            with Node.open(self.files.node(name), connect) as node:
                node.import_file("idle", "pages", idle)
        self.idle_files = sorted(self.files.directory.glob("members/*/databases/*/*.store"))
        for name in NAMES:
            with Node.open(self.files.node(name), connect) as node:
                node.create_store("busy", "pages", PAGE).close()
        self.database: Database = open_database(url)
        self.clock = MovableClock(self.database)
        self.nodes: dict[str, NodeProcess] = {}
        self.controls: list[ControlProcess] = []
        self.addresses = dict.fromkeys(NAMES, "127.0.0.1:1")
        records = tuple(MemberRecord(name, self.addresses[name], "") for name in NAMES)
        new = NewCluster("orders", str(self.files.directory), platform_key, key_uri, NAMES[0], records)
        made = add_cluster(self.database, new, self.clock.now_ns())
        self.begun_ns = made.renewed_ns

    # -- processes

    def start_nodes(self, names: Sequence[str] = NAMES, kind: type[NodeProcess] = NodeProcess) -> None:
        for name in names:
            (self.files.directory / "members" / f"{name}.ready").unlink(missing_ok=True)
            self.nodes[name] = kind(self.files.node(name), self.files.tls(Role.NODE, name), env=self.env)
        self.settle(names)

    def settle(self, names: Sequence[str] = NAMES) -> None:
        """Wait until nodes that were started serve, and record where."""
        for name in names:
            self.addresses[name] = self.nodes[name].wait_ready()
        records = [MemberRecord(name, self.addresses[name], "") for name in NAMES]
        set_addresses(self.database, self.cluster.id, records)

    def kill_node(self, name: str) -> None:
        self.nodes[name].kill()

    def start_control(self, name: str = "control-1", program: Sequence[str] = PROGRAM) -> ControlProcess:
        control = ControlProcess(self.folder, self.url, name, self.env, program)
        self.controls.append(control)
        control.wait_ready()
        return control

    def close(self) -> None:
        for control in self.controls:
            control.kill()
        for node in self.nodes.values():
            node.kill()
        self.database.close()

    def __enter__(self) -> "RealCluster":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- what is known

    @property
    def cluster(self) -> Cluster:
        return cluster_named(self.database, "orders")

    def client(self, name: str, role: Role = Role.CLIENT) -> NodeClient:
        return NodeClient(self.addresses[name], self.files.tls(role, str(role)), name)

    def history(self) -> list[Operation]:
        with self.database.read() as connection:
            return operations_of(connection, self.cluster.id)

    def operation(self, operation_id: int) -> Operation:
        with self.database.read() as connection:
            return operation_of(connection, operation_id)

    def generations(self) -> dict[str, int]:
        found = {}
        for name in NAMES:
            with self.client(name, Role.CONTROL) as client:
                found[name] = client.status().master_key.generation
        return found

    def idle_states(self) -> list[tuple[str, int]]:
        """Return hash and time of every data file that nobody writes."""
        return [(hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns) for path in self.idle_files]

    def wait_done(self, operation_id: int) -> Operation:
        wait_until(lambda: not self.operation(operation_id).is_open, "the operation to end")
        return self.operation(operation_id)

    @contextmanager
    def writing(self) -> Iterator["MajorityWriter"]:
        """Have every write go to all members, all through the block; no majority may fail."""
        writer = MajorityWriter(self)
        writer.start()
        try:
            yield writer
        finally:
            writer.end()
        assert writer.failed == []
        assert writer.made > 0


class MajorityWriter:
    """The database of the tests: writes a growing number to all members, and counts who has it.

    Attributes:
        made: writes that a majority has.
        failed: what came instead where it has not.
    """

    def __init__(self, cluster: RealCluster) -> None:
        self._cluster = cluster
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.made = 0
        self.failed: list[str] = []

    def start(self) -> None:
        self._thread.start()

    def end(self) -> None:
        self._ended.set()
        self._thread.join(60)

    def wait_more(self, count: int) -> None:
        """Wait until so many more writes were made."""
        wanted = self.made + count
        wait_until(lambda: self.made >= wanted, "the writer")

    def _run(self) -> None:
        number = 0
        while not self._ended.is_set():
            number += 1
            page = number.to_bytes(8, "big").ljust(PAGE, b"\0")
            problems = [problem for name in NAMES if (problem := self._write(name, page))]
            if len(problems) > len(NAMES) // 2:
                self.failed.append(f"write {number}: {problems}")
            else:
                self.made = number
            self._ended.wait(0.02)

    def _write(self, name: str, page: bytes) -> str:
        """Write to one member and read it back; return what went wrong."""
        try:
            with self._cluster.client(name) as client:
                client.write_pages("busy", "pages", {0: page}, page_count=1)
                return "" if client.read_pages("busy", "pages", [0])[0] == page else f"{name} reads something else"
        except KeystoreError as error:
            return f"{name}: {error}"
