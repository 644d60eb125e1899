"""Decides what becomes of a process that has ended. Pure: no process, no clock.

A process that an order has stopped, or that ended in order after a call, stays down. One that died is started again
after a pause that doubles. One that refused to start is started again only where waiting can help: a key that the KMS
refuses is not asked for again without an order.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

ProcessState = Literal["starting", "running", "stopped", "failed"]

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 30.0
"""LIMIT: seconds before a process that died is started again, after the first failure in a row and at most."""


@dataclass(frozen=True)
class ExitCodes:
    """What the exit codes of the processes mean.

    Attributes:
        in_order: the process was told to end, and did.
        lasting: waiting does not help; somebody has to change something.
        meanings: for people.
    """

    in_order: int
    lasting: frozenset[int]
    meanings: Mapping[int, str]


@dataclass(frozen=True)
class Verdict:
    """What becomes of a process.

    Attributes:
        failures: in a row, with this one.
        pause_s: until it is started again; None: not before an order.
    """

    state: ProcessState
    reason: str
    failures: int
    pause_s: float | None


def judge(codes: ExitCodes, code: int | None, said: str, *, ordered: bool, failures: int) -> Verdict:
    """Return what becomes of a process that has ended.

    Args:
        code: its exit code, negative for a signal; None where nobody knows it.
        said: its own last error, or nothing.
        ordered: whether an order has stopped it.
        failures: in a row, before this one.
    """
    if ordered:
        return Verdict("stopped", "by an order", 0, None)
    if code == codes.in_order:
        return Verdict("stopped", "it was called upon to stop", 0, None)
    reason = said or _how(codes, code)
    if code in codes.lasting:
        return Verdict("failed", reason, failures + 1, None)
    return Verdict("failed", reason, failures + 1, pause_s(failures + 1))


def pause_s(failures: int) -> float:
    """Return how long to wait after that many failures in a row."""
    return float(min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** min(failures - 1, 32)))


def _how(codes: ExitCodes, code: int | None) -> str:
    if code is None:
        return "it ended, and nobody saw how"
    if code < 0:
        return f"it was killed by signal {-code}"
    return codes.meanings.get(code, f"it ended with code {code}")
