"""`keystore bench`: what sealing costs on this machine, beside the same work without it; and two reports compared."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from keystore.cli import exits
from keystore.cli.arguments import PATH
from keystore.cli.output import Output, print_table, with_output
from keystore.errors import InputError, PathMissingError

if TYPE_CHECKING:
    from keystore.bench.comparing import Change
    from keystore.bench.result import Result

MACHINE = (
    "python", "system", "machine", "cpu", "cpu_flags", "cpus", "page_kernel", "temporary_files", "openssl", "libraries",
)  # fmt: skip
"""What of the doctor's findings a report keeps."""
IN_MEMORY = ("tmpfs", "ramfs")
THRESHOLD_PERCENT = 10


@click.command()
@click.argument("groups", metavar="[kernel|store|node|log|rotation]...", nargs=-1)
@click.option("--quick", is_flag=True, help="One process and small sizes: seconds instead of minutes, and rough.")
@click.option(
    "--processes",
    metavar="N",
    type=click.IntRange(1, 100),
    help="How many fresh processes the medians are of.  [default: 5, and 1 with --quick]",
)
@click.option(
    "--compare", metavar="A B", nargs=2, type=PATH, help="Measure nothing; compare two reports that --json printed."
)
@click.option(
    "--threshold",
    metavar="PERCENT",
    type=click.IntRange(1, 99),
    help=f"With --compare: what is slower by more than this is a failure.  [default: {THRESHOLD_PERCENT}]",
)
@with_output
@click.pass_context
def bench(
    context: click.Context,
    out: Output,
    groups: tuple[str, ...],
    quick: bool,
    processes: int | None,
    compare: tuple[Path, Path] | None,
    threshold: int | None,
) -> None:
    """Measure encrypt and decrypt throughput, reads, commits, snapshots, the log and rotation.

    Everything is measured beside the same work without encryption, in turns, in the same process; several processes,
    of which the median counts. TIME is the median of one call: a kernel's is 1 MiB of pages for each process or thread;
    a single read's is the mean over 200. GB/S is 10^9 bytes of pages a second, of all workers together.

    SPEED is ours as a fraction of the other's: of the cryptographic library's bare loop on as many threads (primitive);
    of plain input and output (plain), or of what is named; of one worker on the same work (one).

    Files are made in the directory for temporary files (TMPDIR), which takes up to 6 GB, or 200 MB with --quick. It has
    to be on the disk that is to be measured.
    """
    if compare is not None:
        if groups or quick or processes is not None:
            raise click.UsageError("--compare measures nothing: leave out groups, --quick and --processes")
        _compare(context, out, compare, (threshold or THRESHOLD_PERCENT) / 100)
        return
    if threshold is not None:
        raise click.UsageError("--threshold needs --compare. Nothing was measured")
    from keystore.bench.running import run
    from keystore.cli.doctor import examine

    with out.progress("Measuring") as progress:
        results = run(groups, quick=quick, tell=progress, processes=processes)
    found = examine(None)
    machine = {name: found[name] for name in MACHINE}
    values = {"machine": machine, "quick": quick, "results": [result.encode() for result in results]}
    out.emit(values, lambda: _print_results(machine, results))


def _print_results(machine: dict[str, Any], results: "list[Result]") -> None:
    from keystore.cli.doctor import PORTABLE

    files, kernel = machine["temporary_files"], machine["page_kernel"]
    click.echo(
        f"{machine['cpu']}, {machine['cpus']} CPUs, Python {machine['python']}, {machine['openssl']}; stores by the "
        f"{kernel} kernel, on {files}"
    )
    if files in IN_MEMORY:
        click.echo("That is memory: commits, copies and cold reads are not those of a disk. Set TMPDIR to measure one.")
    rows = [
        (
            result.name,
            result.kernel,
            _size(result),
            _workers(result),
            _seconds(result.seconds),
            "-" if result.gb_per_s is None else f"{result.gb_per_s:.2f}",
            _speed(result),
        )
        for result in results
    ]
    print_table(("WHAT", "KERNEL", "PAGE", "WORKERS", "TIME", "GB/S", "SPEED"), rows, right=(2, 4, 5, 6))
    if kernel == "portable":
        click.echo(f"{click.style('note:', fg='yellow')} {PORTABLE}")


def _size(result: "Result") -> str:
    return f"{result.page_bytes >> 10} KiB" if result.page_bytes >= 1024 else f"{result.page_bytes} B"


def _workers(result: "Result") -> str:
    if result.processes > 1:
        return f"{result.processes} processes"
    return "1" if result.threads == 1 else f"{result.threads} threads"


def _speed(result: "Result") -> str:
    beside = {"primitive": result.of_primitive, result.plain or "plain": result.of_plain, "one": result.of_one}
    return next((f"{ratio:.2f} of {other}" for other, ratio in beside.items() if ratio is not None), "-")


def _seconds(seconds: float) -> str:
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-6:.3g} µs"


def _compare(context: click.Context, out: Output, paths: tuple[Path, Path], threshold: float) -> None:
    from keystore.bench.comparing import compare, only_in, slower

    (former_quick, former), (latter_quick, latter) = (_read(path) for path in paths)
    if None not in (former_quick, latter_quick) and former_quick != latter_quick:
        quick, full = paths if former_quick else paths[::-1]
        raise InputError(
            f"{quick} was measured with --quick and {full} was not: their sizes differ. Nothing was compared; compare "
            "reports of one form."
        )
    changes = compare(former, latter)
    if not changes:
        raise InputError(f"{paths[0]} and {paths[1]} have no measured ratio in common. Nothing was compared.")
    lost = slower(changes, threshold)
    apart = [only_in(former, latter), only_in(latter, former)]
    values = {
        "ok": not lost,
        "threshold": threshold,
        "compared": [
            {**change.latter.encode(), "ratio_before": change.former.ratio, "change": round(change.change, 3)}
            for change in changes
        ],
        "only_before": [result.encode() for result in apart[0]],
        "only_now": [result.encode() for result in apart[1]],
    }
    out.emit(values, lambda: _print_changes(changes, lost, dict(zip(paths, apart, strict=True))))
    if lost:
        context.exit(exits.ERROR)


def _print_changes(changes: "list[Change]", lost: "list[Change]", apart: "dict[Path, list[Result]]") -> None:
    rows = [
        (
            change.latter.name,
            change.latter.kernel,
            _size(change.latter),
            _workers(change.latter),
            f"{change.former.ratio:.2f}",
            f"{change.latter.ratio:.2f}",
            f"{100 * (change.change - 1):+.0f} %",
        )
        for change in changes
    ]
    print_table(("WHAT", "KERNEL", "PAGE", "WORKERS", "BEFORE", "NOW", "CHANGE"), rows, right=(2, 4, 5, 6))
    for path, results in apart.items():
        for result in results:
            click.echo(f"only in {path}: {result.name}, {result.kernel}, {_size(result)}, {_workers(result)}")
    click.echo(f"{len(lost)} of {len(changes)} became slower than the threshold allows.")


def _read(path: Path) -> "tuple[bool | None, list[Result]]":
    """Return whether a report was measured with --quick, None where an older one does not say; and its results."""
    from keystore.bench.result import Result

    try:
        values = json.loads(path.read_bytes())
        results = [Result.decode(each) for each in values["results"]]
        return values.get("quick"), results
    except FileNotFoundError:
        raise PathMissingError(f"{path} does not exist. Nothing was compared.") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} is no report of `keystore bench --json`: {error}. Nothing was compared.") from None
