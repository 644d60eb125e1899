"""Operations on clusters and their steps, in SQL. What comes next is decided by `keystore.control.rolling`.

Every function works in the caller's transaction, which has made sure that this process may still act (`Run.guard`).

Invariants:
1. A cluster has one open operation at most (a unique index).
2. `open_step` opens a step only while no other one of the operation is open: an open step is the lock of its cluster.
3. The generation that a member is asked to change is written before it is asked, and stays until the answer: so that
   whoever asks again, after whatever crash, asks for the same change.
"""

from dataclasses import dataclass
from enum import StrEnum

import sqlalchemy as sa

from keystore.control.clusters import Cluster
from keystore.control.rolling import OPEN_STATES, Act, OperationState, Progress, Step, StepState, plan
from keystore.control.tables import clusters, operations, steps
from keystore.errors import FencedError, OperationMissingError

REASON_CHARACTERS_MAX = 1024
"""LIMIT: characters of a reason; more is cut."""


class Kind(StrEnum):
    """What an operation does to every member, each time with a new master key."""

    ROTATE = "rotate"
    """Under the same key."""
    CHANGE_CMK = "change-cmk"
    """Under another key of the customer."""
    CONVERT_ON = "convert-on"
    """Customer keys on: under the customer's key, stores rewritten above a volume layer under the platform key."""
    CONVERT_OFF = "convert-off"
    """Customer keys off: under the platform key, stores rewritten without a volume layer."""


@dataclass(frozen=True)
class StepRecord(Step):
    """A step with what is known of it; times are on the control plane's clock.

    Attributes:
        bytes_done, bytes_total: how far a conversion is with the member's stores.
    """

    attempts: int = 0
    started_ns: int | None = None
    finished_ns: int | None = None
    generation_before: int | None = None
    generation_after: int | None = None
    bytes_done: int | None = None
    bytes_total: int | None = None


@dataclass(frozen=True)
class Operation:
    """One operation.

    Attributes:
        key_uri: the key that a change or a conversion leads to; None for a rotation.
        reason: why it waits or is halted, or nothing.
        tries: how often it had to wait since something was last done.
    """

    id: int
    cluster_id: int
    kind: Kind
    key_uri: str | None
    state: OperationState
    reason: str
    tries: int
    requested_ns: int
    started_ns: int | None
    finished_ns: int | None
    steps: tuple[StepRecord, ...]

    @property
    def is_open(self) -> bool:
        return self.state in OPEN_STATES

    @property
    def renewed_all(self) -> bool:
        """Whether every member has a new master key by it; what is ordered to take some back leaves the others."""
        touches = [step for step in self.steps if step.act is Act.TOUCH]
        return all(step.generation_after != step.generation_before for step in touches)

    def progress(self, cluster: Cluster) -> Progress:
        """Return it as `rolling.next_action` takes it."""
        return Progress(self.state, cluster.member_names, cluster.primary, self.steps)


def insert_operation(connection: sa.Connection, cluster: Cluster, kind: Kind, key_uri: str | None, now_ns: int) -> int:
    """Record an operation with its plan, and return its id; the index refuses a second open one."""
    row = {
        "cluster_id": cluster.id,
        "kind": kind.value,
        "key_uri": key_uri,
        "state": OperationState.PENDING.value,
        "reason": "",
        "tries": 0,
        "requested_ns": now_ns,
    }
    operation_id: int = connection.execute(operations.insert().values(row).returning(operations.c.id)).scalar_one()
    lines = [
        {
            "operation_id": operation_id,
            "position": step.position,
            "act": step.act.value,
            "member": step.member,
            "state": step.state.value,
            "attempts": 0,
        }
        for step in plan(cluster.member_names, cluster.primary)
    ]
    connection.execute(steps.insert(), lines)
    return operation_id


def operation_of(connection: sa.Connection, operation_id: int) -> Operation:
    """Return an operation.

    Raises:
        OperationMissingError: there is none of that id.
    """
    row = connection.execute(sa.select(operations).where(operations.c.id == operation_id)).one_or_none()
    if row is None:
        raise OperationMissingError(f"there is no operation {operation_id}. Nothing was changed.")
    return _operation(connection, row)


def open_operation(connection: sa.Connection, cluster_id: int) -> Operation | None:
    """Return the operation of a cluster that has not ended, if there is one."""
    wanted = (operations.c.cluster_id == cluster_id) & operations.c.state.in_(OPEN_STATES)
    row = connection.execute(sa.select(operations).where(wanted)).one_or_none()
    return None if row is None else _operation(connection, row)


def operations_of(connection: sa.Connection, cluster_id: int) -> list[Operation]:
    """Return all operations of a cluster, the oldest first."""
    rows = connection.execute(
        sa.select(operations).where(operations.c.cluster_id == cluster_id).order_by(operations.c.id)
    ).all()
    return [_operation(connection, row) for row in rows]


def open_step(connection: sa.Connection, operation_id: int, position: int, generation: int, now_ns: int) -> StepRecord:
    """Record that a member is about to be asked to change its master key of `generation`, and return the step.

    Of a step that was open already the generation of then stays.

    Raises:
        FencedError: the operation has ended, or another of its steps is open.
    """
    another = steps.alias()
    busy = sa.exists().where(
        another.c.operation_id == operation_id,
        another.c.position != position,
        another.c.state == StepState.OPEN,
    )
    changed = connection.execute(
        steps.update()
        .where(_is(operation_id, position), steps.c.state != StepState.DONE, ~busy, _goes_on(operation_id))
        .values(
            state=StepState.OPEN,
            attempts=steps.c.attempts + 1,
            started_ns=sa.func.coalesce(steps.c.started_ns, now_ns),
            generation_before=sa.func.coalesce(steps.c.generation_before, generation),
        )
    )
    _require_one(changed, operation_id)
    started = sa.func.coalesce(operations.c.started_ns, now_ns)
    running = operations.update().where(operations.c.id == operation_id)
    connection.execute(running.values(state=OperationState.RUNNING, started_ns=started))
    return next(step for step in operation_of(connection, operation_id).steps if step.position == position)


def close_step(connection: sa.Connection, operation_id: int, position: int, generation: int, now_ns: int) -> None:
    """Record that a step had its effect; a second call changes nothing."""
    connection.execute(
        steps.update()
        .where(_is(operation_id, position), steps.c.state == StepState.OPEN)
        .values(state=StepState.DONE, finished_ns=now_ns, generation_after=generation)
    )
    _made_progress(connection, operation_id)


def forget_generation(connection: sa.Connection, operation_id: int, position: int) -> None:
    """Take back an open step whose member has another generation than expected: the next try looks again."""
    connection.execute(
        steps.update()
        .where(_is(operation_id, position), steps.c.state == StepState.OPEN)
        .values(state=StepState.PENDING, generation_before=None)
    )


def close_step_down(connection: sa.Connection, operation: Operation, position: int, to: str, now_ns: int) -> None:
    """Make `to` the primary, and record the step.

    Raises:
        FencedError: the operation has ended, or a step of it is open on another member.
    """
    cluster = clusters.update().where(clusters.c.id == operation.cluster_id, _goes_on(operation.id))
    newer = {"primary_member": to, "topology_version": clusters.c.topology_version + 1}
    _require_one(connection.execute(cluster.values(newer)), operation.id)
    connection.execute(
        steps.update()
        .where(_is(operation.id, position))
        .values(
            state=StepState.DONE,
            attempts=steps.c.attempts + 1,
            started_ns=sa.func.coalesce(steps.c.started_ns, now_ns),
            finished_ns=now_ns,
        )
    )
    _made_progress(connection, operation.id)


def record_pause(connection: sa.Connection, operation_id: int, state: OperationState, reason: str) -> None:
    """Record that the operation waits (running) or is halted, and why."""
    connection.execute(
        operations.update()
        .where(operations.c.id == operation_id, operations.c.state.in_(OPEN_STATES))
        .values(state=state, reason=reason[:REASON_CHARACTERS_MAX], tries=operations.c.tries + 1)
    )


def record_bytes(connection: sa.Connection, operation_id: int, position: int, done: int, total: int) -> None:
    """Record how far a conversion is."""
    connection.execute(steps.update().where(_is(operation_id, position)).values(bytes_done=done, bytes_total=total))


def record_end(connection: sa.Connection, operation: Operation, state: OperationState, now_ns: int) -> bool:
    """Record that the operation ended; return whether this call did it."""
    ended = connection.execute(
        operations.update()
        .where(operations.c.id == operation.id, operations.c.state.in_(OPEN_STATES))
        .values(state=state, reason="", finished_ns=now_ns)
    )
    if ended.rowcount and state is OperationState.DONE:
        values: dict[str, object] = {"renewed_ns": now_ns if operation.renewed_all else clusters.c.renewed_ns}
        if operation.kind is not Kind.ROTATE:
            values["customer_key"] = None if operation.kind is Kind.CONVERT_OFF else operation.key_uri
        connection.execute(clusters.update().where(clusters.c.id == operation.cluster_id).values(values))
    return bool(ended.rowcount)


def _made_progress(connection: sa.Connection, operation_id: int) -> None:
    progress = operations.update().where(operations.c.id == operation_id, operations.c.state.in_(OPEN_STATES))
    connection.execute(progress.values(state=OperationState.RUNNING, reason="", tries=0))


def _is(operation_id: int, position: int) -> sa.ColumnElement[bool]:
    return (steps.c.operation_id == operation_id) & (steps.c.position == position)


def _goes_on(operation_id: int) -> sa.ColumnElement[bool]:
    return sa.exists().where(operations.c.id == operation_id, operations.c.state.in_(OPEN_STATES))


def _require_one(changed: sa.CursorResult[tuple[object, ...]], operation_id: int) -> None:
    if changed.rowcount != 1:
        raise FencedError(
            f"operation {operation_id} has ended, or another process goes on with it. This one leaves it alone."
        )


def _operation(connection: sa.Connection, row: sa.Row[tuple[object, ...]]) -> Operation:
    found = connection.execute(sa.select(steps).where(steps.c.operation_id == row.id).order_by(steps.c.position)).all()
    values = dict(row._mapping)
    values |= {"kind": Kind(row.kind), "state": OperationState(row.state)}
    return Operation(**values, steps=tuple(_step(step) for step in found))


def _step(row: sa.Row[tuple[object, ...]]) -> StepRecord:
    values = dict(row._mapping)
    del values["operation_id"]
    return StepRecord(**values | {"act": Act(row.act), "state": StepState(row.state)})
