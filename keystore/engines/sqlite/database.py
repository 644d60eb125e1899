"""One open database: a page store, and which of its connections may write.

Leaves to others: which node it is of, and when it is closed (`opening`); what SQLite asks of a file (`main_file`).

Invariants:
1. At most one connection has the right to write, from the moment when SQLite reserves it to the end of the transaction.
2. It gets it only where what it reads is the latest: so what it publishes builds on every commit before it.
3. Readers have no lock. Each reads at a point of its own, which no writer waits for.
"""

import time
from threading import Condition

import apsw

from keystore.engines.sqlite.failures import busy
from keystore.pages.read_point import ReadPoint
from keystore.pages.stage import Stage
from keystore.pages.store import PageStore


class Database:
    """A store with a SQLite database in it, shared by the connections of this process."""

    def __init__(self, store: PageStore) -> None:
        self.store = store
        self.page_size = store.page_size
        self._free = Condition()
        self._writer: object | None = None
        self._version = 0
        """Rises with each transaction that is published."""

    def begin_reading(self) -> tuple[ReadPoint, int]:
        """Return a read point at the latest transaction, and the version that this is, or one before.

        Where a transaction is published between the two, it looks like an older one: such a reader may not write, and
        asks again.
        """
        version = self._version
        return self.store.read_point(), version

    def reserve(self, writer: object, version: int) -> Stage:
        """Give `writer`, who reads `version`, the right to write.

        Raises:
            apsw.BusyError: another one has it, or `version` is not the latest: then only a new transaction can write.
        """
        with self._free:
            if self._writer is not None and self._writer is not writer:
                raise busy("another connection is writing; try again, or set a busy timeout", apsw.SQLITE_BUSY)
            if version != self._version:
                text = "another connection has written since this transaction began to read; roll back and try again"
                raise busy(text, apsw.SQLITE_BUSY_SNAPSHOT)
            self._writer = writer
        try:
            return self.store.stage()
        except BaseException:
            self.give_up(writer)
            raise

    @property
    def is_reserved(self) -> bool:
        """Whether a connection has the right to write."""
        return self._writer is not None

    def publish(self, stage: Stage) -> tuple[ReadPoint, int]:
        """Commit what the writer has staged, durably; return where it reads from now on."""
        try:
            stage.publish(stage.page_count * self.page_size)
        finally:  # also where a signal came behind the commit: nobody builds on what was before
            self._version += 1  # the one writer is here
        return self.begin_reading()

    def give_up(self, writer: object) -> None:
        """Take the right to write back from `writer`."""
        with self._free:
            if self._writer is writer:
                self._writer = None
                self._free.notify_all()

    def wait(self, until_s: float) -> bool:
        """Wait until nobody writes, at most until `until_s` of the monotonic clock; return whether to try again."""
        with self._free:
            return self._free.wait_for(lambda: self._writer is None, until_s - time.monotonic())

    def after_fork_in_child(self) -> None:
        """Another thread may have held the lock at the fork; its copy here would stay locked for ever."""
        self._free = Condition()
