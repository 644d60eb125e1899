"""Whether the calls of several threads on one value can be put into an order that explains them (linearizability).

Every write has a value of its own, so the test is exact and quick (Gibbons and Korach, "Testing Shared Memories", SIAM
J. Comput. 26(4), 1997, section 4): the calls that have to do with one value make a zone of time.
"""

from collections import defaultdict
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True)
class Call:
    """A write of `value`, or a read that returned it, from `begun` to `ended` on one clock."""

    value: int
    wrote: bool
    begun: int
    ended: int


def not_linear(calls: list[Call]) -> str | None:
    """Return why no order explains the calls, or None if one does."""
    by_value: dict[int, list[Call]] = defaultdict(list)
    for call in calls:
        by_value[call.value].append(call)
    forward: list[tuple[int, int, int]] = []
    backward: list[tuple[int, int, int]] = []
    for value, its in by_value.items():
        writes = [call for call in its if call.wrote]
        if len(writes) != 1:
            return f"{value} was read and written {len(writes)} times"
        if any(call.ended < writes[0].begun for call in its):
            return f"{value} was read before it was written"
        first_end, last_begin = min(call.ended for call in its), max(call.begun for call in its)
        if first_end < last_begin:
            forward.append((first_end, last_begin, value))
        else:
            backward.append((last_begin, first_end, value))
    forward.sort()
    for (_, until, value), (since, _, other) in pairwise(forward):
        if since < until:
            return f"{value} and {other} were both current at {since}"
    for since, until, value in backward:
        for begin, end, other in forward:
            if begin < since and until < end:
                return f"{value} was current inside {other}, at {since}"
    return None
