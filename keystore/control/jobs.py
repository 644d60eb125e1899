"""The two jobs of a cluster in the table `due`: a rotation comes due, and an operation goes on.

A cluster has one row of the first kind, always. An operation has one of the second until it ends: after every pause it
is due again, soon where it waits, at the next check where it is halted.

Leaves to others: which process does a job, and that a killed one's is done by another (`keystore.control.engine`).
"""

from keystore.control.clock import Clock
from keystore.control.clusters import cluster_of
from keystore.control.database import Database
from keystore.control.due import Due, finish
from keystore.control.operation_rows import Kind, open_operation, operation_of, record_end, record_pause
from keystore.control.operations import Guard, Operator
from keystore.control.requests import begin_operation
from keystore.control.rolling import Action, Done, Halt, OperationState, Wait

ROTATION_JOB = "rotation"
"""Kind of the job that begins a rotation; its subject is the cluster's id."""

S = 10**9

ROTATION_INTERVAL_NS = 90 * 86400 * S
"""How long a master key is used; requirements, row R26."""

WAIT_NS_MIN, WAIT_NS_MAX = S, 300 * S
"""After how long an operation that waits is tried again: the first time, and at most. It doubles."""

CHECK_INTERVAL_NS = 15 * 60 * S
"""After how long an operation that is halted is tried again; as often as keys are checked; requirements, row R37."""


class Jobs:
    """Does the jobs. Each method may be repeated, and whoever is fenced off changes nothing."""

    def __init__(self, database: Database, clock: Clock, operator: Operator) -> None:
        self._database, self._clock, self._operator = database, clock, operator

    def begin_rotation(self, job: Due, guard: Guard) -> None:
        """Begin the rotation of a cluster if it is due, and make its next row.

        Where another operation is open it is looked at again at the next check. That makes new master keys too: once it
        is done, the next rotation is due an interval after it.
        """
        now_ns = self._clock.now_ns()
        with self._database.write() as connection:
            guard(connection)
            cluster = cluster_of(connection, int(job.subject))
            due_ns = cluster.renewed_ns + ROTATION_INTERVAL_NS
            if cluster.removed_ns is not None:
                finish(connection, job, None)
            elif due_ns > now_ns:
                finish(connection, job, due_ns)
            elif open_operation(connection, cluster.id) is not None:
                finish(connection, job, now_ns + CHECK_INTERVAL_NS)
            else:
                begin_operation(connection, cluster, Kind.ROTATE, None, now_ns)
                finish(connection, job, now_ns + ROTATION_INTERVAL_NS)

    def advance(self, job: Due, guard: Guard) -> Action:
        """Do the next action of the job's operation; as `Operator.advance`."""
        return self._operator.advance(int(job.subject), guard)

    def conclude(self, job: Due, action: Action, guard: Guard) -> None:
        """Write down why the operation does not go on now, and when it is due again."""
        now_ns = self._clock.now_ns()
        with self._database.write() as connection:
            guard(connection)
            operation = operation_of(connection, int(job.subject))
            next_ns = None
            if isinstance(action, Wait):
                record_pause(connection, operation.id, OperationState.RUNNING, action.reason)
                next_ns = now_ns + wait_ns(operation.tries)
            elif isinstance(action, Halt):
                record_pause(connection, operation.id, OperationState.HALTED, action.reason)
                next_ns = now_ns + CHECK_INTERVAL_NS
            elif isinstance(action, Done):
                record_end(connection, operation, OperationState.DONE, now_ns)
            finish(connection, job, next_ns if operation.is_open else None)


def wait_ns(tries: int) -> int:
    """Return for how long to wait after so many tries without progress."""
    return min(WAIT_NS_MIN << min(tries, 32), WAIT_NS_MAX)
