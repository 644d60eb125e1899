"""What each kind of change does to the machines of a deployment, and what it makes of the deployment when that is done.

Invariants:
1. Each act may be done again after it was cut off anywhere, and goes on where it was.
2. Files of a member are removed only when the database knows no such member, and its processes have ended.
"""

from collections.abc import Mapping
from dataclasses import replace

import sqlalchemy as sa

from keystore.control.clusters import Cluster, add_member, cluster_of, mark_removed, remove_members
from keystore.control.founding import record_cluster
from keystore.control.operation_rows import Kind as OperationKind
from keystore.control.operation_rows import open_operation, operation_of, record_end
from keystore.control.operations import Guard
from keystore.control.requests import begin_operation
from keystore.control.rolling import OperationState
from keystore.control.routers import tell_router
from keystore.errors import KmsUnreachableError, cause_of
from keystore.projects.alerts import complete_rotation
from keystore.projects.applying import Act, End, Means, tell_addresses
from keystore.projects.change_order import ChangeState, Kind
from keystore.projects.codes import Code
from keystore.projects.conditions import Life
from keystore.projects.deployment_rows import (
    Change,
    Deployment,
    move_change,
    open_changes,
    store_cluster,
    store_condition,
    store_in_change,
    store_shape,
)
from keystore.projects.deployments import member_names, require_configured
from keystore.projects.keyed_deployments import deployments_using
from keystore.projects.machines import unplaced
from keystore.projects.node_addresses import addresses_of, release_addresses
from keystore.projects.shapes import changed, version_key
from keystore.projects.tables import configurations


def create(means: Means, deployment: Deployment, change: Change, guard: Guard) -> str:
    """Make the nodes, record the cluster, and have its processes run."""
    if deployment.cluster_id is None:
        _make(means, deployment, guard)
    return means.supervisor.keep(deployment.id, guard)


def update(means: Means, deployment: Deployment, change: Change, guard: Guard) -> str:
    """Bring members and keys to what they are to be; the rest of a shape is only stored."""
    after = changed(deployment.shape, change.change)
    return (
        _grow(means, deployment, after.size, guard)
        or _shrink(means, deployment, after.size, guard)
        or _convert(means, deployment, change, guard)
    )


def change_key(means: Means, deployment: Deployment, change: Change, guard: Guard) -> str:
    """Have every member get a master key under the project's new key."""
    key_uri = str(change.change["key_uri"])
    if change.operation_id is None and deployment.shape.provider != change.change["key_provider"]:
        return ""  # customer keys went off before it came to that
    if change.operation_id is None and _cluster(means, deployment).customer_key == key_uri:
        return ""
    return _operate(means, deployment, change, OperationKind.CHANGE_CMK, key_uri, guard)


def replace_machine(means: Means, deployment: Deployment, change: Change, guard: Guard) -> str:
    """Start the host of a member anew, which calls the KMS from the member's new address."""
    member = str(change.change["member"])
    cluster, addresses = _cluster(means, deployment), _addresses(means, deployment)
    if change.change.get("address") != addresses[member]:
        means.machines.hosts(deployment.id, addresses).stop([cluster.member(member)])
        with means.database.write() as connection:
            guard(connection)
            store_in_change(connection, change.seq, change={**change.change, "address": addresses[member]})
    reason = means.supervisor.keep(deployment.id, guard)
    return f"{reason}; allow {addresses[member]} where the KMS has an access list" if reason else ""


def patch(means: Means, deployment: Deployment, change: Change, guard: Guard) -> str:
    """Start the hosts anew where no process is to run; processes that run take a patch at their next start."""
    if deployment.condition.is_to_run or deployment.cluster_id is None:
        return ""
    cluster = _cluster(means, deployment)
    means.supervisor.keep(deployment.id, guard)  # what an order has stopped stays down when its host comes back
    means.machines.hosts(deployment.id, _addresses(means, deployment)).stop(cluster.processes)
    return means.supervisor.keep(deployment.id, guard)


def delete(means: Means, deployment: Deployment, change: Change, guard: Guard) -> str:
    """End every process, and remove the files."""
    if deployment.cluster_id is not None:
        cluster = _cluster(means, deployment)
        with means.database.write() as connection:
            guard(connection)
            operation = open_operation(connection, cluster.id)
            if operation is not None:
                record_end(connection, operation, OperationState.ABANDONED, means.clock.now_ns())
            mark_removed(connection, cluster.id, means.clock.now_ns())
        means.machines.hosts(deployment.id, {}).stop(cluster.processes)
    means.machines.remove(deployment.id)
    return ""


def _make(means: Means, deployment: Deployment, guard: Guard) -> None:
    names, addresses = member_names(deployment.shape.size), _addresses(means, deployment)
    customer_key = _key_of(means, deployment)
    files = means.machines.begin(deployment.id)
    for name in names:
        try:
            files.add_member(
                name,
                means.machines.platform_key,
                customer_key,
                means.keys.connector(deployment.id, addresses[name]),
            )
        except KmsUnreachableError as error:
            raise _blocked(error, name, addresses[name]) from None
    new = means.machines.cluster(deployment.id, names, customer_key)
    with means.database.write() as connection:
        guard(connection)
        store_cluster(connection, deployment.id, record_cluster(connection, new, means.clock.now_ns()))


def _grow(means: Means, deployment: Deployment, size: int, guard: Guard) -> str:
    cluster, addresses = _cluster(means, deployment), _addresses(means, deployment)
    files = means.machines.files(deployment.id)
    for name in member_names(size)[len(cluster.members) :]:
        connect = means.keys.connector(deployment.id, addresses[name])
        try:
            files.add_member(name, cluster.platform_key, cluster.customer_key, connect)
        except KmsUnreachableError as error:
            raise _blocked(error, name, addresses[name]) from None
        with means.database.write() as connection:
            guard(connection)
            add_member(connection, cluster.id, unplaced(name))
    return means.supervisor.keep(deployment.id, guard) if size > deployment.shape.size else ""


def _shrink(means: Means, deployment: Deployment, size: int, guard: Guard) -> str:
    cluster = _cluster(means, deployment)
    leaving = member_names(deployment.shape.size)[size:]
    if not leaving:
        return ""
    with means.database.write() as connection:
        guard(connection)
        if open_operation(connection, cluster.id) is not None:
            return "another operation on its keys has not ended"
        there = [name for name in leaving if name in cluster.member_names]
        if there:
            remove_members(connection, cluster, there)
            released = release_addresses(connection, deployment.id, there, means.clock.now_ns())
            tell_addresses(connection, deployment, "CLUSTER_IP_ADDRESSES_RELEASED", released, means.clock.now_ns())
    tell_router(_cluster(means, deployment))
    means.machines.hosts(deployment.id, {}).stop([unplaced(name) for name in leaving])
    for name in leaving:
        means.machines.files(deployment.id).remove_member(name)
    return ""


def _convert(means: Means, deployment: Deployment, change: Change, guard: Guard) -> str:
    if "provider" not in change.change:
        return ""
    wanted = changed(deployment.shape, change.change)
    if not wanted.has_customer_keys:
        return _operate(means, deployment, change, OperationKind.CONVERT_OFF, None, guard)
    return _operate(means, deployment, change, OperationKind.CONVERT_ON, _key_of(means, deployment), guard)


def _operate(
    means: Means, deployment: Deployment, change: Change, kind: OperationKind, key_uri: str | None, guard: Guard
) -> str:
    """Begin the operation of a change, once; return how it stands until it is done."""
    with means.database.write() as connection:
        guard(connection)
        cluster = cluster_of(connection, deployment.cluster_id or 0)
        if change.operation_id is None:
            if open_operation(connection, cluster.id) is not None:
                return "another operation on its keys has not ended"
            operation_id = begin_operation(connection, cluster, kind, key_uri, means.clock.now_ns())
            store_in_change(connection, change.seq, operation_id=operation_id)
            return f"{kind} has begun"
        operation = operation_of(connection, change.operation_id)
    if operation.state is OperationState.ABANDONED:
        raise Code.CLUSTER_OPERATION_ABANDONED.error(str(kind))
    return (operation.reason or f"{kind} is {operation.state}") if operation.is_open else ""


def _key_of(means: Means, deployment: Deployment) -> str | None:
    """Return the project's key at the deployment's provider; None without customer keys.

    Raises:
        ApiError: there is none any more.
    """
    shape = deployment.shape
    if not shape.has_customer_keys:
        return None
    mine = (configurations.c.project_id == deployment.project_id) & (configurations.c.provider == shape.provider)
    with means.database.read() as connection:
        require_configured(connection, deployment.project_id, shape.provider)
        return str(connection.scalar(sa.select(configurations.c.key_uri).where(mine)))


def _cluster(means: Means, deployment: Deployment) -> Cluster:
    with means.database.read() as connection:
        return cluster_of(connection, deployment.cluster_id or 0)


def _addresses(means: Means, deployment: Deployment) -> dict[str, str]:
    with means.database.read() as connection:
        return addresses_of(connection, deployment.id)


def _blocked(error: KmsUnreachableError, member: str, address: str) -> KmsUnreachableError:
    return KmsUnreachableError(
        f"{member} cannot reach its KMS; allow {address} where the KMS has an access list: {cause_of(error)}. The "
        "other members are unchanged, and it is tried again."
    )


def _created(connection: sa.Connection, deployment: Deployment, change: Change, now_ns: int) -> None:
    store_condition(connection, deployment, replace(deployment.condition, life=Life.ALIVE), now_ns, deployment.reason)


def _stored(connection: sa.Connection, deployment: Deployment, change: Change, now_ns: int) -> None:
    after = changed(deployment.shape, change.change)
    if version_key(after.version) < version_key(deployment.shape.version):  # a patch went ahead of it
        after = replace(after, version=deployment.shape.version)
    store_shape(connection, deployment.id, after)


def _moved(connection: sa.Connection, deployment: Deployment, change: Change, now_ns: int) -> None:
    _complete_rotation(connection, deployment, str(change.change["key_provider"]), now_ns)


def _complete_rotation(connection: sa.Connection, deployment: Deployment, provider: str, now_ns: int) -> None:
    """Record the change of a project's key as complete if every deployment is under it."""
    mine = (configurations.c.project_id == deployment.project_id) & (configurations.c.provider == provider)
    key_uri = connection.scalar(sa.select(configurations.c.key_uri).where(mine))
    for found in deployments_using(connection, deployment.project_id, provider):
        if any(change.kind is Kind.KEY for change in open_changes(connection, found.id)):
            return
        if found.cluster_id is not None and cluster_of(connection, found.cluster_id).customer_key not in (
            None,
            key_uri,
        ):
            return
    complete_rotation(connection, deployment.project_id, provider, now_ns)


def _nothing(connection: sa.Connection, deployment: Deployment, change: Change, now_ns: int) -> None:
    pass


def _terminated(connection: sa.Connection, deployment: Deployment, change: Change, now_ns: int) -> None:
    released = release_addresses(connection, deployment.id, member_names(deployment.shape.size), now_ns)
    tell_addresses(connection, deployment, "CLUSTER_IP_ADDRESSES_RELEASED", released, now_ns)
    waiting = open_changes(connection, deployment.id)
    for each in waiting:
        move_change(connection, each.seq, each.state, ChangeState.FAILED, reason="the cluster was deleted")
    store_condition(connection, deployment, replace(deployment.condition, life=Life.GONE), now_ns)
    if any(each.kind is Kind.KEY for each in waiting):
        _complete_rotation(connection, deployment, deployment.shape.provider, now_ns)


ACTS: Mapping[Kind, tuple[Act, End]] = {
    Kind.CREATE: (create, _created),
    Kind.UPDATE: (update, _stored),
    Kind.KEY: (change_key, _moved),
    Kind.REPLACE: (replace_machine, _nothing),
    Kind.PATCH: (patch, _stored),
    Kind.DELETE: (delete, _terminated),
}
