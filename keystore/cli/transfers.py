"""What the commands that move a file in or out have in common."""

from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from keystore.cli.arguments import STANDARD_STREAM
from keystore.cli.output import Output
from keystore.units import format_bytes

if TYPE_CHECKING:  # at run time it would load numpy at every start
    from keystore.node.reports import Transfer


def refuse_json_on_stdout(out: Output, target: Path) -> bool:
    """Tell whether `target` is standard output, which then cannot take the JSON object as well."""
    to_stdout = target == STANDARD_STREAM
    if to_stdout and out.as_json:
        raise click.UsageError("standard output cannot take both the file and the JSON object")
    return to_stdout


def emit_transfer(out: Output, verb: str, done: "Transfer", *, err: bool = False) -> None:
    """Print what was moved."""
    name = f"{done.database}/{done.name}"
    out.emit(
        {"file": name, "bytes": done.byte_length, "sha256": done.sha256},
        lambda: click.echo(f"{verb} {name}: {format_bytes(done.byte_length)}, SHA-256 {done.sha256}", err=err),
    )
