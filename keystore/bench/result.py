"""What was measured: one figure and the ratios to what stands beside it.

A figure of time says something about this machine at this hour. A ratio, of two things that took turns in one process,
is what can be compared.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from statistics import median
from typing import Any, Self, TypeAlias

Case: TypeAlias = tuple[str, str, int, int, int]


@dataclass(frozen=True)
class Result:
    """One measurement.

    Attributes:
        name: what was done, such as `kernel seal` or `commit 16 pages`.
        kernel: whose work it was: `native`, `portable`, or what stands beside them.
        threads: over which one process divides a batch.
        processes: that did the same at once.
        seconds: median of one call.
        gb_per_s: bytes of pages per second / 10^9, where there are bytes; of all threads and processes.
        of_primitive: speed as a fraction of the library's own loop on as many threads; 1.0 means that nothing is lost.
        of_plain: speed as a fraction of the same input and output without encryption, or of `plain`.
        of_library: speed as a fraction of one call for each page through `cryptography`.
        of_memcpy: speed as a fraction of a plain copy in memory.
        of_one: speed as a fraction of one thread's, or one process's, on the same work.
        cpu_s_per_gb: processor time of all threads for 10^9 bytes.
        percentiles_s: seconds of single calls, by `p50`, `p99`, `p99.9`; those that the number of calls can tell.
        plain_percentiles_s: of the same without encryption.
        range: the smallest and largest `main` of the processes.
        counts: what was counted, the same on every machine.
        plain: what `of_plain` is of, where that is something else than the same work without encryption.
    """

    name: str
    kernel: str
    page_bytes: int
    threads: int
    seconds: float
    gb_per_s: float | None = None
    of_primitive: float | None = None
    of_plain: float | None = None
    processes: int = 1
    of_library: float | None = None
    of_memcpy: float | None = None
    of_one: float | None = None
    cpu_s_per_gb: float | None = None
    percentiles_s: Mapping[str, float] | None = None
    plain_percentiles_s: Mapping[str, float] | None = None
    range: tuple[float, float] | None = None
    counts: Mapping[str, int] | None = None
    plain: str | None = None

    @property
    def case(self) -> Case:
        """What tells one measurement from another, whatever came out."""
        return self.name, self.kernel, self.page_bytes, self.threads, self.processes

    @property
    def ratio(self) -> float | None:
        return self.of_plain if self.of_primitive is None else self.of_primitive

    @property
    def main(self) -> float:
        """The ratio that says the most; the seconds where there is none."""
        found = self.of_one if self.ratio is None else self.ratio
        return self.seconds if found is None else found

    def encode(self) -> dict[str, Any]:
        """Return the values for JSON, without those that there are not."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    @classmethod
    def decode(cls, values: object) -> Self:
        """Raises TypeError where it is no object, or values are missing or unknown."""
        if not isinstance(values, dict):
            raise TypeError(f"{values!r} is no result")
        span = values.get("range")
        return cls(**values | {"range": None if span is None else tuple(span)})


FIGURES = ("gb_per_s", "of_primitive", "of_plain", "of_library", "of_memcpy", "of_one", "cpu_s_per_gb")


def median_of(runs: Sequence[Result]) -> Result:
    """Return the median of one case over several processes, each figure on its own."""
    mains = [run.main for run in runs]
    figures: dict[str, Any] = {name: _middle([getattr(run, name) for run in runs]) for name in FIGURES}
    return replace(
        runs[0],
        seconds=_middle([run.seconds for run in runs]) or 0.0,
        percentiles_s=_middles([run.percentiles_s for run in runs]),
        plain_percentiles_s=_middles([run.plain_percentiles_s for run in runs]),
        range=(_rounded(min(mains)), _rounded(max(mains))) if len(runs) > 1 else None,
        **figures,
    )


def _middle(values: Sequence[float | None]) -> float | None:
    found = [value for value in values if value is not None]
    return _rounded(median(found)) if found else None


def _middles(runs: Sequence[Mapping[str, float] | None]) -> dict[str, float] | None:
    found = [run for run in runs if run is not None]
    if not found:
        return None
    shared = [name for name in found[0] if all(name in run for run in found)]
    return {name: _rounded(median(run[name] for run in found)) for name in shared}


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")


def medians(runs: Sequence[Sequence[Result]]) -> list[Result]:
    """Return the median of each case, in the order of the first run."""
    by_case: dict[Case, list[Result]] = {}
    for run in runs:
        for result in run:
            by_case.setdefault(result.case, []).append(result)
    return [median_of(results) for results in by_case.values()]
