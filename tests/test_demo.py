"""The demo: what it claims, how it looks, and that it leaves nothing behind, however it ends."""

import hashlib
import json
import os
import pty
import re
import secrets
import signal
import subprocess
import tarfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from keystore.demo import sample
from keystore.demo.emulator import EmulatorProcess
from keystore.demo.story import short_key
from tests.cli.running import PROGRAM, TIMEOUT_S, environment, process

MARK = "DEMO_TEST_MARK"


@dataclass
class Place:
    """A temporary directory of its own, and a mark on every process of a run."""

    path: Path
    mark: str = field(default_factory=lambda: secrets.token_hex(8))

    def start(
        self, *arguments: str | Path, command: tuple[str, ...] = ("demo",), **pipes: Any
    ) -> subprocess.Popen[bytes]:
        """Start a demo; it, and whatever it starts, carries the mark."""
        env = environment({"TMPDIR": str(self.path), MARK: self.mark, "COLUMNS": "80"})
        return subprocess.Popen([*PROGRAM, *command, *map(str, arguments)], env=env, **pipes)

    def run(self, *arguments: str | Path, command: tuple[str, ...] = ("demo",)) -> tuple[int, str, str]:
        with self.start(*arguments, command=command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
            out, err = running.communicate(timeout=TIMEOUT_S)
        return running.returncode, out.decode(), err.decode()

    def processes(self) -> list[int]:
        """Return the processes that carry the mark."""
        found = []
        for entry in Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and self.mark.encode() in (entry / "environ").read_bytes():
                    found.append(int(entry.name))
            except OSError:
                continue
        return found

    def assert_empty(self) -> None:
        assert self.processes() == []
        assert list(self.path.iterdir()) == []


@pytest.fixture
def place(tmp_path: Path) -> Place:
    (tmp_path / "tmp").mkdir()
    return Place(tmp_path / "tmp")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "input"
    path.write_bytes(os.urandom(300_000))
    return path


def test_the_story_in_one_object(place: Place, source: Path) -> None:
    code, out, err = place.run(source, "--json")
    assert (code, err) == (0, "")
    told = json.loads(out)
    sha256 = hashlib.sha256(source.read_bytes()).hexdigest()
    assert told["ok"] is True
    assert told["input_bytes"] == 300_000
    assert told["data_bytes_written_by_rotation"] == 0
    assert [node["provider"] for node in told["nodes"]] == ["aws", "azure", "gcp"]
    assert len({node["name"] for node in told["nodes"]}) == 3
    for node in told["nodes"]:
        assert (node["input_sha256"], node["restored_sha256"]) == (sha256, sha256)
        check_keys(node)
    refused, first = told["refused_restore"], told["nodes"][0]
    assert refused["error"] == "KeyDisabledError"
    assert refused["encryption_key_id"] == first["keys"]["init"]["encryption_key_id"]
    assert "Re-enable the key" in refused["reason"]
    assert refused["encryption_key_id"] in refused["reason"]
    assert refused["target_created"] is False
    found = told["flipped_bit_found_at"]
    assert (found["store"], found["part"], found["number"], found["pages_read"]) == ("demo/input", "page", 9, 19)
    assert told["kms_calls"]["plaintext_bytes_max"] == 32
    steps = [
        "start_kms",
        "init",
        "import",
        "snapshot",
        "rotate",
        "change_cmk",
        "refuse",
        "restore",
        "flip_bit",
        "call_log",
    ]
    assert list(told["seconds"]) == steps
    place.assert_empty()


def check_keys(node: dict[str, Any]) -> None:
    """Assert that the key ids of a node tell the story."""
    keys = node["keys"]
    assert list(keys) == ["init", "snapshot", "rotate", "change_cmk", "restore"]
    old, new = keys["init"]["encryption_key_id"], keys["change_cmk"]["encryption_key_id"]
    assert old != new
    assert old.startswith(node["provider"] + "://")
    assert new.startswith(node["provider"] + "://")
    assert [keys[step]["encryption_key_id"] for step in ("snapshot", "rotate")] == [old, old]
    assert keys["restore"]["encryption_key_id"] == new
    assert keys["restore"]["snapshot_encryption_key_id"] == old
    assert [keys[step]["master_key_generation"] for step in ("init", "rotate", "change_cmk", "restore")] == [1, 2, 3, 1]
    assert len({keys[step]["master_key"] for step in ("init", "rotate", "change_cmk", "restore")}) == 4


def test_as_plain_lines(place: Place, source: Path) -> None:
    code, out, err = place.run(source)
    assert (code, err) == (0, "")
    assert "\x1b" not in out
    assert "\r" not in out
    assert max(map(len, out.splitlines())) <= 80
    assert re.search(r"^ 7  Disable an old key: its snapshot does not open +\d+\.\d s$", out, re.MULTILINE)
    assert out.count("data written: 0 bytes") == 2
    assert out.count("  same") == 3
    assert "found at: demo/input, page 9" in out
    place.assert_empty()


def test_on_a_terminal(place: Place, source: Path) -> None:
    ours, theirs = pty.openpty()
    running = place.start(source, stdout=theirs, stderr=theirs, stdin=subprocess.DEVNULL)
    os.close(theirs)
    shown = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # the terminal's other side is closed
            break
        if not part:
            break
        shown += part
    os.close(ours)
    assert running.wait(TIMEOUT_S) == 0
    plain = re.sub(r"\x1b\[[0-9;]*m", "", shown.decode())
    assert "\x1b[1m" in shown.decode()
    assert "100 %" in plain
    for line in re.split(r"[\r\n]+", plain):
        assert len(line) <= 80
    place.assert_empty()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_in_the_middle_leaves_nothing(place: Place, tmp_path: Path, number: signal.Signals, code: int) -> None:
    large = tmp_path / "large"
    with large.open("wb") as file:
        file.truncate(200 << 20)
    running = place.start(large, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    with running:
        assert running.stdout is not None
        for line in running.stdout:
            if b"Make three nodes" in line:
                break
        assert len(place.processes()) == 2
        running.send_signal(number)
        _, err = running.communicate(timeout=TIMEOUT_S)
    assert running.returncode == code
    assert b"Traceback" not in err
    place.assert_empty()


def test_kept_and_served_again(place: Place, source: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    code, out, _ = place.run(source, "--keep", kept, "--json")
    assert code == 0
    told = json.loads(out)
    assert told["kept"] == str(kept)
    place.assert_empty()
    with EmulatorProcess(tmp_path / "log", kept / "kms") as emulator:
        env = {"KEYSTORE_KMS_ENDPOINT": emulator.endpoint}
        for node in told["nodes"]:
            listed = process("ls", kept / node["name"], "--json", env=env).json
            assert listed["master_key"]["name"] == node["keys"]["change_cmk"]["master_key"]
            assert process("verify", kept / f"{node['name']}-restored", env=env).code == 0
        assert process("verify", kept / "flipped", env=env).code == 5
    code, out, err = place.run(source, "--keep", kept)
    assert code == 7
    assert "exists and is unchanged" in err
    assert (kept / "node-aws" / "keystore").exists()


def test_a_file_that_is_not_there(place: Place, tmp_path: Path) -> None:
    code, out, _ = place.run(tmp_path / "nowhere", "--json")
    assert (code, json.loads(out)["error"]["type"]) == (6, "PathMissingError")
    place.assert_empty()


def test_the_sample_is_the_same_every_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library = tmp_path / "lib"
    for name in ("a.py", "pkg/b.py", "pkg/__pycache__/b.pyc", "site-packages/c.py", "test/d.py"):
        (library / name).parent.mkdir(parents=True, exist_ok=True)
        (library / name).write_text(name)
    monkeypatch.setattr("sysconfig.get_paths", lambda: {"stdlib": str(library)})
    sample.write_sample(tmp_path / "1.tar")
    os.utime(library / "a.py", (1, 1))
    sample.write_sample(tmp_path / "2.tar")
    assert (tmp_path / "1.tar").read_bytes() == (tmp_path / "2.tar").read_bytes()
    with tarfile.open(tmp_path / "1.tar") as archive:
        assert archive.getnames() == ["a.py", "pkg/b.py"]


@pytest.mark.parametrize(
    ("uri", "short"),
    [
        ("aws://us-east-1/25662412-7837-407f-b217-2e052a8ea311", "aws://…/25662412…"),
        ("azure://demo-vault/demo-cmk-1/b24dc172d4ffa60ab25611a6a7330d06", "azure://…/demo-cmk-1/b24dc172…"),
        ("gcp://projects/p/locations/l/keyRings/r/cryptoKeys/k/cryptoKeyVersions/12", "gcp://…/k/12"),
    ],
)
def test_short_key_ids(uri: str, short: str) -> None:
    assert short_key(uri) == short
