"""What is due and when: rows that exactly one process gets, and that exactly one start follows.

How an interval is counted is `next_at_ns`, which knows no database; what is started is left to `service`.

Invariants:
1. A job (kind, subject) has at most one row for each time.
2. open -> claimed -> started -> done. A claim counts while its epoch is alive; a dead one's row is claimable again, so
   whatever was started twice must be one start: workflows are started by the row's `key`.
3. A row that is done is never anything else again.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from keystore.control.database import Database
from keystore.control.executors import Executor, living_epochs, require_alive
from keystore.control.tables import due
from keystore.errors import ControlConflictError, FencedError

OPEN, CLAIMED, STARTED, DONE = "open", "claimed", "started", "done"


@dataclass(frozen=True)
class Due:
    """A job that is to be done at a time."""

    kind: str
    subject: str
    at_ns: int

    @property
    def key(self) -> str:
        """Name of the one workflow that this row starts."""
        return f"{self.kind}/{self.subject}/{self.at_ns}"


def next_at_ns(at_ns: int, completed_ns: int, interval_ns: int) -> int:
    """Return when a job that was due at `at_ns` and completed is due again: an interval after it was completed.

    What was missed meanwhile is not made up for. A clock that was set back in between moves nothing before `at_ns`.
    """
    return max(at_ns, completed_ns) + interval_ns


class DueTable:
    """The table `due` of a database."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def add(self, job: Due) -> bool:
        """Make a row; return whether it is new."""
        try:
            with self.database.write() as connection:
                connection.execute(due.insert().values(_values(job)))
        except ControlConflictError:
            return False
        return True

    def claim(
        self,
        kinds: Sequence[str],
        now_ns: int,
        executor: Executor,
        require: Callable[[sa.Connection], None] = lambda connection: None,
    ) -> Due | None:
        """Give the job that is due longest to `executor` and to nobody else; None if nothing is due.

        Args:
            require: raises unless the executor may have jobs; asked after the job is read, so that it sees all that was
                there when the job was made.

        Raises:
            FencedError: the executor is dead.
        """
        dead = due.c.epoch.not_in(living_epochs())
        free = sa.or_(due.c.state == OPEN, sa.and_(due.c.state == CLAIMED, dead))
        first = sa.select(due).where(due.c.kind.in_(kinds), due.c.at_ns <= now_ns, free)
        first = first.order_by(due.c.at_ns, due.c.id).limit(1)
        with self.database.read() as connection:  # mostly nothing is due, and then nothing is locked or written
            require_alive(connection, executor, lasting=False)
            require(connection)
            if connection.execute(first).one_or_none() is None:
                return None
        with self.database.write() as connection:
            require_alive(connection, executor)
            chosen = connection.execute(first.with_for_update(skip_locked=True)).one_or_none()
            if chosen is None:
                return None
            require(connection)
            connection.execute(due.update().where(due.c.id == chosen.id).values(state=CLAIMED, epoch=executor.epoch))
        return Due(chosen.kind, chosen.subject, chosen.at_ns)

    def started(self, job: Due, executor: Executor) -> None:
        """Record that the workflow `job.key` exists, so that nobody needs to start it again.

        Raises:
            FencedError: the claim went to another executor meanwhile.
        """
        with self.database.write() as connection:
            claim = (due.c.state == CLAIMED) & (due.c.epoch == executor.epoch)
            # The workflow may have been quicker: then the row is done.
            if connection.execute(due.update().where(_is(job), claim).values(state=STARTED)).rowcount != 1:
                state = connection.scalar(sa.select(due.c.state).where(_is(job)))
                if state not in (STARTED, DONE):
                    raise FencedError(f"{job.key} was claimed by another control process. This one leaves it alone.")

    def done(self, job: Due, next_at: int | None) -> None:
        """Close the row and make the next one; a second call changes nothing."""
        with self.database.write() as connection:
            finish(connection, job, next_at)

    def started_jobs(self, kinds: Sequence[str]) -> list[Due]:
        """Return the jobs whose workflow exists and has not closed their row."""
        with self.database.read() as connection:
            rows = connection.execute(sa.select(due).where(due.c.kind.in_(kinds), due.c.state == STARTED)).all()
        return [Due(row.kind, row.subject, row.at_ns) for row in rows]

    def is_started(self, job: Due) -> bool:
        """Return whether the row is still as `started_jobs` saw it."""
        with self.database.read() as connection:
            return connection.scalar(sa.select(due.c.state).where(_is(job))) == STARTED

    def forget(self, before_ns: int) -> int:
        """Delete rows that are done and were due before then; return how many."""
        with self.database.write() as connection:
            return connection.execute(due.delete().where(due.c.state == DONE, due.c.at_ns < before_ns)).rowcount

    def open_jobs(self, kind: str) -> list[Due]:
        """Return the jobs of a kind that are not done, the earliest first."""
        with self.database.read() as connection:
            rows = connection.execute(
                sa.select(due).where(due.c.kind == kind, due.c.state != DONE).order_by(due.c.at_ns, due.c.id)
            ).all()
        return [Due(row.kind, row.subject, row.at_ns) for row in rows]


def finish(connection: sa.Connection, job: Due, next_at: int | None) -> None:
    """Close the row of `job` in the caller's transaction, and make the one at `next_at`, if it is to come again."""
    closed = connection.execute(due.update().where(_is(job), due.c.state != DONE).values(state=DONE, epoch=None))
    if closed.rowcount and next_at is not None:
        connection.execute(due.insert().values(_values(Due(job.kind, job.subject, next_at))))


def add_job(connection: sa.Connection, job: Due) -> None:
    """Make a row in the caller's transaction, which must not have one of that time already."""
    connection.execute(due.insert().values(_values(job)))


def hasten_job(connection: sa.Connection, kind: str, subject: str, at_ns: int) -> None:
    """Make a job due at `at_ns` that nobody has claimed and that is due later only."""
    hasten_jobs(connection, kind, {subject: at_ns})


def hasten_jobs(connection: sa.Connection, kind: str, at_ns: Mapping[str, int]) -> None:
    """As `hasten_job`, for several subjects at once."""
    mine = (due.c.kind == kind) & (due.c.subject == sa.bindparam("of_subject"))
    later = mine & (due.c.state == OPEN) & (due.c.at_ns > sa.bindparam("sooner_ns"))
    rows = [{"of_subject": subject, "sooner_ns": at} for subject, at in at_ns.items()]
    connection.execute(due.update().where(later).values(at_ns=sa.bindparam("sooner_ns")), rows)


def _is(job: Due) -> sa.ColumnElement[bool]:
    return sa.and_(due.c.kind == job.kind, due.c.subject == job.subject, due.c.at_ns == job.at_ns)


def _values(job: Due) -> dict[str, object]:
    return {"kind": job.kind, "subject": job.subject, "at_ns": job.at_ns, "state": OPEN, "epoch": None}
