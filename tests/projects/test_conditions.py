"""States of a deployment: every condition, and every way from one to the next."""

import pytest

from keystore.projects.conditions import ALL, Condition, DisabledBy, Life, State


def test_every_condition_shows_one_state() -> None:
    for condition in ALL:
        state = condition.state
        assert (state is State.TERMINATED) == (condition.life is Life.GONE)
        assert (state is State.DELETING) == (condition.life is Life.DELETING)
        if condition.life in (Life.GONE, Life.DELETING):
            continue
        assert (state is State.PAUSED) == condition.paused
        is_disabled = condition.disabled_by is not DisabledBy.NOTHING and not condition.paused
        assert (state is State.DISABLED) == is_disabled
        if state in (State.CREATING, State.IDLE, State.UPDATING):
            assert (state is State.CREATING) == (condition.life is Life.CREATING)
            assert state is State.CREATING or (state is State.UPDATING) == condition.busy
    assert {condition.state for condition in ALL} == set(State)


@pytest.mark.row("R39", "R130", "N1")
def test_no_process_runs_where_a_check_forbids_it_or_somebody_paused_it() -> None:
    for condition in ALL:
        forbidden = condition.disabled_by is DisabledBy.VALIDATION or condition.paused
        ended = condition.life in (Life.DELETING, Life.GONE)
        assert condition.is_to_run == (not forbidden and not ended)
        if condition.may_change:
            assert condition.is_to_run
            assert condition.state in (State.IDLE, State.UPDATING)


@pytest.mark.row("N1", "N4")
def test_a_check_that_finds_the_key_invalid_takes_every_living_one_down() -> None:
    for condition in ALL:
        after = condition.forbidden()
        assert not after.is_to_run
        if condition.life in (Life.DELETING, Life.GONE):
            assert after == condition
        else:
            assert (after.state is State.DISABLED) == (not condition.paused)
        assert after.forbidden() == after


@pytest.mark.row("R57", "N4")
def test_a_valid_key_starts_what_the_check_had_stopped_and_nothing_else() -> None:
    for condition in ALL:
        after = condition.allowed()
        assert after.disabled_by is not DisabledBy.VALIDATION or condition.life in (Life.DELETING, Life.GONE)
        if condition.disabled_by is not DisabledBy.VALIDATION:
            assert after == condition
        if after.life is Life.ALIVE:
            assert after.is_to_run == (not condition.paused)
        assert after.paused == condition.paused
        if condition.state is State.DISABLED:
            assert after.state is State.DISABLED  # until a member serves


@pytest.mark.row("R44", "N6")
def test_it_is_disabled_by_an_outage_exactly_while_no_member_serves() -> None:
    for condition in ALL:
        for serving in (0, 1, 3):
            after = condition.seen(serving)
            if not condition.is_to_run:
                assert after == condition
            elif condition.life is Life.ALIVE:
                assert after.disabled_by is (DisabledBy.NOTHING if serving else DisabledBy.OUTAGE)
            assert after.seen(serving) == after
            assert after.is_to_run == condition.is_to_run


def test_a_new_one_that_does_not_serve_yet_is_not_disabled() -> None:
    new = Condition(Life.CREATING)
    assert new.seen(0).state is State.CREATING
    assert new.forbidden().state is State.DISABLED
    assert new.forbidden().allowed().seen(3).state is State.CREATING
