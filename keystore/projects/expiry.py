"""Deletes the snapshots whose time is over, exactly then, with what belongs to them: job `expire`, of one snapshot.

It needs no key, and goes on while a deployment is disabled or terminated.

Invariants:
1. A row goes after its bytes, so that bytes which nothing names are never left behind.
2. Credentials that were replaced go with the last snapshot that names them.
3. A snapshot that some members of a cluster have been given, and the others not yet, goes when all have it; until then
   it is there, and shown to nobody.
"""

from contextlib import suppress

import sqlalchemy as sa

from keystore.control.due import Due, finish, hasten_job
from keystore.control.operations import Guard
from keystore.errors import KeystoreError, PlaceMissingError, SnapshotMissingError
from keystore.objects.opening import open_place
from keystore.projects.plane import ProjectPlane
from keystore.projects.restore_rows import is_restored_from
from keystore.projects.snapshot_rows import (
    SnapshotRow,
    SnapshotState,
    change_snapshot,
    delete_snapshot_row,
    find_snapshot,
    tell_of,
)
from keystore.projects.tables import configurations, credentials, snapshots
from keystore.snapshots.delete import collect_garbage, delete_snapshot

EXPIRE_JOB = "expire"
"""Kind of the job that deletes a snapshot at its end; its subject is the snapshot's id."""

BUSY_NS = 600 * 10**9
"""After how long the deletion is tried again of a snapshot that is being taken or restored."""


class Expiry:
    """Does the jobs. Each method may be repeated, and whoever is fenced off changes nothing."""

    def __init__(self, plane: ProjectPlane) -> None:
        self._database, self._clock = plane.database, plane.clock

    def begin(self, job: Due, guard: Guard) -> bool:
        """Return whether bytes are to be deleted now; a snapshot whose end was moved is looked at again then."""
        now_ns = self._clock.now_ns()
        with self._database.write() as connection:
            guard(connection)
            row = find_snapshot(connection, job.subject)
            if row is None:
                finish(connection, job, None)
            elif row.expires_ns > now_ns:
                finish(connection, job, row.expires_ns)
            elif row.state is SnapshotState.IN_PROGRESS or is_restored_from(connection, row.id):
                finish(connection, job, now_ns + BUSY_NS)
            elif row.node_snapshot_id is None:
                self._forget(connection, row, now_ns)
                finish(connection, job, None)
            else:
                change_snapshot(connection, row.id, SnapshotState, state=SnapshotState.DELETING)
                return True
            return False

    def delete_bytes(self, job: Due) -> bool:
        """Delete the bytes of a snapshot, with its wrapped keys; return whether they are gone."""
        with self._database.read() as connection:
            row = find_snapshot(connection, job.subject)
        if row is None:
            return True
        location, name = row.place
        place = open_place(location)
        try:
            delete_snapshot(place, bytes.fromhex(name))
        except (SnapshotMissingError, PlaceMissingError):
            pass
        except KeystoreError:
            return False
        with suppress(KeystoreError):
            collect_garbage(place)
        return True

    def conclude(self, job: Due, gone: bool, guard: Guard) -> None:
        """Forget a snapshot whose bytes are gone, and credentials that nothing needs any more."""
        now_ns = self._clock.now_ns()
        with self._database.write() as connection:
            guard(connection)
            row = find_snapshot(connection, job.subject)
            if row is not None and gone:
                self._forget(connection, row, now_ns)
            finish(connection, job, None if gone else now_ns + BUSY_NS)

    def _forget(self, connection: sa.Connection, row: SnapshotRow, now_ns: int) -> None:
        delete_snapshot_row(connection, row.id)
        if row.state is not SnapshotState.SKIPPED:
            tell_of(connection, "CPS_SNAPSHOT_DELETED", row, now_ns)
        forget_credentials(connection, row.project_id)


def delete_early(connection: sa.Connection, row: SnapshotRow, now_ns: int, actor: str) -> None:
    """End a snapshot now, in the caller's transaction; its bytes go with the job that this makes due."""
    change_snapshot(connection, row.id, SnapshotState, expires_ns=now_ns)
    end_at(connection, row, now_ns)
    tell_of(connection, "CPS_SNAPSHOT_DELETE_REQUESTED", row, now_ns, actor)


def end_at(connection: sa.Connection, row: SnapshotRow, at_ns: int) -> None:
    """Have a snapshot looked at when its end, which was moved, is there."""
    hasten_job(connection, EXPIRE_JOB, row.id, at_ns)


def forget_credentials(connection: sa.Connection, project_id: str) -> None:
    """Delete credentials of a project that were replaced and that no snapshot needs."""
    used = sa.select(snapshots.c.credential_id).where(snapshots.c.credential_id.is_not(None))
    present = sa.select(configurations.c.credential_id).where(configurations.c.credential_id.is_not(None))
    which = (credentials.c.project_id == project_id) & credentials.c.retired_ns.is_not(None)
    unused = credentials.c.id.not_in(used) & credentials.c.id.not_in(present)
    connection.execute(credentials.delete().where(which, unused))
