"""The way of deployments to their keys, as their making and their supervision need it."""

from collections.abc import Sequence
from typing import Protocol

from keystore.control.clusters import Cluster
from keystore.kms.protocol import KmsConnector


class WaysToKeys(Protocol):
    """Gives clients and credentials for the keys of projects."""

    def connector(self, project_id: str, address: str) -> KmsConnector:
        """Return what gives clients for a project's keys that call from the address of a node."""
        ...

    def message(self, cluster: Cluster, key_uris: Sequence[str]) -> bytes | None:
        """Return the credentials that the nodes of a cluster need for these keys; None leaves them what they have."""
        ...
