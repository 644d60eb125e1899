"""What a backup policy asks for at a moment: the snapshot that is due, and those that have expired. Pure functions.

Time and snapshots come in as arguments; nothing is remembered between two calls. So a run that was killed, or never
began, is made up for by the next one.

Invariants:
1. An occurrence of a schedule is served by a scheduled snapshot that was taken at it or later, and is of its kind or of
   one that is taken more seldom. No occurrence is served twice.
2. Only the latest occurrence of each schedule is due: what a machine that was off has missed is taken once.
3. A snapshot that is due for several schedules is taken once, and kept for the longest of them.
4. A snapshot expires at its own time exactly, whatever became of the policy since. On demand it may be kept for ever.
5. What lies in the future, because a clock was wrong, serves nothing.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Protocol

from keystore.format.kind import SnapshotKind
from keystore.snapshots.policy import DAY_NS, EPOCH, Policy, PolicyItem

NEVER = 0
"""The expiry of what is kept until somebody deletes it."""


class Kept(Protocol):
    """What is known of a snapshot from its manifest's clear part."""

    @property
    def created_ns(self) -> int: ...

    @property
    def kind(self) -> SnapshotKind: ...

    @property
    def expires_ns(self) -> int: ...


@dataclass(frozen=True, order=True)
class Occurrence:
    """One time of one schedule."""

    at_ns: int
    kind: SnapshotKind


@dataclass(frozen=True)
class Due:
    """A snapshot that is to be taken now.

    Attributes:
        occurrences: what it is taken for, ascending by kind.
        kind: the rarest of them.
    """

    kind: SnapshotKind
    expires_ns: int
    occurrences: tuple[Occurrence, ...]


def due(
    policy: Policy,
    snapshots: Collection[Kept],
    now_ns: int,
    *,
    since_ns: int = 0,
    skipped: Collection[Occurrence] = (),
) -> Due | None:
    """Return the snapshot of a node that is due at `now_ns`, or None.

    Args:
        snapshots: all that there are of this node.
        since_ns: when the policy began for it; what was due before is nobody's.
        skipped: occurrences that were passed over on purpose.
    """
    found: list[tuple[Occurrence, PolicyItem]] = []
    for item in policy.items:
        at_ns = _latest(item, policy, now_ns)
        occurrence = Occurrence(at_ns, item.kind)
        is_over = at_ns < since_ns or item.keep.end_ns(at_ns) <= now_ns
        if not is_over and occurrence not in skipped and not _is_served(occurrence, snapshots, now_ns):
            found.append((occurrence, item))
    if not found:
        return None
    # From its own time, and never shorter than if it had been in time: months differ in length.
    ends = [max(item.keep.end_ns(now_ns), item.keep.end_ns(occurrence.at_ns)) for occurrence, item in found]
    occurrences = tuple(sorted((occurrence for occurrence, _ in found), key=lambda one: (one.kind, one.at_ns)))
    return Due(occurrences[-1].kind, max(ends), occurrences)


def expired(snapshots: Sequence[Kept], now_ns: int) -> Iterator[int]:
    """Yield the places in `snapshots` of those whose time is over at `now_ns`."""
    for place, snapshot in enumerate(snapshots):
        if snapshot.expires_ns != NEVER and snapshot.expires_ns <= now_ns:
            yield place


def beginning(policy: Policy, now_ns: int) -> int:
    """Return when a policy begins that is first applied at `now_ns`: so that the most frequent snapshot is due at once,
    and no other."""
    often = min(policy.items, key=lambda item: item.kind)
    return _latest(often, policy, now_ns)


def next_occurrence(policy: Policy, now_ns: int) -> Occurrence:
    """Return the first occurrence after `now_ns`, of all schedules; of several at once the rarest."""
    times = {item: _first_after(item, policy, now_ns) for item in policy.items}
    at_ns = min(times.values())
    return Occurrence(at_ns, max(item.kind for item, found_ns in times.items() if found_ns == at_ns))


def _is_served(occurrence: Occurrence, snapshots: Collection[Kept], now_ns: int) -> bool:
    return any(
        snapshot.kind >= occurrence.kind and occurrence.at_ns <= snapshot.created_ns <= now_ns for snapshot in snapshots
    )


def _latest(item: PolicyItem, policy: Policy, now_ns: int) -> int:
    """Return the last occurrence at `now_ns` or before."""
    times = (at_ns for day in item.days(_day(now_ns), -1) for at_ns in reversed(item.times(day, policy.reference)))
    return next(at_ns for at_ns in times if at_ns <= now_ns)


def _first_after(item: PolicyItem, policy: Policy, now_ns: int) -> int:
    times = (at_ns for day in item.days(_day(now_ns), 1) for at_ns in item.times(day, policy.reference))
    return next(at_ns for at_ns in times if at_ns > now_ns)


def _day(at_ns: int) -> date:
    return EPOCH + timedelta(at_ns // DAY_NS)
