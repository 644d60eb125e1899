"""A control process: looks what is due, and has it done by workflows that survive the process.

What a kind of job means is the workflow's of that name; it closes its row of `due`, and makes the next one, itself.

Invariants:
1. A row that is claimed is started by its key before it counts as started. A process that dies in between leaves a
   claim that is void, and whoever claims the row next starts the same workflow, not a second one.
2. A row whose workflow ended without closing it comes back after `FAILED_AGAIN_NS`: a fault delays a job, it does not
   end it.
"""

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from keystore.control.clock import Clock
from keystore.control.database import Database
from keystore.control.due import Due, DueTable
from keystore.control.engine import State, WorkflowEngine
from keystore.errors import ControlSetupError, ControlUnreachableError, FencedError

LOG = logging.getLogger("keystore.control")

LOOK_EVERY_S = 0.5
"""Seconds between two looks at what is due."""

TEND_EVERY = 20
"""Looks between two looks for jobs that ended without closing their row."""

FORGET_EVERY = 1200
"""Looks between two looks for what is to be forgotten."""

KEPT_DAYS = 30
"""Days for which it can be looked up how a job went. A job that is halted leaves a row for every check of its key."""

FAILED_AGAIN_NS = 15 * 60 * 10**9
"""After how long a job whose workflow failed is due again."""

JOBS_AT_ONCE_MAX = 1000
"""LIMIT: jobs that one look starts, so that a look ends."""


class ControlService:
    """Starts what is due, in a thread of its own.

    Args:
        engine: launched before `start`.
        kinds: of jobs, each the name of a registered workflow, which gets the fields of its `Due` as arguments.
        require: raises `ControlSetupError` once the jobs of the database are not for this process; then it takes none.

    Attributes:
        refused: what `require` raised in the thread, which has ended.
    """

    def __init__(
        self,
        database: Database,
        engine: WorkflowEngine,
        clock: Clock,
        kinds: Sequence[str],
        look_every_s: float = LOOK_EVERY_S,
        require: Callable[[sa.Connection], None] = lambda connection: None,
    ) -> None:
        self.refused: ControlSetupError | None = None
        self._engine, self._clock, self._kinds = engine, clock, list(kinds)
        self._table = DueTable(database)
        self._look_every_s, self._require = look_every_s, require
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="control-due", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self, timeout_s: float) -> None:
        """Start nothing any more; wait for a look under way."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def look(self) -> int:
        """Start what is due; return how many jobs.

        Raises:
            FencedError: this process was taken for dead.
            ControlSetupError: by `require`.
            ControlUnreachableError: nothing is lost; the next look goes on.
        """
        now_ns = self._clock.now_ns()
        for started in range(JOBS_AT_ONCE_MAX):
            if self._stopping.is_set():
                return started
            job = self._table.claim(self._kinds, now_ns, self._engine.executor, self._require)
            if job is None:
                return started
            self._engine.start(job.kind, job.key, asdict(job))
            self._table.started(job, self._engine.executor)
        return JOBS_AT_ONCE_MAX

    def tend(self) -> list[Due]:
        """Have jobs whose workflow ended without closing their row come back; return them."""
        left = [job for job in self._table.started_jobs(self._kinds) if self._has_ended(job)]
        for job in left:
            self._table.done(job, max(self._clock.now_ns(), job.at_ns) + FAILED_AGAIN_NS)
        return left

    def forget(self) -> None:
        """Delete what is done and `KEPT_DAYS` old; what clusters did stays in their own tables."""
        kept = timedelta(days=KEPT_DAYS)
        self._table.forget(self._clock.now_ns() - int(kept.total_seconds()) * 10**9)
        self._engine.forget(datetime.now(UTC) - kept)

    def _has_ended(self, job: Due) -> bool:
        status = self._engine.status(job.key)
        if status is None or not status.ended or not self._table.is_started(job):
            return False
        if status.state is not State.DONE:
            LOG.error("job %s: %s: %s", job.key, status.state.value, status.error or "it is tried again later")
        return True

    def _loop(self) -> None:
        looks, reachable = 0, True
        while not self._stopping.wait(self._look_every_s):
            try:
                self.look()
                looks += 1
                if looks % TEND_EVERY == 0:
                    self.tend()
                if looks % FORGET_EVERY == 0:
                    self.forget()
                reachable = True
            except FencedError as error:
                LOG.warning("%s", error)  # the engine finds out whether all of this process is meant
            except ControlSetupError as error:
                self.refused = error
                return
            except ControlUnreachableError as error:
                if reachable:
                    LOG.warning("%s", error)
                reachable = False
            except Exception:
                LOG.exception("what is due could not be started; it is looked at again")
