"""What follows from a check: the state of a configuration, its events and alerts, its deployments, the mail.

Everything is written in the caller's transaction; processes are stopped and started by `keystore.projects.supervision`,
mail is sent by its own job.

Invariants:
1. Only a scheduled check stops anything, and only where the provider said no; any check that finds the key valid starts
   what was stopped (requirements, rows R39, R42, R55 to R57, and N4).
2. A second outcome of the same changes nothing: no second event, alert or mail.
3. Who was found invalid stays so until a check says valid: an outage in between lifts no lock (row R59).
"""

from dataclasses import replace
from typing import Final, Literal

import sqlalchemy as sa

from keystore.projects.access import Role
from keystore.projects.alert_types import CONFIG_NO_LONGER_VALID, NETWORK_ACCESS_DENIED, key_invalid
from keystore.projects.alerts import close_alert, evaluate_rotation_alert, raise_alert
from keystore.projects.checks import Outcome
from keystore.projects.conditions import DisabledBy
from keystore.projects.events import record_event
from keystore.projects.keyed_deployments import disable_deployments, enable_deployments
from keystore.projects.mail import queue_mail
from keystore.projects.settings_rows import REASON_CHARACTERS_MAX, Configuration, store
from keystore.projects.tables import checks, configurations, deployments, projects

Cause = Literal["scheduled", "save", "demand", "try_again"]

FAILED: Final = "ENCRYPTION_AT_REST_CONFIGURATION_VALIDATION_FAILED"
SUCCEEDED: Final = "ENCRYPTION_AT_REST_CONFIGURATION_VALIDATION_SUCCEEDED"

KEPT_NS: Final = 30 * 86400 * 10**9
"""LIMIT: how long it can be looked up what a check found."""


def record_outcome(
    connection: sa.Connection,
    found: Configuration,
    outcome: Outcome,
    cause: Cause,
    actor: str,
    now_ns: int,
    *,
    due_ns: int | None = None,
    address: str | None = None,
) -> Configuration:
    """Record what a check of a configuration found, with all that follows; return the configuration as it is then.

    Raises:
        ControlConflictError: that scheduled check is recorded already.
    """
    _keep(connection, found, outcome, cause, now_ns, due_ns, address)
    state = "invalid" if (found.state, outcome.state) == ("invalid", "unreachable") else outcome.state
    changed = state != found.state
    kept = found.reason if state != outcome.state else outcome.detail
    code = found.error_code if state != outcome.state else outcome.code or None
    after = replace(
        found,
        state=state,
        reason=kept[:REASON_CHARACTERS_MAX],
        error_code=code,
        checked_ns=now_ns,
        since_ns=now_ns if changed else found.since_ns,
    )
    store(connection, after, is_new=False)
    if changed and outcome.state != "unreachable":
        detail = {"provider": found.provider, "cause": cause, "errorCode": outcome.code, "reason": outcome.detail}
        event = SUCCEEDED if outcome.is_valid else FAILED
        record_event(connection, event, found.project_id, None, actor, now_ns, detail)
    if outcome.is_valid:
        _valid(connection, after, now_ns)
    elif outcome.state == "invalid":
        _invalid(connection, after, outcome, now_ns, stops=cause == "scheduled")
    else:
        said = {"reason": outcome.detail, "errorCode": outcome.code, "address": address}
        about = {"provider": found.provider}
        raise_alert(connection, found.project_id, NETWORK_ACCESS_DENIED, now_ns, **about, detail=said)
    if cause == "scheduled":
        mine = (configurations.c.project_id == found.project_id) & (configurations.c.provider == found.provider)
        evaluate_rotation_alert(connection, connection.execute(sa.select(configurations).where(mine)).one(), now_ns)
    return after


def _valid(connection: sa.Connection, found: Configuration, now_ns: int) -> None:
    for kind in (key_invalid(found.provider), CONFIG_NO_LONGER_VALID, NETWORK_ACCESS_DENIED):
        close_alert(connection, found.project_id, kind, now_ns, provider=found.provider)
    mine = (deployments.c.project_id == found.project_id) & deployments.c.terminated_ns.is_(None)
    down = sa.select(deployments.c.id).where(mine, deployments.c.disabled_by != DisabledBy.NOTHING.value).limit(1)
    if connection.scalar(down) is not None:  # mostly none is, and then nobody looks at every cluster
        enable_deployments(connection, found.project_id, found.provider, now_ns)


def _invalid(connection: sa.Connection, found: Configuration, outcome: Outcome, now_ns: int, *, stops: bool) -> None:
    project_id, provider = found.project_id, found.provider
    close_alert(connection, project_id, NETWORK_ACCESS_DENIED, now_ns, provider=provider)
    said = {"reason": outcome.detail, "errorCode": outcome.code}
    for kind in (key_invalid(provider), CONFIG_NO_LONGER_VALID):
        raise_alert(connection, project_id, kind, now_ns, provider=provider, detail=said)
    stopped = disable_deployments(connection, project_id, provider, outcome.detail, now_ns) if stops else []
    if stopped:
        subject, body = _mail(connection, found, outcome, stopped)
        queue_mail(connection, project_id, Role.GROUP_OWNER, subject, body, now_ns)


def _mail(connection: sa.Connection, found: Configuration, outcome: Outcome, stopped: list[str]) -> tuple[str, str]:
    name = connection.scalar(sa.select(projects.c.name).where(projects.c.id == found.project_id))
    lines = [
        f"The encryption key of {found.provider} for project {name} cannot be used any more: {outcome.detail}.",
        "",
        f"These clusters were shut down at the scheduled check ({outcome.code}):",
        *(f"  - {cluster}" for cluster in stopped),
        "",
        "Their data is unchanged. Restore access to the key, or update the credentials; then choose Try Again, or wait",
        "for the next scheduled check, and they start again.",
    ]
    return f"{len(stopped)} cluster(s) of {name} were shut down: invalid encryption key", "\n".join(lines)


def _keep(
    connection: sa.Connection,
    found: Configuration,
    outcome: Outcome,
    cause: Cause,
    now_ns: int,
    due_ns: int | None,
    address: str | None,
) -> None:
    """Keep what a check found for a while."""
    mine = (checks.c.project_id == found.project_id) & (checks.c.provider == found.provider)
    connection.execute(checks.delete().where(mine, checks.c.checked_ns < now_ns - KEPT_NS))
    row = {
        "project_id": found.project_id,
        "provider": found.provider,
        "due_ns": due_ns,
        "checked_ns": now_ns,
        "cause": cause,
        "outcome": outcome.state,
        "error_code": outcome.code or None,
        "reason": outcome.detail[:REASON_CHARACTERS_MAX],
        "address": address,
    }
    connection.execute(checks.insert().values(row))
