"""Commands on one node directory."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from keystore.cli import exits
from keystore.cli.arguments import FILE_NAME, NODE, OVERWRITE, PATH, PLACE, STANDARD_STREAM
from keystore.cli.confirming import YES, confirm
from keystore.cli.connecting import first_connector, new_connector, with_kms
from keystore.cli.opening import named_place, open_node
from keystore.cli.output import (
    Output,
    format_time,
    print_pairs,
    print_problem,
    print_table,
    with_output,
)
from keystore.cli.outside_commands import outside_pairs, outside_values
from keystore.cli.transfers import emit_transfer, refuse_json_on_stdout
from keystore.units import format_bytes

if TYPE_CHECKING:  # at run time they would load numpy and gRPC at every start
    from keystore.node.reports import DatabaseInfo, FileInfo, MasterInfo, Rotation
    from keystore.node.volume import VolumeInfo

PAGE_SIZES = ("4096", "8192", "16384", "32768", "65536")


@click.command()
@NODE
@click.option("--key", required=True, metavar="URI", help="The customer master key of this node.")
@click.option("--name", metavar="NAME", help="Name of the node, for people.  [default: the directory's]")
@click.option(
    "--volume-key",
    metavar="URI",
    help="A platform key: all stores and packs are encrypted a second time under it.  [default: no volume layer]",
)
@click.option(
    "--outside-anchor", type=PLACE, metavar="PLACE", help="Attach an outside anchor: a directory or an object store."
)
@with_kms
@with_output
def init(
    out: Output,
    node: Path,
    key: str,
    name: str | None,
    volume_key: str | None,
    outside_anchor: str | None,
    kms_endpoint: str | None,
) -> None:
    """Make a new node directory under a customer master key."""
    from keystore.node.directory import Node

    place, connect = outside_anchor or named_place(), first_connector(kms_endpoint)
    with Node.init(node, key, connect, name=name, volume_key=volume_key, outside_anchor=place) as made:
        info, volume, node_id = made.master_info, made.volume_info, made.node_id.hex()
        made_name, outside = made.name, made.outside_anchor
    values = {
        "node": str(node),
        "node_id": node_id,
        "name": made_name,
        "master_key": master_values(info),
        "volume_layer": volume_values(volume),
        "outside_anchor": outside_values(outside),
    }
    pairs = [("node", str(node)), ("node id", node_id), *_master_pairs(info), *_volume_pairs(volume)]
    out.emit(values, lambda: print_pairs([*pairs, *outside_pairs(outside)]))


@click.command("import")
@NODE
@FILE_NAME
@click.argument("source", metavar="FILE", type=PATH)
@click.option(
    "--page-size",
    type=click.Choice(PAGE_SIZES),
    default="16384",
    show_default=True,
    help="Bytes of a page; small for random access.",
)
@with_kms
@with_output
def import_(
    out: Output, node: Path, file_name: tuple[str, str], source: Path, page_size: str, kms_endpoint: str | None
) -> None:
    """Seal FILE (or - for standard input) into a node."""
    stream = sys.stdin.buffer if source == STANDARD_STREAM else source
    with open_node(node, kms_endpoint) as opened, out.progress("Importing") as progress:
        done = opened.import_file(*file_name, stream, page_size=int(page_size), progress=progress)
    emit_transfer(out, "imported", done)


@click.command("export")
@NODE
@FILE_NAME
@click.argument("target", metavar="FILE", type=PATH)
@OVERWRITE
@with_kms
@with_output
def export_(
    out: Output, node: Path, file_name: tuple[str, str], target: Path, overwrite: bool, kms_endpoint: str | None
) -> None:
    """Write a file of a node to FILE, in clear, or to standard output (-). FILE is whole or not there."""
    to_stdout = refuse_json_on_stdout(out, target)
    with open_node(node, kms_endpoint) as opened, out.progress("Exporting") as progress:
        place = sys.stdout.buffer if to_stdout else target
        done = opened.export_file(*file_name, place, overwrite=overwrite, progress=progress)
    emit_transfer(out, "exported", done, err=to_stdout)


@click.command()
@NODE
@FILE_NAME
@YES
@with_kms
@with_output
def rm(out: Output, node: Path, file_name: tuple[str, str], yes: bool, kms_endpoint: str | None) -> None:
    """Remove a file of a node, also one whose store is damaged or missing. Snapshots keep it.

    The data key of its database stays: to make every copy unreadable, see `shred`.
    """
    name = "/".join(file_name)
    confirm(f"this removes {name} from {node} for good; only snapshots keep it", yes=yes)
    with open_node(node, kms_endpoint) as opened:
        opened.drop_file(*file_name)
    out.emit({"node": str(node), "removed": name}, lambda: click.echo(f"removed {name}"))


@click.command()
@NODE
@with_kms
@with_output
@click.pass_context
def ls(context: click.Context, out: Output, node: Path, kms_endpoint: str | None) -> None:
    """List databases, files and keys of a node."""
    with open_node(node, kms_endpoint) as opened:
        info, databases, files = opened.master_info, opened.list_databases(), opened.list_files()
        volume, is_converting = opened.volume_info, opened.is_converting
        node_id, name, outside = opened.node_id.hex(), opened.name, opened.outside_anchor
    problems = [file.problem for file in files if file.problem is not None]
    values = {
        "ok": not problems,
        "node": str(node),
        "node_id": node_id,
        "name": name,
        "master_key": master_values(info),
        "volume_layer": volume_values(volume),
        "converting": is_converting,
        "outside_anchor": outside_values(outside),
        "databases": [_database_values(database) for database in databases],
        "files": [_file_values(file) for file in files],
    }

    def text() -> None:
        named = [("name", name)] if name != node.absolute().name else []
        pairs = [("node", f"{node} ({node_id})"), *named, *_master_pairs(info), *_volume_pairs(volume)]
        under_way = [("conversion", "under way: `convert` again finishes it")] if is_converting else []
        print_pairs([*pairs, *under_way, *outside_pairs(outside)])
        click.echo()
        rows = [_file_row(file) for file in files]
        print_table(("FILE", "SIZE", "ON DISK", "PAGE", "CREATED"), rows, right=(1, 2, 3), flexible=0)
        for problem in problems:
            print_problem("problem:", "red", str(problem))

    out.emit(values, text)
    context.exit(exits.code_of_all(problems))


@click.command("rotate-master")
@NODE
@with_kms
@with_output
def rotate_master(out: Output, node: Path, kms_endpoint: str | None) -> None:
    """Make a new master key under the same CMK. No data file is touched."""
    with open_node(node, kms_endpoint) as opened:
        rotation = opened.rotate_master()
    _emit_rotation(out, node, rotation)


@click.command("change-cmk")
@NODE
@click.argument("key", metavar="URI")
@with_kms
@with_output
def change_cmk(out: Output, node: Path, key: str, kms_endpoint: str | None) -> None:
    """Make a new master key under another CMK, of any provider. No data file is touched.

    Snapshots taken until now keep needing the former CMK; `keystore keys usage` lists them. A new passphrase is asked
    for, or taken from KEYSTORE_NEW_PASSPHRASE.
    """
    with open_node(node, kms_endpoint) as opened:
        rotation = opened.change_cmk(key, new_connector(kms_endpoint))
    _emit_rotation(out, node, rotation)


@click.command("rewrap-volume")
@NODE
@click.argument("key", metavar="URI")
@with_kms
@with_output
def rewrap_volume(out: Output, node: Path, key: str, kms_endpoint: str | None) -> None:
    """Wrap the key of the volume layer under another platform key. No data file is touched.

    Snapshots taken until now keep needing the former platform key; `keystore keys usage` lists them. A new passphrase
    is asked for, or taken from KEYSTORE_NEW_PASSPHRASE.
    """
    with open_node(node, kms_endpoint) as opened:
        volume = opened.rewrap_volume(key, new_connector(kms_endpoint))
    out.emit(
        {"node": str(node), "volume_layer": volume_values(volume)},
        lambda: print_pairs([("node", str(node)), *_volume_pairs(volume), ("data written", "none")]),
    )


def volume_values(info: "VolumeInfo | None") -> dict[str, Any] | None:
    """Return a volume layer as JSON shows it."""
    if info is None:
        return None
    return {
        "volume_id": info.volume_id.hex(),
        "generation": info.generation,
        "provider": info.provider,
        "encryption_key_id": info.key_id,
        "key_version": info.key_version,
    }


def _volume_pairs(info: "VolumeInfo | None") -> list[tuple[str, str]]:
    return [("volume layer", f"under {info.key_id}, wrapping {info.generation}" if info else "none")]


def master_values(info: "MasterInfo") -> dict[str, Any]:
    """Return a master key as JSON shows it."""
    return {
        "generation": info.generation,
        "name": info.name,
        "provider": info.provider,
        "encryption_key_id": info.key_id,
        "key_version": info.key_version,
    }


def _database_values(database: "DatabaseInfo") -> dict[str, Any]:
    return {
        "name": database.name,
        "database_id": database.database_id.hex(),
        "created": format_time(database.created_ns),
        "data_keys": [
            {
                "generation": data_key.generation,
                "name": data_key.name,
                "created": format_time(data_key.created_ns),
                "decrypt_only": data_key.decrypt_only,
                "state": data_key.state,
                "seals": data_key.seals,
                "destroyed": None if data_key.destroyed_ns is None else format_time(data_key.destroyed_ns),
            }
            for data_key in database.data_keys
        ],
        "shredded": None if database.shredded_ns is None else format_time(database.shredded_ns),
    }


def _file_values(file: "FileInfo") -> dict[str, Any]:
    return {
        "database": file.database,
        "name": file.name,
        "store_id": file.store_id.hex(),
        "page_size": file.page_size,
        "bytes": file.byte_length,
        "stored_bytes": file.stored_bytes,
        "created": format_time(file.created_ns),
        "problem": None if file.problem is None else str(file.problem),
    }


def _file_row(file: "FileInfo") -> tuple[str, ...]:
    return (
        f"{file.database}/{file.name}",
        "?" if file.byte_length is None else format_bytes(file.byte_length),
        "missing" if file.stored_bytes is None else format_bytes(file.stored_bytes),
        str(file.page_size),
        format_time(file.created_ns),
    )


def _master_pairs(info: "MasterInfo") -> list[tuple[str, str]]:
    return [("CMK", info.key_id), ("master key", f"generation {info.generation}, {info.name}")]


def _emit_rotation(out: Output, node: Path, rotation: "Rotation") -> None:
    old, new = rotation.old, rotation.new
    out.emit(
        {"node": str(node), "old": master_values(old), "new": master_values(new)},
        lambda: print_pairs(
            [
                ("node", str(node)),
                ("master key", f"{old.generation} ({old.name}) -> {new.generation} ({new.name})"),
                ("CMK", new.key_id if old.key_id == new.key_id else f"{old.key_id} -> {new.key_id}"),
                ("data written", "none"),
            ]
        ),
    )
