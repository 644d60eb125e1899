"""Times two things that take turns, so that what slows the machine slows both."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import TypeAlias

Timed: TypeAlias = Callable[[], float]
"""Does its work once and returns the seconds that took."""

WARM_UP = 3
ROUNDS_MIN = 5


@dataclass(frozen=True)
class Beside:
    """Medians of both, in seconds."""

    ours_s: float
    other_s: float

    @property
    def ratio(self) -> float:
        """Our speed as a fraction of the other's."""
        return self.other_s / self.ours_s


def timed(call: Callable[[], object]) -> Timed:
    """Return `call` as something that tells how long it took."""

    def run() -> float:
        start = time.perf_counter()
        call()
        return time.perf_counter() - start

    return run


def beside(ours: Timed, other: Timed, budget_s: float) -> Beside:
    """Let both take turns for about `budget_s` seconds, at least `ROUNDS_MIN` times each."""
    for _ in range(WARM_UP):
        ours()
        other()
    mine: list[float] = []
    theirs: list[float] = []
    end = time.perf_counter() + budget_s
    while len(mine) < ROUNDS_MIN or time.perf_counter() < end:
        mine.append(ours())
        theirs.append(other())
    return Beside(median(mine), median(theirs))
