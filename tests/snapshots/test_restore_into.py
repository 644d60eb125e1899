"""Restoring into a node that is there: all files at once or none, whatever happens, and the master key with them."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from keystore.errors import (
    KeystoreError,
    NameUnknownError,
    SnapshotDamagedError,
    StoreFullError,
    StoreLockedError,
)
from keystore.keys.files import Files
from keystore.kms.connect import connector
from keystore.node.directory import Node
from keystore.node.filling import Filler
from keystore.node.restoring_into import RestoredFiles, restore_into
from keystore.objects.directory import DirectoryPlace
from keystore.pages.generations import KeyReferences
from keystore.pages.verify import VerifyReport
from keystore.progress import Progress
from keystore.snapshots.choice import Choice
from tests.snapshots.conftest import CountingConnector, Taken, contents

ONE_FILE = Choice(files=[("first", "a")])


def into(
    node: Node,
    target: DirectoryPlace,
    snapshot_id: bytes,
    connect: CountingConnector,
    choice: Choice | None = None,
    progress: Progress | None = None,
) -> RestoredFiles:
    with restore_into(node, target, snapshot_id, connect, choice) as restoring:
        return restoring.run(progress)


def write(node: Node, database: str, name: str, data: bytes) -> None:
    with node.using_store(database, name) as store:
        store.commit({0: data.ljust(4096, b".")})


def store_path(node: Node, database: str, name: str) -> Path:
    entry = node.databases[database]
    return node.directory / "databases" / entry.database_id.hex() / f"{entry.stores[name].store_id.hex()}.store"


def references(node: Node, database: str, name: str) -> list[KeyReferences]:
    with node.using_store(database, name) as store:
        return store.key_references(settle=True)


def generations(node: Node, database: str, name: str) -> dict[int, int]:
    """Return how many pages and nodes of a file stand under each data key."""
    return {each.generation: each.entries for each in references(node, database, name) if each.entries}


def state_of(directory: Path) -> dict[str, bytes]:
    """Return all of a node that a refusal must leave alone; the anchors tell of every opening."""
    found = {path for path in directory.rglob("*") if path.is_file() and path.name != "anchors"}
    return {str(path.relative_to(directory)): path.read_bytes() for path in found}


def test_everything_is_as_it_was_and_what_came_later_stays(
    taken: Taken, node: Node, target: DirectoryPlace, connect: CountingConnector, tmp_path: Path
) -> None:
    write(node, "first", "a", b"changed")
    node.import_file("first", "later", taken.manifest, page_size=4096)
    before = node.master_info
    with restore_into(node, target, taken.snapshot_id, connect) as restoring:
        assert (restoring.replaced, restoring.added) == (("first/a", "second/branch/c"), ())
        assert restoring.kept == ("first/later",)
        done = restoring.run()
    assert done.pages == 13
    assert (done.rotation.old, done.rotation.new) == (before, node.master_info)
    assert node.master_info.generation == before.generation + 1
    assert node.verify().ok
    node.close()
    later = {("first", "later"): taken.manifest.read_bytes()}
    assert contents(node.directory, connect, tmp_path / "out") == {**taken.content, **later}


@pytest.mark.parametrize("lost", ["missing", "cut", "zeros", "changed", "another's"])
def test_a_lost_store_of_a_node_is_brought_back(
    taken: Taken, node: Node, target: DirectoryPlace, connect: CountingConnector, tmp_path: Path, lost: str
) -> None:
    path, other = store_path(node, "first", "a"), store_path(node, "second", "branch/c")
    data = path.read_bytes()
    if lost == "missing":
        path.unlink()
    else:
        path.write_bytes(
            {
                "cut": data[:9000],
                "zeros": bytes(len(data)),
                "changed": data[:20000] + bytes(byte ^ 1 for byte in data[20000:]),
                "another's": other.read_bytes(),
            }[lost]
        )
    assert not node.verify().ok
    untouched = other.read_bytes()
    done = into(node, target, taken.snapshot_id, connect, ONE_FILE)
    assert (done.replaced, done.added) == (("first/a",), ())
    assert other.read_bytes() == untouched
    assert node.verify().ok
    node.close()
    assert contents(node.directory, connect, tmp_path / "out") == taken.content


def test_a_removed_file_and_a_removed_database_come_back(
    taken: Taken, node: Node, target: DirectoryPlace, connect: CountingConnector, tmp_path: Path
) -> None:
    node.drop_file("first", "a")
    node.shred("second")
    done = into(node, target, taken.snapshot_id, connect)
    assert (done.replaced, done.added) == ((), ("first/a", "second/branch/c"))
    node.close()
    assert contents(node.directory, connect, tmp_path / "out") == taken.content


def test_pages_whose_data_key_the_node_has_stay_as_they_are(
    taken: Taken, node: Node, target: DirectoryPlace, connect: CountingConnector, tmp_path: Path
) -> None:
    node.new_data_key("first")
    into(node, target, taken.snapshot_id, connect, ONE_FILE)
    assert generations(node, "first", "a")[1] == 10
    assert [key.generation for key in node.databases["first"].data_keys] == [1, 2]
    node.close()
    assert contents(node.directory, connect, tmp_path / "out") == taken.content


def test_a_destroyed_data_key_does_not_come_back(
    taken: Taken, node: Node, target: DirectoryPlace, connect: CountingConnector, tmp_path: Path
) -> None:
    node.new_data_key("first")
    node.key_life.reseal("first")
    node.key_life.destroy("first", 1)
    into(node, target, taken.snapshot_id, connect, ONE_FILE)
    assert set(generations(node, "first", "a")) == {2}
    assert [key.generation for key in node.databases["first"].data_keys] == [2]
    node.close()
    assert contents(node.directory, connect, tmp_path / "out") == taken.content


@pytest.mark.parametrize("there", [True, False])
def test_another_nodes_files_come_without_its_keys(
    taken: Taken,
    node: Node,
    target: DirectoryPlace,
    connect: CountingConnector,
    tmp_path: Path,
    other_cmk: str,
    there: bool,
) -> None:
    """Both nodes have a data key of generation 1, and they are two."""
    theirs = [bytes(database.data_keys[0].key.view()) for database in node.databases.values()]
    node.close()
    with Node.init(tmp_path / "other", other_cmk, connect) as other:
        if there:
            other.create_store("first", "a", 16384).close()
        connect.asked.clear()
        into(other, target, taken.snapshot_id, connect)
        assert connect.asked.count(other_cmk) == 1
        assert other.master_info.key_id == other_cmk
        keys = [key for database in other.databases.values() for key in database.data_keys]
        assert len(keys) == 2
        assert not {bytes(key.key.view()) for key in keys} & set(theirs)
        assert other.list_files()[0].page_size == 4096
        assert other.verify().ok
    assert contents(tmp_path / "other", connect, tmp_path / "out") == taken.content


def test_a_file_in_use_is_not_replaced(
    taken: Taken, node: Node, target: DirectoryPlace, connect: CountingConnector
) -> None:
    write(node, "first", "a", b"mine")
    with node.open_store("first", "a") as store:
        with pytest.raises(StoreLockedError):
            into(node, target, taken.snapshot_id, connect)
        assert store.read(0) == b"mine".ljust(4096, b".")
        assert node.master_info.generation == 1
    assert node.verify().ok


def test_what_is_not_in_the_snapshot_is_told(
    taken: Taken, node: Node, target: DirectoryPlace, connect: CountingConnector
) -> None:
    with pytest.raises(NameUnknownError, match="no file first/b"):
        into(node, target, taken.snapshot_id, connect, Choice(files=[("first", "b")]))
    assert node.master_info.generation == 1


def test_a_damaged_pack_leaves_the_node_as_it_was(
    taken: Taken, node: Node, target: DirectoryPlace, connect: CountingConnector
) -> None:
    """The second store fails, when the first is complete."""
    before = state_of(node.directory)
    pack = taken.packs[-1]
    data = bytearray(pack.read_bytes())
    data[len(data) // 2] ^= 1
    pack.write_bytes(data)
    with pytest.raises(SnapshotDamagedError):
        into(node, target, taken.snapshot_id, connect)
    assert state_of(node.directory) == before
    assert node.verify().ok


def test_a_full_disk_leaves_the_node_as_it_was(
    taken: Taken, node: Node, target: DirectoryPlace, connect: CountingConnector, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = state_of(node.directory)
    filled: list[object] = []

    whole = Filler.verify

    def full(self: Filler, *arguments: Any, **settings: Any) -> VerifyReport:
        filled.append(arguments)
        if len(filled) == 2:
            raise StoreFullError("no space")
        return whole(self, *arguments, **settings)

    monkeypatch.setattr(Filler, "verify", full)
    with pytest.raises(StoreFullError):
        into(node, target, taken.snapshot_id, connect)
    assert state_of(node.directory) == before


@pytest.mark.parametrize("what", ["the key of the node", "the key of the snapshot"])
def test_a_key_that_is_gone_refuses_before_anything_is_written(
    taken: Taken, node: Node, target: DirectoryPlace, connect: CountingConnector, what: str, cmk: str, other_cmk: str
) -> None:
    node.change_cmk(other_cmk)
    write(node, "first", "a", b"mine")
    before = state_of(node.directory)
    Path((other_cmk if what == "the key of the node" else cmk).removeprefix("local://")).unlink()
    with pytest.raises(KeystoreError, match="cmk"):
        into(node, target, taken.snapshot_id, connect)
    assert state_of(node.directory) == before


class CopyingFiles(Files):
    """Copies a node before every operation that changes something: what a kill there would leave."""

    def __init__(self, node: Path, states: Path) -> None:
        self._node, self._states = node, states
        self.armed = False

    def _copy(self) -> None:
        if self.armed:
            shutil.copytree(self._node, self._states / f"{len(list(self._states.iterdir())):04}")

    def create(self, path: Path) -> int:
        self._copy()
        return super().create(path)

    def write(self, fd: int, offset: int, data: bytes | bytearray | memoryview) -> None:
        self._copy()
        super().write(fd, offset, data)

    def rename(self, old: Path, new: Path) -> None:
        self._copy()
        super().rename(old, new)

    def remove(self, path: Path) -> None:
        self._copy()
        super().remove(path)

    def make_directory(self, path: Path, *, exist_ok: bool = True) -> None:
        self._copy()
        super().make_directory(path, exist_ok=exist_ok)


def test_whatever_kill_leaves_the_former_files_or_the_new_ones(
    taken: Taken, node: Node, target: DirectoryPlace, connect: CountingConnector, tmp_path: Path
) -> None:
    """Three files: one changed, one lost, one new; and the master key goes with them."""
    node.drop_file("second", "branch/c")
    write(node, "first", "a", b"changed")
    write_new = os.urandom(5000)
    (tmp_path / "source").write_bytes(write_new)
    node.import_file("second", "stays", tmp_path / "source", page_size=4096)
    node.close()
    former = contents(node.directory, connect, tmp_path / "out")
    new = {**taken.content, ("second", "stays"): write_new}
    states = tmp_path / "states"
    states.mkdir()
    files = CopyingFiles(node.directory, states)
    with Node.open(node.directory, connect, files=files) as opened:
        files.armed = True
        into(opened, target, taken.snapshot_id, connect)
        files.armed = False
    found = []
    for state in sorted(states.iterdir()):
        with Node.open(state, connect) as left:
            assert left.verify().ok, state
            generation = left.master_info.generation
        read = contents(state, connect, tmp_path / "out")
        assert read in (former, new), state
        assert generation == (2 if read == new else 1), state
        assert not list(state.rglob("*.incoming")), state
        found.append(read == new)
    assert found == sorted(found)
    assert {True, False} == set(found)
    assert contents(node.directory, connect, tmp_path / "out") == new


def test_each_operation_that_fails_leaves_the_former_files_or_the_new_ones(
    taken: Taken, node: Node, target: DirectoryPlace, connect: CountingConnector, tmp_path: Path
) -> None:
    write(node, "first", "a", b"changed")
    node.close()
    former = contents(node.directory, connect, tmp_path / "out")
    operations, outcomes = 0, set()
    while True:
        directory = tmp_path / f"node-{operations}"
        shutil.copytree(node.directory, directory)
        files = FailingFiles(operations)
        with Node.open(directory, connect, files=files) as opened:
            files.armed = True
            try:
                into(opened, target, taken.snapshot_id, connect)
            except KeystoreError:
                outcomes.add("failed")
            files.armed = False
        read = contents(directory, connect, tmp_path / "out")
        assert read in (former, taken.content), operations
        outcomes.add("former" if read == former else "new")
        with Node.open(directory, connect) as left:
            assert left.verify().ok, operations
        if files.left > 0:
            break
        operations += 1
    assert operations > 10
    assert outcomes == {"failed", "former", "new"}


class FailingFiles(Files):
    """Fails at one operation, counted from 0, and at no other."""

    def __init__(self, at: int) -> None:
        self.left, self.armed = at + 1, False

    def _step(self) -> None:
        if self.armed:
            self.left -= 1
            if self.left == 0:
                raise OSError(5, "Input/output error")

    def create(self, path: Path) -> int:
        self._step()
        return super().create(path)

    def rename(self, old: Path, new: Path) -> None:
        self._step()
        super().rename(old, new)

    def sync(self, fd: int) -> None:
        self._step()
        super().sync(fd)

    def sync_directory(self, path: Path) -> None:
        self._step()
        super().sync_directory(path)


def test_a_forked_child_removes_nothing(
    taken: Taken, node: Node, target: DirectoryPlace, connect: CountingConnector
) -> None:
    """A progress that forks: the child unwinds while the parent goes on."""
    children: list[int] = []

    def fork(done: int, total: int) -> None:
        if not children:
            child = os.fork()
            if child == 0:
                raise SystemExit(0)
            children.append(child)
            assert os.waitpid(child, 0)[1] == 0

    run: Callable[[], RestoredFiles] = lambda: into(node, target, taken.snapshot_id, connect, ONE_FILE, fork)  # noqa: E731
    try:
        done = run()
    except SystemExit:
        os._exit(0)
    assert done.pages == 10
    assert node.verify().ok


def test_the_same_connector_serves_many_restores(
    taken: Taken, node: Node, target: DirectoryPlace, connect: CountingConnector
) -> None:
    for generation in range(2, 5):
        assert into(node, target, taken.snapshot_id, connect).rotation.new.generation == generation
    node.close()
    with Node.open(node.directory, connector()) as opened:
        assert opened.verify().ok
