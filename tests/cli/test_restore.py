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
    run = keystore("snapshot", "restore", snapshots, "latest", tmp_path / "s", "--database", "other", "--resume")
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
