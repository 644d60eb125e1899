"""Commands on snapshots."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from keystore.cli.connecting import connector, with_kms
from keystore.cli.output import Output, format_bytes, format_time, print_pairs, print_table, with_output

if TYPE_CHECKING:
    from keystore.snapshots.listing import SnapshotListing

TARGET = click.argument("target", type=click.Path(path_type=Path))


@click.group()
def snapshot() -> None:
    """Take, list and restore snapshots."""


@snapshot.command()
@click.argument("node", type=click.Path(path_type=Path))
@TARGET
@click.option("--quiet", "-q", is_flag=True, help="Print the snapshot's id and nothing else.")
@with_kms
@with_output
def create(out: Output, node: Path, target: Path, quiet: bool, kms_endpoint: str | None) -> None:
    """Take a snapshot of a node into the directory TARGET.

    Sealed pages are copied as they are. The snapshot restores with the present CMK, whatever happens to it later.
    """
    from keystore.node.directory import Node
    from keystore.node.snapshotting import snapshot as take
    from keystore.snapshots.target import LocalTarget

    with Node.open(node, connector(kms_endpoint)) as opened, out.progress("Copying pages") as progress:
        made = take(opened, LocalTarget(target), progress)
    name = made.snapshot_id.hex()
    values = {
        "snapshot_id": name,
        "target": str(target),
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
        size = f"{made.stores} files, {format_bytes(made.logical_bytes)} ({format_bytes(made.stored_bytes)} stored)"
        print_pairs([("snapshot", name), ("content", size), ("needs the CMK", made.key_id)])

    out.emit(values, text)


@snapshot.command("list")
@TARGET
@with_output
def list_(out: Output, target: Path) -> None:
    """List the snapshots in the directory TARGET. Needs no key."""
    from keystore.snapshots.listing import list_snapshots
    from keystore.snapshots.target import LocalTarget

    found = list_snapshots(LocalTarget(target))

    def text() -> None:
        rows = [
            (
                item.snapshot_id.hex(),
                format_time(item.created_ns),
                item.state,
                format_bytes(item.stored_bytes),
                item.head.wrapped.key_id if item.head else item.problem,
            )
            for item in found
        ]
        print_table(("SNAPSHOT", "CREATED", "STATE", "STORED", "ENCRYPTION KEY ID"), rows, right=(3,))

    out.emit({"target": str(target), "snapshots": [_listing_values(item) for item in found]}, text)


@snapshot.command()
@TARGET
@click.argument("snapshot_id", metavar="SNAPSHOT")
@click.argument("node", type=click.Path(path_type=Path))
@click.option("--key", metavar="URI", help="The CMK of the new node.  [default: the snapshot's]")
@with_kms
@with_output
def restore(out: Output, target: Path, snapshot_id: str, node: Path, key: str | None, kms_endpoint: str | None) -> None:
    """Make a new node directory NODE from a snapshot, with the key of its day.

    SNAPSHOT is an id, the unique beginning of one, or `latest`. NODE appears when it is complete, and not before.
    """
    from keystore.node.snapshotting import restore as make
    from keystore.snapshots.ids import find_id
    from keystore.snapshots.target import LocalTarget

    place = LocalTarget(target)
    chosen = find_id(snapshot_id, place.complete_ids(), str(target))
    with out.progress("Restoring") as progress:
        made = make(place, chosen, node, connector(kms_endpoint), key=key, progress=progress)
    values = {
        "node": str(node),
        "node_id": made.node_id.hex(),
        "snapshot_id": made.snapshot_id.hex(),
        "snapshot_encryption_key_id": made.snapshot_key_id,
        "encryption_key_id": made.key_id,
        "files": made.stores,
        "pages": made.pages,
        "bytes": made.logical_bytes,
    }

    def text() -> None:
        print_pairs(
            [
                ("node", f"{node} ({made.node_id.hex()})"),
                ("content", f"{made.stores} files, {format_bytes(made.logical_bytes)}, every page verified"),
                ("opened with", made.snapshot_key_id),
                ("now under", made.key_id),
            ]
        )

    out.emit(values, text)


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
            "stored_bytes": item.stored_bytes,
        }
    return values
