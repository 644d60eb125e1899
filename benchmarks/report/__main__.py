"""`python -m benchmarks.report`: measures what is missing, and writes the report of today."""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks.report import bars, groups, machine, page, tables
from benchmarks.report.profiles import PORTABLE

RESULTS = groups.ROOT / "benchmarks" / "results"
README = groups.ROOT / "README.md"
PROFILE_MAX_S = 120
"""LIMIT: seconds for the profile of one case."""


def arguments(given: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.report", description="Measure, and write a report.")
    parser.add_argument("groups", nargs="*", metavar="GROUP", help=f"only these of: {', '.join(groups.GROUPS)}")
    parser.add_argument("--into", type=Path, help="the directory of the report [benchmarks/results/DATE-CPU]")
    parser.add_argument("--quick", action="store_true", help="one process each, and small sizes: rough figures")
    parser.add_argument("--processes", type=int, help="fresh processes for each group [5, and 1 if quick]")
    parser.add_argument("--again", action="store_true", help="measure what is there already again")
    parser.add_argument("--render", action="store_true", help="measure nothing; write tables, plots and page again")
    parser.add_argument("--no-profiles", action="store_true", help="do not look where the time goes")
    parser.add_argument("--readme", action="store_true", help="put the main plot and its claim into README.md")
    options = parser.parse_args(given)
    if unknown := set(options.groups) - set(groups.GROUPS):
        parser.error(f"there is no group {', '.join(sorted(unknown))}; known are {', '.join(groups.GROUPS)}")
    return options


def main(given: Sequence[str]) -> int:
    options = arguments(given)
    if find_spec("matplotlib") is None:
        raise SystemExit(
            "a report has plots, which need matplotlib. Nothing was measured; take `make report`, or "
            "pip install -e '.[bench]'."
        )
    here = machine.describe()
    folder = (options.into or RESULTS / machine.slug(here)).resolve()
    raw = folder / "raw"
    raw.mkdir(parents=True, exist_ok=True)
    if not options.render:
        _measure(options, here, raw)
    failed = _write(folder, raw)
    if options.readme:
        _write_readme(folder, raw)
    print(f"{folder / 'README.md'}", file=sys.stderr)
    return 1 if failed else 0


def _measure(options: argparse.Namespace, here: dict[str, Any], raw: Path) -> None:
    wanted, kept = options.groups or groups.GROUPS, 0
    for group in wanted:
        before = groups.kept(group, raw)
        if before is not None and not before.failed and before.quick == options.quick and not options.again:
            print(f"{group}: kept from before", file=sys.stderr)
            kept += 1
            continue
        (raw / "machine.json").write_text(json.dumps(here, indent=1) + "\n")  # what is only kept was measured elsewhere
        print(f"{group} …", file=sys.stderr, flush=True)
        found = groups.measure(group, quick=options.quick, processes=options.processes)
        groups.keep(replace(found, commit=here["commit"]), raw)
        ended = f"failed: {found.failed}" if found.failed else f"{len(found.runs)} processes, {found.seconds:.0f} s"
        print(f"{group}: {ended}", file=sys.stderr)
    if kept == len(wanted):
        print("nothing was measured; --again measures what is there already, --into elsewhere", file=sys.stderr)
    if not options.no_profiles:
        _profile(options, raw)


def _profile(options: argparse.Namespace, raw: Path) -> None:
    """Look where the time goes in every case whose bar is not reached."""
    path = raw / "profiles.json"
    report, _ = load(raw)
    missed = [each.bar for each in report.verdicts if each.reached is False and each.bar.profile]
    wanted = {bar.profile: options.again and bar.group in (options.groups or groups.GROUPS) for bar in missed}
    found = {case: report.profiles[case] for case, again in wanted.items() if case in report.profiles and not again}
    for case in wanted:
        if case not in found:
            print(f"profile of {case} …", file=sys.stderr, flush=True)
            found[case] = _profile_apart(case, "quick" if options.quick else "full")
            path.write_text(json.dumps(found, indent=1) + "\n")


def _profile_apart(case: str, form: str) -> Any:
    command = [sys.executable, "-m", "benchmarks.report.profiles", case, form]
    environment = os.environ | ({"KEYSTORE_KERNEL": "portable"} if case.endswith(PORTABLE) else {})
    try:
        ended = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=PROFILE_MAX_S,
            check=False,
            cwd=groups.ROOT,
            env=environment,
        )
        last = (ended.stderr.strip().splitlines() or ["it said nothing"])[-1]
        return json.loads(ended.stdout) if ended.returncode == 0 else f"failed: {last}"
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        return f"failed: {error}"


def load(raw: Path) -> tuple[page.Report, dict[str, Any]]:
    """Return the report of what is kept, without its plots; and the single runs of each group."""
    here = json.loads((raw / "machine.json").read_text())
    found = {group: kept for group in groups.GROUPS if (kept := groups.kept(group, raw)) is not None}
    results = {group: kept.results for group, kept in found.items()}
    runs = {group: kept.runs for group, kept in found.items()}
    profiles = raw / "profiles.json"
    profiled = json.loads(profiles.read_text()) if profiles.exists() else {}
    verdicts = bars.judge(bars.bars(here["page_kernel"]), results, runs)
    quick = any(kept.quick for kept in found.values())
    return page.Report(here, found, results, verdicts, profiled, (), quick), runs


def _write(folder: Path, raw: Path) -> list[str]:
    """Write tables, plots and page; return the groups that failed."""
    from benchmarks.report.plots import draw  # matplotlib is of the extra `bench`; the rest does without

    report, runs = load(raw)
    report = replace(report, plots=draw(folder, runs, report.results))
    processes = {group: len(kept.runs) for group, kept in report.found.items()}
    (folder / "results.csv").write_text(tables.as_csv(report.results, processes))
    (folder / "results.json").write_text(_as_json(report))
    (folder / "README.md").write_text(page.as_markdown(report))
    return [group for group, kept in report.found.items() if kept.failed]


def _as_json(report: page.Report) -> str:
    """Return the medians in the shape of `keystore bench --json`, so that `keystore bench --compare` takes them."""
    named = ("kernel", "store", "node", "log", "rotation")
    results = [result.encode() for group in named for result in report.results.get(group, ())]
    return json.dumps({"machine": report.machine, "quick": report.quick, "results": results}, indent=1) + "\n"


def _write_readme(folder: Path, raw: Path) -> None:
    """Put the part of the README that says how fast this is between its two marks."""
    text = README.read_text()
    head, begin, rest = text.partition(page.README_BEGIN)
    _, end, tail = rest.partition(page.README_END)
    if not begin or not end:
        raise SystemExit(f"{README} has not the two marks of the plot; it is unchanged")
    report, _ = load(raw)
    README.write_text(head + page.readme_part(report, str(folder.relative_to(groups.ROOT))) + tail)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
