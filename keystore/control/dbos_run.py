"""A workflow under way on DBOS: its steps, each fenced, retried and recorded.

Invariants:
1. A step's function is called only after the database said that this run still counts, and again after every pause.
2. A run that counts no more, or whose engine is being closed, ends by `AbandonedError`. DBOS records nothing of it, so
   the workflow stays as it is and goes on wherever it is begun next.
3. Whatever else ends a step is recorded, an error too.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from threading import Condition, Event
from typing import Any, TypeVar, cast

import sqlalchemy as sa
from dbos import DBOS
from sqlalchemy.exc import SQLAlchemyError

from keystore.control import outcome, ownership
from keystore.control.database import Database
from keystore.control.engine import Retry
from keystore.control.ownership import Hold
from keystore.errors import ControlUnreachableError, FencedError

Value = TypeVar("Value")

UNREACHABLE_WAIT_S = 1.0
"""Pause before the control database is asked again."""


class AbandonedError(BaseException):
    """This run ends here and its workflow does not. No `except Exception` of a workflow can take it for a failure."""


class Closing:
    """Says that the engine is being closed, and knows when no step is under way any more."""

    def __init__(self) -> None:
        self.event = Event()
        self._steps = 0
        self._changed = Condition()

    @contextmanager
    def step(self) -> Iterator[None]:
        """Hold up `wait` for as long as the block runs.

        Raises:
            AbandonedError: the engine is being closed; the block does not run.
        """
        with self._changed:
            if self.event.is_set():
                raise AbandonedError
            self._steps += 1
        try:
            yield
        finally:
            with self._changed:
                self._steps -= 1
                self._changed.notify_all()

    def pause(self, seconds: float) -> None:
        """Wait.

        Raises:
            AbandonedError: the engine is being closed; at once.
        """
        if self.event.wait(seconds):
            raise AbandonedError

    def wait(self, timeout_s: float) -> bool:
        """Let no step begin any more, and wait for those under way; return whether they ended."""
        with self._changed:
            self.event.set()
            return self._changed.wait_for(lambda: self._steps == 0, timeout_s)


def until_reachable(closing: Closing, function: Callable[[], Value]) -> Value:
    """Call `function` until the control database answers."""
    while True:
        try:
            return function()
        except ControlUnreachableError:
            closing.pause(UNREACHABLE_WAIT_S)
        except FencedError:
            raise AbandonedError from None


class DbosRun:
    """`engine.Run`, inside the workflow function that DBOS called."""

    def __init__(self, database: Database, hold: Hold, closing: Closing) -> None:
        self._database, self._hold, self._closing = database, hold, closing

    @property
    def key(self) -> str:
        return self._hold.key

    @property
    def fence(self) -> int:
        return self._hold.fence

    def step(self, name: str, function: Callable[[], Value], retry: Retry | None = None) -> Value:
        def attempts() -> dict[str, Any]:
            for attempt in count(1):
                with self._closing.step():
                    ended = self._attempt(name, function, retry if attempt < _attempts_max(retry) else None)
                if ended is not None:
                    return ended
                self._closing.pause(retry.wait_s(attempt) if retry else 0)
            raise AssertionError

        try:
            ended = DBOS.run_step({"name": name}, attempts)
        except SQLAlchemyError:
            # DBOS waits for a lost database, but not for every way of losing it.
            raise AbandonedError from None
        return cast(Value, outcome.value_of(ended))

    def pause(self, seconds: float) -> None:
        self._closing.pause(seconds)

    def guard(self, connection: sa.Connection) -> None:
        ownership.require(connection, self._hold)

    def _attempt(self, name: str, function: Callable[[], object], retry: Retry | None) -> dict[str, Any] | None:
        """Return how the function ended; None if it is to be tried again."""
        try:
            return outcome.of_value(until_reachable(self._closing, lambda: self._fenced(function)))
        except Exception as error:
            if retry is not None and isinstance(error, retry.on):
                return None
            return outcome.of_error(error, f"step {name} of {self.key}")

    def _fenced(self, function: Callable[[], Value]) -> Value:
        with self._database.read() as connection:
            ownership.require(connection, self._hold, lasting=False)
        return function()


def _attempts_max(retry: Retry | None) -> int:
    return retry.attempts_max if retry is not None else 1
