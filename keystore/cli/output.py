"""What commands print: text for people, or with --json one object on stdout. Progress goes to stderr, if a terminal."""

import functools
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, TypeVar

import rich_click as click

F = TypeVar("F", bound=Callable[..., Any])

PROGRESS_AFTER_S = 1.0


class Output:
    """The way of one command to the user."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json

    def emit(self, values: dict[str, Any], text: Callable[[], None]) -> None:
        """Print `values` as one JSON object, or let `text` print for people."""
        if self.as_json:
            click.echo(json.dumps({"ok": True, **values}, ensure_ascii=False, indent=2))
        else:
            text()

    @contextmanager
    def progress(self, label: str) -> Iterator[Callable[[int, int], None]]:
        """Give a function that takes bytes done and in all, and shows them once a second has passed."""
        if self.as_json or not sys.stderr.isatty():
            yield lambda done, total: None
            return
        bar = _ProgressBar(label)
        try:
            yield bar.update
        finally:
            bar.close()


class _ProgressBar:
    """A bar on stderr that appears after `PROGRESS_AFTER_S`: what is quick stays silent."""

    def __init__(self, label: str) -> None:
        self._label, self._started_s = label, time.monotonic()
        self._bar: Any = None
        self._task: Any = None

    def update(self, done: int, total: int) -> None:
        if self._bar is None:
            if time.monotonic() - self._started_s < PROGRESS_AFTER_S:
                return
            self._open()
        self._bar.update(self._task, completed=done, total=total)

    def _open(self) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
            TransferSpeedColumn,
        )

        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._bar.start()
        self._task = self._bar.add_task(self._label, total=None)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.stop()


def with_output(function: F) -> Callable[..., Any]:
    """Add --json to a command and give it an `Output` as its first argument."""

    @click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout, for errors too.")
    @functools.wraps(function)
    def command(*args: Any, as_json: bool, **kwargs: Any) -> Any:
        return function(Output(as_json=as_json), *args, **kwargs)

    return command


def print_error(kind: str, message: str, code: int, *, as_json: bool) -> None:
    """Print an error: an object on stdout, or text on stderr."""
    if as_json:
        error = {"type": kind, "message": message, "exit_code": code}
        click.echo(json.dumps({"ok": False, "error": error}, ensure_ascii=False, indent=2))
    else:
        click.echo(f"{click.style('error:', fg='red', bold=True)} {message}", err=True)


def print_table(headers: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> None:
    """Print rows in aligned columns; the columns numbered in `right` are aligned right."""
    widths = [max(len(row[i]) for row in (headers, *rows)) for i in range(len(headers))]
    for number, row in enumerate((headers, *rows)):
        cells = [cell.rjust(widths[i]) if i in right else cell.ljust(widths[i]) for i, cell in enumerate(row)]
        line = "  ".join(cells).rstrip()
        click.echo(click.style(line, bold=True) if number == 0 else line)


def print_pairs(pairs: Sequence[tuple[str, str]]) -> None:
    """Print names and values, one pair a line."""
    width = max(len(name) for name, _ in pairs)
    for name, value in pairs:
        click.echo(f"{click.style(name.ljust(width), dim=True)}  {value}")


def format_bytes(count: int) -> str:
    """Return a size for people, in binary units."""
    if count < 1024:
        return f"{count} B"
    size = float(count)
    for unit in ("KiB", "MiB", "GiB", "TiB"):
        size /= 1024
        if size < 1024 or unit == "TiB":
            break
    return f"{size:.1f} {unit}"


def format_time(ns: int) -> str:
    """Return a time as ISO 8601 in UTC, to the second."""
    return datetime.fromtimestamp(ns / 1e9, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
