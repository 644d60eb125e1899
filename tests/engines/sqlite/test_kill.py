"""kill -9 at any moment of any transaction or import: nothing acknowledged is lost, and nothing is half there."""

import sqlite3
import subprocess
import sys
from pathlib import Path

import apsw
import pytest

from keystore.engines.sqlite import connect
from keystore.engines.sqlite.moving import import_database
from keystore.errors import InputError, KeyFileMissingError, NameUnknownError
from tests.engines.killing import killed_at

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("kills", "seed"),
    [(50, 1), pytest.param(500, 2, marks=[pytest.mark.soak, pytest.mark.timeout(1800)])],
)
def test_a_process_is_killed_again_and_again(tmp_path: Path, cmk: str, kills: int, seed: int) -> None:
    db = connect(tmp_path / "db", cmk=cmk)
    db.execute("CREATE TABLE t (n INTEGER, part INTEGER, data BLOB); CREATE INDEX by_n ON t (n)")
    db.execute("CREATE TABLE ends (n INTEGER PRIMARY KEY, parts INTEGER)")
    db.close()
    command = [sys.executable, "-m", "tests.engines.sqlite.victim", str(tmp_path / "db"), str(kills), str(seed)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert not done.returncode, done.stderr
    assert done.stdout.startswith(f"{kills} kills, ")


def tables_of(path: Path, cmk: str | None = None) -> int | None:
    """Return how many tables a database has; None where it says that it is not one yet."""
    try:
        db = connect(path, cmk=cmk)
    except (InputError, KeyFileMissingError, NameUnknownError):
        return None
    try:
        assert db.pragma("integrity_check") == "ok"
        count = int(db.execute("SELECT count(*) FROM sqlite_schema WHERE type = 'table'").get)
        assert not count or db.execute("SELECT (SELECT count(*) FROM t), (SELECT sum(a) FROM u)").get == (300, 4950)
        return count
    finally:
        db.close()


@pytest.mark.parametrize(("page_size", "step"), [(4096, 5), (1024, 9)])  # by pages, and by rows
def test_an_import_that_is_killed_is_whole_or_can_be_run_again(
    tmp_path: Path, cmk: str, page_size: int, step: int
) -> None:
    with sqlite3.connect(tmp_path / "plain") as plain:
        plain.execute(f"PRAGMA page_size = {page_size}")
        plain.execute("CREATE TABLE t (a, b)")
        plain.execute("CREATE TABLE u (a)")
        plain.executemany("INSERT INTO t VALUES (?, ?)", [(number, "x" * 100) for number in range(300)])
        plain.executemany("INSERT INTO u VALUES (?)", [(number,) for number in range(100)])
    plain.close()
    seen: list[int | None] = []
    for number in range(1, 400, step):
        path = tmp_path / f"db{number}"

        def work(path: Path = path) -> None:
            imported(tmp_path / "plain", connect(path, cmk=cmk))

        if not killed_at(number, work):
            break
        seen.append(tables_of(path))
        if not seen[-1]:
            imported(tmp_path / "plain", connect(path, cmk=cmk))
        assert tables_of(path, cmk) == 2
    assert {None, 0, 2} == set(seen)


def imported(source: Path, db: apsw.Connection) -> None:
    import_database(source, db)
    db.close()
