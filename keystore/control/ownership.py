"""Whose a workflow is: the table `runs`. The fence that keeps a process that was taken for dead from going on.

Invariants:
1. The latest beginning of a living executor owns a workflow; `fence` counts beginnings.
2. An executor that is dead begins nothing and owns nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from keystore.control.database import Database
from keystore.control.executors import Executor, living_epochs, require_alive
from keystore.control.tables import runs
from keystore.errors import FencedError


@dataclass(frozen=True)
class Hold:
    """One beginning of a workflow."""

    key: str
    fence: int
    executor: Executor


def begin(database: Database, key: str, executor: Executor) -> Hold:
    """Make the workflow `executor`'s; whoever had it before does nothing more with it.

    Raises:
        FencedError: the executor is dead.
        ControlConflictError: another one began it for the first time in this moment; try again.
    """
    with database.write() as connection:
        require_alive(connection, executor)
        mine = runs.update().where(runs.c.key == key).values(fence=runs.c.fence + 1, epoch=executor.epoch)
        if connection.execute(mine).rowcount == 0:
            connection.execute(runs.insert().values(key=key, fence=1, epoch=executor.epoch))
        fence: int = connection.execute(sa.select(runs.c.fence).where(runs.c.key == key)).scalar_one()
    return Hold(key, fence, executor)


def require(connection: sa.Connection, hold: Hold, *, lasting: bool = True) -> None:
    """Make sure that the hold counts, and, if `lasting`, counts until the end of this transaction.

    Raises:
        FencedError: it does not; the caller's transaction must not commit.
    """
    require_alive(connection, hold.executor, lasting=lasting)
    mine = sa.select(runs.c.key).where(
        runs.c.key == hold.key, runs.c.fence == hold.fence, runs.c.epoch == hold.executor.epoch
    )
    if connection.execute(mine.with_for_update(read=True) if lasting else mine).one_or_none() is None:
        raise FencedError(f"the workflow {hold.key} was taken over. This process changes nothing any more for it.")


def claim(database: Database, key: str, executor: Executor) -> bool:
    """Claim a workflow of a dead executor, to have it begun anew; return whether it was nobody's.

    Raises:
        FencedError: the executor is dead itself.
        ControlConflictError: another one claimed it in this moment.
    """
    with database.write() as connection:
        require_alive(connection, executor)
        # One that was claimed before and not resumed is claimed again by the same executor.
        nobodys = runs.c.epoch.not_in(living_epochs()) | (runs.c.epoch == executor.epoch)
        mine = runs.update().where(runs.c.key == key, nobodys).values(epoch=executor.epoch)
        if connection.execute(mine).rowcount == 1:
            return True
        if connection.execute(sa.select(runs.c.key).where(runs.c.key == key)).one_or_none() is not None:
            return False
        connection.execute(runs.insert().values(key=key, fence=0, epoch=executor.epoch))
        return True


def forget(database: Database, keys: Sequence[str]) -> None:
    """Delete what is known of workflows that have ended; nobody owns them any more."""
    with database.write() as connection:
        connection.execute(runs.delete().where(runs.c.key.in_(keys)))
