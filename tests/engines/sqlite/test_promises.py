"""What SQLite promises holds in an encrypted database."""

import gc
import hashlib
import threading
from pathlib import Path

import apsw
import pytest

from keystore.engines.sqlite import connect, node_of
from keystore.engines.sqlite.opening import DATABASE, FILE
from keystore.node.directory import Node
from tests.engines.sqlite.conftest import Connect
from tests.engines.sqlite.opened import store_of

ROWS = 3000


def fill(db: apsw.Connection, rows: int = ROWS) -> None:
    db.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, text TEXT); CREATE INDEX by_text ON t (text)")
    with db:
        db.executemany("INSERT INTO t VALUES (?, ?)", ((number, f"{number:0100}") for number in range(rows)))


def digest(db: apsw.Connection) -> str:
    whole = hashlib.sha256()
    for row in db.execute("SELECT * FROM t ORDER BY id"):
        whole.update(repr(row).encode())
    return whole.hexdigest()


@pytest.mark.parametrize("page_size", [4096, 16384, 65536])
def test_what_was_committed_is_there_after_closing(open_db: Connect, page_size: int) -> None:
    db = open_db(page_size=page_size)
    fill(db)
    before = digest(db)
    db.close()
    again = open_db()
    assert again.pragma("page_size") == page_size
    assert again.pragma("integrity_check") == "ok"
    assert digest(again) == before


def test_rollback_of_more_than_the_cache_holds(db: apsw.Connection) -> None:
    fill(db)
    before, sequence = digest(db), store_of(db).sequence
    db.execute("PRAGMA cache_size = 5; BEGIN; UPDATE t SET text = id || zeroblob(500); DELETE FROM t WHERE id % 3 = 0")
    assert store_of(db)._state.stages == 1  # it is larger than the cache, and on the disk, where nobody reaches it
    assert store_of(db).sequence == sequence
    db.execute("ROLLBACK")
    assert digest(db) == before
    assert db.pragma("integrity_check") == "ok"
    assert not any(check.problems for check in node_of(db).verify().stores)


def test_savepoints_within_a_transaction_that_spilled(db: apsw.Connection) -> None:
    fill(db)
    before = digest(db)
    db.execute("PRAGMA cache_size = 5; SAVEPOINT one; UPDATE t SET text = id || zeroblob(500)")
    middle = digest(db)
    db.execute("SAVEPOINT two; DELETE FROM t; ROLLBACK TO two")
    assert digest(db) == middle
    db.execute("ROLLBACK TO one")
    assert digest(db) == before
    db.execute("RELEASE one")
    assert digest(db) == before
    assert db.pragma("integrity_check") == "ok"


def test_a_statement_that_fails_half_way_leaves_the_transaction_as_it_was(db: apsw.Connection) -> None:
    fill(db)
    db.execute("CREATE UNIQUE INDEX once ON t (text); PRAGMA cache_size = 5; BEGIN; DELETE FROM t WHERE id >= 2900")
    before = digest(db)
    with pytest.raises(apsw.ConstraintError):
        db.execute("UPDATE t SET text = CASE WHEN id < 2500 THEN id || 'x' ELSE 'same' END")
    assert digest(db) == before
    db.execute("COMMIT")
    assert digest(db) == before
    assert db.pragma("integrity_check") == "ok"


def test_vacuum_gives_pages_back(db: apsw.Connection) -> None:
    fill(db)
    db.execute("DELETE FROM t WHERE id >= 100")
    pages, before = db.pragma("page_count"), digest(db)
    db.execute("VACUUM")
    assert db.pragma("page_count") < pages / 4
    assert store_of(db).page_count == db.pragma("page_count")
    assert digest(db) == before
    assert db.pragma("integrity_check") == "ok"


def test_auto_vacuum_and_incremental_vacuum(db: apsw.Connection) -> None:
    db.execute("PRAGMA auto_vacuum = 2; VACUUM")
    fill(db)
    db.execute("DELETE FROM t WHERE id >= 100; PRAGMA incremental_vacuum").fetchall()
    assert not db.pragma("freelist_count")
    assert db.pragma("integrity_check") == "ok"


@pytest.mark.parametrize("mode", ["delete", "wal"])
def test_the_backup_api_copies_both_ways(db: apsw.Connection, tmp_path: Path, mode: str) -> None:
    plain = apsw.Connection(str(tmp_path / "plain.sqlite"))
    plain.pragma("journal_mode", mode)
    fill(plain)
    with db.backup("main", plain, "main") as backup:
        while not backup.done:
            backup.step(7)
    assert digest(db) == digest(plain)
    assert db.pragma("integrity_check") == "ok"
    db.execute("INSERT INTO t VALUES (99999, 'more')")

    copy = apsw.Connection(str(tmp_path / "copy.sqlite"))
    with copy.backup("main", db, "main") as backup:
        backup.step()
    assert digest(copy) == digest(db)
    plain.close()
    copy.close()


def test_a_file_of_a_database_is_a_sqlite_file_when_it_is_exported(db: apsw.Connection, tmp_path: Path) -> None:
    fill(db)
    node_of(db).export_file(DATABASE, FILE, tmp_path / "plain.sqlite")
    plain = apsw.Connection(str(tmp_path / "plain.sqlite"))
    assert digest(plain) == digest(db)
    plain.close()


def test_full_text_and_r_tree(db: apsw.Connection) -> None:
    db.execute("CREATE VIRTUAL TABLE words USING fts5(text); CREATE VIRTUAL TABLE boxes USING rtree(id, low, high)")
    with db:
        db.executemany("INSERT INTO words VALUES (?)", ((f"word{number} common",) for number in range(ROWS)))
        db.executemany("INSERT INTO boxes VALUES (?, ?, ?)", ((number, number, number + 1) for number in range(ROWS)))
    assert db.execute("SELECT rowid FROM words WHERE words MATCH 'word77'").get == 78
    assert db.execute("SELECT count(*) FROM words WHERE words MATCH 'common'").get == ROWS
    assert db.execute("SELECT count(*) FROM boxes WHERE low >= 10 AND high <= 20").get == 10
    db.execute("INSERT INTO words(words) VALUES ('optimize'); INSERT INTO words(words) VALUES ('integrity-check')")
    assert db.pragma("integrity_check") == "ok"


def test_blobs_are_read_and_written_in_place(db: apsw.Connection) -> None:
    db.execute("CREATE TABLE b (id INTEGER PRIMARY KEY, data BLOB); INSERT INTO b VALUES (1, zeroblob(1000000))")
    with db.blob_open("main", "b", "data", 1, True) as blob:
        blob.seek(500_000)
        blob.write(b"in the middle")
    assert db.execute("SELECT substr(data, 500001, 13) FROM b").get == b"in the middle"


def test_readers_see_one_transaction_and_do_not_hold_the_writer_up(db: apsw.Connection, open_db: Connect) -> None:
    fill(db, 100)
    reader = open_db()
    reader.execute("BEGIN")
    before = digest(reader)
    for number in range(20):
        db.execute("UPDATE t SET text = ? WHERE id = ?", (f"new {number}", number))
    assert digest(reader) == before
    reader.execute("COMMIT")
    assert digest(reader) == digest(db) != before


def test_readers_see_each_transaction_of_a_writer_in_exclusive_mode(db: apsw.Connection, open_db: Connect) -> None:
    """SQLite counts changes once in this mode, so a cache would stay what it was."""
    db.execute("CREATE TABLE t (n); INSERT INTO t VALUES (0)")
    reader = open_db()
    assert db.execute("PRAGMA locking_mode = exclusive").get == "exclusive"
    db.pragma("cache_size", 5)
    seen = []
    for number in range(1, 5):
        db.execute("UPDATE t SET n = ?", (number,))
        db.execute("BEGIN; INSERT INTO t VALUES (randomblob(90000)); ROLLBACK")
        seen.append(reader.execute("SELECT n FROM t").fetchall())
    assert seen == [[(number,)] for number in range(1, 5)]
    db.execute("PRAGMA locking_mode = normal; SELECT * FROM t").fetchall()
    reader.execute("UPDATE t SET n = n + 1")
    assert db.execute("SELECT n FROM t").get == 5
    assert db.pragma("integrity_check") == "ok"


def test_who_has_read_and_then_wants_to_write_builds_on_what_is_there(db: apsw.Connection, open_db: Connect) -> None:
    fill(db, 10)
    late = open_db()
    late.set_busy_timeout(0)
    late.execute("BEGIN; SELECT * FROM t")
    db.execute("UPDATE t SET text = 'theirs' WHERE id = 1")
    with pytest.raises(apsw.BusyError) as refused:
        late.execute("UPDATE t SET text = 'mine' WHERE id = 1")
    assert vars(refused.value)["extendedresult"] == apsw.SQLITE_BUSY_SNAPSHOT
    late.execute("ROLLBACK")
    late.execute("UPDATE t SET text = text || ' and mine' WHERE id = 1")
    assert db.execute("SELECT text FROM t WHERE id = 1").get == "theirs and mine"


def test_a_reader_may_be_garbage_that_is_collected_at_any_moment(db: apsw.Connection, path: Path) -> None:
    """Closing it gives its read point back, also where this thread is looking something up in the store."""
    fill(db, 10)
    reader = connect(path)
    reader.execute("BEGIN; SELECT * FROM t").fetchall()
    garbage: list[object] = [reader]
    garbage.append(garbage)
    state = store_of(db)._state
    assert sum(state.read_points.values()) == 1
    del reader, garbage
    with state.map_lock:
        gc.collect()
    assert not state.read_points


def test_two_writers_take_turns(db: apsw.Connection, open_db: Connect) -> None:
    db.execute("CREATE TABLE t (n)")
    other = open_db()
    other.set_busy_timeout(0)
    db.execute("BEGIN IMMEDIATE")
    with pytest.raises(apsw.BusyError):
        other.execute("BEGIN IMMEDIATE")
    db.execute("INSERT INTO t VALUES (1); COMMIT")
    other.execute("INSERT INTO t VALUES (2)")
    assert db.execute("SELECT count(*) FROM t").get == 2


def test_many_threads_count_without_losing_any(db: apsw.Connection, open_db: Connect) -> None:
    db.execute("CREATE TABLE n (value); INSERT INTO n VALUES (0)")
    failed: list[BaseException] = []

    def count() -> None:
        try:
            own = open_db()
            for _ in range(25):
                own.execute("UPDATE n SET value = value + 1")
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=count) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert db.execute("SELECT value FROM n").get == 200


def test_temporary_tables_and_sorts_larger_than_memory(db: apsw.Connection) -> None:
    fill(db, 20_000)
    db.execute(
        "PRAGMA cache_size = 5; PRAGMA temp_store = 1; CREATE TEMP TABLE copy AS SELECT * FROM t ORDER BY text DESC"
    )
    assert db.execute("SELECT count(*), min(id), max(id) FROM temp.copy").get == (20_000, 0, 19_999)
    assert db.execute("SELECT id FROM (SELECT * FROM temp.copy ORDER BY substr(text, 50) DESC) LIMIT 1").get == 19_999


def test_a_memory_database_can_be_attached_and_takes_part_in_a_transaction(db: apsw.Connection) -> None:
    fill(db, 10)
    db.execute("ATTACH ':memory:' AS m; CREATE TABLE m.t AS SELECT * FROM t")
    db.execute("BEGIN; DELETE FROM m.t; DELETE FROM main.t; COMMIT")
    assert db.execute("SELECT (SELECT count(*) FROM m.t) + (SELECT count(*) FROM main.t)").get == 0


def test_a_database_in_a_node_that_is_open(tmp_path: Path, cmk: str) -> None:
    from keystore.kms.connect import connector

    with Node.init(tmp_path / "node", cmk, connector()) as node:
        one, two = connect("orders/a.sqlite", node=node), connect("orders/a.sqlite", node=node)
        fill(one, 100)
        assert digest(two) == digest(one)
        other = connect("orders/b.sqlite", node=node, page_size=16384)
        assert other.pragma("page_size") == 16384
        assert node_of(other) is node
        for connection in (one, two, other):
            connection.close()
        with connect("orders/a.sqlite", node=node) as again:
            assert again.pragma("integrity_check") == "ok"
        again.close()
        assert [file.name for file in node.list_files("orders")] == ["a.sqlite", "b.sqlite"]
