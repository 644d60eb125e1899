"""What was measured: one figure and the ratio to what stands beside it.

A figure of time says something about this machine at this hour. The ratio, of two things that took turns in one
process, is what can be compared.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from statistics import median
from typing import Any, Self


@dataclass(frozen=True)
class Result:
    """One measurement.

    Attributes:
        name: what was done, such as `kernel seal` or `commit 16 pages`.
        threads: over which the kernel divides a batch.
        seconds: median of one call.
        gb_per_s: bytes of pages per second / 10^9, where there are bytes.
        of_primitive: speed as a fraction of the library's own loop; 1.0 means that nothing is lost.
        of_plain: speed as a fraction of the same input and output without encryption.
    """

    name: str
    kernel: str
    page_bytes: int
    threads: int
    seconds: float
    gb_per_s: float | None = None
    of_primitive: float | None = None
    of_plain: float | None = None

    @property
    def case(self) -> tuple[str, str, int, int]:
        """What tells one measurement from another, whatever came out."""
        return self.name, self.kernel, self.page_bytes, self.threads

    @property
    def ratio(self) -> float | None:
        return self.of_plain if self.of_primitive is None else self.of_primitive

    def encode(self) -> dict[str, Any]:
        """Return the values for JSON, without those that there are not."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    @classmethod
    def decode(cls, values: dict[str, Any]) -> Self:
        """Raises TypeError where values are missing or unknown."""
        return cls(**values)


def median_of(runs: Sequence[Result]) -> Result:
    """Return the median of one case over several processes, each figure on its own."""

    def middle(field: str) -> float | None:
        values = [getattr(run, field) for run in runs if getattr(run, field) is not None]
        return float(f"{median(values):.4g}") if values else None

    return replace(
        runs[0],
        seconds=middle("seconds") or 0.0,
        gb_per_s=middle("gb_per_s"),
        of_primitive=middle("of_primitive"),
        of_plain=middle("of_plain"),
    )


def medians(runs: Sequence[Sequence[Result]]) -> list[Result]:
    """Return the median of each case, in the order of the first run."""
    by_case: dict[tuple[str, str, int, int], list[Result]] = {}
    for run in runs:
        for result in run:
            by_case.setdefault(result.case, []).append(result)
    return [median_of(results) for results in by_case.values()]
