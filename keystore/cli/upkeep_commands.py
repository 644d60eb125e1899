"""Commands that look after the stores of a node: check, repair, space."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from keystore.cli import exits
from keystore.cli.arguments import AT_RATE, AT_TARGET, NODE, ONLY_DATABASE, PATH
from keystore.cli.connecting import connector, with_kms
from keystore.cli.opening import open_node
from keystore.cli.output import Output, format_time, print_problem, print_table, with_output
from keystore.errors import StoreDamagedError
from keystore.units import format_bytes, plural

OLDER = (
    "An older version was sealed before the damaged one. Its content may be the same, if the page was only resealed "
    "since (keystore reseal); nobody can tell, as the damaged one does not open. --accept-older puts these back."
)

if TYPE_CHECKING:
    from keystore.node.repairing import CopySearch, PageCopy, Repair
    from keystore.node.reports import NodeCheck
    from keystore.node.upkeep import Compacted
    from keystore.objects.place import Place
    from keystore.pages.stats import StoreStats


@click.command()
@NODE
@click.option("--resume", type=PATH, metavar="FILE", help="Keep in FILE how far it came, and go on from there.")
@click.option("--snapshots", type=AT_TARGET, metavar="TARGET", help="Tell which snapshot in TARGET has a damaged page.")
@AT_RATE
@with_kms
@with_output
@click.pass_context
def verify(
    context: click.Context,
    out: Output,
    node: Path,
    resume: Path | None,
    snapshots: "Place | None",
    rate: float | None,
    kms_endpoint: str | None,
) -> None:
    """Read everything in a node and check it.

    With --snapshots the KMS is asked for the key of each snapshot that is looked into.
    """
    from keystore.node.repairing import CopySearch, damaged_pages, find_copies
    from keystore.pages.pace import Pace
    from keystore.snapshots.names import snapshot_ids

    search = CopySearch()
    if snapshots is not None:
        snapshot_ids(snapshots)  # it is a place of snapshots, or nothing is read
    with open_node(node, kms_endpoint) as opened:
        with out.progress("Verifying") as progress:
            report = opened.verify(progress, pace=Pace(rate), resume=resume)
        if snapshots is not None and any(damaged_pages(check) for check in report.stores):
            search = find_copies(opened, report, snapshots, connector(kms_endpoint))
    values = {"ok": report.ok, "node": str(node), **_check_values(report, search if snapshots else None)}

    def text() -> None:
        _print_check(report)
        for copy in search.copies:
            click.echo(f"{click.style('copy:', fg='green')} {_copy_text(copy)}")
        _print_search(search)
        if search.copies:
            click.echo(f"To put them back: keystore repair {node} --from {snapshots}")

    out.emit(values, text)
    if not report.ok:
        context.exit(exits.DAMAGED)


@click.command()
@NODE
@click.option("--from", "source", type=AT_TARGET, metavar="TARGET", required=True, help="Where the snapshots are.")
@click.option("--snapshot", "snapshot_id", metavar="SNAPSHOT", help="Use only this one.  [default: newest first]")
@click.option("--accept-older", is_flag=True, help="Where no snapshot has the damaged version, put an older one back.")
@with_kms
@with_output
@click.pass_context
def repair(
    context: click.Context,
    out: Output,
    node: Path,
    source: "Place",
    snapshot_id: str | None,
    accept_older: bool,
    kms_endpoint: str | None,
) -> None:
    """Put damaged pages back from snapshots.

    The node is checked first and again afterwards. Only damaged pages are touched. A copy of the very version that was
    damaged goes back as it is; an older version only with --accept-older, and each is named with its time. A store's
    map nodes are not in snapshots: where one is damaged, restore a snapshot.
    """
    from keystore.node.repairing import repair as repair_node
    from keystore.snapshots.names import find_snapshot

    chosen = None if snapshot_id is None else find_snapshot(source, snapshot_id)
    with open_node(node, kms_endpoint) as opened:
        done = repair_node(opened, source, connector(kms_endpoint), snapshot_id=chosen, accept_older=accept_older)
    values = {
        "ok": done.after.ok,
        "node": str(node),
        "put_back": [_copy_values(copy) for copy in done.put_back],
        "refused": [_copy_values(copy) for copy in done.refused],
        **_search_values(done.search),
        "after": _check_values(done.after, None),
    }
    out.emit(values, lambda: _print_repair(done))
    if not done.after.ok:
        context.exit(exits.DAMAGED)


def _print_repair(done: "Repair") -> None:
    for copy in done.put_back:
        label = click.style("put back:", fg="green" if copy.same else "yellow")
        click.echo(f"{label} {_copy_text(copy)}")
    for copy in done.refused:
        print_problem("older:", "yellow", _copy_text(copy), err=False)
    if done.refused:
        print_problem("what to do:", "yellow", OLDER, err=False)
    _print_search(done.search)
    _print_check(done.after)


def _print_search(search: "CopySearch") -> None:
    for database, name, number in search.missing:
        print_problem("no copy:", "red", f"page {number} of {database}/{name} is in no snapshot there", err=False)
    for problem in search.problems:
        print_problem("snapshot:", "yellow", str(problem), err=False)


def _copy_text(copy: "PageCopy") -> str:
    version = "the same version" if copy.same else "an older version"
    when = f"snapshot {copy.snapshot_id.hex()} of {format_time(copy.created_ns)}"
    return f"page {copy.page_no} of {copy.database}/{copy.name}: {version}, from {when}"


def _copy_values(copy: "PageCopy") -> dict[str, Any]:
    return {
        "file": f"{copy.database}/{copy.name}",
        "page": copy.page_no,
        "snapshot_id": copy.snapshot_id.hex(),
        "snapshot_created": format_time(copy.created_ns),
        "same_version": copy.same,
    }


def _search_values(search: "CopySearch") -> dict[str, Any]:
    return {
        "without_copy": [{"file": f"{database}/{name}", "page": page} for database, name, page in search.missing],
        "snapshot_problems": [str(problem) for problem in search.problems],
    }


def _check_values(report: "NodeCheck", search: "CopySearch | None") -> dict[str, Any]:
    values = {
        "files": len(report.stores),
        "pages": sum(check.pages for check in report.stores),
        "problems": [
            {
                "file": f"{check.database}/{check.name}",
                "type": type(problem).__name__,
                "part": getattr(problem, "part", None),
                "number": getattr(problem, "number", None),
                "pages": _range_values(getattr(problem, "pages", None)),
                "message": str(problem),
            }
            for check in report.stores
            for problem in check.problems
        ],
        "notes": [
            {"file": f"{check.database}/{check.name}", "note": note} for check in report.stores for note in check.notes
        ],
        "unknown_files": [str(path) for path in report.unknown_files],
        "taken_up_from": None if report.begun_ns is None else format_time(report.begun_ns),
    }
    if search is not None:
        values |= {"copies": [_copy_values(copy) for copy in search.copies], **_search_values(search)}
    return values


def _range_values(pages: range | None) -> dict[str, int] | None:
    return {"first": pages.start, "last": pages.stop - 1} if pages else None


def _print_check(report: "NodeCheck") -> None:
    advice = []
    for check in report.stores:
        for problem in check.problems:
            if isinstance(problem, StoreDamagedError):
                print_problem("damaged:", "red", f"{problem.finding}.", err=False)
                advice.append(problem.advice)
            else:
                print_problem("damaged:", "red", str(problem), err=False)
    for each in dict.fromkeys(advice):
        print_problem("what to do:", "yellow", each, err=False)
    for check in report.stores:
        for note in check.notes:
            click.echo(f"{click.style('note:', fg='yellow')} {check.database}/{check.name}: {note}; it was mended")
    for path in report.unknown_files:
        click.echo(f"{click.style('unknown:', fg='yellow')} {path} belongs to no file of this node; nothing reads it")
    if report.begun_ns is not None:
        begun = format_time(report.begun_ns)
        click.echo(f"{click.style('note:', fg='yellow')} what was read since {begun} was not read again (--resume)")
    verdict = click.style("all good", fg="green") if report.ok else click.style("problems found", fg="red")
    pages = plural(sum(check.pages for check in report.stores), "page")
    click.echo(f"{verdict}: {plural(len(report.stores), 'file')}, {pages} read and verified")


@click.command()
@NODE
@ONLY_DATABASE
@AT_RATE
@with_kms
@with_output
@click.pass_context
def compact(
    context: click.Context, out: Output, node: Path, database: str | None, rate: float | None, kms_endpoint: str | None
) -> None:
    """Give space that dead pages left at the end of the files back to the system.

    Live pages move to free places further up, sealed as they are. Interrupted at any moment nothing is lost, and the
    next run goes on.
    """
    from keystore.pages.pace import Pace

    with open_node(node, kms_endpoint) as opened, out.progress("Compacting") as progress:
        done = opened.upkeep.compact(database, progress=progress, pace=Pace(rate))
    problems = [item.problem for item in done if item.problem is not None]
    given_back = sum(item.report.given_back for item in done if item.report is not None)
    values = {
        "ok": not problems,
        "node": str(node),
        "bytes_given_back": given_back,
        "files": [_compacted_values(item) for item in done],
    }

    def text() -> None:
        for item in done:
            if item.report is None:
                continue
            before, after = format_bytes(item.report.bytes_before), format_bytes(item.report.bytes_after)
            click.echo(f"{item.database}/{item.name}: {before} -> {after}")
            if item.report.limited_by:
                print_problem("limited:", "yellow", item.report.limited_by, err=False)
        click.echo(f"given back: {format_bytes(given_back)}")
        for problem in problems:
            print_problem("problem:", "red", str(problem))

    out.emit(values, text)
    context.exit(exits.code_of_all(problems))


def _compacted_values(item: "Compacted") -> dict[str, Any]:
    report = item.report
    return {
        "file": f"{item.database}/{item.name}",
        "bytes_before": report and report.bytes_before,
        "bytes_after": report and report.bytes_after,
        "bytes_moved": report and report.moved_bytes,
        "limited_by": report and report.limited_by,
        "problem": None if item.problem is None else str(item.problem),
    }


@click.command()
@NODE
@ONLY_DATABASE
@with_kms
@with_output
def stats(out: Output, node: Path, database: str | None, kms_endpoint: str | None) -> None:
    """Show what the files of a node take on the disk, and how much of it is free."""
    with open_node(node, kms_endpoint) as opened:
        found = opened.upkeep.stats(database)
    values = {
        "node": str(node),
        "files": [{"file": f"{item.database}/{item.name}", **_stats_values(item.stats)} for item in found],
    }
    rows = [(f"{item.database}/{item.name}", *_stats_row(item.stats)) for item in found]
    headers = ("FILE", "SIZE", "LIVE", "HELD", "FREE", "ON DISK")
    out.emit(values, lambda: print_table(headers, rows, right=(1, 2, 3, 4, 5), flexible=0))


def _stats_values(stats: "StoreStats") -> dict[str, Any]:
    return {
        "page_size": stats.page_size,
        "logical_bytes": stats.logical_bytes,
        "live_slots": stats.live_slots,
        "held_slots": stats.held_slots,
        "free_slots": stats.free_slots,
        "file_bytes": stats.file_bytes,
    }


def _stats_row(stats: "StoreStats") -> tuple[str, ...]:
    slots = (stats.live_slots, stats.held_slots, stats.free_slots)
    return (
        format_bytes(stats.logical_bytes),
        *(format_bytes(count * stats.page_size) for count in slots),
        format_bytes(stats.file_bytes),
    )
