"""Restoring on the command line: parts, one file in clear, and removing a file."""

from pathlib import Path

import pytest

from keystore.cli import exits
from tests.cli.conftest import Made
from tests.cli.running import keystore


@pytest.fixture
def snapshots(made: Made, tmp_path: Path) -> Path:
    assert keystore("import", made.node, "other/file", made.source).code == 0
    assert keystore("snapshot", "create", made.node, tmp_path / "snaps").code == 0
    return tmp_path / "snaps"


def test_parts_of_a_snapshot(made: Made, snapshots: Path, tmp_path: Path) -> None:
    run = keystore("snapshot", "restore", snapshots, "latest", tmp_path / "r", "--file", "db/file", "--json")
    assert (run.code, run.json["files"], run.json["resumed"]) == (0, 1, 0)
    run = keystore(
        "snapshot", "restore", snapshots, "latest", tmp_path / "s", "--database", "other", "--resume", "--read-back"
    )
    assert (run.code, "every page verified" in run.out) == (0, True)
    (file,) = keystore("ls", tmp_path / "s", "--json").json["files"]
    assert (file["database"], file["name"]) == ("other", "file")
    run = keystore("snapshot", "restore", snapshots, "latest", tmp_path / "t", "--file", "db/none", "--json")
    assert (run.code, run.json["error"]["type"]) == (exits.NOT_THERE, "NameUnknownError")
    assert not (tmp_path / "t").exists()


def test_a_file_in_clear(made: Made, snapshots: Path, tmp_path: Path) -> None:
    run = keystore("snapshot", "export", snapshots, "latest", "db/file", tmp_path / "out", "--json")
    assert (run.code, run.json["file"], run.json["bytes"]) == (0, "db/file", 200_000)
    assert (tmp_path / "out").read_bytes() == made.source.read_bytes()
    run = keystore("snapshot", "export", snapshots, "latest", "db/file", tmp_path / "out", "--json")
    assert run.code == exits.EXISTS
    assert keystore("snapshot", "export", snapshots, "latest", "db/file", "-", "--json").code == exits.USAGE


def test_the_outside_anchor_that_is_named_is_attached(made: Made, snapshots: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    named = "--outside-anchor", tmp_path / "outside"
    assert keystore(*named, "snapshot", "restore", snapshots, "latest", tmp_path / "r").code == 0
    assert keystore(*named, "ls", tmp_path / "r").code == 0
    run = keystore("--outside-anchor", tmp_path / "no", "snapshot", "restore", snapshots, "latest", tmp_path / "s")
    assert run.code != 0
    assert not (tmp_path / "s").exists()


def test_a_file_is_removed_after_a_yes(made: Made) -> None:
    run = keystore("rm", made.node, "db/file", "--json")
    assert (run.code, run.json["error"]["type"]) == (exits.USAGE, "UsageError")
    assert len(keystore("ls", made.node, "--json").json["files"]) == 1
    assert keystore("rm", made.node, "db/file", "--yes").out == "removed db/file\n"
    assert keystore("ls", made.node, "--json").json["files"] == []
    assert keystore("verify", made.node).code == 0
    assert keystore("rm", made.node, "db/file", "--yes").code == exits.NOT_THERE


@pytest.mark.parametrize("lost", ["missing", "cut"])
def test_a_file_whose_store_is_lost_is_removed(made: Made, lost: str) -> None:
    if lost == "missing":
        made.store.unlink()
    else:
        made.store.write_bytes(made.store.read_bytes()[:5000])
    assert keystore("ls", made.node).code == exits.DAMAGED
    assert keystore("rm", made.node, "db/file", "--yes").code == 0
    assert keystore("verify", made.node).code == 0


def test_into_a_node_after_a_yes(made: Made, snapshots: Path, tmp_path: Path) -> None:
    assert keystore("rm", made.node, "other/file", "--yes").code == 0
    assert keystore("import", made.node, "db/later", made.source).code == 0
    command = ("snapshot", "restore", snapshots, "latest", made.node, "--into")
    run = keystore(*command, "--json")
    assert (run.code, run.json["error"]["type"]) == (exits.USAGE, "UsageError")
    said = run.json["error"]["message"]
    assert (
        f"this replaces 1 file of {made.node} (db/file), adds 1 and leaves 1 as they are. Nothing was changed" in said
    )
    assert len(keystore("ls", made.node, "--json").json["files"]) == 2
    run = keystore(*command, "--yes", "--json")
    assert (run.code, run.json["replaced"], run.json["added"]) == (0, ["db/file"], ["other/file"])
    assert (run.json["master_key_generation"], run.json["encryption_key_id"]) == (2, made.key)
    assert len(keystore("ls", made.node, "--json").json["files"]) == 3
    assert "1 -> 2" not in keystore(*command, "--yes").out
    assert keystore("verify", made.node).code == 0


@pytest.mark.parametrize("option", [("--key", "local:///x"), ("--volume-key", "local:///x"), ("--resume",)])
def test_what_is_for_new_nodes_does_not_go_with_into(made: Made, snapshots: Path, option: tuple[str, ...]) -> None:
    run = keystore("snapshot", "restore", snapshots, "latest", made.node, "--into", "--yes", *option, "--json")
    assert (run.code, run.json["error"]["type"]) == (exits.USAGE, "UsageError")


def test_the_message_about_a_lost_store_names_the_command_that_brings_it_back(made: Made, tmp_path: Path) -> None:
    assert keystore("snapshot", "create", made.node, tmp_path / "snaps").code == 0
    made.store.unlink()
    run = keystore("verify", made.node)
    assert run.code == exits.DAMAGED
    assert "keystore snapshot restore --into --file" in run.out + run.err
    options = ("--into", "--file", "db/file", "--yes")
    assert keystore("snapshot", "restore", tmp_path / "snaps", "latest", made.node, *options).code == 0
    assert keystore("verify", made.node).code == 0
    run = keystore("snapshot", "restore", tmp_path / "snaps", "latest", made.node)
    assert (run.code, "--into" in run.err) == (exits.EXISTS, True)


def test_a_signer_that_nobody_knows_has_to_be_named_or_trusted(made: Made, snapshots: Path, tmp_path: Path) -> None:
    here = {"KEYSTORE_KNOWN_NODES": str(tmp_path / "known")}
    shown = keystore("node-key", "show", made.node, "--json").json
    command = ("snapshot", "restore", snapshots, "latest")
    run = keystore(*command, tmp_path / "r", "--json", env=here)
    assert (run.code, run.json["error"]["type"]) == (exits.NOT_TRUSTED, "SignerUnknownError")
    assert f"keystore node-key trust {shown['node_id']} {shown['public_key']}" in run.json["error"]["message"]
    run = keystore(*command, tmp_path / "r", "--signer", "11" * 32, "--json", env=here)
    assert (run.code, run.json["error"]["type"]) == (exits.DAMAGED, "SignerChangedError")
    assert not (tmp_path / "r").exists()
    assert keystore(*command, tmp_path / "r", "--signer", shown["public_key"], env=here).code == 0
    known = [node["node_id"] for node in keystore("node-key", "list", "--json", env=here).json["nodes"]]
    assert shown["node_id"] not in known
    assert len(known) == 1
    run = keystore(
        "snapshot", "export", snapshots, "latest", "db/file", tmp_path / "f", "--trust-on-first-use", env=here
    )
    assert run.code == 0
    known = [node["node_id"] for node in keystore("node-key", "list", "--json", env=here).json["nodes"]]
    assert shown["node_id"] in known
    assert keystore(*command, tmp_path / "s", env=here).code == 0


def test_a_restore_says_whose_credentials_opened_the_snapshot(made: Made, snapshots: Path, tmp_path: Path) -> None:
    run = keystore("snapshot", "restore", snapshots, "latest", tmp_path / "r", "--json")
    assert run.json["credentials"] == {"name": None, "of_the_snapshot": False}


def test_a_credentials_file_that_cannot_be_used_is_told(made: Made, snapshots: Path, tmp_path: Path) -> None:
    (tmp_path / "credentials.toml").write_text("[a]\nprovider = 'aws'\naccess_key_id = 'x'\n")
    named = ("--credentials-file", tmp_path / "credentials.toml")
    run = keystore(*named, "snapshot", "restore", snapshots, "latest", tmp_path / "r", "--json")
    assert (run.code, run.json["error"]["type"]) == (exits.USAGE, "CredentialsFileError")
    assert "section 'a' lacks secret_access_key" in run.json["error"]["message"]
    assert not (tmp_path / "r").exists()
