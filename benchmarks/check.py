"""`make bench-check`: what became slower than the baseline, by ratios to what stood beside it in the same run.

    python -m benchmarks.check           # measures, compares with baseline.json; exit code 1 if something is slower
    python -m benchmarks.check --keep    # measures, and makes that the baseline

Only what needs no disk is compared: kernels by the bare loop of their library, reads of the system's cache by what
`pread` and that loop take for the same pages one after the other, reads of our own cache by `pread`. These ratios mean
something on another machine, also where the processor opens pages at a third of the speed at which it copies them. What
seems slower is measured again in fresh processes, for a busy machine can make it seem so; slower is what is slower each
time.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from keystore.bench.comparing import Change, compare, only_in, slower
from keystore.bench.result import Result, medians
from keystore.bench.running import run_group
from keystore.cli.doctor import examine

BASELINE = Path(__file__).with_name("baseline.json")
GROUPS = {"kernel": ("kernel seal", "kernel open"), "store": ("random read", "random read, our cache", "scan")}
"""Groups, and the cases of each that are compared."""
OPENING = ("random read", "scan")
"""Cases that read pages and open them."""
PROCESSES = 3
ROUNDS = 3
THRESHOLD_PERCENT = 20
MACHINE = ("cpu", "python", "openssl", "page_kernel", "libraries")


def measure() -> list[Result]:
    """Return the cases of one worker that have a ratio, as medians over fresh processes."""
    found: list[Result] = []
    for group, names in GROUPS.items():
        runs = list(run_group(group, PROCESSES, quick=True, tell=lambda _: None))
        alone = (result for result in medians(runs) if result.threads == result.processes == 1)
        found += [result for result in alone if result.name in names and result.ratio]
    return found


def beside_parts(results: Sequence[Result]) -> list[Result]:
    """Return results of one run, those of `OPENING` beside their two parts: reading alone, and the primitive alone."""
    primitive_gb_per_s = {
        (result.kernel, result.page_bytes): result.gb_per_s / result.of_primitive
        for result in results
        if result.name == "kernel open" and result.gb_per_s and result.of_primitive
    }
    return [_beside_parts(result, primitive_gb_per_s.get((result.kernel, result.page_bytes))) for result in results]


def _beside_parts(result: Result, primitive_gb_per_s: float | None) -> Result:
    if result.name not in OPENING or not (primitive_gb_per_s and result.of_plain and result.gb_per_s):
        return result
    return replace(result, of_plain=result.of_plain + result.gb_per_s / primitive_gb_per_s)


def check(baseline: Sequence[Result], threshold: float, rounds: int = ROUNDS) -> list[Change]:
    """Measure, until nothing is slower or for `rounds` times; return all that was compared, each at its best.

    Raises:
        SystemExit: the baseline has no case that can be measured here.
    """
    best: dict[object, Change] = {}
    for _ in range(rounds):
        for change in compare(beside_parts(baseline), beside_parts(measure())):
            known = best.get(change.latter.case)
            if known is None or change.change > known.change:
                best[change.latter.case] = change
        if not slower(list(best.values()), threshold):
            break
    if not best:
        raise SystemExit(f"{BASELINE} has no case that can be measured here; nothing was compared")
    return sorted(best.values(), key=lambda change: change.change)


def read_baseline(path: Path) -> list[Result]:
    return [Result.decode(values) for values in json.loads(path.read_text())["results"]]


def keep(path: Path) -> None:
    """Measure, and write the baseline."""
    found = examine(None)
    machine, results = {name: found[name] for name in MACHINE}, [result.encode() for result in measure()]
    values = {"machine": machine, "quick": True, "results": results}
    path.write_text(json.dumps(values, indent=1) + "\n")


def line(change: Change) -> str:
    what = _case(change.latter)
    return f"{what:50} {change.former.ratio:6.3f} -> {change.latter.ratio:6.3f}  {100 * (change.change - 1):+4.0f} %"


def _case(result: Result) -> str:
    return f"{result.name}, {result.kernel}, {result.page_bytes >> 10} KiB"


def main(given: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.check", description=__doc__.partition("\n")[0])
    parser.add_argument("--keep", action="store_true", help="make what is measured now the baseline")
    parser.add_argument("--threshold", type=int, default=THRESHOLD_PERCENT, metavar="PERCENT", help="[%(default)s]")
    options = parser.parse_args(given)
    if options.keep:
        keep(BASELINE)
        return 0
    baseline = read_baseline(BASELINE)
    changes = check(baseline, options.threshold / 100)
    apart = only_in(baseline, [change.latter for change in changes])
    lost = slower(changes, options.threshold / 100)
    print(*map(line, changes), sep="\n")
    print(*(f"{_case(result):50} not measured here" for result in apart), sep="\n", end="\n" if apart else "")
    print(f"{len(lost)} of {len(changes)} are slower than the baseline by more than {options.threshold} %.")
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
