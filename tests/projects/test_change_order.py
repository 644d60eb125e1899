"""The order of changes: every queue of up to four of them, under every condition, carried to its end."""

from dataclasses import replace
from itertools import product

import pytest

from keystore.projects.change_order import ChangeState, Kind, Queued, next_change
from keystore.projects.conditions import ALL, Condition, DisabledBy, Life

ALIVE = Condition(Life.ALIVE)
QUEUES = [
    [Queued(seq, kind, ChangeState.QUEUED) for seq, kind in enumerate(kinds)]
    for count in range(4)
    for kinds in product(Kind, repeat=count)
]


def carried_out(waiting: list[Queued], condition: Condition) -> list[Queued]:
    """Apply what may be applied, in two actions each, and return what was, in that order."""
    left, done = list(waiting), list[Queued]()
    for _ in range(2 * len(waiting) + 1):
        chosen = next_change(left, condition)
        if chosen is None:
            return done
        left.remove(chosen)
        if chosen.state is ChangeState.QUEUED:
            left.append(replace(chosen, state=ChangeState.APPLYING))
            assert next_change(left, condition) == left[-1]  # what was begun is gone on with
        else:
            done.append(chosen)
            if chosen.kind is Kind.DELETE:
                condition = replace(condition, life=Life.GONE)
    raise AssertionError("it did not end")


@pytest.mark.row("R49")
def test_changes_are_applied_once_each_in_the_order_of_submission() -> None:
    for waiting in QUEUES:
        done = [change.seq for change in carried_out(waiting, ALIVE)]
        deletions = [change.seq for change in waiting if change.kind is Kind.DELETE]
        if deletions:
            assert done == deletions[:1]
        else:
            assert done == [change.seq for change in waiting]


@pytest.mark.row("R48", "R49", "R50")
def test_only_a_patch_or_a_deletion_is_applied_where_no_member_may_be_touched() -> None:
    for condition in ALL:
        if condition.may_change or condition.life is Life.GONE:
            continue
        for waiting in QUEUES:
            done = carried_out(waiting, condition)
            kinds = {change.kind for change in done}
            allowed = {Kind.DELETE}
            allowed |= {Kind.PATCH} if condition.life is Life.ALIVE else set()
            allowed |= {Kind.CREATE} if condition.is_to_run else set()
            assert kinds <= allowed
            if Kind.DELETE not in kinds:
                assert [change for change in done if change.kind is Kind.PATCH] == [
                    replace(change, state=ChangeState.APPLYING)
                    for change in waiting
                    if change.kind is Kind.PATCH and condition.life is Life.ALIVE
                ]


@pytest.mark.row("R50")
def test_a_patch_goes_ahead_of_what_was_begun_before_the_key_was_lost() -> None:
    begun, patch = Queued(1, Kind.UPDATE, ChangeState.APPLYING), Queued(2, Kind.PATCH, ChangeState.QUEUED)
    later = Queued(3, Kind.UPDATE, ChangeState.QUEUED)
    disabled = replace(ALIVE, disabled_by=DisabledBy.VALIDATION)
    assert next_change([begun, patch, later], disabled) == patch
    assert next_change([begun, later], disabled) is None
    assert next_change([patch, later, begun], ALIVE) == begun


def test_nothing_is_applied_to_what_is_gone() -> None:
    gone = Condition(Life.GONE)
    assert all(next_change(waiting, gone) is None for waiting in QUEUES)
