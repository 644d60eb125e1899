"""Ctrl-C at any call of SQLite: a transaction is there whole or not at all, and all connections go on."""

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress

import apsw
import pytest

from keystore.engines.sqlite.main_file import MainFile
from keystore.engines.sqlite.scratch import Scratch
from tests.engines.sqlite.conftest import Connect
from tests.engines.sqlite.opened import store_of

CALLS = ("xRead", "xWrite", "xTruncate", "xSync", "xFileSize", "xLock", "xUnlock", "xFileControl")
CHANGE = "BEGIN; UPDATE t SET data = randomblob(700); INSERT INTO ends VALUES (1); COMMIT"


class Interrupt:
    """Raises `KeyboardInterrupt` once, when a call begins or has ended."""

    def __init__(self) -> None:
        self.after = -1
        """Calls until then; negative: never."""

    def due(self) -> bool:
        self.after -= 1
        return self.after == -1

    def came(self) -> bool:
        """Tell whether it came; if not, it does not come any more."""
        came, self.after = self.after < 0, -1
        return came


@pytest.fixture(params=["as a call begins", "as it ends"])
def interrupt(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Interrupt]:
    """Have every callback of SQLite ask whether it is interrupted."""
    interrupt, at_end = Interrupt(), request.param == "as it ends"
    monkeypatch.setattr(sys, "unraisablehook", lambda _: None)  # apsw has no caller for some of them

    def interruptible(kind: type, name: str) -> None:
        function = getattr(kind, name)

        def call(*arguments: object) -> object:
            result = function(*arguments) if at_end else None
            if interrupt.due():
                raise KeyboardInterrupt
            return result if at_end else function(*arguments)

        monkeypatch.setattr(kind, name, call)

    for name in CALLS:
        interruptible(MainFile, name)
        interruptible(Scratch, name)
    yield interrupt
    interrupt.after = -1


def fill(db: apsw.Connection) -> None:
    db.execute("CREATE TABLE IF NOT EXISTS t (id INTEGER PRIMARY KEY, data BLOB); DELETE FROM t")
    db.execute("CREATE TABLE IF NOT EXISTS ends (n); DELETE FROM ends")
    with db:
        db.executemany("INSERT INTO t (data) VALUES (?)", [(bytes(600),)] * 60)


def state(db: apsw.Connection) -> tuple[int, int]:
    """Return how many rows are changed, and how many ends there are."""
    ((rows, ends),) = db.execute("SELECT sum(length(data) = 700), (SELECT count(*) FROM ends) FROM t")
    return rows, ends


def test_a_change_is_interrupted_at_each_call(open_db: Connect, interrupt: Interrupt) -> None:
    db, other = open_db(), open_db()
    other.set_busy_timeout(0)
    db.pragma("cache_size", 4)
    found = Counter[tuple[int, int]]()
    for count in range(1000):
        fill(db)
        interrupt.after = count
        with suppress(KeyboardInterrupt, apsw.Error):
            db.execute(CHANGE)
        if not interrupt.came():
            break
        if db.in_transaction:
            db.execute("ROLLBACK")
        assert state(db) == state(other)
        found[state(db)] += 1
        other.execute("INSERT INTO ends VALUES (2)")
        assert db.execute("SELECT count(*) FROM ends WHERE n = 2").get == 1, "it reads what was before"
    assert set(found) == {(0, 0), (60, 1)}
    assert found[0, 0] > 50
    assert db.pragma("integrity_check") == "ok"
    assert not store_of(db).verify().damaged


def test_a_reader_is_interrupted_at_each_call(open_db: Connect, interrupt: Interrupt) -> None:
    """SQLite holds a lock for given back, whatever became of the call."""
    db, other = open_db(), open_db()
    fill(db)
    db.pragma("cache_size", 4)
    for count in range(1000):
        interrupt.after = count
        with suppress(KeyboardInterrupt, apsw.Error):
            state(db)
        if not interrupt.came():
            break
        other.execute("INSERT INTO ends VALUES (2)")
        assert state(db) == (0, count + 1)
    assert count > 10
    assert len(store_of(db)._state.read_points) <= 1
