"""What the key of a project at a provider means for its deployments: who uses it, who may run, who moves to a new one.

Every function works in the caller's transaction, which is the one that decides about the key; what follows is done by
`supervision` and `applying`.

Invariants:
1. Of a project only the deployments that use the provider are touched. One stops and starts with the key that its
   members have now: a change to another provider that still waits in its queue makes it depend on neither.
2. A second call of the same changes nothing: neither a state, nor an event, nor the list that it returns.
"""

import sqlalchemy as sa

from keystore.projects.change_order import Kind
from keystore.projects.conditions import Condition, DisabledBy
from keystore.projects.deployment_rows import (
    Deployment,
    deployment_of,
    deployments_of,
    insert_change,
    locked,
    open_changes,
    store_condition,
    store_conditions,
    wake_all,
)
from keystore.projects.events import SYSTEM, record_event, record_events

DISABLED_REASON = "invalid Encryption at Rest settings"
"""Why a deployment is disabled whose key a scheduled check found invalid; requirements, row R46."""

BANNER = (
    "Clusters are moving to another encryption key. Do not disable or delete either key until the change is deployed."
)


def deployments_using(connection: sa.Connection, project_id: str, provider: str) -> list[Deployment]:
    """Return the living deployments whose keys are at a provider, or will be once their queue is applied, by name."""
    return [
        found
        for found in deployments_of(connection, project_id)
        if found.shape.provider == provider or (found.condition.busy and _moves_to(connection, found, provider))
    ]


def _moves_to(connection: sa.Connection, found: Deployment, provider: str) -> bool:
    return any(change.change.get("provider") == provider for change in open_changes(connection, found.id))


def _locked_under(connection: sa.Connection, project_id: str, provider: str) -> list[Deployment]:
    """Return the deployments that have keys at a provider, each as it is once nobody else changes it."""
    known = locked(connection, [found.id for found in deployments_using(connection, project_id, provider)])
    return [found for found in known if found.shape.provider == provider]


def disable_deployments(
    connection: sa.Connection, project_id: str, provider: str, reason: str, now_ns: int
) -> list[str]:
    """Have every process of the deployments that use a provider end, for a scheduled check found the key invalid.

    Returns:
        The names of those that are shut down by it; one that is paused runs no process, and gets none when resumed.
    """
    found = [(each, each.condition.forbidden()) for each in _locked_under(connection, project_id, provider)]
    changed = [(each, after) for each, after in found if after != each.condition]
    told = f"{DISABLED_REASON}: {reason}"
    store_conditions(connection, changed, now_ns, told)
    wake_all(connection, [each.id for each, _ in changed], now_ns)
    shut_down = [each for each, _ in changed if not each.condition.paused]
    details = [(each.id, {"cluster": each.name, "provider": provider, "reason": told}) for each in shut_down]
    record_events(connection, "CLUSTER_INSTANCE_DISABLED", project_id, details, SYSTEM, now_ns)
    return [each.name for each in shut_down]


def enable_deployments(connection: sa.Connection, project_id: str, provider: str, now_ns: int) -> list[str]:
    """Have every process of the deployments that use a provider start, for a check found the key valid.

    They are shown as disabled until a member serves.

    Returns:
        The names of those that were shut down for the key.
    """
    found = [(each, each.condition.allowed()) for each in _locked_under(connection, project_id, provider)]
    started = [(each, after) for each, after in found if after != each.condition]
    store_conditions(connection, started, now_ns, "the key is valid again; its processes start")
    shown = [each for each, _ in started if not each.condition.paused]
    details = [(each.id, {"cluster": each.name, "provider": provider}) for each in shown]
    record_events(connection, "CLUSTER_INSTANCE_RESTARTED", project_id, details, SYSTEM, now_ns)
    down = [each.id for each, _ in found if each.condition.disabled_by is not DisabledBy.NOTHING]
    wake_all(connection, down, now_ns)
    return [each.name for each, _ in started]


def submit_key_change(
    connection: sa.Connection, project_id: str, provider: str, key_uri: str, actor: str, now_ns: int
) -> list[str]:
    """Have every member of the deployments that use a provider get a new master key under another key.

    Returns:
        The names of those deployments.
    """
    moved = []
    for found in deployments_using(connection, project_id, provider):
        insert_change(connection, found.id, Kind.KEY, {"key_uri": key_uri, "key_provider": provider}, actor, now_ns)
        moved.append(found.name)
    return moved


def moving_deployments(connection: sa.Connection, project_id: str, provider: str) -> list[str]:
    """Return the names of the deployments whose keys are being changed, or are to be: as long as `BANNER` is shown."""
    return [
        found.name
        for found in deployments_using(connection, project_id, provider)
        if any(moves_keys(change.kind, change.change) for change in open_changes(connection, found.id))
    ]


def moves_keys(kind: Kind, change: dict[str, object]) -> bool:
    """Tell whether a change gives members master keys under another key."""
    return kind is Kind.KEY or (kind is Kind.UPDATE and "provider" in change)


def condition_after_look(
    connection: sa.Connection, deployment_id: str, serving: int, reason: str, now_ns: int
) -> Condition:
    """Record that a look found so many members serving, with the event where that changed something."""
    found = deployment_of(connection, deployment_id)
    after = found.condition.seen(serving)
    told = reason if after.disabled_by is not DisabledBy.NOTHING and after.is_to_run else found.reason
    if after == found.condition and told == found.reason:
        return after
    store_condition(connection, found, after, now_ns, "" if after.disabled_by is DisabledBy.NOTHING else told)
    if after != found.condition:
        event = "CLUSTER_INSTANCE_ENABLED" if serving else "CLUSTER_INSTANCE_DISABLED"
        detail = {"cluster": found.name} if serving else {"cluster": found.name, "reason": told}
        record_event(connection, event, found.project_id, found.id, SYSTEM, now_ns, detail)
    return after
