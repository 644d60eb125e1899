"""A router in front of two members: what it forwards to whom, and what it knows of them."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from keystore.agents.client import NodeClient
from keystore.agents.host_client import HostClient
from keystore.agents.identity import Role
from keystore.agents.process import Stopping
from keystore.agents.router import RouterService
from keystore.agents.router_client import RouterClient
from keystore.agents.serving import AgentServer
from keystore.agents.supervised import ProcessReport
from keystore.agents.topology import MEMBERS_MAX, TOPOLOGY_FILE, Member, Topology, TopologyFile
from keystore.cli import exits
from keystore.errors import (
    AgentError,
    InputError,
    NameUnknownError,
    NodeUnreachableError,
    PageRangeError,
    RoleError,
    StoreDamagedError,
    TopologyError,
)
from tests.agents.running import AgentProcess, Cluster, HostProcess, RouterProcess, ServedNode, wait_until
from tests.snapshots.test_damaged_store import damage_page

PAGE = 4096


class ServedRouter:
    """A router that this process serves; a context manager that ends it."""

    def __init__(self, directory: Path, cluster: Cluster) -> None:
        self.cluster, self.stopping = cluster, Stopping()
        tls = cluster.tls(Role.ROUTER, "router-1")
        self.service = RouterService(TopologyFile(directory), tls, self.stopping.begin)
        self.server = AgentServer("127.0.0.1:0", tls, Role.ROUTER, *self.service.services())
        self.server.start()
        self._stack = ExitStack()
        self._stack.callback(self.service.close)
        self._stack.callback(self.server.stop)

    def client(self, role: Role = Role.CLIENT) -> RouterClient:
        client = RouterClient(self.server.address, self.cluster.tls(role), "router-1")
        return self._stack.enter_context(client)

    def __enter__(self) -> "ServedRouter":
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()


@pytest.fixture
def other(tmp_path: Path, cmk: str, cluster: Cluster) -> Iterator[ServedNode]:
    with ServedNode.init(tmp_path / "node-2", cmk, cluster) as served:
        yield served


@pytest.fixture
def router(tmp_path: Path, cluster: Cluster) -> Iterator[ServedRouter]:
    with ServedRouter(tmp_path / "router-1", cluster) as served:
        yield served


def of(*nodes: ServedNode, version: int = 1) -> Topology:
    """Return a topology of which the first is the primary."""
    return Topology(version, nodes[0].name, tuple(Member(node.name, node.address) for node in nodes))


def test_writes_go_to_the_primary_and_to_nobody_else(node: ServedNode, other: ServedNode, router: ServedRouter) -> None:
    router.client(Role.CONTROL).set_topology(of(other, node))
    client = router.client()
    client.create_file("db", "pages", page_size=PAGE)
    client.write_pages("db", "pages", {0: b"a" * PAGE, 3: None})
    content = os.urandom(3_000_001)
    client.write_file("db", "file", content)
    client.write_file("db", "gone", b"x")
    client.drop_file("db", "gone")
    assert client.read_pages("db", "pages", [0, 3]) == {0: b"a" * PAGE, 3: bytes(PAGE)}
    assert b"".join(client.read_file("db", "file")) == content
    assert {file.name for file in client.list_files()} == {"pages", "file"}
    assert client.status().name == "node-2"
    assert node.node.list_files() == []
    assert b"".join(other.client(Role.CLIENT).read_file("db", "file")) == content


def test_where_the_primary_is_down_reads_go_to_the_next_and_writes_to_nobody(
    node: ServedNode, other: ServedNode, router: ServedRouter
) -> None:
    for member in (node, other):
        member.client(Role.CLIENT).write_file("db", "file", member.name.encode())
    router.client(Role.CONTROL).set_topology(of(node, other))
    client = router.client()
    assert b"".join(client.read_file("db", "file")) == b"node-1"
    node.end()
    assert b"".join(client.read_file("db", "file")) == b"node-2"
    assert client.status().name == "node-2"
    before = other.client(Role.CLIENT).list_files()
    for write in (
        lambda: client.write_file("db", "file", b"x"),
        lambda: client.write_pages("db", "file", {0: None}),
        lambda: client.drop_file("db", "file"),
        lambda: client.create_file("db", "new"),
    ):
        with pytest.raises(NodeUnreachableError, match="the node node-1 at"):
            write()
    assert other.client(Role.CLIENT).list_files() == before
    other.end()
    for read in (client.status, lambda: list(client.read_file("db", "file"))):
        with pytest.raises(NodeUnreachableError, match="the node node-2 at"):
            read()


def test_a_step_down_changes_where_calls_go(node: ServedNode, other: ServedNode, router: ServedRouter) -> None:
    control, client = router.client(Role.CONTROL), router.client()
    control.set_topology(of(node, other))
    client.write_file("db", "file", b"before")
    control.set_topology(of(other, node, version=2))
    client.write_file("db", "file", b"after")
    control.set_topology(of(other, version=3))
    assert b"".join(client.read_file("db", "file")) == b"after"
    assert b"".join(node.client(Role.CLIENT).read_file("db", "file")) == b"before"


def test_errors_of_a_member_come_through_as_they_are(node: ServedNode, router: ServedRouter) -> None:
    router.client(Role.CONTROL).set_topology(of(node))
    client = router.client()
    client.write_file("db", "file", os.urandom(100_000), page_size=PAGE)
    with pytest.raises(PageRangeError):
        client.read_pages("db", "file", [99])
    with pytest.raises(NameUnknownError):
        list(client.read_file("db", "none"))
    page_no = damage_page(node.node, "db", "file", 5)
    with pytest.raises(StoreDamagedError) as raised:
        client.read_pages("db", "file", [page_no])
    assert (raised.value.store, raised.value.part, raised.value.number) == ("db/file", "page", page_no)


def test_a_router_offers_no_call_on_keys_and_only_clients_get_data(node: ServedNode, router: ServedRouter) -> None:
    control, client = router.client(Role.CONTROL), router.client()
    control.set_topology(of(node))
    client.write_file("db", "file", b"content")
    for call in (control.rotate_master, lambda: control.rotate_data_key("db"), lambda: control.create_snapshot("/x")):
        with pytest.raises(AgentError, match="does not know this call"):
            call()
    for role in set(Role) - {Role.CLIENT}:
        with pytest.raises(RoleError):
            list(router.client(role).read_file("db", "file"))
    for role in set(Role) - {Role.CONTROL}:
        with pytest.raises(RoleError):
            router.client(role).set_topology(of(node, version=9))
        with pytest.raises(RoleError):
            router.client(role).stop()
    assert control.topology() == of(node)
    assert node.node.master_info.generation == 1


def test_a_router_process_loads_nothing_that_touches_a_key() -> None:
    """What `keystore router serve` imports has neither ciphers nor key files nor KMS clients of ours in it."""
    code = (
        "import sys, keystore.agents.router, keystore.agents.process, keystore.agents.serving\n"
        "print([name for name in sys.modules if name.split('.')[:2] in "
        "(['keystore', 'crypto'], ['keystore', 'keys'], ['keystore', 'kms'], ['keystore', 'node'])])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


# -- topology ---------------------------------------------------------------------------------------------------------


def test_a_router_without_members_says_so(router: ServedRouter) -> None:
    assert router.client().topology() == Topology()
    for call in (router.client().status, lambda: router.client().write_file("db", "file", b"x")):
        with pytest.raises(NodeUnreachableError, match="was told no members yet"):
            call()


def test_the_topology_is_kept_over_restarts_and_an_older_one_is_refused(
    node: ServedNode, other: ServedNode, tmp_path: Path, cluster: Cluster
) -> None:
    newest = of(node, other, version=5)
    with ServedRouter(tmp_path / "router-1", cluster) as first:
        first.client(Role.CONTROL).set_topology(newest)
    with ServedRouter(tmp_path / "router-1", cluster) as second:
        control = second.client(Role.CONTROL)
        assert control.topology() == newest
        assert second.client().status().name == "node-1"
        control.set_topology(newest)
        for version in (4, 5):
            with pytest.raises(TopologyError, match=f"topology {version} came after 5, whose primary is node-1"):
                control.set_topology(of(other, node, version=version))
        assert control.topology() == newest


ONE = Member("node-1", "127.0.0.1:1")
UNSOUND = {
    "no members": Topology(1, "node-1"),
    "a primary that is none": Topology(1, "node-2", (ONE,)),
    "no version": Topology(0, "node-1", (ONE,)),
    "one twice": Topology(1, "node-1", (ONE, Member("node-1", "127.0.0.1:2"))),
    "a bad name": Topology(1, "Node 1", (Member("Node 1", "127.0.0.1:1"),)),
    "no port": Topology(1, "node-1", (Member("node-1", "127.0.0.1"),)),
    "too many": Topology(1, "n0", tuple(Member(f"n{number}", "127.0.0.1:1") for number in range(MEMBERS_MAX + 1))),
}


@pytest.mark.parametrize("topology", UNSOUND.values(), ids=UNSOUND)
def test_what_no_cluster_can_be_is_refused(router: ServedRouter, topology: Topology) -> None:
    control = router.client(Role.CONTROL)
    with pytest.raises(InputError, match="Nothing was changed"):
        control.set_topology(topology)
    assert control.topology() == Topology()


@pytest.mark.parametrize("content", [b"", b"[]", b'{"version": 1, "primary": "x", "members": []}', b"\xff"])
def test_a_topology_file_that_is_none_is_not_taken(tmp_path: Path, content: bytes) -> None:
    (tmp_path / TOPOLOGY_FILE).write_bytes(content)
    with pytest.raises(InputError, match="is not what a router wrote"):
        TopologyFile(tmp_path)
    assert (tmp_path / TOPOLOGY_FILE).read_bytes() == content


# -- as a process -----------------------------------------------------------------------------------------------------


def test_a_router_process_is_stopped_by_control_and_started_by_its_host(
    node: ServedNode, tmp_path: Path, cluster: Cluster, processes: list[AgentProcess]
) -> None:
    own = ("--router", tmp_path / "router-1", cluster.tls(Role.ROUTER, "router-1"))
    process = HostProcess(tmp_path / "host-1", cluster.tls(Role.HOST, "host-1"), *own)
    processes.append(process)
    with HostClient(process.wait_ready(), cluster.tls(Role.CONTROL), "host-1") as host:
        wait_until(lambda: host.status().processes["router-1"].state == "running", "the router")
        report = host.status().processes["router-1"]
        with (
            RouterClient(report.address, cluster.tls(Role.CONTROL), "router-1") as control,
            NodeClient(report.address, cluster.tls(Role.CLIENT), "router-1", role=Role.ROUTER) as client,
        ):
            control.set_topology(of(node))
            client.write_file("db", "file", b"content")
            os.kill(report.pid, signal.SIGKILL)
            wait_until(lambda: is_running_again(host.status().processes["router-1"], report.pid), "the router again")
            assert b"".join(client.read_file("db", "file")) == b"content"
            control.stop()
            wait_until(lambda: host.status().processes["router-1"].state == "stopped", "the router to stop")
            assert host.start("router-1").address == report.address
            assert control.topology() == of(node)
    assert process.terminate()[0] == exits.OK


def is_running_again(report: ProcessReport, former: int) -> bool:
    return report.state == "running" and report.pid != former


def test_a_router_process_ends_in_order(tmp_path: Path, cluster: Cluster, processes: list[AgentProcess]) -> None:
    process = RouterProcess(tmp_path / "router-1", cluster.tls(Role.ROUTER, "router-1"))
    processes.append(process)
    with RouterClient(process.wait_ready(), cluster.tls(Role.CLIENT)) as client:
        assert client.is_serving()
    code, printed = process.terminate()
    assert (code, "router router-1 of cluster orders has stopped" in printed) == (exits.OK, True)
