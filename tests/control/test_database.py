"""The control database: opened by many at once, refused if newer, gone and back, and telling nothing secret."""

import multiprocessing
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa

from keystore.control import database as database_module
from keystore.control.database import Database, open_database
from keystore.control.tables import control, runs
from keystore.errors import (
    ControlConflictError,
    ControlError,
    ControlUnreachableError,
    ControlUrlError,
    PathMissingError,
)
from tests.control.postgres import Postgres

WAIT_S = 60
PROCESSES = 4


def _open_and_count(url: str, barrier: "multiprocessing.synchronize.Barrier") -> None:
    barrier.wait(WAIT_S)
    database = open_database(url)
    with database.write() as connection:
        connection.execute(control.update().values(last_epoch=control.c.last_epoch + 1))


def test_processes_that_start_at_once_on_an_empty_database_all_get_it(
    database_url: str, opened: Callable[[str], Database]
) -> None:
    spawn = multiprocessing.get_context("spawn")
    barrier = spawn.Barrier(PROCESSES)
    processes = [spawn.Process(target=_open_and_count, args=(database_url, barrier)) for _ in range(PROCESSES)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(WAIT_S)
    assert [process.exitcode for process in processes] == [0] * PROCESSES
    with opened(database_url).read() as connection:
        assert connection.scalars(sa.select(control.c.last_epoch)).all() == [PROCESSES]


def test_no_update_is_lost_between_threads(database: Database) -> None:
    def add() -> None:
        for _ in range(10):
            with database.write() as connection:
                connection.execute(control.update().values(last_epoch=control.c.last_epoch + 1))

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(add) for _ in range(4)]:
            done.result(WAIT_S)
    with database.read() as connection:
        assert connection.scalar(sa.select(control.c.last_epoch)) == 40


def test_a_block_that_raises_changes_nothing(database: Database) -> None:
    with pytest.raises(KeyError), database.write() as connection:  # noqa: PT012
        connection.execute(runs.insert().values(key="a", fence=1, epoch=1))
        raise KeyError
    with database.read() as connection:
        assert connection.execute(sa.select(runs)).all() == []


def test_a_row_that_is_there_is_a_conflict(database: Database) -> None:
    with database.write() as connection:
        connection.execute(runs.insert().values(key="a", fence=1, epoch=1))
    with pytest.raises(ControlConflictError, match="Nothing was changed"), database.write() as connection:  # noqa: PT012
        connection.execute(runs.update().values(fence=9))
        connection.execute(runs.insert().values(key="a", fence=2, epoch=1))
    with database.read() as connection:
        assert connection.scalar(sa.select(runs.c.fence)) == 1


def test_a_reader_waits_for_no_writer(database: Database) -> None:
    with database.write() as writing:
        writing.execute(runs.insert().values(key="a", fence=1, epoch=1))
        with database.read() as connection:
            assert connection.execute(sa.select(runs)).all() == []


def test_a_second_writer_on_sqlite_waits_before_it_reads(tmp_path: Path, opened: Callable[[str], Database]) -> None:
    database = opened(f"sqlite:///{tmp_path / 'control.db'}")
    first_reads, seen = threading.Event(), []

    def second() -> None:
        first_reads.wait(WAIT_S)
        with database.write() as connection:
            seen.append(connection.scalar(sa.select(control.c.last_epoch)))

    thread = threading.Thread(target=second)
    thread.start()
    with database.write() as connection:
        connection.execute(sa.select(control.c.last_epoch))
        first_reads.set()
        connection.execute(control.update().values(last_epoch=7))
    thread.join(WAIT_S)
    assert seen == [7]


@pytest.mark.parametrize(
    "url",
    [
        "",
        "control.db",
        "sqlite://",
        "sqlite:///:memory:",
        "mysql://user:hunter2@host/name",
        "mysql://user@host/name?password=hunter2",
        "postgresql://user:hunter2@host",
        "postgresql://user:hunter2@host:port/name",
    ],
)
def test_a_url_that_is_no_control_database_is_refused(url: str) -> None:
    with pytest.raises(ControlUrlError) as caught:
        open_database(url)
    assert "sqlite:///PATH or postgresql://" in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_a_missing_directory_is_told(tmp_path: Path) -> None:
    with pytest.raises(PathMissingError, match="directory is missing"):
        open_database(f"sqlite:///{tmp_path / 'no' / 'control.db'}")


def test_a_file_that_is_no_database_is_told_and_unchanged(tmp_path: Path) -> None:
    file = tmp_path / "control.db"
    file.write_bytes(b"not a database, and long enough to be looked at as one" * 100)
    before = file.read_bytes()
    with pytest.raises(ControlError, match="not a database"):
        open_database(f"sqlite:///{file}")
    assert file.read_bytes() == before


@pytest.mark.parametrize("name", ["directory", "long" * 100])
def test_a_file_that_cannot_be_opened_is_told(tmp_path: Path, name: str) -> None:
    (tmp_path / "directory").mkdir()
    with pytest.raises(ControlUnreachableError, match="unable to open database file"):
        open_database(f"sqlite:///{tmp_path / name}")


def test_the_file_is_for_its_owner_only(tmp_path: Path, opened: Callable[[str], Database]) -> None:
    opened(f"sqlite:///{tmp_path / 'control.db'}")
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes.pop("control.db") == 0o600
    assert set(modes.values()) <= {0o600}


def test_postgresql_goes_away_and_comes_back(postgres: Postgres, opened: Callable[[str], Database]) -> None:
    database = opened(postgres.create_database())
    postgres.stop()
    try:
        with pytest.raises(ControlUnreachableError, match="try again"), database.write() as connection:
            connection.execute(sa.select(control))
        with pytest.raises(ControlUnreachableError):
            open_database(database.url.render_as_string(hide_password=False))
    finally:
        postgres.start()
    with database.write() as connection:
        assert connection.scalar(sa.select(control.c.last_epoch)) == 0


def test_postgresql_goes_away_inside_a_transaction(postgres: Postgres, opened: Callable[[str], Database]) -> None:
    database = opened(postgres.create_database())
    with pytest.raises(ControlUnreachableError), database.write() as connection:  # noqa: PT012
        connection.execute(runs.insert().values(key="a", fence=1, epoch=1))
        postgres.stop()
        postgres.start()
    with database.read() as connection:
        assert connection.execute(sa.select(runs)).all() == []


@pytest.mark.parametrize("rest", ["keeper:hunter2@127.0.0.1:1/control", "keeper@127.0.0.1:1/control?password=hunter2"])
def test_no_password_is_shown(rest: str) -> None:
    database = Database(sa.make_url(f"postgresql+psycopg://{rest}"))
    assert "hunter2" not in repr(database)
    with pytest.raises(ControlUnreachableError) as caught, database.read():
        pass
    assert "hunter2" not in str(caught.value)
    assert "keeper" in str(caught.value)


def test_another_process_that_ends_leaves_the_log_of_this_one(
    tmp_path: Path, opened: Callable[[str], Database]
) -> None:
    path = tmp_path / "control.db"
    database = opened(f"sqlite:///{path}")
    with database.read() as first, database.read() as second:
        first.execute(sa.select(control)).all()
        second.execute(sa.select(control)).all()
    log = path.with_name("control.db-wal").stat().st_ino
    look = (
        "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('SELECT * FROM control').close(); c.close()"
    )
    subprocess.run([sys.executable, "-c", look, str(path)], check=True, timeout=60)
    assert path.with_name("control.db-wal").stat().st_ino == log
    with database.write() as connection:
        connection.execute(control.update().values(last_epoch=7))


def test_sqlite_that_another_one_writes_to_for_long_is_away_for_writers_only(
    tmp_path: Path, opened: Callable[[str], Database], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_module, "LOCK_WAIT_S", 0.2)
    path = tmp_path / "control.db"
    database = opened(f"sqlite:///{path}")
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(ControlUnreachableError, match="locked"), database.write() as connection:
            connection.execute(control.update().values(last_epoch=7))
        with database.read() as connection:
            assert connection.scalar(sa.select(control.c.last_epoch)) == 0
        other.execute("ROLLBACK")
    with database.write() as connection:
        connection.execute(control.update().values(last_epoch=7))


def test_sqlite_on_a_full_disk_changes_nothing_and_goes_on_when_there_is_room(
    tmp_path: Path, opened: Callable[[str], Database]
) -> None:
    database = opened(f"sqlite:///{tmp_path / 'control.db'}")
    row = runs.insert().values(key="a" * 20000, fence=1, epoch=1)
    with database.read() as connection:  # the one connection that there is, so far
        connection.exec_driver_sql("PRAGMA max_page_count = 1")
    with pytest.raises(ControlUnreachableError, match="full"), database.write() as connection:
        connection.execute(row)
    with database.read() as connection:
        assert connection.execute(sa.select(runs)).all() == []
        connection.exec_driver_sql("PRAGMA max_page_count = 1000000")
    with database.write() as connection:
        connection.execute(row)


def test_sqlite_that_may_only_be_read_is_told(tmp_path: Path, opened: Callable[[str], Database]) -> None:
    database = opened(f"sqlite:///{tmp_path / 'control.db'}")
    with database.read() as connection:
        connection.exec_driver_sql("PRAGMA query_only = ON")
    with pytest.raises(ControlUnreachableError, match="readonly"), database.write() as connection:
        connection.execute(control.update().values(last_epoch=7))
    with database.read() as connection:
        assert connection.scalar(sa.select(control.c.last_epoch)) == 0
