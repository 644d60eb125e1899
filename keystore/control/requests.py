"""Takes an order for an operation on a cluster: refuses what cannot work while nothing has begun, and records the rest.

A rotation that is due is not ordered but found (`keystore.control.jobs`), and waits where an order would be refused.
"""

import sqlalchemy as sa

from keystore.control.clock import Clock
from keystore.control.cluster_keys import ClusterKeys
from keystore.control.clusters import Cluster, cluster_named, cluster_of
from keystore.control.database import Database
from keystore.control.due import Due, add_job, hasten_job
from keystore.control.key_check import require_enabled, require_successor, require_usable
from keystore.control.members import MemberStatus
from keystore.control.operation_rows import Kind, Operation, insert_operation, open_operation, operation_of, record_end
from keystore.control.operations import Operator
from keystore.control.rolling import OperationState
from keystore.errors import (
    AgentError,
    ClusterStateError,
    ControlConflictError,
    InputError,
    OperationMissingError,
    OperationOpenError,
    cause_of,
)
from keystore.kms.uri import parse

OPERATION_JOB = "operation"
"""Kind of the job that goes on with an operation; its subject is the operation's id."""


class Requests:
    """The way of orders into the database."""

    def __init__(self, database: Database, clock: Clock, operator: Operator, keys: ClusterKeys) -> None:
        self._database, self._clock = database, clock
        self._operator, self._keys = operator, keys

    def rotate(self, name: str) -> Operation:
        """Order new master keys under the same key.

        Raises:
            ClusterMissingError, OperationOpenError, AgentError, KmsError: nothing was changed.
        """
        cluster, _ = self._ready(name)
        require_enabled(cluster.key_uri, self._keys.connector(name))
        return self._record(cluster, Kind.ROTATE, None)

    def change_cmk(self, name: str, key_uri: str) -> Operation:
        """Order new master keys under another key of the customer.

        Raises:
            InputError, ClusterStateError: the key cannot follow the one in force, or customer keys are off.
            ClusterMissingError, OperationOpenError, AgentError, KmsError: as `rotate`.
        """
        key_uri = parse(key_uri).text
        cluster = cluster_named(self._database, name)
        if cluster.customer_key is None:
            raise ClusterStateError(
                f"cluster {name} has customer keys off. Nothing was changed; turn them on under {key_uri}."
            )
        cluster, statuses = self._ready(name)
        if key_uri != cluster.key_uri or not _are_apart(cluster, statuses):
            require_successor(cluster.key_uri, key_uri)
        require_enabled(cluster.key_uri, self._keys.connector(name))
        require_usable(key_uri, self._keys.connector(name))
        return self._record(cluster, Kind.CHANGE_CMK, key_uri)

    def convert_on(self, name: str, key_uri: str) -> Operation:
        """Order customer keys on, under a key of the customer; errors as `change_cmk`."""
        key_uri = parse(key_uri).text
        cluster = cluster_named(self._database, name)
        if cluster.customer_key not in (None, key_uri):
            raise ClusterStateError(_on_already(cluster))
        if parse(cluster.platform_key) == parse(key_uri):
            raise InputError(f"{key_uri} is the platform key of cluster {name}, not a customer's. Nothing was changed.")
        cluster, statuses = self._ready(name)
        if cluster.customer_key is not None and not _are_apart(cluster, statuses):
            raise ClusterStateError(_on_already(cluster))
        require_usable(key_uri, self._keys.connector(name))
        return self._record(cluster, Kind.CONVERT_ON, key_uri)

    def convert_off(self, name: str) -> Operation:
        """Order customer keys off; errors as `change_cmk`."""
        cluster, statuses = self._ready(name)
        if cluster.customer_key is None and not _are_apart(cluster, statuses):
            raise ClusterStateError(f"cluster {name} has customer keys off already. Nothing was changed.")
        require_enabled(cluster.key_uri, self._keys.connector(name))
        require_usable(cluster.platform_key, self._keys.connector(name))
        return self._record(cluster, Kind.CONVERT_OFF, None)

    def resume(self, name: str) -> Operation:
        """Have the open operation of a cluster tried again now.

        Raises:
            ClusterMissingError, OperationMissingError: there is none.
        """
        cluster = cluster_named(self._database, name)
        with self._database.write() as connection:
            operation = _open(connection, cluster)
            hasten_job(connection, OPERATION_JOB, str(operation.id), self._clock.now_ns())
        return operation

    def abandon(self, name: str) -> Operation:
        """End the open operation of a cluster; members that it touched stay as they are now. Errors as `resume`."""
        cluster = cluster_named(self._database, name)
        with self._database.write() as connection:
            operation = _open(connection, cluster)
            record_end(connection, operation, OperationState.ABANDONED, self._clock.now_ns())
            return operation_of(connection, operation.id)

    def _ready(self, name: str) -> tuple[Cluster, list[MemberStatus]]:
        """Return a cluster of which nothing is being done and all members serve, with their states."""
        cluster = cluster_named(self._database, name)
        with self._database.read() as connection:
            other = open_operation(connection, cluster.id)
        if other is not None:
            raise _is_open(cluster, other)
        return cluster, [self._status(cluster, member) for member in cluster.member_names]

    def _status(self, cluster: Cluster, name: str) -> MemberStatus:
        try:
            return self._operator.status(cluster, name)
        except AgentError as error:
            raise type(error)(
                f"cluster {cluster.name}: {name} does not serve: {cause_of(error)}. Nothing was changed; bring it back "
                "first, for no member is touched while another is away."
            ) from None

    def _record(self, cluster: Cluster, kind: Kind, key_uri: str | None) -> Operation:
        try:
            with self._database.write() as connection:
                operation_id = begin_operation(connection, cluster, kind, key_uri, self._clock.now_ns())
                return operation_of(connection, operation_id)
        except ControlConflictError:
            with self._database.read() as connection:
                other = open_operation(connection, cluster.id)
            if other is None:
                raise
            raise _is_open(cluster, other) from None


def begin_operation(connection: sa.Connection, cluster: Cluster, kind: Kind, key_uri: str | None, now_ns: int) -> int:
    """Record an operation, due at once, and return its id; who is primary is read in this transaction.

    Raises:
        ControlConflictError: the cluster has one already; the caller's transaction must not commit.
    """
    operation_id = insert_operation(connection, cluster_of(connection, cluster.id), kind, key_uri, now_ns)
    add_job(connection, Due(OPERATION_JOB, str(operation_id), now_ns))
    return operation_id


def _are_apart(cluster: Cluster, statuses: list[MemberStatus]) -> bool:
    """Tell whether members are under another key than the cluster's, as an abandoned operation leaves them.

    Then what brought the cluster under its key may be ordered again, to take them back.
    """
    return any(status.key_uri != cluster.key_uri for status in statuses)


def _on_already(cluster: Cluster) -> str:
    return (
        f"cluster {cluster.name} has customer keys on, under {cluster.customer_key}. Nothing was changed; to move to "
        "another key, change the CMK."
    )


def _open(connection: sa.Connection, cluster: Cluster) -> Operation:
    operation = open_operation(connection, cluster.id)
    if operation is None:
        raise OperationMissingError(f"cluster {cluster.name} has no operation that has not ended. Nothing was changed.")
    return operation


def _is_open(cluster: Cluster, other: Operation) -> OperationOpenError:
    why = f" ({other.reason})" if other.reason else ""
    return OperationOpenError(
        f"cluster {cluster.name}: {other.kind} is {other.state} there{why}. Nothing was changed; wait for its end, or "
        "resume it."
    )
