"""How far a change of a cluster's keys is with each node, as the API shows it."""

import sqlalchemy as sa

from keystore.control.operation_rows import operation_of
from keystore.projects.deployment_rows import Change
from keystore.rest.routing import Answer


class NodeStep(Answer, frozen=True):
    """What is done to a node: a new master key, or that it steps down as the primary."""

    node: str
    act: str
    state: str
    generation_before: int | None = None
    generation_after: int | None = None
    bytes_done: int | None = None
    bytes_total: int | None = None


class RollingOperation(Answer, frozen=True):
    """What is done to all nodes, one after the other."""

    kind: str
    state: str
    steps: list[NodeStep]
    reason: str = ""


def progress_of(connection: sa.Connection, change: Change) -> RollingOperation | None:
    """Return how far a change is with each node; None if it touches no keys, or has not begun to."""
    if change.operation_id is None:
        return None
    operation = operation_of(connection, change.operation_id)
    steps = [
        NodeStep(
            node=step.member,
            act=step.act.value,
            state=step.state.value,
            generation_before=step.generation_before,
            generation_after=step.generation_after,
            bytes_done=step.bytes_done,
            bytes_total=step.bytes_total,
        )
        for step in operation.steps
    ]
    return RollingOperation(
        kind=operation.kind.value, state=operation.state.value, steps=steps, reason=operation.reason
    )
