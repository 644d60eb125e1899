"""Compares two reports by their ratios, which mean something on another machine, and tells what became slower."""

from collections.abc import Sequence
from dataclasses import dataclass

from keystore.bench.result import Result


@dataclass(frozen=True)
class Change:
    """One case in both reports.

    Attributes:
        change: the later ratio as a fraction of the former; 0.9 is a tenth slower.
    """

    former: Result
    latter: Result
    change: float


def compare(former: Sequence[Result], latter: Sequence[Result]) -> list[Change]:
    """Return the cases that both have, with a ratio; those that lost the most first."""
    before = {result.case: result for result in former}
    changes = []
    for result in latter:
        known = before.get(result.case)
        if known is not None and known.ratio and result.ratio:
            changes.append(Change(known, result, result.ratio / known.ratio))
    return sorted(changes, key=lambda change: change.change)


def only_in(results: Sequence[Result], others: Sequence[Result]) -> list[Result]:
    """Return those with a ratio that has none among `others`: what nobody can compare."""
    known = {result.case for result in others if result.ratio}
    return [result for result in results if result.ratio and result.case not in known]


def slower(changes: Sequence[Change], threshold: float) -> list[Change]:
    """Return those that lost more than `threshold`, a fraction such as 0.1."""
    return [change for change in changes if change.change < 1 - threshold]
