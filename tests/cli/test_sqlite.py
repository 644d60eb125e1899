"""`keystore sqlite import` and `export`."""

import sqlite3
from pathlib import Path

import pytest
import sqlcipher3

from keystore.cli import exits
from keystore.cli.connecting import first_connector
from keystore.demo.story import DATABASE, FILE, flip_one_bit
from keystore.kms.connect import connector
from keystore.kms.protocol import KmsConnector
from keystore.node.lock import DirectoryLock
from tests.cli.running import keystore

SECRET = "a secret of SQLCipher"


def rows(path: Path) -> list[tuple[int, str]]:
    with sqlite3.connect(path) as opened:
        found = opened.execute("SELECT * FROM t ORDER BY a").fetchall()
    opened.close()
    return found


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    path = tmp_path / "plain.sqlite"
    with sqlite3.connect(path) as made:
        made.execute("CREATE TABLE t (a, b)")
        made.executemany("INSERT INTO t VALUES (?, ?)", [(number, f"canary {number}") for number in range(500)])
    made.close()
    return path


@pytest.fixture
def ciphered(tmp_path: Path, plain: Path) -> Path:
    path = tmp_path / "ciphered.sqlite"
    made = sqlcipher3.connect(str(path), isolation_level=None)
    made.execute(f"PRAGMA key = '{SECRET}'")
    made.execute("CREATE TABLE t (a, b)")
    made.executemany("INSERT INTO t VALUES (?, ?)", rows(plain))
    made.close()
    (tmp_path / "secret").write_text(f"{SECRET}\n")
    return path


def test_a_plain_database_in_and_out(plain: Path, tmp_path: Path, key: str) -> None:
    database, out = tmp_path / "database", tmp_path / "out.sqlite"
    done = keystore("sqlite", "import", plain, database, "--key", key)
    assert done.code == 0, done.err
    assert "1 table, 500 rows, all compared" in done.out
    assert all(b"canary" not in path.read_bytes() for path in database.rglob("*") if path.is_file())
    assert keystore("verify", database).code == 0
    exported = keystore("sqlite", "export", database, out, "--json")
    assert (exported.code, exported.json["bytes"]) == (0, out.stat().st_size)
    assert rows(out) == rows(plain)
    assert keystore("sqlite", "export", database, out).code == 7
    assert keystore("sqlite", "export", database, out, "--overwrite").code == 0
    again = keystore("sqlite", "import", plain, database)
    assert (again.code, "has tables already" in again.err) == (7, True)
    assert keystore("sqlite", "export", database, out, "--overwrite").code == 0


def test_a_database_of_sqlcipher_into_a_node(ciphered: Path, plain: Path, tmp_path: Path, key: str) -> None:
    node, out = tmp_path / "node", tmp_path / "out.sqlite"
    assert keystore("init", node, "--key", key).code == 0
    place = (node, "--file", "shop/orders.sqlite")
    (tmp_path / "wrong").write_text("another")
    without = keystore("sqlite", "import", ciphered, *place)
    assert (without.code, "--sqlcipher-key-file" in without.err) == (2, True)
    wrong = keystore("sqlite", "import", ciphered, *place, "--sqlcipher-key-file", tmp_path / "wrong")
    assert (wrong.code, "SQLCipher does not open" in wrong.err) == (5, True), wrong.err
    assert keystore("ls", node, "--json").json["files"] == []
    done = keystore("sqlite", "import", ciphered, *place, "--sqlcipher-key-file", tmp_path / "secret", "--json")
    assert done.code == 0, done.err
    assert (done.json["rows"], done.json["verified"]) == (500, True)
    assert SECRET not in done.out + done.err + without.err + wrong.err
    assert keystore("sqlite", "export", node, out, "--file", "shop/orders.sqlite").code == 0
    assert rows(out) == rows(plain)
    nobody = keystore("sqlite", "export", node, out, "--file", "shop/nobody")
    assert (nobody.code, "has no file shop/nobody" in nobody.err) == (6, True), nobody.err


def test_a_damaged_page_is_named_and_nothing_is_exported(plain: Path, tmp_path: Path, key: str) -> None:
    node, out = tmp_path / "node", tmp_path / "out.sqlite"
    assert keystore("init", node, "--key", key).code == 0
    assert keystore("sqlite", "import", plain, node, "--file", f"{DATABASE}/{FILE}").code == 0
    page_no = flip_one_bit(node, connector())
    done = keystore("sqlite", "export", node, out, "--file", f"{DATABASE}/{FILE}", "--json")
    assert (done.code, done.json["error"]["type"]) == (exits.DAMAGED, "StoreDamagedError")
    assert f"page {page_no} is damaged" in done.json["error"]["message"]
    assert not out.exists()


def test_what_fails_leaves_nothing_new(plain: Path, tmp_path: Path, key: str) -> None:
    database = tmp_path / "database"
    for arguments, code in (
        ((plain, database), 2),
        ((tmp_path / "nobody", database, "--key", key), 6),
        ((plain, database, "--key", f"local://{tmp_path / 'nowhere'}"), 3),
        ((plain, database, "--key", key, "--sqlcipher-key-file", tmp_path / "nowhere"), 2),
        ((plain, database, "--key", key, "--sqlcipher-compatibility", "3"), 2),
        ((plain, database, "--key", key, "--sqlcipher-ask"), 2),
    ):
        done = keystore("sqlite", "import", *arguments)
        assert done.code == code, done.err
        assert not database.exists()
    mistaken = keystore("sqlite", "export", plain, tmp_path / "out")
    assert "keystore sqlite import" in mistaken.err
    assert rows(plain)[0] == (0, "canary 0")


@pytest.mark.parametrize("still_open", [False, True])
def test_what_another_imports_meanwhile_stays(
    plain: Path, tmp_path: Path, key: str, monkeypatch: pytest.MonkeyPatch, still_open: bool
) -> None:
    database, first = tmp_path / "database", first_connector
    others: list[DirectoryLock | None] = []

    def late(kms_endpoint: str | None) -> KmsConnector:
        if not others:
            others.append(None)
            assert keystore("sqlite", "import", plain, database, "--key", key).code == 0
            if still_open:
                others.append(DirectoryLock(database))
        return first(kms_endpoint)

    monkeypatch.setattr("keystore.cli.sqlite_commands.first_connector", late)
    done = keystore("sqlite", "import", plain, database, "--key", key)
    assert done.code != 0
    for lock in others:
        if lock is not None:
            lock.release()
    assert keystore("sqlite", "export", database, tmp_path / "out").code == 0
    assert rows(tmp_path / "out") == rows(plain)
