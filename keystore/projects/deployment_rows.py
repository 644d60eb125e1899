"""Deployments as they are stored: their shape, their condition, and the look at them that is due.

Every function works in the caller's transaction. What may be asked of a deployment is for `deployments`, what is done
about it for `supervision`.

Invariants:
1. The column `state` is what the condition says, in every committed transaction (`store_condition`, `settle`).
2. `wakes` grows with every reason to look. A look that ends compares it with what it was when it began, under the lock
   of the row: so none is slept through.
"""

from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa

from keystore.control.due import OPEN as DUE_OPEN
from keystore.control.due import Due, add_job
from keystore.control.tables import due
from keystore.projects.change_order import OPEN, ChangeState, Kind, Queued
from keystore.projects.codes import Code
from keystore.projects.conditions import Condition, DisabledBy, Life
from keystore.projects.shapes import FIELDS, Shape
from keystore.projects.tables import changes, deployments

SUPERVISE_JOB = "supervise"
"""Kind of the job that looks after a deployment; its subject is the deployment's id."""

REASON_CHARACTERS_MAX = 1024
"""LIMIT: characters of a reason; more is cut."""


@dataclass(frozen=True)
class Deployment:
    """A deployment as it stands.

    Attributes:
        cluster_id: of what its processes are, None until it was made.
        reason: why it is disabled or waits, or nothing.
        disabled_since_ns: None while it is not disabled.
        revision: grows with each change that was submitted.
        tries: how often in a row a look had to wait for something.
    """

    id: str
    project_id: str
    name: str
    cluster_id: int | None
    shape: Shape
    condition: Condition
    reason: str
    disabled_since_ns: int | None
    revision: int
    wakes: int
    tries: int
    created_ns: int
    terminated_ns: int | None


@dataclass(frozen=True)
class Change:
    """A change that was submitted; `change` has attributes of a shape, or what its kind needs."""

    seq: int
    deployment_id: str
    kind: Kind
    change: dict[str, Any]
    state: ChangeState
    actor: str
    submitted_ns: int
    applied_ns: int | None
    operation_id: int | None
    reason: str

    @property
    def queued(self) -> Queued:
        return Queued(self.seq, self.kind, self.state)


def deployment_of(connection: sa.Connection, deployment_id: str) -> Deployment:
    """Return a deployment by its id, also one that is gone, and lock its row.

    Raises:
        ApiError: there is none.
    """
    mine = sa.select(deployments).where(deployments.c.id == deployment_id)
    return _one(connection, mine.with_for_update(), deployment_id)


def read_deployment(connection: sa.Connection, deployment_id: str) -> Deployment:
    """Return a deployment by its id, also one that is gone.

    Raises:
        ApiError: there is none.
    """
    return _one(connection, sa.select(deployments).where(deployments.c.id == deployment_id), deployment_id)


def deployment_named(connection: sa.Connection, project_id: str, name: str) -> Deployment:
    """Return a living deployment of a project by its name, and lock its row.

    Raises:
        ApiError: there is none.
    """
    return _one(connection, _named(project_id, name).with_for_update(), name, project_id)


def read_named(connection: sa.Connection, project_id: str, name: str) -> Deployment:
    """Return a living deployment of a project by its name; errors as `deployment_named`."""
    return _one(connection, _named(project_id, name), name, project_id)


def _named(project_id: str, name: str) -> sa.Select[Any]:
    wanted = (deployments.c.project_id == project_id) & (deployments.c.name == name)
    return sa.select(deployments).where(wanted, deployments.c.terminated_ns.is_(None))


def deployments_of(connection: sa.Connection, project_id: str) -> list[Deployment]:
    """Return the living deployments of a project, by name."""
    wanted = (deployments.c.project_id == project_id) & deployments.c.terminated_ns.is_(None)
    rows = connection.execute(sa.select(deployments).where(wanted).order_by(deployments.c.name)).all()
    return [_deployment(connection, row) for row in rows]


def insert_deployment(
    connection: sa.Connection, deployment_id: str, project_id: str, name: str, shape: Shape, now_ns: int
) -> None:
    """Record a new deployment, which nobody looks at yet (`wake`)."""
    condition = Condition(Life.CREATING)
    row = {
        "id": deployment_id,
        "project_id": project_id,
        "name": name,
        **vars(shape),
        **_condition_values(condition),
        "reason": "",
        "revision": 1,
        "wakes": 0,
        "tries": 0,
        "created_ns": now_ns,
    }
    connection.execute(deployments.insert().values(row))
    add_job(connection, Due(SUPERVISE_JOB, deployment_id, now_ns))


def count_tries(connection: sa.Connection, deployment_id: str, tries: int) -> None:
    """Record how often in a row a look had to wait."""
    connection.execute(deployments.update().where(deployments.c.id == deployment_id).values(tries=tries))


def store_cluster(connection: sa.Connection, deployment_id: str, cluster_id: int) -> None:
    """Record what the processes of a deployment are those of."""
    connection.execute(deployments.update().where(deployments.c.id == deployment_id).values(cluster_id=cluster_id))


def store_shape(connection: sa.Connection, deployment_id: str, shape: Shape) -> None:
    """Record what a deployment is now."""
    connection.execute(deployments.update().where(deployments.c.id == deployment_id).values(vars(shape)))


def store_condition(
    connection: sa.Connection, deployment: Deployment, after: Condition, now_ns: int, reason: str = ""
) -> Deployment:
    """Record a condition, and since when it is disabled; return the deployment as it is then."""
    is_disabled = after.disabled_by is not DisabledBy.NOTHING
    since_ns = (deployment.disabled_since_ns or now_ns) if is_disabled else None
    kept = reason[:REASON_CHARACTERS_MAX]
    values = {**_condition_values(after), "disabled_since_ns": since_ns, "reason": kept}
    if after.life is Life.GONE:
        values["terminated_ns"] = now_ns
    connection.execute(deployments.update().where(deployments.c.id == deployment.id).values(values))
    terminated_ns = now_ns if after.life is Life.GONE else deployment.terminated_ns
    return replace(deployment, condition=after, disabled_since_ns=since_ns, reason=kept, terminated_ns=terminated_ns)


def settle(connection: sa.Connection, deployment_id: str, now_ns: int) -> Deployment:
    """Record the state anew after changes came or went."""
    found = deployment_of(connection, deployment_id)
    return store_condition(connection, found, found.condition, now_ns, found.reason)


def wake(connection: sa.Connection, deployment_id: str, now_ns: int) -> None:
    """Have a deployment looked at now, also when a look is under way."""
    mine = deployments.c.id == deployment_id
    connection.execute(deployments.update().where(mine).values(wakes=deployments.c.wakes + 1))
    rows = (due.c.kind == SUPERVISE_JOB) & (due.c.subject == deployment_id)
    last_ns = connection.scalar(sa.select(sa.func.max(due.c.at_ns)).where(rows, due.c.state != DUE_OPEN))
    at_ns = now_ns if last_ns is None else max(now_ns, last_ns + 1)
    later = rows & (due.c.state == DUE_OPEN) & (due.c.at_ns > at_ns)
    connection.execute(due.update().where(later).values(at_ns=at_ns))


def insert_change(
    connection: sa.Connection, deployment_id: str, kind: Kind, change: dict[str, Any], actor: str, now_ns: int
) -> int:
    """Record a change in the deployment's queue, have it looked at, and return its number."""
    row = {
        "deployment_id": deployment_id,
        "kind": kind,
        "change": change,
        "state": ChangeState.QUEUED,
        "actor": actor,
        "submitted_ns": now_ns,
        "reason": "",
    }
    seq: int = connection.execute(changes.insert().values(row).returning(changes.c.seq)).scalar_one()
    revision = deployments.update().where(deployments.c.id == deployment_id)
    connection.execute(revision.values(revision=deployments.c.revision + 1))
    settle(connection, deployment_id, now_ns)
    wake(connection, deployment_id, now_ns)
    return seq


def changes_of(connection: sa.Connection, deployment_id: str) -> list[Change]:
    """Return all changes of a deployment, in their order."""
    rows = connection.execute(
        sa.select(changes).where(changes.c.deployment_id == deployment_id).order_by(changes.c.seq)
    ).all()
    return [_change(row) for row in rows]


def open_changes(connection: sa.Connection, deployment_id: str) -> list[Change]:
    """Return the changes of a deployment that were not applied yet, in their order."""
    return [change for change in changes_of(connection, deployment_id) if change.state in OPEN]


def change_of(connection: sa.Connection, seq: int) -> Change:
    """Return a change by its number."""
    return _change(connection.execute(sa.select(changes).where(changes.c.seq == seq)).one())


def move_change(connection: sa.Connection, seq: int, before: ChangeState, after: ChangeState, **values: object) -> bool:
    """Bring a change from one state to another; return whether this call did it."""
    mine = (changes.c.seq == seq) & (changes.c.state == before)
    moved = connection.execute(changes.update().where(mine).values({"state": after, **values}))
    return bool(moved.rowcount)


def store_in_change(connection: sa.Connection, seq: int, **values: object) -> None:
    """Record how far a change is."""
    connection.execute(changes.update().where(changes.c.seq == seq).values(values))


def _one(connection: sa.Connection, which: sa.Select[Any], shown: str, project_id: str = "any") -> Deployment:
    row = connection.execute(which).one_or_none()
    if row is None:
        raise Code.CLUSTER_NOT_FOUND.error(shown[:80], project_id)
    return _deployment(connection, row)


def _deployment(connection: sa.Connection, row: sa.Row[Any]) -> Deployment:
    waiting = sa.select(sa.func.count()).select_from(changes)
    wanted = (changes.c.deployment_id == row.id) & changes.c.state.in_(OPEN)
    busy = bool(connection.scalar(waiting.where(wanted)))
    values = row._mapping
    return Deployment(
        row.id,
        row.project_id,
        row.name,
        row.cluster_id,
        Shape(**{name: values[name] for name in FIELDS}),
        Condition(Life(row.life), DisabledBy(row.disabled_by), row.paused, busy),
        row.reason,
        row.disabled_since_ns,
        row.revision,
        row.wakes,
        row.tries,
        row.created_ns,
        row.terminated_ns,
    )


def _condition_values(condition: Condition) -> dict[str, object]:
    return {
        "life": condition.life,
        "disabled_by": condition.disabled_by,
        "paused": condition.paused,
        "state": condition.state,
    }


def _change(row: sa.Row[Any]) -> Change:
    values = dict(row._mapping)
    return Change(**values | {"kind": Kind(row.kind), "state": ChangeState(row.state)})
