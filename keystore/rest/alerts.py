"""Alerts and alert configurations: the routes."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from keystore.projects import alert_configs, alerts
from keystore.projects.access import Role
from keystore.projects.alert_configs import AlertConfig, Wanted
from keystore.projects.alerts import Alert
from keystore.rest.patterns import TYPE
from keystore.rest.routing import Answer, Body, Call, Email, Id, Page, PageQuery, Route, page_of
from keystore.rest.times import shown, shown_or_none

READERS = (Role.GROUP_READ_ONLY,)
OWNERS = (Role.GROUP_OWNER,)

THRESHOLD_DAYS_MAX = 3650
NOTIFICATIONS_MAX = 25
"""LIMIT: whom an alert tells, as in the Atlas API."""

ProjectRole = Literal[
    "GROUP_OWNER",
    "GROUP_CLUSTER_MANAGER",
    "GROUP_BACKUP_MANAGER",
    "GROUP_DATA_ACCESS_ADMIN",
    "GROUP_DATA_ACCESS_READ_WRITE",
    "GROUP_DATA_ACCESS_READ_ONLY",
    "GROUP_READ_ONLY",
]


class Threshold(Body, frozen=True):
    """Above how many days an alert opens."""

    threshold: Annotated[int, Meta(ge=1, le=THRESHOLD_DAYS_MAX)]
    operator: Literal["GREATER_THAN"] = "GREATER_THAN"
    units: Literal["DAYS"] = "DAYS"


class GroupNotification(Body, frozen=True, tag_field="typeName", tag="GROUP"):
    """Tells everybody with one of these roles in the project, or everybody in it."""

    email_enabled: bool = True
    roles: list[ProjectRole] = msgspec.field(default_factory=list)


class EmailNotification(Body, frozen=True, tag_field="typeName", tag="EMAIL"):
    """Tells one address."""

    email_address: Email


Notification = GroupNotification | EmailNotification


class AlertConfigRequest(Body, frozen=True):
    """A configuration as it is to be."""

    event_type_name: Annotated[str, Meta(min_length=1, max_length=96, pattern=TYPE)]
    notifications: Annotated[list[Notification], Meta(min_length=1, max_length=NOTIFICATIONS_MAX)]
    enabled: bool = False
    threshold: Threshold | None = None

    @property
    def wanted(self) -> Wanted:
        days = self.threshold.threshold if self.threshold else None
        told = [msgspec.to_builtins(notification) for notification in self.notifications]
        return Wanted(self.event_type_name, self.enabled, days, told)


class AlertConfigToggle(Body, frozen=True):
    """Whether a configuration counts."""

    enabled: bool


class AlertConfigAnswer(Answer, frozen=True):
    """A configuration."""

    id: Id
    group_id: Id
    event_type_name: str
    enabled: bool
    notifications: list[Notification]
    created: str
    updated: str
    threshold: Threshold | None = None


class AlertAnswer(Answer, frozen=True):
    """An alert, open or closed."""

    id: Id
    group_id: Id
    event_type_name: str
    status: Literal["OPEN", "CLOSED"]
    created: str
    updated: str
    detail: dict[str, Any]
    resolved: str | None = None
    alert_config_id: Id | None = None
    cluster_id: Id | None = None
    cloud_provider: str | None = None


class AlertQuery(PageQuery, frozen=True):
    """Which alerts are wanted."""

    status: Literal["OPEN", "CLOSED"] | None = None


def _config_shown(config: AlertConfig) -> AlertConfigAnswer:
    days = config.threshold_days
    return AlertConfigAnswer(
        id=config.id,
        group_id=config.project_id,
        event_type_name=config.event_type,
        enabled=config.enabled,
        notifications=msgspec.convert(list(config.notifications), list[Notification]),
        created=shown(config.created_ns),
        updated=shown(config.updated_ns),
        threshold=None if days is None else Threshold(threshold=days),
    )


def _alert_shown(alert: Alert) -> AlertAnswer:
    return AlertAnswer(
        id=alert.id,
        group_id=alert.project_id,
        event_type_name=alert.type,
        status="OPEN" if alert.closed_ns is None else "CLOSED",
        created=shown(alert.opened_ns),
        updated=shown(alert.closed_ns or alert.opened_ns),
        resolved=shown_or_none(alert.closed_ns),
        alert_config_id=alert.config_id,
        cluster_id=alert.deployment_id,
        cloud_provider=alert.provider,
        detail=dict(alert.detail),
    )


def _list_alerts(call: Call) -> Page[AlertAnswer]:
    with call.plane.database.read() as connection:
        found = alerts.list_alerts(connection, call.project_id, call.query.status)
    return page_of([_alert_shown(alert) for alert in found], call.query)


def _alert(call: Call) -> AlertAnswer:
    with call.plane.database.read() as connection:
        return _alert_shown(alerts.alert_named(connection, call.project_id, call.path["alertId"]))


def _list_configs(call: Call) -> Page[AlertConfigAnswer]:
    with call.plane.database.read() as connection:
        found = alert_configs.list_configs(connection, call.project_id)
    return page_of([_config_shown(config) for config in found], call.query)


def _config(call: Call) -> AlertConfigAnswer:
    with call.plane.database.read() as connection:
        return _config_shown(alert_configs.config_named(connection, call.project_id, call.path["alertConfigId"]))


def _create_config(call: Call) -> AlertConfigAnswer:
    wanted, now_ns = call.body.wanted, call.now_ns()
    with call.plane.database.write() as connection:
        made = alert_configs.create_config(connection, call.project_id, wanted, call.actor, now_ns)
        alerts.follow_config(connection, call.project_id, made.event_type, now_ns)
        return _config_shown(made)


def _replace_config(call: Call) -> AlertConfigAnswer:
    now_ns, place = call.now_ns(), (call.project_id, call.path["alertConfigId"])
    with call.plane.database.write() as connection:
        changed = alert_configs.change_config(connection, *place, call.body.wanted, call.actor, now_ns)
        alerts.follow_config(connection, call.project_id, changed.event_type, now_ns)
        return _config_shown(changed)


def _toggle_config(call: Call) -> AlertConfigAnswer:
    now_ns, place = call.now_ns(), (call.project_id, call.path["alertConfigId"])
    with call.plane.database.write() as connection:
        found = alert_configs.config_named(connection, *place)
        wanted = Wanted(found.event_type, call.body.enabled, found.threshold_days, found.notifications)
        changed = alert_configs.change_config(connection, *place, wanted, call.actor, now_ns)
        alerts.follow_config(connection, call.project_id, changed.event_type, now_ns)
        return _config_shown(changed)


def _delete_config(call: Call) -> None:
    now_ns, place = call.now_ns(), (call.project_id, call.path["alertConfigId"])
    with call.plane.database.write() as connection:
        found = alert_configs.config_named(connection, *place)
        alert_configs.delete_config(connection, *place, call.actor, now_ns)
        alerts.follow_config(connection, call.project_id, found.event_type, now_ns)


_CONFIGS = "/groups/{groupId}/alertConfigs"
_ONE_CONFIG = _CONFIGS + "/{alertConfigId}"

ROUTES = (
    Route(
        *("GET", "/groups/{groupId}/alerts", "listAlerts", "Return the alerts of a project, the latest first"),
        roles=READERS,
        handle=_list_alerts,
        query=AlertQuery,
        answer=Page[AlertAnswer],
    ),
    Route(
        *("GET", "/groups/{groupId}/alerts/{alertId}", "getAlert", "Return an alert"),
        roles=READERS,
        handle=_alert,
        answer=AlertAnswer,
    ),
    Route(
        *("GET", _CONFIGS, "listAlertConfigurations", "Return the alert configurations of a project"),
        roles=READERS,
        handle=_list_configs,
        query=PageQuery,
        answer=Page[AlertConfigAnswer],
    ),
    Route(
        *("POST", _CONFIGS, "createAlertConfiguration", "Make an alert configuration"),
        roles=OWNERS,
        handle=_create_config,
        body=AlertConfigRequest,
        answer=AlertConfigAnswer,
        status=201,
    ),
    Route(
        *("GET", _ONE_CONFIG, "getAlertConfiguration", "Return an alert configuration"),
        roles=READERS,
        handle=_config,
        answer=AlertConfigAnswer,
    ),
    Route(
        *("PUT", _ONE_CONFIG, "updateAlertConfiguration", "Replace an alert configuration; its type stays"),
        roles=OWNERS,
        handle=_replace_config,
        body=AlertConfigRequest,
        answer=AlertConfigAnswer,
    ),
    Route(
        *("PATCH", _ONE_CONFIG, "toggleAlertConfiguration", "Turn an alert configuration on or off"),
        roles=OWNERS,
        handle=_toggle_config,
        body=AlertConfigToggle,
        answer=AlertConfigAnswer,
    ),
    Route(
        *("DELETE", _ONE_CONFIG, "deleteAlertConfiguration", "Delete an alert configuration"),
        roles=OWNERS,
        handle=_delete_config,
        status=204,
    ),
)
