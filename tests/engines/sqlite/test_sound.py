"""An encrypted database at work: readers beside a writer, one sync a transaction, no other file, SQLite's answers."""

import os
import runpy
import tempfile
import threading
from collections import Counter
from pathlib import Path

import apsw
import pytest

from keystore.engines.sqlite import connect
from tests.engines.sqlite.conftest import Connect
from tests.engines.sqlite.opened import store_of

ACCOUNTS = 200
TRANSFERS = 120


def series(stop: int) -> str:
    """Return the beginning of a query over `value` from 1 to `stop`."""
    return f"WITH RECURSIVE s (value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM s WHERE value < {stop}) SELECT"


def test_eight_readers_beside_a_writer_see_whole_transactions(db: apsw.Connection, open_db: Connect) -> None:
    """Money moves between accounts, and pages between slots: no reader ever counts too much or too little."""
    db.execute("CREATE TABLE a (id INTEGER PRIMARY KEY, money INTEGER, filler TEXT)")
    with db:
        db.executemany("INSERT INTO a VALUES (?, 100, ?)", ((number, "x" * 300) for number in range(ACCOUNTS)))
    ended, failed, readers = threading.Event(), [], 8
    started, seen = threading.Barrier(readers + 1), Counter[int]()

    def read(own: apsw.Connection, number: int) -> None:
        own.pragma("cache_size", 5)
        started.wait()
        try:
            while not (ended.is_set() and seen[number]):
                own.execute("BEGIN")
                for _ in range(2):
                    assert own.execute("SELECT sum(money), count(*) FROM a").get == (100 * ACCOUNTS, ACCOUNTS)
                moved = own.execute("SELECT count(*) FROM a WHERE money <> 100").get
                own.execute("COMMIT")
                seen[number] += 1
                assert moved >= 0
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=read, args=(open_db(), number)) for number in range(readers)]
    for thread in threads:
        thread.start()
    started.wait()
    try:
        for number in range(TRANSFERS):
            db.execute("BEGIN")
            db.execute("UPDATE a SET money = money - 7 WHERE id = ?", (number % ACCOUNTS,))
            db.execute("UPDATE a SET money = money + 7 WHERE id = ?", (number * 31 % ACCOUNTS,))
            db.execute("COMMIT")
            if number % 40 == 39:
                db.execute("VACUUM")
                store_of(db).checkpoint()
                store_of(db).compact()
    finally:
        ended.set()
        for thread in threads:
            thread.join()
    assert not failed
    assert db.pragma("integrity_check") == "ok"
    assert not store_of(db).verify().damaged
    assert not store_of(db)._state.read_points


def test_a_durable_transaction_takes_one_sync(db: apsw.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every call of the process is counted, also on files of the node; the file's growth has syncs of its own."""
    db.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, text TEXT)")
    calls: Counter[str] = Counter()

    def counting(name: str) -> None:
        call = getattr(os, name)

        def counted(*arguments: int) -> None:
            calls[name] += 1
            call(*arguments)

        monkeypatch.setattr(os, name, counted)

    counting("fsync")
    counting("fdatasync")
    size, grown = store_of(db).stats().file_bytes, 0
    for number in range(100):
        db.execute("INSERT INTO t (text) VALUES (?)", ("x" * 100,))
        if (now := store_of(db).stats().file_bytes) != size:
            size, grown = now, grown + 1
        if number % 10 == 0:
            db.execute("BEGIN; INSERT INTO t (text) VALUES ('never'); ROLLBACK; SELECT count(*) FROM t").fetchall()
    assert calls == {"fdatasync": 100 + grown}
    assert grown <= 3


def test_no_file_but_those_of_the_node_ever_appears(
    db: apsw.Connection, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Looked at while statements run that need a journal, a statement journal, sorts and temporary tables."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    places, looks, spilled = (path, temporary), 0, 0
    before = {entry for place in places for entry in place.rglob("*")}

    def look() -> bool:
        nonlocal looks, spilled
        looks += 1
        assert {entry for place in places for entry in place.rglob("*")} <= before
        names = [str(fd.readlink()) for fd in Path("/proc/self/fd").iterdir() if os.path.lexists(fd)]
        spilled = max(spilled, sum(name.startswith(str(temporary)) for name in names))
        return False

    db.set_progress_handler(look, 20_000)
    db.execute(
        "PRAGMA cache_size = 5; PRAGMA temp_store = 1; CREATE TABLE t (id INTEGER PRIMARY KEY, text TEXT UNIQUE)"
    )
    db.execute(f"INSERT INTO t {series(20_000)} value, printf('%0200d', value) FROM s")
    db.execute("BEGIN; UPDATE t SET text = 'b' || text; CREATE TEMP TABLE s AS SELECT * FROM t ORDER BY text DESC")
    db.execute("SAVEPOINT a; DELETE FROM t WHERE id % 2; ROLLBACK TO a; COMMIT; VACUUM")
    assert looks > 20
    assert spilled  # what did not fit in memory was on the disk, in files without a name
    assert db.pragma("integrity_check") == "ok"
    assert {entry.name for entry in path.iterdir()} == {"anchors", "databases", "keystore"}


def test_nothing_of_a_transaction_is_on_the_disk_in_clear(
    db: apsw.Connection, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[bytes] = []
    real = os.pwrite

    def pwrite(fd: int, data: bytes, offset: int) -> int:
        written.append(bytes(data))
        return real(fd, data, offset)

    monkeypatch.setattr(os, "pwrite", pwrite)
    db.execute("PRAGMA cache_size = 5; CREATE TABLE t (id INTEGER PRIMARY KEY, text TEXT)")
    db.execute(f"INSERT INTO t {series(10_000)} value, printf('a needle in it %0200d', value) FROM s")
    db.execute("BEGIN; UPDATE t SET text = 'another needle' || text; ROLLBACK")
    assert sum(map(len, written)) > 2_000_000
    assert not any(b"needle" in data for data in written)
    assert all(b"needle" not in file.read_bytes() for file in path.rglob("*") if file.is_file())


def test_the_statements_of_apsw_s_speedtest_have_the_same_answers(
    open_db: Connect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own `--correctness` compares databases in memory; this runs what it runs on a plain and an encrypted one."""
    script = tmp_path / "speedtest.sql"
    monkeypatch.setattr("sys.argv", ["speedtest", "--scale", "1", "--tests", "bigstmt", "--dump-sql", str(script)])
    with pytest.raises(SystemExit):
        runpy.run_module("apsw.speedtest", run_name="__main__")
    plain, encrypted = apsw.Connection(str(tmp_path / "plain.sqlite")), open_db()
    sql = script.read_text()
    assert sql.count(";") > 10_000
    answers = [list(db.execute(sql)) for db in (plain, encrypted)]
    assert answers[0] == answers[1]
    assert len(answers[0]) > 100
    assert encrypted.pragma("integrity_check") == "ok"
    assert encrypted.pragma("page_count") == plain.pragma("page_count")
    plain.close()


def test_apsw_s_speedtest_runs_over_the_vfs(tmp_path: Path, cmk: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from keystore.kms.connect import connector
    from keystore.node.directory import Node

    with Node.init(tmp_path / "node", cmk, connector()) as node:
        db = connect("speed/test", node=node)
        options = ["--apsw", "--correctness", "--vfs", "keystore", "--database", db.filename]
        options += ["--scale", "1", "--iterations", "1", "--tests", "statements_nobindings", "--hide-runs"]
        monkeypatch.setattr("sys.argv", ["speedtest", *options])
        monkeypatch.setattr("statistics.stdev", lambda values: 0.0)  # of one run there is none
        runpy.run_module("apsw.speedtest", run_name="__main__")
        assert db.execute("SELECT count(*) FROM t1").get > 0
        assert db.pragma("integrity_check") == "ok"
        db.close()


def test_a_database_beyond_the_lock_byte_page(db: apsw.Connection) -> None:
    """SQLite leaves the page at 1 GiB out. Most pages before it are holes, which no table has."""
    edge = (1 << 30) // 4096
    db.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, data BLOB); INSERT INTO t VALUES (1, zeroblob(100))")
    store = store_of(db)
    first = bytearray(store.read(0))
    assert int.from_bytes(first[28:32], "big") == store.page_count == 2
    first[28:32] = (edge - 2).to_bytes(4, "big")
    first[24:28] = first[92:96] = (int.from_bytes(first[24:28], "big") + 1).to_bytes(4, "big")
    store.commit({0: bytes(first)}, page_count=edge - 2, byte_length=(edge - 2) * 4096)
    db.execute(f"INSERT INTO t {series(39)} value + 1, zeroblob(4000) FROM s")
    assert db.pragma("page_count") > edge + 20
    assert store.page_count == db.pragma("page_count")
    assert store.read(edge) == bytes(4096)  # the page of the lock bytes
    assert db.execute("SELECT count(*), sum(length(data)) FROM t").get == (40, 100 + 39 * 4000)
    db.execute("DELETE FROM t WHERE id > 20")
    assert db.execute("SELECT count(*) FROM t").get == 20
