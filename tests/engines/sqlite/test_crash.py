"""A SQLite database on a disk that loses, tears and reorders what was not synced: a transaction is whole, or absent."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Final

import apsw
import pytest

from keystore.engines.sqlite.database import Database
from keystore.engines.sqlite.main_file import MainFile
from keystore.engines.sqlite.vfs import KeystoreVfs
from keystore.pages import stage
from keystore.pages.store import PageStore
from tests.crashes import SEED, Crashes, LostError, WrongError
from tests.pages.determined import determined
from tests.pages.exploring import outcomes
from tests.pages.simdisk import Image, Kind, Machine
from tests.pages.stores import StaticKeys
from tests.pages.workload import Contents, Point

PAGE: Final = 4096
STATES: Final = 400
LOSSES: Final = 8

State = frozenset[tuple[int, str]]
Moment = tuple[Kind, Image, tuple[State, ...]]


@dataclass
class Life:
    """A database on a simulated machine; `moments` gets each in which it could crash, and what may be read then."""

    keys: StaticKeys
    machine: Machine
    files: dict[str, Database]
    now: State = frozenset()
    coming: State = frozenset()
    moments: list[Moment] = field(default_factory=list)

    def open(self, *, new: bool = False) -> apsw.Connection:
        options = {"name": "crashing", "keys": self.keys, "anchor": self.machine.anchor, "cache_bytes": 1 << 14}
        if new:
            self.store = PageStore.create(self.machine.disk, page_size=PAGE, **options)  # type: ignore[arg-type]
        else:
            self.store = PageStore.open(self.machine.disk, **options)  # type: ignore[arg-type]
        self.files["crashing"] = Database(self.store)
        connection = apsw.Connection("crashing", vfs="simulated")
        connection.pragma("cache_size", 5)
        return connection

    def watch(self) -> None:
        self.machine.saw = lambda kind, image: self.moments.append((kind, image, (self.now, self.coming)))

    def change(self, db: apsw.Connection, random: Random) -> None:
        """Do one transaction, of any kind and size; most are larger than SQLite's cache."""
        db.execute("BEGIN")
        for _ in range(random.randrange(1, 12)):
            number, text = random.randrange(40), f"{random.randrange(1 << 30):010}" * random.choice([1, 60, 700])
            db.execute("INSERT OR REPLACE INTO t VALUES (?, ?)", (number, text))
        if random.random() < 0.3:
            db.execute("SAVEPOINT s; DELETE FROM t WHERE id % 2; ROLLBACK TO s; DELETE FROM t WHERE id % 7 = 0")
        if random.random() < 0.2:
            db.execute("ROLLBACK")
            return
        self.coming = contents(db)
        db.execute("COMMIT")
        self.now = self.coming


def contents(db: apsw.Connection) -> State:
    return frozenset((number, f"{len(text)} {text[:10]}") for number, text in db.execute("SELECT id, text FROM t"))


@pytest.fixture
def files() -> Iterator[dict[str, Database]]:
    """Databases by the name that the VFS `simulated` knows them by."""
    files: dict[str, Database] = {}
    vfs = KeystoreVfs(lambda name: MainFile(files[name]), "simulated")
    yield files
    vfs.unregister()


def test_every_state_that_a_crash_leaves_has_whole_transactions(
    files: dict[str, Database], crashes: Crashes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage, "BATCH_BYTES", 4 * PAGE)
    crashes.kind, seen, random = "SQLite database", set[bytes](), Random(SEED)
    with determined(SEED) as source, crashes.judged("a SQLite database"):
        life = Life(StaticKeys(), Machine(), files)
        db = life.open(new=True)
        db.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, text TEXT); CREATE INDEX by_text ON t (text)")
        life.watch()
        for number in range(30):
            life.change(db, random)
            if number % 10 == 9:
                db.execute("VACUUM")
                life.store.checkpoint()
        staged = sum(kind == "write" for kind, _, _ in life.moments)
        assert staged > 200
        random.shuffle(life.moments)
        for kind, image, allowed in life.moments:
            point = Point(kind, image, (Contents(),))
            for state in outcomes(point, random, LOSSES):
                if (digest := state.digest()) not in seen and crashes.states < STATES:
                    seen.add(digest)
                    crashes.states += 1
                    source.begin("recovery")
                    check(Life(life.keys, Machine(state), files), allowed)
    assert crashes.states == STATES


def check(life: Life, allowed: tuple[State, ...]) -> None:
    """Open a database after a crash: it is sound, has one of the states allowed, and takes another transaction."""
    db = life.open()
    if (found := db.pragma("integrity_check")) != "ok":
        raise WrongError(f"it opens, and is not sound: {found}")
    if (found := contents(db)) not in allowed:
        raise LostError("it has neither what was committed nor what was coming")
    db.execute("INSERT OR REPLACE INTO t VALUES (99, 'after')")
    if (99, "5 after") not in contents(db):
        raise WrongError("the transaction after the crash reads back differently")
    if damaged := life.store.verify().damaged:
        raise WrongError(f"its store is damaged: {damaged[0]}")
    db.close(True)
