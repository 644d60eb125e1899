"""Every command does what it says, for people and as JSON."""

import hashlib
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from unittest.mock import patch

import pytest

from keystore.cli import exits, output
from keystore.crypto.kernel import KERNEL
from tests.cli.conftest import Made
from tests.cli.running import keystore, process

COMMANDS = [
    "demo", "init", "import", "export", "ls", "verify", "repair", "compact", "stats", "rotate-master", "change-cmk",
    "rewrap-volume", "data-key", "reseal", "shred", "snapshot", "keys", "inspect", "doctor",
]  # fmt: skip


def test_help_names_every_command_and_exit_code() -> None:
    run = process("--help")
    assert run.code == 0
    assert [name for name in COMMANDS if f" {name} " not in run.out] == []
    for code in (0, 1, 2, 3, 4, 5, 6, 7, 8, 130, 141, 143):
        assert f" {code}: " in run.out
    for line in run.out.splitlines():
        assert len(line) <= 80


@pytest.mark.parametrize(
    "command", [*COMMANDS, "snapshot create", "snapshot list", "snapshot restore", "keys usage", "data-key list"]
)
def test_every_command_has_help(command: str) -> None:
    run = keystore(*command.split(), "--help")
    assert run.code == 0
    assert "Usage: keystore" in run.out
    if command not in ("snapshot", "keys", "data-key"):
        assert "--json" in run.out


def test_version() -> None:
    assert keystore("--version").out.startswith("keystore, version ")


def test_starting_loads_nothing_heavy() -> None:
    """`--help` and bad input come at once: numpy, gRPC, cryptography and rich's progress are loaded when needed."""
    code = (
        "import sys, keystore.cli.main; print(sorted(set(sys.modules) & {'numpy','grpc','cryptography','nacl','rich'}))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout == "[]\n"


def test_the_life_of_a_node(made: Made, tmp_path: Path) -> None:
    sha256 = hashlib.sha256(made.source.read_bytes()).hexdigest()
    listed = process("ls", made.node, "--json").json
    assert listed["ok"] is True
    assert (listed["name"], listed["master_key"]["encryption_key_id"]) == ("node", made.key)
    assert [(file["database"], file["name"], file["bytes"]) for file in listed["files"]] == [("db", "file", 200_000)]
    assert [data_key["generation"] for data_key in listed["databases"][0]["data_keys"]] == [1]

    verified = process("verify", made.node, "--json").json
    assert (verified["ok"], verified["pages"], verified["problems"]) == (True, 13, [])

    other = process("keys", "create-file", tmp_path / "other", "--json").json["key"]
    before = made.store.read_bytes()
    taken = process("snapshot", "create", made.node, tmp_path / "snaps", "--json").json
    assert (taken["encryption_key_id"], taken["bytes"], taken["pages"]) == (made.key, 200_000, 13)
    at_snapshot = made.store.read_bytes()
    rotated = process("rotate-master", made.node, "--json").json
    assert (rotated["old"]["generation"], rotated["new"]["generation"]) == (1, 2)
    changed = process("change-cmk", made.node, other, "--json").json
    assert (changed["old"]["encryption_key_id"], changed["new"]["encryption_key_id"]) == (made.key, other)
    assert made.store.read_bytes() == at_snapshot
    assert len(before) == len(at_snapshot)

    found = process("snapshot", "list", tmp_path / "snaps", "--json").json["snapshots"]
    assert [(item["snapshot_id"], item["state"], item["encryption_key_id"]) for item in found] == [
        (taken["snapshot_id"], "complete", made.key)
    ]
    usage = {
        item["key_version"]: ([row["node"] for row in item["nodes"]], [row["snapshot_id"] for row in item["snapshots"]])
        for item in process("keys", "usage", made.node, tmp_path / "snaps", "--json").json["keys"]
    }
    assert usage == {other: ([str(made.node)], []), made.key: ([], [taken["snapshot_id"]])}

    restored = process("snapshot", "restore", tmp_path / "snaps", "latest", tmp_path / "two", "--key", other, "--json")
    assert (restored.json["snapshot_encryption_key_id"], restored.json["encryption_key_id"]) == (made.key, other)
    exported = process("export", tmp_path / "two", "db/file", tmp_path / "out", "--json").json
    assert exported == {"ok": True, "file": "db/file", "bytes": 200_000, "sha256": sha256}
    assert (tmp_path / "out").read_bytes() == made.source.read_bytes()


def test_text_for_people_fits_and_tells_the_same(made: Made, tmp_path: Path) -> None:
    name = keystore("snapshot", "create", made.node, tmp_path / "snaps", "--quiet").out.strip()
    assert len(bytes.fromhex(name)) == 16
    shown = {
        "ls": keystore("ls", made.node).out,
        "verify": keystore("verify", made.node).out,
        "list": keystore("snapshot", "list", tmp_path / "snaps").out,
        "usage": keystore("keys", "usage", made.node, tmp_path / "snaps").out,
        "rotate": keystore("rotate-master", made.node).out,
        "restore": keystore("snapshot", "restore", tmp_path / "snaps", name[:20], tmp_path / "two").out,
        "export": keystore("export", made.node, "db/file", tmp_path / "out").out,
    }
    assert "db/file" in shown["ls"]
    assert "200.0 kB" in shown["ls"]
    assert "all good: 1 file, 13 pages" in shown["verify"]
    assert name[:12] in shown["list"]
    assert name in shown["usage"]
    assert str(made.node)[:10] in shown["usage"]
    assert "data written  none" in shown["rotate"]
    assert made.key in shown["restore"]
    assert hashlib.sha256(made.source.read_bytes()).hexdigest() in shown["export"]
    assert not any("\x1b" in text for text in shown.values())


def test_standard_input_is_a_source(made: Made, tmp_path: Path) -> None:
    run = keystore("import", made.node, "db/dir/piped", "-", "--page-size", "4096", "--json", stdin=b"piped" * 10_000)
    assert run.json["bytes"] == 50_000
    keystore("export", made.node, "db/dir/piped", tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == b"piped" * 10_000


def test_export_overwrites_only_when_told(made: Made, tmp_path: Path) -> None:
    (tmp_path / "out").write_bytes(b"mine")
    refused = keystore("export", made.node, "db/file", tmp_path / "out")
    assert refused.code == 7
    assert (tmp_path / "out").read_bytes() == b"mine"
    assert keystore("export", made.node, "db/file", tmp_path / "out", "--overwrite").code == 0
    assert (tmp_path / "out").read_bytes() == made.source.read_bytes()


def test_inspect_tells_what_each_file_is(made: Made, tmp_path: Path) -> None:
    taken = keystore("snapshot", "create", made.node, tmp_path / "snaps", "--json").json["snapshot_id"]
    place = tmp_path / "snaps"
    (pack,) = (place / "packs").iterdir()
    kinds = {}
    manifest = place / "manifests" / taken
    for path in (made.node, made.node / "keystore", made.node / "anchors", made.store, place, manifest, pack):
        run = keystore("inspect", path, "--json")
        assert run.code == 0, run
        kinds[path.name] = run.json["kind"]
        assert keystore("inspect", path).out.startswith("kind")
    assert kinds == {
        "node": "node directory",
        "keystore": "keystore file",
        "anchors": "anchors file",
        made.store.name: "page store",
        taken: "snapshot manifest",
        pack.name: "snapshot pack",
        "snaps": "snapshot target",
    }
    Path(made.key.removeprefix("local://")).unlink()
    found = keystore("inspect", manifest, "--json").json
    assert (found["snapshot_id"], found["encryption_key_id"]) == (taken, made.key)
    assert "file" not in json.dumps(found)


def test_doctor() -> None:
    run = keystore("doctor", "--json")
    assert run.code == 0
    assert run.json["page_kernel"] == KERNEL.name
    assert any("slower" in note for note in run.json["notes"][:1]) == (KERNEL.name == "portable")
    assert run.json["libraries"]["cryptography"]
    unreachable = keystore("doctor", "--kms-endpoint", "127.0.0.1:1", "--json")
    assert (unreachable.code, unreachable.json["ok"]) == (1, False)
    ways = {name: unreachable.json[f"{name}_keys"] for name in ("aws", "azure", "gcp")}
    assert set(ways.values()) == {"127.0.0.1:1, gRPC, no SDK"}
    assert unreachable.json["problems"] == ["nothing answers at the KMS endpoint 127.0.0.1:1"]
    mixed = {"KEYSTORE_AWS_ENDPOINT": "http://127.0.0.1:1", "KEYSTORE_KMS_ENDPOINT": "127.0.0.1:1"}
    run = keystore("doctor", "--json", env=mixed)
    assert (run.json["aws_keys"], run.json["gcp_keys"]) == ("http://127.0.0.1:1, by boto3", "127.0.0.1:1, gRPC, no SDK")
    assert len(run.json["problems"]) == 2
    assert "page kernel" in keystore("doctor").out


class Terminal(io.StringIO):
    """Text that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("after_s", "as_json", "shown"), [(0.0, False, True), (0.0, True, False), (60.0, False, False)]
)
def test_progress_shows_on_a_terminal_when_it_takes_long(after_s: float, as_json: bool, shown: bool) -> None:
    terminal = Terminal()
    with (
        patch.dict(os.environ, TERM="xterm"),
        patch.object(sys, "stderr", terminal),
        patch.object(output, "PROGRESS_AFTER_S", after_s),
        output.Output(as_json=as_json).progress("Copying pages") as progress,
    ):
        for done in range(0, 101, 10):
            progress(done << 20, 100 << 20)
    assert ("Copying pages" in terminal.getvalue()) is shown


def test_no_progress_where_nobody_looks() -> None:
    stream = io.StringIO()
    with (
        patch.object(sys, "stderr", stream),
        patch.object(output, "PROGRESS_AFTER_S", 0.0),
        output.Output(as_json=False).progress("Copying pages") as progress,
    ):
        progress(1, 2)
    assert stream.getvalue() == ""


def test_a_damaged_file_keeps_no_other_from_being_compacted(made: Made) -> None:
    damaged = made.store
    assert keystore("import", made.node, "db/other", made.source).code == exits.OK
    damaged.write_bytes(b"")
    run = keystore("compact", made.node, "--json")
    assert (run.code, run.json["ok"]) == (exits.DAMAGED, False)
    problems = {item["file"]: item["problem"] for item in run.json["files"]}
    assert problems["db/other"] is None
    assert "db/file" in problems["db/file"]
    run = keystore("compact", made.node)
    assert ("db/other:" in run.out, "db/file" in run.err) == (True, True)
