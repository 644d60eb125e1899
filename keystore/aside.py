"""One call at a time on a thread of its own: so two cores have work where one would read, hash and write in turns.

Invariants:
1. At most one call is under way; whoever begins the next waits for it first, and is told what went wrong in it.
2. No thread is left after `close`. A forked child has none of its parent's, and waits for none.
"""

import os
from collections.abc import Callable, Generator, Iterator
from itertools import islice
from queue import SimpleQueue
from threading import Event, Thread
from types import TracebackType
from typing import Self, TypeVar

from keystore.errors import StoreForkedError

Item = TypeVar("Item")


class _Call:
    def __init__(self, work: Callable[[], object]) -> None:
        self.work, self.ended, self.process = work, Event(), os.getpid()
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            self.work()
        except BaseException as error:
            self.error = error
        finally:
            self.ended.set()


class Aside:
    """A thread that begins with the first call; a context manager that ends it. For one thread to use."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._asked: SimpleQueue[_Call | None] | None = None
        self._thread: Thread | None = None
        self._call: _Call | None = None

    def begin(self, work: Callable[[], object]) -> None:
        """Have `work` done from now on; waits for the call before, and raises what went wrong in that."""
        self.wait()
        self._call = _Call(work)
        if self._asked is None or self._thread is None or not self._thread.is_alive():
            self._asked = SimpleQueue()
            self._thread = Thread(target=_run, args=(self._asked,), name=self._name, daemon=True)
            self._thread.start()
        self._asked.put(self._call)

    def wait(self) -> None:
        """Wait until nothing is under way; raise what went wrong."""
        call = self._call
        if call is None:
            return
        if call.process == os.getpid():
            call.ended.wait()
        self._call = None
        if call.error is not None:
            raise call.error

    def close(self) -> None:
        """Wait for what is under way, whatever comes of it, and end the thread."""
        asked, thread = self._asked, self._thread
        self._asked = self._thread = self._call = None
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
