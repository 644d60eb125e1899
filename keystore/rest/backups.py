"""Backups of clusters: the routes of snapshots, schedules and restore jobs, and of what a key is needed by."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec
import sqlalchemy as sa
from msgspec import Meta

from keystore.projects.access import Role, require_role
from keystore.projects.backed_up import Deployment, deployment_named, deployment_of, deployments_named
from keystore.projects.backups import Backups
from keystore.projects.codes import Code
from keystore.projects.expiry import delete_early
from keystore.projects.key_names import key_identifier
from keystore.projects.key_usage import KeyUse, usage_of
from keystore.projects.restore_rows import RestoreJob, find_job, jobs_of
from keystore.projects.restores import Restores, cancel
from keystore.projects.schedules import ScheduleChange
from keystore.projects.snapshot_rows import (
    ON_DEMAND,
    SHOWN_STATES,
    SnapshotRow,
    SnapshotState,
    find_snapshot,
    snapshots_of,
)
from keystore.projects.stored_schedules import find_schedule, shown_policies
from keystore.rest.asking import asking_now
from keystore.rest.patterns import LINE_OR_NOTHING
from keystore.rest.routing import Answer, Body, Call, Id, Name, Page, PageQuery, Reply, Route, page_of
from keystore.rest.times import shown, shown_or_none
from keystore.snapshots.retention import next_occurrence

DAYS_MAX = 36_500
SECONDS_MAX = 2**33
"""LIMIT: seconds since 1970 of a time to restore to."""

_BACKUP = "/groups/{groupId}/clusters/{clusterName}/backup"

READERS = (Role.GROUP_READ_ONLY,)
MANAGERS = (Role.GROUP_BACKUP_MANAGER,)


class Snapshot(Answer, frozen=True):
    """A snapshot; `masterKeyUUID` is its Encryption Key ID, which is left out where customer keys were off."""

    id: Id
    status: str
    snapshot_type: str
    frequency_type: str | None = None
    type: str = msgspec.field(default="replicaSet")
    created_at: str = ""
    expires_at: str = ""
    description: str = ""
    mongod_version: str = ""
    storage_size_bytes: int = 0
    master_key_uuid: str | None = msgspec.field(default=None, name="masterKeyUUID")
    encryption_at_rest_provider: str = "NONE"
    reason: str = ""


class SnapshotRequest(Body, frozen=True):
    """A snapshot on demand."""

    retention_in_days: Annotated[int, Meta(ge=1, le=DAYS_MAX)]
    description: Annotated[str, Meta(max_length=250, pattern=LINE_OR_NOTHING)] = ""


class Schedule(Answer, frozen=True, omit_defaults=False):
    """A backup schedule."""

    cluster_id: Id
    cluster_name: str
    reference_hour_of_day: int
    reference_minute_of_hour: int
    restore_window_days: int
    policies: list[Mapping[str, Any]]
    next_snapshot: str | None


class PolicyItem(Body, frozen=True):
    """When a kind of snapshot is taken, and for how long it is kept."""

    frequency_type: str
    frequency_interval: int
    retention_unit: str
    retention_value: int
    id: str = ""


class Policy(Body, frozen=True):
    """The items of a schedule."""

    policy_items: Annotated[list[PolicyItem], Meta(min_length=1)]
    id: str = ""


class ScheduleUpdate(Body, frozen=True):
    """What of a schedule is to change; what is left out stays."""

    reference_hour_of_day: int | None = None
    reference_minute_of_hour: int | None = None
    restore_window_days: int | None = None
    policies: Annotated[list[Policy], Meta(min_length=1, max_length=1)] | None = None
    update_snapshots: bool = False


class RestoreRequest(Body, frozen=True):
    """A restore of a snapshot, or to a time."""

    delivery_type: Literal["automated", "pointInTime"]
    target_cluster_name: Name
    target_group_id: Id
    snapshot_id: Id | None = None
    oplog_ts: Annotated[int, Meta(ge=1, le=SECONDS_MAX)] | None = None
    oplog_inc: Annotated[int, Meta(ge=0)] | None = None
    point_in_time_utc_seconds: Annotated[int, Meta(ge=1, le=SECONDS_MAX)] | None = msgspec.field(
        default=None, name="pointInTimeUTCSeconds"
    )


class Restore(Answer, frozen=True):
    """A restore job."""

    id: Id
    delivery_type: str
    snapshot_id: Id
    status: str
    created_at: str
    target_cluster_name: str | None = None
    target_group_id: Id | None = None
    finished_at: str | None = None
    point_in_time_utc_seconds: int | None = msgspec.field(default=None, name="pointInTimeUTCSeconds")
    failed: bool = False
    cancelled: bool = False
    credentials_used: str = ""
    restored_members: tuple[str, ...] = ()
    reason: str = ""


class KeyUser(Answer, frozen=True):
    """A snapshot that needs a key."""

    cluster_name: str
    snapshot_id: Id
    expires_at: str


class KeyUsage(Answer, frozen=True, omit_defaults=False):
    """What needs a key: it is safe to delete once nothing names it any more."""

    provider: str
    key_id: str
    configured: bool
    clusters: list[str]
    snapshots: list[KeyUser]
    oplog_clusters: list[str]
    unused_from: str | None


class KeyUsageReport(Answer, frozen=True, omit_defaults=False):
    """The keys that anything of a project needs; `problems` says what could not be looked at."""

    results: list[KeyUsage]
    problems: list[str]


# -- snapshots --------------------------------------------------------------------------------------------------------


def _list_snapshots(call: Call) -> Page[Snapshot]:
    with call.plane.database.read() as connection:
        rows = [
            row
            for deployment in _deployments(connection, call)
            for row in reversed(
                snapshots_of(connection, SHOWN_STATES, deployment_id=deployment.id, living_ns=call.now_ns())
            )
        ]
    return page_of([_shown(row) for row in rows], call.query)


def _take_snapshot(call: Call) -> Snapshot:
    with call.plane.database.write() as connection:
        deployment = _deployment(connection, call, living=True)
        if not deployment.backup_enabled:
            raise Code.BACKUPS_NOT_ENABLED.error(deployment.name)
        if not deployment.runs:
            raise Code.CLUSTER_NOT_RUNNING.error(deployment.name, deployment.state)
        order = call.body.retention_in_days, call.body.description
        return _shown(Backups(call.plane).order(connection, deployment, *order, call.actor))


def _get_snapshot(call: Call) -> Snapshot:
    with call.plane.database.read() as connection:
        return _shown(_snapshot(connection, call, call.path["snapshotId"]))


def _delete_snapshot(call: Call) -> Reply:
    with call.plane.database.write() as connection:
        row = _snapshot(connection, call, call.path["snapshotId"])
        if row.state is SnapshotState.IN_PROGRESS:
            raise Code.SNAPSHOT_NOT_COMPLETED.error(row.id, row.state)
        delete_early(connection, row, call.now_ns(), call.actor)
    return Reply(None, 204)


def _shown(row: SnapshotRow) -> Snapshot:
    return Snapshot(
        id=row.id,
        status=row.state,
        snapshot_type=row.type,
        frequency_type=None if row.type == ON_DEMAND else row.kind.label,
        created_at=shown(row.created_ns),
        expires_at=shown(row.expires_ns),
        description=row.description,
        mongod_version=row.version,
        storage_size_bytes=row.stored_bytes,
        master_key_uuid=None if row.key_uri is None else key_identifier(row.key_uri),
        encryption_at_rest_provider=row.provider,
        reason=row.reason,
    )


# -- the schedule -----------------------------------------------------------------------------------------------------


def _get_schedule(call: Call) -> Schedule:
    with call.plane.database.read() as connection:
        return _shown_schedule(connection, _deployment(connection, call), call.now_ns())


def _update_schedule(call: Call) -> Schedule:
    body: ScheduleUpdate = call.body
    items = None
    if body.policies is not None:
        items = [msgspec.to_builtins(item) for item in body.policies[0].policy_items]
    with call.plane.database.write() as connection:
        deployment = _deployment(connection, call, living=True)
        reference = body.reference_hour_of_day, body.reference_minute_of_hour
        wanted = ScheduleChange(*reference, body.restore_window_days, items, body.update_snapshots)
        Backups(call.plane).reschedule(connection, deployment, wanted, call.actor)
        return _shown_schedule(connection, deployment, call.now_ns())


def _shown_schedule(connection: sa.Connection, deployment: Deployment, now_ns: int) -> Schedule:
    found = find_schedule(connection, deployment.id)
    if found is None:
        raise Code.BACKUPS_NOT_ENABLED.error(deployment.name)
    schedule, _ = found
    goes_on = deployment.backup_enabled and deployment.terminated_ns is None
    return Schedule(
        cluster_id=deployment.id,
        cluster_name=deployment.name,
        reference_hour_of_day=schedule.policy.reference.hour,
        reference_minute_of_hour=schedule.policy.reference.minute,
        restore_window_days=schedule.window_days,
        policies=shown_policies(connection, deployment.id),
        next_snapshot=shown(next_occurrence(schedule.policy, now_ns).at_ns) if goes_on else None,
    )


# -- restores ---------------------------------------------------------------------------------------------------------


def _list_restores(call: Call) -> Page[Restore]:
    with call.plane.database.read() as connection:
        found = [job for deployment in _deployments(connection, call) for job in jobs_of(connection, deployment.id)]
        return page_of([_shown_restore(connection, job) for job in found], call.query)


def _restore(call: Call) -> Restore:
    body: RestoreRequest = call.body
    with call.plane.database.read() as connection:
        require_role(connection, call.caller, body.target_group_id, Role.GROUP_OWNER)
        target = deployment_named(connection, body.target_group_id, body.target_cluster_name)
        if target is None or target.terminated_ns is not None:
            raise Code.CLUSTER_NOT_FOUND.error(body.target_cluster_name, body.target_group_id)
        row, point_ns = _wanted(connection, call, body)
    with asking_now(call):
        job = Restores(call.plane).order(row, target, point_ns, call.actor)
    with call.plane.database.read() as connection:
        return _shown_restore(connection, job)


def _wanted(connection: sa.Connection, call: Call, body: RestoreRequest) -> tuple[SnapshotRow, int | None]:
    """Return the snapshot that is to be restored, and the time, if it is a restore to one."""
    seconds = body.point_in_time_utc_seconds or body.oplog_ts
    if body.delivery_type == "automated":
        if body.snapshot_id is None:
            raise Code.MISSING_ATTRIBUTE.error("snapshotId", field="snapshotId")
        if seconds is not None:
            raise Code.INVALID_ATTRIBUTE.error("deliveryType", "a time needs pointInTime", field="deliveryType")
        return _snapshot(connection, call, body.snapshot_id), None
    if seconds is None or None not in (body.point_in_time_utc_seconds, body.oplog_ts):
        raise Code.INVALID_ATTRIBUTE.error(
            "pointInTimeUTCSeconds", "either it or oplogTs is needed", field="pointInTimeUTCSeconds"
        )
    deployment = _deployment(connection, call)
    return Restores(call.plane).base_of(connection, deployment, seconds * 10**9), seconds * 10**9


def _get_restore(call: Call) -> Restore:
    with call.plane.database.read() as connection:
        return _shown_restore(connection, _job(connection, call))


def _cancel_restore(call: Call) -> Reply:
    with call.plane.database.write() as connection:
        cancel(connection, _job(connection, call), call.now_ns(), call.actor)
    return Reply(None, 204)


def _shown_restore(connection: sa.Connection, job: RestoreJob) -> Restore:
    target = deployment_of(connection, job.target_deployment_id or "")
    return Restore(
        id=job.id,
        delivery_type=job.delivery,
        snapshot_id=job.snapshot_id,
        status=job.state,
        created_at=shown(job.created_ns),
        target_cluster_name=target.name if target else None,
        target_group_id=job.target_project_id,
        finished_at=shown_or_none(job.finished_ns),
        point_in_time_utc_seconds=None if job.point_ns is None else job.point_ns // 10**9,
        failed=job.state == "failed",
        cancelled=job.state == "cancelled",
        credentials_used=job.credential,
        restored_members=tuple(job.restored),
        reason=job.reason,
    )


# -- keys -------------------------------------------------------------------------------------------------------------


def _key_usage(call: Call) -> KeyUsageReport:
    report = usage_of(call.plane.database, call.plane.place_of, call.project_id)
    with call.plane.database.read() as connection:
        return KeyUsageReport(
            results=[_shown_use(connection, use) for use in report.keys], problems=list(report.problems)
        )


def _shown_use(connection: sa.Connection, use: KeyUse) -> KeyUsage:
    def name(deployment_id: str) -> str:
        found = deployment_of(connection, deployment_id)
        return found.name if found else deployment_id

    return KeyUsage(
        provider=use.provider,
        key_id=use.key_id,
        configured=use.configured,
        clusters=[deployment.name for deployment in use.deployments],
        snapshots=[
            KeyUser(cluster_name=name(row.deployment_id), snapshot_id=row.id, expires_at=shown(row.expires_ns))
            for row in use.snapshots
        ],
        oplog_clusters=[name(deployment_id) for deployment_id in use.segments],
        unused_from=shown_or_none(use.unused_from_ns),
    )


def _deployment(connection: sa.Connection, call: Call, *, living: bool = False) -> Deployment:
    """Return the cluster of a path, which may have been terminated unless it is to be living."""
    found = deployment_named(connection, call.project_id, call.path["clusterName"])
    if found is None or (living and found.terminated_ns is not None):
        raise Code.CLUSTER_NOT_FOUND.error(call.path["clusterName"], call.project_id)
    return found


def _deployments(connection: sa.Connection, call: Call) -> list[Deployment]:
    """Return the cluster of a path, and those before it of the same name, whose snapshots are there until they end."""
    found = deployments_named(connection, call.project_id, call.path["clusterName"])
    if not found:
        raise Code.CLUSTER_NOT_FOUND.error(call.path["clusterName"], call.project_id)
    return found


def _ids(connection: sa.Connection, call: Call) -> set[str]:
    return {deployment.id for deployment in _deployments(connection, call)}


def _snapshot(connection: sa.Connection, call: Call, snapshot_id: str) -> SnapshotRow:
    row = find_snapshot(connection, snapshot_id)
    shown_now = row is not None and row.state in SHOWN_STATES and row.expires_ns > call.now_ns()
    if row is None or not shown_now or row.deployment_id not in _ids(connection, call):
        raise Code.SNAPSHOT_NOT_FOUND.error(snapshot_id)
    return row


def _job(connection: sa.Connection, call: Call) -> RestoreJob:
    job_id = call.path["restoreJobId"]
    found = find_job(connection, job_id)
    if found is None or found.deployment_id not in _ids(connection, call):
        raise Code.RESTORE_JOB_NOT_FOUND.error(job_id)
    return found


ROUTES = (
    Route(
        *("GET", f"{_BACKUP}/snapshots", "listReplicaSetBackups", "Return the snapshots of a cluster"),
        roles=READERS,
        handle=_list_snapshots,
        query=PageQuery,
        answer=Page[Snapshot],
    ),
    Route(
        *("POST", f"{_BACKUP}/snapshots", "takeSnapshot", "Take a snapshot on demand"),
        roles=MANAGERS,
        handle=_take_snapshot,
        body=SnapshotRequest,
        answer=Snapshot,
        status=202,
    ),
    Route(
        *("GET", f"{_BACKUP}/snapshots/{{snapshotId}}", "getReplicaSetBackup", "Return a snapshot"),
        roles=READERS,
        handle=_get_snapshot,
        answer=Snapshot,
    ),
    Route(
        *("DELETE", f"{_BACKUP}/snapshots/{{snapshotId}}", "deleteReplicaSetBackup", "Delete a snapshot"),
        roles=MANAGERS,
        handle=_delete_snapshot,
        status=204,
    ),
    Route(
        *("GET", f"{_BACKUP}/schedule", "getBackupSchedule", "Return the backup schedule of a cluster"),
        roles=READERS,
        handle=_get_schedule,
        answer=Schedule,
    ),
    Route(
        *("PATCH", f"{_BACKUP}/schedule", "updateBackupSchedule", "Change the backup schedule of a cluster"),
        roles=MANAGERS,
        handle=_update_schedule,
        body=ScheduleUpdate,
        answer=Schedule,
    ),
    Route(
        *("GET", f"{_BACKUP}/restoreJobs", "listBackupRestoreJobs", "Return the restore jobs of a cluster's snapshots"),
        roles=READERS,
        handle=_list_restores,
        query=PageQuery,
        answer=Page[Restore],
    ),
    Route(
        *("POST", f"{_BACKUP}/restoreJobs", "createBackupRestoreJob", "Restore a snapshot, or to a time"),
        roles=MANAGERS,
        handle=_restore,
        body=RestoreRequest,
        answer=Restore,
        status=202,
    ),
    Route(
        *("GET", f"{_BACKUP}/restoreJobs/{{restoreJobId}}", "getBackupRestoreJob", "Return a restore job"),
        roles=READERS,
        handle=_get_restore,
        answer=Restore,
    ),
    Route(
        *("DELETE", f"{_BACKUP}/restoreJobs/{{restoreJobId}}", "cancelBackupRestoreJob", "Cancel a restore job"),
        roles=MANAGERS,
        handle=_cancel_restore,
        status=204,
    ),
    Route(
        *("GET", "/groups/{groupId}/encryptionAtRest/keyUsage", "getKeyUsage", "Return what each key is needed by"),
        roles=READERS,
        handle=_key_usage,
        answer=KeyUsageReport,
    ),
)
