"""Commands on the backups of a project's clusters, over the API of the control plane."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import rich_click as click

from keystore.cli.api_client import part, project_path, with_api
from keystore.cli.output import Output, print_pairs, print_table, with_output

if TYPE_CHECKING:
    from keystore.cli.api_client import ApiClient

NOT_ENABLED = "Not enabled"
"""What the column Encryption Key ID shows where customer keys were off."""

PROJECT = click.option(
    "--project",
    metavar="PROJECT",
    envvar="KEYSTORE_PROJECT",
    required=True,
    help="The project, by its name or its id.  [env: KEYSTORE_PROJECT]",
)
CLUSTER = click.argument("cluster", metavar="CLUSTER")


@click.group("backup")
def backup() -> None:
    """Snapshots of a project's clusters: when they are taken, which key each needs, and restores."""


@backup.command("list")
@CLUSTER
@PROJECT
@with_api
@with_output
def list_(out: Output, cluster: str, project: str, api: ApiClient) -> None:
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
@CLUSTER
@PROJECT
@click.option("--keep-days", type=click.IntRange(1, 36500), default=7, show_default=True, help="When it is deleted.")
@click.option("--description", default="", help="For people.")
@with_api
@with_output
def take(out: Output, cluster: str, project: str, keep_days: int, description: str, api: ApiClient) -> None:
    """Take a snapshot of CLUSTER on demand; it is under way when the command ends."""
    body = {"retentionInDays": keep_days, "description": description}
    made = api.call("POST", f"{_path(api, project, cluster)}/snapshots", body)
    out.emit({"snapshot": made}, lambda: click.echo(f"snapshot {made['id']} is {made['status']}"))


@backup.command("delete")
@CLUSTER
@click.argument("snapshot", metavar="SNAPSHOT")
@PROJECT
@with_api
@with_output
def delete(out: Output, cluster: str, snapshot: str, project: str, api: ApiClient) -> None:
    """Delete SNAPSHOT of CLUSTER before its time."""
    api.call("DELETE", f"{_path(api, project, cluster)}/snapshots/{part(snapshot)}")
    out.emit({"deleted": snapshot}, lambda: click.echo(f"snapshot {snapshot} is being deleted"))


@backup.command("schedule")
@CLUSTER
@PROJECT
@click.option(
    "--change", type=click.File("r"), metavar="FILE", help="JSON of what is to change, as the API takes it; - reads it."
)
@with_api
@with_output
def schedule(out: Output, cluster: str, project: str, change: Any, api: ApiClient) -> None:
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
@CLUSTER
@click.argument("snapshot", metavar="[SNAPSHOT]", required=False)
@PROJECT
@click.option("--at", type=int, metavar="SECONDS", help="A time within the restore window, in seconds since 1970.")
@click.option("--into", metavar="CLUSTER", help="The cluster that gets the data.  [default: the same]")
@click.option("--into-project", metavar="PROJECT", help="The project of that cluster.  [default: the same]")
@with_api
@with_output
def restore(
    out: Output,
    cluster: str,
    snapshot: str | None,
    project: str,
    at: int | None,
    into: str | None,
    into_project: str | None,
    api: ApiClient,
) -> None:
    """Restore SNAPSHOT of CLUSTER, or CLUSTER as it was at a time; all data of the target is replaced.

    The key of the snapshot's day must be usable: where it is not, nothing is touched.
    """
    if (snapshot is None) == (at is None):
        raise click.UsageError("name a snapshot, or a time with --at")
    target = project_path(api, into_project or project).removeprefix("/groups/")
    body: dict[str, Any] = {"targetClusterName": into or cluster, "targetGroupId": target}
    if at is None:
        body |= {"deliveryType": "automated", "snapshotId": snapshot}
    else:
        body |= {"deliveryType": "pointInTime", "pointInTimeUTCSeconds": at}
    job = api.call("POST", f"{_path(api, project, cluster)}/restoreJobs", body)
    out.emit({"restore": job}, lambda: click.echo(f"restore {job['id']} is {job['status']}"))


@backup.command("restores")
@CLUSTER
@PROJECT
@with_api
@with_output
def restores(out: Output, cluster: str, project: str, api: ApiClient) -> None:
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


def _path(api: ApiClient, project: str, cluster: str) -> str:
    return f"{project_path(api, project)}/clusters/{part(cluster)}/backup"


def _json(file: Any) -> Any:
    try:
        return json.load(file)
    except ValueError as error:
        raise click.UsageError(f"{file.name} is not JSON: {error}") from None
