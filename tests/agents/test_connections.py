"""Who is let in: both sides show certificates of the cluster, and each sees who the other is."""

import socket
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import pytest
from keystore_api.node.v1 import node_pb2 as pb
from keystore_api.node.v1.node_pb2_grpc import NodeStub

from keystore.agents.client import NodeClient
from keystore.agents.identity import Role, dns_name
from keystore.agents.serving import AgentServer
from keystore.agents.tls import CA_FILE, ClusterCa
from keystore.errors import CertificateError, InputError, NodeUnreachableError, RoleError
from tests.agents.running import Cluster, ServedNode

LONG_AGO = datetime(2024, 1, 1, tzinfo=UTC)


def foreign(tmp_path: Path) -> ClusterCa:
    return ClusterCa.create(tmp_path / "foreign", "orders")


def test_a_client_of_a_foreign_authority_is_not_let_in(node: ServedNode, tmp_path: Path) -> None:
    foreign(tmp_path).issue(tmp_path / "intruder", Role.CONTROL, "control")
    with NodeClient(node.address, tmp_path / "intruder") as client, pytest.raises(CertificateError, match="showed no"):
        client.status()


def test_a_client_with_a_foreign_certificate_is_not_let_in_even_if_it_trusts_us(
    node: ServedNode, tmp_path: Path
) -> None:
    foreign(tmp_path).issue(tmp_path / "intruder", Role.CONTROL, "control")
    (tmp_path / "intruder" / CA_FILE).write_bytes((tmp_path / "authority" / CA_FILE).read_bytes())
    with NodeClient(node.address, tmp_path / "intruder") as client, pytest.raises(CertificateError, match="not issued"):
        client.status()
    pem = (tmp_path / "intruder" / "identity.pem").read_bytes()
    refused(node, grpc.ssl_channel_credentials((tmp_path / "authority" / CA_FILE).read_bytes(), pem, pem))


def test_a_client_without_a_certificate_is_not_let_in(node: ServedNode, tmp_path: Path) -> None:
    refused(node, grpc.ssl_channel_credentials((tmp_path / "authority" / CA_FILE).read_bytes()))


def test_a_client_with_an_expired_certificate_is_not_let_in(node: ServedNode, cluster: Cluster, tmp_path: Path) -> None:
    old = tmp_path / "old"
    cluster.authority.issue(old, Role.CONTROL, "control", lifetime=timedelta(days=1), now=LONG_AGO)
    with NodeClient(node.address, old) as client, pytest.raises(CertificateError, match="expired at 2024-01-02"):
        client.status()
    pem = (old / "identity.pem").read_bytes()
    refused(node, grpc.ssl_channel_credentials((old / CA_FILE).read_bytes(), pem, pem))


def refused(node: ServedNode, credentials: grpc.ChannelCredentials) -> None:
    """See that the server itself refuses a connection, whatever our client would have done."""
    options = [("grpc.ssl_target_name_override", dns_name(Role.NODE))]
    with grpc.secure_channel(node.address, credentials, options) as channel, pytest.raises(grpc.RpcError) as error:
        NodeStub(channel).GetStatus(pb.GetStatusRequest(), timeout=30)
    assert isinstance(error.value, grpc.Call)
    assert error.value.code() is grpc.StatusCode.UNAVAILABLE


def test_plaintext_is_not_served(node: ServedNode) -> None:
    with grpc.insecure_channel(node.address) as channel, pytest.raises(grpc.RpcError):
        NodeStub(channel).GetStatus(pb.GetStatusRequest(), timeout=30)


def test_a_server_with_an_expired_certificate_is_not_spoken_to(node: ServedNode, cluster: Cluster) -> None:
    place = cluster.tls(Role.NODE, node.name)
    fresh = (place / "identity.pem").read_bytes()
    cluster.authority.issue(place, Role.NODE, node.name, lifetime=timedelta(days=1), now=LONG_AGO)
    with pytest.raises(CertificateError, match="expired"):
        AgentServer("127.0.0.1:0", place, Role.NODE, node.service.service())
    # One that runs goes on with what it had.
    assert node.client().status().name == node.name
    (place / "identity.pem").write_bytes(fresh)


@pytest.mark.parametrize(
    ("role", "name"), [(Role.ROUTER, "node-1"), (Role.NODE, "node-2")], ids=["another role", "another name"]
)
def test_a_server_that_is_somebody_else_is_not_spoken_to(
    node: ServedNode, cluster: Cluster, role: Role, name: str
) -> None:
    with (
        NodeClient(node.address, cluster.tls(Role.CONTROL), name, role=role) as client,
        pytest.raises(CertificateError, match=f"the {role} {name} at"),
    ):
        client.status()


def test_a_server_needs_a_certificate_of_its_role(node: ServedNode, cluster: Cluster) -> None:
    with pytest.raises(RoleError, match="is for client client of cluster orders, not for a node"):
        AgentServer("127.0.0.1:0", cluster.tls(Role.CLIENT), Role.NODE, node.service.service())


def test_a_renewed_certificate_and_authority_are_taken_without_a_restart(
    node: ServedNode, cluster: Cluster, tmp_path: Path
) -> None:
    """The authority changes in the usual three steps: all trust both, all get certificates of the new, the old goes."""
    old, new = cluster.authority, ClusterCa.create(tmp_path / "next", "orders")
    places = [(cluster.tls(Role.NODE, node.name), Role.NODE, node.name)]
    places += [(cluster.tls(Role.CONTROL), Role.CONTROL, "control")]
    before, after = ((tmp_path / name / CA_FILE).read_bytes() for name in ("authority", "next"))
    assert node.client().status().name == node.name
    for place, _, _ in places:
        (place / CA_FILE).write_bytes(before + after)
    assert node.client().status().name == node.name
    for place, role, name in places:
        new.issue(place, role, name)
        (place / CA_FILE).write_bytes(before + after)
        assert node.client().status().name == node.name
    for place, _, _ in places:
        (place / CA_FILE).write_bytes(after)
    assert node.client().status().name == node.name
    old.issue(tmp_path / "left-behind", Role.CONTROL, "control")
    with NodeClient(node.address, tmp_path / "left-behind") as client, pytest.raises(CertificateError):
        client.status()


def test_a_client_takes_its_renewed_certificate_after_a_refusal(
    node: ServedNode, cluster: Cluster, tmp_path: Path
) -> None:
    place = tmp_path / "control"
    cluster.authority.issue(place, Role.CONTROL, "control", lifetime=timedelta(days=1), now=LONG_AGO)
    with NodeClient(node.address, place) as client:
        with pytest.raises(CertificateError):
            client.status()
        cluster.authority.issue(place, Role.CONTROL, "control")
        assert client.status().name == node.name


def test_a_node_that_is_down_is_unreachable_and_found_again(node: ServedNode, cluster: Cluster) -> None:
    with socket.socket() as kept:
        kept.bind(("127.0.0.1", 0))  # nobody listens, and nobody else gets the port
        address = f"127.0.0.1:{kept.getsockname()[1]}"
        with NodeClient(address, cluster.tls(Role.CONTROL)) as client:
            with pytest.raises(NodeUnreachableError, match=r"does not answer: .*[Rr]efused"):
                client.status()
            with pytest.raises(NodeUnreachableError):
                client.is_serving()
    assert node.client().is_serving()


def test_a_node_that_says_nothing_is_unreachable_after_the_deadline(cluster: Cluster) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        with NodeClient(address, cluster.tls(Role.CONTROL)) as client, pytest.raises(NodeUnreachableError):
            client.status(timeout_s=0.2)


@pytest.mark.parametrize("listen", ["", "127.0.0.1", "nowhere", "127.0.0.1:x", "127.0.0.1:70000", "192.0.2.1:0", ":1"])
def test_an_address_that_cannot_be_listened_on_is_refused(node: ServedNode, cluster: Cluster, listen: str) -> None:
    with pytest.raises(InputError, match="Nothing was started"):
        AgentServer(listen, cluster.tls(Role.NODE, node.name), Role.NODE, node.service.service())


def test_a_port_in_use_is_refused(node: ServedNode, cluster: Cluster) -> None:
    with pytest.raises(InputError, match="in use"):
        AgentServer(node.address, cluster.tls(Role.NODE, node.name), Role.NODE, node.service.service())


NO_CALLS: list[Callable[[NodeClient], object]] = [lambda client: client.status(), lambda client: client.is_serving()]


@pytest.mark.parametrize("call", NO_CALLS)
def test_a_closed_client_opens_again_for_the_next_call(node: ServedNode, call: Callable[[NodeClient], object]) -> None:
    client = node.client()
    client.close()
    client.close()
    assert call(client)
