"""Shows how an operation on a cluster gets on, member by member, until it ends or is halted."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import rich_click as click

from keystore.cli.cluster_output import step_text
from keystore.cli.output import Output

if TYPE_CHECKING:
    from keystore.control.operation_rows import Operation
    from keystore.control.plane import Plane

LOOK_EVERY_S = 0.2
NOBODY_AFTER_S = 5.0
"""After how long without a beginning it is said that nobody carries orders out."""


def watch(out: Output, plane: Plane, operation: Operation) -> Operation:
    """Look at an operation until it ends or is halted; print what changes, on standard error.

    An operation that was halted before is looked at until it was tried again.
    """
    from keystore.control.operation_rows import operation_of

    begun_s, shown, before, told_nobody = time.monotonic(), _Shown(out), _mark(operation), False
    while True:
        with plane.database.read() as connection:
            found = operation_of(connection, operation.id)
        shown.show(found)
        if not found.is_open or (found.state == "halted" and _mark(found) != before):
            return found
        waits = found.state == "pending" and not found.reason
        if waits and not told_nobody and time.monotonic() - begun_s > NOBODY_AFTER_S:
            told_nobody = True
            shown.tell("nobody has begun yet: is `keystore control serve` running on this database?")
        time.sleep(LOOK_EVERY_S)


def _mark(operation: Operation) -> tuple[str, int, int]:
    """Return what no two tries of an operation leave alike."""
    return operation.state, operation.tries, sum(step.attempts for step in operation.steps)


class _Shown:
    """What was printed already."""

    def __init__(self, out: Output) -> None:
        self._silent = out.as_json
        self._lines: dict[int, str] = {}
        self._reason = ""

    def show(self, operation: Operation) -> None:
        for step in operation.steps:
            text = step_text(step)
            if step.state != "pending" and self._lines.get(step.position) != text:
                self._lines[step.position] = text
                self.tell(text)
        if operation.reason and operation.reason != self._reason:
            self.tell(f"waits: {operation.reason}" if operation.state == "running" else f"halted: {operation.reason}")
        self._reason = operation.reason

    def tell(self, text: str) -> None:
        if not self._silent:
            click.echo(text, err=True)
