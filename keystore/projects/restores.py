"""Restores of snapshots into deployments: whether the rules and the key of that day allow it, and the work.

A restore gives every member of the target the files of the snapshot. Before the first is touched, every one of them has
opened the snapshot with the key of its day; then they change one after the other, each all at once, and each makes a
new master key under the target's own CMK.

Invariants:
1. What refuses refuses before any member is touched: the rules (`keystore.projects.restore_rules`), a key that cannot
   be used, a time that the log does not tell of.
2. A member that was restored is not restored again by the same job.
3. The job says whose credentials opened the snapshot.
"""

import re
from contextlib import closing
from dataclasses import dataclass

import sqlalchemy as sa

from keystore.agents.reports import RestoredInto
from keystore.control.clusters import Cluster, cluster_of
from keystore.control.due import Due, add_job, finish
from keystore.control.operations import Guard
from keystore.errors import (
    AgentError,
    ApiError,
    KeystoreError,
    KmsUnreachableError,
    LogError,
    PlaceError,
    SnapshotError,
    StoreLockedError,
    cause_of,
)
from keystore.projects.backed_up import Deployment, connect_to_node, deployment_of
from keystore.projects.codes import Code
from keystore.projects.events import SYSTEM, record_event
from keystore.projects.ids import new_id
from keystore.projects.key_names import region_of
from keystore.projects.plane import ProjectPlane
from keystore.projects.restore_credentials import credentials_for, own_credentials
from keystore.projects.restore_rows import OPEN_JOBS, RestoreJob, change_job, find_job, is_restored_into
from keystore.projects.restore_rules import NONE, RestoreSource, RestoreTarget, require_restorable
from keystore.projects.snapshot_rows import SnapshotRow, SnapshotState, find_snapshot, snapshots_of
from keystore.projects.stored_schedules import find_schedule
from keystore.projects.tables import configurations, credentials, deployments, restore_jobs

RESTORE_JOB = "restore"
"""Kind of the job that goes on with a restore; its subject is the restore job's id."""

DAY_NS = 86_400 * 10**9
RETRY_NS = 60 * 10**9
"""After how long a restore that cannot go on is tried again."""

_WAITED_FOR = (AgentError, KmsUnreachableError, PlaceError, StoreLockedError)


@dataclass(frozen=True)
class _Target:
    """Who gets the data."""

    project_id: str
    cluster: Cluster


class Restores:
    """Takes orders for restores, and carries them out. Each method of the job may be repeated."""

    def __init__(self, plane: ProjectPlane) -> None:
        self._plane, self._database, self._clock = plane, plane.database, plane.clock

    # -- orders -------------------------------------------------------------------------------------------------------

    def order(self, row: SnapshotRow, target: Deployment, point_ns: int | None, actor: str) -> RestoreJob:
        """Have a snapshot restored into a deployment; everything that can refuse does so here.

        Raises:
            ApiError: it cannot be; nothing was changed.
        """
        with self._database.read() as connection:
            require_allowed(connection, row, target)
            cluster = _cluster_of(connection, target)
        self._check(_Target(target.project_id, cluster), row, point_ns)
        job = _new_job(row, target, point_ns, self._clock.now_ns())
        with self._database.write() as connection:
            # Until this is stored nobody pauses it, or orders another restore into it.
            connection.execute(sa.select(deployments.c.id).where(deployments.c.id == target.id).with_for_update())
            now = find_snapshot(connection, row.id)
            if now is None or now.expires_ns <= job.created_ns:
                raise Code.SNAPSHOT_NOT_FOUND.error(row.id)
            require_allowed(connection, now, target)
            connection.execute(restore_jobs.insert().values(**vars(job)))
            add_job(connection, Due(RESTORE_JOB, job.id, job.created_ns))
            _tell(connection, "CPS_RESTORE_REQUESTED", job, job.created_ns, actor)
        return job

    def base_of(self, connection: sa.Connection, deployment: Deployment, point_ns: int) -> SnapshotRow:
        """Return a snapshot to build on for a restore to a time, which must lie within the restore window.

        Raises:
            ApiError: there is none, or the time is outside the window.
        """
        now_ns, found = self._clock.now_ns(), find_schedule(connection, deployment.id)
        window_ns = found[0].window_days * DAY_NS if found else 0
        if not deployment.pit_enabled or not now_ns - window_ns <= point_ns <= now_ns:
            why = "it is not within the restore window" if deployment.pit_enabled else "continuous backups are off"
            raise Code.INVALID_PIT_RESTORE_TIME.error(f"{why} of cluster {deployment.name}.")
        rows = snapshots_of(connection, [SnapshotState.COMPLETED], deployment_id=deployment.id, living_ns=now_ns)
        before = [row for row in rows if row.created_ns <= point_ns]
        if not rows:
            raise Code.INVALID_PIT_RESTORE_TIME.error(f"cluster {deployment.name} has no snapshot to build on.")
        return before[-1] if before else rows[0]

    def _check(self, target: _Target, row: SnapshotRow, point_ns: int | None) -> None:
        """Have every member open the snapshot with the key of its day, and change nothing."""
        for name in target.cluster.member_names:
            try:
                self._ask(target, name, row, point_ns, only_check=True)
            except KeystoreError as error:
                raise refusal_of(error, row) from None

    def _ask(
        self, target: _Target, name: str, row: SnapshotRow, point_ns: int | None, *, only_check: bool
    ) -> RestoredInto:
        """Have a member restore a snapshot, with the credentials that it takes, which it has only for so long."""
        location, node_snapshot_id = row.place
        lent = credentials_for(self._plane, target.cluster, target.project_id, row)
        with closing(connect_to_node(target.cluster, name)) as client:
            if not lent:
                return client.restore_into(location, node_snapshot_id, at_ns=point_ns, only_check=only_check)
            client.give_credentials(lent)
            try:
                return client.restore_into(location, node_snapshot_id, at_ns=point_ns, only_check=only_check)
            finally:
                client.give_credentials(own_credentials(self._plane, target.cluster, target.project_id))

    # -- the job ------------------------------------------------------------------------------------------------------

    def begin(self, job: Due, guard: Guard) -> list[str]:
        """Return the members that are still to be restored; none where the job has ended."""
        with self._database.write() as connection:
            guard(connection)
            found = find_job(connection, job.subject)
            if found is None or found.state not in OPEN_JOBS:
                return []
            if found.state == "queued":
                change_job(connection, found.id, state="inProgress")
                _tell(connection, "CPS_RESTORE_STARTED", found, self._clock.now_ns())
            target = _target_of(connection, found)
            return [name for name in target.cluster.member_names if name not in found.restored] if target else []

    def restore_member(self, job: Due, name: str, guard: Guard) -> str:
        """Restore into one member; return nothing, or why it could not be."""
        with self._database.read() as connection:
            found = find_job(connection, job.subject)
            row = find_snapshot(connection, found.snapshot_id) if found else None
            target = _target_of(connection, found) if found else None
        if found is None or found.state not in OPEN_JOBS:
            return ""
        if row is None or target is None:
            return "final: the snapshot or the target is gone"
        try:
            done = self._ask(target, name, row, found.point_ns, only_check=False)
        except _WAITED_FOR as error:
            return named(row, cause_of(error))
        except KeystoreError as error:
            why = named(row, cause_of(error))
            return why if found.restored else f"final: {why}"
        with self._database.write() as connection:
            guard(connection)
            found = find_job(connection, job.subject) or found
            restored = [*found.restored, name]
            change_job(connection, found.id, restored=restored, credential=done.credential, reason="")
        return ""

    def pause(self, job: Due, problem: str, guard: Guard) -> None:
        """Write down why a restore does not go on now; it has failed where no member was touched and no try helps."""
        now_ns = self._clock.now_ns()
        with self._database.write() as connection:
            guard(connection)
            found = find_job(connection, job.subject)
            if found is None or found.state not in OPEN_JOBS:
                finish(connection, job, None)
                return
            is_final, reason = problem.startswith("final: "), problem.removeprefix("final: ")[:1000]
            if is_final:
                change_job(connection, found.id, state="failed", reason=reason, finished_ns=now_ns)
                _tell(connection, "CPS_RESTORE_FAILED", found, now_ns, reason=reason)
            else:
                change_job(connection, found.id, reason=reason)
            finish(connection, job, None if is_final else now_ns + RETRY_NS)

    def conclude(self, job: Due, guard: Guard) -> None:
        """Write down that every member has the snapshot."""
        now_ns = self._clock.now_ns()
        with self._database.write() as connection:
            guard(connection)
            found = find_job(connection, job.subject)
            if found is not None and found.state == "inProgress":
                change_job(connection, found.id, state="completed", reason="", finished_ns=now_ns)
                _tell(connection, "CPS_RESTORE_SUCCESSFUL", found, now_ns, credential=found.credential)
            finish(connection, job, None)


def cancel(connection: sa.Connection, found: RestoreJob, now_ns: int, actor: str) -> None:
    """End a restore, in the caller's transaction, before it has touched a member.

    Raises:
        ApiError: it has ended, or has touched one.
    """
    if found.state not in OPEN_JOBS or found.restored:
        raise Code.CANNOT_CANCEL_RESTORE_JOB.error(found.id, found.state)
    change_job(connection, found.id, state="cancelled", finished_ns=now_ns)
    _tell(connection, "CPS_RESTORE_CANCELLED", found, now_ns, actor)


def require_allowed(connection: sa.Connection, row: SnapshotRow, target: Deployment) -> None:
    """Refuse, by the rules, a snapshot that may not be restored into a deployment; errors as `require_restorable`."""
    now = deployment_of(connection, target.id) or target
    key_uri = _configured_key(connection, now)
    has_open = is_restored_into(connection, now.id)
    state = "DELETED" if now.terminated_ns else now.state
    place = region_of(key_uri) if key_uri and now.provider != NONE else ""
    wanted = RestoreTarget(now.name, state, now.provider, place, now.version, has_open)
    require_restorable(source_of(connection, row), wanted)


def source_of(connection: sa.Connection, row: SnapshotRow) -> RestoreSource:
    """Return what the rules must know of a snapshot."""
    has_credentials = row.provider == NONE or _has_credentials(connection, row)
    region = region_of(row.key_uri) if row.key_uri else ""
    return RestoreSource(row.id, row.state, row.provider, region, row.version, has_credentials)


def named(row: SnapshotRow, text: str) -> str:
    """Return a member's text with the snapshot called by the id that customers know."""

    def known(found: re.Match[str]) -> str:
        return row.id if (row.node_snapshot_id or "").startswith(found[0]) else found[0]

    return re.sub(r"\b[0-9a-f]{8,}\b", known, text)


def refusal_of(error: KeystoreError, row: SnapshotRow) -> ApiError:
    """Return what the API says of an error that keeps a snapshot from being restored; nothing was touched."""
    told = named(row, str(error))
    if isinstance(error, KmsUnreachableError | AgentError | PlaceError):
        return Code.SERVICE_UNAVAILABLE.error(told)
    if isinstance(error, LogError):
        return Code.INVALID_PIT_RESTORE_TIME.error(told)
    unusable = isinstance(error, SnapshotError)
    return (Code.SNAPSHOT_UNUSABLE if unusable else Code.INVALID_SNAPSHOT_RESTORE_ENCRYPTION).error(told)


def _tell(
    connection: sa.Connection, event: str, job: RestoreJob, now_ns: int, actor: str = SYSTEM, **detail: str
) -> None:
    """Record an event in the project of the target; in that of the snapshot too, where it is another."""
    told = {"restoreJobId": job.id, "snapshotId": job.snapshot_id, "deliveryType": job.delivery, **detail}
    source = job.project_id, job.deployment_id
    target = job.target_project_id or job.project_id, job.target_deployment_id or job.deployment_id
    for project, deployment in [target] if source[0] == target[0] else [source, target]:
        record_event(connection, event, project, deployment, actor, now_ns, told)


def _target_of(connection: sa.Connection, job: RestoreJob) -> _Target | None:
    deployment = deployment_of(connection, job.target_deployment_id or "")
    if deployment is None or deployment.cluster_id is None or deployment.terminated_ns is not None:
        return None
    return _Target(deployment.project_id, cluster_of(connection, deployment.cluster_id))


def _cluster_of(connection: sa.Connection, target: Deployment) -> Cluster:
    if target.cluster_id is None:
        raise Code.CANNOT_RESTORE_TO_TARGET.error(target.name, "it has no processes yet")
    return cluster_of(connection, target.cluster_id)


def _configured_key(connection: sa.Connection, deployment: Deployment) -> str | None:
    mine = configurations.c.project_id == deployment.project_id
    which = sa.select(configurations.c.key_uri).where(mine, configurations.c.provider == deployment.provider)
    return connection.scalar(which)


def _has_credentials(connection: sa.Connection, row: SnapshotRow) -> bool:
    """Return whether the credentials of the snapshot's day are there, or the project has others for its provider."""
    stored = sa.select(credentials.c.id).where(credentials.c.id == row.credential_id)
    mine = (configurations.c.project_id == row.project_id) & (configurations.c.provider == row.provider)
    present = sa.select(configurations.c.project_id).where(mine)
    return any(connection.execute(which).first() is not None for which in (stored, present))


def _new_job(row: SnapshotRow, target: Deployment, point_ns: int | None, now_ns: int) -> RestoreJob:
    return RestoreJob(
        id=new_id(),
        project_id=row.project_id,
        deployment_id=row.deployment_id,
        snapshot_id=row.id,
        target_project_id=target.project_id,
        target_deployment_id=target.id,
        delivery="automated" if point_ns is None else "pointInTime",
        point_ns=point_ns,
        credential="",
        restored=[],
        state="queued",
        reason="",
        created_ns=now_ns,
        finished_ns=None,
    )
