"""What a command prints: for people or, with --json, one JSON value on standard output; errors likewise."""

import functools
import json
import sys
from collections.abc import Callable
from typing import Any, ParamSpec

import rich_click as click

from kms_emulator.cli.exits import CommandError

P = ParamSpec("P")

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object, errors too.")


def print_json(value: object) -> None:
    """Print one JSON value on standard output."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def print_table(headings: list[str], rows: list[list[str]]) -> None:
    """Print columns as wide as they need; nothing is cut, so that everything can be copied."""
    widths = [max(len(row[column]) for row in [headings, *rows]) for column in range(len(headings))]
    for row in [headings, *rows]:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def reports_errors(command: Callable[P, None]) -> Callable[P, None]:
    """Turn a CommandError of a command into its message and exit code."""

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except CommandError as error:
            _print_error(error, as_json=bool(kwargs.get("as_json")))
            sys.exit(error.code)

    return run


def _print_error(error: CommandError, *, as_json: bool) -> None:
    if not as_json:
        click.echo(f"error: {error.message}", err=True)
        return
    described: dict[str, Any] = {"message": error.message, "exit_code": error.code}
    if error.cloud_code:
        described["cloud_code"] = error.cloud_code
    print_json({"error": described})
