"""`keystore host serve`: a process that stays up while its node is down, and what it does about that."""

import os
import signal
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from keystore.agents.client import NodeClient
from keystore.agents.host_client import HostClient
from keystore.agents.host_state import HostState
from keystore.agents.identity import Role
from keystore.agents.supervised import ProcessReport
from keystore.cli import exits
from keystore.errors import InputError, RoleError
from keystore.kms.connect import connector
from keystore.node.directory import Node
from tests.agents.running import WAIT_MAX_S, AgentProcess, Cluster, HostProcess, NodeProcess, run_refused, wait_until
from tests.emulator_process import Emulator


class Host:
    """A host that looks after `node-1`, as a process, with a client for it."""

    def __init__(self, tmp_path: Path, cluster: Cluster, *arguments: str) -> None:
        self.cluster, self.directory = cluster, tmp_path / "host-1"
        node = ("--node", tmp_path / "node-1", cluster.tls(Role.NODE, "node-1"))
        self.process = HostProcess(self.directory, cluster.tls(Role.HOST, "host-1"), *node, *arguments)
        self.client = HostClient(self.process.wait_ready(), cluster.tls(Role.CONTROL), "host-1")

    def report(self) -> ProcessReport:
        return self.client.status().processes["node-1"]

    def wait_for(self, state: str, former: int = 0, *, for_good: bool = False) -> ProcessReport:
        """Return the first report of that state, of another process than `former`, or of one that stays so."""
        found: list[ProcessReport] = []

        def is_so() -> bool:
            found[:] = [self.report()]
            is_new = found[0].pid != former or not former
            return found[0].state == state and is_new and (not for_good or found[0].next_start_ns is None)

        wait_until(is_so, f"the node to be {state}")
        return found[0]

    def data(self) -> NodeClient:
        return NodeClient(self.report().address, self.cluster.tls(Role.CLIENT), "node-1")


@pytest.fixture
def hosts(tmp_path: Path, cluster: Cluster, cmk: str) -> Iterator[list[Host]]:
    """Hosts that a test started; at its end they and their nodes are gone."""
    Node.init(tmp_path / "node-1", cmk, connector()).close()
    started: list[Host] = []
    try:
        yield started
    finally:
        for host in started:
            host.client.close()
            if host.process.popen.poll() is None:
                host.process.terminate()


def start(hosts: list[Host], tmp_path: Path, cluster: Cluster, *arguments: str) -> Host:
    host = Host(tmp_path, cluster, *arguments)
    hosts.append(host)
    return host


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_a_node_that_dies_is_started_again_at_its_address(hosts: list[Host], tmp_path: Path, cluster: Cluster) -> None:
    host = start(hosts, tmp_path, cluster)
    first = host.wait_for("running")
    with host.data() as client:
        client.write_file("db", "file", b"content")
        os.kill(first.pid, signal.SIGKILL)
        again = host.wait_for("running", former=first.pid)
        assert (again.address, again.failures) == (first.address, 1)
        assert b"".join(client.read_file("db", "file")) == b"content"


@pytest.mark.row("R52")
def test_an_order_stops_and_starts_and_the_host_stays_up(hosts: list[Host], tmp_path: Path, cluster: Cluster) -> None:
    host = start(hosts, tmp_path, cluster)
    before, status = host.wait_for("running"), host.client.status()
    assert host.client.start("node-1") == before
    stopped = host.client.stop("node-1")
    assert (stopped.state, stopped.reason, stopped.pid) == ("stopped", "by an order", 0)
    assert not is_alive(before.pid)
    assert host.client.is_serving()
    started = host.client.start("node-1")
    assert (started.state, started.address, started.failures) == ("running", before.address, 0)
    restarted = host.client.restart("node-1")
    assert (restarted.state, restarted.address) == ("running", before.address)
    assert len({before.pid, started.pid, restarted.pid}) == 3
    assert host.client.status().host_id == status.host_id
    assert host.client.status().pid == status.pid == host.process.popen.pid


def test_what_an_order_has_stopped_stays_down_when_the_host_starts_again(
    hosts: list[Host], tmp_path: Path, cluster: Cluster
) -> None:
    first = start(hosts, tmp_path, cluster)
    address = first.wait_for("running").address
    first.client.stop("node-1")
    host_id = first.client.status().host_id
    first.process.kill()
    first.process.ready_file.unlink()
    second = start(hosts, tmp_path, cluster)
    assert second.client.status().host_id == host_id
    assert (second.report().state, second.report().reason) == ("stopped", "by an order")
    assert second.client.start("node-1").address == address


def test_a_node_that_was_called_upon_to_stop_stays_down(hosts: list[Host], tmp_path: Path, cluster: Cluster) -> None:
    host = start(hosts, tmp_path, cluster)
    address = host.wait_for("running").address
    with NodeClient(address, cluster.tls(Role.CONTROL), "node-1") as node:
        node.stop()
    assert host.wait_for("stopped").reason == "it was called upon to stop"
    assert host.client.start("node-1").state == "running"


def test_nodes_outlive_a_host_that_was_killed_and_the_next_takes_them_over(
    hosts: list[Host], tmp_path: Path, cluster: Cluster
) -> None:
    first = start(hosts, tmp_path, cluster)
    running = first.wait_for("running")
    first.process.kill()
    first.process.ready_file.unlink()
    with NodeClient(running.address, cluster.tls(Role.CLIENT), "node-1") as client:
        client.write_file("db", "file", b"content")
    second = start(hosts, tmp_path, cluster)
    taken = second.wait_for("running")
    assert (taken.pid, taken.address) == (running.pid, running.address)
    os.kill(taken.pid, signal.SIGKILL)
    assert second.wait_for("running", former=taken.pid).failures == 1
    again = second.client.restart("node-1")
    assert (again.state, again.address) == ("running", running.address)


def test_a_node_that_became_ready_after_its_host_was_killed_is_taken_over(
    hosts: list[Host], tmp_path: Path, cluster: Cluster, processes: list[AgentProcess]
) -> None:
    (tmp_path / "host-1").mkdir()
    ready_file, kept = tmp_path / "host-1" / "node-1.ready", tmp_path / "kept"
    left = NodeProcess(tmp_path / "node-1", cluster.tls(Role.NODE, "node-1"), "--ready-file", ready_file)
    processes.append(left)
    wait_until(ready_file.exists, "the node to serve")
    ready_file.rename(kept)
    host = start(hosts, tmp_path, cluster)
    assert "is open in process" in host.wait_for("failed").reason
    kept.rename(ready_file)
    assert host.wait_for("running").pid == left.popen.pid
    assert host.client.stop("node-1").state == "stopped"
    assert left.popen.wait(WAIT_MAX_S) == exits.OK


def test_a_host_that_is_told_to_end_ends_its_nodes_and_starts_them_again(
    hosts: list[Host], tmp_path: Path, cluster: Cluster
) -> None:
    first = start(hosts, tmp_path, cluster)
    running = first.wait_for("running")
    code, printed = first.process.terminate()
    assert (code, is_alive(running.pid)) == (exits.OK, False), printed
    Node.open(tmp_path / "node-1", connector()).close()
    assert start(hosts, tmp_path, cluster).wait_for("running").address == running.address


def test_a_key_that_refuses_keeps_the_node_down_until_an_order(
    tmp_path: Path, cluster: Cluster, emulator: Emulator
) -> None:
    uri = emulator.create_key("aws")
    Node.init(tmp_path / "node-1", uri, connector(emulator.endpoint)).close()
    with ended(Host(tmp_path, cluster, "--kms-endpoint", emulator.endpoint)) as host:
        pid = host.wait_for("running").pid
        emulator.disable(uri)
        os.kill(pid, signal.SIGKILL)
        failed = host.wait_for("failed", for_good=True)
        assert "disabled" in failed.reason.lower()
        assert (failed.pid, failed.failures) == (0, 2)
        calls = len(emulator.calls(uri.rpartition("/")[2]))
        assert host.client.is_serving()
        refused = host.client.start("node-1")
        assert (refused.state, refused.failures, refused.next_start_ns) == ("failed", 1, None)
        assert len(emulator.calls(uri.rpartition("/")[2])) == calls + 1
        emulator.enable(uri)
        assert host.client.start("node-1").state == "running"


def test_what_waiting_can_mend_is_tried_again_without_an_order(
    hosts: list[Host], tmp_path: Path, cluster: Cluster
) -> None:
    with Node.open(tmp_path / "node-1", connector()):
        host = start(hosts, tmp_path, cluster)
        failed = host.wait_for("failed")
        assert "is open in process" in failed.reason
        assert failed.next_start_ns is not None
    assert host.wait_for("running").failures >= 1


@contextmanager
def ended(host: Host) -> Iterator[Host]:
    try:
        yield host
    finally:
        host.client.close()
        host.process.terminate()


def test_bad_orders_are_refused_and_only_control_gives_any(hosts: list[Host], tmp_path: Path, cluster: Cluster) -> None:
    host = start(hosts, tmp_path, cluster)
    before = host.wait_for("running")
    with pytest.raises(InputError, match="has no process 'node-2', but node-1"):
        host.client.stop("node-2")
    for role in set(Role) - {Role.CONTROL}:
        with HostClient(host.client.address, cluster.tls(role), "host-1") as client:
            for call in (client.status, lambda client=client: client.stop("node-1")):
                with pytest.raises(RoleError):
                    call()
    assert host.report() == before


def test_a_directory_has_one_host(tmp_path: Path, cluster: Cluster) -> None:
    with closing(HostState(tmp_path / "host-1")) as first:
        second = run_refused("host", tmp_path / "host-1", cluster.tls(Role.HOST, "host-1"))
        assert (second.code, "is served by another process" in second.err) == (exits.LOCKED, True)
        host_id = first.host_id
    with closing(HostState(tmp_path / "host-1")) as again:
        assert again.host_id == host_id


@pytest.mark.parametrize("content", [b"", b"{}", b'{"host_id": "x", "processes": {}}', b"[]"])
def test_a_host_does_not_forget_who_it_is(tmp_path: Path, cluster: Cluster, content: bytes) -> None:
    (tmp_path / "host-1").mkdir()
    (tmp_path / "host-1" / "host.json").write_bytes(content)
    refused = run_refused("host", tmp_path / "host-1", cluster.tls(Role.HOST, "host-1"))
    assert (refused.code, "is not what a host wrote" in refused.err) == (exits.USAGE, True)
    assert (tmp_path / "host-1" / "host.json").read_bytes() == content
