"""The way of deployments to their keys, as their making and their supervision need it."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from keystore.control.clusters import Cluster
from keystore.kms.protocol import KmsConnector
from keystore.projects.connecting import DeploymentKms, ProjectKms
from keystore.projects.plane import ProjectPlane


class WaysToKeys(Protocol):
    """Gives clients and credentials for the keys of projects."""

    def connector(self, project_id: str, address: str) -> KmsConnector:
        """Return what gives clients for a project's keys that call from the address of a node."""
        ...

    def message(self, cluster: Cluster, key_uris: Sequence[str]) -> bytes:
        """Return the credentials that the nodes of a cluster need for these keys; empty where they need none."""
        ...


class ProjectWays:
    """With the credentials that projects have in their configurations; a `WaysToKeys`."""

    def __init__(self, plane: ProjectPlane, otherwise: KmsConnector) -> None:
        """Know the projects; `otherwise` gives clients for keys that are no customer's, such as the platform key."""
        self._plane, self._otherwise = plane, otherwise

    def connector(self, project_id: str, address: str) -> KmsConnector:
        return ProjectKms(replace(self._plane, source_address=address), project_id, self._otherwise)

    def message(self, cluster: Cluster, key_uris: Sequence[str]) -> bytes:
        return DeploymentKms(self._plane, self._otherwise).message(cluster, key_uris)
