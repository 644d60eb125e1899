"""`keystore sqlite shell` and `dump`: statements, a whole database, and what goes wrong with them."""

import os
import pty
import sqlite3
from contextlib import suppress
from pathlib import Path

import apsw
import pytest

from keystore.cli import exits
from keystore.engines.sqlite import connect
from tests.cli.running import PROGRAM, environment, keystore


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


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (".nope", ".nope failed: Unknown command"),
        (".mode nope", ".mode failed:"),
        (".connection 9", ".connection failed:"),
        (".backup copy", "`keystore sqlite export` writes a plain one"),
        (".open copy", "start another `keystore sqlite shell`"),
        (".restore copy", "there is no file copy"),
    ],
)
def test_a_command_of_the_shell_that_fails_is_told(
    database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, told: str
) -> None:
    monkeypatch.chdir(tmp_path)
    done = keystore("sqlite", "shell", database, command, "DELETE FROM t")
    assert done.code == exits.USAGE
    assert told in done.err
    assert ".." not in done.err
    assert not Path("copy").exists()
    assert "one" in keystore("sqlite", "shell", database, "SELECT text FROM t").out


def test_a_plain_database_takes_the_place_of_the_contents(database: Path, tmp_path: Path) -> None:
    plain = apsw.Connection(str(tmp_path / "plain"))
    plain.execute("CREATE TABLE other (a); INSERT INTO other VALUES ('from plain')")
    plain.close()
    assert keystore("sqlite", "shell", database, f".restore '{tmp_path / 'plain'}'").code == 0
    assert "from plain" in keystore("sqlite", "shell", database, "SELECT a FROM other").out


def test_a_script_goes_on_behind_a_mistake_and_ends_as_failed(database: Path) -> None:
    script = b"SELECT * FROM nowhere;\nINSERT INTO t VALUES (3, 'three');\n"
    done = keystore("sqlite", "shell", database, stdin=script)
    assert done.code == exits.USAGE
    assert "nowhere" in done.err
    assert keystore("sqlite", "shell", database, stdin=b"SELECT text FROM t WHERE id = 3;\n").out == "three\n"


@pytest.mark.parametrize(("command", "code"), [(".exit 1", 1), (".exit 3", 3), (".quit", 0)])
def test_the_shell_ends_with_the_code_that_is_asked_for(database: Path, command: str, code: int) -> None:
    done = keystore("sqlite", "shell", database, command, "DELETE FROM t")
    assert (done.code, done.out, done.err) == (code, "", "")
    done = keystore("sqlite", "shell", database, stdin=f"{command}\nDELETE FROM t;\n".encode())
    assert (done.code, done.out, done.err) == (code, "", "")
    assert "one" in keystore("sqlite", "shell", database, "SELECT text FROM t").out


def test_no_statement_that_was_typed_is_kept(database: Path, tmp_path: Path) -> None:
    child, terminal = pty.fork()
    if not child:
        os.execve(PROGRAM[0], [*PROGRAM, "sqlite", "shell", str(database)], environment({"HOME": str(tmp_path)}))
    os.write(terminal, b"SELECT 'canary' || 'bird';\n.quit\n")
    said = b""
    with suppress(OSError):  # which is how a terminal ends
        while part := os.read(terminal, 4096):
            said += part
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert b"canarybird" in said
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and b"canary" in path.read_bytes()]


def test_a_file_of_a_node(database: Path) -> None:
    done = keystore("sqlite", "shell", database, "--file", "main/main.sqlite", "SELECT text FROM t")
    assert (done.code, "one" in done.out) == (0, True)
    assert keystore("sqlite", "shell", database, "--file", "main/other", "SELECT 1").code == exits.NOT_THERE
    assert keystore("sqlite", "shell", database, "--file", "a/b", "--key", "local:///k").code == exits.USAGE


@pytest.mark.parametrize("command", ["shell", "dump"])
def test_a_database_that_is_not_there_is_told_and_not_made(tmp_path: Path, command: str) -> None:
    done = keystore("sqlite", command, tmp_path / "nothing")
    assert done.code == exits.NOT_THERE
    assert "there is no database at" in done.err
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
