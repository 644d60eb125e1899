"""`keystore sqlite shell` and `dump`: statements, a whole database, and what goes wrong with them."""

import sqlite3
from pathlib import Path

import apsw
import pytest

from keystore.cli import exits
from keystore.engines.sqlite import connect
from tests.cli.running import keystore


@pytest.fixture
def database(tmp_path: Path, key: str) -> Path:
    done = keystore(
        "sqlite", "shell", tmp_path / "db", "CREATE TABLE t (id INTEGER PRIMARY KEY, text TEXT)",
        "INSERT INTO t VALUES (1, 'one'), (2, 'it''s two')", "--key", key,
    )  # fmt: skip
    assert done.code == 0
    return tmp_path / "db"


def test_statements_run_and_their_rows_are_printed(database: Path) -> None:
    done = keystore("sqlite", "shell", database, "SELECT text FROM t ORDER BY id", ".tables")
    assert done.code == 0
    assert "one" in done.out
    assert "it's two" in done.out


def test_a_dump_makes_the_database_again(database: Path) -> None:
    done = keystore("sqlite", "dump", database)
    assert done.code == 0
    again = sqlite3.connect(":memory:")
    again.executescript(done.out)
    assert again.execute("SELECT * FROM t ORDER BY id").fetchall() == [(1, "one"), (2, "it's two")]
    again.close()


def test_a_statement_that_sqlite_refuses_is_told_with_its_reason(database: Path) -> None:
    done = keystore("sqlite", "shell", database, "PRAGMA journal_mode = WAL")
    assert done.code == exits.USAGE
    assert "an encrypted database has no WAL" in done.err
    done = keystore("sqlite", "shell", database, "SELECT nothing FROM nowhere")
    assert done.code == exits.USAGE
    assert "nowhere" in done.err


def test_a_database_that_is_not_there_needs_a_key(tmp_path: Path) -> None:
    done = keystore("sqlite", "dump", tmp_path / "nothing")
    assert done.code == exits.USAGE
    assert not (tmp_path / "nothing").exists()


def test_a_plain_database_by_mistake(tmp_path: Path) -> None:
    plain = apsw.Connection(str(tmp_path / "plain"))
    plain.execute("CREATE TABLE t (a)")
    plain.close()
    done = keystore("sqlite", "dump", tmp_path / "plain")
    assert done.code == exits.USAGE
    assert "keystore sqlite import" in done.err


def test_one_that_is_open_elsewhere_is_locked(database: Path) -> None:
    connection = connect(database)
    done = keystore("ls", database)
    assert done.code == exits.LOCKED
    connection.close()


def test_another_key_than_its_own(database: Path, tmp_path: Path) -> None:
    other = str(keystore("keys", "create-file", tmp_path / "other", "--json").json["key"])
    done = keystore("sqlite", "shell", database, "SELECT 1", "--key", other)
    assert done.code == exits.DAMAGED
    assert "is under the key" in done.err
