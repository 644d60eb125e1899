"""Carries out a rolling operation, one action at a time: asks the members, does what was decided, writes it down.

    operator = Operator(database, clock, connect_member, keys)
    while isinstance(operator.advance(operation_id, guard), Touch | StepDown):
        pass

Leaves to others: what comes next (`keystore.control.rolling`), when to try again (`keystore.control.jobs`), and that
one process at a time does it (`Guard`).

Invariants:
1. Before a member is asked, its step is open in the database, with the generation that it is asked to change.
2. A process that was taken for dead writes nothing. What it still asks of a member is what its successor asks, so it
   happens once.
3. Before each touch every member serves, and every key that the operation needs may be used.
4. A member is asked with no transaction open.
5. A step-down is told to the cluster's router before the next touch.
"""

import time
from collections.abc import Callable
from contextlib import closing

import sqlalchemy as sa

from keystore.control.clock import Clock
from keystore.control.cluster_keys import ClusterKeys
from keystore.control.clusters import Cluster, cluster_of
from keystore.control.database import Database
from keystore.control.key_check import require_enabled
from keystore.control.members import Member, MemberConnector, MemberStatus
from keystore.control.operation_rows import (
    Kind,
    Operation,
    StepRecord,
    close_step,
    close_step_down,
    forget_generation,
    open_step,
    operation_of,
    record_bytes,
)
from keystore.control.rolling import Action, Halt, Health, StepDown, Touch, Wait, next_action
from keystore.control.routers import tell_router
from keystore.errors import (
    CertificateError,
    ControlError,
    ConversionUnfinishedError,
    GenerationError,
    KeystoreError,
    KmsUnreachableError,
    NodeUnreachableError,
    TopologyError,
    cause_of,
)
from keystore.progress import Progress

Guard = Callable[[sa.Connection], None]
"""Makes sure, in a transaction, that this process may still act; raises `FencedError` if not."""

BYTES_EVERY_S = 0.5
"""How often the progress of a conversion is written down."""


class Operator:
    """What an operation needs to get on."""

    def __init__(self, database: Database, clock: Clock, connect_member: MemberConnector, keys: ClusterKeys) -> None:
        self._database, self._clock, self._connect_member, self._keys = database, clock, connect_member, keys

    def advance(self, operation_id: int, guard: Guard) -> Action:
        """Do the next action of an operation, and return it; or return why there is none to be done now.

        Raises:
            FencedError: another process goes on with it.
            ControlError: the database failed; whoever comes next finds out how far this one was.
        """
        with self._database.read() as connection:
            operation = operation_of(connection, operation_id)
            cluster = cluster_of(connection, operation.cluster_id)
        action = next_action(operation.progress(cluster), self.health(cluster) if operation.is_open else {})
        try:
            if operation.is_open:
                tell_router(cluster)
            if isinstance(action, Touch):
                self._touch(cluster, operation, action, guard)
            elif isinstance(action, StepDown):
                self._step_down(operation, action, guard)
        except ControlError:
            raise
        except KeystoreError as error:
            return after_failure(error)
        return action

    def health(self, cluster: Cluster) -> dict[str, Health]:
        """Ask every member whether it serves."""
        return {name: self._health_of(cluster, name) for name in cluster.member_names}

    def status(self, cluster: Cluster, name: str) -> MemberStatus:
        """Ask a member how it is; errors as `Member`."""
        with closing(self._connect_member(cluster, name)) as member:
            return member.status()

    def _health_of(self, cluster: Cluster, name: str) -> Health:
        try:
            self.status(cluster, name)
        except KeystoreError as error:
            return Health(False, cause_of(error))
        return Health(True)

    def _step_down(self, operation: Operation, action: StepDown, guard: Guard) -> None:
        with self._database.write() as connection:
            guard(connection)
            close_step_down(connection, operation, action.position, action.to, self._clock.now_ns())

    def _touch(self, cluster: Cluster, operation: Operation, action: Touch, guard: Guard) -> None:
        needed, connect = keys_needed(cluster, operation), self._keys.connector(cluster.name)
        for key_uri in needed:
            require_enabled(key_uri, connect)
        with closing(self._connect_member(cluster, action.member)) as member:
            status = member.status()
            if credentials := self._keys.message(cluster, needed):
                member.give_credentials(credentials)
            step = self._open_step(operation, action, status, guard)
            if operation.kind is Kind.CHANGE_CMK and status.key_uri == operation.key_uri:
                after = status.generation  # by an earlier attempt, or an operation that was abandoned
            else:
                after = self._ask(cluster, operation, step, member, guard)
        with self._database.write() as connection:
            guard(connection)
            close_step(connection, operation.id, action.position, after, self._clock.now_ns())

    def _open_step(self, operation: Operation, action: Touch, status: MemberStatus, guard: Guard) -> StepRecord:
        with self._database.write() as connection:
            guard(connection)
            return open_step(connection, operation.id, action.position, status.generation, self._clock.now_ns())

    def _ask(self, cluster: Cluster, operation: Operation, step: StepRecord, member: Member, guard: Guard) -> int:
        """Have the member do it; return the generation of its master key then."""
        expected = step.generation_before or 0
        key_uri = operation.key_uri or cluster.platform_key
        try:
            if operation.kind is Kind.ROTATE:
                return member.rotate_master(expected)
            if operation.kind is Kind.CHANGE_CMK:
                return member.change_cmk(key_uri, expected)
            volume_key = cluster.platform_key if operation.kind is Kind.CONVERT_ON else None
            return member.convert(key_uri, volume_key, expected, self._telling(operation.id, step.position, guard))
        except GenerationError:
            with self._database.write() as connection:
                guard(connection)
                forget_generation(connection, operation.id, step.position)
            raise

    def _telling(self, operation_id: int, position: int, guard: Guard) -> Progress:
        """Return a progress that is written down now and then."""
        told_s = 0.0

        def tell(done: int, total: int) -> None:
            nonlocal told_s
            if done < total and time.monotonic() - told_s < BYTES_EVERY_S:
                return
            told_s = time.monotonic()
            with self._database.write() as connection:
                guard(connection)
                record_bytes(connection, operation_id, position, done, total)

        return tell


_WAITED_FOR = (KmsUnreachableError, NodeUnreachableError, CertificateError, ConversionUnfinishedError, TopologyError)


def keys_needed(cluster: Cluster, operation: Operation) -> list[str]:
    """Return the keys that must be usable before a member is touched.

    The former key is among them: a member that fell while it is disabled would not come back.
    """
    if operation.kind is Kind.CONVERT_OFF:
        return [cluster.key_uri, cluster.platform_key]
    wanted = [cluster.key_uri, operation.key_uri]
    if operation.kind is Kind.CONVERT_ON:
        wanted.append(cluster.platform_key)
    return list(dict.fromkeys(key_uri for key_uri in wanted if key_uri))


def after_failure(error: KeystoreError) -> Wait | Halt:
    """Return what the failure of a step means: nobody answers, so wait; somebody says no, so halt."""
    if isinstance(error, _WAITED_FOR):
        return Wait(cause_of(error))
    return Halt(cause_of(error))
