"""Paths of every kind where one is expected: what is there, what is missing, what is something else."""

import os
import socket
from pathlib import Path

import pytest

from keystore.cli import exits
from tests.cli.conftest import Made
from tests.cli.running import Run, keystore


def refused(run: Run, code: int, kind: str, *words: str) -> None:
    assert run.code == code, run
    error = run.json["error"]
    assert (run.json["ok"], error["type"]) == (False, kind)
    for word in words:
        assert word in error["message"]


@pytest.fixture
def snapshots(made: Made, tmp_path: Path) -> Path:
    assert keystore("snapshot", "create", made.node, tmp_path / "snaps").code == 0
    return tmp_path / "snaps"


@pytest.mark.parametrize(
    "place", ["", "node/databases", "node/databases/HEX", "snaps/HEX", "empty", "source.bin", "no"]
)
def test_a_report_of_nothing_is_refused(made: Made, snapshots: Path, tmp_path: Path, place: str) -> None:
    """An empty report would say that every key can be deleted."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "keystore").write_bytes(b"a file of somebody else")
    (tmp_path / "node" / "databases" / ("0" * 32)).mkdir()
    parent = tmp_path / place.removesuffix("HEX")
    chosen = next(parent.iterdir()) if place.endswith("HEX") else parent
    run = keystore("keys", "usage", made.node, chosen, "--json")
    refused(run, exits.NOT_THERE, "PathMissingError", f"no node and no snapshot in {chosen}")
    refused(keystore("snapshot", "list", chosen, "--json"), exits.NOT_THERE, "PathMissingError", "no snapshot in")
    refused(
        keystore("snapshot", "list", made.node, "--json"), exits.NOT_THERE, "PathMissingError", "belongs to the node"
    )


def test_a_place_that_cannot_be_read_makes_the_report_fail(made: Made, snapshots: Path, tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    run = keystore("keys", "usage", made.node, tmp_path / "loop", "--json")
    assert (run.code, run.json["ok"], len(run.json["keys"]), len(run.json["problems"])) == (exits.ERROR, False, 1, 1)
    refused(keystore("snapshot", "list", tmp_path / "loop", "--json"), exits.ERROR, "PlaceError", "cannot list")
    (manifest,) = snapshots.glob("manifests/*")
    manifest.write_bytes(manifest.read_bytes()[:-1])
    run = keystore("keys", "usage", made.node, snapshots, "--json")
    assert (run.code, run.json["ok"], len(run.json["keys"]), len(run.json["problems"])) == (exits.DAMAGED, False, 1, 1)
    run = keystore("keys", "usage", made.node, snapshots)
    assert "no key is known to be unused" in run.err


def test_what_exists_is_7_and_what_is_missing_is_6(made: Made, snapshots: Path, tmp_path: Path) -> None:
    there, missing = tmp_path / "source.bin", tmp_path / "no"
    for taken in (
        ("init", made.node, "--key", made.key),
        ("export", made.node, "db/file", there),
        ("import", made.node, "db/file", there),
        ("keys", "create-file", there),
        ("snapshot", "restore", snapshots, "latest", made.node),
        ("demo", "--keep", made.node),
    ):
        assert keystore(*taken, "--json").code == exits.EXISTS, taken
    for absent in (
        ("ls", missing),
        ("import", made.node, "db/new", missing),
        ("export", made.node, "db/no", missing),
        ("inspect", missing),
        ("demo", missing),
        ("snapshot", "list", missing),
        ("snapshot", "restore", missing, "latest", tmp_path / "new"),
        ("keys", "usage", missing),
    ):
        assert keystore(*absent, "--json").code == exits.NOT_THERE, absent
    for orphan in (
        ("init", missing / "node", "--key", made.key),
        ("export", made.node, "db/file", missing / "file"),
        ("keys", "create-file", missing / "key"),
        ("snapshot", "restore", snapshots, "latest", missing / "node"),
        ("demo", "--keep", missing / "kept"),
    ):
        refused(keystore(*orphan, "--json"), exits.NOT_THERE, "PathMissingError", "its directory is missing")
    orphan_place = keystore("snapshot", "create", made.node, missing / "snaps", "--json")
    refused(orphan_place, exits.NOT_THERE, "PlaceMissingError", "its directory is missing")
    assert not missing.exists()


def test_the_empty_path_is_no_path(made: Made, tmp_path: Path) -> None:
    for arguments in (
        ("init", "", "--key", made.key),
        ("ls", ""),
        ("export", made.node, "db/file", ""),
        ("snapshot", "create", made.node, ""),
        ("snapshot", "restore", "", "latest", tmp_path / "new"),
        ("snapshot", "restore", tmp_path, "latest", ""),
        ("keys", "usage", ""),
        ("inspect", ""),
        ("demo", "--keep", ""),
    ):
        refused(keystore(*arguments, "--json"), exits.USAGE, "UsageError", "an empty path")


def test_nothing_is_made_inside_a_node_or_among_snapshots(made: Made, snapshots: Path, tmp_path: Path) -> None:
    manifests = snapshots / "manifests"
    (manifest,) = manifests.iterdir()
    before = sorted(tmp_path.rglob("*"))
    (tmp_path / "link").symlink_to(made.node)
    for arguments in (
        ("snapshot", "create", made.node, made.node / "snaps"),
        ("snapshot", "create", made.node, tmp_path / "link" / "snaps"),
        ("snapshot", "create", made.node, manifests),
        ("snapshot", "restore", snapshots, "latest", made.node / "new"),
        ("snapshot", "restore", snapshots, "latest", snapshots / "new"),
        ("snapshot", "restore", snapshots, "latest", manifests / "new"),
        ("init", made.node / "databases" / "new", "--key", made.key),
        ("export", made.node, "db/file", made.node / "new"),
        ("export", made.node, "db/file", made.node / "keystore", "--overwrite"),
        ("export", made.node, "db/file", manifest, "--overwrite"),
    ):
        refused(keystore(*arguments, "--json"), exits.USAGE, "InputError", "is inside")
    (tmp_path / "link").unlink()
    assert sorted(tmp_path.rglob("*")) == before
    assert keystore("verify", made.node).code == 0


def test_export_replaces_regular_files_only(made: Made, tmp_path: Path) -> None:
    (tmp_path / "directory").mkdir()
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(os.path.relpath(tmp_path / "socket"))  # the path of a socket is short
        null = Path("/dev/null").stat()
        for name in ("directory", "pipe", "socket", "/dev/null"):
            run = keystore("export", made.node, "db/file", tmp_path / name, "--overwrite", "--json")
            refused(run, exits.EXISTS, "PathTakenError", "no regular file")
        assert Path("/dev/null").stat().st_ino == null.st_ino
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_export_follows_symbolic_links_and_keeps_the_mode(made: Made, tmp_path: Path) -> None:
    content, out, link = made.source.read_bytes(), tmp_path / "out", tmp_path / "link"
    link.symlink_to("out")
    refused(keystore("export", made.node, "db/file", link, "--json"), exits.EXISTS, "PathTakenError")
    assert keystore("export", made.node, "db/file", link, "--overwrite").code == 0
    assert (link.is_symlink(), out.read_bytes(), out.stat().st_mode & 0o777) == (True, content, 0o600)
    out.write_bytes(b"former")
    out.chmod(0o640)
    assert keystore("export", made.node, "db/file", link, "--overwrite").code == 0
    assert (link.is_symlink(), out.read_bytes(), out.stat().st_mode & 0o777) == (True, content, 0o640)


def test_export_to_standard_output(made: Made, tmp_path: Path) -> None:
    made.source.write_bytes(b"text " * 1000)
    assert keystore("import", made.node, "db/text", made.source).code == 0
    run = keystore("export", made.node, "db/text", "-")
    assert (run.code, run.out) == (0, "text " * 1000)
    assert "exported db/text: 5.0 kB" in run.err
    refused(keystore("export", made.node, "db/text", "-", "--json"), exits.USAGE, "UsageError", "cannot take both")


def test_a_failed_init_leaves_nothing(made: Made, tmp_path: Path) -> None:
    gone = f"local://{tmp_path / 'gone'}"
    refused(keystore("init", tmp_path / "new", "--key", gone, "--json"), exits.KEY_INVALID, "KeyNotFoundError")
    assert not (tmp_path / "new").exists()
    (tmp_path / "mine").mkdir(mode=0o755)
    assert keystore("init", tmp_path / "mine", "--key", gone).code == exits.KEY_INVALID
    assert ((tmp_path / "mine").stat().st_mode & 0o777, list((tmp_path / "mine").iterdir())) == (0o755, [])
    assert keystore("init", tmp_path / "mine", "--key", made.key).code == 0
    assert (tmp_path / "mine").stat().st_mode & 0o777 == 0o700


def test_inspect_of_what_is_not_ours(tmp_path: Path) -> None:
    for content, words in ((b"", "it is empty"), (b"some text\n", "begins with 73 6f 6d")):
        (tmp_path / "other").write_bytes(content)
        run = keystore("inspect", tmp_path / "other", "--json")
        refused(run, exits.USAGE, "InputError", words)
        assert "restore" not in run.json["error"]["message"]
