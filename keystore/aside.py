"""Calls in order on a thread of its own: so two cores have work where one would read, hash and write in turns.

Invariants:
1. `calls_max` calls are under way at most; whoever begins one more waits for the oldest first.
2. Who begins a call or waits is told, once, what went wrong in one before. What was begun after that one is not done.
3. No thread is left after `close`. A forked child has none of its parent's, and waits for none.
"""

import os
from collections import deque
from collections.abc import Callable, Generator, Iterator
from itertools import islice
from queue import SimpleQueue
from threading import Event, Thread
from types import TracebackType
from typing import Self, TypeVar

from keystore.errors import StoreForkedError

Item = TypeVar("Item")


class _Call:
    def __init__(self, work: Callable[[], object], before: "_Call | None") -> None:
        """`before` is the call that is done right before."""
        self._work, self._before = work, before
        self._ended, self._process = Event(), os.getpid()
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            self.error = self._before.error if self._before else None
            self._before = None
            if self.error is None:
                self._work()
        except BaseException as error:
            self.error = error
        finally:
            self._ended.set()

    def wait(self) -> None:
        """Return once it is done or given up; at once in a forked child, which has no such thread."""
        if self._process == os.getpid():
            self._ended.wait()


class Aside:
    """A thread that begins with the first call; a context manager that ends it. For one thread to use."""

    def __init__(self, name: str, calls_max: int = 1) -> None:
        """`calls_max` are under way at most: one is being done, the others wait."""
        self._name, self._calls_max = name, calls_max
        self._asked: SimpleQueue[_Call | None] | None = None
        self._thread: Thread | None = None
        self._calls: deque[_Call] = deque()

    @property
    def idle(self) -> bool:
        """Whether nothing is under way that was not waited for."""
        return not self._calls

    def begin(self, work: Callable[[], object]) -> None:
        """Have `work` done after what was begun before; waits while that is too much; raises what went wrong."""
        while len(self._calls) >= self._calls_max:
            self._end_oldest()
        call = _Call(work, self._calls[-1] if self._calls else None)
        if self._asked is None or self._thread is None or not self._thread.is_alive():
            self._asked = SimpleQueue()
            self._thread = Thread(target=_run, args=(self._asked,), name=self._name, daemon=True)
            self._thread.start()
        self._calls.append(call)
        self._asked.put(call)

    def wait(self) -> None:
        """Wait until nothing is under way; raise what went wrong."""
        while self._calls:
            self._end_oldest()

    def _end_oldest(self) -> None:
        call = self._calls[0]
        call.wait()
        self._calls.popleft()
        if call.error is not None:
            while self._calls:  # they have the same error, and are not done
                self._calls.popleft().wait()
            raise call.error

    def close(self) -> None:
        """Wait for what is under way, whatever comes of it, and end the thread."""
        asked, thread = self._asked, self._thread
        self._asked = self._thread = None
        self._calls.clear()
        if asked is not None and thread is not None and thread.is_alive():  # in a forked child it is not
            asked.put(None)
            thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        self.close()


def _run(asked: "SimpleQueue[_Call | None]") -> None:
    while (call := asked.get()) is not None:
        call.run()


def ahead(items: Iterator[Item], name: str) -> Generator[Item, None, None]:
    """Yield `items`; each is made beside while the one before is used, so it must not overwrite that one.

    Close this where it is not used up, or the thread stays until it is collected.

    Raises:
        StoreForkedError: in a forked child, where what comes next was being made by a thread of its parent.
    """
    process = os.getpid()
    made: list[Item] = []

    def make() -> None:
        made.extend(islice(items, 1))

    with Aside(name) as aside:
        aside.begin(make)
        while True:
            aside.wait()
            if os.getpid() != process:
                raise StoreForkedError("this reading began before the process forked; begin it again here")
            if not made:
                return
            item = made.pop()
            aside.begin(make)
            yield item
