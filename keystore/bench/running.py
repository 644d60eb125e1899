"""Runs groups of measurements, each in a process of its own, and takes the medians over the processes."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final, Protocol

from keystore.bench.result import Result, medians
from keystore.errors import InputError, KeystoreError

PROCESSES, PROCESSES_QUICK = 5, 1
BUDGET_S, BUDGET_QUICK_S = 1.0, 0.15
"""Seconds for which two things take turns."""
RUN_MAX_S = 1800
"""LIMIT: seconds for one group in one process."""


class Measure(Protocol):
    def __call__(self, *, quick: bool, budget_s: float) -> Iterator[Result]: ...


def _kernels(*, quick: bool, budget_s: float) -> Iterator[Result]:
    from keystore.bench import kernels

    return kernels.measure(quick=quick, budget_s=budget_s)


def _stores(*, quick: bool, budget_s: float) -> Iterator[Result]:
    from keystore.bench import stores

    return stores.measure(quick=quick, budget_s=budget_s)


def _nodes(*, quick: bool, budget_s: float) -> Iterator[Result]:
    from keystore.bench import nodes

    return nodes.measure(quick=quick, budget_s=budget_s)


GROUPS: Final[Mapping[str, Measure]] = {"kernel": _kernels, "store": _stores, "node": _nodes}


def run(groups: Iterable[str], *, quick: bool, tell: Callable[[int, int], None]) -> list[Result]:
    """Measure `groups`, several times each; return the median of every case.

    Args:
        tell: is told processes done and in all.

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
    times = PROCESSES_QUICK if quick else PROCESSES
    found: list[Result] = []
    for place, group in enumerate(chosen):
        runs = []
        for number in range(times):
            tell(place * times + number, len(chosen) * times)
            runs.append(_run_apart(group, quick=quick))
        found += medians(runs)
    tell(len(chosen) * times, len(chosen) * times)
    return found


def _run_apart(group: str, *, quick: bool) -> list[Result]:
    command = [sys.executable, "-m", "keystore.bench", group, "quick" if quick else "full"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=RUN_MAX_S, check=False, env=os.environ)
    if ended.returncode != 0:
        said = (ended.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise KeystoreError(f"measuring {group} failed: {said}. Nothing is left of it.")
    return [Result.decode(values) for values in json.loads(ended.stdout)]


def run_here(group: str, *, quick: bool) -> list[Result]:
    """Measure one group in this process."""
    return list(GROUPS[group](quick=quick, budget_s=BUDGET_QUICK_S if quick else BUDGET_S))
