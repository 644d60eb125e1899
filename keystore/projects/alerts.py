"""Alerts: opened and closed in the transaction of what they are about, with their event and their mails.

Invariants:
1. One alert of a type is open for a subject (a provider, a deployment) of a project; the database holds that.
2. An alert opens only while the project has a configuration for its type that is enabled.
3. The clock of a rotation starts when a key is set, and again when a change of it is complete (`complete_rotation`).
   Rotation inside the KMS, under the same key, does not reset it; requirements, row N7.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from keystore.projects.alert_configs import AlertConfig, config_for
from keystore.projects.alert_types import ALERT_TYPES, needs_rotation
from keystore.projects.codes import Code
from keystore.projects.events import SYSTEM, record_event
from keystore.projects.ids import new_id
from keystore.projects.mail import notify
from keystore.projects.tables import alerts, configurations, projects

OPEN, CLOSED = "OPEN", "CLOSED"

DAY_NS = 86400 * 10**9


@dataclass(frozen=True)
class Alert:
    """An alert; `closed_ns` is None while it is open."""

    id: str
    config_id: str | None
    project_id: str
    deployment_id: str | None
    provider: str | None
    type: str
    state: str
    opened_ns: int
    closed_ns: int | None
    detail: Mapping[str, Any]


def raise_alert(
    connection: sa.Connection,
    project_id: str,
    alert_type: str,
    now_ns: int,
    *,
    provider: str | None = None,
    deployment_id: str | None = None,
    detail: Mapping[str, Any] | None = None,
) -> str | None:
    """Open an alert with its event and its mails; return its id, or None where one is open or none is wanted."""
    config = config_for(connection, project_id, alert_type)
    if config is None or not config.enabled:
        return None
    subject = _subject(provider, deployment_id)
    if _open_id(connection, project_id, alert_type, subject) is not None:
        return None
    alert_id = new_id()
    said = dict(detail or {})
    row = {
        "id": alert_id,
        "config_id": config.id,
        "project_id": project_id,
        "deployment_id": deployment_id,
        "provider": provider,
        "subject": subject,
        "type": alert_type,
        "state": OPEN,
        "opened_ns": now_ns,
        "detail": said,
    }
    connection.execute(alerts.insert().values(row))
    event = {**said, "alertId": alert_id, "provider": provider}
    record_event(connection, alert_type, project_id, deployment_id, SYSTEM, now_ns, event)
    _tell(connection, config, OPEN, provider, said, now_ns)
    return alert_id


def close_alert(
    connection: sa.Connection,
    project_id: str,
    alert_type: str,
    now_ns: int,
    *,
    provider: str | None = None,
    deployment_id: str | None = None,
    resolved: bool = True,
) -> bool:
    """Close an alert if it is open; return whether it was.

    Args:
        resolved: what it was about is over: then the event that says so is written, and who was told is told again.
            Otherwise it is only not wanted any more.
    """
    alert_id = _open_id(connection, project_id, alert_type, _subject(provider, deployment_id))
    if alert_id is None:
        return False
    connection.execute(alerts.update().where(alerts.c.id == alert_id).values(state=CLOSED, closed_ns=now_ns))
    if resolved:
        event = {"alertId": alert_id, "provider": provider}
        event_type = ALERT_TYPES[alert_type].closed_by
        record_event(connection, event_type, project_id, deployment_id, SYSTEM, now_ns, event)
        config = config_for(connection, project_id, alert_type)
        if config is not None and config.enabled:
            _tell(connection, config, CLOSED, provider, {}, now_ns)
    return True


def evaluate_rotation_alert(connection: sa.Connection, configuration: sa.Row[Any], now_ns: int) -> None:
    """Open or close the alert that a key should be changed, as its age and its alert configuration say.

    Args:
        configuration: a row of `configurations`.
    """
    project_id, provider = configuration.project_id, configuration.provider
    config = config_for(connection, project_id, needs_rotation(provider))
    days = None if config is None or not config.enabled else config.threshold_days
    if days is not None and now_ns - configuration.rotated_ns > days * DAY_NS:
        said = {"thresholdDays": days, "rotatedNs": configuration.rotated_ns}
        raise_alert(connection, project_id, needs_rotation(provider), now_ns, provider=provider, detail=said)
    else:
        close_alert(connection, project_id, needs_rotation(provider), now_ns, provider=provider, resolved=False)


def complete_rotation(connection: sa.Connection, project_id: str, provider: str, now_ns: int) -> None:
    """Start the clock of a key anew, once the last node has changed to it; close the alert."""
    mine = (configurations.c.project_id == project_id) & (configurations.c.provider == provider)
    connection.execute(configurations.update().where(mine).values(rotated_ns=now_ns))
    alert_type = needs_rotation(provider)
    if not close_alert(connection, project_id, alert_type, now_ns, provider=provider):
        event_type, detail = ALERT_TYPES[alert_type].closed_by, {"provider": provider}
        record_event(connection, event_type, project_id, None, SYSTEM, now_ns, detail)


def forget_provider(connection: sa.Connection, project_id: str, provider: str, now_ns: int) -> None:
    """Close every alert about a provider whose key configuration is removed."""
    query = sa.select(alerts).where(alerts.c.project_id == project_id, alerts.c.provider == provider)
    for row in connection.execute(query.where(alerts.c.state == OPEN)).all():
        about = {"provider": provider, "deployment_id": row.deployment_id}
        close_alert(connection, project_id, row.type, now_ns, **about, resolved=False)


def follow_config(connection: sa.Connection, project_id: str, event_type: str, now_ns: int) -> None:
    """Let open alerts follow a configuration that was changed or deleted."""
    config = config_for(connection, project_id, event_type)
    if config is None or not config.enabled:
        mine = (alerts.c.project_id == project_id) & (alerts.c.type == event_type) & (alerts.c.state == OPEN)
        connection.execute(alerts.update().where(mine).values(state=CLOSED, closed_ns=now_ns))
        return
    for row in connection.execute(sa.select(configurations).where(configurations.c.project_id == project_id)).all():
        if needs_rotation(row.provider) == event_type:
            evaluate_rotation_alert(connection, row, now_ns)


def list_alerts(connection: sa.Connection, project_id: str, state: str | None = None) -> list[Alert]:
    """Return a project's alerts, or those in a state, the latest first."""
    wanted = [alerts.c.project_id == project_id, *([alerts.c.state == state] if state else [])]
    query = sa.select(alerts).where(*wanted).order_by(alerts.c.opened_ns.desc(), alerts.c.id)
    return [_alert(row) for row in connection.execute(query)]


def alert_named(connection: sa.Connection, project_id: str, alert_id: str) -> Alert:
    """Return an alert of a project.

    Raises:
        ApiError: it has none of that id.
    """
    row = connection.execute(
        sa.select(alerts).where(alerts.c.project_id == project_id, alerts.c.id == alert_id)
    ).one_or_none()
    if row is None:
        raise Code.ALERT_NOT_FOUND.error(alert_id)
    return _alert(row)


def _subject(provider: str | None, deployment_id: str | None) -> str:
    return f"{provider or ''}/{deployment_id or ''}"


def _open_id(connection: sa.Connection, project_id: str, alert_type: str, subject: str) -> str | None:
    is_it = (alerts.c.project_id == project_id) & (alerts.c.type == alert_type) & (alerts.c.subject == subject)
    return connection.scalar(sa.select(alerts.c.id).where(is_it, alerts.c.state == OPEN))


def _tell(
    connection: sa.Connection,
    config: AlertConfig,
    state: str,
    provider: str | None,
    said: Mapping[str, Any],
    now_ns: int,
) -> None:
    name = connection.scalar(sa.select(projects.c.name).where(projects.c.id == config.project_id))
    text = ALERT_TYPES[config.event_type].text.format(config.threshold_days)
    lines = [f"{text}.", "", f"Project: {name} ({config.project_id})", f"Alert: {config.event_type}, {state}"]
    lines += [f"Provider: {provider}"] if provider else []
    lines += [f"Reason: {said['reason']}"] if "reason" in said else []
    notify(connection, config.project_id, config.notifications, f"[{state}] {name}: {text}", "\n".join(lines), now_ns)


def _alert(row: sa.Row[Any]) -> Alert:
    head = (row.id, row.config_id, row.project_id, row.deployment_id, row.provider, row.type, row.state)
    return Alert(*head, row.opened_ns, row.closed_ns, row.detail)
