"""Commands on the outside anchor of a node."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from keystore.cli.arguments import NODE
from keystore.cli.connecting import with_kms
from keystore.cli.opening import open_node
from keystore.cli.output import Output, format_time, print_pairs, with_output

if TYPE_CHECKING:
    from keystore.node.outside import OutsideInfo


@click.group("outside-anchor")
def outside_anchor() -> None:
    """A record, out of reach of who can write to the node's disks, of how far the node had come.

    With it a node directory that was put back as a whole, or forged, is refused.
    """


@outside_anchor.command()
@NODE
@click.argument("place")
@click.option("--each-commit", is_flag=True, help="State every commit, and not only checkpoints and closing.")
@click.option("--replace", is_flag=True, help="Go on where PLACE has seen a later state of this node than it is in.")
@with_kms
@with_output
def attach(out: Output, node: Path, place: str, each_commit: bool, replace: bool, kms_endpoint: str | None) -> None:
    """State how far NODE has come to PLACE, now and from now on.

    PLACE is the absolute path of a directory that is there, or a URL of an object store (s3://, gs://, az://).
    """
    with open_node(node, kms_endpoint) as opened:
        info = opened.attach_outside_anchor(place, each_commit=each_commit, replace=replace)
    _emit(out, node, info)


@outside_anchor.command()
@NODE
@with_kms
@with_output
def detach(out: Output, node: Path, kms_endpoint: str | None) -> None:
    """Forget the outside anchor of NODE. What it holds stays where it is."""
    with open_node(node, kms_endpoint) as opened:
        opened.detach_outside_anchor()
    _emit(out, node, None)


@outside_anchor.command()
@NODE
@with_kms
@with_output
def status(out: Output, node: Path, kms_endpoint: str | None) -> None:
    """Compare the keystore file of NODE with its outside anchor, and show the last statement.

    Its files are compared when they are opened; `keystore verify` opens all.
    """
    with open_node(node, kms_endpoint) as opened:
        info = opened.outside_anchor
    _emit(out, node, info)


def outside_values(info: "OutsideInfo | None") -> dict[str, Any] | None:
    """Return an outside anchor as JSON shows it."""
    if info is None:
        return None
    return {
        "place": info.place,
        "each_commit": info.each_commit,
        "statement": info.number,
        "written": format_time(info.written_ns) if info.number else None,
        "problem": info.problem,
        "ignored": info.ignored,
    }


def outside_pairs(info: "OutsideInfo | None") -> list[tuple[str, str]]:
    """Return the lines about an outside anchor; none where the node has none."""
    if info is None:
        return []
    if info.ignored:
        return [("outside anchor", f"{info.place}, not asked")]
    stated = f"statement {info.number} of {format_time(info.written_ns)}"
    return [("outside anchor", info.place), ("last stated", f"behind: {info.problem}" if info.problem else stated)]


def _emit(out: Output, node: Path, info: "OutsideInfo | None") -> None:
    pairs = outside_pairs(info) or [("outside anchor", "none")]
    out.emit(
        {"node": str(node), "outside_anchor": outside_values(info)}, lambda: print_pairs([("node", str(node)), *pairs])
    )
