"""An explicit yes to what cannot be undone: --yes, or the answer at a terminal."""

import sys

import rich_click as click

YES = click.option("--yes", is_flag=True, help="Do not ask.")


def confirm(what: str, *, yes: bool) -> None:
    """Go on if `yes`, or if somebody at a terminal says so.

    Raises:
        click.UsageError: nobody is there to be asked.
        click.Abort: the answer is no.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise click.UsageError(f"{what}. Nothing was changed; add --yes to do it")
    if not click.confirm(f"{what}. Go on?", err=True):
        raise click.Abort
