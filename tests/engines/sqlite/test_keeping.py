"""What the store promises holds on a SQLite database that is in use."""

import shutil
import threading
from pathlib import Path

import apsw
import pytest

from keystore.engines.sqlite import connect, node_of
from keystore.engines.sqlite.opening import DATABASE
from keystore.errors import StoreRolledBackError
from keystore.kms.connect import connector
from keystore.node.restoring import restore
from keystore.node.snapshotting import snapshot
from keystore.objects.directory import DirectoryPlace
from keystore.snapshots.at_time import PointInTime
from keystore.snapshots.names import snapshot_ids
from tests.engines.sqlite.conftest import Connect
from tests.engines.sqlite.opened import store_of


def fill(db: apsw.Connection) -> None:
    db.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, text TEXT)")
    with db:
        db.executemany("INSERT INTO t VALUES (?, ?)", ((number, "x" * 200) for number in range(1000)))


def texts(db: apsw.Connection) -> set[str]:
    assert db.pragma("integrity_check") == "ok"
    return {text for (text,) in db.execute("SELECT DISTINCT text FROM t")}


def test_a_snapshot_in_the_middle_of_a_transaction_has_the_one_before(
    db: apsw.Connection, tmp_path: Path, other_cmk: str
) -> None:
    place, node = tmp_path / "snapshots", node_of(db)
    place.mkdir()
    fill(db)
    db.pragma("cache_size", 5)
    db.execute("BEGIN; UPDATE t SET text = 'coming' || id || zeroblob(300)")
    assert store_of(db)._state.stages == 1
    snapshot(node, DirectoryPlace(place))
    db.execute("COMMIT")
    node.rotate_master()
    node.change_cmk(other_cmk)
    assert len(texts(db)) == 1000

    restore(DirectoryPlace(place), snapshot_ids(DirectoryPlace(place))[-1], tmp_path / "restored", connector())
    with connect(tmp_path / "restored") as restored:
        assert texts(restored) == {"x" * 200}
        restored.execute("UPDATE t SET text = 'restored'")
    restored.close()


def test_a_restore_to_a_time_gives_the_transactions_until_then(db: apsw.Connection, tmp_path: Path) -> None:
    place, node = tmp_path / "log", node_of(db)
    place.mkdir()
    node.log.enable(str(place))
    fill(db)
    snapshot(node, DirectoryPlace(place))
    db.pragma("cache_size", 5)
    moments = []
    for version in range(4):
        db.execute("UPDATE t SET text = ?", (f"version {version}" + "y" * 300,))
        moments.append(store_of(db)._state.time_ns)
    node.log.flush()
    target = DirectoryPlace(place)
    restore(target, snapshot_ids(target)[-1], tmp_path / "then", connector(), at=PointInTime(moments[2]))
    with connect(tmp_path / "then") as restored:
        assert texts(restored) == {"version 2" + "y" * 300}
    restored.close()


def test_data_keys_change_and_end_while_it_is_read_and_written(db: apsw.Connection, open_db: Connect) -> None:
    fill(db)
    node, reader = node_of(db), open_db()
    ended = threading.Event()
    failed: list[BaseException] = []

    def write() -> None:
        try:
            while not ended.is_set():
                reader.execute("UPDATE t SET text = text || 'z' WHERE id = (SELECT abs(random()) % 1000)")
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        for _ in range(3):
            node.new_data_key(DATABASE)
            store_of(db).reseal()
            assert len(texts(db)) < 1000
    finally:
        ended.set()
        thread.join()
    assert not failed
    store_of(db).reseal()
    assert [each.generation for each in store_of(db).key_references(settle=True) if each.entries] == [4]
    assert db.pragma("integrity_check") == "ok"


def test_a_check_goes_through_a_database_in_use(db: apsw.Connection) -> None:
    fill(db)
    db.pragma("cache_size", 5)
    db.execute("BEGIN; UPDATE t SET text = 'coming' || id || zeroblob(300)")
    assert node_of(db).verify().ok
    db.execute("ROLLBACK")
    assert node_of(db).verify().ok


def test_an_older_store_file_is_refused_as_rolled_back(open_db: Connect, path: Path) -> None:
    db = open_db()
    fill(db)
    db.close()
    (file,) = path.rglob("*.store")
    shutil.copy(file, path.parent / "older")
    db = open_db()
    db.execute("DELETE FROM t")
    db.close()
    shutil.copy(path.parent / "older", file)
    with pytest.raises(StoreRolledBackError, match="was rolled back"):
        connect(path)
