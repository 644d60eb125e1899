"""A transaction on PostgreSQL that is open while another call goes on, until that has ended or waits for its locks."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import sqlalchemy as sa

from keystore.control.database import Database
from keystore.errors import ApiError

WAIT_MAX_S = 60.0


class Beside:
    """A call in another thread, with what it raised."""

    def __init__(self, database: Database, call: Callable[[], object]) -> None:
        self._database, self._call = database, call
        self.raised: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def begin(self) -> None:
        """Begin it, and return when it has ended or waits for a lock."""
        self._thread.start()
        end_s = time.monotonic() + WAIT_MAX_S
        while self._thread.is_alive() and not self._waits():
            assert time.monotonic() < end_s
            time.sleep(0.01)

    def end(self) -> None:
        self._thread.join(WAIT_MAX_S)
        assert not self._thread.is_alive()

    def _run(self) -> None:
        try:
            self._call()
        except ApiError as error:
            self.raised = error

    def _waits(self) -> bool:
        waiting = sa.text(
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        )
        with self._database.read() as connection:
            return bool(connection.scalar(waiting))


@contextmanager
def beside(database: Database, call: Callable[[], object]) -> Iterator[tuple[sa.Connection, Beside]]:
    """Give a transaction that is open until `call` has ended or waits for it; on return both have ended."""
    other = Beside(database, call)
    with database.write() as connection:
        yield connection, other
        other.begin()
    other.end()
