"""Commands on snapshots."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from keystore.cli import exits
from keystore.cli.arguments import NODE, TARGET
from keystore.cli.connecting import with_kms
from keystore.cli.opening import open_node
from keystore.cli.output import Output, format_time, print_pairs, print_problem, print_table, with_output
from keystore.cli.policy_commands import policy
from keystore.cli.restore_commands import export_, restore
from keystore.format.manifest import NO_PARENT
from keystore.units import format_bytes, plural

if TYPE_CHECKING:
    from keystore.objects.place import Place
    from keystore.snapshots.listing import SnapshotListing

SHORT_ID = 12
"""Characters of an id in lists: its time in milliseconds; more where that is not enough to tell them apart."""


@click.group()
def snapshot() -> None:
    """Take, list and restore snapshots."""


snapshot.add_command(policy)


snapshot.add_command(restore)
snapshot.add_command(export_)


@snapshot.command()
@NODE
@TARGET
@click.option("--full", is_flag=True, help="Share nothing with former snapshots.")
@click.option("--quiet", "-q", is_flag=True, help="Print the snapshot's id and nothing else.")
@with_kms
@with_output
def create(out: Output, node: Path, target: "Place", full: bool, quiet: bool, kms_endpoint: str | None) -> None:
    """Take a snapshot of a node into TARGET, a directory or the URL of a bucket.

    Sealed pages are checked, and copied as they are; what the node's last snapshot in TARGET has already is shared with
    it. The snapshot restores with the present CMK, whatever the node is moved to later. The KMS is asked once, to open
    the node.
    """
    from keystore.node.snapshotting import snapshot as take

    with open_node(node, kms_endpoint) as opened, out.progress("Copying pages") as progress:
        made = take(opened, target, progress, full=full)
    name = made.snapshot_id.hex()
    values = {
        "snapshot_id": name,
        "target": str(target),
        "parent": made.parent.hex() if made.parent else None,
        "created": format_time(made.created_ns),
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


@snapshot.command("list")
@TARGET
@with_output
@click.pass_context
def list_(context: click.Context, out: Output, target: "Place") -> None:
    """List the snapshots in TARGET, a directory or the URL of a bucket. Needs no key.

    Ids are shortened to what a restore needs; --json has them whole.
    """
    from keystore.node.usage import snapshots_at

    found = snapshots_at(target)
    errors = [item.error for item in found if item.error is not None]
    values = {"ok": not errors, "target": str(target), "snapshots": [_listing_values(item) for item in found]}
    out.emit(values, lambda: _print_list(found))
    context.exit(exits.code_of_all(errors))


def _print_list(found: "list[SnapshotListing]") -> None:
    ids = [item.snapshot_id.hex() for item in found]
    length = next(length for length in range(SHORT_ID, 33) if len({name[:length] for name in ids}) == len(ids))
    rows = [
        (
            name[:length],
            format_time(item.created_ns),
            item.state,
            format_bytes(item.stored_bytes) if item.head else "-",
            item.head.wrapped.key_id if item.head else "-",
        )
        for name, item in zip(ids, found, strict=True)
    ]
    print_table(("SNAPSHOT", "CREATED", "STATE", "STORED", "KEY"), rows, right=(3,), flexible=4)
    for name, item in zip(ids, found, strict=True):
        if item.problem:
            print_problem(f"{name[:length]}:", "red" if item.error else "yellow", item.problem, err=False)


def _listing_values(item: "SnapshotListing") -> dict[str, Any]:
    values: dict[str, Any] = {
        "snapshot_id": item.snapshot_id.hex(),
        "state": item.state,
        "created": format_time(item.created_ns),
        "problem": item.problem or None,
    }
    if item.head is not None:
        values |= {
            "node_id": item.head.node_id.hex(),
            "provider": item.head.wrapped.provider,
            "encryption_key_id": item.head.wrapped.key_id,
            "key_version": item.head.wrapped.key_version,
            "master_key_generation": item.head.era,
            "parent": item.head.parent.hex() if item.head.parent != NO_PARENT else None,
            "logical_bytes": item.head.logical_bytes,
            "stored_bytes": item.stored_bytes,
            "unique_bytes": item.unique_bytes,
            "volume_encryption_key_id": item.head.volume.wrapped.key_id if item.head.volume else None,
        }
    return values
