"""What a backup policy says: which snapshots are taken when, and for how long each is kept. Pure values.

All times of a policy are UTC, which has no summer time: an hourly schedule has the same number of snapshots every day,
whatever the machine's zone. When something is due is decided in `retention`, how a policy is written in `policy_file`.

Rules (`problems_of`):
1. Each snapshot is kept at least as long as its own period, so that there always is one of its kind.
2. What is taken more seldom is kept at least as long as what is taken more often, so that one snapshot can serve
   several schedules at once and is kept for the longest.
3. The restore window is at most as long as the snapshots taken most often are kept: every moment in it has one before.
"""

from calendar import monthrange
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, time, timedelta
from itertools import combinations
from typing import Final, Literal, TypeAlias, get_args

from keystore.format.kind import SnapshotKind

SECOND_NS = 1_000_000_000
DAY_NS = 86_400 * SECOND_NS
EPOCH = date(1970, 1, 1)

HOURS = (1, 2, 4, 6, 8, 12)
"""What an hourly schedule may be every: divisors of a day, so that the reference time is among its times."""

DAY_OF_MONTH_MAX = 28
"""LIMIT: the last day that every month has; for later ones there is `last`."""

LAST: Final = "last"
YEARS_MAX = 100
"""LIMIT: years of a retention; what is to be kept for longer is taken on demand, and never expires."""

Unit: TypeAlias = Literal["days", "weeks", "months", "years"]
UNITS: tuple[Unit, ...] = get_args(Unit)
_NOMINAL: dict[Unit, int] = {"days": 12, "weeks": 84, "months": 365, "years": 4380}
"""Twelfths of a day, to compare retentions: 12 months are one year, and a month is 30.4 days."""


@dataclass(frozen=True)
class Retention:
    """How long a snapshot is kept. Months and years are those of the calendar: from 31 January one month is 28 or 29
    February at the same time of day."""

    count: int
    unit: Unit

    def __str__(self) -> str:
        return f"{self.count} {self.unit if self.count != 1 else self.unit[:-1]}"

    @property
    def nominal(self) -> int:
        """A number to compare retentions by; their true length depends on the day they begin."""
        return self.count * _NOMINAL[self.unit]

    def end_ns(self, start_ns: int) -> int:
        """Return when it is over, for what is kept from `start_ns` on (nanoseconds since 1970, UTC)."""
        if self.unit == "days" or self.unit == "weeks":
            return start_ns + self.count * (7 if self.unit == "weeks" else 1) * DAY_NS
        days, of_day_ns = divmod(start_ns, DAY_NS)
        start = EPOCH + timedelta(days)
        months = start.month - 1 + self.count * (12 if self.unit == "years" else 1)
        year, month = start.year + months // 12, months % 12 + 1
        end = date(year, month, min(start.day, monthrange(year, month)[1]))
        return (end - EPOCH).days * DAY_NS + of_day_ns


@dataclass(frozen=True)
class PolicyItem:
    """One schedule of a policy.

    Attributes:
        every_hours: of an hourly one, one of `HOURS`.
        weekday: of a weekly one; 0 is Monday.
        day: of a monthly one: 1 to `DAY_OF_MONTH_MAX`, or `last`. A yearly one is on the first of its month.
        month: of a yearly one, 1 to 12.
    """

    kind: SnapshotKind
    keep: Retention
    every_hours: int = 0
    weekday: int = 0
    day: int | Literal["last"] = LAST
    month: int = 0

    def days(self, today: date, step: Literal[-1, 1]) -> Iterator[date]:
        """Yield days with occurrences, from `today` on or back, at least one of each side; others may be beyond it."""
        if self.kind is SnapshotKind.YEARLY:
            yield from (date(today.year + step * number, self.month, 1) for number in range(2))
        elif self.kind is SnapshotKind.MONTHLY:
            for number in range(2):
                year, month = divmod(today.year * 12 + today.month - 1 + step * number, 12)
                last = monthrange(year, month + 1)[1]
                yield date(year, month + 1, last if self.day == LAST else self.day)
        else:
            days = (today + timedelta(step * number) for number in range(8))
            yield from (day for day in days if self.kind is not SnapshotKind.WEEKLY or day.weekday() == self.weekday)

    def times(self, day: date, reference: time) -> list[int]:
        """Return the occurrences on a day of `days`, ascending, in nanoseconds since 1970."""
        hours: Sequence[int] = [reference.hour]
        if self.kind is SnapshotKind.HOURLY:
            hours = range(reference.hour % self.every_hours, 24, self.every_hours)
        start_ns = (day - EPOCH).days * DAY_NS
        return [start_ns + (hour * 60 + reference.minute) * 60 * SECOND_NS for hour in hours]


@dataclass(frozen=True)
class Policy:
    """A backup policy.

    Attributes:
        reference: the time of day of every schedule, UTC; hourly ones count from it.
        restore_window_days: how far back the point-in-time log is to reach; None leaves that to the node.
    """

    reference: time
    items: tuple[PolicyItem, ...]
    restore_window_days: int | None = None


DEFAULT_POLICY = Policy(
    time(18, 0),
    (
        PolicyItem(SnapshotKind.HOURLY, Retention(7, "days"), every_hours=6),
        PolicyItem(SnapshotKind.DAILY, Retention(7, "days")),
        PolicyItem(SnapshotKind.WEEKLY, Retention(4, "weeks"), weekday=5),
        PolicyItem(SnapshotKind.MONTHLY, Retention(12, "months"), day=LAST),
        PolicyItem(SnapshotKind.YEARLY, Retention(1, "years"), month=12),
    ),
)
"""What Atlas gives a cluster: every 6 hours, daily, on Saturday, on the last of the month, on 1 December."""

_PERIODS = {
    SnapshotKind.DAILY: Retention(1, "days"),
    SnapshotKind.WEEKLY: Retention(1, "weeks"),
    SnapshotKind.MONTHLY: Retention(1, "months"),
    SnapshotKind.YEARLY: Retention(1, "years"),
}


def problems_of(policy: Policy) -> list[str]:
    """Return what is wrong with a policy, a sentence each; nothing if it can be used."""
    if not policy.items:
        return ["it has no schedule"]
    found = [problem for item in policy.items for problem in _problems_of_item(item)]
    kinds = [item.kind for item in policy.items]
    found += [
        f"there are {kinds.count(kind)} {kind.label} schedules, where one says everything"
        for kind in (SnapshotKind.HOURLY, SnapshotKind.DAILY)
        if kinds.count(kind) > 1
    ]
    return [*found, *_problems_of_order(policy.items), *_problems_of_window(policy)]


def _problems_of_item(item: PolicyItem) -> Iterator[str]:
    label = item.kind.label
    if item.keep.count < 1 or item.keep.nominal > Retention(YEARS_MAX, "years").nominal:
        yield f"{label}: kept for {item.keep}, where 1 day to {YEARS_MAX} years are possible"
    if item.kind is SnapshotKind.HOURLY and item.every_hours not in HOURS:
        yield f"{label}: every {item.every_hours} hours, where {', '.join(map(str, HOURS))} are possible"
    if item.kind is SnapshotKind.WEEKLY and not 0 <= item.weekday <= 6:
        yield f"{label}: no weekday {item.weekday}"
    if item.kind is SnapshotKind.MONTHLY and item.day != "last" and not 1 <= item.day <= DAY_OF_MONTH_MAX:
        yield f"{label}: day {item.day}, where 1 to {DAY_OF_MONTH_MAX} and {LAST!r} are in every month"
    if item.kind is SnapshotKind.YEARLY and not 1 <= item.month <= 12:
        yield f"{label}: no month {item.month}"
    period = _PERIODS.get(item.kind)
    if period is not None and item.keep.nominal < period.nominal:
        yield f"{label}: kept for {item.keep}, which is less than {period}, when the next one comes"


def _problems_of_order(items: Sequence[PolicyItem]) -> Iterator[str]:
    for often, seldom in combinations(sorted(items, key=lambda item: item.kind), 2):
        if often.kind < seldom.kind and seldom.keep.nominal < often.keep.nominal:
            yield (
                f"{seldom.kind.label}: kept for {seldom.keep}, which is less than the {often.keep} of "
                f"{often.kind.label} snapshots"
            )


def _problems_of_window(policy: Policy) -> Iterator[str]:
    days = policy.restore_window_days
    if days is None:
        return
    keep = min(policy.items, key=lambda item: item.kind).keep
    if days < 1 or days * _NOMINAL["days"] > keep.nominal:
        yield (
            f"restore_window_days: {days}, where 1 day up to the {keep} that the most frequent snapshots are kept is "
            "possible"
        )
