"""Commands on snapshots."""

import time
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from keystore.cli.arguments import NODE, TARGET
from keystore.cli.connecting import with_kms
from keystore.cli.opening import open_node
from keystore.cli.output import Output, format_time, print_pairs, with_output
from keystore.cli.policy_commands import policy
from keystore.cli.restore_commands import export_, restore
from keystore.cli.snapshot_list import list_
from keystore.cli.snapshot_upkeep import delete, gc, run_policy, verify
from keystore.format.kind import SnapshotKind
from keystore.format.manifest import NEVER
from keystore.units import format_bytes, plural

if TYPE_CHECKING:
    from keystore.objects.place import Place

KINDS = tuple(kind.label for kind in SnapshotKind)


@click.group()
def snapshot() -> None:
    """Take, keep, prove and restore snapshots."""


for command in (list_, restore, export_, verify, policy, run_policy, delete, gc):
    snapshot.add_command(command)


@snapshot.command()
@NODE
@TARGET
@click.option("--full", is_flag=True, help="Share nothing with former snapshots.")
@click.option("--keep", metavar="TIME", help="Until the policy deletes it, such as '30 days'.  [default: for ever]")
@click.option(
    "--kind",
    metavar="KIND",
    type=click.Choice(KINDS),
    default=KINDS[0],
    show_default=True,
    help=f"The schedule that it serves: {', '.join(KINDS)}.",
)
@click.option("--quiet", "-q", is_flag=True, help="Print the snapshot's id and nothing else.")
@with_kms
@with_output
def create(
    out: Output,
    node: Path,
    target: "Place",
    full: bool,
    keep: str | None,
    kind: str,
    quiet: bool,
    kms_endpoint: str | None,
) -> None:
    """Take a snapshot of a node into TARGET, a directory or the URL of a bucket.

    Sealed pages are checked, and copied as they are; what the node's last snapshot in TARGET has already is shared with
    it. The snapshot restores with the present CMK, whatever the node is moved to later. The KMS is asked once, to open
    the node.
    """
    from keystore.node.snapshotting import snapshot as take
    from keystore.snapshots.policy_file import parse_retention

    retention = None if keep is None else parse_retention(keep)
    with open_node(node, kms_endpoint) as opened, out.progress("Copying pages") as progress:
        expires_ns = NEVER if retention is None else retention.end_ns(time.time_ns())
        made = take(
            opened, target, progress,
            kind=SnapshotKind(KINDS.index(kind)), expires_ns=expires_ns, full=full,
        )  # fmt: skip
    name = made.snapshot_id.hex()
    values = {
        "snapshot_id": name,
        "target": str(target),
        "parent": made.parent.hex() if made.parent else None,
        "created": format_time(made.created_ns),
        "expires": None if keep is None else format_time(expires_ns),
        "encryption_key_id": made.key_id,
        "master_key_generation": made.era,
        "files": made.stores,
        "pages": made.pages,
        "bytes": made.logical_bytes,
        "stored_bytes": made.stored_bytes,
    }

    def text() -> None:
        if quiet:
            click.echo(name)
            return
        stored = format_bytes(made.stored_bytes)
        size = f"{plural(made.stores, 'file')}, {format_bytes(made.logical_bytes)} ({stored} stored)"
        print_pairs([("snapshot", name), ("content", size), ("needs the CMK", made.key_id)])

    out.emit(values, text)
