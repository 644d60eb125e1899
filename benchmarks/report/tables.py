"""Tables of a report: all results as CSV, and parts of them as Markdown."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence

from benchmarks.report.bars import NOT_MEASURED, Verdict
from keystore.bench.result import Result

COLUMNS = (
    "group", "name", "kernel", "page_bytes", "threads", "processes", "seconds", "gb_per_s", "of_primitive", "of_plain",
    "plain", "of_library", "of_memcpy", "of_one", "cpu_s_per_gb", "p50_s", "p99_s", "p99.9_s", "plain_p50_s",
    "plain_p99_s", "plain_p99.9_s", "range_min", "range_max", "processes_measured", "counts",
)  # fmt: skip


def as_csv(results: Mapping[str, Sequence[Result]], processes: Mapping[str, int]) -> str:
    """Return one line for each result, medians over the processes; the range is that of the main ratio."""
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for group, found in results.items():
        for result in found:
            values = result.encode() | {"group": group, "processes_measured": processes[group]}
            values |= {f"{name}_s": value for name, value in (result.percentiles_s or {}).items()}
            values |= {f"plain_{name}_s": value for name, value in (result.plain_percentiles_s or {}).items()}
            values |= dict(zip(("range_min", "range_max"), result.range or (), strict=False))
            values["counts"] = "; ".join(f"{name} {value}" for name, value in (result.counts or {}).items())
            writer.writerow(values)
    return out.getvalue()


def table(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return a Markdown table; columns after the first that begin with a space are aligned right."""
    marks = ["---:" if header.startswith(" ") else "---" for header in headers]
    lines = [f"| {' | '.join(header.strip() for header in headers)} |", f"| {' | '.join(marks)} |"]
    return [*lines, *(f"| {' | '.join(row)} |" for row in rows)]


def main_table(results: Sequence[Result], *, percentiles: bool) -> list[str]:
    """Return operation, page and workers by speed, time a page, and ratio; percentiles where they were taken."""
    more = [" p50, µs", " p99, µs", " p99.9, µs"] if percentiles else []
    headers = [
        "operation",
        "of",
        " page",
        "workers",
        " GB/s",
        " pages/s",
        " time",
        *more,
        " CPU s/GB",
        " beside",
        " min to max",
    ]
    return table(headers, (_main_row(result, percentiles=percentiles) for result in results))


def _main_row(result: Result, *, percentiles: bool) -> list[str]:
    single = result.percentiles_s or {}
    more = [micro(single.get(name)) for name in ("p50", "p99", "p99.9")] if percentiles else []
    pages = result.gb_per_s * 1e9 / result.page_bytes if result.gb_per_s and result.page_bytes >= 4096 else None
    return [
        result.name, result.kernel, size(result.page_bytes), workers(result), number(result.gb_per_s),
        "-" if pages is None else f"{pages:,.0f}", duration(result.seconds), *more, number(result.cpu_s_per_gb),
        beside(result), _span_of(result),
    ]  # fmt: skip


def beside(result: Result) -> str:
    """Return the main ratio, and what it is of."""
    if result.of_primitive is not None:
        return f"{number(result.of_primitive)} of the primitive"
    if result.of_plain is not None:
        return f"{number(result.of_plain)} of {result.plain or 'plain'}"
    return f"{number(result.of_one)} of one" if result.of_one is not None else "-"


def _span_of(result: Result) -> str:
    """Return the smallest and largest of what `beside` names; of the times where there is nothing."""
    if result.range is None or result.main != result.seconds:
        return span(result.range)
    return " to ".join(duration(seconds) for seconds in result.range)


def bars_table(verdicts: Sequence[Verdict]) -> list[str]:
    rows = []
    for verdict in verdicts:
        bar = verdict.bar
        limit = f"{'at most' if bar.at_most else 'at least'} {bar.limit:g}" + (f" [{bar.aim:g}]" if bar.aim else "")
        said = {True: "yes", False: "**no**", None: NOT_MEASURED}[verdict.reached]
        rows.append((bar.what, bar.unit, limit, number(verdict.value), span(verdict.span), said))
    return table(("what", "in", " bar [aim]", " measured", " min to max", "reached"), rows)


def losing_rows(results: Mapping[str, Sequence[Result]]) -> list[list[str]]:
    """Return what is slower than what stands beside it, the slowest first."""
    lost = []
    for group, found in results.items():
        for result in found:
            for name, ratio in (
                ("the primitive", result.of_primitive),
                (result.plain or "the same without encryption", result.of_plain),
                ("one call a page", result.of_library),
                ("one worker", result.of_one),
            ):
                ours = group not in ("peers", "emulator") or (group == "peers" and result.kernel.startswith("keystore"))
                ours = ours and result.kernel != "aws-lc-rs"
                if ratio is not None and ratio < 1 and ours:
                    lost.append((ratio, result, name))
    lost.sort(key=lambda each: each[0])
    return [
        [
            result.name,
            result.kernel,
            size(result.page_bytes),
            workers(result),
            f"{ratio:.2f} of {name}",
            f"{1 / ratio:.1f}",
        ]
        for ratio, result, name in lost
    ]


def lost_to_peers(results: Sequence[Result]) -> list[list[str]]:
    """Return the work at which another one is faster than we, in bytes per second."""
    rows = []
    for name in dict.fromkeys(result.name for result in results):
        same = [result for result in results if result.name == name and result.gb_per_s]
        mine = next((result for result in same if result.kernel.startswith("keystore")), None)
        if mine is None or not mine.gb_per_s:
            continue
        for other in same:
            if other.gb_per_s and other.gb_per_s > mine.gb_per_s:
                times = other.gb_per_s / mine.gb_per_s
                rows.append([name, other.kernel, number(other.gb_per_s), number(mine.gb_per_s), f"{times:.1f}"])
    return rows


# -- figures as words -------------------------------------------------------------------------------------------------


def number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def micro(seconds: float | None) -> str:
    return "-" if seconds is None else number(seconds * 1e6)


def duration(seconds: float) -> str:
    for unit, length in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= length:
            return f"{seconds / length:.3g} {unit}"
    return f"{seconds * 1e6:.3g} µs"


def size(page_bytes: int) -> str:
    if page_bytes == 0:
        return "-"
    return f"{page_bytes >> 10} KiB" if page_bytes >= 1024 else f"{page_bytes} B"


def workers(result: Result) -> str:
    if result.processes > 1:
        return f"{result.processes} processes"
    return "1" if result.threads == 1 else f"{result.threads} threads"


def span(values: tuple[float, float] | None) -> str:
    return "-" if values is None else f"{number(values[0])} to {number(values[1])}"
