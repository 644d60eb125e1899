"""One year of the default policy, beside a table computed by hand."""

from collections import Counter

import pytest

from keystore.format.kind import SnapshotKind
from keystore.snapshots.policy import DAY_NS, DEFAULT_POLICY
from tests.snapshots.virtual_target import HOUR_NS, Times, VirtualTarget, ns, text

TABLE = """
    2026-01-01  4    2026-01-02  8    2026-01-03 12    2026-01-04 16
    2026-01-05 20    2026-01-06 24    2026-01-07 28
    2026-01-10 29    2026-01-17 30    2026-01-24 31
    2026-02-28 32    2026-03-28 33    2026-04-07 34    2026-05-07 35
    2026-06-07 36    2026-07-07 37    2026-08-07 38    2026-09-07 39
    2026-10-07 40    2026-11-28 41    2026-12-07 42    2026-12-08 43
    2027-01-07 44    2027-01-31 43
"""
"""Snapshots that there are at 18:00 UTC, right after that day's run, from each of these days on until the next.

A year by hand. 1 January 2026 is a Thursday; the policy begins at its first minute.

1.  At 0, 6, 12 and 18 o'clock one is taken, 4 a day. What is only hourly or daily is kept for 7 days: at 18:00 those of
    the last 7 days are there, 28 from 7 January on. Until then 4 more a day.
2.  A Saturday's 18:00 (3, 10, 17 January …) is kept for 28 days. It is one of the 28 of rule 1 for its first 7 days and
    one more from the 7th day on: 10, 17 and 24 January add one each. On the 28th day, at 18:00, it is gone: on 31
    January that of the 24th counts, and that of the 3rd goes. So there are 3 of them from then on.
3.  The last day of a month, 18:00, is kept for 12 months instead, and is one more from the 7th day on. On a weekday:
    7 April (for 31 March), and so on the 7th of each month.
4.  Where the last day is a Saturday, the month has it and the weeks miss it. 31 January: on 7 February the month has
    one more and the weeks, which lose that of 10 January, have 2; so nothing changes. The weeks have 3 again when
    21 February counts and none goes, because that would have been 31 January's: on 28 February. The last day of
    February is a Saturday too: the same on 7 and on 28 March. And 31 October: on 7 and on 28 November.
5.  1 December, 18:00, is kept for a year, and is one more from 8 December on.
6.  Nothing monthly or yearly goes within the year. On 7 January 2027 31 December is one more, and on 31 January 2027,
    at 18:00, 31 January 2026 is gone.
"""


def by_hand() -> dict[str, int]:
    """Return the table's count for each day from its first to its last."""
    words = TABLE.split()
    changes = dict(zip(words[::2], map(int, words[1::2]), strict=True))
    counts, count = dict[str, int](), 0
    for at_ns in range(ns("2026-01-01T18:00"), ns("2027-02-01T00:00"), DAY_NS):
        day = text(at_ns)[:10]
        count = changes.pop(day, count)
        counts[day] = count
    assert changes == {}
    return counts


def test_a_year_of_the_default_policy() -> None:
    target = VirtualTarget(DEFAULT_POLICY)
    target.since_ns = ns("2026-01-01T00:00")
    counts = {}
    for now_ns in range(target.since_ns, ns("2027-02-01T00:00"), 6 * HOUR_NS):
        before = len(target.taken)
        target.run(now_ns)
        assert len(target.taken) == before + 1  # once, for however many schedules
        assert target.run(now_ns) is None
        if text(now_ns).endswith("18:00"):
            counts[text(now_ns)[:10]] = len(target.kept)
    assert counts == by_hand()


def test_the_kinds_of_a_year() -> None:
    target = VirtualTarget(DEFAULT_POLICY, since_ns=ns("2026-01-01T00:00"))
    for now_ns in range(target.since_ns, ns("2027-01-01T00:00"), 6 * HOUR_NS):
        target.run(now_ns)
    # 52 Saturdays, of which 31 January, 28 February and 31 October are the last of a month; of 365 evenings the rest.
    assert Counter(snapshot.kind for snapshot in target.taken) == {
        SnapshotKind.YEARLY: 1,
        SnapshotKind.MONTHLY: 12,
        SnapshotKind.WEEKLY: 49,
        SnapshotKind.DAILY: 365 - 1 - 12 - 49,
        SnapshotKind.HOURLY: 3 * 365,
    }
    assert Counter(occurrence.kind for occurrence in target.served) == {
        SnapshotKind.YEARLY: 1,
        SnapshotKind.MONTHLY: 12,
        SnapshotKind.WEEKLY: 52,
        SnapshotKind.DAILY: 365,
        SnapshotKind.HOURLY: 4 * 365,
    }


@pytest.mark.row("R82")
@pytest.mark.parametrize(
    ("taken", "kind", "gone"),
    [
        ("2026-03-11T06:00", SnapshotKind.HOURLY, "2026-03-18T06:00"),
        ("2026-03-11T18:00", SnapshotKind.DAILY, "2026-03-18T18:00"),
        ("2026-03-14T18:00", SnapshotKind.WEEKLY, "2026-04-11T18:00"),
        ("2026-03-31T18:00", SnapshotKind.MONTHLY, "2027-03-31T18:00"),
        ("2026-12-01T18:00", SnapshotKind.YEARLY, "2027-12-01T18:00"),
        ("2028-02-29T18:00", SnapshotKind.MONTHLY, "2029-02-28T18:00"),
    ],
)
def test_each_disappears_at_its_expiry_and_not_before(taken: str, kind: SnapshotKind, gone: str) -> None:
    # The policy begins there, so nothing is due from before.
    target = VirtualTarget(DEFAULT_POLICY, since_ns=ns(taken))
    found = target.run(ns(taken))
    assert found is not None
    assert (found.kind, text(found.expires_ns)) == (kind, gone)
    snapshot = target.taken[0]
    assert snapshot == Times(ns(taken), kind, ns(gone))
    target.run(ns(gone) - 1)
    assert snapshot in target.kept
    target.run(ns(gone))
    assert snapshot not in target.kept
