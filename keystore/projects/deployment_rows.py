"""Deployments as they are stored: their shape, their condition, and the look at them that is due.

Every function works in the caller's transaction. What may be asked of a deployment is for `deployments`, what is done
about it for `supervision`.

Invariants:
1. The column `state` is what the condition says, in every committed transaction (`store_condition`, `settle`).
2. `wakes` grows with every reason to look. A look that ends compares it with what it was when it began, under the lock
   of the row: so none is slept through.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa

from keystore.control.due import DONE, Due, add_job, hasten_jobs
from keystore.control.due import OPEN as DUE_OPEN
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
    return _one(connection, deployments.c.id == deployment_id, deployment_id, locks=True)


def read_deployment(connection: sa.Connection, deployment_id: str) -> Deployment:
    """Return a deployment by its id, also one that is gone.

    Raises:
        ApiError: there is none.
    """
    return _one(connection, deployments.c.id == deployment_id, deployment_id)


def deployment_named(connection: sa.Connection, project_id: str, name: str) -> Deployment:
    """Return a living deployment of a project by its name, and lock its row.

    Raises:
        ApiError: there is none.
    """
    return _one(connection, _named(project_id, name), name, project_id, locks=True)


def read_named(connection: sa.Connection, project_id: str, name: str) -> Deployment:
    """Return a living deployment of a project by its name; errors as `deployment_named`."""
    return _one(connection, _named(project_id, name), name, project_id)


def _named(project_id: str, name: str) -> sa.ColumnElement[bool]:
    return _living(project_id) & (deployments.c.name == name)


def _living(project_id: str) -> sa.ColumnElement[bool]:
    return (deployments.c.project_id == project_id) & deployments.c.terminated_ns.is_(None)


def deployments_of(connection: sa.Connection, project_id: str) -> list[Deployment]:
    """Return the living deployments of a project, by name."""
    return _found(connection, _living(project_id))


def locked(connection: sa.Connection, deployment_ids: Sequence[str]) -> list[Deployment]:
    """Return deployments by name, also those that are gone, and lock their rows; there are fewer than 30,000."""
    return _found(connection, deployments.c.id.in_(deployment_ids), locks=True) if deployment_ids else []


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
    (stored,) = store_conditions(connection, [(deployment, after)], now_ns, reason)
    return stored


def store_conditions(
    connection: sa.Connection, those: Sequence[tuple[Deployment, Condition]], now_ns: int, reason: str = ""
) -> list[Deployment]:
    """Record the conditions of deployments at once, as `store_condition`."""
    kept = reason[:REASON_CHARACTERS_MAX]
    stored = [_with_condition(deployment, after, now_ns, kept) for deployment, after in those]
    rows = [
        {
            **_condition_values(each.condition),
            "of_id": each.id,
            "disabled_since_ns": each.disabled_since_ns,
            "reason": each.reason,
            "terminated_ns": each.terminated_ns,
        }
        for each in stored
    ]
    if rows:
        connection.execute(deployments.update().where(deployments.c.id == sa.bindparam("of_id")), rows)
    return stored


def _with_condition(deployment: Deployment, after: Condition, now_ns: int, reason: str) -> Deployment:
    is_disabled = after.disabled_by is not DisabledBy.NOTHING
    since_ns = (deployment.disabled_since_ns or now_ns) if is_disabled else None
    terminated_ns = now_ns if after.life is Life.GONE else deployment.terminated_ns
    return replace(deployment, condition=after, disabled_since_ns=since_ns, reason=reason, terminated_ns=terminated_ns)


def settle(connection: sa.Connection, deployment_id: str, now_ns: int) -> Deployment:
    """Record the state anew after changes came or went."""
    found = deployment_of(connection, deployment_id)
    return store_condition(connection, found, found.condition, now_ns, found.reason)


def wake(connection: sa.Connection, deployment_id: str, now_ns: int) -> None:
    """Have a deployment looked at now, also when a look is under way."""
    wake_all(connection, [deployment_id], now_ns)


def wake_all(connection: sa.Connection, deployment_ids: Sequence[str], now_ns: int) -> None:
    """As `wake`, for several at once."""
    if not deployment_ids:
        return
    mine = deployments.c.id.in_(deployment_ids)
    connection.execute(deployments.update().where(mine).values(wakes=deployments.c.wakes + 1))
    rows = (due.c.kind == SUPERVISE_JOB) & due.c.subject.in_(deployment_ids) & (due.c.state != DUE_OPEN)
    last = sa.select(due.c.subject, sa.func.max(due.c.at_ns).label("last_ns")).where(rows).group_by(due.c.subject)
    last_ns = {row.subject: row.last_ns for row in connection.execute(last)}
    at_ns = {each: max(now_ns, last_ns.get(each, 0) + 1) for each in deployment_ids}
    hasten_jobs(connection, SUPERVISE_JOB, at_ns)


def is_settled(connection: sa.Connection, deployment: Deployment, now_ns: int) -> bool:
    """Tell whether the last look found every process as it is to be, and no other look is due or under way."""
    mine = (due.c.kind == SUPERVISE_JOB) & (due.c.subject == deployment.id) & (due.c.state != DONE)
    rest = (due.c.state == DUE_OPEN) & (due.c.at_ns > now_ns)
    looks = sa.select(sa.func.count()).select_from(due).where(mine, sa.not_(rest))
    return deployment.tries == 0 and connection.scalar(looks) == 0


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


def _one(
    connection: sa.Connection,
    wanted: sa.ColumnElement[bool],
    shown: str,
    project_id: str = "any",
    *,
    locks: bool = False,
) -> Deployment:
    found = _found(connection, wanted, locks=locks)
    if not found:
        raise Code.CLUSTER_NOT_FOUND.error(shown[:80], project_id)
    return found[0]


def _found(connection: sa.Connection, wanted: sa.ColumnElement[bool], *, locks: bool = False) -> list[Deployment]:
    which = sa.select(deployments).where(wanted).order_by(deployments.c.name)
    rows = connection.execute(which.with_for_update() if locks else which).all()
    if not rows:
        return []
    # After the lock: what was ordered until then counts.
    waiting = sa.select(changes.c.deployment_id).where(changes.c.state.in_(OPEN)).distinct()
    mine = changes.c.deployment_id.in_(sa.select(deployments.c.id).where(wanted))
    busy = set(connection.scalars(waiting.where(mine)))
    return [_deployment(row, busy=row.id in busy) for row in rows]


def _deployment(row: sa.Row[Any], *, busy: bool) -> Deployment:
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
