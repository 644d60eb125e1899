"""`engine.WorkflowEngine` by DBOS. One in a process: DBOS is a singleton.

DBOS makes steps durable and hands each workflow to one executor. What it leaves open, and this module adds: noticing
that an executor died, taking its workflows over, keeping one that wakes up again from going on, and beginning anew what
ended here without an outcome because the database was away.

Invariants:
1. DBOS's executor id is name and epoch, so a start never meets what an earlier one of its name left as its own. There
   is one way on for all of it: `take_over`.
2. An executor is registered before DBOS may hand it a workflow, and is living before it is looked for among the living.
3. The thread that beats does nothing else, and never calls DBOS, which waits for a lost database without limit.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from dbos import DBOS
from dbos import error as dbos_error
from sqlalchemy.exc import SQLAlchemyError

from keystore.control import executors, outcome, ownership
from keystore.control.database import Database
from keystore.control.dbos_run import AbandonedError, Closing, DbosRun, until_reachable
from keystore.control.dbos_status import (
    APART_QUEUE,
    APPLICATION,
    APPLICATION_VERSION,
    QUEUE,
    SERIALIZER,
    WORKFLOW,
    options,
    status_of,
    url_of,
)
from keystore.control.engine import Status, Workflow
from keystore.control.executors import Executor, Watch
from keystore.control.ownership import Hold
from keystore.errors import ControlConflictError, ControlError, ControlUnreachableError, FencedError

LOG = logging.getLogger("keystore.control")

RUNS_MAX, RUNS_APART_MAX = 64, 64
"""LIMIT: workflows under way in one process, a thread each: of each name that is registered to wait apart, and of all
others in a queue. One more waits there."""

FORGOTTEN_AT_ONCE_MAX = 500
"""LIMIT: workflows that are forgotten at once, so that nobody waits long for the database."""

CONNECTIONS_MAX = 10
"""LIMIT: of DBOS, to PostgreSQL; a few processes must fit into its usual 100."""

CLOSE_WAIT_S = 30.0
"""LIMIT: seconds that `close` waits for steps under way. A step is a call to a node, with a deadline."""

THREAD_WAIT_S = 10.0


class DbosEngine:
    """An engine on a control database, under a name that no other process on it has.

    Args:
        beat_s: seconds between two signs of life.
        dead_after_s: seconds without one after which others take over; several times `beat_s`.
        poll_s: seconds between two looks for what is to run.
        queue: where its workflows wait that do not wait apart. It runs those of `QUEUE` too.
    """

    def __init__(
        self,
        database: Database,
        name: str,
        *,
        beat_s: float = 1.0,
        dead_after_s: float = 10.0,
        poll_s: float = 0.5,
        queue: str = QUEUE,
    ) -> None:
        self._database, self._name, self._queue = database, name, queue
        self._beat_s, self._poll_s = beat_s, poll_s
        self._dead_after_s = dead_after_s
        self._under_way = UnderWay()
        self._workflows: dict[str, Workflow] = {}
        self._queues: dict[str, str] = {}
        self._closing = Closing()
        self._lost = threading.Event()
        self._threads: list[threading.Thread] = []
        self._executor: Executor | None = None

    @property
    def executor(self) -> Executor:
        """Return which start of which process this is; after `launch`."""
        if self._executor is None:
            raise ControlError("the engine is not running. Nothing was started; launch it first.")
        return self._executor

    def register(self, name: str, workflow: Workflow, *, apart: bool = False) -> None:
        self._workflows[name] = workflow
        self._queues[name] = f"{APART_QUEUE}-{name}" if apart else self._queue

    def launch(self) -> None:
        """As `WorkflowEngine.launch`.

        Raises:
            ControlUnreachableError: the database does not answer; a second try can help.
        """
        self._executor = executors.register(self._database, self._name)
        watch = Watch(self._database, self._dead_after_s, self._executor)
        self._thread(lambda: executors.beat(self._database, self.executor), self._beat_s)
        DBOS(
            config={
                "name": APPLICATION,
                "system_database_url": url_of(self._database),
                "application_version": APPLICATION_VERSION,
                "executor_id": executor_id(self._executor),
                # Below that: a line for each try while the database is away, and an advertisement.
                "log_level": "ERROR",
                "serializer": SERIALIZER,
                "sys_db_pool_size": CONNECTIONS_MAX,
                "use_listen_notify": False,
                "scheduler_polling_interval_sec": 3600.0,
            }
        )
        DBOS.workflow(name=WORKFLOW, max_recovery_attempts=None)(lambda name, arguments: self._run(name, arguments))
        queues = {QUEUE, *self._queues.values()}
        DBOS.listen_queues(sorted(queues))  # not to those of others on the database
        DBOS.launch()
        for queue in queues:
            runs_max = RUNS_MAX if queue in (QUEUE, self._queue) else RUNS_APART_MAX
            DBOS.register_queue(
                queue, worker_concurrency=runs_max, polling_interval_sec=self._poll_s, on_conflict="always_update"
            )
        self._thread(lambda: self.take_over(watch), self._beat_s)

    def start(self, name: str, key: str, arguments: Mapping[str, Any]) -> None:
        if name not in self._workflows:
            raise ControlError(f"there is no workflow {name}. Nothing was started.")
        DBOS.enqueue_workflow_with_options(options(key, self._queues[name]), name, dict(arguments))

    def status(self, key: str) -> Status | None:
        found = DBOS.list_workflows(workflow_ids=[key], load_input=False)
        return status_of(found[0]) if found else None

    def cancel(self, key: str) -> None:
        DBOS.cancel_workflow(key)

    def forget(self, before: datetime) -> int:
        ended = DBOS.list_workflows(
            status=["SUCCESS", "ERROR", "CANCELLED"],
            completed_before=before.isoformat(),
            limit=FORGOTTEN_AT_ONCE_MAX,
            load_input=False,
            load_output=False,
        )
        keys = [found.workflow_id for found in ended]
        if keys:
            DBOS.delete_workflows(keys)
            ownership.forget(self._database, keys)
        return len(keys)

    def fenced(self) -> bool:
        return self._lost.is_set()

    def close(self) -> bool:
        """As `WorkflowEngine.close`; waits up to `CLOSE_WAIT_S` for steps under way. A second call does nothing."""
        if self._executor is None:
            return True
        if not self._closing.wait(CLOSE_WAIT_S):
            LOG.warning("steps are still under way after %s s; whoever goes on with them repeats them", CLOSE_WAIT_S)
        for thread in self._threads:
            thread.join(THREAD_WAIT_S)
        try:
            executors.retire(self._database, self._executor)
        except ControlUnreachableError:
            LOG.warning("the end of %s could not be recorded; others notice it by its silence", self._name)
        DBOS.destroy(destroy_registry=True)
        self._executor = None
        return self._under_way.wait_for_none(THREAD_WAIT_S)

    def take_over(self, watch: Watch) -> list[str]:
        """Have what dead executors left run again, and what ended here without an outcome; return the keys."""
        watch.look()
        # Read before the living: whoever is named here was registered earlier.
        running = DBOS.list_workflows(
            status="PENDING", app_version=APPLICATION_VERSION, load_input=False, load_output=False
        )
        living = {executor_id(executor) for executor in executors.living(self._database)}
        left = [found.workflow_id for found in running if found.executor_id not in living]
        here = [found.workflow_id for found in running if found.executor_id == executor_id(self.executor)]
        left += self._under_way.not_seen_for(self._dead_after_s, here)
        queues = {found.workflow_id: found.queue_name or QUEUE for found in running}
        return [key for key in left if self._resume(key, queues[key])]

    def _resume(self, key: str, queue: str) -> bool:
        try:
            if not ownership.claim(self._database, key, self.executor):
                return False
        except ControlConflictError:
            return False
        # By default it would go to a queue of DBOS's own, beside the limit of ours.
        DBOS.resume_workflow(key, queue_name=queue)
        LOG.warning("took over workflow %s", key)
        return True

    def _run(self, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """Run one of our workflows as DBOS's."""
        key = DBOS.workflow_id
        if key is None:
            raise AssertionError
        with self._under_way.running(key):
            run = DbosRun(self._database, until_reachable(self._closing, lambda: self._begin(key)), self._closing)
            try:
                workflow = self._workflows.get(name)
                if workflow is None:
                    raise ControlError(f"this program knows no workflow {name}. Nothing was done.")
                return outcome.of_value(workflow(run, arguments))
            except (FencedError, dbos_error.DBOSWorkflowConflictIDError):
                # DBOS would have this thread wait for what the other process finds out.
                raise AbandonedError from None
            except Exception as error:
                return outcome.of_error(error, f"workflow {key}")

    def _begin(self, key: str) -> Hold:
        try:
            return ownership.begin(self._database, key, self.executor)
        except ControlConflictError:
            return ownership.begin(self._database, key, self.executor)

    def _thread(self, function: Callable[[], object], every_s: float) -> None:
        def repeat() -> None:
            reachable = True
            while not self._lost.is_set():
                try:
                    function()
                    reachable = True
                except (ControlUnreachableError, SQLAlchemyError) as error:
                    if reachable:
                        LOG.warning("the control database is away: %s", type(error).__name__)
                    reachable = False
                except FencedError as error:
                    LOG.error("%s", error)
                    self._closing.event.set()
                    self._lost.set()
                except Exception:
                    if not self._closing.event.is_set():
                        LOG.exception("a round of the engine failed; the next one tries again")
                if self._closing.event.wait(every_s):
                    return

        thread = threading.Thread(target=repeat, daemon=True)
        self._threads.append(thread)
        thread.start()


class UnderWay:
    """Which workflows run in this process."""

    def __init__(self) -> None:
        self._lock = threading.Condition()
        self._keys: dict[str, int] = {}
        self._missed: dict[str, float] = {}

    @contextmanager
    def running(self, key: str) -> Iterator[None]:
        """Count the block as a run of the workflow."""
        with self._lock:
            self._keys[key] = self._keys.get(key, 0) + 1
        try:
            yield
        finally:
            with self._lock:
                self._keys[key] -= 1
                if not self._keys[key]:
                    del self._keys[key]
                self._lock.notify_all()

    def wait_for_none(self, timeout_s: float) -> bool:
        """Wait until none runs; return whether that is so."""
        with self._lock:
            return self._lock.wait_for(lambda: not self._keys, timeout_s)

    def not_seen_for(self, seconds: float, keys: Sequence[str]) -> list[str]:
        """Return those of `keys` that did not run here at any call for that time; between two runs is no time."""
        now = time.monotonic()
        with self._lock:
            self._missed = {key: self._missed.get(key, now) for key in keys if key not in self._keys}
            return [key for key, since in self._missed.items() if now - since >= seconds]


def executor_id(executor: Executor) -> str:
    """Return the executor's name at DBOS."""
    return f"{executor.name}.{executor.epoch}"
