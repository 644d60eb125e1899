"""What becomes of a process that has ended."""

import pytest

from keystore.agents.restarting import FIRST_PAUSE_S, LONGEST_PAUSE_S, ExitCodes, Verdict, judge, pause_s
from keystore.cli import exits

CODES = ExitCodes(exits.OK, exits.LASTING, exits.MEANINGS)


@pytest.mark.parametrize("code", [None, -9, *exits.MEANINGS])
def test_what_an_order_has_stopped_stays_down_however_it_ended(code: int | None) -> None:
    assert judge(CODES, code, "said", ordered=True, failures=3) == Verdict("stopped", "by an order", 0, None)


def test_what_was_called_upon_to_stop_stays_down() -> None:
    found = judge(CODES, exits.OK, "", ordered=False, failures=3)
    assert (found.state, found.failures, found.pause_s) == ("stopped", 0, None)


@pytest.mark.parametrize("code", sorted(exits.LASTING))
def test_what_waiting_does_not_mend_is_not_tried_again(code: int) -> None:
    assert judge(CODES, code, "the key is disabled", ordered=False, failures=0) == Verdict(
        "failed", "the key is disabled", 1, None
    )


@pytest.mark.parametrize("code", [None, -9, exits.ERROR, exits.UNREACHABLE, exits.LOCKED, 77])
def test_what_died_is_started_again_after_a_pause(code: int | None) -> None:
    found = judge(CODES, code, "", ordered=False, failures=1)
    assert (found.state, found.failures, found.pause_s) == ("failed", 2, 2 * FIRST_PAUSE_S)
    assert found.reason


def test_an_invalid_key_is_lasting_and_an_unreachable_kms_is_not() -> None:
    assert exits.KEY_INVALID in exits.LASTING
    assert exits.UNREACHABLE not in exits.LASTING


def test_the_pause_doubles_up_to_a_bound() -> None:
    pauses = [pause_s(failures) for failures in range(1, 2000)]
    assert pauses[:4] == [FIRST_PAUSE_S, 2 * FIRST_PAUSE_S, 4 * FIRST_PAUSE_S, 8 * FIRST_PAUSE_S]
    assert pauses == sorted(pauses)
    assert pauses[-1] == LONGEST_PAUSE_S
