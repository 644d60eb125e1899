"""Which processes run workflows, and which of them are dead. Who takes over what a dead one leaves is not decided here.

Invariants:
1. Every start has an epoch of its own, greater than all before it. Epochs are compared, times of machines never: a beat
   is a count, and each watcher measures with its own monotonic clock for how long it has stood still.
2. A row is a living executor. What carries an epoch counts only while that row is there, checked in the same
   transaction (`require_alive`). So a process that was declared dead and wakes up changes nothing any more.
3. An epoch that is dead stays dead; the process registers anew.
"""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import sqlalchemy as sa

from keystore.control.database import Database
from keystore.control.tables import control, executors
from keystore.errors import ControlSetupError, FencedError

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


@dataclass(frozen=True)
class Executor:
    """One start of one process."""

    name: str
    epoch: int


def register(database: Database, name: str) -> Executor:
    """Record the start of a process; an earlier start of the same name is dead from now on.

    Raises:
        ControlSetupError: the name cannot be one.
    """
    if not NAME.fullmatch(name):
        raise ControlSetupError(
            f"{name!r} cannot name a control process. Nothing was changed; take up to 64 letters, digits, dots, dashes "
            "and underscores."
        )
    with database.write() as connection:
        connection.execute(control.update().values(last_epoch=control.c.last_epoch + 1))
        epoch: int = connection.execute(sa.select(control.c.last_epoch)).scalar_one()
        connection.execute(executors.delete().where(executors.c.name == name))
        connection.execute(executors.insert().values(epoch=epoch, name=name, beat=0))
    return Executor(name, epoch)


def beat(database: Database, executor: Executor) -> None:
    """Show that the process lives.

    Raises:
        FencedError: it was declared dead, or started again; another one does its work.
    """
    with database.write() as connection:
        mine = executors.update().where(executors.c.epoch == executor.epoch)
        if connection.execute(mine.values(beat=executors.c.beat + 1)).rowcount != 1:
            raise fenced(executor)


def retire(database: Database, executor: Executor) -> None:
    """Record that the process has ended; others take over at once what it leaves."""
    with database.write() as connection:
        connection.execute(executors.delete().where(executors.c.epoch == executor.epoch))


def require_alive(connection: sa.Connection, executor: Executor, *, lasting: bool = True) -> None:
    """Make sure that the executor is alive, and, if `lasting`, is not declared dead before this transaction ends.

    Raises:
        FencedError: it is dead; the caller's transaction must not commit.
    """
    row = sa.select(executors.c.epoch).where(executors.c.epoch == executor.epoch)
    if lasting:  # the lock conflicts with a delete of the row and not with a beat; PostgreSQL writes to keep it
        row = row.with_for_update(read=True, key_share=True)
    if connection.execute(row).one_or_none() is None:
        raise fenced(executor)


def living(database: Database) -> list[Executor]:
    """Return the executors that are alive."""
    with database.read() as connection:
        return [Executor(row.name, row.epoch) for row in connection.execute(sa.select(executors))]


def living_epochs() -> sa.Select[tuple[int]]:
    """Return the query for the epochs that are alive."""
    return sa.select(executors.c.epoch)


def fenced(executor: Executor) -> FencedError:
    return FencedError(
        f"the control process {executor.name} was taken for dead, or started again elsewhere: another one does its "
        "work now. This one changes nothing any more; start it again."
    )


@dataclass
class Watch:
    """Declares dead whose beat stands still, by this process's monotonic clock. Nobody is declared dead by itself."""

    database: Database
    dead_after_s: float
    own: Executor | None = None
    now_s: Callable[[], float] = time.monotonic
    _seen: dict[int, tuple[int, float]] = field(default_factory=dict)
    _looked_s: float = 0.0

    def look(self) -> list[Executor]:
        """Declare dead whoever has not been seen to beat for `dead_after_s`, and return them.

        A watcher that has not looked for half that time, because it or the database stood still, gives everybody the
        whole time again: who could not beat is not dead.
        """
        with self.database.read() as connection:
            found = connection.execute(sa.select(executors)).all()
        rows = [row for row in found if self.own is None or row.epoch != self.own.epoch]
        now = self.now_s()
        if now - self._looked_s > self.dead_after_s / 2:
            self._seen = {}
        self._looked_s = now
        self._seen = {row.epoch: self._since(row.epoch, row.beat, now) for row in rows}
        silent = [row for row in rows if now - self._seen[row.epoch][1] >= self.dead_after_s]
        return [Executor(row.name, row.epoch) for row in silent if self._declare_dead(row.epoch, row.beat)]

    def _since(self, epoch: int, count: int, now: float) -> tuple[int, float]:
        before = self._seen.get(epoch)
        return before if before is not None and before[0] == count else (count, now)

    def _declare_dead(self, epoch: int, count: int) -> bool:
        # A beat that came in between proves it alive; of several watchers, one deletes the row.
        still = (executors.c.epoch == epoch) & (executors.c.beat == count)
        with self.database.write() as connection:
            return connection.execute(executors.delete().where(still)).rowcount == 1
