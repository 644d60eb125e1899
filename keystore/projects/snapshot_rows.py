"""Snapshots of deployments in the database. A row outlives its deployment and goes when its snapshot is deleted.

States: `queued` and `inProgress` are to be taken, `completed` can be restored, `failed` and `skipped` have no bytes,
`deleting` has bytes that are going. What is over by the clock is shown to nobody, though its row may still be there.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

import sqlalchemy as sa

from keystore.format.kind import SnapshotKind
from keystore.projects.codes import Code
from keystore.projects.events import SYSTEM, record_event
from keystore.projects.tables import snapshots


class SnapshotState(StrEnum):
    QUEUED = "queued"
    IN_PROGRESS = "inProgress"
    COMPLETED = "completed"
    FAILED = "failed"
    SKIPPED = "skipped"
    """It was due while the deployment was disabled or paused, and is never taken."""
    DELETING = "deleting"


OPEN_STATES = (SnapshotState.QUEUED, SnapshotState.IN_PROGRESS)
SHOWN_STATES = (*OPEN_STATES, SnapshotState.COMPLETED, SnapshotState.FAILED)

ON_DEMAND, SCHEDULED = "onDemand", "scheduled"


@dataclass(frozen=True)
class SnapshotRow:
    """A snapshot.

    Attributes:
        node_snapshot_id: its name in `location`, the place that has its bytes; None before it is completed.
        type: on demand or scheduled.
        kind: the rarest schedule that it is for.
        key_uri: the key that it needs, as nodes name it; None without customer keys.
        credential_id: those of its moment.
        provider: whose key it is under, or NONE.
        version: of the deployment, at its moment.
    """

    id: str
    project_id: str
    deployment_id: str
    member: str | None
    node_snapshot_id: str | None
    location: str | None
    type: str
    kind: SnapshotKind
    key_uri: str | None
    credential_id: str | None
    provider: str
    created_ns: int
    expires_ns: int
    state: SnapshotState
    reason: str
    description: str
    version: str
    stored_bytes: int

    @property
    def place(self) -> tuple[str, str]:
        """Where its bytes are, and what they are called there; of a completed one."""
        if self.location is None or self.node_snapshot_id is None:
            raise Code.SNAPSHOT_NOT_COMPLETED.error(self.id, self.state)
        return self.location, self.node_snapshot_id


def insert_snapshot(connection: sa.Connection, row: SnapshotRow) -> None:
    """Record a snapshot in the caller's transaction."""
    connection.execute(snapshots.insert().values(**{**vars(row), "kind": row.kind.label, "state": str(row.state)}))


def change_snapshot(
    connection: sa.Connection, snapshot_id: str, states: Iterable[SnapshotState], **values: object
) -> bool:
    """Change columns of a snapshot that is in one of `states`; return whether it was."""
    allowed = snapshots.c.state.in_([str(state) for state in states])
    which = snapshots.update().where(snapshots.c.id == snapshot_id, allowed)
    return connection.execute(which.values(values)).rowcount == 1


def find_snapshot(connection: sa.Connection, snapshot_id: str) -> SnapshotRow | None:
    """Return a snapshot in whatever state; None where there is none."""
    row = connection.execute(sa.select(snapshots).where(snapshots.c.id == snapshot_id)).one_or_none()
    return None if row is None else _row(row)


def snapshots_of(
    connection: sa.Connection,
    states: Iterable[SnapshotState],
    *,
    deployment_id: str | None = None,
    project_id: str | None = None,
    living_ns: int | None = None,
) -> list[SnapshotRow]:
    """Return the snapshots in one of `states`, the oldest first.

    Args:
        living_ns: leave out what is over by then.
    """
    which = sa.select(snapshots).where(snapshots.c.state.in_([str(state) for state in states]))
    if deployment_id is not None:
        which = which.where(snapshots.c.deployment_id == deployment_id)
    if project_id is not None:
        which = which.where(snapshots.c.project_id == project_id)
    if living_ns is not None:
        which = which.where(snapshots.c.expires_ns > living_ns)
    ordered = which.order_by(snapshots.c.created_ns, snapshots.c.id)
    return [_row(row) for row in connection.execute(ordered)]


def delete_snapshot_row(connection: sa.Connection, snapshot_id: str) -> None:
    """Forget a snapshot whose bytes are gone."""
    connection.execute(snapshots.delete().where(snapshots.c.id == snapshot_id))


def _row(row: sa.Row[tuple[object, ...]]) -> SnapshotRow:
    values = dict(row._mapping)
    values["kind"] = SnapshotKind[str(values["kind"]).upper().replace(" ", "_")]
    values["state"] = SnapshotState(str(values["state"]))
    return SnapshotRow(**values)


def tell_of(
    connection: sa.Connection, type_: str, row: SnapshotRow, now_ns: int, actor: str = SYSTEM, **detail: str
) -> None:
    """Record an event of a snapshot in the caller's transaction."""
    told = {"snapshotId": row.id, "frequencyType": row.kind.label, **detail}
    record_event(connection, type_, row.project_id, row.deployment_id, actor, now_ns, told)
