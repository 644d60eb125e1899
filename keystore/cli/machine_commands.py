"""Commands that need no node and no key: what a file is, what this machine is."""

import json
from pathlib import Path
from typing import Any

import rich_click as click

from keystore.cli import exits
from keystore.cli.arguments import PATH
from keystore.cli.connecting import with_kms
from keystore.cli.output import Output, format_time, print_pairs, with_output


@click.command()
@click.argument("path", metavar="FILE", type=PATH)
@with_output
@click.pass_context
def inspect(context: click.Context, out: Output, path: Path) -> None:
    """Tell what a file or directory is, from its clear parts. Needs no key."""
    from keystore.cli.inspecting import describe

    found = describe(path)
    out.emit({"path": str(path), **found}, lambda: print_pairs(_flatten(found)))
    if any(name.endswith("problem") for name, _ in _flatten(found)):
        context.exit(exits.DAMAGED)


@click.command()
@with_kms
@with_output
@click.pass_context
def doctor(context: click.Context, out: Output, kms_endpoint: str | None) -> None:
    """Show what this machine and installation can do, and what is missing."""
    from keystore.cli.doctor import examine

    found = examine(kms_endpoint)

    def text() -> None:
        rows = {name: value for name, value in found.items() if name not in ("notes", "problems", "libraries")}
        rows["cpu_flags"] = " ".join(found["cpu_flags"])
        libraries = ", ".join(f"{name} {version or 'missing'}" for name, version in found["libraries"].items())
        print_pairs([*_flatten(rows), ("libraries", libraries)])
        for note in found["notes"]:
            click.echo(f"{click.style('note:', fg='yellow')} {note}")
        for problem in found["problems"]:
            click.echo(f"{click.style('problem:', fg='red')} {problem}")

    out.emit({**found, "ok": not found["problems"]}, text)
    if found["problems"]:
        context.exit(exits.ERROR)


def _flatten(values: dict[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Return nested values as names and texts; times in `_ns` become dates."""
    pairs: list[tuple[str, str]] = []
    for name, value in values.items():
        label = prefix + name.replace("_", " ")
        if isinstance(value, dict):
            pairs += _flatten(value, f"{label}: ")
        elif name.endswith("_ns"):
            pairs.append((label.removesuffix(" ns"), format_time(value)))
        elif isinstance(value, list):
            pairs += [(label, item if isinstance(item, str) else json.dumps(item)) for item in value] or [(label, "-")]
        else:
            pairs.append((label, "-" if value is None else str(value)))
    return pairs
