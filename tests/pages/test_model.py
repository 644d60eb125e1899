"""The format's protocol loses nothing within these bounds, and each rule that is left out loses something."""

from collections.abc import Callable

import pytest

from tests.pages.model import Budget, LossError, Rules, explore

HONEST = [
    Budget(commits=2, checkpoints=1, crashes=2, failed_syncs=0, replays=0),
    Budget(commits=1, checkpoints=1, crashes=1, failed_syncs=1, replays=0),
    Budget(commits=1, checkpoints=0, crashes=2, failed_syncs=1, replays=0),
    Budget(commits=1, checkpoints=0, crashes=3, failed_syncs=0, replays=0),
    Budget(commits=1, checkpoints=0, crashes=1, failed_syncs=0, replays=1),
]
DEEP = [
    Budget(commits=3, checkpoints=1, crashes=2, failed_syncs=0, replays=0),
    Budget(commits=2, checkpoints=1, crashes=1, failed_syncs=1, replays=0),
    Budget(commits=1, checkpoints=0, crashes=2, failed_syncs=0, replays=1),
]
CRASH = Budget(commits=2, checkpoints=1, crashes=1, failed_syncs=0, replays=0)
CRASH_TWICE = Budget(commits=2, checkpoints=0, crashes=2, failed_syncs=0, replays=0)
FAILED_SYNC = Budget(commits=1, checkpoints=0, crashes=1, failed_syncs=1, replays=0)
REPLAY = Budget(commits=1, checkpoints=0, crashes=2, failed_syncs=0, replays=1)

VARIANTS = {
    "acknowledge before the sync": (Rules(sync_before_acknowledging=False), CRASH),
    "write n+1 before the sync of n returned": (Rules(one_record_in_flight=False), CRASH),
    "believe the last record without its pages": (Rules(verify_last_pages=False), CRASH),
    "use a slot again that a header reaches": (Rules(free_after_headers_let_go=False), CRASH),
    "write the header before its nodes are synced": (Rules(nodes_synced_before_header=False), CRASH),
    "write the same header copy again": (Rules(headers_alternate=False), CRASH),
    "bring the anchor forward after the header": (Rules(anchor_before_header=False), CRASH),
    "anchor the new epoch before its header": (Rules(anchor_epoch_after_header=False), CRASH_TWICE),
    "rewrite the accepted tail in place": (Rules(leave_the_tail_in_place=False), CRASH_TWICE),
    "reuse in recovery what only the tail had freed": (
        Rules(sync_in_recovery=False, keep_what_the_tail_freed=False),
        CRASH_TWICE,
    ),
    "believe the page cache in recovery": (Rules(sync_in_recovery=False, evict_in_recovery=False), FAILED_SYNC),
    "sync but do not read again from the disk": (Rules(evict_in_recovery=False), FAILED_SYNC),
    "recover without a new epoch": (Rules(new_epoch_in_recovery=False), REPLAY),
}
"""What it is tempting to leave out, and the smallest bounds in which that costs data."""


@pytest.mark.parametrize("budget", HONEST, ids=str)
def test_nothing_is_lost(budget: Budget, tell: Callable[[str], None]) -> None:
    _explore(budget, tell)


@pytest.mark.soak
@pytest.mark.parametrize("budget", DEEP, ids=str)
def test_nothing_is_lost_in_wider_bounds(budget: Budget, tell: Callable[[str], None]) -> None:
    _explore(budget, tell)


def _explore(budget: Budget, tell: Callable[[str], None]) -> None:
    worlds = explore(budget, Rules())
    bounds = ", ".join(f"{value} {name.replace('_', ' ')}" for name, value in budget._asdict().items())
    tell(f"model: {worlds} states, 0 lost, within {bounds}")
    assert worlds > 10_000


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_rule_is_needed(variant: str) -> None:
    rules, budget = VARIANTS[variant]
    with pytest.raises(LossError):
        explore(budget, rules)


def test_the_tail_is_safe_without_its_sync_only_as_long_as_nothing_it_freed_is_reused() -> None:
    """So it is the reuse that loses, not the missing sync alone; a failed sync then needs the sync all the same."""
    assert explore(CRASH_TWICE, Rules(sync_in_recovery=False)) > 10_000
