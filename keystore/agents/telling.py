"""A long work whose progress is told as a stream: the work runs in a thread, the call yields how far it is.

Invariant: when the stream ends, for whatever reason, so has the work. Where nobody listens any more, or the process
stops, the work is cut off at its next step, and cleans up as after any interruption.
"""

import threading
from collections.abc import Callable, Generator
from typing import Generic, TypeVar

from keystore.errors import AgentError
from keystore.progress import Progress

Result = TypeVar("Result")
Message = TypeVar("Message")

POLL_S = 0.5
"""How often it is looked whether anybody still listens, where the work tells nothing."""


class _CutOffError(BaseException):
    """Ends the work; not an `Exception`, so that nothing takes it for a failure of one part and goes on."""


def telling(
    work: Callable[[Progress], Result], message: Callable[[int, int], Message], is_unwanted: Callable[[], bool]
) -> Generator[Message, None, Result]:
    """Do `work`, yield a `message` of bytes done and in all whenever that changed, and return what the work returned.

    Raises:
        AgentError: it was cut off.
        Exception: what the work raised.
    """
    run = _Run(work)
    try:
        while not run.wait(POLL_S):
            if is_unwanted():
                run.cut_off()
                raise AgentError("the process stops, or nobody listens. What was begun is removed; ask again.")
            if (progress := run.take()) is not None:
                yield message(*progress)
        return run.result()
    finally:
        run.cut_off()


class _Run(Generic[Result]):
    def __init__(self, work: Callable[[Progress], Result]) -> None:
        self._work = work
        self._changed = threading.Condition()
        self._progress: tuple[int, int] | None = None
        self._done, self._unwanted = False, False
        self._results: list[Result] = []
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="keystore-work")
        self._thread.start()

    def wait(self, timeout_s: float) -> bool:
        """Wait until the work has something to tell; return whether it has ended and everything was taken."""
        with self._changed:
            self._changed.wait_for(lambda: self._done or self._progress is not None, timeout_s)
            return self._done and self._progress is None

    def take(self) -> tuple[int, int] | None:
        with self._changed:
            progress, self._progress = self._progress, None
            return progress

    def result(self) -> Result:
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._results[0]

    def cut_off(self) -> None:
        """End the work, if it has not ended, and wait for it."""
        self._unwanted = True
        self._thread.join()

    def _run(self) -> None:
        try:
            self._results.append(self._work(self._tell))
        except BaseException as error:
            self._error = error
        finally:
            with self._changed:
                self._done = True
                self._changed.notify_all()

    def _tell(self, done: int, total: int) -> None:
        if self._unwanted:
            raise _CutOffError
        with self._changed:
            self._progress = (done, total)
            self._changed.notify_all()
