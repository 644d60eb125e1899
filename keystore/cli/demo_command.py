"""`keystore demo`: the story on a terminal, as plain lines, or as one JSON object."""

import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import rich_click as click

from keystore.cli.arguments import PATH
from keystore.cli.output import Output, with_output
from keystore.errors import InputError, PathMissingError, PathTakenError

WIDTH = 78
"""Columns that the story needs; a terminal of 80 shows it without a break."""


class LineTeller:
    """Prints a line for each step and what it showed below; on a terminal the line counts up while it works."""

    def __init__(self, *, live: bool) -> None:
        self._live = live
        self._number = 0
        self._title = ""
        self._shown = ""

    def begin(self, title: str) -> None:
        self._number += 1
        self._title = f"{self._number:>2}  {title}"
        self._show("…")

    def progress(self, done: int, total: int) -> None:
        self._show(f"{100 * done // max(total, 1)} %")

    def end(self, seconds: float, lines: list[str]) -> None:
        took = f"{seconds:.1f} s"
        title = click.style(self._title.ljust(WIDTH - len(took)), bold=True)
        click.echo(("\r" if self._live else "") + title + click.style(took, dim=True))
        for line in lines:
            click.echo(f"    {line}")
        click.echo()
        self._shown = ""

    def _show(self, state: str) -> None:
        if self._live and state != self._shown:
            self._shown = state
            click.echo("\r" + self._title.ljust(WIDTH - 6) + state.rjust(6), nl=False)
            sys.stdout.flush()


class SilentTeller:
    """Says nothing: the result is an object."""

    def begin(self, title: str) -> None:
        pass

    def progress(self, done: int, total: int) -> None:
        pass

    def end(self, seconds: float, lines: list[str]) -> None:
        pass


@click.command()
@click.argument("source", metavar="[FILE]", required=False, type=PATH)
@click.option("--keep", metavar="DIR", type=PATH, help="Work in DIR, a new directory, and keep it.")
@with_output
def demo(out: Output, source: Path | None, keep: Path | None) -> None:
    """Show the whole idea on real data, in about a minute.

    Starts the KMS emulator, makes three nodes under three clouds' keys, seals FILE (by default this Python's standard
    library) into each, and takes them through snapshot, rotation, new keys, a refused and a granted restore, damage.
    Leaves nothing running, and nothing on the disk unless --keep.
    """
    from keystore.demo.story import Demo

    if source is not None:
        _require_content(source)
    teller = SilentTeller() if out.as_json else LineTeller(live=sys.stdout.isatty())
    if not out.as_json:
        click.echo(f"\n{click.style('keystore demo', bold=True)}: data sealed under keys that the customer holds\n")
    with demo_place(keep) as place:
        result = Demo(place, source, teller, keep_keys=keep is not None).run()
    if keep is not None:
        result["kept"] = str(keep)
    out.emit(result, lambda: _print_end(keep))


def _require_content(source: Path) -> None:
    """Refuse what is no file with something in it: one bit of it is flipped later."""
    try:
        found = b""
        if stat.S_ISREG(source.stat().st_mode):
            with source.open("rb") as file:
                found = file.read(1)
    except FileNotFoundError:
        raise PathMissingError(f"there is no file {source}. Nothing was started; check the path.") from None
    except OSError as error:
        raise InputError(f"{source} cannot be read: {error.strerror}. Nothing was started.") from None
    if not found:
        raise InputError(f"{source} is empty, or not a file. Nothing was started; name a file with something in it.")


@contextmanager
def demo_place(keep: Path | None) -> Iterator[Path]:
    """Make the directory of a story; remove it at the end unless it is to be kept."""
    if keep is None:
        place = Path(tempfile.mkdtemp(prefix="keystore-demo-"))
        try:
            yield place
        finally:
            shutil.rmtree(place, ignore_errors=True)
        return
    if keep.exists():
        raise PathTakenError(f"{keep} exists and is unchanged. Nothing was started; --keep makes a new directory.")
    try:
        keep.mkdir()
    except FileNotFoundError:
        raise PathMissingError.parent_of(keep) from None
    except OSError as error:
        raise InputError(f"{keep} cannot be made: {error.strerror}. Nothing was started.") from None
    yield keep.absolute()


def _print_end(keep: Path | None) -> None:
    if keep is None:
        click.echo("Nothing is left running and nothing is left on the disk (--keep DIR keeps it).")
        return
    click.echo(f"Everything is in {keep}. To look around, serve its keys again:")
    click.echo(f"  kms-emulator serve --data-dir {keep / 'kms'} --port 4710")
    click.echo(f"  export KEYSTORE_KMS_ENDPOINT=127.0.0.1:4710; keystore ls {keep / 'node-aws'}")
