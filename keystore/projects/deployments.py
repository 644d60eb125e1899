"""What customers ask of deployments: to make, change, pause, replace and delete them.

Each function decides in the caller's transaction and stores what is wanted, with its event; what follows from it is
done later (`supervision`, `applying`), also if this process dies now.

Invariants:
1. Whoever turns customer keys on or off is a Project Owner.
2. Customer keys go on only where the project has a configuration of that provider, and neither on nor off while its key
   is invalid, or while a snapshot is restored into some members and not yet into the others.
3. What is refused changes nothing.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from keystore.projects.access import Caller, Role, require_role
from keystore.projects.change_order import Kind
from keystore.projects.codes import Code
from keystore.projects.conditions import Life
from keystore.projects.deployment_rows import (
    Deployment,
    deployment_named,
    deployment_of,
    insert_change,
    insert_deployment,
    open_changes,
    store_condition,
    wake,
)
from keystore.projects.events import record_event
from keystore.projects.ids import new_id
from keystore.projects.metering import meter
from keystore.projects.node_addresses import assign_addresses
from keystore.projects.restore_rows import is_restored_into
from keystore.projects.shapes import (
    FIELDS,
    Shape,
    changed,
    difference,
    require_change,
    require_name,
    require_sound,
    version_key,
)
from keystore.projects.tables import configurations, deployments

MANAGERS = (Role.GROUP_OWNER, Role.GROUP_CLUSTER_MANAGER)
"""Roles that may change deployments, but for who manages their keys."""


def create_deployment(
    connection: sa.Connection, caller: Caller, project_id: str, name: str, shape: Shape, now_ns: int
) -> Deployment:
    """Make a deployment; the addresses of its nodes are known on return.

    Raises:
        ApiError: the caller may not, or it cannot be; nothing was changed.
    """
    _require_manager(connection, caller, project_id, keys=shape.has_customer_keys)
    require_name(name)
    require_sound(shape)
    if shape.has_customer_keys:
        require_configured(connection, project_id, shape.provider)
    taken = (deployments.c.project_id == project_id) & (deployments.c.name == name)
    if connection.scalar(sa.select(deployments.c.id).where(taken, deployments.c.terminated_ns.is_(None))):
        raise Code.DUPLICATE_CLUSTER_NAME.error(name, project_id, field="name")
    deployment_id = new_id()
    insert_deployment(connection, deployment_id, project_id, name, shape, now_ns)
    assign_addresses(connection, deployment_id, member_names(shape.size), now_ns)
    insert_change(connection, deployment_id, Kind.CREATE, {}, caller.actor, now_ns)
    made = deployment_of(connection, deployment_id)
    meter(connection, project_id, deployment_id, shape, made.condition, now_ns)
    record_event(connection, "CLUSTER_CREATED", project_id, deployment_id, caller.actor, now_ns, {"cluster": name})
    return made


def require_changeable(
    connection: sa.Connection, caller: Caller, deployment: Deployment, change: Mapping[str, Any]
) -> Shape:
    """Make sure that a change may be submitted now, and return what the deployment is to be then.

    Raises:
        ApiError: it may not; nothing was changed.
    """
    before = expected_shape(connection, deployment)
    after = changed(before, change)
    _require_manager(connection, caller, deployment.project_id, keys=before.provider != after.provider)
    _require_living(deployment)
    if deployment.condition.paused:
        raise Code.CANNOT_UPDATE_PAUSED_CLUSTER.error(deployment.name)
    require_change(before, after)
    if before.provider != after.provider:
        if is_restored_into(connection, deployment.id):
            raise Code.ATLAS_CLUSTER_RESTORE_IN_PROGRESS.error(deployment.name)
        for provider in {before.provider, after.provider} - {"NONE"}:
            require_configured(connection, deployment.project_id, provider)
    return after


def submit_change(
    connection: sa.Connection, caller: Caller, deployment: Deployment, change: Mapping[str, Any], now_ns: int
) -> Deployment:
    """Queue a change of the shape; one that changes nothing is none. A disabled deployment gets it when it is back.

    Raises:
        ApiError: it may not be; nothing was changed.
    """
    before = expected_shape(connection, deployment)
    after = require_changeable(connection, caller, deployment, change)
    found = difference(before, after)
    if not found:
        return deployment
    values = {name: getattr(after, name) for name, shown in FIELDS.items() if shown in found}
    seq = insert_change(connection, deployment.id, Kind.UPDATE, values, caller.actor, now_ns)
    shown = {name: {"from": was, "to": will} for name, (was, will) in found.items()}
    _tell(connection, deployment, "CLUSTER_UPDATE_SUBMITTED", caller.actor, now_ns, {"change": seq, "fields": shown})
    return deployment_of(connection, deployment.id)


def set_paused(
    connection: sa.Connection, caller: Caller, project_id: str, name: str, *, paused: bool, now_ns: int
) -> Deployment:
    """Pause a deployment: every process ends, and its keys with it; or resume it.

    Raises:
        ApiError: the caller may not, or it is being made or deleted; nothing was changed.
    """
    _require_manager(connection, caller, project_id, keys=False)
    found = deployment_named(connection, project_id, name)
    _require_living(found)
    if found.condition.life is Life.CREATING:
        raise Code.CLUSTER_NOT_READY.error(name)
    if found.condition.paused == paused:
        return found
    after = store_condition(connection, found, replace(found.condition, paused=paused), now_ns, found.reason)
    meter(connection, project_id, found.id, found.shape, after.condition, now_ns)
    _tell(connection, found, "CLUSTER_PAUSED" if paused else "CLUSTER_RESUMED", caller.actor, now_ns)
    wake(connection, found.id, now_ns)
    return after


def delete_deployment(connection: sa.Connection, caller: Caller, project_id: str, name: str, now_ns: int) -> Deployment:
    """Delete a deployment, also one that is disabled; its snapshots stay.

    Raises:
        ApiError: the caller may not; nothing was changed.
    """
    _require_manager(connection, caller, project_id, keys=False)
    found = deployment_named(connection, project_id, name)
    _require_living(found)
    store_condition(connection, found, replace(found.condition, life=Life.DELETING), now_ns)
    insert_change(connection, found.id, Kind.DELETE, {}, caller.actor, now_ns)
    _tell(connection, found, "CLUSTER_DELETE_SUBMITTED", caller.actor, now_ns)
    return deployment_of(connection, found.id)


def replace_member(
    connection: sa.Connection, caller: Caller, project_id: str, name: str, member: str, now_ns: int
) -> Deployment:
    """Have a member move to another machine, which has another address.

    Raises:
        ApiError: the caller may not, or there is no such member; nothing was changed.
    """
    _require_manager(connection, caller, project_id, keys=False)
    found = deployment_named(connection, project_id, name)
    _require_living(found)
    known = member_names(expected_shape(connection, found).size)
    if member not in known:
        raise Code.NODE_NOT_FOUND.error(name, member[:80])
    insert_change(connection, found.id, Kind.REPLACE, {"member": member}, caller.actor, now_ns)
    _tell(connection, found, "NODE_REPLACE_SUBMITTED", caller.actor, now_ns, {"node": member})
    return deployment_of(connection, found.id)


def schedule_patch(
    connection: sa.Connection, caller: Caller, project_id: str, name: str, version: str, now_ns: int
) -> Deployment:
    """Have a maintenance version applied, whatever the state of the deployment's key.

    Raises:
        ApiError: the caller may not, or it is no later maintenance version; nothing was changed.
    """
    _require_manager(connection, caller, project_id, keys=False)
    found = deployment_named(connection, project_id, name)
    _require_living(found)
    after = changed(found.shape, {"version": version})
    require_change(found.shape, after)
    if version_key(version)[:2] != version_key(found.shape.version)[:2]:
        wanted = f"it is a maintenance version of {found.shape.version}"
        raise Code.INVALID_ATTRIBUTE.error("mongoDBVersion", wanted, field="mongoDBVersion")
    insert_change(connection, found.id, Kind.PATCH, {"version": version}, caller.actor, now_ns)
    _tell(connection, found, "CLUSTER_PATCH_SCHEDULED", caller.actor, now_ns, {"version": version})
    return deployment_of(connection, found.id)


def expected_shape(connection: sa.Connection, deployment: Deployment) -> Shape:
    """Return what a deployment will be once its queue is applied."""
    shape = deployment.shape
    for change in open_changes(connection, deployment.id):
        if change.kind in (Kind.UPDATE, Kind.PATCH):
            shape = changed(shape, change.change)
    return shape


def member_names(size: int) -> list[str]:
    """Return the names of the members of a deployment of that size."""
    return [f"n{number}" for number in range(1, size + 1)]


def require_configured(connection: sa.Connection, project_id: str, provider: str) -> None:
    """Make sure that a project has a configuration of a provider, and that its key is not known to be invalid.

    Nobody removes it before the caller's transaction ends.

    Raises:
        ApiError: it has none, or the key is invalid; nothing was changed.
    """
    mine = (configurations.c.project_id == project_id) & (configurations.c.provider == provider)
    row = connection.execute(sa.select(configurations).where(mine).with_for_update(read=True)).one_or_none()
    if row is None:
        raise Code.ENCRYPTION_AT_REST_NOT_ENABLED.error(provider, field="encryptionAtRestProvider")
    if row.state == "invalid":
        raise Code.ENCRYPTION_AT_REST_SETTINGS_INVALID.error(field="encryptionAtRestProvider")


def _require_manager(connection: sa.Connection, caller: Caller, project_id: str, *, keys: bool) -> None:
    require_role(connection, caller, project_id, *((Role.GROUP_OWNER,) if keys else MANAGERS))


def _require_living(deployment: Deployment) -> None:
    if deployment.condition.life in (Life.DELETING, Life.GONE):
        raise Code.CLUSTER_ALREADY_REQUESTED_DELETION.error(deployment.name)


def _tell(
    connection: sa.Connection,
    deployment: Deployment,
    event: str,
    actor: str,
    now_ns: int,
    detail: Mapping[str, Any] | None = None,
) -> None:
    told = {"cluster": deployment.name, **(detail or {})}
    record_event(connection, event, deployment.project_id, deployment.id, actor, now_ns, told)
