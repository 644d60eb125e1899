"""Holds a long work back to a rate, so that readers and writers beside it keep most of the disk."""

import time
from collections.abc import Callable

from keystore.errors import InputError

SLEEP_MAX_S = 1e6
"""LIMIT: seconds of one sleep; a rate near zero asks for more than the system can."""


class Pace:
    """Lets at most `bytes_per_s` pass on average, counted from the first bytes on; None holds nothing back.

    Args:
        clock, sleep: in seconds; a test gives its own.

    Raises:
        InputError: the rate is not above zero.
    """

    def __init__(
        self,
        bytes_per_s: float | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if bytes_per_s is not None and not bytes_per_s > 0:
            raise InputError(f"a rate of {bytes_per_s} bytes a second; nothing was changed")
        self._bytes_per_s, self._clock, self._sleep = bytes_per_s, clock, sleep
        self._started_s: float | None = None
        self._passed = 0

    def passed(self, count: int) -> None:
        """Note `count` bytes, and sleep for as long as they are early."""
        if self._bytes_per_s is None:
            return
        now_s = self._clock()
        if self._started_s is None:
            self._started_s = now_s
        self._passed += count
        early_s = self._started_s + self._passed / self._bytes_per_s - now_s
        if early_s > 0:
            self._sleep(min(early_s, SLEEP_MAX_S))
