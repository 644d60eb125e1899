"""Commands on customer master keys: which are needed, and a key file for people without a KMS."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from keystore.cli import exits
from keystore.cli.arguments import AT_TARGET, PATH
from keystore.cli.output import Output, format_time, print_problem, print_table, with_output

if TYPE_CHECKING:
    from keystore.node.usage import KeyUsage
    from keystore.objects.place import Place


@click.group()
def keys() -> None:
    """Tell which customer master keys are needed; make a key file where there is no KMS."""


@keys.command()
@click.argument("places", nargs=-1, required=True, type=AT_TARGET)
@with_output
@click.pass_context
def usage(context: click.Context, out: Output, places: "tuple[Place, ...]") -> None:
    """Tell which nodes and snapshots need which key. Needs no key and asks no KMS.

    PLACES are node directories and places of snapshots. A key that something needs must not be deleted. Keys are
    named as the KMS names them; below each stands how it is configured.
    """
    from keystore.node.usage import keys_usage

    report = keys_usage(places)
    values = {
        "ok": not report.problems,
        "keys": [_usage_values(key) for key in report.keys],
        "problems": [str(problem) for problem in report.problems],
        "notes": list(report.notes),
    }

    def text() -> None:
        for key in report.keys:
            _print_usage(key)
        for note in report.notes:
            click.echo(f"{click.style('note:', fg='yellow')} {note}", err=True)
        for problem in report.problems:
            print_problem("not readable:", "red", str(problem))
        if report.problems:
            click.echo("Something could not be read, so no key is known to be unused.", err=True)

    out.emit(values, text)
    context.exit(exits.code_of_all(report.problems))


def _usage_values(key: "KeyUsage") -> dict[str, Any]:
    return {
        "key_version": key.key_version,
        "provider": key.provider,
        "encryption_key_ids": list(key.key_ids),
        "nodes": [
            {"node": user.place, "encryption_key_id": user.key_id, "master_key_generation": user.era}
            for user in key.users
            if user.kind == "node"
        ],
        "volume_layers": [
            {"of": user.snapshot_id.hex() if user.snapshot_id else user.place, "encryption_key_id": user.key_id}
            for user in key.users
            if user.kind.endswith("volume")
        ],
        "snapshots": [
            {
                "snapshot_id": user.snapshot_id.hex(),
                "target": user.place,
                "created": format_time(user.created_ns),
                "encryption_key_id": user.key_id,
                "master_key_generation": user.era,
            }
            for user in key.users
            if user.kind == "snapshot" and user.snapshot_id is not None
        ],
    }


def _print_usage(key: "KeyUsage") -> None:
    click.echo(click.style(key.key_version, bold=True))
    for key_id in key.key_ids:
        if key_id != key.key_version:
            click.echo(f"  configured as {key_id}")
    rows = [
        (
            f"  {user.kind}",
            user.snapshot_id.hex() if user.snapshot_id else user.place,
            format_time(user.created_ns),
            f"{user.era}",
        )
        for user in key.users
    ]
    print_table(("  NEEDED BY", "", "WRITTEN", "GENERATION"), rows, right=(3,), flexible=1)
    click.echo()


@keys.command("create-file")
@click.argument("path", metavar="FILE", type=PATH)
@with_output
def create_file(out: Output, path: Path) -> None:
    """Make a key file and print its URI, for `keystore init --key`.

    Keep it apart from the data: whoever has both has everything, and without it nothing opens.
    """
    from keystore.kms.local import create_key_file

    create_key_file(path)
    uri = f"local://{path.absolute()}"
    out.emit({"key": uri}, lambda: click.echo(uri))
