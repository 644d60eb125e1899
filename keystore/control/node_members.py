"""The members of a cluster as processes: `Member` by way of the node service, under the control plane's certificate."""

from pathlib import Path

from keystore.agents.client import NodeClient
from keystore.agents.identity import Role
from keystore.control.clusters import Cluster
from keystore.control.creation import ClusterFiles
from keystore.control.members import MemberStatus
from keystore.progress import Progress

STATUS_S = 5.0
"""LIMIT: seconds for the answer of a member that is to serve; one that takes longer is not healthy."""


def connect_node(cluster: Cluster, name: str) -> "NodeMember":
    """Return the way to a member; a `MemberConnector`."""
    certificates = ClusterFiles(Path(cluster.directory)).tls(Role.CONTROL, "control")
    return NodeMember(NodeClient(cluster.member(name).address, certificates, name))


class NodeMember:
    """The way to one served node."""

    def __init__(self, client: NodeClient) -> None:
        self._client = client

    def status(self) -> MemberStatus:
        master = self._client.status(STATUS_S).master_key
        return MemberStatus(master.generation, master.key_id, master.key_version)

    def give_credentials(self, credentials: bytes) -> None:
        self._client.give_credentials(credentials)

    def rotate_master(self, expected_generation: int) -> int:
        return self._client.rotate_master(expected_generation).master_key.generation

    def change_cmk(self, key_uri: str, expected_generation: int) -> int:
        return self._client.change_cmk(key_uri, expected_generation).master_key.generation

    def convert(self, key_uri: str, volume_key: str | None, expected_generation: int, progress: Progress) -> int:
        return self._client.convert(key_uri, volume_key, expected_generation, progress).master_key.generation

    def close(self) -> None:
        self._client.close()
