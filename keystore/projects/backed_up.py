"""What backups must know of a deployment, and the way to its nodes."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path

import sqlalchemy as sa

from keystore.agents.client import NodeClient
from keystore.agents.identity import Role
from keystore.control.clusters import Cluster
from keystore.control.creation import ClusterFiles
from keystore.errors import AgentError
from keystore.projects.tables import deployments

PlaceOf = Callable[[str], str]
"""Gives the place of a deployment's snapshots and log, a directory or URL that its nodes reach, by its id."""


def connect_to_node(cluster: Cluster, name: str) -> NodeClient:
    """Return the way to a member, under the control plane's certificate; the caller closes it."""
    certificates = ClusterFiles(Path(cluster.directory)).tls(Role.CONTROL, "control")
    return NodeClient(cluster.member(name).address, certificates, name)


def local_places(directory: Path) -> PlaceOf:
    """Return the places of snapshots on this machine: directories in `directory`, which is made."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    return lambda deployment_id: str(directory.absolute() / deployment_id)


FOR_EVER_NS = 2**63 - 1


@dataclass(frozen=True)
class Deployment:
    """What backups must know of a deployment."""

    id: str
    project_id: str
    name: str
    cluster_id: int | None
    provider: str
    backup_enabled: bool
    pit_enabled: bool
    state: str
    version: str
    terminated_ns: int | None

    @property
    def wants_log(self) -> bool:
        """Whether its point-in-time log is to be kept."""
        return self.backup_enabled and self.pit_enabled and self.terminated_ns is None

    @property
    def runs(self) -> bool:
        return self.state in ("IDLE", "UPDATING")


def deployment_of(connection: sa.Connection, deployment_id: str) -> Deployment | None:
    """Return a deployment, also one that was terminated."""
    return next(iter(_found(connection, deployments.c.id == deployment_id)), None)


def deployment_named(connection: sa.Connection, project_id: str, name: str) -> Deployment | None:
    """Return the deployment of that name, or, where none lives, the one that was terminated last."""
    return next(iter(deployments_named(connection, project_id, name)), None)


def deployments_named(connection: sa.Connection, project_id: str, name: str) -> list[Deployment]:
    """Return the deployments that have, or had, a name: the living one first, then the one that was terminated last."""
    found = _found(connection, (deployments.c.project_id == project_id) & (deployments.c.name == name))
    return sorted(found, key=lambda each: each.terminated_ns or FOR_EVER_NS, reverse=True)


def deployments_of(connection: sa.Connection, project_id: str) -> list[Deployment]:
    """Return the deployments of a project, also those that were terminated, in the order of their making."""
    return _found(connection, deployments.c.project_id == project_id)


def _found(connection: sa.Connection, which: sa.ColumnElement[bool]) -> list[Deployment]:
    columns = [deployments.c[each.name] for each in fields(Deployment)]
    ordered = sa.select(*columns).where(which).order_by(deployments.c.created_ns, deployments.c.id)
    return [Deployment(**row._mapping) for row in connection.execute(ordered)]


def first_serving(cluster: Cluster) -> tuple[str, NodeClient]:
    """Return the first member that serves; the caller closes its client.

    Raises:
        AgentError: none does.
    """
    problem: AgentError | None = None
    for name in cluster.member_names:
        client = connect_to_node(cluster, name)
        try:
            client.status()
            return name, client
        except AgentError as error:
            client.close()
            problem = error
    raise problem or AgentError(f"cluster {cluster.name} has no member. Nothing was changed.")
