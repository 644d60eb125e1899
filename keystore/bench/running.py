"""Runs groups of measurements, each several times in a process of its own, and takes the medians over the processes."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Final, Protocol

from keystore.bench.result import Result, medians
from keystore.errors import InputError, KeystoreError

PROCESSES, PROCESSES_QUICK = 5, 1
BUDGET_S, BUDGET_QUICK_S = 0.4, 0.15
"""Seconds for which things take turns."""
RUN_MAX_S = 1800
"""LIMIT: seconds for one group in one process."""


class Measure(Protocol):
    def __call__(self, place: Path, /, *, quick: bool, budget_s: float) -> Iterator[Result]:
        """Yield results; `place` is a directory that all processes of the group have, one after the other."""


def _kernels(_: Path, *, quick: bool, budget_s: float) -> Iterator[Result]:
    from keystore.bench import kernels, keys, processes

    yield from kernels.measure(quick=quick, budget_s=budget_s)
    yield from processes.measure(quick=quick, budget_s=budget_s)
    yield from keys.measure(budget_s=budget_s)


def _stores(_: Path, *, quick: bool, budget_s: float) -> Iterator[Result]:
    from keystore.bench import stores

    return stores.measure(quick=quick, budget_s=budget_s)


def _nodes(_: Path, *, quick: bool, budget_s: float) -> Iterator[Result]:
    from keystore.bench import nodes

    return nodes.measure(quick=quick, budget_s=budget_s)


def _logs(_: Path, *, quick: bool, budget_s: float) -> Iterator[Result]:
    from keystore.bench import logs

    return logs.measure(quick=quick, budget_s=budget_s)


def _rotations(place: Path, *, quick: bool, budget_s: float) -> Iterator[Result]:
    from keystore.bench import rotations

    return rotations.measure(place, quick=quick)


GROUPS: Final[Mapping[str, Measure]] = {
    "kernel": _kernels,
    "store": _stores,
    "node": _nodes,
    "log": _logs,
    "rotation": _rotations,
}


def run(
    groups: Iterable[str], *, quick: bool, tell: Callable[[int, int], None], processes: int | None = None
) -> list[Result]:
    """Measure `groups`, several times each; return the median of every case.

    Args:
        tell: is told processes done and in all.
        processes: how many times, by default 5, and once if quick.

    Raises:
        InputError: there is no such group.
        KeystoreError: a process failed; its last words are in the message.
    """
    chosen = list(groups) or list(GROUPS)
    unknown = [group for group in chosen if group not in GROUPS]
    if unknown:
        raise InputError(
            f"there is no group {', '.join(unknown)}; known are {', '.join(GROUPS)}. Nothing was measured."
        )
    times = processes or (PROCESSES_QUICK if quick else PROCESSES)
    found: list[Result] = []
    for place, group in enumerate(chosen):
        told = partial(_tell_of, tell, place * times, len(chosen) * times)
        found += medians(list(run_group(group, times, quick=quick, tell=told)))
    tell(len(chosen) * times, len(chosen) * times)
    return found


def _tell_of(tell: Callable[[int, int], None], before: int, total: int, done: int) -> None:
    tell(before + done, total)


def run_group(group: str, times: int, *, quick: bool, tell: Callable[[int], None]) -> Iterator[list[Result]]:
    """Measure a group in that many processes; yield what each found.

    Args:
        tell: is told processes done, before each.
    """
    with tempfile.TemporaryDirectory(prefix="keystore-bench-") as place:
        for number in range(times):
            tell(number)
            yield _run_apart(group, place, quick=quick)


def _run_apart(group: str, place: str, *, quick: bool) -> list[Result]:
    command = [sys.executable, "-m", "keystore.bench", group, "quick" if quick else "full", place]
    inside = os.environ | {"TMPDIR": place}  # a process that is killed removes nothing; who made the place does
    try:
        ended = subprocess.run(command, capture_output=True, text=True, timeout=RUN_MAX_S, check=False, env=inside)
    except subprocess.TimeoutExpired:
        raise KeystoreError(f"measuring {group} took more than {RUN_MAX_S} s. Nothing is left of it.") from None
    if ended.returncode != 0:
        said = (ended.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise KeystoreError(f"measuring {group} failed: {said}. Nothing is left of it.")
    return [Result.decode(values) for values in json.loads(ended.stdout)]


def run_here(group: str, place: Path, *, quick: bool) -> list[Result]:
    """Measure one group in this process."""
    return list(GROUPS[group](place, quick=quick, budget_s=BUDGET_QUICK_S if quick else BUDGET_S))
