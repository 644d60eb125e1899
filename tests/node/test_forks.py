"""A fork in the middle of a work, whose child unwinds: it removes and writes nothing of the parent's."""

import os
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pytest

from keystore.kms.protocol import KmsConnector
from keystore.node.directory import Node
from keystore.node.restoring import restore
from keystore.node.snapshotting import snapshot
from keystore.objects.directory import DirectoryPlace
from keystore.snapshots.names import snapshot_ids

CONTENT = os.urandom(3_000_000)


class UnwindError(Exception):
    """Ends the child, through every `with` of the parent."""


class Fork:
    """A progress callback that forks at its first call; the child unwinds, and the parent waits until it did."""

    def __init__(self) -> None:
        self.parent, self.children = os.getpid(), 0

    def __call__(self, done: int, total: int) -> None:
        if self.children:
            return
        self.children += 1
        child = os.fork()
        if child == 0:
            raise UnwindError
        assert os.waitpid(child, 0)[1] == 0

    def run(self, work: Callable[[], object]) -> None:
        try:
            work()
        except BaseException as error:
            if os.getpid() == self.parent:
                raise
            os._exit(0 if isinstance(error, UnwindError) else 1)
        assert os.getpid() == self.parent
        assert self.children == 1


@pytest.fixture
def filled(node: Node) -> Node:
    node.import_file("d", "f", BytesIO(CONTENT), page_size=4096)
    return node


def exported(node: Node, name: str) -> bytes:
    out = BytesIO()
    node.export_file("d", name, out)
    return out.getvalue()


def test_an_import(node: Node, connect: KmsConnector) -> None:
    fork = Fork()
    fork.run(lambda: node.import_file("d", "f", BytesIO(CONTENT), progress=fork))
    assert exported(node, "f") == CONTENT
    node.close()
    with Node.open(node.directory, connect) as again:
        assert exported(again, "f") == CONTENT
        assert again.verify().ok


def test_a_child_whose_block_ends_well_enters_nothing(node: Node) -> None:
    def work() -> None:
        with node.new_store("d", "f", 4096) as store:
            store.commit({0: b"x" * 4096})
            child = os.fork()
            if child:
                assert os.waitpid(child, 0)[1] == 0
        if not child:
            os._exit(1)

    parent = os.getpid()
    try:
        work()
    except BaseException:
        if os.getpid() == parent:
            raise
        os._exit(0)
    assert [file.problem for file in node.list_files()] == [None]


def test_an_export(filled: Node, tmp_path: Path) -> None:
    fork = Fork()
    fork.run(lambda: filled.export_file("d", "f", tmp_path / "out", progress=fork))
    assert (tmp_path / "out").read_bytes() == CONTENT
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_a_snapshot_and_its_restore(filled: Node, connect: KmsConnector, tmp_path: Path) -> None:
    target, fork = DirectoryPlace(tmp_path / "snapshots"), Fork()
    fork.run(lambda: snapshot(filled, target, fork))
    (snapshot_id,) = snapshot_ids(target)
    fork = Fork()
    fork.run(lambda: restore(target, snapshot_id, tmp_path / "restored", connect, progress=fork))
    with Node.open(tmp_path / "restored", connect) as restored:
        assert exported(restored, "f") == CONTENT
