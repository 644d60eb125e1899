"""The options of commands that restore to a time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import rich_click as click

from keystore.cli.arguments import PLACE
from keystore.units import parse_moment

if TYPE_CHECKING:
    from keystore.snapshots.at_time import PointInTime

LATEST = "latest"
LATEST_NS = -1
"""Stands for the latest time that the log tells of."""


class MomentType(click.ParamType[int]):
    """A time, in ns since 1970."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        found = LATEST_NS if value == LATEST else parse_moment(str(value), time.time_ns())
        if found is None and parse_moment(f"{value}Z", 0) is not None:
            self.fail(f"{value!r} has no zone; for UTC write {value}Z", param, ctx)
        if found is None:
            self.fail(f"{value!r} is no time, such as 2026-03-01T14:30:00Z, 90m (so long ago), or {LATEST}", param, ctx)
        return found


def with_time(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options --at and --log, for `point_in_time`."""
    at = click.option(
        "--at",
        "at_ns",
        type=MomentType(),
        metavar="TIME",
        help="As it was at TIME: ISO 8601 with a zone, so long ago (1d2h, 90m), or `latest`. Needs the node's log.",
    )
    log = click.option(
        "--log", "log_place", type=PLACE, metavar="PLACE", help="Where the node's log is.  [default: TARGET]"
    )
    return at(log(command))


def point_in_time(at_ns: int | None, log_place: str | None) -> PointInTime | None:
    """Return the time of --at; None where there was none.

    Raises:
        InputError: --log names no place, or there is no --at.
    """
    from keystore.errors import InputError
    from keystore.objects.opening import open_place
    from keystore.snapshots.at_time import PointInTime

    if at_ns is None:
        if log_place is not None:
            raise InputError("--log is for a restore to a time, and there is no --at. Nothing was restored.")
        return None
    log = None if log_place is None else open_place(log_place)
    return PointInTime(None if at_ns == LATEST_NS else at_ns, log)
