"""Times things that take turns, so that what slows the machine slows all of them."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles
from typing import TypeAlias

Timed: TypeAlias = Callable[[], float]
"""Does its work once and returns the seconds that took."""

WARM_UP = 3
ROUNDS_MIN = 5
TASKS = Path("/proc/self/task")
"""Where Linux lists the threads of this process."""
PERCENTILES = {"p50": (50, 1), "p99": (99, 100), "p99.9": (99.9, 1000)}
"""Per cent, and how many calls it takes to tell."""


@dataclass(frozen=True)
class Beside:
    """Medians of both, in seconds."""

    ours_s: float
    other_s: float

    @property
    def ratio(self) -> float:
        """Our speed as a fraction of the other's."""
        return self.other_s / self.ours_s


@dataclass(frozen=True)
class Turns:
    """What each took in its turns, in seconds, and the processor time of all of them together."""

    seconds: Mapping[str, Sequence[float]]
    cpu_s: Mapping[str, float]

    def median_s(self, name: str) -> float:
        return median(self.seconds[name])

    def ratio(self, name: str, other: str) -> float:
        """Return the speed of `name` as a fraction of that of `other`."""
        return self.median_s(other) / self.median_s(name)

    def cpu_s_per_gb(self, name: str, bytes_a_turn: int) -> float:
        return self.cpu_s[name] / (bytes_a_turn * len(self.seconds[name])) * 1e9


def timed(call: Callable[[], object]) -> Timed:
    """Return `call` as something that tells how long it took."""

    def run() -> float:
        start = time.perf_counter()
        call()
        return time.perf_counter() - start

    return run


def in_turns(calls: Mapping[str, Timed], budget_s: float) -> Turns:
    """Let all take turns for about `budget_s` seconds, at least `ROUNDS_MIN` times each."""
    for _ in range(WARM_UP):
        for call in calls.values():
            call()
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    cpu_s, others = dict.fromkeys(calls, 0.0), clocks_of_others()
    end, rounds = time.perf_counter() + budget_s, 0
    while rounds < ROUNDS_MIN or time.perf_counter() < end:
        for name, call in calls.items():
            before = processor_s(others)
            seconds[name].append(call())
            cpu_s[name] += processor_s(others) - before
        rounds += 1
    return Turns(seconds, cpu_s)


def processor_s(others: Sequence[int]) -> float:
    """Return the processor time of all threads so far; `others` as `clocks_of_others` returns them.

    Linux counts what a thread does on another processor only at that one's next tick, milliseconds later, unless the
    thread's own clock is read. A turn on two threads would seem cheaper than it was, and the turn after it dearer.
    """
    for clock in others:
        with suppress(OSError):  # it has ended, and is counted
            time.clock_gettime(clock)
    return time.process_time()


def clocks_of_others() -> list[int]:
    """Return the clocks of this process's other threads; looked up once, since a turn begins with the caches as it
    finds them.
    """
    try:
        numbers = [int(thread.name) for thread in TASKS.iterdir()]
    except FileNotFoundError:
        return []
    own = threading.get_native_id()
    return [~number << 3 | 6 for number in numbers if number != own]  # as pthread_getcpuclockid(3) makes them


def beside(ours: Timed, other: Timed, budget_s: float) -> Beside:
    """Let two take turns."""
    found = in_turns({"ours": ours, "other": other}, budget_s)
    return Beside(found.median_s("ours"), found.median_s("other"))


def percentiles(seconds: Sequence[float]) -> dict[str, float]:
    """Return the percentiles that so many calls can tell."""
    if len(seconds) < 2:
        return {}
    cuts = quantiles(seconds, n=1000, method="inclusive")
    return {name: cuts[round(part * 10) - 1] for name, (part, least) in PERCENTILES.items() if len(seconds) >= least}
