"""A thread beside: one call after the other, no more under way than agreed, errors told once, and no thread left."""

import os
import threading
from contextlib import suppress
from functools import partial

import pytest

from keystore.aside import Aside, ahead
from keystore.errors import StoreForkedError


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "beside"]


def test_calls_run_in_order_on_another_thread_one_at_a_time() -> None:
    ran: list[tuple[int, str]] = []

    def note(number: int) -> None:
        ran.append((number, threading.current_thread().name))

    with Aside("beside") as aside:
        assert threads() == []
        for number in range(100):
            aside.begin(partial(note, number))
        aside.wait()
        assert ran == [(number, "beside") for number in range(100)]
        assert threads() == ["beside"]
    assert threads() == []


def test_a_call_goes_on_while_the_caller_does_something_else() -> None:
    mine, theirs = threading.Event(), threading.Event()

    def work() -> None:
        assert mine.wait(60)
        theirs.set()

    with Aside("beside") as aside:
        aside.begin(work)
        mine.set()
        assert theirs.wait(60)
        aside.wait()


def test_so_many_calls_are_under_way_before_who_begins_one_more_waits() -> None:
    go = threading.Event()
    ran: list[int] = []
    with Aside("beside", 3) as aside:
        aside.begin(lambda: go.wait(60))
        aside.begin(partial(ran.append, 1))
        aside.begin(partial(ran.append, 2))
        assert ran == []
        threading.Thread(target=go.set).start()
        aside.begin(partial(ran.append, 3))
        assert go.is_set()
        aside.begin(partial(ran.append, 4))
        assert 1 in ran
        aside.wait()
    assert ran == [1, 2, 3, 4]


@pytest.mark.parametrize("then", ["wait", "begin"])
def test_what_was_begun_after_a_call_that_failed_is_not_done(then: str) -> None:
    go = threading.Event()
    ran: list[int] = []

    def fail() -> None:
        go.wait(60)
        raise ValueError

    with Aside("beside", 3) as aside:
        aside.begin(fail)
        aside.begin(partial(ran.append, 1))
        aside.begin(partial(ran.append, 2))
        go.set()
        with pytest.raises(ValueError, match=r"^$"):
            aside.wait() if then == "wait" else aside.begin(partial(ran.append, 3))
        assert aside.idle
        assert ran == []
        aside.begin(partial(ran.append, 4))
        aside.wait()
    assert ran == [4]


@pytest.mark.parametrize("then", ["wait", "begin"])
def test_an_error_is_raised_once_by_what_comes_next(then: str) -> None:
    ran: list[int] = []
    with Aside("beside") as aside:
        aside.begin(lambda: 1 // 0)
        with pytest.raises(ZeroDivisionError):
            aside.wait() if then == "wait" else aside.begin(lambda: ran.append(1))
        aside.wait()
        assert ran == []
        aside.begin(lambda: ran.append(2))
    assert ran == [2], "what was begun is done before the thread ends"


def test_closing_raises_nothing_and_may_be_done_twice() -> None:
    aside = Aside("beside")
    aside.begin(lambda: 1 // 0)
    aside.close()
    aside.close()
    assert threads() == []


@pytest.mark.parametrize("calls_max", [1, 3])
def test_a_forked_child_waits_for_nothing_and_has_a_thread_of_its_own(calls_max: int) -> None:
    go = threading.Event()
    with Aside("beside", calls_max) as aside:
        for _ in range(calls_max):
            aside.begin(lambda: go.wait(60))
        child = os.fork()
        if child == 0:
            ran: list[int] = []
            try:
                aside.wait()
                aside.begin(lambda: ran.append(1))
                aside.close()
            finally:
                os._exit(0 if ran == [1] else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        go.set()


def test_a_forked_child_takes_no_reading_for_ended() -> None:
    items = ahead(iter(range(3)), "ahead")
    assert next(items) == 0
    child = os.fork()
    if child == 0:
        with suppress(StoreForkedError):
            next(items, None)
            os._exit(1)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert list(items) == [1, 2]
