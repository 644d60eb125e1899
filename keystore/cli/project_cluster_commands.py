"""Commands on the clusters of a project, over the API: made, changed by a draft that is reviewed, paused, deleted.

`keystore cluster` is another thing: the tool of whoever runs the control plane, on its database.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import rich_click as click

from keystore.cli.api_client import ApiClient, part, project_path, with_api
from keystore.cli.confirming import YES, confirm
from keystore.cli.output import Output, with_output
from keystore.cli.project_argument import PROJECT, ProjectGroup
from keystore.cli.project_cluster_output import emit_changes, emit_cluster, emit_clusters, emit_draft
from keystore.cli.project_cluster_watching import follow, follow_to_the_end, settle

F = TypeVar("F", bound=Callable[..., Any])

CLUSTER = click.argument("cluster", metavar="CLUSTER")
DRAFT = click.argument("draft", metavar="DRAFT")
WAIT = click.option("--wait", is_flag=True, help="Show how it gets on, node by node, until it is done.")
SETTLE = click.option("--wait", is_flag=True, help="Wait until every process of it is down, or up.")

SHAPE = (
    click.option("--tier", metavar="TIER", help="Size of its nodes, such as M10; customer keys need M10 or larger."),
    click.option("--nodes", type=click.IntRange(1, 50), help="How many.  [default for a new one: 3]"),
    click.option("--disk-gb", type=click.IntRange(1), metavar="GB", help="Disk of each node."),
    click.option("--version", metavar="N.N.N", help="Version of the database; only upwards."),
    click.option(
        "--encryption",
        type=click.Choice(["none", "aws", "azure", "gcp"], case_sensitive=False),
        help="Whose KMS has the customer's key (`keystore project encryption`); none turns customer keys off.",
    ),
    click.option("--backups/--no-backups", default=None, help="Whether snapshots are taken."),
    click.option("--backup-type", type=click.Choice(["cloud", "legacy"], case_sensitive=False), help="How."),
    click.option("--point-in-time/--no-point-in-time", default=None, help="Whether any second can be restored."),
)
PLAIN = {
    "disk_gb": "diskSizeGB",
    "version": "mongoDBVersion",
    "encryption": "encryptionAtRestProvider",
    "backups": "backupEnabled",
    "backup_type": "backupType",
    "point_in_time": "pitEnabled",
}
"""The API's names of the options that are fields of a body by themselves."""
SPECS = {"tier": "instanceSize", "nodes": "nodeCount"}
REGION = {"cloud": "providerName", "region": "regionName"}


def with_shape(function: F) -> F:
    """Add the options that say what a cluster is to be; they arrive as `given`."""
    for option in reversed(SHAPE):
        function = option(function)
    return function


@click.group("cluster", cls=ProjectGroup)
def project_cluster() -> None:
    """Clusters of a project, as the API shows them to customers.

    `keystore cluster`, without a project, is for whoever runs the control plane.
    """


@project_cluster.command("create")
@PROJECT
@CLUSTER
@click.option("--cloud", required=True, type=click.Choice(["aws", "azure", "gcp"], case_sensitive=False), help="Where.")
@click.option("--region", required=True, metavar="REGION", help="Where in that cloud, such as EU_CENTRAL_1.")
@with_shape
@WAIT
@with_api
@with_output
@click.pass_context
def create(
    context: click.Context,
    /,
    out: Output,
    project: str,
    cluster: str,
    cloud: str,
    region: str,
    wait: bool,
    api: ApiClient,
    **given: Any,
) -> None:
    """Make a cluster; the addresses from which its nodes call a KMS are shown at once."""
    if given["tier"] is None:
        raise click.UsageError("Missing option '--tier'")
    body = {"name": cluster, **_body({**given, "cloud": cloud.upper(), "region": region})}
    where = f"{project_path(api, project)}/clusters"
    made = api.call("POST", where, body)
    context.exit(_followed(out, api, f"{where}/{part(cluster)}", made, wait=wait))


@project_cluster.command("list")
@PROJECT
@with_api
@with_output
def list_clusters(out: Output, project: str, api: ApiClient) -> None:
    """List the clusters of a project."""
    emit_clusters(out, api.all(f"{project_path(api, project)}/clusters"))


@project_cluster.command("show")
@PROJECT
@CLUSTER
@with_api
@with_output
def show(out: Output, project: str, cluster: str, api: ApiClient) -> None:
    """Show a cluster, what is being changed, and how far each node is."""
    emit_cluster(out, api.call("GET", _path(api, project, cluster)))


@project_cluster.command("edit")
@PROJECT
@CLUSTER
@click.option("--draft", metavar="ID", help="Put more into this draft.  [default: open one]")
@click.option("--apply", "applies", is_flag=True, help="Submit it at once.")
@with_shape
@WAIT
@with_api
@with_output
@click.pass_context
def edit(
    context: click.Context,
    /,
    out: Output,
    project: str,
    cluster: str,
    draft: str | None,
    applies: bool,
    wait: bool,
    api: ApiClient,
    **given: Any,
) -> None:
    """Write a draft of a change, and show what it would change; nothing happens before it is applied."""
    if wait and not applies:
        raise click.UsageError("--wait goes with --apply")
    body, where = _body(given), _path(api, project, cluster)
    if not body:
        raise click.UsageError("nothing was given that is to be changed")
    drafts = f"{where}/drafts"
    found = api.call("POST", drafts, body) if draft is None else api.call("PATCH", f"{drafts}/{part(draft)}", body)
    if applies:
        applied = api.call("POST", f"{drafts}/{found['id']}/apply")
        context.exit(_followed(out, api, where, applied, wait=wait))
    emit_draft(out, found, project)


@project_cluster.command("review")
@PROJECT
@CLUSTER
@DRAFT
@with_api
@with_output
def review(out: Output, project: str, cluster: str, draft: str, api: ApiClient) -> None:
    """Show what a draft would change."""
    emit_draft(out, api.call("GET", f"{_path(api, project, cluster)}/drafts/{part(draft)}"), project)


@project_cluster.command("apply")
@PROJECT
@CLUSTER
@DRAFT
@WAIT
@with_api
@with_output
@click.pass_context
def apply(
    context: click.Context, out: Output, project: str, cluster: str, draft: str, wait: bool, api: ApiClient
) -> None:
    """Submit what a draft changes; refused if the cluster was changed since it was opened."""
    where = _path(api, project, cluster)
    applied = api.call("POST", f"{where}/drafts/{part(draft)}/apply")
    context.exit(_followed(out, api, where, applied, wait=wait))


@project_cluster.command("discard")
@PROJECT
@CLUSTER
@DRAFT
@with_api
@with_output
def discard(out: Output, project: str, cluster: str, draft: str, api: ApiClient) -> None:
    """Throw a draft away."""
    api.call("DELETE", f"{_path(api, project, cluster)}/drafts/{part(draft)}")
    out.emit({"discarded": draft}, lambda: click.echo(f"discarded draft {draft}"))


@project_cluster.command("pause")
@PROJECT
@CLUSTER
@SETTLE
@with_api
@with_output
@click.pass_context
def pause(context: click.Context, out: Output, project: str, cluster: str, wait: bool, api: ApiClient) -> None:
    """End every process of a cluster, and its keys in memory with them."""
    context.exit(_paused(out, api, _path(api, project, cluster), paused=True, wait=wait))


@project_cluster.command("resume")
@PROJECT
@CLUSTER
@SETTLE
@with_api
@with_output
@click.pass_context
def resume(context: click.Context, out: Output, project: str, cluster: str, wait: bool, api: ApiClient) -> None:
    """Start a paused cluster; its processes come up if its key can be had."""
    context.exit(_paused(out, api, _path(api, project, cluster), paused=False, wait=wait))


@project_cluster.command("replace-node")
@PROJECT
@CLUSTER
@click.argument("node", metavar="NODE")
@WAIT
@with_api
@with_output
@click.pass_context
def replace_node(
    context: click.Context, out: Output, project: str, cluster: str, node: str, wait: bool, api: ApiClient
) -> None:
    """Have NODE, such as n2, move to another machine, with another address."""
    where = _path(api, project, cluster)
    found = api.call("POST", f"{where}/nodes/{part(node)}/replace")
    context.exit(_followed(out, api, where, found, wait=wait))


@project_cluster.command("patch")
@PROJECT
@CLUSTER
@click.argument("version", metavar="VERSION")
@with_api
@with_output
def patch(out: Output, project: str, cluster: str, version: str, api: ApiClient) -> None:
    """Have the maintenance VERSION N.N.N applied, also while the cluster is disabled: no node is started for it."""
    emit_cluster(out, api.call("POST", f"{_path(api, project, cluster)}/patch", {"mongoDBVersion": version}))


@project_cluster.command("changes")
@PROJECT
@CLUSTER
@with_api
@with_output
def changes(out: Output, project: str, cluster: str, api: ApiClient) -> None:
    """List all changes of a cluster, the earliest first, also those that were applied or failed."""
    emit_changes(out, api.all(f"{_path(api, project, cluster)}/changes"))


@project_cluster.command("delete")
@PROJECT
@CLUSTER
@YES
@WAIT
@with_api
@with_output
@click.pass_context
def delete(
    context: click.Context, out: Output, project: str, cluster: str, yes: bool, wait: bool, api: ApiClient
) -> None:
    """Delete a cluster: its processes and files go, its snapshots stay."""
    where = _path(api, project, cluster)
    confirm(f"cluster {cluster} of project {project} is deleted with its data; its snapshots stay", yes=yes)
    api.call("DELETE", where)
    code = follow_to_the_end(out, api, where) if wait else 0
    told = "is deleted" if wait else "is being deleted"
    out.emit({"deleted": cluster}, lambda: click.echo(f"{cluster} {told}"))
    context.exit(code)


def _path(api: ApiClient, project: str, cluster: str) -> str:
    return f"{project_path(api, project)}/clusters/{part(cluster)}"


def _body(given: dict[str, Any]) -> dict[str, Any]:
    """Return the body of what was given; what was not stays away."""
    words = ("encryption", "backup_type")
    values = {name: value.upper() if name in words else value for name, value in given.items() if value is not None}
    body, specs, region = _named(PLAIN, values), _named(SPECS, values), _named(REGION, values)
    region |= {"electableSpecs": specs} if specs else {}
    return body | ({"replicationSpecs": [{"regionConfigs": [region]}]} if region else {})


def _named(names: dict[str, str], values: dict[str, Any]) -> dict[str, Any]:
    return {shown: values[name] for name, shown in names.items() if name in values}


def _paused(out: Output, api: ApiClient, where: str, *, paused: bool, wait: bool) -> int:
    """Pause or resume a cluster, wait until that is so if that is wanted, show it, and return the exit code."""
    found, code = api.call("PATCH", where, {"paused": paused}), 0
    if wait:
        found, code = settle(api, where, found)
    emit_cluster(out, found)
    return code


def _followed(out: Output, api: ApiClient, where: str, submitted: dict[str, Any], *, wait: bool) -> int:
    """Watch the changes of a cluster to their end if that is wanted, show it, and return the exit code."""
    found, code = follow(out, api, where, submitted) if wait else (submitted, 0)
    emit_cluster(out, found)
    return code
