"""A key that is destroyed: no command that reads a node, its snapshots or its log has anything in clear any more."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from keystore.cli import exits
from tests.cli.running import Run, keystore
from tests.emulator_process import Emulator
from tests.emulator_process import emulator as emulator

CANARY = "a canary that sings in clear only "


@pytest.mark.row("R125")
@pytest.mark.parametrize("provider", ["aws", "azure", "gcp"])
def test_no_command_reads_anything_once_the_key_is_gone(tmp_path: Path, emulator: Emulator, provider: str) -> None:
    env = {"KEYSTORE_KMS_ENDPOINT": emulator.endpoint}
    key, other, to = emulator.create_key(provider), emulator.create_key(provider), tmp_path / "out"
    node, songs, kept, plain = (tmp_path / name for name in ("node", "songs", "snapshots", "plain"))

    def run(*arguments: str | Path, stdin: bytes = b"") -> Run:
        return keystore(*arguments, env=env, stdin=stdin)

    with closing(sqlite3.connect(plain)) as database, database:
        database.execute("CREATE TABLE songs AS SELECT ? AS text", (CANARY,))
    content = CANARY.encode() * 2000
    made = [
        run("init", node, "--key", key),
        run("log", "enable", node, kept),
        run("snapshot", "create", node, kept),
        run("import", node, "db/file", "-", stdin=content),
        run("sqlite", "import", plain, songs, "--key", key),
    ]
    assert [done.code for done in made] == [0] * 5, made
    snapshot = run("snapshot", "create", node, kept, "--json").json["snapshot_id"]
    plain.unlink()
    assert CANARY in run("sqlite", "dump", songs).out
    assert CANARY in run("export", node, "db/file", "-").out
    assert CANARY in run("snapshot", "export", kept, snapshot, "db/file", "-").out

    emulator.schedule_deletion(key)
    emulator.advance(100)
    reads: list[tuple[str | Path, ...]] = [
        ("export", node, "db/file", "-"),
        ("export", node, "db/file", to),
        ("sqlite", "dump", songs),
        ("sqlite", "export", songs, to),
        ("sqlite", "shell", songs, "SELECT * FROM songs"),
        ("ls", node),
        ("verify", node),
        ("stats", node),
        ("data-key", "list", node),
        ("snapshot", "create", node, tmp_path / "more"),
        ("change-cmk", node, other),
        ("rotate-master", node),
        ("convert", node, "--cmk", other),
        ("snapshot", "export", kept, snapshot, "db/file", "-"),
        ("snapshot", "export", kept, snapshot, "db/file", to),
        ("snapshot", "restore", kept, snapshot, tmp_path / "new"),
        ("snapshot", "restore", kept, snapshot, tmp_path / "new", "--key", other),
        ("snapshot", "verify", kept, "--restore"),
    ]
    for arguments in reads:
        done = run(*arguments)
        assert done.code == exits.KEY_INVALID, (arguments, done)
        assert CANARY not in done.out + done.err
    for needs_none in (run("inspect", node), run("snapshot", "list", kept), run("keys", "usage", node, kept)):
        assert CANARY not in needs_none.out
    assert not to.exists()
    assert not (tmp_path / "new").exists()
    held = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert {node, kept} <= {parent for path in held for parent in path.parents}
    assert not [path for path, found in held.items() if CANARY.encode() in found]
