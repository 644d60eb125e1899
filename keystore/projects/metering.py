"""What is charged for: lines from when to when, for each deployment.

    INSTANCE            while its machines are there, running or disabled; a pause ends it
    STORAGE             from its making to its end
    ADVANCED_SECURITY   while customer keys are on

Every function works in the caller's transaction, which is the one that changes what is charged for.
"""

from dataclasses import dataclass
from enum import StrEnum

import sqlalchemy as sa

from keystore.projects.conditions import Condition, Life
from keystore.projects.shapes import Shape
from keystore.projects.tables import deployments, usage_lines


class Charge(StrEnum):
    INSTANCE = "INSTANCE"
    STORAGE = "STORAGE"
    ADVANCED_SECURITY = "ADVANCED_SECURITY"


@dataclass(frozen=True)
class UsageLine:
    """A span of time; `to_ns` is None while it goes on. `name` is the deployment's, also once it is gone."""

    project_id: str
    deployment_id: str
    name: str
    kind: Charge
    from_ns: int
    to_ns: int | None


def charges(shape: Shape, condition: Condition) -> set[Charge]:
    """Return what a deployment is charged for. Pure. One that is disabled keeps its machines and its data."""
    if condition.life is Life.GONE:
        return set()
    found = {Charge.STORAGE}
    if not condition.paused:
        found.add(Charge.INSTANCE)
    if shape.has_customer_keys:
        found.add(Charge.ADVANCED_SECURITY)
    return found


def meter(
    connection: sa.Connection, project_id: str, deployment_id: str, shape: Shape, condition: Condition, now_ns: int
) -> None:
    """Begin and end lines so that those that go on are what is charged for from now on; the same again does nothing."""
    wanted = charges(shape, condition)
    going_on = (usage_lines.c.deployment_id == deployment_id) & usage_lines.c.to_ns.is_(None)
    open_kinds = {Charge(kind) for kind in connection.scalars(sa.select(usage_lines.c.kind).where(going_on))}
    for kind in open_kinds - wanted:
        connection.execute(usage_lines.update().where(going_on, usage_lines.c.kind == kind).values(to_ns=now_ns))
    for kind in sorted(wanted - open_kinds):
        connection.execute(
            usage_lines.insert().values(
                project_id=project_id, deployment_id=deployment_id, kind=kind, from_ns=now_ns, to_ns=None
            )
        )


def usage(connection: sa.Connection, project_id: str) -> list[UsageLine]:
    """Return the lines of a project, the earliest first."""
    named = sa.select(usage_lines, deployments.c.name).join(
        deployments, usage_lines.c.deployment_id == deployments.c.id
    )
    rows = connection.execute(named.where(usage_lines.c.project_id == project_id).order_by(usage_lines.c.id)).all()
    return [
        UsageLine(row.project_id, row.deployment_id, row.name, Charge(row.kind), row.from_ns, row.to_ns) for row in rows
    ]
