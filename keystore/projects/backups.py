"""Takes the snapshots of deployments, on schedule and on demand.

Two kinds of jobs, each done in steps that may be repeated (`keystore.projects.backup_jobs`):

- `snapshot`, of a deployment: looks what is due, records a snapshot that is to be taken, and is due again at the next
  occurrence exactly. A deployment that is disabled or paused has it passed over for good, and that is recorded.
- `take`, of a snapshot: asks a node for it, and records what came of it; where nobody answers, it is due again.

Leaves to others: the end of snapshots (`keystore.projects.expiry`), and what is due (`keystore.snapshots.retention`).

Invariants:
1. A snapshot is under the key, and names the credentials, of its moment; nothing changes that later.
2. No KMS is asked for any of this.
3. A node that was asked twice leaves one snapshot: what an earlier try has left in the place is found by its kind and
   its end, and that no row names it.
"""

from contextlib import closing, suppress
from dataclasses import replace

import sqlalchemy as sa

from keystore.agents.client import NodeClient
from keystore.agents.reports import ServedSnapshot
from keystore.control.clusters import Cluster, cluster_of
from keystore.control.due import Due, add_job, finish
from keystore.control.operations import Guard
from keystore.errors import KeystoreError, PlaceMissingError, cause_of
from keystore.format.kind import SnapshotKind
from keystore.kms.uri import parse
from keystore.objects.opening import open_place
from keystore.projects.backed_up import Deployment, deployment_of, first_serving
from keystore.projects.codes import Code
from keystore.projects.events import record_event
from keystore.projects.expiry import EXPIRE_JOB, end_at
from keystore.projects.ids import new_id
from keystore.projects.plane import ProjectPlane
from keystore.projects.restore_rules import NONE
from keystore.projects.schedules import Schedule, ScheduleChange, kept_until_ns
from keystore.projects.snapshot_rows import (
    ON_DEMAND,
    OPEN_STATES,
    SCHEDULED,
    SnapshotRow,
    SnapshotState,
    change_snapshot,
    find_snapshot,
    insert_snapshot,
    snapshots_of,
    tell_of,
)
from keystore.projects.stored_schedules import (
    find_schedule,
    has_open_job,
    lock_schedule,
    look_now,
    save_schedule,
)
from keystore.projects.tables import configurations, credentials
from keystore.snapshots.log_eras import LOG
from keystore.snapshots.retention import Due as Wanted
from keystore.snapshots.retention import due, next_occurrence

TAKE_JOB = "take"
"""Kind of the job that takes a snapshot; its subject is the snapshot's id."""

S = 10**9
RETRY_NS = 300 * S
"""After how long a snapshot that no node could take is tried again."""
DAY_NS = 86_400 * S

Told = dict[str, str | int]
"""What a node told of a snapshot that it took, as JSON; or the problem."""

_COUNTED = (*OPEN_STATES, SnapshotState.COMPLETED, SnapshotState.SKIPPED, SnapshotState.DELETING)
"""What serves an occurrence: what was passed over does too, and what failed does not."""


class Backups:
    """Takes and deletes snapshots. Each method of a job may be repeated; whoever is fenced off changes nothing."""

    def __init__(self, plane: ProjectPlane) -> None:
        self._database, self._clock, self._place_of = plane.database, plane.clock, plane.place_of

    # -- what is due --------------------------------------------------------------------------------------------------

    def switch_log(self, job: Due) -> bool:
        """Have a deployment's node keep its point-in-time log or end it; return whether it was begun just now.

        A log that was ended goes with all its bytes. Where no node answers, the next snapshot does it.
        """
        with self._database.read() as connection:
            deployment = deployment_of(connection, job.subject)
            cluster = cluster_of(connection, deployment.cluster_id) if deployment and deployment.cluster_id else None
        if deployment is None:
            return False
        with suppress(KeystoreError):
            if not deployment.wants_log:
                self._end_log(cluster if deployment.runs else None, self._place_of(deployment.id))
            elif cluster is not None and deployment.runs:
                _, client = first_serving(cluster)
                with closing(client):
                    return _keep_log(client, self._place_of(deployment.id))
        return False

    def _end_log(self, cluster: Cluster | None, location: str) -> None:
        if cluster is not None:
            _, client = first_serving(cluster)
            with closing(client):
                client.set_log("")
        place = open_place(location)
        with suppress(PlaceMissingError):
            for named in place.names(LOG):
                place.remove(named.name)

    def look(self, job: Due, begun: bool, guard: Guard) -> None:
        """Record the snapshot of a deployment that is due, or that it is passed over, and when to look again.

        Args:
            begun: its log was begun just now, which needs a snapshot to build on.
        """
        now_ns = self._clock.now_ns()
        with self._database.write() as connection:
            guard(connection)
            lock_schedule(connection, job.subject)
            deployment = deployment_of(connection, job.subject)
            found = find_schedule(connection, job.subject)
            if deployment is None or found is None or not deployment.backup_enabled or deployment.terminated_ns:
                finish(connection, job, None)
                return
            schedule, since_ns = found
            wanted = self._wanted(connection, deployment, schedule, since_ns, begun, now_ns)
            if wanted is not None:
                self._plan(connection, deployment, wanted, now_ns)
            next_ns = next_occurrence(schedule.policy, now_ns).at_ns
            finish(connection, job, None if has_open_job(connection, job.subject) else next_ns)

    def _wanted(
        self,
        connection: sa.Connection,
        deployment: Deployment,
        schedule: Schedule,
        since_ns: int,
        begun: bool,
        now_ns: int,
    ) -> Wanted | None:
        """Return the snapshot that is due; an older one that nobody could take until now gives way to it."""
        rows = snapshots_of(connection, _COUNTED, deployment_id=deployment.id)
        scheduled = [row for row in rows if row.type == SCHEDULED]
        wanted = due(schedule.policy, scheduled, now_ns, since_ns=since_ns)
        if wanted is not None:
            for row in scheduled:
                if row.state is SnapshotState.QUEUED:
                    _fail(connection, row, f"superseded after {row.reason or 'no try'}", now_ns)
        elif begun and not any(row.state in OPEN_STATES for row in rows):
            item = min(schedule.policy.items, key=lambda each: each.kind)
            return Wanted(item.kind, item.keep.end_ns(now_ns), ())
        return wanted

    def _plan(self, connection: sa.Connection, deployment: Deployment, wanted: Wanted, now_ns: int) -> None:
        row = _new_row(deployment, SCHEDULED, wanted.kind, now_ns, wanted.expires_ns)
        if deployment.runs:
            _order(connection, row)
            return
        reason = f"skipped: {deployment.state.lower()}"
        insert_snapshot(connection, replace(row, state=SnapshotState.SKIPPED, reason=reason))
        add_job(connection, Due(EXPIRE_JOB, row.id, row.expires_ns))
        tell_of(connection, "CPS_SNAPSHOT_SKIPPED", row, now_ns, reason=reason)

    def order(self, connection: sa.Connection, deployment: Deployment, days: int, text: str, actor: str) -> SnapshotRow:
        """Record, in the caller's transaction, a snapshot on demand that is kept for so many days."""
        now_ns = self._clock.now_ns()
        row = _new_row(deployment, ON_DEMAND, SnapshotKind.ON_DEMAND, now_ns, now_ns + days * DAY_NS)
        row = replace(row, description=text)
        _order(connection, row)
        tell_of(connection, "CPS_SNAPSHOT_REQUESTED", row, now_ns, actor)
        return row

    def reschedule(
        self, connection: sa.Connection, deployment: Deployment, wanted: ScheduleChange, actor: str
    ) -> Schedule:
        """Change a schedule, in the caller's transaction; its snapshots may be kept by the new one too.

        Raises:
            ApiError: it has none, or the new one cannot be used; nothing was changed.
        """
        now_ns = self._clock.now_ns()
        lock_schedule(connection, deployment.id)
        found = find_schedule(connection, deployment.id)
        if found is None:
            raise Code.BACKUPS_NOT_ENABLED.error(deployment.name)
        schedule = wanted.applied_to(found[0])
        save_schedule(connection, deployment.id, schedule, now_ns)
        if wanted.update_snapshots:
            self._keep_by(connection, deployment, schedule)
        look_now(connection, deployment.id, now_ns)
        told = {"restoreWindowDays": schedule.window_days, "policyItems": schedule.items}
        record_event(
            connection, "CPS_SNAPSHOT_SCHEDULE_UPDATED", deployment.project_id, deployment.id, actor, now_ns, told
        )
        return schedule

    def _keep_by(self, connection: sa.Connection, deployment: Deployment, schedule: Schedule) -> None:
        """Have scheduled snapshots end as a schedule says; those of which it says nothing stay as they are."""
        for row in snapshots_of(connection, (*OPEN_STATES, SnapshotState.COMPLETED), deployment_id=deployment.id):
            end_ns = kept_until_ns(schedule, row.kind, row.created_ns) if row.type == SCHEDULED else None
            if end_ns is not None:
                change_snapshot(connection, row.id, SnapshotState, expires_ns=end_ns)
                end_at(connection, row, end_ns)

    def _put_off(self, connection: sa.Connection, row: SnapshotRow, reason: str, now_ns: int) -> bool:
        """Write down why a snapshot could not be taken; return whether it is tried again: a newer one may be due."""
        open_rows = snapshots_of(connection, OPEN_STATES, deployment_id=row.deployment_id)
        if row.type == SCHEDULED and any(
            each.type == SCHEDULED and each.created_ns > row.created_ns for each in open_rows
        ):
            _fail(connection, row, f"superseded after {reason}"[:1000], now_ns)
            return False
        change_snapshot(connection, row.id, OPEN_STATES, state=SnapshotState.QUEUED, reason=reason)
        if row.reason != reason:
            tell_of(connection, "CPS_SNAPSHOT_FAILED", row, now_ns, reason=reason)
        return True

    # -- a snapshot ---------------------------------------------------------------------------------------------------

    def begin_take(self, job: Due, guard: Guard) -> bool:
        """Return whether the snapshot of a job is to be taken; where it is not, say why and end the job."""
        now_ns = self._clock.now_ns()
        with self._database.write() as connection:
            guard(connection)
            row = find_snapshot(connection, job.subject)
            if row is None or row.state not in OPEN_STATES:
                finish(connection, job, None)
                return False
            deployment = deployment_of(connection, row.deployment_id)
            if deployment is None or deployment.cluster_id is None or not deployment.runs:
                _fail(connection, row, f"skipped: {deployment.state.lower() if deployment else 'gone'}", now_ns)
                finish(connection, job, None)
                return False
            if row.state is SnapshotState.QUEUED:
                change_snapshot(connection, row.id, OPEN_STATES, state=SnapshotState.IN_PROGRESS)
                tell_of(connection, "CPS_SNAPSHOT_STARTED", row, now_ns)
            return True

    def take(self, job: Due) -> Told:
        """Have a node take the snapshot of a job, or find it taken; return where it is, or the problem."""
        with self._database.read() as connection:
            row = find_snapshot(connection, job.subject)
            deployment = deployment_of(connection, row.deployment_id) if row else None
            if row is None or deployment is None or deployment.cluster_id is None:
                return {"problem": "it is gone"}
            cluster = cluster_of(connection, deployment.cluster_id)
            found = find_schedule(connection, deployment.id)
            rows = snapshots_of(connection, SnapshotState, deployment_id=deployment.id)
        window_days = found[0].window_days if found else 0
        known = {each.node_snapshot_id for each in rows}
        try:
            return self._take(cluster, deployment, row, window_days, known)
        except KeystoreError as error:
            return {"problem": cause_of(error)}

    def _take(
        self, cluster: Cluster, deployment: Deployment, row: SnapshotRow, window_days: int, known: set[str | None]
    ) -> Told:
        location = self._place_of(deployment.id)
        name, client = first_serving(cluster)
        with closing(client):
            with suppress(PlaceMissingError):
                for made in client.list_snapshots(location):
                    if (made.kind, made.expires_ns) == (row.kind, row.expires_ns) and made.snapshot_id not in known:
                        return _told(cluster, name, location, made)
            if deployment.wants_log:
                _keep_log(client, location)
            made = client.create_snapshot(
                location, kind=row.kind, expires_ns=row.expires_ns, log_window_days=window_days
            )
            return _told(cluster, name, location, made)

    def record_take(self, job: Due, told: Told, guard: Guard) -> None:
        """Write down what became of a snapshot, and when it ends or is tried again."""
        now_ns = self._clock.now_ns()
        with self._database.write() as connection:
            guard(connection)
            row = find_snapshot(connection, job.subject)
            if row is None or row.state is not SnapshotState.IN_PROGRESS:
                finish(connection, job, None)
            elif "problem" in told:
                goes_on = self._put_off(connection, row, str(told["problem"])[:1000], now_ns)
                finish(connection, job, now_ns + RETRY_NS if goes_on else None)
            else:
                values = _of_moment(connection, row, told)
                change_snapshot(connection, row.id, OPEN_STATES, state=SnapshotState.COMPLETED, reason="", **values)
                tell_of(connection, "CPS_SNAPSHOT_SUCCESSFUL", row, now_ns)
                finish(connection, job, None)


def _of_moment(connection: sa.Connection, row: SnapshotRow, told: Told) -> dict[str, object]:
    """Return the columns that say whose key and credentials the snapshot is under."""
    deployment = deployment_of(connection, row.deployment_id)
    platform_key = (
        cluster_of(connection, deployment.cluster_id).platform_key if deployment and deployment.cluster_id else ""
    )
    key_uri = str(told["key_uri"])
    values: dict[str, object] = {
        name: told[name] for name in ("member", "location", "node_snapshot_id", "stored_bytes")
    }
    if key_uri == platform_key:
        return {**values, "key_uri": None, "credential_id": None, "provider": NONE}
    provider = parse(key_uri).provider.upper()
    credential = _credential_of(connection, row.project_id, provider, str(told["credential"]))
    return {**values, "key_uri": key_uri, "credential_id": credential, "provider": provider}


def _credential_of(connection: sa.Connection, project_id: str, provider: str, named: str) -> str | None:
    """Return the credentials that a node named, or else those that the project has now."""
    mine = (credentials.c.project_id == project_id) & (credentials.c.provider == provider)
    if connection.scalar(sa.select(credentials.c.id).where(mine, credentials.c.id == named)) is not None:
        return named
    present = (configurations.c.project_id == project_id) & (configurations.c.provider == provider)
    return connection.scalar(sa.select(configurations.c.credential_id).where(present))


def _new_row(deployment: Deployment, type_: str, kind: SnapshotKind, now_ns: int, expires_ns: int) -> SnapshotRow:
    return SnapshotRow(
        id=new_id(),
        project_id=deployment.project_id,
        deployment_id=deployment.id,
        member=None,
        node_snapshot_id=None,
        location=None,
        type=type_,
        kind=kind,
        key_uri=None,
        credential_id=None,
        provider=deployment.provider,
        created_ns=now_ns,
        expires_ns=expires_ns,
        state=SnapshotState.QUEUED,
        reason="",
        description="",
        version=deployment.version,
        stored_bytes=0,
    )


def _order(connection: sa.Connection, row: SnapshotRow) -> None:
    """Record a snapshot, have it taken, and have it deleted at its end."""
    insert_snapshot(connection, row)
    add_job(connection, Due(TAKE_JOB, row.id, row.created_ns))
    add_job(connection, Due(EXPIRE_JOB, row.id, row.expires_ns))


def _fail(connection: sa.Connection, row: SnapshotRow, reason: str, now_ns: int) -> None:
    change_snapshot(connection, row.id, OPEN_STATES, state=SnapshotState.FAILED, reason=reason)
    tell_of(connection, "CPS_SNAPSHOT_FAILED", row, now_ns, reason=reason)


def _told(cluster: Cluster, member: str, location: str, made: ServedSnapshot) -> Told:
    return {
        "member": member,
        "location": location,
        "node_snapshot_id": made.snapshot_id,
        "stored_bytes": made.stored_bytes,
        "key_uri": made.key_id,
        "platform_key": cluster.platform_key,
        "credential": made.credential,
    }


def _keep_log(client: NodeClient, location: str) -> bool:
    """Have a node keep its log; return whether it did not before."""
    if client.log().place == location:
        return False
    client.set_log(location)
    return True
