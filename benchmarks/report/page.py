"""The page of a report: what was measured, on what, what is reached, what is not, and what it does not show."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.report import tables
from benchmarks.report.bars import Verdict
from benchmarks.report.groups import GROUPS, Found
from benchmarks.report.words import ABOUT, NOT_SHOWN, PLOT_TEXT
from keystore.bench.result import Result

COMMAND = "python -m benchmarks.report"
README_BEGIN, README_END = (
    "<!-- throughput: written by `python -m benchmarks.report --readme` -->",
    "<!-- throughput ends -->",
)


@dataclass(frozen=True)
class Report:
    """Everything that a page is made of."""

    machine: Mapping[str, Any]
    found: Mapping[str, Found]
    results: Mapping[str, Sequence[Result]]
    verdicts: Sequence[Verdict]
    profiles: Mapping[str, Any]
    plots: Sequence[str]
    quick: bool


def as_markdown(report: Report) -> str:
    """Return the whole page."""
    parts = [
        ["# Benchmarks", "", top_line(report), ""],
        _warning(report),
        _plot(report, "throughput", "."),
        ["## Machine", "", *_machine(report), ""],
        ["## What was asked for", "", *_bars(report), ""],
        *(
            _group(report, group)
            for group in ("kernel", "store", "portable", "node", "log", "rotation", "emulator", "peers")
        ),
        ["## Where we lose", "", *_losses(report), ""],
        ["## Where the time goes", "", *_profiles(report), ""],
        ["## What this does not show", "", *(f"- {text}" for text in NOT_SHOWN), ""],
        ["## How it was measured", "", *_how(report)],
    ]
    return "\n".join(line for part in parts for line in part) + "\n"


def top_line(report: Report) -> str:
    """Return one sentence: claim, machine, command, date, commit."""
    machine = report.machine
    native = _one(report, "kernel", "kernel seal", "native", 16384)
    chosen = native or _one(report, "kernel", "kernel seal", "portable", 16384)
    end = f"{machine['cpu']}, {machine['date']}, commit {machine['commit']}; `{COMMAND}` measures it again."
    if chosen is None or chosen.gb_per_s is None:
        return f"The kernels were not measured. {end}"
    primitive = "the bare aws-lc-rs loop" if native else "a bare loop over `cryptography`"
    claim = f"The {chosen.kernel} kernel seals 16 KiB pages from Python at {chosen.gb_per_s:.1f} GB/s on one thread"
    return f"{claim}, {100 * (chosen.of_primitive or 0):.0f} % of {primitive}. {end}"


def _one(report: Report, group: str, name: str, kernel: str, page_bytes: int) -> Result | None:
    same = (r for r in report.results.get(group, ()) if (r.name, r.kernel, r.page_bytes) == (name, kernel, page_bytes))
    return next((r for r in same if r.threads == r.processes == 1), None)


def _warning(report: Report) -> list[str]:
    said = []
    if report.quick:
        said.append(
            "**A quick run: one process for each group and small sizes. The figures are rough, and sizes below are "
            "those of a full run.**"
        )
    failed = [found for found in report.found.values() if found.failed]
    said += [f"**{found.group} failed after {len(found.runs)} processes: {found.failed}**" for found in failed]
    commits = {found.commit for found in report.found.values()}
    if len(commits) > 1:
        each = ", ".join(f"{found.group} {found.commit}" for found in report.found.values())
        said.append(f"**Not all groups were measured at one commit: {each}.**")
    said += [f"**{group} was not measured.**" for group in GROUPS if group not in report.found]
    return [line for text in said for line in (text, "")]


def _plot(report: Report, name: str, folder: str) -> list[str]:
    return [*picture(name, folder), ""] if name in report.plots else []


def picture(name: str, folder: str) -> list[str]:
    """Return a plot for pages of both kinds, with its text alternative."""
    return [
        "<picture>",
        f'  <source media="(prefers-color-scheme: dark)" srcset="{folder}/{name}-dark.svg">',
        f'  <img alt="{PLOT_TEXT[name]}." src="{folder}/{name}-light.svg">',
        "</picture>",
    ]


def _machine(report: Report) -> list[str]:
    machine = report.machine
    caches = ", ".join(f"{name} {value}" for name, value in machine.get("caches", {}).items())
    load = "; ".join(f"{found.group} {found.load[0]} / {found.load[1]}" for found in report.found.values())
    rows = [
        ("processor", f"{machine['cpu']}; {', '.join(machine['cpu_flags'])}"),
        (
            "processors",
            f"{machine['cpus']}, threads per core as the system says: {machine['threads_per_core']}; {caches}",
        ),
        ("governor", machine["governor"]),
        ("hypervisor", machine["hypervisor"]),
        ("memory", f"{machine['memory_gb']} GB"),
        ("system", f"{machine['system']}, {machine['file_system']} under the measured files"),
        ("Python", f"{machine['python']}, {machine['openssl']} inside `cryptography`"),
        ("page kernel", f"{machine['page_kernel']} for stores and nodes"),
        ("libraries", ", ".join(f"{name} {version}" for name, version in machine["libraries"].items())),
        ("load average before / after", load),
    ]
    return tables.table(("", ""), rows)


def _bars(report: Report) -> list[str]:
    missed = [verdict for verdict in report.verdicts if verdict.reached is False]
    unknown = [verdict for verdict in report.verdicts if verdict.reached is None]
    count = len(report.verdicts)
    lines = [
        f"{count - len(missed) - len(unknown)} of {count} bars are reached, {len(missed)} are not, {len(unknown)} "
        "were not measured. Where a bar holds for several page sizes, the worst of them counts.",
        "",
        *tables.bars_table(report.verdicts),
    ]
    lines += _workers(report)
    if missed:
        lines += ["", "What is in the way of those that are not reached (more under *Where the time goes*):", ""]
        lines += [f"- {verdict.bar.what}: {_in_the_way(report, verdict.bar.profile)}" for verdict in missed]
    return lines


def _workers(report: Report) -> list[str]:
    """Return what this machine gives to two workers, whoever's code they run, and what the kernel takes of it."""
    found = [result for result in report.results.get("kernel", ()) if result.of_one is not None]
    bare = [result.of_one or 0 for result in found if result.name.startswith("bare loop")]
    processes = [result.of_one or 0 for result in found if result.processes > 1]
    ours = [r.of_primitive or 0 for r in found if r.name.startswith("kernel") and r.processes == 1]
    said = [f"two threads of the bare aws-lc-rs loop {_span(bare)}"] if bare else []
    said += [f"two processes of the kernel {_span(processes)}"] if processes else []
    if not said:
        return []
    line = f"What this machine gives to two workers, by page size, as a multiple of one: {'; '.join(said)}."
    line += f" Of what it gives to two threads the kernel takes {_span(ours)}." if ours else ""
    return ["", f"{line} Two virtual processors may be two threads of one physical core, now and then: 1.1 shows that."]


def _span(ratios: Sequence[float]) -> str:
    return f"{tables.number(min(ratios))} to {tables.number(max(ratios))}"


def _in_the_way(report: Report, case: str) -> str:
    """Return one line of a profile."""
    profile = report.profiles.get(case)
    if not isinstance(profile, dict):
        return f"not profiled: {profile or ('no profile was taken' if case else 'no profile belongs to it')}."
    sampled = profile["sampled"]
    by_library = _shares(sampled["libraries"], 5) if isinstance(sampled, dict) else sampled
    calls = profile["system_calls_a_turn"]
    called = (
        ", ".join(f"{count:g} {name}" for name, count in list(calls.items())[:4]) if isinstance(calls, dict) else calls
    )
    return (
        f"{tables.duration(profile['seconds_a_turn'])} a turn; of the processor's time: {by_library}. Functions of "
        f"Python by wall clock: {_shares(profile['functions'], 4)}. System calls a turn: {called or 'none'}."
    )


def _shares(shares: Mapping[str, float], count: int) -> str:
    return ", ".join(
        f"{100 * share:.0f} % {_code(name)}" for name, share in list(shares.items())[:count] if share >= 0.01
    )


def _code(name: str) -> str:
    return f"`{name}`" if any(sign in name for sign in "_/:<.") else name


def _group(report: Report, group: str) -> list[str]:
    found = report.found.get(group)
    if found is None or not found.runs:
        return []
    lines = [f"## {GROUPS[group].about}", ""]
    lines += [ABOUT[group], ""] if group in ABOUT else []
    for name in {"store": ("latency", "overhead"), "rotation": ("rotation",), "peers": ("peers",)}.get(group, ()):
        lines += _plot(report, name, ".")
    lines += _tables(report, group)
    lines += [line for note in found.notes for line in ("", f"Not measured: {note}.")]
    return [*lines, ""]


def _tables(report: Report, group: str) -> Iterator[str]:
    results = report.results[group]
    yield from tables.main_table(results, percentiles=any(result.percentiles_s for result in results))
    if group == "kernel":
        yield from ("", "The native kernel beside others in the same turns:", "")
        rows = [
            (
                r.name,
                tables.size(r.page_bytes),
                tables.workers(r),
                *(tables.number(v) for v in (r.of_library, r.of_memcpy, r.of_one)),
            )
            for r in results
            if r.kernel == "native"
        ]
        headers = ("operation", " page", "workers", " of one call a page", " of a copy in memory", " of one worker")
        yield from tables.table(headers, rows)
    if group == "rotation":
        yield ""
        names = ("node_bytes", "data_files_touched", "bytes_written", "kms_calls", "rotations", "reads")
        rows = [(r.name, *(f"{(r.counts or {}).get(name, '-')}" for name in names)) for r in results]
        yield from tables.table(("", *(f" {name.replace('_', ' ')}" for name in names)), rows)


def _losses(report: Report) -> list[str]:
    lost = tables.losing_rows(report.results)
    lines = ["Everything that is slower than what stands beside it, the slowest first."]
    lines += ["", *tables.table(("what", "kernel", " page", "workers", " speed", " times as long"), lost)]
    others = tables.lost_to_peers(report.results.get("peers", ()))
    if others:
        lines += ["", "Others that are faster than we at the same work:", ""]
        lines += tables.table(("what", "who", " GB/s", " ours, GB/s", " times as fast"), others)
    return lines


def _profiles(report: Report) -> list[str]:
    if not report.profiles:
        return ["No profile was taken."]
    lines = [
        "Samples of perf by library, Python's profiler (which makes small functions look larger), and strace's "
        "counts, of the case alone. A turn of snapshot and restore is of 64 MiB, and removes what it wrote."
    ]
    for case, profile in report.profiles.items():
        lines += ["", f"**{case}.** {_in_the_way(report, case)}"]
        sampled = profile.get("sampled") if isinstance(profile, dict) else None
        functions = _shares(sampled["functions"], 6) if isinstance(sampled, dict) else ""
        if functions and isinstance(sampled, dict):
            lines += [f"Functions by samples, of {sampled['samples']}: {functions}."]
    return lines


def _how(report: Report) -> list[str]:
    counts = ", ".join(f"{found.group} {len(found.runs)} in {found.seconds:.0f} s" for found in report.found.values())
    return [
        f"`{COMMAND}` runs each group in fresh processes ({counts}) and takes the median of each case over them; the "
        "spans are the smallest and the largest process. Within a process all that is compared takes turns. GB are "
        "10⁹ bytes. The runs are in `raw/`, the medians in `results.csv`.",
    ]


def readme_part(report: Report, folder: str) -> str:
    """Return what the README says of speed: the main plot, its claim, and where the whole report is."""
    missed = sum(verdict.reached is False for verdict in report.verdicts)
    lines = [
        README_BEGIN,
        *picture("throughput", folder),
        "",
        f"{top_line(report)} [The report]({folder}/README.md) has reads, commits, snapshots and other software, the "
        f"rows where we lose, and the {missed} of {len(report.verdicts)} bars that are not reached.",
        README_END,
    ]
    return "\n".join(lines)
