"""A deployment's backup schedule as the API has it, and as the policy that says what is due. Pure values.

    {"referenceHourOfDay": 18, "referenceMinuteOfHour": 0, "restoreWindowDays": 7,
     "policies": [{"id": …, "policyItems": [{"id": …, "frequencyType": "hourly", "frequencyInterval": 6,
                                             "retentionUnit": "days", "retentionValue": 7}, …]}]}

`frequencyInterval` says of an hourly item every how many hours (1, 2, 4, 6, 8, 12), of a weekly one the weekday (1 is
Monday), of a monthly one the day (1 to 28, 40 for the last), of a yearly one the month, whose first day it is; of a
daily one it is 1.

Leaves to others: what is due when and until when it is kept (`keystore.snapshots.retention`), and the rules of policies
(`keystore.snapshots.policy`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import time
from typing import Any, Final, cast

from keystore.errors import ApiError
from keystore.format.kind import SnapshotKind
from keystore.projects.codes import Code
from keystore.snapshots.policy import DEFAULT_POLICY, LAST, UNITS, Policy, PolicyItem, Retention, Unit, problems_of

LAST_DAY: Final = 40
"""`frequencyInterval` of a monthly item on the last day, whichever that is."""

DEFAULT_WINDOW_DAYS: Final = 7
"""How far back a restore to a time reaches, where nobody says otherwise."""

VALUE_MAX: Final = 1_000_000
"""LIMIT: numbers of a schedule; rules refuse far smaller ones, with their reason."""

ITEMS_MAX: Final = 60
"""LIMIT: items of a schedule: every kind, weekday, day and month once."""

_KINDS = {kind.label: kind for kind in SnapshotKind if kind is not SnapshotKind.ON_DEMAND}
_ITEM_FIELDS = ("frequencyType", "frequencyInterval", "retentionUnit", "retentionValue")


def schedule_error(field: str, detail: str) -> ApiError:
    """Return the refusal of a schedule; `field` is the path of what is wrong in the request."""
    return Code.INVALID_BACKUP_SCHEDULE.error(detail, field=field)


@dataclass(frozen=True)
class Schedule:
    """When snapshots of a deployment are taken, and for how long they are kept."""

    policy: Policy

    @property
    def window_days(self) -> int:
        return self.policy.restore_window_days or DEFAULT_WINDOW_DAYS

    @property
    def items(self) -> list[dict[str, Any]]:
        """The policy items as the API has them, without ids."""
        return [_encode(item) for item in self.policy.items]


DEFAULT_SCHEDULE = Schedule(replace(DEFAULT_POLICY, restore_window_days=DEFAULT_WINDOW_DAYS))


def decode_schedule(reference: tuple[int, int], window_days: int, items: Sequence[Mapping[str, Any]]) -> Schedule:
    """Return the schedule of an hour and minute (UTC), a restore window, and items as the API has them.

    Raises:
        ApiError: it cannot be used; the message says everything that is wrong with what it names.
    """
    hour = _whole("referenceHourOfDay", reference[0], 0, 23)
    minute = _whole("referenceMinuteOfHour", reference[1], 0, 59)
    window = _whole("restoreWindowDays", window_days, 1, VALUE_MAX)
    if len(items) > ITEMS_MAX:
        raise schedule_error("policies", f"{len(items)} policy items, where at most {ITEMS_MAX} say everything")
    decoded = tuple(_item(f"policies.0.policyItems.{number}", item) for number, item in enumerate(items))
    policy = Policy(time(hour, minute), decoded, window)
    found = problems_of(policy)
    if found:
        field = "restoreWindowDays" if all(each.startswith("restore_window_days") for each in found) else "policies"
        told = "; ".join(each.replace("restore_window_days", "restoreWindowDays") for each in found)
        raise schedule_error(field, told)
    return Schedule(policy)


@dataclass(frozen=True)
class ScheduleChange:
    """What of a schedule is to change; None stays.

    Attributes:
        items: as the API has them.
        update_snapshots: what there is already is kept by the new schedule too.
    """

    hour: int | None = None
    minute: int | None = None
    window_days: int | None = None
    items: Sequence[Mapping[str, Any]] | None = None
    update_snapshots: bool = False

    def applied_to(self, former: Schedule) -> Schedule:
        """Return the new schedule; errors as `decode_schedule`."""
        reference = former.policy.reference
        return decode_schedule(
            (_or(self.hour, reference.hour), _or(self.minute, reference.minute)),
            _or(self.window_days, former.window_days),
            former.items if self.items is None else self.items,
        )


def kept_until_ns(schedule: Schedule, kind: SnapshotKind, created_ns: int) -> int | None:
    """Return until when a scheduled snapshot of `kind` is kept by this schedule; None if it has no such item."""
    ends = [item.keep.end_ns(created_ns) for item in schedule.policy.items if item.kind is kind]
    return max(ends, default=None)


def _item(where: str, item: Mapping[str, Any]) -> PolicyItem:
    if not isinstance(item, Mapping):
        raise schedule_error(where, f"{where}: an object is needed")
    for name in _ITEM_FIELDS:
        if name not in item:
            raise schedule_error(f"{where}.{name}", f"{where}: {name} is missing")
    label, unit = item["frequencyType"], item["retentionUnit"]
    if label not in _KINDS:
        raise _none_of(f"{where}.frequencyType", label, _KINDS)
    if unit not in UNITS:
        raise _none_of(f"{where}.retentionUnit", unit, UNITS)
    kind = _KINDS[label]
    keep = Retention(_whole(f"{where}.retentionValue", item["retentionValue"], 1, VALUE_MAX), cast(Unit, unit))
    return _decode(kind, keep, f"{where}.frequencyInterval", item["frequencyInterval"])


def _decode(kind: SnapshotKind, keep: Retention, where: str, value: object) -> PolicyItem:
    """Return an item; numbers that name a day or a month are looked at here, the others by the rules of policies."""
    if kind is SnapshotKind.HOURLY:
        return PolicyItem(kind, keep, every_hours=_whole(where, value, 1, VALUE_MAX))
    if kind is SnapshotKind.WEEKLY:
        return PolicyItem(kind, keep, weekday=_whole(where, value, 1, 7) - 1)
    if kind is SnapshotKind.MONTHLY:
        day = _whole(where, value, 1, LAST_DAY)
        return PolicyItem(kind, keep, day=LAST if day == LAST_DAY else day)
    if kind is SnapshotKind.YEARLY:
        return PolicyItem(kind, keep, month=_whole(where, value, 1, 12))
    _whole(where, value, 1, 1)
    return PolicyItem(kind, keep)


def _encode(item: PolicyItem) -> dict[str, Any]:
    values = (item.kind.label, _interval(item), item.keep.unit, item.keep.count)
    return dict(zip(_ITEM_FIELDS, values, strict=True))


def _interval(item: PolicyItem) -> int:
    if item.kind is SnapshotKind.HOURLY:
        return item.every_hours
    if item.kind is SnapshotKind.WEEKLY:
        return item.weekday + 1
    if item.kind is SnapshotKind.MONTHLY:
        return LAST_DAY if item.day == LAST else item.day
    return item.month if item.kind is SnapshotKind.YEARLY else 1


def _or(value: int | None, other: int) -> int:
    return other if value is None else value


def _whole(where: str, value: object, least: int, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise schedule_error(where, f"{where}: {str(value)[:80]!r} is no whole number from {least} to {most}")
    return value


def _none_of(where: str, value: object, known: Mapping[str, object] | Sequence[str]) -> ApiError:
    return schedule_error(where, f"{where}: {str(value)[:80]!r} is none of {', '.join(known)}")
