"""What is refused: an error that says why, of SQLite's kind where SQLite asks, and a database that is as it was."""

import errno
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import apsw
import pytest

from keystore.engines.sqlite import connect, node_of, opening, scratch
from keystore.engines.sqlite.opening import DATABASE, FILE
from keystore.errors import (
    CommitUnknownError,
    InputError,
    KeyDisabledError,
    NameUnknownError,
    NodeLockedError,
    NotAStoreError,
    StoreDamagedError,
    StoreFullError,
    WrongKeyError,
)
from keystore.kms.connect import connector
from keystore.kms.protocol import Kms
from keystore.node.directory import Node
from keystore.pages.blockfile import OsBlockFile
from keystore.pages.protocols import Buffer
from tests.emulator_process import Emulator
from tests.engines.sqlite.conftest import Connect


def rows(db: apsw.Connection) -> int:
    return int(db.execute("SELECT count(*) FROM t").get)


def fill(db: apsw.Connection, count: int = 500) -> None:
    db.execute("CREATE TABLE IF NOT EXISTS t (id INTEGER PRIMARY KEY, data BLOB)")
    db.execute("BEGIN")
    db.executemany("INSERT INTO t (data) VALUES (?)", [(bytes(1000),)] * count)
    db.execute("COMMIT")


def reason_of(error: BaseException) -> BaseException | None:
    """Return what the store said, which SQLite's error has as its cause, or the error that it repeats."""
    return error.__cause__ or (reason_of(error.__context__) if error.__context__ else None)


# -- pragmas ----------------------------------------------------------------------------------------------------------


def test_wal_is_refused_with_the_reason(db: apsw.Connection) -> None:
    with pytest.raises(apsw.SQLError, match="an encrypted database has no WAL"):
        db.execute("PRAGMA journal_mode = WAL")
    assert db.pragma("journal_mode") == "delete"
    fill(db)
    assert rows(db) == 500


@pytest.mark.parametrize("mode", ["memory", "off", "persist", "truncate"])
def test_other_journal_modes_change_nothing(db: apsw.Connection, mode: str) -> None:
    assert db.pragma("journal_mode", mode) == "delete"
    assert db.pragma("journal_mode") == "delete"


@pytest.mark.parametrize("level", ["off", "normal", 0])
def test_a_commit_stays_durable_whatever_synchronous_says(db: apsw.Connection, level: object) -> None:
    db.pragma("synchronous", level)
    assert db.pragma("synchronous") == 2


def test_another_page_size_is_refused_and_vacuum_keeps_the_one_there_is(db: apsw.Connection) -> None:
    fill(db)
    with pytest.raises(apsw.SQLError, match="the pages of this database are those of its store, 4096 bytes"):
        db.execute("PRAGMA page_size = 8192; VACUUM")
    db.execute("PRAGMA page_size = 4096; VACUUM")
    assert db.pragma("page_size") == 4096
    assert rows(db) == 500


def test_a_backup_with_other_pages_is_refused(db: apsw.Connection, tmp_path: Path) -> None:
    fill(db)
    plain = apsw.Connection(str(tmp_path / "plain.sqlite"))
    plain.execute("PRAGMA page_size = 8192; CREATE TABLE t (a); INSERT INTO t VALUES (1)")
    with pytest.raises(apsw.Error), db.backup("main", plain, "main") as backup:
        backup.step()
    plain.close()
    assert rows(db) == 500
    assert db.pragma("integrity_check") == "ok"


# -- several databases ------------------------------------------------------------------------------------------------


def test_a_transaction_over_two_encrypted_databases_is_refused_and_rolled_back(
    db: apsw.Connection, tmp_path: Path, cmk: str
) -> None:
    other = connect(tmp_path / "other", cmk=cmk)
    fill(db, 10)
    fill(other, 10)
    db.execute("ATTACH ? AS other", (str(tmp_path / "other"),))
    assert db.execute("SELECT (SELECT count(*) FROM t) + (SELECT count(*) FROM other.t)").get == 20
    with pytest.raises(apsw.CantOpenError, match="a transaction changed several databases"):
        db.execute("BEGIN; DELETE FROM main.t; DELETE FROM other.t; COMMIT")
    if db.in_transaction:
        db.execute("ROLLBACK")
    assert (rows(db), rows(other)) == (10, 10)
    db.execute("DELETE FROM other.t WHERE id > 5")  # one at a time is atomic
    assert rows(other) == 5
    other.close()
    assert db.execute("SELECT count(*) FROM other.t").get == 5


def test_nor_over_an_encrypted_and_a_plain_one(open_db: Connect, tmp_path: Path) -> None:
    db = open_db(flags=apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE | apsw.SQLITE_OPEN_URI)
    fill(db, 10)
    db.execute(f"ATTACH 'file:{tmp_path}/plain?vfs=unix' AS plain")
    with pytest.raises(apsw.CantOpenError, match="several databases"):
        db.execute("BEGIN; CREATE TABLE plain.t (a); DELETE FROM main.t; COMMIT")
    if db.in_transaction:
        db.execute("ROLLBACK")
    assert rows(db) == 10


def test_what_is_no_open_database_cannot_be_attached(db: apsw.Connection, tmp_path: Path) -> None:
    with pytest.raises(apsw.CantOpenError, match="no encrypted database that is open in this process"):
        db.execute("ATTACH ? AS other", (str(tmp_path / "nothing"),))
    assert not (tmp_path / "nothing").exists()


@pytest.mark.parametrize("main", [":memory:", "plain.sqlite"])
def test_nor_can_one_be_attached_to_a_connection_that_is_not_encrypted(
    db: apsw.Connection, path: Path, tmp_path: Path, main: str
) -> None:
    fill(db, 10)
    flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE | apsw.SQLITE_OPEN_URI
    plain = apsw.Connection(main if main == ":memory:" else str(tmp_path / main), flags=flags)
    with pytest.raises(apsw.CantOpenError, match="attach the others to that connection"):
        plain.execute(f"ATTACH 'file:{path}?vfs=keystore' AS first")
    plain.close()
    assert rows(db) == 10


def test_a_vacuum_into_another_file_says_how_to_copy(db: apsw.Connection, tmp_path: Path) -> None:
    fill(db, 10)
    with pytest.raises(apsw.CantOpenError, match="VACUUM INTO cannot make one: take a snapshot"):
        db.execute("VACUUM INTO ?", (str(tmp_path / "copy"),))
    assert not (tmp_path / "copy").exists()
    assert rows(db) == 10


# -- opening ----------------------------------------------------------------------------------------------------------


def test_another_key_is_refused_before_any_kms_is_asked(db: apsw.Connection, path: Path, other_cmk: str) -> None:
    with pytest.raises(WrongKeyError, match="is under the key"):
        connect(path, cmk=other_cmk)
    db.close()
    with pytest.raises(WrongKeyError, match="No KMS was asked"):
        connect(path, cmk=other_cmk, connector=no_kms)
    connect(path).close()


def no_kms(uri: str) -> Kms:
    raise AssertionError(f"{uri} was asked for")


def test_a_disabled_key_is_told_at_opening_and_the_database_is_there_when_it_is_enabled(
    tmp_path: Path, emulator: Emulator
) -> None:
    key, ask = emulator.create_key("aws"), connector(emulator.endpoint)
    db = connect(tmp_path / "db", cmk=key, connector=ask)
    fill(db, 10)
    emulator.disable(key)
    assert rows(db) == 10  # what runs goes on
    db.close()
    with pytest.raises(KeyDisabledError):
        connect(tmp_path / "db", connector=ask)
    emulator.enable(key)
    with connect(tmp_path / "db", connector=ask) as again:
        assert rows(again) == 10
    again.close()


def test_another_process_that_has_it_is_named(db: apsw.Connection, path: Path) -> None:
    code = f"from keystore.engines.sqlite import connect; connect({str(path)!r})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "NodeLockedError" in done.stderr
    assert f"process {os.getpid()}" in done.stderr


def test_a_child_closes_what_it_inherited_and_is_told_that_the_parent_has_it(
    db: apsw.Connection, path: Path, tmp_path: Path, cmk: str
) -> None:
    """Also where another thread was connecting at the fork: the child's copy of its lock stays locked."""
    fill(db, 10)
    held, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        with opening._lock, opening._OPEN[str(path)].database._free:
            held.set()
            go_on.wait()

    holder = threading.Thread(target=hold)
    holder.start()
    held.wait()
    child = os.fork()
    if not child:
        try:
            signal.alarm(60)  # a child that waits for ever ends by that
            with pytest.raises(apsw.IOError, match="before this process forked"):
                rows(db)
            db.close()
            with pytest.raises(NodeLockedError):
                connect(path)
            connect(tmp_path / "own", cmk=cmk).close()
            os._exit(0)
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    go_on.set()
    holder.join()
    assert status == 0
    fill(db, 10)
    assert rows(db) == 20


def test_a_node_that_is_open_in_this_process_is_locked_too(path: Path, cmk: str) -> None:
    connect(path, cmk=cmk).close()
    with Node.open(path, connector()), pytest.raises(NodeLockedError):
        connect(path)


def test_a_plain_database_is_told_apart_and_left_alone(tmp_path: Path, cmk: str) -> None:
    plain = apsw.Connection(str(tmp_path / "plain.sqlite"))
    plain.execute("CREATE TABLE t (a)")
    plain.close()
    before = (tmp_path / "plain.sqlite").read_bytes()
    with pytest.raises(InputError, match=r"plain SQLite database.*keystore sqlite import"):
        connect(tmp_path / "plain.sqlite", cmk=cmk)
    assert (tmp_path / "plain.sqlite").read_bytes() == before


def test_a_new_database_needs_a_key_and_nothing_is_made_without(path: Path) -> None:
    with pytest.raises(InputError, match="name a key"):
        connect(path)
    assert not path.exists()


def test_a_path_or_a_page_size_that_cannot_be_makes_nothing(path: Path, cmk: str) -> None:
    with pytest.raises(InputError, match="page size of 1000 bytes"):
        connect(path, cmk=cmk, page_size=1000)
    with pytest.raises(InputError, match="null byte"):
        connect(f"{path}\0", cmk=cmk)
    assert not path.exists()


def test_a_node_with_other_files_is_no_database(path: Path, cmk: str) -> None:
    with Node.init(path, cmk, connector()) as node:
        node.create_store("orders", "file").close()
    with pytest.raises(NameUnknownError, match="without a SQLite database"):
        connect(path)


@pytest.mark.parametrize(
    ("head", "why"),
    [
        (b"something else", "no SQLite database"),
        (
            b"SQLite format 3\0" + (8192).to_bytes(2, "big") + b"\1\1",
            "pages of 8192 bytes in a store with pages of 4096",
        ),
        (b"SQLite format 3\0" + (4096).to_bytes(2, "big") + b"\2\2", "in WAL mode"),
    ],
)
def test_a_store_with_something_else_in_it_is_refused(tmp_path: Path, cmk: str, head: bytes, why: str) -> None:
    with Node.init(tmp_path / "node", cmk, connector()) as node:
        with node.create_store("orders", "file", 4096) as store:
            store.commit({0: head.ljust(4096, b"\0")})
        with pytest.raises(NotAStoreError, match=why):
            connect("orders/file", node=node)
        with node.open_store("orders", "file") as store:  # and nobody has it any more
            assert store.read(0).startswith(head)


def test_a_node_and_a_key_or_a_path_without_a_file_are_refused(tmp_path: Path, cmk: str) -> None:
    with Node.init(tmp_path / "node", cmk, connector()) as node:
        with pytest.raises(InputError, match="not both"):
            connect("orders/file", node=node, cmk=cmk)
        with pytest.raises(InputError, match="DATABASE/FILE"):
            connect("orders", node=node)
        assert not node.databases


def test_a_connection_without_an_encrypted_database_has_no_node() -> None:
    with pytest.raises(InputError, match="no encrypted database"):
        node_of(apsw.Connection(":memory:"))


# -- in the middle ----------------------------------------------------------------------------------------------------


def test_a_damaged_page_in_the_middle_of_a_query(open_db: Connect, path: Path) -> None:
    db = open_db()
    fill(db)
    node = node_of(db)
    (store,) = [store for _, _, store in node._stores.open_now()]
    slot = int.from_bytes(store._state.pages.entry(60)[:8], "little")
    db.close()
    (file,) = path.rglob("*.store")
    with file.open("r+b") as raw:
        raw.seek(slot * 4096 + 100)
        raw.write(b"damage")
    db = open_db()
    read = iter(db.execute("SELECT * FROM t"))
    assert len([next(read) for _ in range(100)]) == 100
    with pytest.raises(apsw.CorruptError, match=r"page 60.*does not match") as failed:
        list(read)
    assert isinstance(reason_of(failed.value), StoreDamagedError)
    assert len(db.execute("SELECT * FROM t LIMIT 100").fetchall()) == 100  # other parts stay readable
    with pytest.raises(apsw.CorruptError):
        db.execute("INSERT INTO t (data) VALUES (1)")


class Faulty(OsBlockFile):
    """Refuses what it is told to."""

    full = False
    dying = False

    def extend(self, size: int, *, written: bool = False) -> None:
        if Faulty.full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        super().extend(size, written=written)

    def write(self, offset: int, data: Buffer) -> None:
        if Faulty.full and offset >= 12288 and len(data) >= 4 * 4096:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        super().write(offset, data)

    def sync(self) -> None:
        if Faulty.dying:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        super().sync()


@pytest.fixture
def faulty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("keystore.node.stores.OsBlockFile", Faulty)
    monkeypatch.setattr(Faulty, "full", False)
    monkeypatch.setattr(Faulty, "dying", False)


@pytest.mark.usefixtures("faulty")
@pytest.mark.parametrize("cache", [5, 2000], ids=["spilling", "in the cache"])
def test_a_full_disk_in_a_transaction(open_db: Connect, monkeypatch: pytest.MonkeyPatch, cache: int) -> None:
    db, reader = open_db(), open_db()
    fill(db)
    db.pragma("cache_size", cache)
    monkeypatch.setattr(Faulty, "full", True)
    with pytest.raises(apsw.FullError, match="device is full") as failed:
        fill(db, 5000)
    assert isinstance(reason_of(failed.value), StoreFullError)
    if db.in_transaction:
        db.execute("ROLLBACK")
    assert (rows(db), rows(reader)) == (500, 500)
    monkeypatch.setattr(Faulty, "full", False)
    fill(db, 5000)
    assert (rows(db), rows(reader)) == (5500, 5500)
    assert db.pragma("integrity_check") == "ok"
    assert not any(check.problems for check in node_of(db).verify().stores)


@pytest.mark.usefixtures("faulty")
def test_a_sync_that_fails_is_told_as_unknown_and_the_next_opening_decides(
    open_db: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    db = open_db()
    fill(db)
    monkeypatch.setattr(Faulty, "dying", True)
    with pytest.raises(apsw.IOError, match="unknown whether the last commit is durable") as failed:
        db.execute("DELETE FROM t")
    assert isinstance(reason_of(failed.value), CommitUnknownError)
    with pytest.raises(apsw.Error):
        db.execute("DELETE FROM t")
    monkeypatch.setattr(Faulty, "dying", False)
    db.close(True)
    again = open_db()
    assert rows(again) in (0, 500)
    assert again.pragma("integrity_check") == "ok"


@pytest.mark.parametrize("written", [0, 3], ids=["none of it", "some of it"])
def test_a_full_temporary_directory_keeps_nothing_of_the_statement(
    open_db: Connect, monkeypatch: pytest.MonkeyPatch, written: int
) -> None:
    """What a rollback needs is not on the disk then: it must not be lost."""
    db = open_db()
    fill(db, 3000)
    db.pragma("cache_size", 10)
    calls = iter(range(written))

    def pwrite(fd: int, data: bytes, offset: int) -> int:
        if next(calls, None) is None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return os.pwrite(fd, data, offset)

    with monkeypatch.context() as full:
        full.setattr(scratch, "os", SimpleNamespace(pwrite=pwrite, pread=os.pread))
        db.execute("BEGIN")
        with pytest.raises(apsw.FullError, match=r"temporary file.*could not be written"):
            db.execute("UPDATE t SET data = randomblob(1000)")
        if db.in_transaction:
            db.execute("ROLLBACK")
    for connection in (db, open_db()):
        assert connection.execute("SELECT count(*) FROM t WHERE data = zeroblob(1000)").get == 3000
        assert connection.pragma("integrity_check") == "ok"
    db.execute("UPDATE t SET data = zeroblob(900)")
    assert db.execute("SELECT count(*) FROM t WHERE length(data) = 900").get == 3000


def test_a_missing_temporary_directory_is_told(
    db: apsw.Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(db, 3000)
    db.pragma("cache_size", 10)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "missing"))
    with pytest.raises(apsw.IOError, match=r"temporary file.*could not be made"):
        db.execute("UPDATE t SET data = randomblob(1000)")
    assert db.execute("SELECT count(*) FROM t WHERE data = zeroblob(1000)").get == 3000


def test_a_transaction_of_more_pages_than_a_commit_takes(db: apsw.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(db)
    monkeypatch.setattr("keystore.pages.stage.COMMIT_PAGES_MAX", 200)
    db.pragma("cache_size", 5)
    with pytest.raises(apsw.FullError, match="more than 200 pages in one commit"):
        db.execute("UPDATE t SET data = zeroblob(4000)")
    assert db.execute("SELECT sum(length(data)) FROM t").get == 500_000
    assert db.pragma("integrity_check") == "ok"


def test_names_of_the_store_are_those_that_the_rest_of_the_node_knows(db: apsw.Connection) -> None:
    assert [(file.database, file.name) for file in node_of(db).list_files()] == [(DATABASE, FILE)]
