"""How a backup policy is written: TOML, a table for each schedule.

    reference_time = "18:00"        # UTC
    restore_window_days = 7         # of the point-in-time log; without it the node's own

    [hourly]
    every_hours = 6
    keep = "7 days"

    [daily]
    keep = "7 days"

    [weekly]
    weekday = "saturday"
    keep = "4 weeks"

    [monthly]
    day = "last"                    # or 1 to 28
    keep = "12 months"

    [yearly]
    month = "december"              # its first day
    keep = "1 year"

Each table may be left out. Of `[[weekly]]`, `[[monthly]]` and `[[yearly]]` there may be several.

Invariant: a text is understood as a whole or refused with everything that is wrong. What nobody knows is refused: a
name that was misspelled would otherwise be a schedule that never runs.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping
from datetime import time
from typing import Any, Literal

from keystore.errors import PolicyError
from keystore.format.kind import SnapshotKind
from keystore.snapshots.policy import LAST, UNITS, Policy, PolicyItem, Retention, problems_of

POLICY_BYTES_MAX = 65_536
"""LIMIT: bytes of a policy; a thousand times a long one."""

# As they are in English, whatever the locale of the process.
_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_MONTHS = (
    *("january", "february", "march", "april", "may", "june", "july"),
    *("august", "september", "october", "november", "december"),
)
_SCHEDULES = {kind.label: kind for kind in SnapshotKind if kind is not SnapshotKind.ON_DEMAND}
_OWN = {SnapshotKind.HOURLY: "every_hours", SnapshotKind.WEEKLY: "weekday"} | {
    SnapshotKind.MONTHLY: "day",
    SnapshotKind.YEARLY: "month",
}
"""The value of a schedule besides `keep`."""


def parse_retention(text: str) -> Retention:
    """Return the retention of a text such as `7 days`, `7d`, `1 month`.

    Raises:
        PolicyError: it is none.
    """
    found = re.fullmatch(r" *([0-9]{1,6}) *([a-z]+) *", text)
    units = [unit for unit in UNITS if found and found[2] in (unit, unit[:-1], unit[0] if unit != "months" else "")]
    if found is None or not units or int(found[1]) == 0:
        raise PolicyError(f"{text!r} is no length of time to keep a snapshot, such as '7 days', '4 weeks', '12 months'")
    return Retention(int(found[1]), units[0])


def decode_policy(text: str, where: str) -> Policy:
    """Return the policy of a TOML text.

    Args:
        where: what a message calls it, such as the file's name.

    Raises:
        PolicyError: it cannot be used; the message says everything that is wrong.
    """
    try:
        values = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise _refusal(where, [f"it is not TOML: {error}"]) from None
    reading = _Reading()
    policy = reading.policy(values)
    problems = reading.problems or problems_of(policy)
    if problems:
        raise _refusal(where, problems)
    return policy


def encode_policy(policy: Policy) -> str:
    """Return the text of a policy, as `decode_policy` reads it."""
    lines = [f'reference_time = "{policy.reference:%H:%M}"  # UTC']
    if policy.restore_window_days is not None:
        lines.append(f"restore_window_days = {policy.restore_window_days}")
    kinds = [item.kind for item in policy.items]
    for item in policy.items:
        name = item.kind.label
        lines += ["", f"[[{name}]]" if kinds.count(item.kind) > 1 else f"[{name}]"]
        own = _OWN.get(item.kind)
        if own is not None:
            lines.append(f"{own} = {_own_text(item)}")
        lines.append(f'keep = "{item.keep}"')
    return "\n".join(lines) + "\n"


def schedule_text(item: PolicyItem) -> str:
    """Return when a schedule is, as people say it, such as `every Saturday`."""
    if item.kind is SnapshotKind.HOURLY:
        return "every hour" if item.every_hours == 1 else f"every {item.every_hours} hours"
    if item.kind is SnapshotKind.WEEKLY:
        return f"every {_WEEKDAYS[item.weekday].capitalize()}"
    if item.kind is SnapshotKind.MONTHLY:
        return f"on the {'last day' if item.day == LAST else f'day {item.day}'} of every month"
    if item.kind is SnapshotKind.YEARLY:
        return f"every 1 {_MONTHS[item.month - 1].capitalize()}"
    return "every day"


def _own_text(item: PolicyItem) -> str:
    if item.kind is SnapshotKind.HOURLY:
        return str(item.every_hours)
    if item.kind is SnapshotKind.WEEKLY:
        return f'"{_WEEKDAYS[item.weekday]}"'
    if item.kind is SnapshotKind.MONTHLY:
        return f'"{LAST}"' if item.day == LAST else str(item.day)
    return f'"{_MONTHS[item.month - 1]}"'


class _Reading:
    """One text on its way to a policy, and what is wrong with it."""

    def __init__(self) -> None:
        self.problems: list[str] = []

    def policy(self, values: Mapping[str, Any]) -> Policy:
        known = ("reference_time", "restore_window_days", *_SCHEDULES)
        self._only("the policy", values, known)
        window = values.get("restore_window_days")
        return Policy(
            self._reference(values.get("reference_time")),
            tuple(self._items(values)),
            None if window is None else self._whole("restore_window_days", window),
        )

    def _items(self, values: Mapping[str, Any]) -> Iterator[PolicyItem]:
        for name, kind in _SCHEDULES.items():
            tables = values.get(name, [])
            for table in tables if isinstance(tables, list) else [tables]:
                if isinstance(table, dict):
                    yield self._item(kind, name, table)
                else:
                    self.problems.append(f"{name}: a table is needed, [{name}] and the lines below it")

    def _item(self, kind: SnapshotKind, name: str, table: Mapping[str, Any]) -> PolicyItem:
        own = _OWN.get(kind)
        self._only(name, table, ("keep", own) if own else ("keep",))
        for needed in ("keep", own):
            if needed and needed not in table:
                self.problems.append(f"{name}: {needed} is missing")
        keep = self._keep(name, table.get("keep", "1 year"))
        value = table.get(own) if own else None
        if value is None:
            return PolicyItem(kind, keep)
        if kind is SnapshotKind.HOURLY:
            return PolicyItem(kind, keep, every_hours=self._whole(f"{name}: {own}", value))
        if kind is SnapshotKind.WEEKLY:
            return PolicyItem(kind, keep, weekday=self._one_of(f"{name}: {own}", value, _WEEKDAYS))
        if kind is SnapshotKind.MONTHLY:
            return PolicyItem(kind, keep, day=self._day(f"{name}: {own}", value))
        return PolicyItem(kind, keep, month=self._one_of(f"{name}: {own}", value, _MONTHS) + 1)

    def _only(self, name: str, table: Mapping[str, Any], known: tuple[str, ...]) -> None:
        for key in table:
            if key not in known:
                self.problems.append(f"{name}: nobody knows {key!r}; there are {', '.join(known)}")

    def _keep(self, name: str, value: object) -> Retention:
        try:
            return parse_retention(value if isinstance(value, str) else repr(value))
        except PolicyError as error:
            self.problems.append(f"{name}: keep: {error}")
            return Retention(1, "years")

    def _reference(self, value: object) -> time:
        found = re.fullmatch(r"([01][0-9]|2[0-3]):([0-5][0-9])", value) if isinstance(value, str) else None
        if found is None:
            what = "it is missing" if value is None else f"{value!r} is none"
            self.problems.append(f"reference_time: a time of day, UTC, such as '18:00', is needed; {what}")
            return time(0, 0)
        return time(int(found[1]), int(found[2]))

    def _whole(self, name: str, value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            self.problems.append(f"{name}: {value!r} is not a whole number")
            return 1
        return value

    def _day(self, name: str, value: object) -> int | Literal["last"]:
        return "last" if value == LAST else self._whole(name, value)

    def _one_of(self, name: str, value: object, words: tuple[str, ...]) -> int:
        text = value.lower() if isinstance(value, str) else ""
        if text not in words:
            self.problems.append(f"{name}: {value!r} is none of {', '.join(words)}")
            return 0
        return words.index(text)


def _refusal(where: str, problems: list[str]) -> PolicyError:
    return PolicyError(
        f"{where} is no backup policy: {'; '.join(problems)}. Nothing was taken and nothing deleted; "
        "`keystore snapshot policy show` prints one to begin with."
    )
