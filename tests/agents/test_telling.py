"""Long works whose progress is told as a stream: when the stream ends, so has the work."""

import threading
from collections.abc import Callable, Iterator

import pytest

from keystore.agents.telling import telling
from keystore.errors import AgentError, NameUnknownError
from keystore.progress import Progress

WAIT_MAX_S = 60.0


def never() -> bool:
    return False


class Endless:
    """A work that goes on until it is cut off, and notes that it cleaned up."""

    def __init__(self) -> None:
        self.begun, self.cleaned_up = threading.Event(), False

    def __call__(self, progress: Progress) -> str:
        try:
            for step in range(10**9):
                self.begun.set()
                progress(step, 0)
        finally:
            self.cleaned_up = True
        return "never"


def test_the_last_step_and_the_result_are_told() -> None:
    def work(progress: Progress) -> str:
        for step in range(1, 1001):
            progress(step, 1000)
        return "result"

    told: list[tuple[int, int]] = []

    def listen() -> Iterator[None]:
        result = yield from telling(work, lambda done, total: told.append((done, total)), never)
        assert result == "result"

    for _ in listen():
        pass
    assert told[-1] == (1000, 1000)
    assert told == sorted(set(told))


def test_an_error_of_the_work_comes_out() -> None:
    def work(progress: Progress) -> None:
        raise NameUnknownError("no such file")

    with pytest.raises(NameUnknownError, match="no such file"):
        list(telling(work, lambda done, total: done, never))


def closed(work: Endless) -> None:
    steps = telling(work, lambda done, total: done, never)
    next(steps)
    steps.close()


def unwanted(work: Endless) -> None:
    with pytest.raises(AgentError, match="nobody listens"):
        for _ in telling(work, lambda done, total: done, work.begun.is_set):
            pass


@pytest.mark.parametrize("end", [closed, unwanted])
def test_a_work_that_nobody_wants_any_more_is_cut_off_and_cleans_up(end: Callable[[Endless], None]) -> None:
    work, before = Endless(), threading.active_count()
    end(work)
    assert work.cleaned_up
    assert threading.active_count() == before
