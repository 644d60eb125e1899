"""The clock on which the control plane decides what is due. Nodes, heartbeats and timeouts use real time.

`MovableClock` is for tests: every process on the same database sees the same time, moved together with the emulator's.
"""

import time
from typing import Protocol

import sqlalchemy as sa

from keystore.control.database import Database
from keystore.control.tables import control
from keystore.errors import InputError


class Clock(Protocol):
    """Tells the time."""

    def now_ns(self) -> int:
        """Return nanoseconds since 1970. May go back, as a machine's clock does when it is set."""
        ...


class SystemClock:
    """The machine's clock."""

    def now_ns(self) -> int:
        return time.time_ns()


class MovableClock:
    """The machine's clock and an offset that lies in the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def now_ns(self) -> int:
        with self._database.read() as connection:
            offset: int = connection.execute(sa.select(control.c.clock_offset_ns)).scalar_one()
        return time.time_ns() + offset

    def advance(self, by_ns: int) -> None:
        """Move the clock forward, for every process.

        Raises:
            InputError: `by_ns` is negative.
        """
        if by_ns < 0:
            raise InputError(f"a clock moves forward only, not by {by_ns} ns. Nothing was changed.")
        with self._database.write() as connection:
            connection.execute(control.update().values(clock_offset_ns=control.c.clock_offset_ns + by_ns))
