"""Commands on the point-in-time log of a node."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from keystore.cli.arguments import NODE, PLACE
from keystore.cli.connecting import with_kms
from keystore.cli.opening import open_node
from keystore.cli.output import Output, format_time, print_pairs, with_output
from keystore.units import format_bytes, format_moment, plural

if TYPE_CHECKING:
    from keystore.node.log_keeping import LogInfo

GAPS_SHOWN = 8
"""LIMIT: gaps that people are shown; --json has all that the log names."""


@click.group()
def log() -> None:
    """A record of every commit of a node, so that it can be restored as it was at any time."""


@log.command()
@NODE
@click.argument("place")
@click.option("--window", "window_days", type=click.IntRange(1, 3660), default=7, show_default=True, metavar="DAYS",
              help="How far back a restore may reach; `log prune` removes what is older.")  # fmt: skip
@with_kms
@with_output
def enable(out: Output, node: Path, place: str, window_days: int, kms_endpoint: str | None) -> None:
    """Keep every commit of NODE from the next one on, sealed, in PLACE.

    PLACE is the absolute path of a directory, or a URL of an object store (s3://, gs://, az://). A restore to a time
    builds on a snapshot: take one after this.
    """
    with open_node(node, kms_endpoint) as opened:
        info = opened.log.enable(place, window_days)

    def text() -> None:
        print_pairs(_pairs(node, info))
        click.echo("Every commit is kept from now on. To restore to a time, first take a snapshot to build on.")

    out.emit(_values(node, info), text)


@log.command()
@NODE
@with_kms
@with_output
def disable(out: Output, node: Path, kms_endpoint: str | None) -> None:
    """End the log of NODE. What it has stays where it is."""
    with open_node(node, kms_endpoint) as opened:
        opened.log.disable()
    out.emit(_values(node, None), lambda: print_pairs(_pairs(node, None)))


@log.command()
@NODE
@with_kms
@with_output
def status(out: Output, node: Path, kms_endpoint: str | None) -> None:
    """Show how far the log of NODE is, and what will never be in it."""
    with open_node(node, kms_endpoint) as opened:
        info = opened.log.look()
    out.emit(_values(node, info), lambda: print_pairs(_pairs(node, info)))


@log.command()
@NODE
@click.option("--snapshots", multiple=True, type=PLACE, metavar="TARGET",
              help="Where snapshots of NODE are, besides the place of its log; may be given again.")  # fmt: skip
@with_kms
@with_output
def prune(out: Output, node: Path, snapshots: tuple[str, ...], kms_endpoint: str | None) -> None:
    """Remove what no restore to a time within the window of the log of NODE needs."""
    from keystore.objects.opening import open_place

    places = [open_place(each) for each in snapshots]
    with open_node(node, kms_endpoint) as opened:
        pruned = opened.log.prune(places)
    values = {"node": str(node), "removed": pruned.removed, "kept": pruned.kept}
    left = plural(pruned.kept, "segment")
    out.emit(values, lambda: print_pairs([("node", str(node)), ("removed", str(pruned.removed)), ("left", left)]))


def _values(node: Path, info: "LogInfo | None") -> dict[str, Any]:
    if info is None:
        return {"node": str(node), "log": None}
    status = info.status
    gaps = [
        {
            "store_id": gap.store_id.hex(),
            "reason": gap.reason.name.lower(),
            "after_commit": gap.from_sequence,
            "to_commit": gap.to_sequence,
            "from": format_moment(gap.from_ns),
            "to": format_moment(gap.to_ns),
        }
        for gap in status.gaps
    ]
    values = {
        "place": info.place,
        "window_days": info.window_days,
        "segment": status.number,
        "complete_until": format_moment(status.settled_ns) if status.number else None,
        "waiting_bytes": status.waiting_bytes,
        "problem": status.problem,
        "gaps": gaps,
    }
    return {"node": str(node), "log": values}


def _pairs(node: Path, info: "LogInfo | None") -> list[tuple[str, str]]:
    if info is None:
        return [("node", str(node)), ("log", "none")]
    status = info.status
    pairs = [("node", str(node)), ("log", info.place), ("window", plural(info.window_days, "day"))]
    if status.problem:
        pairs.append(("behind", f"{status.problem} ({format_bytes(status.waiting_bytes)} waiting)"))
    if status.number:
        pairs.append(("complete until", f"{format_time(status.settled_ns)} (segment {status.number})"))
    for gap in status.gaps[-GAPS_SHOWN:]:
        many = plural(max(0, gap.to_sequence - gap.from_sequence), "commit")
        span = f"{format_time(gap.from_ns)} to {format_time(gap.to_ns)}"
        pairs.append(("gap", f"{many} of store {gap.store_id.hex()[:12]}, {span}: {gap.reason.name.lower()}"))
    return pairs
