"""What commands print: text for people, or with --json one object on stdout. Progress goes to stderr, if a terminal."""

import functools
import json
import re
import shutil
import sys
import textwrap
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, TypeVar

import rich_click as click

from keystore.progress import Progress, untold

F = TypeVar("F", bound=Callable[..., Any])

PROGRESS_AFTER_S = 1.0
LINES_MAX = 3
"""Lines of an error: what was wrong, what is unchanged, what to do."""
TIME_MAX_S = 253_402_300_799
"""LIMIT: the end of the year 9999, where `datetime` ends; the name of a damaged or foreign directory may say more."""
WIDTH_MIN = 40
"""LIMIT: columns; what is narrower breaks lines by itself."""
_SENTENCES = re.compile(r"(?<=[.!?]) (?=[A-Z`])")
_UNCHANGED = re.compile(r"(\b(?:un)?(?:changed|written|restored|imported|exported|started|touched|made|sent)); ")


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
    def progress(self, label: str) -> Iterator[Progress]:
        """Give a function that takes bytes done and in all, and shows them once a second has passed."""
        if self.as_json or not sys.stderr.isatty():
            yield untold
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


def print_error(kind: str, message: str, code: int, *, as_json: bool, **more: object) -> None:
    """Print an error: an object on stdout, which has `more` too, or a few lines on stderr."""
    if as_json:
        error = {"type": kind, "message": message, "exit_code": code, **more}
        click.echo(json.dumps({"ok": False, "error": error}, ensure_ascii=False, indent=2))
    else:
        print_problem("error:", "red", message)


def print_problem(label: str, colour: str, message: str, *, err: bool = True) -> None:
    """Print a message, a line for each of its parts; on a terminal they are broken between words."""
    is_terminal = (sys.stderr if err else sys.stdout).isatty()
    for number, line in enumerate(lines_of(message)):
        start, indent = (" ", 2) if number else (click.style(label, fg=colour, bold=True), len(label) + 1)
        click.echo(f"{start} {_broken(line, indent) if is_terminal else line}", err=err)


def _broken(line: str, indent: int) -> str:
    lines = textwrap.wrap(line, width() - indent, break_long_words=False, break_on_hyphens=False)
    return f"\n{' ' * indent}".join(lines)


def lines_of(message: str) -> list[str]:
    """Return a message as lines: what was wrong, what is unchanged, what to do. No sentence comes twice."""
    parts = list(dict.fromkeys(_SENTENCES.split(message.strip())))
    while len(parts) > LINES_MAX:
        parts[:2] = [" ".join(parts[:2])]
    if len(parts) < LINES_MAX:
        *before, last = parts
        what, unchanged, then = ([*_UNCHANGED.split(last, maxsplit=1), "", ""])[:3]
        parts = [*before, what + unchanged, then[:1].upper() + then[1:]]
    return [part if part[-1] in ".!?" else f"{part}." for part in parts if part]


def width() -> int:
    """Return the columns that there are to fill: those of the terminal, or 80."""
    return max(WIDTH_MIN, shutil.get_terminal_size((80, 24)).columns)


def elide(text: str, length: int) -> str:
    """Return `text` in at most `length` characters: its beginning and its end."""
    if len(text) <= length:
        return text
    end = (length - 1) // 2
    return f"{text[: length - 1 - end]}…{text[len(text) - end :]}"


def print_table(
    headers: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = (), flexible: int | None = None
) -> None:
    """Print rows in aligned columns.

    Args:
        right: numbers of the columns that are aligned right.
        flexible: number of the column whose texts are elided where a line would be too long.
    """
    widths = [max(len(row[i]) for row in (headers, *rows)) for i in range(len(headers))]
    if flexible is not None:
        left = width() - sum(widths) - 2 * (len(widths) - 1)
        widths[flexible] = max(len(headers[flexible]), 12, widths[flexible] + min(0, left))
    for number, row in enumerate((headers, *rows)):
        cells = [elide(cell, widths[i]) if i == flexible else cell for i, cell in enumerate(row)]
        cells = [cell.rjust(widths[i]) if i in right else cell.ljust(widths[i]) for i, cell in enumerate(cells)]
        line = "  ".join(cells).rstrip()
        click.echo(click.style(line, bold=True) if number == 0 else line)


def print_pairs(pairs: Sequence[tuple[str, str]]) -> None:
    """Print names and values, one pair a line."""
    width = max(len(name) for name, _ in pairs)
    for name, value in pairs:
        click.echo(f"{click.style(name.ljust(width), dim=True)}  {value}")


def format_time(ns: int) -> str:
    """Return a time as ISO 8601 in UTC, to the second; one that no calendar has, as the last that there is."""
    return datetime.fromtimestamp(min(ns / 1e9, TIME_MAX_S), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def format_minute(ns: int) -> str:
    """Return a time in UTC to the minute, for columns of tables."""
    return datetime.fromtimestamp(min(ns / 1e9, TIME_MAX_S), UTC).strftime("%Y-%m-%d %H:%M")
