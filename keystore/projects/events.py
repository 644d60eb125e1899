"""The audit: what happened, when, and who did it, written in the transaction in which it happened.

Invariants:
1. `detail` is JSON without secrets; what it has is shown to everybody who may read the project.
2. An event of a deployment names its `cluster`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from keystore.projects.ids import new_id
from keystore.projects.tables import deployments, events, projects

SYSTEM = "system"
"""The actor of what nobody asked for."""


@dataclass(frozen=True)
class Event:
    """Something that happened. `seq` is the order in which it was written."""

    seq: int
    id: str
    organization_id: str | None
    project_id: str | None
    deployment_id: str | None
    type: str
    at_ns: int
    actor: str
    detail: Mapping[str, Any]


def record_event(
    connection: sa.Connection,
    event_type: str,
    project_id: str | None,
    deployment_id: str | None,
    actor: str,
    at_ns: int,
    detail: Mapping[str, Any],
    organization_id: str | None = None,
) -> str:
    """Record an event in the caller's transaction and return its id; the organisation is that of the project."""
    (event_id,) = record_events(
        connection, event_type, project_id, [(deployment_id, detail)], actor, at_ns, organization_id
    )
    return event_id


def record_events(
    connection: sa.Connection,
    event_type: str,
    project_id: str | None,
    details: Sequence[tuple[str | None, Mapping[str, Any]]],
    actor: str,
    at_ns: int,
    organization_id: str | None = None,
) -> list[str]:
    """As `record_event`, for several deployments at once, in the order of `details`."""
    if not details:
        return []
    if organization_id is None and project_id is not None:
        organization_id = connection.scalar(sa.select(projects.c.organization_id).where(projects.c.id == project_id))
    names = _names(connection, [each for each, detail in details if each is not None and "cluster" not in detail])
    rows = [
        {
            "id": new_id(),
            "organization_id": organization_id,
            "project_id": project_id,
            "deployment_id": deployment_id,
            "type": event_type,
            "at_ns": at_ns,
            "actor": actor,
            "detail": {"cluster": names[deployment_id], **detail} if deployment_id in names else dict(detail),
        }
        for deployment_id, detail in details
    ]
    connection.execute(events.insert(), rows)
    return [str(row["id"]) for row in rows]


def _names(connection: sa.Connection, deployment_ids: Sequence[str]) -> dict[str | None, str]:
    """Return the names of deployments, also of those that are gone; asks nothing where none is wanted."""
    if not deployment_ids:
        return {}
    found = connection.execute(
        sa.select(deployments.c.id, deployments.c.name).where(deployments.c.id.in_(deployment_ids))
    )
    return {row.id: row.name for row in found}


def list_events(
    connection: sa.Connection,
    *,
    project_id: str | None = None,
    organization_id: str | None = None,
    types: Sequence[str] = (),
    deployment_id: str | None = None,
    project_ids: Sequence[str] | None = None,
    limit: int = 100,
    skip: int = 0,
) -> tuple[list[Event], int]:
    """Return events, the latest first, and how many there are without `limit` and `skip`.

    Args:
        project_ids: the projects whose events may be among them, beside what is of no project; None for all.
    """
    wanted = [events.c.project_id == project_id] if project_id is not None else []
    wanted += [events.c.organization_id == organization_id] if organization_id is not None else []
    wanted += [events.c.deployment_id == deployment_id] if deployment_id is not None else []
    wanted += [events.c.type.in_(types)] if types else []
    if project_ids is not None:
        wanted.append(events.c.project_id.is_(None) | events.c.project_id.in_(project_ids))
    total = connection.scalar(sa.select(sa.func.count()).select_from(events).where(*wanted)) or 0
    rows = connection.execute(
        sa.select(events).where(*wanted).order_by(events.c.seq.desc()).limit(limit).offset(skip)
    ).all()
    return [event_of(row) for row in rows], total


def event_of(row: sa.Row[Any]) -> Event:
    """Return a row of the table as an event."""
    return Event(**row._mapping)
