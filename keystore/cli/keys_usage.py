"""`keystore keys usage`: what needs which key, until when, and whether a key may be deleted."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from keystore.cli import exits
from keystore.cli.arguments import AT_TARGET
from keystore.cli.connecting import with_kms
from keystore.cli.opening import open_node
from keystore.cli.output import Output, format_minute, format_time, print_problem, print_table, with_output
from keystore.format.manifest import NEVER
from keystore.units import plural

if TYPE_CHECKING:
    from collections.abc import Sequence

    from keystore.kms.naming import KeyName
    from keystore.node.still_readable import Remains
    from keystore.node.usage import KeyUsage, KeyUser, UsageReport
    from keystore.objects.place import Place


@click.command()
@click.argument("places", nargs=-1, required=True, type=AT_TARGET)
@click.option("--key", metavar="KEY", help="Only this key: a key URI, an ARN, or a name at Google.")
@click.option(
    "--still-readable",
    is_flag=True,
    help="With --key: open the nodes, and name the pages of its snapshots that can be read without it.",
)
@with_kms
@with_output
@click.pass_context
def usage(
    context: click.Context,
    out: Output,
    places: "tuple[Place, ...]",
    key: str | None,
    still_readable: bool,
    kms_endpoint: str | None,
) -> None:
    """Tell which nodes and snapshots need which key, and until when. Needs no key and asks no KMS.

    PLACES are node directories and places of snapshots. A key that something needs must not be deleted; it is safe to
    delete when nothing in all the places where anything could be needs it. Keys are named as the KMS names them; below
    each stands how it is configured. ERA is the generation of the node's master key that it wraps.
    """
    from keystore.kms.naming import KeyName
    from keystore.node.usage import keys_usage

    if still_readable and key is None:
        raise click.UsageError("--still-readable is about one key: name it with --key")
    name = None if key is None else KeyName(key)
    report = keys_usage(places)
    chosen = report.keys if name is None else report.of(name)
    values: dict[str, Any] = {
        "ok": not report.problems,
        "keys": [_usage_values(each) for each in chosen],
        "problems": [str(problem) for problem in report.problems],
        "notes": list(report.notes),
    }
    if name is not None:
        values |= {"key": str(name), "safe_to_delete": not chosen and not report.problems}
    remains = _still_readable(places, name, kms_endpoint) if name is not None and still_readable else None
    if remains is not None:
        values["still_readable"] = _remains_values(remains)
    out.emit(values, lambda: _print(report, chosen, name, remains))
    context.exit(exits.code_of_all([*report.problems, *(p for _, each in remains or () for p in each.problems)]))


def _still_readable(
    places: "Sequence[Place]", name: "KeyName", kms_endpoint: str | None
) -> "list[tuple[Path, Remains]]":
    """Ask each node among `places` about the places of snapshots among them."""
    from keystore.node.places import is_node
    from keystore.node.still_readable import still_readable
    from keystore.objects.directory import DirectoryPlace

    nodes = [place for place in places if isinstance(place, DirectoryPlace) and is_node(place.path)]
    others = [place for place in places if place not in nodes]
    found = []
    for node in nodes:
        with open_node(node.path, kms_endpoint) as opened:
            found.append((node.path, still_readable(opened, others, name.names)))
    return found


def _print(
    report: "UsageReport",
    chosen: "Sequence[KeyUsage]",
    name: "KeyName | None",
    remains: "list[tuple[Path, Remains]] | None",
) -> None:
    for key in chosen:
        _print_usage(key)
    if name is not None and not chosen and not report.problems:
        click.echo(f"Nothing in these places needs {name}: as far as they go, it is safe to delete.")
        click.echo("Nobody was asked whether there is such a key; a name that is mistyped is needed by nothing.")
    for node, found in remains or ():
        _print_remains(node, found)
    for note in report.notes:
        click.echo(f"{click.style('note:', fg='yellow')} {note}", err=True)
    for problem in report.problems:
        print_problem("not readable:", "red", str(problem))
    if report.problems:
        click.echo("Something could not be read, so no key is known to be unused.", err=True)


def _print_usage(key: "KeyUsage") -> None:
    click.echo(click.style(key.key_version, bold=True))
    for key_id in key.key_ids:
        if key_id != key.key_version:
            click.echo(f"  configured as {key_id}")
    rows = [
        (
            f"  {user.kind}",
            user.snapshot_id.hex() if user.snapshot_id else user.place,
            format_minute(user.created_ns)[:10],
            _until(user),
            f"{user.era}",
        )
        for user in key.users
    ]
    print_table(("  NEEDED BY", "", "WRITTEN", "UNTIL (UTC)", "ERA"), rows, right=(4,), flexible=1)
    click.echo(f"  {_verdict(key)}")
    click.echo()


def _until(user: "KeyUser") -> str:
    if user.expires_ns != NEVER:
        return format_minute(user.expires_ns)
    if user.segments:
        return "log prune"
    return "deleted" if user.snapshot_id else "CMK change"


def _verdict(key: "KeyUsage") -> str:
    """Say whether the key may be deleted, and when."""
    safe_ns = key.safe_ns
    if safe_ns is not None and safe_ns <= time.time_ns():
        return "Not safe to delete yet: these have expired and are still there (`keystore snapshot run-policy`)."
    if safe_ns is not None:
        return f"Not safe to delete before {format_time(safe_ns)}, when the last expires."
    nodes = sum(user.kind == "node" for user in key.users)
    segments = sum(user.segments for user in key.users if user.kind == "log")
    kept = sum(user.snapshot_id is not None and user.expires_ns == NEVER for user in key.users)
    parts = [plural(nodes, "node")] if nodes else []
    parts += [f"{plural(kept, 'snapshot')} without an end"] if kept else []
    parts += [f"{plural(segments, 'segment')} of a log"] if segments else []
    return f"Not safe to delete: needed by {', '.join(parts) or 'a volume layer'}."


def _print_remains(node: Path, found: "Remains") -> None:
    if not found.snapshots:
        click.echo(f"{node}: none of its snapshots here is under this key, so nobody can tell which pages were.")
    elif not found.readable:
        click.echo(f"{node}: no page of {plural(found.snapshots, 'snapshot')} under this key is readable without it.")
    else:
        click.echo(f"{node}: readable without this key, of {plural(found.snapshots, 'snapshot')} under it:")
        rows = [
            (
                f"  {row.snapshot_id.hex() if row.snapshot_id else 'the node'}",
                f"{row.database}/{row.store}",
                f"{row.pages:,}",
                row.key_id,
            )
            for row in found.readable
        ]
        print_table(("  IN", "FILE", "PAGES", "OPENS WITH"), rows, right=(2,), flexible=3)
    for problem in found.problems:
        print_problem("not readable:", "red", str(problem))


def _usage_values(key: "KeyUsage") -> dict[str, Any]:
    safe_ns = key.safe_ns
    return {
        "key_version": key.key_version,
        "provider": key.provider,
        "encryption_key_ids": list(key.key_ids),
        "last_used": format_time(key.last_used_ns),
        "safe_to_delete": False,
        "safe_to_delete_from": None if safe_ns is None else format_time(safe_ns),
        "nodes": [
            {
                "node": user.place,
                "encryption_key_id": user.key_id,
                "master_key_generation": user.era,
                "written": format_time(user.created_ns),
            }
            for user in key.users
            if user.kind == "node"
        ],
        "volume_layers": [
            {"of": user.snapshot_id.hex() if user.snapshot_id else user.place, "encryption_key_id": user.key_id}
            for user in key.users
            if user.kind.endswith("volume")
        ],
        "logs": [
            {"log": user.place, "segments": user.segments, "encryption_key_id": user.key_id}
            for user in key.users
            if user.kind == "log"
        ],
        "snapshots": [_snapshot_values(user) for user in key.users if user.kind == "snapshot"],
    }


def _snapshot_values(user: "KeyUser") -> dict[str, Any]:
    return {
        "snapshot_id": user.snapshot_id.hex() if user.snapshot_id else None,
        "target": user.place,
        "created": format_time(user.created_ns),
        "expires": None if user.expires_ns == NEVER else format_time(user.expires_ns),
        "encryption_key_id": user.key_id,
        "master_key_generation": user.era,
    }


def _remains_values(remains: "list[tuple[Path, Remains]]") -> list[dict[str, Any]]:
    return [
        {
            "node": str(node),
            "snapshots_under_the_key": found.snapshots,
            "readable": [
                {
                    "snapshot_id": row.snapshot_id.hex() if row.snapshot_id else None,
                    "encryption_key_id": row.key_id,
                    "file": f"{row.database}/{row.store}",
                    "pages": row.pages,
                }
                for row in found.readable
            ],
            "problems": [str(problem) for problem in found.problems],
        }
        for node, found in remains
    ]
