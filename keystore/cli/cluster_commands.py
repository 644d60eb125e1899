"""Commands on clusters: orders to the control plane, and what it tells. `keystore control serve` carries them out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from keystore.cli import exits
from keystore.cli.arguments import PATH
from keystore.cli.cluster_output import emit_report, operation_values, print_operation
from keystore.cli.cluster_watching import watch
from keystore.cli.connecting import connector, with_kms
from keystore.cli.control_opening import open_plane, with_database
from keystore.cli.output import Output, with_output
from keystore.cli.serving_commands import root_arguments
from keystore.errors import ApiError

if TYPE_CHECKING:
    from keystore.control.local_hosts import LocalHosts
    from keystore.control.operation_rows import Operation
    from keystore.control.plane import Plane

NAME = click.argument("name", metavar="CLUSTER")
NO_WAIT = click.option("--no-wait", is_flag=True, help="Give the order, and do not watch it.")


@click.group()
def cluster() -> None:
    """Clusters of nodes: what is done to all members, one after the other, while the cluster serves.

    Orders are carried out by `keystore control serve` on the same database; a command only watches, and may be ended at
    any time.
    """


@cluster.command()
@NAME
@click.option("--members", "count", type=click.IntRange(1, 50), default=3, show_default=True, help="How many.")
@click.option(
    "--directory", type=PATH, metavar="DIR", help="Where everything of it will be.  [default: its name, here]"
)
@click.option("--platform-key", required=True, metavar="URI", help="The key under which it is without customer keys.")
@click.option("--cmk", metavar="URI", help="The customer's master key.  [default: customer keys are off]")
@with_database
@with_kms
@with_output
def create(
    out: Output,
    name: str,
    count: int,
    directory: Path | None,
    platform_key: str,
    cmk: str | None,
    database: str,
    kms_endpoint: str | None,
) -> None:
    """Make a cluster on this machine: an authority, a node for each member, a router, and their hosts; start them.

    Members are called n1, n2, …; n1 is the primary. With a CMK there is a volume layer under the platform key.
    """
    from keystore.control.founding import create_local_cluster, local_cluster
    from keystore.control.reports import report

    place = (directory or Path(name)).absolute()
    new = local_cluster(name, place, count, platform_key, cmk)
    with open_plane(database, kms_endpoint) as plane:
        hosts, connect = _hosts(place, kms_endpoint), connector(kms_endpoint)
        create_local_cluster(plane.database, plane.clock.now_ns(), connect, new, hosts)
        found = report(plane, name)
    emit_report(out, found)


@cluster.command()
@NAME
@with_database
@with_kms
@with_output
def start(out: Output, name: str, database: str, kms_endpoint: str | None) -> None:
    """Start the hosts of a cluster on this machine, and with them its nodes, where they do not run."""
    from keystore.control.clusters import cluster_named, set_addresses
    from keystore.control.reports import report
    from keystore.control.routers import tell_router

    with open_plane(database, kms_endpoint) as plane:
        found = cluster_named(plane.database, name)
        records = _hosts(Path(found.directory), kms_endpoint).start(found.processes)
        set_addresses(plane.database, found.id, records)
        tell_router(cluster_named(plane.database, name))
        told = report(plane, name)
    emit_report(out, told)


@cluster.command()
@NAME
@with_database
@with_output
def stop(out: Output, name: str, database: str) -> None:
    """End the hosts and nodes of a cluster on this machine; keys are wiped from memory."""
    from keystore.control.clusters import cluster_named

    with open_plane(database, None) as plane:
        found = cluster_named(plane.database, name)
        _hosts(Path(found.directory), None).stop(found.processes)
    out.emit({"cluster": name, "stopped": found.member_names}, lambda: click.echo(f"stopped {name}"))


@cluster.command()
@NAME
@with_database
@with_kms
@with_output
@click.pass_context
def status(context: click.Context, out: Output, name: str, database: str, kms_endpoint: str | None) -> None:
    """Show a cluster: its members, its key, what is being done to it, and what was."""
    from keystore.control.reports import report

    with open_plane(database, kms_endpoint) as plane:
        found, recovery = report(plane, name), _recovery(plane, name)
    emit_report(out, found, recovery)
    context.exit(exits.OK if all(member.status for member in found.members) else exits.ERROR)


@cluster.command()
@NAME
@NO_WAIT
@with_database
@with_kms
@with_output
@click.pass_context
def rotate(
    context: click.Context, out: Output, name: str, no_wait: bool, database: str, kms_endpoint: str | None
) -> None:
    """Give every member a new master key under the same key. No data file is touched."""
    with open_plane(database, kms_endpoint) as plane:
        context.exit(_followed(out, plane, plane.requests.rotate(name), no_wait=no_wait))


@cluster.command("change-cmk")
@NAME
@click.argument("key", metavar="URI")
@NO_WAIT
@with_database
@with_kms
@with_output
@click.pass_context
def change_cmk(
    context: click.Context, out: Output, name: str, key: str, no_wait: bool, database: str, kms_endpoint: str | None
) -> None:
    """Give every member a new master key under another CMK of the same provider, at Azure in the same vault.

    The former key must stay usable until the last member is done; then it is needed for older snapshots only.
    """
    with open_plane(database, kms_endpoint) as plane:
        context.exit(_followed(out, plane, plane.requests.change_cmk(name, key), no_wait=no_wait))


@cluster.command()
@NAME
@click.option("--on", "key", metavar="URI", help="Turn customer keys on, under this CMK.")
@click.option("--off", is_flag=True, help="Turn customer keys off: everything goes under the platform key.")
@NO_WAIT
@with_database
@with_kms
@with_output
@click.pass_context
def convert(
    context: click.Context,
    out: Output,
    name: str,
    key: str | None,
    off: bool,
    no_wait: bool,
    database: str,
    kms_endpoint: str | None,
) -> None:
    """Turn customer keys on or off. Every member rewrites its own files, one member after the other, and serves."""
    if (key is None) != off:
        raise click.UsageError("say either --on URI or --off")
    with open_plane(database, kms_endpoint) as plane:
        order = plane.requests.convert_off(name) if key is None else plane.requests.convert_on(name, key)
        context.exit(_followed(out, plane, order, no_wait=no_wait))


@cluster.command()
@NAME
@NO_WAIT
@with_database
@with_kms
@with_output
@click.pass_context
def resume(
    context: click.Context, out: Output, name: str, no_wait: bool, database: str, kms_endpoint: str | None
) -> None:
    """Have an operation that waits or is halted tried again now, and not at the next check."""
    with open_plane(database, kms_endpoint) as plane:
        context.exit(_followed(out, plane, plane.requests.resume(name), no_wait=no_wait))


@cluster.command()
@NAME
@with_database
@with_kms
@with_output
def abandon(out: Output, name: str, database: str, kms_endpoint: str | None) -> None:
    """End an operation that cannot end by itself. Members that it touched stay as they are now.

    A change of the CMK, or a conversion, can be ordered again afterwards, forward or back.
    """
    with open_plane(database, kms_endpoint) as plane:
        ended = plane.requests.abandon(name)
    out.emit(operation_values(ended), lambda: print_operation(ended))


def _recovery(plane: Plane, name: str) -> str:
    """Return how a project's cluster comes back of which a member is down; nothing for a cluster of no project."""
    from keystore.projects.conditions import DisabledBy
    from keystore.projects.deployment_rows import read_deployment

    try:
        with plane.database.read() as connection:
            found = read_deployment(connection, name)
    except ApiError:
        return ""
    if found.condition.paused:
        return f"it is paused; `keystore project cluster resume {found.project_id} {found.name}` starts it"
    if found.condition.disabled_by is DisabledBy.VALIDATION:
        again = f"keystore project encryption try-again {found.project_id} {found.shape.provider.lower()}"
        return (
            f"a check found its key invalid: `{again}` starts it once the key can be used, and so does the next check"
        )
    return "it is of a project, and `keystore control serve` starts what does not run, at the next look"


def _hosts(directory: Path, kms_endpoint: str | None) -> LocalHosts:
    """Return the hosts of a cluster; they are started with the options of this command."""
    from keystore.control.creation import ClusterFiles
    from keystore.control.local_hosts import LocalHosts

    options = ("--kms-endpoint", kms_endpoint) if kms_endpoint else ()
    return LocalHosts(ClusterFiles(directory), root_arguments(), options)


def _followed(out: Output, plane: Plane, operation: Operation, *, no_wait: bool) -> int:
    """Watch an operation to its end or halt, tell how it ended, and return the exit code."""
    try:
        ended = operation if no_wait else watch(out, plane, operation)
    except KeyboardInterrupt:
        if not out.as_json:
            click.echo("the order stands; `keystore cluster status` shows how it gets on", err=True)
        raise
    out.emit(operation_values(ended), lambda: print_operation(ended))
    return exits.ERROR if ended.state == "halted" else exits.OK
