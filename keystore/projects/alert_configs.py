"""Alert configurations of a project: whether an alert of a type opens, above which threshold, and who is told.

A project has one configuration for a type at most. A new project has those that every project needs; a new key
configuration adds those of its provider, in the same transaction.

Leaves to others: opening and closing (`keystore.projects.alerts`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from keystore.projects.access import Role
from keystore.projects.alert_types import (
    ALERT_TYPES,
    CONFIG_NO_LONGER_VALID,
    NETWORK_ACCESS_DENIED,
    key_invalid,
    needs_rotation,
)
from keystore.projects.codes import Code
from keystore.projects.events import record_event
from keystore.projects.ids import new_id
from keystore.projects.tables import alert_configs

ROTATION_THRESHOLD_DAYS = 90
"""Days after which a key should be changed, unless the configuration says otherwise; requirements, rows R31 and N8."""


@dataclass(frozen=True)
class AlertConfig:
    """A configuration. `threshold_days` is None for types that have none."""

    id: str
    project_id: str
    event_type: str
    enabled: bool
    threshold_days: int | None
    notifications: Sequence[Mapping[str, Any]]
    created_ns: int
    updated_ns: int


@dataclass(frozen=True)
class Wanted:
    """What a configuration is to say."""

    event_type: str
    enabled: bool
    threshold_days: int | None
    notifications: Sequence[Mapping[str, Any]]

    def check(self) -> None:
        """Refuse what cannot be.

        Raises:
            ApiError: no alert has that type, or it needs a threshold, or has none.
        """
        kind = ALERT_TYPES.get(self.event_type)
        if kind is None:
            raise Code.INVALID_EVENT_TYPE.error(self.event_type, field="eventTypeName")
        if kind.has_threshold and self.threshold_days is None:
            raise Code.THRESHOLD_REQUIRED.error(self.event_type, field="threshold")
        if not kind.has_threshold and self.threshold_days is not None:
            raise Code.THRESHOLD_NOT_ALLOWED.error(self.event_type, field="threshold")


def create_project_configs(connection: sa.Connection, project_id: str, now_ns: int) -> None:
    """Make the configurations of a new project."""
    for event_type in (NETWORK_ACCESS_DENIED, CONFIG_NO_LONGER_VALID):
        _insert(connection, project_id, _default(event_type), now_ns)


def create_provider_configs(connection: sa.Connection, project_id: str, provider: str, now_ns: int) -> None:
    """Make the configurations for the key of a provider, unless they are there from before."""
    for event_type in (needs_rotation(provider), key_invalid(provider)):
        if config_for(connection, project_id, event_type) is None:
            _insert(connection, project_id, _default(event_type), now_ns)


def create_config(connection: sa.Connection, project_id: str, wanted: Wanted, actor: str, now_ns: int) -> AlertConfig:
    """Make a configuration.

    Raises:
        ApiError: it cannot be, or there is one of that type.
    """
    wanted.check()
    if config_for(connection, project_id, wanted.event_type) is not None:
        raise Code.ALERT_CONFIG_ALREADY_EXISTS.error(wanted.event_type, field="eventTypeName")
    made = _insert(connection, project_id, wanted, now_ns)
    _record(connection, "ALERT_CONFIG_ADDED_AUDIT", made, actor, now_ns)
    return made


def change_config(
    connection: sa.Connection, project_id: str, config_id: str, wanted: Wanted, actor: str, now_ns: int
) -> AlertConfig:
    """Let a configuration say something else; its type stays.

    Raises:
        ApiError: it cannot be, or there is none of that id.
    """
    found = config_named(connection, project_id, config_id)
    wanted.check()
    if wanted.event_type != found.event_type:
        raise Code.INVALID_ATTRIBUTE.error("eventTypeName", "it cannot be changed", field="eventTypeName")
    values = {**_values(wanted), "updated_ns": now_ns}
    connection.execute(alert_configs.update().where(alert_configs.c.id == config_id).values(values))
    changed = config_named(connection, project_id, config_id)
    _record(connection, "ALERT_CONFIG_CHANGED_AUDIT", changed, actor, now_ns)
    return changed


def delete_config(connection: sa.Connection, project_id: str, config_id: str, actor: str, now_ns: int) -> None:
    """Delete a configuration; alerts of its type open no more.

    Raises:
        ApiError: there is none of that id.
    """
    found = config_named(connection, project_id, config_id)
    connection.execute(alert_configs.delete().where(alert_configs.c.id == config_id))
    _record(connection, "ALERT_CONFIG_DELETED_AUDIT", found, actor, now_ns)


def config_named(connection: sa.Connection, project_id: str, config_id: str) -> AlertConfig:
    """Return a configuration of a project.

    Raises:
        ApiError: it has none of that id.
    """
    mine = (alert_configs.c.id == config_id) & (alert_configs.c.project_id == project_id)
    row = connection.execute(sa.select(alert_configs).where(mine)).one_or_none()
    if row is None:
        raise Code.ALERT_CONFIG_NOT_FOUND.error(config_id)
    return _config(row)


def config_for(connection: sa.Connection, project_id: str, event_type: str) -> AlertConfig | None:
    """Return a project's configuration for a type of alert, None if it has none."""
    mine = (alert_configs.c.project_id == project_id) & (alert_configs.c.event_type == event_type)
    row = connection.execute(sa.select(alert_configs).where(mine)).one_or_none()
    return None if row is None else _config(row)


def list_configs(connection: sa.Connection, project_id: str) -> list[AlertConfig]:
    """Return a project's configurations, by type."""
    query = sa.select(alert_configs).where(alert_configs.c.project_id == project_id)
    return [_config(row) for row in connection.execute(query.order_by(alert_configs.c.event_type))]


def _default(event_type: str) -> Wanted:
    kind = ALERT_TYPES[event_type]
    notification = {"typeName": "GROUP", "emailEnabled": kind.by_mail, "roles": [Role.GROUP_OWNER.value]}
    return Wanted(event_type, True, ROTATION_THRESHOLD_DAYS if kind.has_threshold else None, [notification])


def _values(wanted: Wanted) -> dict[str, Any]:
    return {
        "event_type": wanted.event_type,
        "enabled": wanted.enabled,
        "threshold": None if wanted.threshold_days is None else {"days": wanted.threshold_days},
        "notifications": list(wanted.notifications),
    }


def _insert(connection: sa.Connection, project_id: str, wanted: Wanted, now_ns: int) -> AlertConfig:
    config_id = new_id()
    times = {"created_ns": now_ns, "updated_ns": now_ns}
    connection.execute(alert_configs.insert().values(id=config_id, project_id=project_id, **_values(wanted), **times))
    return config_named(connection, project_id, config_id)


def _config(row: sa.Row[Any]) -> AlertConfig:
    days = None if row.threshold is None else int(row.threshold["days"])
    head = (row.id, row.project_id, row.event_type, row.enabled, days, row.notifications)
    return AlertConfig(*head, row.created_ns, row.updated_ns)


def _record(connection: sa.Connection, event_type: str, config: AlertConfig, actor: str, now_ns: int) -> None:
    detail = {"alertConfigId": config.id, "eventTypeName": config.event_type, "enabled": config.enabled}
    if config.threshold_days is not None:
        detail["thresholdDays"] = config.threshold_days
    record_event(connection, event_type, config.project_id, None, actor, now_ns, detail)
