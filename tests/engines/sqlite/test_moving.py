"""Databases in from plain SQLite and from SQLCipher, and out: all of them, compared, or nothing."""

import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw
import pytest
import sqlcipher3

from keystore.engines.sqlite import connect, moving
from keystore.engines.sqlite.contents import quoted, schema, tables
from keystore.engines.sqlite.moving import (
    Imported,
    check,
    export_database,
    import_database,
    page_size_for,
)
from keystore.engines.sqlite.sources import CipherKey
from keystore.errors import (
    CopyDiffersError,
    EngineSetupError,
    InputError,
    PathMissingError,
    PathTakenError,
    StoreFullError,
    WrongKeyError,
)
from keystore.node.directory import Node
from keystore.node.reports import Transfer
from keystore.pages.blockfile import OsBlockFile
from tests.engines.sqlite.conftest import Connect

SECRET = 'it\'s "quoted" and ünïcode'

EVERYTHING = """
CREATE TABLE plain (a, b TEXT DEFAULT 'x', c REAL CHECK (c IS NULL OR c < 1e9));
CREATE TABLE "odd ""name" (rowid TEXT, "select" BLOB, PRIMARY KEY (rowid)) WITHOUT ROWID;
CREATE TABLE numbered (id INTEGER PRIMARY KEY AUTOINCREMENT, up INTEGER REFERENCES numbered, twice AS (id * 2) STORED);
CREATE TABLE no_alias (rowid, oid, _rowid_);
CREATE TABLE strict (a INT, b ANY) STRICT;
CREATE UNIQUE INDEX by_a ON plain (a, b COLLATE NOCASE) WHERE a > 10;
CREATE INDEX by_expression ON plain (abs(c));
CREATE VIEW seen AS SELECT a, nobody FROM plain, missing_table;
CREATE TRIGGER busy AFTER INSERT ON plain BEGIN INSERT INTO numbered (up) VALUES (new.a); END;
CREATE VIRTUAL TABLE found USING fts5(text, tokenize = 'porter');
CREATE VIRTUAL TABLE places USING rtree(id, x0, x1);
INSERT INTO plain (a, b, c) VALUES (1, NULL, 0.1), (2, '', -0.0), (9223372036854775807, 'ünï', 1e-300);
INSERT INTO plain (a, b, c) VALUES (NULL, 'z', NULL);
INSERT INTO plain (rowid, a) VALUES (-7, x'00ff'), (1000, zeroblob(20000));
WITH RECURSIVE n(i) AS (SELECT 11 UNION ALL SELECT i + 1 FROM n WHERE i < 1000)
    INSERT INTO plain SELECT i, 'row ' || i, i / 7.0 FROM n;
DELETE FROM plain WHERE a % 5 = 0 AND a > 100;
INSERT INTO "odd ""name" VALUES ('b', x'01'), ('a', x''), ('', NULL);
INSERT INTO no_alias VALUES (1, 2, 3), (1, 2, 3);
INSERT INTO strict VALUES (1, 'text'), (2, 2.5);
INSERT INTO found SELECT b FROM plain WHERE b LIKE 'row%';
INSERT INTO places VALUES (1, 0.5, 1.5), (2, -3, 3);
DELETE FROM numbered WHERE id > 50;
PRAGMA user_version = 77;
PRAGMA application_id = 1234;
ANALYZE;
"""


def plain_file(path: Path, *, page_size: int = 4096, wal: bool = False, script: str = EVERYTHING) -> Path:
    with sqlite3.connect(path) as made:
        made.execute(f"PRAGMA page_size = {page_size}")
        if wal:
            made.execute("PRAGMA journal_mode = WAL")
        made.executescript(script)
    made.close()
    return path


def cipher_file(path: Path, *, compatibility: int | None = None, script: str = EVERYTHING) -> Path:
    made = sqlcipher3.connect(str(path))
    made.execute("PRAGMA key = '" + SECRET.replace("'", "''") + "'")
    if compatibility is not None:
        made.execute(f"PRAGMA cipher_compatibility = {compatibility}")
    made.executescript(script)
    made.close()
    return path


def dump(connection: Any) -> list[tuple[Any, ...]]:
    """Everything that SQL tells of a database, by another way than the import's own comparison."""
    rows = [
        (each.name, *row)
        for each in tables(connection)
        for row in connection.execute(f"SELECT *, typeof({quoted(each.columns[0])}) FROM {quoted(each.name)}")
    ]
    return [*schema(connection), *sorted(rows, key=repr)]


Source = Callable[[Path], tuple[Path, CipherKey | None]]
SOURCES: dict[str, tuple[Source, bool]] = {
    "plain": (lambda path: (plain_file(path), None), True),
    "plain, in WAL mode": (lambda path: (plain_file(path, wal=True), None), True),
    "plain, large pages": (lambda path: (plain_file(path, page_size=65536), None), True),
    "plain, small pages": (lambda path: (plain_file(path, page_size=1024), None), False),
    "SQLCipher": (lambda path: (cipher_file(path), CipherKey(SECRET)), False),
    "SQLCipher 3": (lambda path: (cipher_file(path, compatibility=3), CipherKey(SECRET, 3)), False),
}


@pytest.mark.parametrize("kind", SOURCES)
def test_everything_comes_in_and_goes_out(path: Path, cmk: str, tmp_path: Path, kind: str) -> None:
    make, by_pages = SOURCES[kind]
    source, key = make(tmp_path / "source")
    before, steps = source.read_bytes(), list[tuple[int, int]]()
    db = connect(path, cmk=cmk, page_size=page_size_for(source))
    done = import_database(source, db, key, lambda *step: steps.append(step))
    assert (done.by_pages, source.read_bytes()) == (by_pages, before)
    assert steps == sorted(steps)
    assert all(0 <= at <= total for at, total in steps)
    assert [db.pragma(name) for name in ("user_version", "application_id", "integrity_check")] == [77, 1234, "ok"]
    assert list(db.execute("SELECT seq FROM sqlite_sequence")) != []
    assert list(db.execute("SELECT count(*) FROM found WHERE found MATCH 'rows'")) == [(810,)]
    assert list(db.execute("SELECT id FROM places WHERE x0 < 0")) == [(2,)]
    if key is None:
        with sqlite3.connect(source) as plain:
            assert dump(db) == dump(plain)
        plain.close()
    done_out = export_database(db, tmp_path / "out.sqlite")
    assert done_out.byte_length == (tmp_path / "out.sqlite").stat().st_size
    with sqlite3.connect(tmp_path / "out.sqlite") as plain:
        assert dump(plain) == dump(db)
        assert plain.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    plain.close()
    db.execute("INSERT INTO numbered (up) VALUES (3)")
    db.close()


def test_an_import_needs_an_empty_database(db: apsw.Connection, tmp_path: Path) -> None:
    source = plain_file(tmp_path / "source", script="CREATE TABLE t (a); INSERT INTO t VALUES (1);")
    assert import_database(source, db) == Imported(1, 1, True)
    with pytest.raises(PathTakenError, match="has tables already"):
        import_database(source, db)
    assert list(db.execute("SELECT * FROM t")) == [(1,)]


def test_sources_that_cannot_be_read_change_nothing(
    db: apsw.Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cipher, plain = cipher_file(tmp_path / "cipher"), plain_file(tmp_path / "plain")
    cut = tmp_path / "cut"
    cut.write_bytes(plain.read_bytes()[:-5000])
    raw = CipherKey("x'" + "00" * 32 + "'")
    cases: list[tuple[Path, CipherKey | None, type[Exception], str]] = [
        (tmp_path / "none", None, PathMissingError, "there is no file"),
        (cipher, None, InputError, "if SQLCipher made it"),
        (cipher, CipherKey("wrong"), WrongKeyError, "another key"),
        (cipher, CipherKey(SECRET, 3), WrongKeyError, "another version"),
        (cipher, CipherKey(""), InputError, "empty"),
        (cipher, raw, WrongKeyError, "another key"),
        (plain, CipherKey(SECRET), InputError, "leave the key of SQLCipher out"),
        (cut, None, InputError, "cut"),
        (tmp_path, None, InputError, "cannot be read"),
    ]
    for source, key, error, text in cases:
        with pytest.raises(error, match=text) as caught:
            import_database(source, db, key)
        assert SECRET not in str(caught.value) + repr(key)
    monkeypatch.setitem(sys.modules, "sqlcipher3", None)
    with pytest.raises(EngineSetupError, match=r"cmk-keystore\[sqlcipher\]"):
        import_database(cipher, db, CipherKey(SECRET))
    assert schema(db) == []
    check(db)


def test_what_cannot_be_copied_is_told_and_nothing_stays(db: apsw.Connection, tmp_path: Path) -> None:
    script = f"CREATE TABLE t (a); INSERT INTO t VALUES (CAST(x'{b'canary'.hex()}ff' AS TEXT));"
    plain = plain_file(tmp_path / "plain", page_size=1024, script=script)
    for source, key in ((cipher_file(tmp_path / "cipher", script=script), CipherKey(SECRET)), (plain, None)):
        with pytest.raises(InputError, match="cannot be copied") as caught:
            import_database(source, db, key)
        assert "canary" not in str(caught.value) + str(caught.value.__cause__)
        assert schema(db) == []


@pytest.mark.parametrize("kind", ["table", "index"])
@pytest.mark.parametrize("behind", ["; COMMIT; ATTACH ':memory:' AS x; BEGIN", "\0; COMMIT; BEGIN"])
def test_statements_that_a_forged_schema_hides_are_not_run(
    db: apsw.Connection, tmp_path: Path, kind: str, behind: str
) -> None:
    source = cipher_file(tmp_path / "cipher", script="CREATE TABLE t (a); CREATE INDEX i ON t (a);")
    with sqlcipher3.connect(str(source), isolation_level=None) as forged:
        forged.execute("PRAGMA key = '" + SECRET.replace("'", "''") + "'")
        forged.execute("PRAGMA writable_schema = ON")
        forged.execute("UPDATE sqlite_schema SET sql = sql || ? WHERE type = ?", (behind, kind))
    forged.close()
    with pytest.raises(InputError, match="more than it may"):
        import_database(source, db, CipherKey(SECRET))
    assert schema(db) == []
    assert db.db_names() == ["main", "temp"]


def test_the_name_of_a_forged_table_is_a_name(db: apsw.Connection, tmp_path: Path) -> None:
    source = plain_file(tmp_path / "source", page_size=1024, script="CREATE TABLE t (a); CREATE TABLE u (a); ANALYZE;")
    name = "sqlite_stat1; COMMIT; ATTACH ':memory:' AS x; BEGIN; --"
    with sqlite3.connect(source) as forged:
        forged.execute("PRAGMA writable_schema = ON")
        sql = f"CREATE TABLE {quoted(name)} (a)"
        forged.execute("UPDATE sqlite_schema SET name = ?, tbl_name = ?, sql = ? WHERE name = 't'", (name, name, sql))
    forged.close()
    with pytest.raises(InputError, match="cannot be copied"):
        import_database(source, db)
    assert schema(db) == []
    assert db.db_names() == ["main", "temp"]


@pytest.mark.parametrize("cipher", [False, True])
def test_a_full_disk_leaves_an_empty_database(
    db: apsw.Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cipher: bool
) -> None:
    make = cipher_file if cipher else plain_file
    source = make(tmp_path / "s", script="CREATE TABLE t (a); INSERT INTO t VALUES (randomblob(8000000));")

    def full(file: OsBlockFile, size: int, *, written: bool = False) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(OsBlockFile, "extend", full)
        with pytest.raises(StoreFullError, match="device is full"):
            import_database(source, db, CipherKey(SECRET) if cipher else None)
    assert schema(db) == []
    assert import_database(source, db, CipherKey(SECRET) if cipher else None).rows == 1


def test_a_copy_that_differs_is_told(db: apsw.Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = plain_file(tmp_path / "source", page_size=1024)
    counted = moving._counted

    def changed(rows: Any, count: Callable[[], None]) -> Any:
        for row in counted(rows, count):
            yield (*row[:-1], None) if row[-1] == 999 / 7.0 else row

    monkeypatch.setattr(moving, "_counted", changed)
    with pytest.raises(CopyDiffersError, match="table 'plain'"):
        import_database(source, db)
    monkeypatch.undo()
    assert schema(db) == []
    assert import_database(source, db).rows > 900


def test_an_export_is_whole_or_not_there_and_waits_for_no_writer(
    db: apsw.Connection, open_db: Connect, tmp_path: Path
) -> None:
    db.execute("CREATE TABLE t (a); INSERT INTO t VALUES (1)")
    taken = tmp_path / "taken"
    taken.write_bytes(b"mine")
    with pytest.raises(PathTakenError):
        export_database(db, taken)
    assert taken.read_bytes() == b"mine"
    writer = open_db()
    writer.set_busy_timeout(0)
    db.set_busy_timeout(0)
    writer.execute("BEGIN IMMEDIATE; INSERT INTO t VALUES (2)")
    with pytest.raises(apsw.BusyError):
        export_database(db, taken, overwrite=True)
    writer.execute("COMMIT")
    export_database(db, taken, overwrite=True)
    with sqlite3.connect(taken) as plain:
        assert plain.execute("SELECT a FROM t").fetchall() == [(1,), (2,)]
    plain.close()


def test_an_export_that_the_device_changed_is_told(
    db: apsw.Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    db.execute("CREATE TABLE t (a); INSERT INTO t VALUES (1)")
    export = Node.export_file

    def changed(node: Node, database: str, name: str, target: Path, **options: Any) -> Transfer:
        done = export(node, database, name, target, **options)
        target.write_bytes(target.read_bytes()[:-1] + b"!")
        return done

    monkeypatch.setattr(Node, "export_file", changed)
    with pytest.raises(CopyDiffersError, match="has not what was written"):
        export_database(db, tmp_path / "out")
