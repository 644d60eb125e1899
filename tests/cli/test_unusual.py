"""What no user makes on purpose: names that are no dates, files without end, no memory."""

import os
from pathlib import Path
from typing import BinaryIO

import pytest

from keystore.cli import exits
from keystore.format import keyfile, manifest
from tests.cli.conftest import Made
from tests.cli.running import keystore


def test_an_object_named_like_a_snapshot_of_the_far_future(made: Made, tmp_path: Path) -> None:
    assert keystore("snapshot", "create", made.node, tmp_path / "snaps").code == exits.OK
    (tmp_path / "snaps" / "begun" / ("f" * 32)).write_bytes(b"")
    assert "9999-12-31 23:59" in keystore("snapshot", "list", tmp_path / "snaps").out
    listed = keystore("snapshot", "list", tmp_path / "snaps", "--json").json["snapshots"]
    assert [found["state"] for found in listed] == ["complete", "incomplete"]


@pytest.mark.parametrize("magic", [keyfile.MAGIC, manifest.MAGIC])
def test_a_file_without_end_is_not_read_whole(tmp_path: Path, magic: bytes) -> None:
    path = tmp_path / "huge"
    path.write_bytes(magic)
    os.truncate(path, 1 << 40)
    assert "more than" in keystore("inspect", path, "--json").json["problem"]


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    run = keystore("inspect", tmp_path / "pipe")
    assert run.code == exits.USAGE
    assert "regular file" in run.err


def test_no_memory_is_told(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(fd: int, mode: str) -> BinaryIO:
        os.close(fd)
        raise MemoryError

    monkeypatch.setattr(os, "fdopen", refuse)
    run = keystore("ls", made.node, "--json")
    assert (run.code, run.json["error"]["type"]) == (exits.ERROR, "MemoryError")
