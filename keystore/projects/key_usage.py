"""Which of a project's keys are needed, and by what: live clusters, snapshots of all clusters that had backups, also of
terminated ones, and point-in-time logs. A key may be deleted when nothing in here names it.

Snapshots come from the database, which forgets one only after its bytes; logs are read where they lie, from their clear
heads, without any key.

Invariant: a key is called unused only by its absence from a report without problems.
"""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field

import sqlalchemy as sa

from keystore.control.clusters import cluster_of
from keystore.control.database import Database
from keystore.control.operation_rows import open_operation
from keystore.errors import KeystoreError, PlaceMissingError, cause_of
from keystore.kms.uri import parse
from keystore.objects.opening import open_place
from keystore.projects.backed_up import Deployment, PlaceOf, deployments_of
from keystore.projects.key_names import key_identifier
from keystore.projects.snapshot_rows import OPEN_STATES, SnapshotRow, SnapshotState, snapshots_of
from keystore.projects.tables import configurations
from keystore.snapshots.log_eras import log_eras


@dataclass
class KeyUse:
    """What needs one key.

    Attributes:
        key_id: the Key Identifier, exactly as configured.
        configured: it is the project's key at its provider now.
        deployments: clusters whose nodes are under it, or are on their way to it.
        snapshots: also of terminated clusters.
        segments: of point-in-time logs, how many, by deployment.
    """

    provider: str
    key_id: str
    configured: bool = False
    deployments: list[Deployment] = field(default_factory=list)
    snapshots: list[SnapshotRow] = field(default_factory=list)
    segments: dict[str, int] = field(default_factory=dict)

    @property
    def unused_from_ns(self) -> int | None:
        """From when on nothing needs it, if nothing else comes; None while something has no end."""
        if self.configured or self.deployments or self.segments:
            return None
        return max(row.expires_ns for row in self.snapshots)


@dataclass(frozen=True)
class UsageReport:
    """The keys of a project that anything needs, by their identifier.

    Attributes:
        problems: logs that could not be read, and snapshots that are being taken; while there are any, no key is known
            to be unused.
    """

    keys: list[KeyUse]
    problems: list[str]


def usage_of(database: Database, place_of: PlaceOf, project_id: str) -> UsageReport:
    """Report what each key of a project is needed by. A key that is not in the report is safe to delete."""
    with database.read() as connection:
        search = _Search(connection, project_id)
    for deployment in search.deployments:
        search.look_at_log(deployment, place_of(deployment.id))
    return UsageReport([search.keys[key] for key in sorted(search.keys)], search.problems)


class _Search:
    """A report that is being made; what the database says is read at once."""

    def __init__(self, connection: sa.Connection, project_id: str) -> None:
        self.keys: dict[tuple[str, str], KeyUse] = {}
        self.problems: list[str] = []
        self.deployments = deployments_of(connection, project_id)
        self._platform_keys: set[str] = set()
        which = configurations.c.project_id == project_id
        for key_uri in connection.scalars(sa.select(configurations.c.key_uri).where(which)):
            self._of(key_uri).configured = True
        for deployment in self.deployments:
            for key_uri in self._live_keys(connection, deployment):
                self._of(key_uri).deployments.append(deployment)
        kept = (SnapshotState.COMPLETED, SnapshotState.DELETING)
        for row in snapshots_of(connection, kept, project_id=project_id):
            if row.key_uri is not None:
                self._of(row.key_uri).snapshots.append(row)
        for row in snapshots_of(connection, OPEN_STATES, project_id=project_id):
            if row.state is SnapshotState.IN_PROGRESS or row.reason:  # an answer may have been lost: it may be there
                self.problems.append(f"snapshot {row.id} is being taken, and which key it needs is known afterwards")

    def _live_keys(self, connection: sa.Connection, deployment: Deployment) -> Iterator[str]:
        """Yield the customer's keys that nodes of a deployment are under, or are moving to."""
        if deployment.cluster_id is None or deployment.terminated_ns is not None:
            return
        cluster = cluster_of(connection, deployment.cluster_id)
        self._platform_keys.add(cluster.platform_key)
        operation = open_operation(connection, cluster.id)
        found = {cluster.customer_key, operation.key_uri if operation is not None else None}
        yield from sorted(key_uri for key_uri in found if key_uri is not None)

    def look_at_log(self, deployment: Deployment, location: str) -> None:
        """Add the segments of a deployment's log, by the key of their era."""
        try:
            with suppress(PlaceMissingError):
                for era in log_eras(open_place(location)):
                    if era.last.wrapped.key_id not in self._platform_keys:
                        segments = self._of(era.last.wrapped.key_id).segments
                        segments[deployment.id] = segments.get(deployment.id, 0) + era.count
        except KeystoreError as error:
            self.problems.append(f"the log of {deployment.name}: {cause_of(error)}")

    def _of(self, key_uri: str) -> KeyUse:
        key = parse(key_uri).provider.upper(), key_identifier(key_uri)
        return self.keys.setdefault(key, KeyUse(*key))
