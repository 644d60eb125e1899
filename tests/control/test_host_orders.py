"""Every process of a cluster down and up by orders to its hosts, which stay up meanwhile."""

import os
import signal
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from keystore.agents.client import NodeClient
from keystore.agents.host_client import HostClient
from keystore.agents.identity import Role
from keystore.control.clusters import ROUTER, Cluster
from keystore.control.creation import ClusterFiles
from keystore.control.database import open_database
from keystore.control.founding import create_local_cluster, local_cluster
from keystore.control.host_orders import HostOrders, Told, serving_members
from keystore.control.local_hosts import LocalHosts
from keystore.errors import NodeUnreachableError
from keystore.kms.connect import connector
from tests.key_files import cmk as cmk
from tests.key_files import other_cmk as other_cmk


@pytest.fixture
def founded(tmp_path: Path, cmk: str, other_cmk: str) -> Iterator[tuple[Cluster, LocalHosts]]:
    """A running cluster of one member; at the end its hosts are ended."""
    new = local_cluster("orders", tmp_path / "orders", 1, other_cmk, cmk)
    hosts = LocalHosts(ClusterFiles(Path(new.directory)))
    with closing(open_database(f"sqlite:///{tmp_path / 'control.db'}")) as database:
        cluster = create_local_cluster(database, 0, connector(), new, hosts)
        yield cluster, hosts
        hosts.stop(cluster.processes)


def identities(cluster: Cluster) -> list[tuple[bytes, int]]:
    """Return who the hosts are, and their processes."""
    tls = ClusterFiles(Path(cluster.directory)).tls(Role.CONTROL, "control")
    found = []
    for record in cluster.processes:
        with HostClient(record.host_address, tls, record.name) as client:
            status = client.status()
            found.append((status.host_id, status.pid))
    return found


def clients(cluster: Cluster) -> list[NodeClient]:
    tls = ClusterFiles(Path(cluster.directory)).tls(Role.CLIENT, "client")
    assert cluster.router is not None
    return [
        NodeClient(cluster.router.address, tls, role=Role.ROUTER),
        NodeClient(cluster.members[0].address, tls, "n1"),
    ]


def states(told: dict[str, Told]) -> dict[str, str]:
    return {name: each.report.state if each.report else each.why for name, each in told.items()}


@pytest.mark.row("R47", "R52")
def test_every_process_is_down_and_its_host_answers(founded: tuple[Cluster, LocalHosts]) -> None:
    cluster, hosts = founded
    orders, before = HostOrders(cluster), identities(cluster)
    router, node = clients(cluster)
    with router, node:
        router.write_file("db", "file", b"content")

        assert states(orders.stop()) == states(orders.stop()) == {"n1": "stopped", ROUTER: "stopped"}
        assert all(each.is_down and not each.runs for each in orders.reports().values())
        assert identities(cluster) == before
        for client in (router, node):
            with pytest.raises(NodeUnreachableError):
                b"".join(client.read_file("db", "file"))
            with pytest.raises(NodeUnreachableError):
                client.write_file("db", "other", b"content")

        assert [record.host_address for record in hosts.launch(cluster.processes)] == [
            record.host_address for record in cluster.processes
        ]
        assert identities(cluster) == before
        assert states(orders.start()) == states(orders.start()) == {"n1": "running", ROUTER: "running"}
        assert serving_members(orders.reports()) == ["n1"]
        assert b"".join(router.read_file("db", "file")) == b"".join(node.read_file("db", "file")) == b"content"


def test_a_host_that_comes_back_keeps_its_process_down(founded: tuple[Cluster, LocalHosts]) -> None:
    cluster, hosts = founded
    orders, before = HostOrders(cluster), identities(cluster)
    orders.stop()
    for _, pid in before:
        os.kill(pid, signal.SIGKILL)
    gone = orders.reports()
    assert not any(each.runs or each.is_down for each in gone.values())
    assert "does not answer" in gone["n1"].why

    hosts.launch(cluster.processes)
    assert states(orders.reports()) == {"n1": "stopped", ROUTER: "stopped"}
    assert [host_id for host_id, _ in identities(cluster)] == [host_id for host_id, _ in before]


def test_a_host_whose_address_nobody_recorded_is_found(founded: tuple[Cluster, LocalHosts]) -> None:
    cluster, hosts = founded
    before = identities(cluster)
    unrecorded = local_cluster("orders", Path(cluster.directory), 1, cluster.platform_key, cluster.customer_key)
    assert hosts.start(unrecorded.processes) == cluster.processes
    assert identities(cluster) == before
