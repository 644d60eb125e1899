"""The look at a deployment, as a job that is always due again: its processes first, then its queue of changes.

A deployment has one row of the kind `SUPERVISE_JOB` until it is gone. So one process at a time looks after it, and two
changes of it are never applied at once.
"""

from dataclasses import dataclass

from keystore.control.cluster_keys import ClusterKeys
from keystore.control.due import Due, finish
from keystore.control.engine import Run, WorkflowEngine
from keystore.control.jobs import CHECK_INTERVAL_NS, wait_ns
from keystore.control.operations import Guard
from keystore.projects.applying import GOES_ON, Applier, Means
from keystore.projects.change_acts import ACTS
from keystore.projects.change_order import ChangeState
from keystore.projects.conditions import DisabledBy, Life
from keystore.projects.deployment_rows import (
    SUPERVISE_JOB,
    count_tries,
    deployment_of,
    open_changes,
    read_deployment,
)
from keystore.projects.machines import Machines
from keystore.projects.plane import ProjectPlane
from keystore.projects.supervision import Supervisor

LOOK_EVERY_NS = CHECK_INTERVAL_NS
"""After how long a deployment is looked at again that is as it is to be."""

OPERATION_LOOK_NS = 15 * 10**9
"""LIMIT: after how long it is looked at again while members get new master keys."""

ACTIONS_MAX = 100
"""LIMIT: actions on its changes in one look; two for each change. Then it is looked at again."""


@dataclass(frozen=True)
class Looks:
    """Looks at deployments. Each method may be repeated, and whoever is fenced off changes nothing."""

    means: Means
    applier: Applier

    def begin(self, job: Due) -> int:
        """Return how often there was a reason to look until now."""
        with self.means.database.read() as connection:
            return read_deployment(connection, job.subject).wakes

    def keep(self, job: Due, guard: Guard) -> str:
        """As `Supervisor.keep`."""
        return self.means.supervisor.keep(job.subject, guard)

    def advance(self, job: Due, guard: Guard) -> tuple[str, str]:
        """As `Applier.advance`."""
        return self.applier.advance(job.subject, guard)

    def conclude(self, job: Due, wakes: int, reason: str, guard: Guard) -> None:
        """Write down when it is looked at again: at once if there was another reason to look meanwhile.

        Args:
            reason: why something is not yet as it is to be, or nothing.
        """
        now_ns = self.means.clock.now_ns()
        with self.means.database.write() as connection:
            guard(connection)
            found = deployment_of(connection, job.subject)
            waits = bool(reason) or found.condition.disabled_by is DisabledBy.OUTAGE
            count_tries(connection, found.id, found.tries + 1 if waits else 0)
            pause_ns = LOOK_EVERY_NS
            if found.wakes != wakes:
                pause_ns = 0
            elif waits:
                pause_ns = wait_ns(found.tries)
            for change in open_changes(connection, found.id):
                if change.state is ChangeState.APPLYING and change.operation_id is not None:
                    pause_ns = min(pause_ns, OPERATION_LOOK_NS)
            gone = found.condition.life is Life.GONE
            finish(connection, job, None if gone else max(now_ns + pause_ns, job.at_ns + 1))


def create_looks(plane: ProjectPlane, machines: Machines, keys: ClusterKeys) -> Looks:
    """Put together what looks at the deployments of a plane."""
    supervisor = Supervisor(plane.database, plane.clock, machines, keys)
    means = Means(plane.database, plane.clock, machines, supervisor, keys)
    return Looks(means, Applier(means, ACTS))


def register_looks(engine: WorkflowEngine, looks: Looks) -> None:
    """Tell an engine what the job is; its kind is `SUPERVISE_JOB`."""
    engine.register(SUPERVISE_JOB, lambda run, row: _look(looks, run, Due(**row)))


def _look(looks: Looks, run: Run, job: Due) -> None:
    wakes = run.step("begin", lambda: looks.begin(job))
    reason = run.step("processes", lambda: looks.keep(job, run.guard))
    for number in range(ACTIONS_MAX):
        told, why = run.step(f"change {number}", lambda: list(looks.advance(job, run.guard)))
        reason = why or reason
        if told != GOES_ON:
            break
    run.step("conclude", lambda: looks.conclude(job, wakes, reason, run.guard))
