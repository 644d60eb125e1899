"""Commands on one node directory."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from keystore.cli import exits
from keystore.cli.connecting import connector, with_kms
from keystore.cli.output import Output, format_bytes, format_time, print_pairs, print_table, with_output

if TYPE_CHECKING:  # at run time they would load numpy and gRPC at every start
    from keystore.node.reports import DatabaseInfo, FileInfo, MasterInfo, Rotation, Transfer

NODE = click.argument("node", type=click.Path(path_type=Path))
PAGE_SIZES = ("4096", "8192", "16384", "32768", "65536")


class FileNameType(click.ParamType[tuple[str, str]]):
    """DATABASE/NAME; NAME may have further slashes."""

    name = "DATABASE/NAME"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        if isinstance(value, tuple):
            return value
        database, slash, name = str(value).partition("/")
        if not slash or not database or not name:
            self.fail(f"{value!r} is not DATABASE/NAME, such as orders/2024.csv", param, ctx)
        return database, name


FILE_NAME = click.argument("file_name", metavar="DATABASE/NAME", type=FileNameType())


@click.command()
@NODE
@click.option("--key", required=True, metavar="URI", help="The customer master key of this node.")
@click.option("--name", metavar="NAME", help="Name of the node, for people.  [default: the directory's]")
@with_kms
@with_output
def init(out: Output, node: Path, key: str, name: str | None, kms_endpoint: str | None) -> None:
    """Make a new node directory under a customer master key."""
    from keystore.node.directory import Node

    with Node.init(node, key, connector(kms_endpoint), name=name) as made:
        info, node_id = made.master_info, made.node_id.hex()
        made_name = made.name
    out.emit(
        {"node": str(node), "node_id": node_id, "name": made_name, "master_key": master_values(info)},
        lambda: print_pairs([("node", str(node)), ("node id", node_id), *_master_pairs(info)]),
    )


@click.command("import")
@NODE
@FILE_NAME
@click.argument("source", metavar="FILE", type=click.Path(path_type=Path, allow_dash=True))
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
    from keystore.node.directory import Node

    stream = sys.stdin.buffer if str(source) == "-" else source
    with Node.open(node, connector(kms_endpoint)) as opened, out.progress("Importing") as progress:
        done = opened.import_file(*file_name, stream, page_size=int(page_size), progress=progress)
    _emit_transfer(out, "imported", done)


@click.command("export")
@NODE
@FILE_NAME
@click.argument("target", metavar="FILE", type=click.Path(path_type=Path))
@click.option("--overwrite", is_flag=True, help="Replace FILE if it exists.")
@with_kms
@with_output
def export_(
    out: Output, node: Path, file_name: tuple[str, str], target: Path, overwrite: bool, kms_endpoint: str | None
) -> None:
    """Write a file of a node to FILE, in clear. FILE is whole or not there."""
    from keystore.node.directory import Node

    with Node.open(node, connector(kms_endpoint)) as opened, out.progress("Exporting") as progress:
        done = opened.export_file(*file_name, target, overwrite=overwrite, progress=progress)
    _emit_transfer(out, "exported", done)


@click.command()
@NODE
@with_kms
@with_output
def ls(out: Output, node: Path, kms_endpoint: str | None) -> None:
    """List databases, files and keys of a node."""
    from keystore.node.directory import Node

    with Node.open(node, connector(kms_endpoint)) as opened:
        info, databases, files = opened.master_info, opened.list_databases(), opened.list_files()
        node_id, name = opened.node_id.hex(), opened.name
    values = {
        "node": str(node),
        "node_id": node_id,
        "name": name,
        "master_key": master_values(info),
        "databases": [_database_values(database) for database in databases],
        "files": [_file_values(file) for file in files],
    }

    def text() -> None:
        print_pairs([("node", f"{name} ({node_id})"), *_master_pairs(info)])
        click.echo()
        print_table(
            ("FILE", "SIZE", "ON DISK", "PAGE", "CREATED"), [_file_row(file) for file in files], right=(1, 2, 3)
        )
        for file in files:
            if file.problem is not None:
                click.echo(f"{click.style('problem:', fg='red')} {file.problem}", err=True)

    out.emit(values, text)


@click.command()
@NODE
@with_kms
@with_output
@click.pass_context
def verify(context: click.Context, out: Output, node: Path, kms_endpoint: str | None) -> None:
    """Read everything in a node from the disk and check it."""
    from keystore.node.directory import Node

    with Node.open(node, connector(kms_endpoint)) as opened, out.progress("Verifying") as progress:
        report = opened.verify(progress)
    problems = [
        {
            "file": f"{check.database}/{check.name}",
            "type": type(problem).__name__,
            "part": getattr(problem, "part", None),
            "number": getattr(problem, "number", None),
            "message": str(problem),
        }
        for check in report.stores
        for problem in check.problems
    ]
    pages = sum(check.pages for check in report.stores)
    values = {
        "ok": report.ok,
        "node": str(node),
        "files": len(report.stores),
        "pages": pages,
        "problems": problems,
        "unknown_files": [str(path) for path in report.unknown_files],
    }

    def text() -> None:
        for problem in problems:
            click.echo(f"{click.style('damaged:', fg='red', bold=True)} {problem['message']}")
        for path in report.unknown_files:
            click.echo(
                f"{click.style('unknown:', fg='yellow')} {path} belongs to no file of this node; nothing reads it"
            )
        verdict = click.style("all good", fg="green") if report.ok else click.style("problems found", fg="red")
        click.echo(f"{verdict}: {len(report.stores)} files, {pages} pages read and verified")

    out.emit(values, text)
    if not report.ok:
        context.exit(exits.DAMAGED)


@click.command("rotate-master")
@NODE
@with_kms
@with_output
def rotate_master(out: Output, node: Path, kms_endpoint: str | None) -> None:
    """Make a new master key under the same CMK. No data file is touched."""
    from keystore.node.directory import Node

    with Node.open(node, connector(kms_endpoint)) as opened:
        rotation = opened.rotate_master()
    _emit_rotation(out, node, rotation)


@click.command("change-cmk")
@NODE
@click.argument("key", metavar="URI")
@with_kms
@with_output
def change_cmk(out: Output, node: Path, key: str, kms_endpoint: str | None) -> None:
    """Make a new master key under another CMK, of any provider. No data file is touched.

    Snapshots taken until now keep needing the former CMK; `keystore keys usage` lists them.
    """
    from keystore.node.directory import Node

    with Node.open(node, connector(kms_endpoint)) as opened:
        rotation = opened.change_cmk(key)
    _emit_rotation(out, node, rotation)


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
            }
            for data_key in database.data_keys
        ],
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
        format_bytes(file.page_size),
        format_time(file.created_ns),
    )


def _master_pairs(info: "MasterInfo") -> list[tuple[str, str]]:
    return [("CMK", info.key_id), ("master key", f"generation {info.generation}, {info.name}")]


def _emit_transfer(out: Output, verb: str, done: "Transfer") -> None:
    name = f"{done.database}/{done.name}"
    out.emit(
        {"file": name, "bytes": done.byte_length, "sha256": done.sha256},
        lambda: click.echo(f"{verb} {name}: {format_bytes(done.byte_length)}, SHA-256 {done.sha256}"),
    )


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
