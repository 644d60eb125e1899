"""The list of known nodes: a line for each, whoever writes at the same time, and no key in the place of another."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from keystore.errors import KnownNodesError, SignerChangedError
from keystore.keys.files import Files, temporary_path
from keystore.kms.protocol import KmsConnector
from keystore.node import known_nodes as module
from keystore.node.directory import Node
from keystore.node.known_nodes import ENVIRONMENT, KnownNode, KnownNodes
from keystore.node.restoring import restore
from keystore.node.signers import Trust
from keystore.node.snapshotting import snapshot
from keystore.objects.directory import DirectoryPlace

ONE, TWO = KnownNode(b"1" * 16, b"a" * 32, "node one"), KnownNode(b"2" * 16, b"b" * 32, "")


@pytest.fixture
def known(tmp_path: Path) -> KnownNodes:
    return KnownNodes(tmp_path / "settings" / "keystore" / "known_nodes")


def test_what_is_recorded_is_known(known: KnownNodes) -> None:
    assert known.find(ONE.node_id) is None
    for node in (ONE, TWO, ONE):
        known.record(node)
    assert known.all() == [ONE, TWO]
    assert known.find(TWO.node_id) == TWO
    assert known.path.read_text() == f"{'31' * 16} {'61' * 32} node one\n{'32' * 16} {'62' * 32} \n"
    assert known.path.stat().st_mode & 0o777 == 0o600
    assert known.path.parent.stat().st_mode & 0o777 == 0o700
    assert [path.name for path in known.path.parent.iterdir()] == ["known_nodes"]


def test_a_known_node_keeps_its_key(known: KnownNodes) -> None:
    known.record(ONE)
    before = known.path.read_bytes()
    with pytest.raises(SignerChangedError, match="forget"):
        known.record(KnownNode(ONE.node_id, TWO.public, "node one"))
    assert known.path.read_bytes() == before
    assert known.forget(ONE.node_id)
    assert not known.forget(ONE.node_id)
    known.record(KnownNode(ONE.node_id, TWO.public, "node one"))


def test_what_people_wrote_stays(known: KnownNodes) -> None:
    known.path.parent.mkdir(parents=True)
    known.path.write_text(f"# ours\n\n{ONE.line()}")
    known.record(TWO)
    assert known.path.read_text() == f"# ours\n\n{ONE.line()}\n{TWO.line()}\n"
    known.forget(ONE.node_id)
    assert known.path.read_text() == f"# ours\n\n{TWO.line()}\n"


@pytest.mark.parametrize(
    "line",
    [
        "x",
        f"{'31' * 15} {'61' * 32} n",
        f"{'31' * 16} {'61' * 31} n",
        f"{'31' * 16}",
        f"{'31' * 16} {'61' * 32} a\x07",
        "\udcff",
    ],
)
def test_a_line_that_says_nothing_is_told_and_stays(known: KnownNodes, line: str) -> None:
    known.path.parent.mkdir(parents=True)
    known.path.write_bytes(os.fsencode(f"{TWO.line()}\n{line}\n"))
    before = known.path.read_bytes()
    for use in (known.all, lambda: known.record(ONE), lambda: known.forget(TWO.node_id)):
        with pytest.raises(KnownNodesError, match="correct it"):
            use()
    assert known.path.read_bytes() == before


def test_two_keys_of_one_node_are_told_until_both_are_forgotten(known: KnownNodes) -> None:
    known.path.parent.mkdir(parents=True)
    known.path.write_text(f"{ONE.line()}\n{TWO.line()}\n{'31' * 16} {'62' * 32} n\n")
    for use in (known.all, lambda: known.record(TWO)):
        with pytest.raises(KnownNodesError, match="line 3 names another key"):
            use()
    assert known.forget(ONE.node_id)
    assert known.all() == [TWO]


def test_a_link_to_it_stays_a_link(known: KnownNodes, tmp_path: Path) -> None:
    known.path.parent.mkdir(parents=True)
    known.path.symlink_to(tmp_path / "elsewhere")
    known.record(ONE)
    assert known.path.is_symlink()
    assert KnownNodes(tmp_path / "elsewhere").all() == [ONE]


def test_it_is_where_the_environment_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, node: Node, connect: KmsConnector, cmk: str
) -> None:
    monkeypatch.setenv(ENVIRONMENT, "/named")
    assert KnownNodes.default().path == Path("/named")
    monkeypatch.delenv(ENVIRONMENT)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))
    assert KnownNodes.default().path == tmp_path / "xdg/keystore/known_nodes"
    monkeypatch.delenv("XDG_CONFIG_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert KnownNodes.default().path == tmp_path / "home/.config/keystore/known_nodes"
    Node.init(tmp_path / "another", cmk, connect).close()
    assert [known.name for known in KnownNodes.default().all()] == ["another"]


WRITER = """
import sys
from keystore.node.known_nodes import KnownNode, KnownNodes
known = KnownNodes(sys.argv[1])
for number in range(int(sys.argv[3])):
    known.record(KnownNode(bytes([int(sys.argv[2])] * 15 + [number]), b"k" * 32, "n"))
"""


def test_no_writer_loses_the_line_of_another(known: KnownNodes) -> None:
    writers, lines = 4, 25
    processes = [
        subprocess.Popen([sys.executable, "-c", WRITER, known.path, str(number), str(lines)])
        for number in range(writers)
    ]
    assert [process.wait(120) for process in processes] == [0] * writers
    assert {node.node_id for node in known.all()} == {
        bytes([writer] * 15 + [number]) for writer in range(writers) for number in range(lines)
    }


def test_who_waits_too_long_is_told(known: KnownNodes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOCK_WAIT_S", 0.05)
    with known._locked(), pytest.raises(KnownNodesError, match="another program has it locked"):
        known.record(ONE)
    known.record(ONE)


class FailingFiles(Files):
    """Fails at one operation; `Files` says what a crash there leaves."""

    def __init__(self, operation: str) -> None:
        self._operation = operation

    def write(self, fd: int, offset: int, data: bytes | bytearray | memoryview) -> None:
        self._fail("write")
        super().write(fd, offset, data)

    def sync(self, fd: int) -> None:
        self._fail("sync")
        super().sync(fd)

    def rename(self, old: Path, new: Path) -> None:
        self._fail("rename")
        super().rename(old, new)

    def _fail(self, operation: str) -> None:
        if operation == self._operation:
            raise OSError(28, "No space left on device")


@pytest.mark.parametrize("operation", ["write", "sync", "rename"])
def test_what_cannot_be_written_leaves_the_former_list_and_no_node(
    tmp_path: Path, cmk: str, connect: KmsConnector, operation: str
) -> None:
    known = KnownNodes(tmp_path / "known")
    known.record(ONE)
    failing = KnownNodes(tmp_path / "known", FailingFiles(operation))
    with pytest.raises(KnownNodesError, match=f"No space left on device. It is unchanged; .* {ENVIRONMENT}"):
        Node.init(tmp_path / "node", cmk, connect, known_nodes=failing)
    assert known.all() == [ONE]
    assert not (tmp_path / "node").exists()
    known.record(TWO)  # what was left beside it is in nobody's way
    assert known.all() == [ONE, TWO]
    assert not temporary_path(known.path).exists()


@pytest.mark.parametrize("there", ["a directory", "below a file"])
def test_what_cannot_be_a_list_is_told(tmp_path: Path, there: str) -> None:
    (tmp_path / "file").touch()
    known = KnownNodes(tmp_path if there == "a directory" else tmp_path / "file" / "known")
    with pytest.raises(KnownNodesError, match="cannot be"):
        known.record(ONE)


def test_a_node_is_known_from_its_making_on(tmp_path: Path, cmk: str, connect: KmsConnector, known: KnownNodes) -> None:
    with Node.init(tmp_path / "node", cmk, connect, known_nodes=known) as node:
        assert known.all() == [KnownNode(node.node_id, node.signing_public, "node")]
        target = DirectoryPlace(tmp_path / "snapshots")
        made = snapshot(node, target, known_nodes=known)
    restored = restore(target, made.snapshot_id, tmp_path / "restored", connect, trust=Trust(known))
    with Node.open(tmp_path / "restored", connect) as opened:
        assert known.all()[1:] == [KnownNode(restored.node_id, opened.signing_public, "node")]


def test_a_restore_that_cannot_record_its_node_makes_none(
    tmp_path: Path, node: Node, connect: KmsConnector, known: KnownNodes
) -> None:
    target = DirectoryPlace(tmp_path / "snapshots")
    made = snapshot(node, target)
    known.path.mkdir(parents=True)
    with pytest.raises(KnownNodesError):
        restore(target, made.snapshot_id, tmp_path / "restored", connect, trust=Trust(known))
    assert not list(tmp_path.glob("*restor*"))
