"""Commands that bring back what a snapshot has: as a new node, into a node that is there, or a file in clear."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from keystore.cli.arguments import FILE_NAME, ONLY_DATABASES, ONLY_FILES, OVERWRITE, PATH, TARGET
from keystore.cli.at_time import point_in_time, with_time
from keystore.cli.confirming import YES, confirm
from keystore.cli.connecting import connector, new_connector, with_kms
from keystore.cli.opening import named_place, open_node
from keystore.cli.output import Output, print_pairs, with_output
from keystore.cli.transfers import emit_transfer, refuse_json_on_stdout
from keystore.cli.trusting import with_trust
from keystore.units import format_bytes, plural

if TYPE_CHECKING:  # at run time they would load numpy at every start
    from keystore.node.restoring import RestoredNode
    from keystore.node.restoring_into import RestoredFiles, RestoreInto
    from keystore.node.signers import Trust
    from keystore.objects.place import Place
    from keystore.snapshots.at_time import PointInTime
    from keystore.snapshots.unlocking import UsedCredentials


@click.command()
@TARGET
@click.argument("snapshot_id", metavar="SNAPSHOT")
@click.argument("node", type=PATH)
@ONLY_DATABASES
@ONLY_FILES
@click.option("--into", is_flag=True, help="NODE is there: put the files in it, in the place of those of their names.")
@YES
@click.option("--key", metavar="URI", help="The CMK of the new node.  [default: the snapshot's]")
@click.option(
    "--volume-key", metavar="URI", help="The platform key of its volume layer.  [default: the snapshot's, if any]"
)
@click.option("--resume", is_flag=True, help="Go on where an earlier restore stopped, and keep what this one finishes.")
@click.option("--read-back", is_flag=True, help="Read every page once more from the disk before it counts as restored.")
@with_time
@with_trust
@with_kms
@with_output
def restore(
    out: Output,
    target: "Place",
    snapshot_id: str,
    node: Path,
    databases: tuple[str, ...],
    files: tuple[tuple[str, str], ...],
    into: bool,
    yes: bool,
    key: str | None,
    volume_key: str | None,
    resume: bool,
    read_back: bool,
    at_ns: int | None,
    log_place: str | None,
    trust: "Trust",
    kms_endpoint: str | None,
) -> None:
    """Make a new node directory NODE from a snapshot, with the key of its day; or restore --into a node.

    SNAPSHOT is an id, the unique beginning of one, or `latest`. A new NODE appears when it is complete and verified,
    and not before. A new passphrase for --key is asked for, or taken from KEYSTORE_NEW_PASSPHRASE.

    With --into all files change at once, after a yes, when they are complete and verified; other files of NODE stay.
    Its master key is rotated under its own CMK.

    With --at, SNAPSHOT says only which node it is of; the last one before that time is built on.
    """
    from keystore.snapshots.choice import Choice

    choice, at = Choice(databases, files), point_in_time(at_ns, log_place)
    if not into:
        made = _restore_new(
            out, target, snapshot_id, node, choice, at, key, volume_key, resume, read_back, trust, kms_endpoint
        )
        out.emit(_node_values(node, made), lambda: _print_node(node, made))
        return
    if key or volume_key or resume:
        raise click.UsageError(
            "a node that is there has its keys: --into goes with none of --key, --volume-key, --resume"
        )
    done = _restore_into(out, target, snapshot_id, node, choice, at, yes, read_back, trust, kms_endpoint)
    out.emit(_files_values(node, done), lambda: _print_files(node, done))


def _restore_new(
    out: Output,
    target: "Place",
    snapshot_id: str,
    node: Path,
    choice: Any,
    at: "PointInTime | None",
    key: str | None,
    volume_key: str | None,
    resume: bool,
    read_back: bool,
    trust: "Trust",
    kms_endpoint: str | None,
) -> "RestoredNode":
    from keystore.node.restoring import restore as make
    from keystore.snapshots.names import find_snapshot

    chosen = find_snapshot(target, snapshot_id)
    with out.progress("Restoring") as progress:
        return make(
            target, chosen, node, connector(kms_endpoint), choice=choice, at=at, trust=trust, key=key,
            volume_key=volume_key,
            connect_new=new_connector(kms_endpoint), outside_anchor=named_place(), resume=resume, read_back=read_back,
            progress=progress,
        )  # fmt: skip


def _restore_into(
    out: Output,
    target: "Place",
    snapshot_id: str,
    node: Path,
    choice: Any,
    at: "PointInTime | None",
    yes: bool,
    read_back: bool,
    trust: "Trust",
    kms_endpoint: str | None,
) -> "RestoredFiles":
    from keystore.node.restoring_into import restore_into
    from keystore.snapshots.names import find_snapshot

    chosen = find_snapshot(target, snapshot_id)
    with (
        open_node(node, kms_endpoint) as opened,
        restore_into(opened, target, chosen, connector(kms_endpoint), choice, at, trust=trust) as restoring,
    ):
        confirm(_what_changes(node, restoring), yes=yes)
        with out.progress("Restoring") as progress:
            return restoring.run(progress, read_back=read_back)


def _what_changes(node: Path, restoring: "RestoreInto") -> str:
    replaced = f"this replaces {plural(len(restoring.replaced), 'file')} of {node}"
    if restoring.replaced:
        replaced += (
            f" ({', '.join(restoring.replaced[:NAMES_SHOWN])}{', …' if restoring.replaced[NAMES_SHOWN:] else ''})"
        )
    return f"{replaced}, adds {len(restoring.added)} and leaves {len(restoring.kept)} as they are"


NAMES_SHOWN = 5
"""LIMIT: names in a question."""


def _credentials_values(used: "UsedCredentials") -> dict[str, Any]:
    return {"name": used.reference or None, "of_the_snapshot": used.recorded}


def _opened_with(key_id: str, used: "UsedCredentials") -> str:
    if not used.reference:
        return key_id
    return f"{key_id}, credentials {used.reference} ({'the ones of its day' if used.recorded else 'the present ones'})"


def _node_values(node: Path, made: "RestoredNode") -> dict[str, Any]:
    return {
        "node": str(node),
        "node_id": made.node_id.hex(),
        "snapshot_id": made.snapshot_id.hex(),
        "snapshot_encryption_key_id": made.snapshot_key_id,
        "credentials": _credentials_values(made.credentials),
        "encryption_key_id": made.key_id,
        "files": made.stores,
        "pages": made.pages,
        "bytes": made.logical_bytes,
        "resumed": made.resumed,
    }


def _print_node(node: Path, made: "RestoredNode") -> None:
    content = f"{plural(made.stores, 'file')}, {format_bytes(made.logical_bytes)}, every page verified"
    resumed = [("done before", plural(made.resumed, "file"))] if made.resumed else []
    print_pairs(
        [
            ("node", f"{node} ({made.node_id.hex()})"),
            ("snapshot", made.snapshot_id.hex()),
            ("content", content),
            *resumed,
            ("opened with", _opened_with(made.snapshot_key_id, made.credentials)),
            ("now under", made.key_id),
        ]
    )


def _files_values(node: Path, done: "RestoredFiles") -> dict[str, Any]:
    return {
        "node": str(node),
        "snapshot_id": done.snapshot_id.hex(),
        "snapshot_encryption_key_id": done.snapshot_key_id,
        "credentials": _credentials_values(done.credentials),
        "encryption_key_id": done.rotation.new.key_id,
        "master_key_generation": done.rotation.new.generation,
        "replaced": list(done.replaced),
        "added": list(done.added),
        "pages": done.pages,
        "bytes": done.logical_bytes,
    }


def _print_files(node: Path, done: "RestoredFiles") -> None:
    count = f"{len(done.replaced)} replaced, {len(done.added)} added"
    old, new = done.rotation.old, done.rotation.new
    print_pairs(
        [
            ("node", str(node)),
            ("snapshot", done.snapshot_id.hex()),
            ("files", f"{count}, {format_bytes(done.logical_bytes)}, every page verified"),
            ("opened with", _opened_with(done.snapshot_key_id, done.credentials)),
            ("master key", f"{old.generation} ({old.name}) -> {new.generation} ({new.name})"),
            ("under", new.key_id),
        ]
    )


@click.command("export")
@TARGET
@click.argument("snapshot_id", metavar="SNAPSHOT")
@FILE_NAME
@click.argument("file", metavar="FILE", type=PATH)
@OVERWRITE
@with_time
@with_trust
@with_kms
@with_output
def export_(
    out: Output,
    target: "Place",
    snapshot_id: str,
    file_name: tuple[str, str],
    file: Path,
    overwrite: bool,
    at_ns: int | None,
    log_place: str | None,
    trust: "Trust",
    kms_endpoint: str | None,
) -> None:
    """Write a file of a snapshot to FILE, in clear, or to standard output (-); no node is made.

    SNAPSHOT is an id, the unique beginning of one, or `latest`. FILE is whole or not there.
    """
    from keystore.node.snapshot_export import export_from_snapshot
    from keystore.snapshots.names import find_snapshot

    to_stdout = refuse_json_on_stdout(out, file)
    chosen = find_snapshot(target, snapshot_id)
    with out.progress("Exporting") as progress:
        done = export_from_snapshot(
            target, chosen, *file_name, sys.stdout.buffer if to_stdout else file, connector(kms_endpoint),
            at=point_in_time(at_ns, log_place), trust=trust, overwrite=overwrite, progress=progress,
        )  # fmt: skip
    emit_transfer(out, "exported", done, err=to_stdout)
