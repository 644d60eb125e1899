"""Commands on alerts and events of a project."""

from __future__ import annotations

from typing import Any

import rich_click as click

from keystore.cli.api_client import ApiClient, project_path, with_api
from keystore.cli.output import Output, print_table, with_output
from keystore.cli.project_argument import PROJECT, ProjectGroup
from keystore.errors import ApiError


@click.group(cls=ProjectGroup)
def alert() -> None:
    """Alerts of a project: what is wrong with its keys, and when somebody is told."""


@alert.command("list")
@PROJECT
@click.option("--all", "closed_too", is_flag=True, help="Those that are closed too.")
@with_api
@with_output
def list_alerts(out: Output, project: str, closed_too: bool, api: ApiClient) -> None:
    """List the alerts that are open, the latest first."""
    found = api.all(f"{project_path(api, project)}/alerts", status=None if closed_too else "OPEN")
    rows = [
        (
            each["eventTypeName"],
            each.get("cloudProvider", ""),
            each["status"],
            each["created"],
            each.get("resolved", ""),
        )
        for each in found
    ]
    heads = ("ALERT", "PROVIDER", "STATUS", "OPENED", "CLOSED")
    out.emit({"alerts": found}, lambda: print_table(heads, rows))


@alert.command("configs")
@PROJECT
@with_api
@with_output
def list_configs(out: Output, project: str, api: ApiClient) -> None:
    """List what alerts are configured, and above which thresholds they open."""
    found = api.all(f"{project_path(api, project)}/alertConfigs")
    rows = [
        (
            each["eventTypeName"],
            "on" if each["enabled"] else "off",
            f"{each['threshold']['threshold']} days" if "threshold" in each else "",
        )
        for each in found
    ]
    out.emit({"alertConfigs": found}, lambda: print_table(("ALERT", "", "THRESHOLD"), rows))


@alert.command("set")
@PROJECT
@click.argument("name", metavar="ALERT")
@click.option("--days", type=click.IntRange(1, 3650), help="The threshold from now on.")
@click.option("--on/--off", "enabled", default=None, help="Whether it opens at all.")
@with_api
@with_output
def set_config(out: Output, project: str, name: str, days: int | None, enabled: bool | None, api: ApiClient) -> None:
    """Change the threshold of an alert, or turn it on or off; open alerts follow at once."""
    where = f"{project_path(api, project)}/alertConfigs"
    found = next((each for each in api.all(where) if each["eventTypeName"] == name), None)
    if found is None:
        raise ApiError(
            404,
            "ALERT_CONFIG_NOT_FOUND",
            f"project {project} has no alert {name}. Nothing was changed; `keystore alert configs` shows all.",
        )
    body = {key: found[key] for key in ("eventTypeName", "notifications", "enabled", "threshold") if key in found}
    body |= {} if enabled is None else {"enabled": enabled}
    body |= {} if days is None else {"threshold": {"threshold": days}}
    changed = api.call("PUT", f"{where}/{found['id']}", body)
    told = f"{name}: {'on' if changed['enabled'] else 'off'}"
    told += f", above {changed['threshold']['threshold']} days" if "threshold" in changed else ""
    out.emit(changed, lambda: click.echo(told))


@click.group(cls=ProjectGroup)
def event() -> None:
    """Events of a project: everything that happened, and who did it."""


@event.command("list")
@PROJECT
@click.option("--type", "kind", metavar="TYPE", help="Only events of this type.")
@click.option("--limit", type=click.IntRange(1, 500), default=50, show_default=True, help="How many at most.")
@with_api
@with_output
def list_events(out: Output, project: str, kind: str | None, limit: int, api: ApiClient) -> None:
    """List the latest events, the latest first."""
    found = api.call("GET", f"{project_path(api, project)}/events", itemsPerPage=limit, eventType=kind)
    rows = [
        (each["created"], each["eventTypeName"], _subject(each["detail"]), each.get("publicKey", "system"))
        for each in found["results"]
    ]
    out.emit(
        {"events": found["results"], "total": found["totalCount"]},
        lambda: print_table(("WHEN", "WHAT", "OF", "WHO"), rows),
    )


def _subject(detail: dict[str, Any]) -> str:
    """Return which cluster an event is of, or else which provider's key."""
    return str(detail.get("cluster") or detail.get("provider") or ", ".join(detail.get("changed", ())))
