"""The judge of the tests of threads is right itself: on histories by hand, and against trying every order."""

from itertools import permutations
from random import Random

import pytest

from tests.pages.linear import Call, not_linear


def explained(calls: list[Call]) -> bool:
    """Try every order that keeps apart what was apart in time."""
    for order in permutations(calls):
        if any(later.ended < earlier.begun for at, earlier in enumerate(order) for later in order[at + 1 :]):
            continue
        now: int | None = None
        for call in order:
            if call.wrote:
                now = call.value
            elif call.value != now:
                break
        else:
            return True
    return False


@pytest.mark.parametrize(
    ("calls", "good"),
    [
        ([Call(1, True, 0, 1), Call(1, False, 2, 3)], True),
        ([Call(1, True, 0, 1), Call(2, True, 2, 3), Call(1, False, 4, 5)], False),
        ([Call(1, True, 0, 1), Call(2, True, 2, 5), Call(1, False, 3, 4)], True),
        ([Call(1, True, 0, 1), Call(2, True, 2, 9), Call(2, False, 3, 4), Call(1, False, 5, 6)], False),
        ([Call(1, False, 0, 1), Call(1, True, 2, 3)], False),
        ([Call(1, False, 0, 1)], False),
    ],
)
def test_by_hand(calls: list[Call], good: bool) -> None:
    assert (not_linear(calls) is None) == good == explained(calls)


def test_agrees_with_trying_every_order() -> None:
    chooser, verdicts = Random(1), [0, 0]
    for _ in range(1500):
        times = chooser.sample(range(40), 12)
        spans = [sorted(times[at : at + 2]) for at in range(0, 12, 2)]
        calls = [Call(value, True, *spans[value]) for value in range(3)]
        calls += [Call(chooser.randrange(3), False, *span) for span in spans[3:]]
        good = explained(calls)
        assert (not_linear(calls) is None) == good, calls
        verdicts[good] += 1
    assert min(verdicts) > 200
