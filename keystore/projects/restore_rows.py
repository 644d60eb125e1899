"""Restores in the database: who gets which snapshot, and how far that is."""

from dataclasses import dataclass

import sqlalchemy as sa

from keystore.projects.tables import restore_jobs

OPEN_JOBS = ("queued", "inProgress")


@dataclass(frozen=True)
class RestoreJob:
    """A restore.

    Attributes:
        delivery: automated, pointInTime or download.
        point_ns: the time to restore to, or None for that of the snapshot.
        credential: what the credentials are called that opened the snapshot; empty where nobody knows yet.
        restored: the members that have it.
        state: queued, inProgress, completed, failed or cancelled.
    """

    id: str
    project_id: str
    deployment_id: str
    snapshot_id: str
    target_project_id: str | None
    target_deployment_id: str | None
    delivery: str
    point_ns: int | None
    credential: str
    restored: list[str]
    state: str
    reason: str
    created_ns: int
    finished_ns: int | None


def find_job(connection: sa.Connection, job_id: str) -> RestoreJob | None:
    """Return a restore; None where there is none."""
    return next(iter(_jobs(connection, restore_jobs.c.id == job_id)), None)


def jobs_of(connection: sa.Connection, deployment_id: str) -> list[RestoreJob]:
    """Return the restores of a deployment's snapshots, the latest first."""
    return _jobs(connection, restore_jobs.c.deployment_id == deployment_id)[::-1]


def is_restored_into(connection: sa.Connection, deployment_id: str) -> bool:
    """Return whether a restore into a deployment has not ended."""
    mine = restore_jobs.c.target_deployment_id == deployment_id
    return bool(_jobs(connection, mine, restore_jobs.c.state.in_(OPEN_JOBS)))


def is_restored_from(connection: sa.Connection, snapshot_id: str) -> bool:
    """Return whether a restore of a snapshot has not ended."""
    return bool(_jobs(connection, restore_jobs.c.snapshot_id == snapshot_id, restore_jobs.c.state.in_(OPEN_JOBS)))


def _jobs(connection: sa.Connection, *which: sa.ColumnElement[bool]) -> list[RestoreJob]:
    ordered = sa.select(restore_jobs).where(*which).order_by(restore_jobs.c.created_ns, restore_jobs.c.id)
    return [RestoreJob(**row._mapping) for row in connection.execute(ordered)]


def change_job(connection: sa.Connection, job_id: str, **values: object) -> None:
    """Change columns of a restore in the caller's transaction."""
    connection.execute(restore_jobs.update().where(restore_jobs.c.id == job_id).values(values))
