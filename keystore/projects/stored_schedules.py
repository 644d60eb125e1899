"""The backup schedules of deployments in the database, and the job that looks what is due.

A deployment with backups has one row of schedules and one open job `snapshot`, at its next occurrence.

    backups_changed(connection, deployment_id, now_ns)     # after a change of the deployment
"""

from collections.abc import Mapping
from itertools import count
from typing import Any

import sqlalchemy as sa

from keystore.control.due import OPEN, Due, add_job, hasten_job
from keystore.control.tables import due
from keystore.errors import ApiError, PolicyError
from keystore.projects.ids import new_id
from keystore.projects.schedules import DEFAULT_SCHEDULE, Schedule, decode_schedule
from keystore.projects.tables import deployments, schedules
from keystore.snapshots.retention import beginning

SNAPSHOT_JOB = "snapshot"
"""Kind of the job that looks which snapshot of a deployment is due; its subject is the deployment's id."""


def backups_changed(connection: sa.Connection, deployment_id: str, now_ns: int) -> None:
    """Have a deployment's backups looked at now, because something of it changed.

    With backups for the first time it gets the default schedule, which begins with a snapshot at once.
    """
    if find_schedule(connection, deployment_id) is None:
        if not connection.scalar(sa.select(deployments.c.backup_enabled).where(deployments.c.id == deployment_id)):
            return
        save_schedule(connection, deployment_id, DEFAULT_SCHEDULE, now_ns)
    look_now(connection, deployment_id, now_ns)


def look_now(connection: sa.Connection, deployment_id: str, now_ns: int) -> None:
    """Make the job of a deployment due now; where one runs just now, there is one more."""
    lock_schedule(connection, deployment_id)
    mine = (due.c.kind == SNAPSHOT_JOB) & (due.c.subject == deployment_id)
    taken = set(connection.scalars(sa.select(due.c.at_ns).where(mine, due.c.at_ns >= now_ns, due.c.state != OPEN)))
    at_ns = next(free_ns for free_ns in count(now_ns) if free_ns not in taken)
    if has_open_job(connection, deployment_id):
        hasten_job(connection, SNAPSHOT_JOB, deployment_id, at_ns)
    else:
        add_job(connection, Due(SNAPSHOT_JOB, deployment_id, at_ns))


def lock_schedule(connection: sa.Connection, deployment_id: str) -> None:
    """Let nobody else change a deployment's job until the caller's transaction ends."""
    row = sa.select(schedules.c.deployment_id).where(schedules.c.deployment_id == deployment_id)
    connection.execute(row.with_for_update()).all()


def has_open_job(connection: sa.Connection, deployment_id: str) -> bool:
    """Return whether the deployment is looked at anyway, besides by a job that runs just now."""
    mine = (due.c.kind == SNAPSHOT_JOB) & (due.c.subject == deployment_id) & (due.c.state == OPEN)
    return connection.execute(sa.select(due.c.id).where(mine)).first() is not None


def find_schedule(connection: sa.Connection, deployment_id: str) -> tuple[Schedule, int] | None:
    """Return a deployment's schedule, and since when it counts; None where it never had one."""
    row = connection.execute(sa.select(schedules).where(schedules.c.deployment_id == deployment_id)).one_or_none()
    if row is None:
        return None
    items = row.policies[0]["policyItems"]
    reference = row.reference_hour, row.reference_minute
    try:
        return decode_schedule(reference, row.restore_window_days, items), row.since_ns
    except ApiError as error:
        raise PolicyError(f"the stored schedule of {deployment_id} cannot be read: {error}") from None


def save_schedule(connection: sa.Connection, deployment_id: str, schedule: Schedule, now_ns: int) -> None:
    """Store a schedule that counts from `now_ns` on, in the place of a former one."""
    former = connection.execute(sa.select(schedules).where(schedules.c.deployment_id == deployment_id)).one_or_none()
    reference = schedule.policy.reference
    values: dict[str, Any] = {
        "reference_hour": reference.hour,
        "reference_minute": reference.minute,
        "restore_window_days": schedule.window_days,
        "policies": [{"id": former.policies[0]["id"] if former else new_id(), "policyItems": _with_ids(schedule)}],
    }
    if former is None:
        values |= {"deployment_id": deployment_id, "since_ns": beginning(schedule.policy, now_ns)}
        connection.execute(schedules.insert().values(values))
    else:
        values |= {"since_ns": now_ns}
        connection.execute(schedules.update().where(schedules.c.deployment_id == deployment_id).values(values))


def shown_policies(connection: sa.Connection, deployment_id: str) -> list[Mapping[str, Any]]:
    """Return the policies with their ids, as the API shows them."""
    found = connection.scalar(sa.select(schedules.c.policies).where(schedules.c.deployment_id == deployment_id))
    return list(found or [])


def _with_ids(schedule: Schedule) -> list[dict[str, Any]]:
    return [{"id": new_id(), **item} for item in schedule.items]
