"""`keystore control demo`: the story of a revoked key on a terminal, as plain lines, or as one JSON object."""

from __future__ import annotations

import textwrap
from datetime import UTC, datetime
from pathlib import Path

import rich_click as click

from keystore.cli.arguments import PATH
from keystore.cli.demo_command import WIDTH, demo_place
from keystore.cli.output import Output, with_output

INDENT = 10


@click.command("demo")
@click.option("--keep", metavar="DIR", type=PATH, help="Work in DIR, a new directory, and keep it.")
@with_output
def control_demo(out: Output, keep: Path | None) -> None:
    """Play the story of a revoked key, in about a quarter of a minute.

    Starts the KMS emulator, a control plane, a mail server and a cluster of three nodes; disables the key that they
    need, and moves the control plane's clock to the next check; shows what is shut down, who is told, what is refused
    and what waits; enables the key again. Leaves nothing running, and nothing on the disk unless --keep.
    """
    from keystore.cli.control_story import ControlStory

    if not out.as_json:
        click.echo(
            f"{click.style('keystore control demo', bold=True)}: a customer takes a key away, and gives it back\n"
        )
    with demo_place(keep) as place:
        result = ControlStory(place, _untold if out.as_json else _tell).run()
    if keep is not None:
        result["kept"] = str(keep)
    out.emit(result, lambda: _print_end(keep))


def _tell(now_ns: int, text: str) -> None:
    """Print a line with the time of the control plane's clock."""
    clock = f"{datetime.fromtimestamp(now_ns // 10**9, UTC):%H:%M:%S}"
    lines = textwrap.wrap(text, WIDTH - INDENT, break_long_words=False, break_on_hyphens=False)
    click.echo(f"{click.style(clock, dim=True)}  " + f"\n{' ' * INDENT}".join(lines))


def _untold(now_ns: int, text: str) -> None:
    pass


def _print_end(keep: Path | None) -> None:
    where = f"files and logs are in {keep}" if keep else "nothing is left on the disk (--keep DIR keeps it)"
    click.echo(f"\nNothing is left running, and {where}.")
