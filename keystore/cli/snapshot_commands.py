"""Commands on snapshots."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from keystore.cli import exits
from keystore.cli.arguments import FILE_NAME, NODE, ONLY_DATABASES, ONLY_FILES, OVERWRITE, PATH, TARGET
from keystore.cli.connecting import connector, new_connector, with_kms
from keystore.cli.opening import named_place, open_node
from keystore.cli.output import Output, format_time, print_pairs, print_problem, print_table, with_output
from keystore.cli.policy_commands import policy
from keystore.cli.transfers import emit_transfer, refuse_json_on_stdout
from keystore.units import format_bytes, plural

if TYPE_CHECKING:
    from keystore.snapshots.listing import SnapshotListing

SHORT_ID = 12
"""Characters of an id in lists: its time in milliseconds; more where that is not enough to tell them apart."""


@click.group()
def snapshot() -> None:
    """Take, list and restore snapshots."""


snapshot.add_command(policy)


@snapshot.command()
@NODE
@TARGET
@click.option("--quiet", "-q", is_flag=True, help="Print the snapshot's id and nothing else.")
@with_kms
@with_output
def create(out: Output, node: Path, target: Path, quiet: bool, kms_endpoint: str | None) -> None:
    """Take a snapshot of a node into the directory TARGET.

    Sealed pages are checked, and copied as they are. The snapshot restores with the present CMK, whatever the node is
    moved to later. The KMS is asked once, to open the node.
    """
    from keystore.node.snapshotting import snapshot as take
    from keystore.snapshots.target import LocalTarget

    with open_node(node, kms_endpoint) as opened, out.progress("Copying pages") as progress:
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
        stored = format_bytes(made.stored_bytes)
        size = f"{plural(made.stores, 'file')}, {format_bytes(made.logical_bytes)} ({stored} stored)"
        print_pairs([("snapshot", name), ("content", size), ("needs the CMK", made.key_id)])

    out.emit(values, text)


@snapshot.command("list")
@TARGET
@with_output
@click.pass_context
def list_(context: click.Context, out: Output, target: Path) -> None:
    """List the snapshots in the directory TARGET. Needs no key.

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


@snapshot.command()
@TARGET
@click.argument("snapshot_id", metavar="SNAPSHOT")
@click.argument("node", type=PATH)
@click.option("--key", metavar="URI", help="The CMK of the new node.  [default: the snapshot's]")
@click.option(
    "--volume-key", metavar="URI", help="The platform key of its volume layer.  [default: the snapshot's, if any]"
)
@ONLY_DATABASES
@ONLY_FILES
@click.option(
    "--resume", is_flag=True, help="Go on where an earlier restore stopped; and keep what is done if this one does."
)
@with_kms
@with_output
def restore(
    out: Output,
    target: Path,
    snapshot_id: str,
    node: Path,
    key: str | None,
    volume_key: str | None,
    databases: tuple[str, ...],
    files: tuple[tuple[str, str], ...],
    resume: bool,
    kms_endpoint: str | None,
) -> None:
    """Make a new node directory NODE from a snapshot, with the key of its day.

    SNAPSHOT is an id, the unique beginning of one, or `latest`. NODE appears when it is complete and verified, and not
    before. A new passphrase for --key is asked for, or taken from KEYSTORE_NEW_PASSPHRASE.
    """
    from keystore.node.restoring import restore as make
    from keystore.snapshots.choice import Choice
    from keystore.snapshots.ids import find_id
    from keystore.snapshots.target import LocalTarget

    place = LocalTarget(target)
    chosen = find_id(snapshot_id, place.complete_ids(), str(target))
    with out.progress("Restoring") as progress:
        made = make(
            place, chosen, node, connector(kms_endpoint), choice=Choice(databases, files), key=key,
            volume_key=volume_key, connect_new=new_connector(kms_endpoint), outside_anchor=named_place(), resume=resume,
            progress=progress,
        )  # fmt: skip
    values = {
        "node": str(node),
        "node_id": made.node_id.hex(),
        "snapshot_id": made.snapshot_id.hex(),
        "snapshot_encryption_key_id": made.snapshot_key_id,
        "encryption_key_id": made.key_id,
        "files": made.stores,
        "pages": made.pages,
        "bytes": made.logical_bytes,
        "resumed": made.resumed,
    }

    def text() -> None:
        print_pairs(
            [
                ("node", f"{node} ({made.node_id.hex()})"),
                ("content", f"{plural(made.stores, 'file')}, {format_bytes(made.logical_bytes)}, every page verified"),
                ("opened with", made.snapshot_key_id),
                ("now under", made.key_id),
            ]
        )

    out.emit(values, text)


@snapshot.command("export")
@TARGET
@click.argument("snapshot_id", metavar="SNAPSHOT")
@FILE_NAME
@click.argument("file", metavar="FILE", type=PATH)
@OVERWRITE
@with_kms
@with_output
def export_(
    out: Output,
    target: Path,
    snapshot_id: str,
    file_name: tuple[str, str],
    file: Path,
    overwrite: bool,
    kms_endpoint: str | None,
) -> None:
    """Write a file of a snapshot to FILE, in clear, or to standard output (-); no node is made.

    SNAPSHOT is an id, the unique beginning of one, or `latest`. FILE is whole or not there.
    """
    from keystore.node.snapshot_export import export_from_snapshot
    from keystore.snapshots.ids import find_id
    from keystore.snapshots.target import LocalTarget

    to_stdout = refuse_json_on_stdout(out, file)
    place = LocalTarget(target)
    chosen = find_id(snapshot_id, place.complete_ids(), str(target))
    with out.progress("Exporting") as progress:
        done = export_from_snapshot(
            place, chosen, *file_name, sys.stdout.buffer if to_stdout else file, connector(kms_endpoint),
            overwrite=overwrite, progress=progress,
        )  # fmt: skip
    emit_transfer(out, "exported", done, err=to_stdout)


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
            "volume_encryption_key_id": item.head.volume.wrapped.key_id if item.head.volume else None,
        }
    return values
