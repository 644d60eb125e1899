"""Applies the changes of a deployment, one action at a time: begins one, does what it asks for, writes down the end.

    applier.advance(deployment_id, guard)    # until it rests or waits

Leaves to others: which change comes next (`change_order`), and when to try again (`looks`).

Invariants:
1. A change is begun, and recorded as applied or failed, in transactions that only the process may commit that counts
   (`Guard`) and that find it in the state before: so it is applied once.
2. What is done to the world in between may be done again, by whomever.
3. A change that has to wait stays as it is; nothing after it that needs the members is begun.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import sqlalchemy as sa

from keystore.control.clock import Clock
from keystore.control.cluster_keys import ClusterKeys
from keystore.control.clusters import cluster_of
from keystore.control.database import Database
from keystore.control.operation_rows import operation_of
from keystore.control.operations import Guard
from keystore.errors import ApiError, ControlError, KeystoreError, cause_of
from keystore.projects.change_order import ChangeState, Kind, next_change
from keystore.projects.conditions import Life
from keystore.projects.deployment_rows import (
    REASON_CHARACTERS_MAX,
    Change,
    Deployment,
    deployment_of,
    move_change,
    open_changes,
    read_deployment,
    settle,
    store_condition,
    store_in_change,
    store_shape,
)
from keystore.projects.deployments import member_names
from keystore.projects.events import record_event
from keystore.projects.machines import Machines
from keystore.projects.metering import meter
from keystore.projects.node_addresses import assign_addresses, release_addresses
from keystore.projects.shapes import changed
from keystore.projects.stored_schedules import backups_changed
from keystore.projects.supervision import Supervisor

GOES_ON, RESTS, WAITS = "goes on", "rests", "waits"


@dataclass(frozen=True)
class Means:
    """What changes are applied with."""

    database: Database
    clock: Clock
    machines: Machines
    supervisor: Supervisor
    keys: ClusterKeys


Act = Callable[[Means, Deployment, Change, Guard], str]
"""Does what a change asks for, as far as it can; returns why it has to wait, or nothing when all of it is done."""

End = Callable[[sa.Connection, Deployment, Change, int], None]
"""Stores, in the transaction that records a change as applied, what it made of the deployment."""


class Applier:
    """Applies changes with the acts of their kinds."""

    def __init__(self, means: Means, acts: Mapping[Kind, tuple[Act, End]]) -> None:
        self._means, self._acts = means, acts

    def advance(self, deployment_id: str, guard: Guard) -> tuple[str, str]:
        """Do the next action of the deployment's queue; return whether it goes on, rests or waits, and why it waits.

        Raises:
            FencedError: another process goes on with it.
            ControlError: the database failed; whoever comes next finds out how far this one was.
        """
        with self._means.database.read() as connection:
            found = read_deployment(connection, deployment_id)
            waiting = {change.seq: change for change in open_changes(connection, deployment_id)}
        chosen = next_change([change.queued for change in waiting.values()], found.condition)
        if chosen is None:
            return RESTS, ""
        change = waiting[chosen.seq]
        if change.state is ChangeState.QUEUED:
            self._begin(change, guard)
            return GOES_ON, ""
        return self._go_on(found, change, guard)

    def _go_on(self, deployment: Deployment, change: Change, guard: Guard) -> tuple[str, str]:
        act, end = self._acts[change.kind]
        try:
            waits_for = act(self._means, deployment, change, guard)
        except ControlError:
            raise
        except ApiError as error:
            self._end(change, ChangeState.FAILED, str(error), guard, _given_up)
            return GOES_ON, ""
        except KeystoreError as error:
            waits_for = cause_of(error)
        if waits_for:
            self._note(change, waits_for, guard)
            return WAITS, waits_for
        self._end(change, ChangeState.APPLIED, "", guard, end)
        return GOES_ON, ""

    def _note(self, change: Change, reason: str, guard: Guard) -> None:
        kept = reason[:REASON_CHARACTERS_MAX]
        if kept != change.reason:
            with self._means.database.write() as connection:
                guard(connection)
                store_in_change(connection, change.seq, reason=kept)

    def _begin(self, change: Change, guard: Guard) -> None:
        now_ns = self._means.clock.now_ns()
        with self._means.database.write() as connection:
            guard(connection)
            found = deployment_of(connection, change.deployment_id)
            if move_change(connection, change.seq, ChangeState.QUEUED, ChangeState.APPLYING):
                _reserve(connection, found, change, now_ns)
                settle(connection, found.id, now_ns)

    def _end(self, change: Change, state: ChangeState, reason: str, guard: Guard, end: End) -> None:
        now_ns = self._means.clock.now_ns()
        with self._means.database.write() as connection:
            guard(connection)
            found = deployment_of(connection, change.deployment_id)
            if not move_change(connection, change.seq, ChangeState.APPLYING, state, reason=reason, applied_ns=now_ns):
                return
            end(connection, found, change, now_ns)
            after = settle(connection, found.id, now_ns)
            meter(connection, after.project_id, after.id, after.shape, after.condition, now_ns)
            backups_changed(connection, found.id, now_ns)
            detail = {"cluster": found.name, "change": change.seq, "kind": change.kind}
            event = "CLUSTER_UPDATE_COMPLETED" if state is ChangeState.APPLIED else "CLUSTER_UPDATE_FAILED"
            detail |= {"reason": reason} if reason else {}
            record_event(connection, event, found.project_id, found.id, change.actor, now_ns, detail)


def _reserve(connection: sa.Connection, deployment: Deployment, change: Change, now_ns: int) -> None:
    """Store what must be known of a change from its beginning: new addresses, and that it needs customer keys."""
    if change.kind is Kind.UPDATE:
        after = changed(deployment.shape, change.change)
        added = member_names(after.size)[deployment.shape.size :]
        given = assign_addresses(connection, deployment.id, added, now_ns)
        if given:
            tell_addresses(connection, deployment, "CLUSTER_IP_ADDRESSES_ADDED", list(given.values()), now_ns)
        if after.has_customer_keys and deployment.condition.life is Life.ALIVE:
            keyed = changed(deployment.shape, {"provider": after.provider})
            store_shape(connection, deployment.id, keyed)
            meter(connection, deployment.project_id, deployment.id, keyed, deployment.condition, now_ns)
    elif change.kind is Kind.REPLACE:
        member = str(change.change["member"])
        released = release_addresses(connection, deployment.id, [member], now_ns)
        given = assign_addresses(connection, deployment.id, [member], now_ns)
        tell_addresses(connection, deployment, "CLUSTER_IP_ADDRESSES_ADDED", list(given.values()), now_ns)
        tell_addresses(connection, deployment, "CLUSTER_IP_ADDRESSES_RELEASED", released, now_ns)


def _given_up(connection: sa.Connection, deployment: Deployment, change: Change, now_ns: int) -> None:
    """Take back what was stored of a change before it came to touch a member: then no key stops it any more."""
    turned_on = change.kind is Kind.UPDATE and change.change.get("provider", "NONE") != "NONE"
    if turned_on and not _has_touched(connection, change) and not _is_under_customer_key(connection, deployment):
        store_shape(connection, deployment.id, changed(deployment.shape, {"provider": "NONE"}))
        store_condition(connection, deployment, deployment.condition.allowed(), now_ns, deployment.reason)


def _has_touched(connection: sa.Connection, change: Change) -> bool:
    """Tell whether the operation of a change has come to a member."""
    if change.operation_id is None:
        return False
    return any(step.started_ns is not None for step in operation_of(connection, change.operation_id).steps)


def _is_under_customer_key(connection: sa.Connection, deployment: Deployment) -> bool:
    """Tell whether customer keys are on already: they were to go off before that change, and did not."""
    return deployment.cluster_id is not None and cluster_of(connection, deployment.cluster_id).customer_key is not None


def tell_addresses(
    connection: sa.Connection, deployment: Deployment, event: str, addresses: list[str], now_ns: int
) -> None:
    """Record that addresses are to be allowed in the customer's access lists, or no longer."""
    detail = {"cluster": deployment.name, "ipAddresses": addresses}
    record_event(connection, event, deployment.project_id, deployment.id, "system", now_ns, detail)
