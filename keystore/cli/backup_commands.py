"""Commands on the backups of a project's clusters, over the API of the control plane."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import rich_click as click

from keystore.cli import exits
from keystore.cli.api_client import part, project_path, with_api
from keystore.cli.output import Output, print_pairs, print_table, with_output
from keystore.cli.project_argument import PROJECT, ProjectGroup
from keystore.cli.project_cluster_watching import LOOK_EVERY_S

if TYPE_CHECKING:
    from keystore.cli.api_client import ApiClient

NOT_ENABLED = "Not enabled"
"""What the column Encryption Key ID shows where customer keys were off."""

UNDER_WAY = ("queued", "inProgress")

CLUSTER = click.argument("cluster", metavar="CLUSTER")
WAIT = click.option("--wait", is_flag=True, help="Show how it gets on until it has ended; exit code 1 if it failed.")


@click.group("backup", cls=ProjectGroup)
def backup() -> None:
    """Snapshots of a project's clusters: when they are taken, which key each needs, and restores.

    Where PROJECT is left out, KEYSTORE_PROJECT names it.
    """


@backup.command("list")
@PROJECT
@CLUSTER
@with_api
@with_output
def list_(out: Output, project: str, cluster: str, api: ApiClient) -> None:
    """List the snapshots of CLUSTER, also of one that was terminated, with their Encryption Key IDs."""
    found = api.all(f"{_path(api, project, cluster)}/snapshots")

    def text() -> None:
        rows = [
            (
                each["id"],
                each.get("frequencyType", "on demand"),
                each["status"],
                each["createdAt"],
                each["expiresAt"],
                each.get("masterKeyUUID", NOT_ENABLED if each["status"] == "completed" else ""),
            )
            for each in found
        ]
        print_table(("SNAPSHOT", "KIND", "STATUS", "TAKEN", "EXPIRES", "ENCRYPTION KEY ID"), rows, flexible=5)

    out.emit({"snapshots": found}, text)


@backup.command("take")
@PROJECT
@CLUSTER
@click.option("--keep-days", type=click.IntRange(1, 36500), default=7, show_default=True, help="When it is deleted.")
@click.option("--description", default="", help="For people.")
@WAIT
@with_api
@with_output
@click.pass_context
def take(
    context: click.Context,
    out: Output,
    project: str,
    cluster: str,
    keep_days: int,
    description: str,
    wait: bool,
    api: ApiClient,
) -> None:
    """Take a snapshot of CLUSTER on demand; without --wait it is under way when the command ends."""
    where = f"{_path(api, project, cluster)}/snapshots"
    made = api.call("POST", where, {"retentionInDays": keep_days, "description": description})
    context.exit(_told(out, api, "snapshot", where, made, wait=wait))


@backup.command("delete")
@PROJECT
@CLUSTER
@click.argument("snapshot", metavar="SNAPSHOT")
@with_api
@with_output
def delete(out: Output, project: str, cluster: str, snapshot: str, api: ApiClient) -> None:
    """Delete SNAPSHOT of CLUSTER before its time."""
    api.call("DELETE", f"{_path(api, project, cluster)}/snapshots/{part(snapshot)}")
    out.emit({"deleted": snapshot}, lambda: click.echo(f"snapshot {snapshot} is being deleted"))


@backup.command("schedule")
@PROJECT
@CLUSTER
@click.option(
    "--change", type=click.File("r"), metavar="FILE", help="JSON of what is to change, as the API takes it; - reads it."
)
@with_api
@with_output
def schedule(out: Output, project: str, cluster: str, change: Any, api: ApiClient) -> None:
    """Show the backup schedule of CLUSTER, or change it."""
    path = f"{_path(api, project, cluster)}/schedule"
    found = api.call("GET", path) if change is None else api.call("PATCH", path, _json(change))

    def text() -> None:
        time = f"{found['referenceHourOfDay']:02}:{found['referenceMinuteOfHour']:02} UTC"
        window = f"{found['restoreWindowDays']} days"
        print_pairs([("reference time", time), ("restore window", window), ("next", found["nextSnapshot"] or "none")])
        click.echo()
        items = [item for policy in found["policies"] for item in policy["policyItems"]]
        rows = [
            (item["frequencyType"], str(item["frequencyInterval"]), f"{item['retentionValue']} {item['retentionUnit']}")
            for item in items
        ]
        print_table(("KIND", "INTERVAL", "KEPT"), rows)

    out.emit({"schedule": found}, text)


@backup.command("restore")
@PROJECT
@CLUSTER
@click.option("--snapshot", metavar="SNAPSHOT", help="Which one.")
@click.option("--at", type=int, metavar="SECONDS", help="A time within the restore window, in seconds since 1970.")
@click.option("--into", metavar="CLUSTER", help="The cluster that gets the data.  [default: the same]")
@click.option("--into-project", metavar="PROJECT", help="The project of that cluster.  [default: the same]")
@WAIT
@with_api
@with_output
@click.pass_context
def restore(
    context: click.Context,
    out: Output,
    project: str,
    cluster: str,
    snapshot: str | None,
    at: int | None,
    into: str | None,
    into_project: str | None,
    wait: bool,
    api: ApiClient,
) -> None:
    """Restore a snapshot of CLUSTER, or CLUSTER as it was at a time; all data of the target is replaced.

    The key of the snapshot's day must be usable: where it is not, nothing is touched.
    """
    if (snapshot is None) == (at is None):
        raise click.UsageError("give either --snapshot or --at")
    target = project_path(api, into_project or project).removeprefix("/groups/")
    body: dict[str, Any] = {"targetClusterName": into or cluster, "targetGroupId": target}
    if at is None:
        body |= {"deliveryType": "automated", "snapshotId": snapshot}
    else:
        body |= {"deliveryType": "pointInTime", "pointInTimeUTCSeconds": at}
    where = f"{_path(api, project, cluster)}/restoreJobs"
    context.exit(_told(out, api, "restore", where, api.call("POST", where, body), wait=wait))


@backup.command("restores")
@PROJECT
@CLUSTER
@with_api
@with_output
def restores(out: Output, project: str, cluster: str, api: ApiClient) -> None:
    """List the restores of CLUSTER's snapshots."""
    found = api.all(f"{_path(api, project, cluster)}/restoreJobs")

    def text() -> None:
        rows = [
            (
                each["id"],
                each["deliveryType"],
                each["status"],
                each.get("targetClusterName", ""),
                each["createdAt"],
                each.get("reason", ""),
            )
            for each in found
        ]
        print_table(("RESTORE", "KIND", "STATUS", "INTO", "ORDERED", "REASON"), rows, flexible=5)

    out.emit({"restores": found}, text)


@backup.command("usage")
@PROJECT
@with_api
@with_output
def usage(out: Output, project: str, api: ApiClient) -> None:
    """Say what needs each key of the project; one that is not listed is safe to delete."""
    report = api.call("GET", f"{project_path(api, project)}/encryptionAtRest/keyUsage")

    def text() -> None:
        rows = [_usage_row(each) for each in report["results"]]
        print_table(
            ("PROVIDER", "KEY", "CLUSTERS", "SNAPSHOTS", "LOGS", "UNUSED FROM"), rows, right=(2, 3, 4), flexible=1
        )
        for problem in report["problems"]:
            click.echo(f"not looked at: {problem}. No key is known to be unused.")

    out.emit({"keys": report["results"], "problems": report["problems"]}, text)


def _usage_row(use: dict[str, Any]) -> tuple[str, ...]:
    counts = (len(use["clusters"]), len(use["snapshots"]), len(use["oplogClusters"]))
    until = use["unusedFrom"] or ("configured" if use["configured"] else "in use")
    return (use["provider"], use["keyId"], *map(str, counts), until)


def _told(out: Output, api: ApiClient, what: str, where: str, ordered: dict[str, Any], *, wait: bool) -> int:
    """Say what became of a snapshot or restore that was ordered; return the exit code."""
    found, shown = ordered, ""
    while wait and found["status"] in UNDER_WAY:
        said = ": ".join(filter(None, (found["status"], found.get("reason"))))
        if said != shown and not out.as_json:
            click.echo(said, err=True)
        shown = said
        time.sleep(LOOK_EVERY_S)
        found = api.call("GET", f"{where}/{part(found['id'])}")
    because = f": {found['reason']}" if found.get("reason") else ""
    out.emit({what: found}, lambda: click.echo(f"{what} {found['id']} is {found['status']}{because}"))
    return exits.OK if not wait or found["status"] == "completed" else exits.ERROR


def _path(api: ApiClient, project: str, cluster: str) -> str:
    return f"{project_path(api, project)}/clusters/{part(cluster)}/backup"


def _json(file: Any) -> Any:
    try:
        return json.load(file)
    except ValueError as error:
        raise click.UsageError(f"{file.name} is not JSON: {error}") from None
