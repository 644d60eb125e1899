"""A process that dies at any operation of any change: the node opens afterwards, and nothing is lost or left."""

import hashlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from keystore.errors import KeyFileMissingError, NodeMissingError
from keystore.keys.files import Files, temporary_path
from keystore.kms.protocol import KmsConnector
from keystore.node.directory import Node

KILLED = 137


class KillingFiles(Files):
    """Ends the process, without any clean-up, at the operation with number `at` (from 0); a write is half done then."""

    def __init__(self, at: int) -> None:
        self._left = at

    def _step(self) -> None:
        if self._left == 0:
            os._exit(KILLED)
        self._left -= 1

    def create(self, path: Path) -> int:
        self._step()
        return super().create(path)

    def write(self, fd: int, offset: int, data: bytes | bytearray | memoryview) -> None:
        if self._left == 0 and len(data) > 512:
            super().write(fd, offset, data[: len(data) // 2])
        self._step()
        super().write(fd, offset, data)

    def sync(self, fd: int) -> None:
        self._step()
        super().sync(fd)

    def rename(self, old: Path, new: Path) -> None:
        self._step()
        super().rename(old, new)

    def remove(self, path: Path) -> None:
        self._step()
        super().remove(path)

    def make_directory(self, path: Path, *, exist_ok: bool = True) -> None:
        self._step()
        super().make_directory(path, exist_ok=exist_ok)

    def sync_directory(self, path: Path) -> None:
        self._step()
        super().sync_directory(path)


def killed(work: Callable[[], None]) -> bool:
    """Run `work` in a process of its own; returns whether it was killed, and fails if it failed."""
    child = os.fork()
    if child == 0:
        try:
            work()
        except BaseException:
            os._exit(1)
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status in (0, KILLED), f"the child ended with {status}"
    return status == KILLED


CONTENT = os.urandom(50_000)


def store_count(directory: Path) -> int:
    return sum(1 for path in (directory / "databases").rglob("*") if path.is_file())


@pytest.mark.parametrize("change", ["rotate", "cmk", "data key", "import", "import into a new database", "drop"])
def test_node_opens_after_a_kill_at_every_operation(
    directory: Path, cmk: str, other_cmk: str, connect: KmsConnector, tmp_path: Path, change: str
) -> None:
    source = tmp_path / "source"
    source.write_bytes(CONTENT)
    with Node.init(directory, cmk, connect) as node:
        node.import_file("d", "kept", source, page_size=4096)

    def work(at: int) -> Callable[[], None]:
        def run() -> None:
            node = Node.open(directory, connect, files=KillingFiles(at))
            if change == "rotate":
                node.rotate_master()
            elif change == "cmk":
                node.change_cmk(other_cmk if node.master_info.key_id == cmk else cmk)
            elif change == "data key":
                node.new_data_key("d")
            elif change == "drop":
                node.drop_file("d", "victim")
            else:
                node.import_file("d" if change == "import" else f"e{at}", f"new{at}", source, page_size=4096)
            node.close()

        return run

    at = 0
    while True:
        if change == "drop":
            with Node.open(directory, connect) as node:
                if "victim" not in node.databases["d"].stores:
                    node.import_file("d", "victim", source, page_size=4096)
        was_killed = killed(work(at))
        with Node.open(directory, connect) as node:
            files = node.list_files()
            assert [info.problem for info in files] == [None] * len(files)
            assert node.verify().ok
            assert store_count(directory) == len(files)
            assert not temporary_path(directory / "keystore").exists()
            for info in files:
                with node.open_store(info.database, info.name) as store:
                    content = b"".join(store.read_many(range(store.page_count)))[: store.byte_length]
                assert hashlib.sha256(content).digest() == hashlib.sha256(CONTENT).digest()
        if not was_killed:
            break
        at += 1
        assert at < 100
    assert at >= 8


def test_init_can_be_run_again_after_a_kill_at_every_operation(tmp_path: Path, cmk: str, connect: KmsConnector) -> None:
    def run(at: int) -> Callable[[], None]:
        return lambda: Node.init(tmp_path / f"node-{at}", cmk, connect, files=KillingFiles(at)).close()

    at = 0
    while killed(run(at)):
        directory = tmp_path / f"node-{at}"
        if not (directory / "keystore").exists():
            with pytest.raises((NodeMissingError, KeyFileMissingError), match=r"is not a node|make it again there"):
                Node.open(directory, connect)
            Node.init(directory, cmk, connect).close()
        with Node.open(directory, connect) as node:
            assert node.verify().ok
        at += 1
        assert at < 100
    assert at >= 8


SIGNALLED = """
import signal, sys
from keystore.kms.connect import connector
from keystore.node.directory import Node

def stop(number, frame):
    sys.exit(143)

signal.signal(signal.SIGTERM, stop)

def progress(done, total):
    print("started", flush=True)
    sys.stdin.readline()

with Node.open(sys.argv[1], connector()) as node:
    node.import_file("d", "new", sys.argv[2], page_size=4096, progress=progress)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_signal_in_the_middle_of_an_import_leaves_nothing(
    directory: Path, cmk: str, connect: KmsConnector, tmp_path: Path, number: signal.Signals
) -> None:
    (tmp_path / "source").write_bytes(os.urandom(3 << 20))
    Node.init(directory, cmk, connect).close()
    command = [sys.executable, "-c", SIGNALLED, str(directory), str(tmp_path / "source")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"started\n"
        assert store_count(directory) == 1
        child.send_signal(number)
        child.wait(60)
    assert store_count(directory) == (1 if number == signal.SIGKILL else 0)
    with Node.open(directory, connect) as node:
        assert store_count(directory) == 0
        assert node.list_files() == []
        assert node.import_file("d", "new", tmp_path / "source").byte_length == 3 << 20
        assert node.verify().ok
