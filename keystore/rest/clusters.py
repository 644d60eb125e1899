"""Clusters of a project: the routes, and how the API shows a deployment."""

from collections.abc import Callable
from typing import Annotated, Any, Literal

import sqlalchemy as sa
from msgspec import UNSET, Meta, UnsetType, field

from keystore.projects import deployments, drafts
from keystore.projects.access import Role
from keystore.projects.codes import Code
from keystore.projects.conditions import State
from keystore.projects.deployment_rows import (
    Change,
    Deployment,
    changes_of,
    deployment_named,
    deployment_of,
    deployments_of,
    is_settled,
    open_changes,
    read_named,
)
from keystore.projects.key_names import key_identifier
from keystore.projects.keyed_deployments import BANNER, moves_keys
from keystore.projects.metering import UsageLine, usage
from keystore.projects.node_addresses import addresses_of
from keystore.projects.shapes import DISK_GB_MIN, FIELDS, FIRST_VERSION, Shape, changed
from keystore.rest.cluster_progress import RollingOperation, progress_of
from keystore.rest.patterns import LINE
from keystore.rest.routing import Answer, Body, Call, Id, Page, PageQuery, Route, page_of
from keystore.rest.times import shown, shown_or_none

Word = Annotated[str, Meta(min_length=1, max_length=64, pattern=LINE)]
NUMBER_MAX = 1_000_000
"""LIMIT: numbers in a body; what they may be is for `keystore.projects.shapes`."""
Number = Annotated[int, Meta(ge=0, le=NUMBER_MAX)]
ClusterType = Literal["REPLICASET"]
"""What kinds of clusters there are. A request may say it, as clients of the Atlas API do."""


class ElectableSpecs(Body, frozen=True):
    """Tier and number of the nodes of a region."""

    instance_size: Word | UnsetType = UNSET
    node_count: Number | UnsetType = UNSET


class RegionConfig(Body, frozen=True):
    """A region of a cluster."""

    provider_name: Word | UnsetType = UNSET
    region_name: Word | UnsetType = UNSET
    electable_specs: ElectableSpecs | UnsetType = UNSET


class ReplicationSpec(Body, frozen=True):
    """Where a cluster's nodes are: one region."""

    region_configs: Annotated[list[RegionConfig], Meta(min_length=1, max_length=1)]


class ClusterUpdate(Body, frozen=True):
    """What of a cluster is to become another. `paused` comes alone."""

    replication_specs: Annotated[list[ReplicationSpec], Meta(min_length=1, max_length=1)] | UnsetType = UNSET
    disk_size_gb: Number | UnsetType = field(default=UNSET, name="diskSizeGB")
    mongodb_version: Word | UnsetType = field(default=UNSET, name="mongoDBVersion")
    encryption_at_rest_provider: Word | UnsetType = UNSET
    backup_enabled: bool | UnsetType = UNSET
    backup_type: Word | UnsetType = UNSET
    pit_enabled: bool | UnsetType = UNSET
    paused: bool | UnsetType = UNSET


class ClusterRequest(ClusterUpdate, kw_only=True, frozen=True):
    """A cluster to make."""

    name: Annotated[str, Meta(min_length=1, max_length=128)]
    cluster_type: ClusterType = "REPLICASET"


class PendingChange(Answer, frozen=True):
    """A change that was submitted; `change` has the API's names, `operation` says how far nodes are with keys."""

    id: int
    kind: str
    state: str
    change: dict[str, Any]
    submitted: str
    reason: str = ""
    operation: RollingOperation | None = None


class Patch(Body, frozen=True):
    """A maintenance version: the last of the three numbers is another."""

    mongodb_version: Word = field(name="mongoDBVersion")


class Cluster(Answer, kw_only=True, frozen=True, omit_defaults=False):
    """A cluster; `state_reason` and `disabled_since` are there while it is disabled, `banner` while keys change.

    `processes_settled` tells that its processes were seen to be all up, or all down, as was last ordered.
    """

    id: Id
    group_id: Id
    name: str
    cluster_type: ClusterType
    state_name: str
    paused: bool
    processes_settled: bool
    disk_size_gb: int = field(name="diskSizeGB")
    mongodb_version: str = field(name="mongoDBVersion")
    encryption_at_rest_provider: str
    backup_enabled: bool
    backup_type: str
    pit_enabled: bool
    replication_specs: list[dict[str, Any]]
    pending_changes: list[PendingChange]
    outbound_ip_addresses: list[str]
    revision: int
    create_date: str
    state_reason: str = ""
    disabled_since: str | None = None
    banner: str | None = None


class Draft(Answer, frozen=True, omit_defaults=False):
    """A draft, and what it would change: the API's name, with the value before and after."""

    id: Id
    cluster_name: str
    base_revision: int
    changes: dict[str, dict[str, Any]]
    created: str


class Usage(Answer, frozen=True):
    """What is charged for, from when to when; without `end` it goes on. `clusterName` is that of a deleted one, too."""

    cluster_id: Id
    cluster_name: str
    kind: str
    start: str
    end: str | None = None


def _change_of(body: ClusterUpdate) -> dict[str, Any]:
    """Return what a body sets, by attribute of a shape."""
    given: dict[str, Any] = {
        "disk_gb": body.disk_size_gb,
        "version": body.mongodb_version,
        "provider": body.encryption_at_rest_provider,
        "backup_enabled": body.backup_enabled,
        "backup_type": body.backup_type,
        "pit_enabled": body.pit_enabled,
    }
    if not isinstance(body.replication_specs, UnsetType):
        (region,) = body.replication_specs[0].region_configs
        given |= {"cloud": region.provider_name, "region": region.region_name}
        if not isinstance(region.electable_specs, UnsetType):
            given |= {"tier": region.electable_specs.instance_size, "size": region.electable_specs.node_count}
    return {name: value for name, value in given.items() if value is not UNSET}


def _shape_of(body: ClusterRequest) -> Shape:
    given = _change_of(body)
    for name in ("cloud", "region", "tier"):
        if name not in given:
            missing = f"replicationSpecs[0].regionConfigs[0].{FIELDS[name]}"
            raise Code.MISSING_ATTRIBUTE.error(missing, field=missing)
    values = {"disk_gb": DISK_GB_MIN, "version": FIRST_VERSION, **given}
    place = {name: values.pop(name) for name in ("cloud", "region", "tier")}
    return changed(Shape(**place), values)


def _shown(call: Call, connection: sa.Connection, found: Deployment) -> Cluster:
    shape, condition = found.shape, found.condition
    pending = open_changes(connection, found.id)
    specs = {"instanceSize": shape.tier, "nodeCount": shape.size}
    region = {"providerName": shape.cloud, "regionName": shape.region, "electableSpecs": specs}
    return Cluster(
        id=found.id,
        group_id=found.project_id,
        name=found.name,
        cluster_type="REPLICASET",
        state_name=condition.state,
        paused=condition.paused,
        processes_settled=is_settled(connection, found, call.now_ns()),
        disk_size_gb=shape.disk_gb,
        mongodb_version=shape.version,
        encryption_at_rest_provider=shape.provider,
        backup_enabled=shape.backup_enabled,
        backup_type=shape.backup_type,
        pit_enabled=shape.pit_enabled,
        replication_specs=[{"regionConfigs": [region]}],
        pending_changes=[_pending(connection, change) for change in pending],
        outbound_ip_addresses=sorted(addresses_of(connection, found.id).values()),
        revision=found.revision,
        create_date=shown(found.created_ns),
        state_reason=found.reason if condition.state is State.DISABLED else "",
        disabled_since=shown_or_none(found.disabled_since_ns),
        banner=BANNER if any(moves_keys(change.kind, change.change) for change in pending) else None,
    )


def _pending(connection: sa.Connection, change: Change) -> PendingChange:
    told = {FIELDS.get(name, name): value for name, value in change.change.items()}
    if "key_uri" in told:  # a change of the key is none of the shape
        told = {FIELDS["provider"]: told["key_provider"], "keyId": key_identifier(told["key_uri"])}
    return PendingChange(
        id=change.seq,
        kind=change.kind,
        state=change.state,
        change=told,
        submitted=shown(change.submitted_ns),
        reason=change.reason,
        operation=progress_of(connection, change),
    )


def _shown_draft(connection: sa.Connection, call: Call, draft_id: str, edited: dict[str, Any] | None = None) -> Draft:
    where = (call.caller, call.project_id, call.path["clusterName"], draft_id)
    if edited is not None:
        drafts.edit_draft(connection, *where, edited)
    draft, difference = drafts.review_draft(connection, *where)
    told = {name: {"from": was, "to": will} for name, (was, will) in difference.items()}
    return Draft(
        id=draft.id,
        cluster_name=call.path["clusterName"],
        base_revision=draft.base_revision,
        changes=told,
        created=shown(draft.created_ns),
    )


def _list_clusters(call: Call) -> Page[Cluster]:
    with call.plane.database.read() as connection:
        found = [_shown(call, connection, each) for each in deployments_of(connection, call.project_id)]
    return page_of(found, call.query)


def _create_cluster(call: Call) -> Cluster:
    with call.plane.database.write() as connection:
        shape, now_ns = _shape_of(call.body), call.now_ns()
        made = deployments.create_deployment(connection, call.caller, call.project_id, call.body.name, shape, now_ns)
        return _shown(call, connection, made)


def _cluster(call: Call) -> Cluster:
    with call.plane.database.read() as connection:
        return _shown(call, connection, read_named(connection, call.project_id, call.path["clusterName"]))


def _update_cluster(call: Call) -> Cluster:
    name, body, change = call.path["clusterName"], call.body, _change_of(call.body)
    with call.plane.database.write() as connection:
        if isinstance(body.paused, UnsetType):
            found = deployment_named(connection, call.project_id, name)
            return _shown(
                call, connection, deployments.submit_change(connection, call.caller, found, change, call.now_ns())
            )
        if change:
            raise Code.INVALID_ATTRIBUTE.error("paused", "it cannot be changed together with others", field="paused")
        found = deployments.set_paused(
            connection, call.caller, call.project_id, name, paused=body.paused, now_ns=call.now_ns()
        )
        return _shown(call, connection, found)


def _delete_cluster(call: Call) -> None:
    with call.plane.database.write() as connection:
        where = (call.caller, call.project_id, call.path["clusterName"])
        deployments.delete_deployment(connection, *where, call.now_ns())


def _replace_node(call: Call) -> Cluster:
    with call.plane.database.write() as connection:
        where = (call.caller, call.project_id, call.path["clusterName"], call.path["nodeName"])
        return _shown(call, connection, deployments.replace_member(connection, *where, call.now_ns()))


def _patch_version(call: Call) -> Cluster:
    with call.plane.database.write() as connection:
        where = (call.caller, call.project_id, call.path["clusterName"], call.body.mongodb_version)
        return _shown(call, connection, deployments.schedule_patch(connection, *where, call.now_ns()))


def _list_changes(call: Call) -> Page[PendingChange]:
    with call.plane.database.read() as connection:
        found = read_named(connection, call.project_id, call.path["clusterName"])
        told = [_pending(connection, change) for change in changes_of(connection, found.id)]
    return page_of(told, call.query)


def _open_draft(call: Call) -> Draft:
    with call.plane.database.write() as connection:
        where = (call.caller, call.project_id, call.path["clusterName"])
        draft = drafts.open_draft(connection, *where, call.now_ns())
        return _shown_draft(connection, call, draft.id, _draft_change(call.body))


def _draft(call: Call) -> Draft:
    with call.plane.database.write() as connection:
        return _shown_draft(connection, call, call.path["draftId"])


def _edit_draft(call: Call) -> Draft:
    with call.plane.database.write() as connection:
        return _shown_draft(connection, call, call.path["draftId"], _draft_change(call.body))


def _draft_change(body: ClusterUpdate) -> dict[str, Any]:
    if not isinstance(body.paused, UnsetType):
        raise Code.INVALID_ATTRIBUTE.error("paused", "it is no part of a draft", field="paused")
    return _change_of(body)


def _apply_draft(call: Call) -> Cluster:
    with call.plane.database.write() as connection:
        where = (call.caller, call.project_id, call.path["clusterName"], call.path["draftId"])
        applied = drafts.apply_draft(connection, *where, call.now_ns())
        return _shown(call, connection, deployment_of(connection, applied.id))


def _discard_draft(call: Call) -> None:
    with call.plane.database.write() as connection:
        where = (call.caller, call.project_id, call.path["clusterName"], call.path["draftId"])
        drafts.discard_draft(connection, *where)


def _usage(call: Call) -> Page[Usage]:
    with call.plane.database.read() as connection:
        found = [_line(line) for line in usage(connection, call.project_id)]
    return page_of(found, call.query)


def _line(line: UsageLine) -> Usage:
    return Usage(
        cluster_id=line.deployment_id,
        cluster_name=line.name,
        kind=line.kind,
        start=shown(line.from_ns),
        end=shown_or_none(line.to_ns),
    )


READERS = (Role.GROUP_READ_ONLY,)
CLUSTERS = "/groups/{groupId}/clusters"
CLUSTER = f"{CLUSTERS}/{{clusterName}}"
DRAFTS = f"{CLUSTER}/drafts"
DRAFT = f"{DRAFTS}/{{draftId}}"


def _route(
    method: str,
    path: str,
    operation_id: str,
    summary: str,
    handle: Callable[[Call], Any],
    answer: Any,
    *,
    body: Any = None,
    status: int = 200,
) -> Route:
    """Return a route that a cluster's managers may use."""
    return Route(
        *(method, path, operation_id, summary),
        roles=deployments.MANAGERS,
        handle=handle,
        answer=answer,
        body=body,
        status=status,
    )


def _reading(path: str, operation_id: str, summary: str, handle: Callable[[Call], Any], item: Any) -> Route:
    """Return a route to a list that everybody in the project may read."""
    return Route(
        *("GET", path, operation_id, summary), roles=READERS, handle=handle, query=PageQuery, answer=Page[item]
    )


ROUTES = (
    _reading(CLUSTERS, "listGroupClusters", "Return the clusters of a project", _list_clusters, Cluster),
    _route(
        *("POST", CLUSTERS, "createGroupCluster", "Make a cluster", _create_cluster, Cluster),
        body=ClusterRequest,
        status=201,
    ),
    Route(*("GET", CLUSTER, "getGroupCluster", "Return a cluster"), roles=READERS, handle=_cluster, answer=Cluster),
    _route(
        *("PATCH", CLUSTER, "updateGroupCluster", "Submit a change of a cluster", _update_cluster, Cluster),
        body=ClusterUpdate,
        status=202,
    ),
    _route(
        "DELETE",
        CLUSTER,
        "deleteGroupCluster",
        "Delete a cluster; its snapshots stay",
        _delete_cluster,
        None,
        status=202,
    ),
    _reading(
        f"{CLUSTER}/changes", "listGroupClusterChanges", "Return the changes of a cluster", _list_changes, PendingChange
    ),
    _route(
        *("POST", f"{CLUSTER}/nodes/{{nodeName}}/replace", "replaceGroupClusterNode"),
        *("Have a node move to another machine, with another address", _replace_node, Cluster),
        status=202,
    ),
    _route(
        *("POST", f"{CLUSTER}/patch", "patchGroupClusterVersion"),
        *("Have a maintenance version applied, also while the cluster is disabled", _patch_version, Cluster),
        body=Patch,
        status=202,
    ),
    _route(
        *("POST", DRAFTS, "createGroupClusterDraft", "Open a draft of a change", _open_draft, Draft),
        body=ClusterUpdate,
        status=201,
    ),
    _route("GET", DRAFT, "getGroupClusterDraft", "Review what a draft would change", _draft, Draft),
    _route(
        *("PATCH", DRAFT, "updateGroupClusterDraft", "Put more into a draft", _edit_draft, Draft), body=ClusterUpdate
    ),
    _route("DELETE", DRAFT, "deleteGroupClusterDraft", "Throw a draft away", _discard_draft, None, status=204),
    _route(
        "POST",
        f"{DRAFT}/apply",
        "applyGroupClusterDraft",
        "Submit what a draft changes",
        _apply_draft,
        Cluster,
        status=202,
    ),
    _reading("/groups/{groupId}/usage", "listGroupUsage", "Return what is charged for", _usage, Usage),
)
