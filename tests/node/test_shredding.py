"""A database is shredded whole or not at all, and the receipt says what is known to exist still."""

import hashlib
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from keystore.errors import (
    DatabaseShreddedError,
    KeyFileStaleError,
    KeyFileWriteError,
    KmsError,
    NameUnknownError,
    PathMissingError,
    StoreLockedError,
)
from keystore.keys import keyfile
from keystore.keys.files import Files
from keystore.keys.fingerprint import key_name
from keystore.keys.hierarchy import Database
from keystore.kms.protocol import Kms, KmsConnector
from keystore.node.directory import Node
from keystore.node.leftovers import remove_shredded
from keystore.node.restoring import restore
from keystore.node.snapshotting import snapshot
from keystore.objects.directory import DirectoryPlace
from tests.node.test_kill import KillingFiles, killed
from tests.snapshots.conftest import contents, manifest_path


@pytest.fixture
def filled(node: Node, source: Path) -> Node:
    """A database with two files and two data keys, and another one."""
    for database, name in (("d", "a"), ("d", "b"), ("e", "c")):
        node.import_file(database, name, source, page_size=4096)
    node.new_data_key("d")
    return node


@pytest.fixture
def target(tmp_path: Path) -> DirectoryPlace:
    return DirectoryPlace(tmp_path / "snapshots")


def stores(directory: Path) -> list[Path]:
    return sorted((directory / "databases").rglob("*.*"))


def sha256(path: Path) -> bytes:
    return hashlib.sha256(path.read_bytes()).digest()


def state_of(directory: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in sorted(directory.rglob("*")) if path.is_file()}


def test_what_is_shredded_is_gone_and_the_rest_stays(filled: Node, connect: KmsConnector, source: Path) -> None:
    directory, keys = filled.directory, filled.databases["d"].data_keys
    material, before = [bytes(key.key.view()) for key in keys], sha256(filled.directory / "keystore")
    master = filled.master_info
    receipt = filled.shred("d")
    assert all(key.key.wiped for key in keys)
    assert [key.generation for key in receipt.keys] == [1, 2]
    assert (receipt.database, receipt.is_new, receipt.shredded.stores) == ("d", True, 2)
    assert (receipt.shredded.former_fingerprint, receipt.fingerprint) == (before, sha256(directory / "keystore"))
    assert (receipt.shredded.former_master, receipt.master_generation) == (master.generation, master.generation + 1)
    assert filled.master_info.name != master.name
    assert len(stores(directory)) == 1
    assert filled.verify().ok
    filled.close()
    loaded = keyfile.load(Files(), directory / "keystore")
    kms = connect(loaded.head.wrapped.key_id)
    opened_master, opened = keyfile.unlock(loaded, kms, directory / "keystore")
    held = [bytes(key.key.view()) for each in opened.databases.values() for key in each.data_keys]
    assert not set(held) & set(material)
    opened.wipe()
    opened_master.wipe()
    with Node.open(directory, connect) as again:
        assert [(file.database, file.name) for file in again.list_files()] == [("e", "c")]
        again.export_file("e", "c", directory.parent / "out")
        with pytest.raises(NameUnknownError):
            again.open_store("d", "a")
        with pytest.raises(DatabaseShreddedError):
            again.data_keys("d").current()
    assert (directory.parent / "out").read_bytes() == source.read_bytes()


def test_names_of_keys_are_those_that_were_shown_before(filled: Node) -> None:
    shown = [key_name(key.key) for key in filled.databases["d"].data_keys]
    assert [key.name.hex() for key in filled.shred("d").keys] == shown
    (info,) = [each for each in filled.list_databases() if each.name == "d"]
    assert [(key.state, key.name) for key in info.data_keys] == [("destroyed", name) for name in shown]
    assert info.shredded_ns is not None


def test_a_copy_of_the_stores_opens_no_more(filled: Node, connect: KmsConnector, tmp_path: Path) -> None:
    """The store's files brought back, and even the former keystore file: it is refused as stale."""
    directory = filled.directory
    shutil.copytree(directory, tmp_path / "copy")
    filled.shred("d")
    filled.close()
    for path in stores(tmp_path / "copy"):
        if not (directory / path.relative_to(tmp_path / "copy")).exists():
            shutil.copy(path, directory / path.relative_to(tmp_path / "copy"))
    with Node.open(directory, connect) as again:
        assert len(stores(directory)) == 1  # the opening removed them: nothing of a shredded database is kept
        with pytest.raises(NameUnknownError):
            again.open_store("d", "a")
    shutil.copy(tmp_path / "copy" / "keystore", directory / "keystore")
    with pytest.raises(KeyFileStaleError):
        Node.open(directory, connect)


def test_the_same_call_once_more_gives_the_same_receipt(filled: Node, connect: KmsConnector) -> None:
    first = filled.shred("d")
    filled.close()
    asked: list[str] = []

    def counting(uri: str) -> Kms:
        asked.append(uri)
        return connect(uri)

    with Node.open(filled.directory, counting) as again:
        second = again.shred("d")
        assert (second.is_new, second.keys, second.shredded) == (False, first.keys, first.shredded)
        assert second.master_generation == first.master_generation
    assert len(asked) == 1  # to open the node


def test_snapshots_are_listed_and_restore_still(
    filled: Node, connect: KmsConnector, target: DirectoryPlace, source: Path, tmp_path: Path
) -> None:
    """What was taken since the first data key was made, whatever the CMK of its day; what is older cannot hold one."""
    filled.import_file("older", "o", source, page_size=4096)
    first = snapshot(filled, target)
    filled.import_file("late", "l", source, page_size=4096)
    second = snapshot(filled, target)
    receipt = filled.shred("d", [target.path])
    assert [copy.snapshot_id for copy in receipt.copies] == [first.snapshot_id, second.snapshot_id]
    assert {(copy.node_id, copy.key_id, copy.problem) for copy in receipt.copies} == {
        (filled.node_id, filled.master_info.key_id, "")
    }
    assert [copy.snapshot_id for copy in filled.shred("late", [target.path]).copies] == [second.snapshot_id]
    third = snapshot(filled, target)
    filled.close()
    restore(target, first.snapshot_id, tmp_path / "restored", connect)
    assert sorted(contents(tmp_path / "restored", connect, tmp_path / "out")) == [
        ("d", "a"), ("d", "b"), ("e", "c"), ("older", "o")
    ]  # fmt: skip
    restore(target, third.snapshot_id, tmp_path / "later", connect)
    with Node.open(tmp_path / "later", connect) as later:
        assert sorted(later.databases) == ["e", "older"]


def test_a_snapshot_that_cannot_be_read_is_listed_too(filled: Node, target: DirectoryPlace) -> None:
    made = snapshot(filled, target)
    manifest = manifest_path(target.path, made.snapshot_id)
    manifest.write_bytes(manifest.read_bytes()[:-1])
    (copy,) = filled.shred("d", [target.path]).copies
    assert (copy.snapshot_id, copy.node_id, copy.key_id) == (made.snapshot_id, None, None)
    assert "checksum" in copy.problem


def test_a_shredded_database_can_begin_anew(filled: Node, source: Path) -> None:
    filled.shred("d")
    filled.import_file("d", "a", source)
    (info,) = [each for each in filled.list_databases() if each.name == "d"]
    assert [(key.generation, key.state) for key in info.data_keys] == [
        (1, "destroyed"), (2, "destroyed"), (3, "current")
    ]  # fmt: skip
    assert info.shredded_ns is None
    assert filled.verify().ok
    assert [key.generation for key in filled.shred("d").keys] == [1, 2, 3]


def refusing(kms: KmsConnector) -> KmsConnector:
    """Connects once, to open the node; later there is nothing."""
    left = [kms]
    return lambda uri: left.pop()(uri) if left else kms("local:///nowhere/at/all")


def test_without_the_kms_nothing_changes(filled: Node, connect: KmsConnector) -> None:
    filled.close()
    with Node.open(filled.directory, refusing(connect)) as node:
        before = state_of(node.directory)
        with pytest.raises(KmsError):
            node.shred("d")
        assert state_of(node.directory) == before
        assert not any(key.key.wiped for key in node.databases["d"].data_keys)
        assert node.verify().ok


@pytest.mark.parametrize("use", ["open", "pinned", "filling"])
def test_what_is_in_use_is_not_shredded(filled: Node, use: str) -> None:
    before, master = sha256(filled.directory / "keystore"), filled.master_info
    if use == "open":
        with filled.open_store("d", "a"), pytest.raises(StoreLockedError):
            filled.shred("d")
    elif use == "pinned":
        with filled.using_store("d", "b") as store, store.pin(), pytest.raises(StoreLockedError):
            filled.shred("d")
    else:
        with filled.new_store("d", "new"), pytest.raises(StoreLockedError, match="being made"):
            filled.shred("d")
    assert filled.master_info == master
    assert use == "filling" or sha256(filled.directory / "keystore") == before
    assert filled.verify().ok
    assert filled.shred("d").is_new


def test_a_file_that_was_finished_meanwhile_is_not_shredded_unseen(
    filled: Node, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It entered the catalogue after the stores were reserved; somebody may have it open."""
    reserved = filled._stores.reserved

    @contextmanager
    def slowly(database: Database) -> Iterator[None]:
        with reserved(database):
            filled.import_file("d", "new", source)
            yield

    monkeypatch.setattr(filled._stores, "reserved", slowly)
    master = filled.master_info
    with pytest.raises(StoreLockedError, match="changed meanwhile"):
        filled.shred("d")
    assert filled.master_info == master
    assert filled.verify().ok
    monkeypatch.undo()
    assert filled.shred("d").shredded.stores == 3


def test_bad_input_changes_nothing(filled: Node, tmp_path: Path) -> None:
    before = state_of(filled.directory)
    with pytest.raises(NameUnknownError):
        filled.shred("x")
    with pytest.raises(PathMissingError):
        filled.shred("d", [tmp_path / "nowhere"])
    with pytest.raises(PathMissingError):
        filled.shred("d", [filled.directory])
    assert state_of(filled.directory) == before


class FullDisk(Files):
    full = False

    def create(self, path: Path) -> int:
        if self.full:
            raise OSError(28, "No space left on device")
        return super().create(path)


def test_without_space_nothing_changes(directory: Path, cmk: str, connect: KmsConnector) -> None:
    files = FullDisk()
    with Node.init(directory, cmk, connect, files=files) as node:
        node.create_store("d", "a").close()
        files.full, before = True, state_of(directory)
        with pytest.raises(KeyFileWriteError):
            node.shred("d")
        assert state_of(directory) == before
        files.full = False
        assert node.shred("d").is_new


def test_a_file_that_is_made_at_the_same_moment_is_not_half_shredded(filled: Node, source: Path) -> None:
    """One of the two comes first; the node is whole either way."""
    outcome: list[str] = []

    def attempt(name: str, act: Callable[[], object]) -> None:
        try:
            act()
            outcome.append(name)
        except (StoreLockedError, DatabaseShreddedError):
            pass

    threads = [
        threading.Thread(target=attempt, args=("import", lambda: filled.import_file("d", "new", source))),
        threading.Thread(target=attempt, args=("shred", lambda: filled.shred("d"))),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert outcome
    assert filled.verify().ok
    assert all(file.problem is None for file in filled.list_files())


def test_killed_at_any_step_it_is_not_begun_or_finished_later(
    filled: Node, connect: KmsConnector, tmp_path: Path
) -> None:
    filled.close()
    at, outcomes = 0, []
    while True:
        directory = tmp_path / f"copy-{at}"
        shutil.copytree(filled.directory, directory)

        def run(at: int = at, directory: Path = directory) -> None:
            node = Node.open(directory, connect, files=KillingFiles(at))
            node.shred("d")
            node.close()

        was_killed = killed(run)
        with Node.open(directory, connect) as node:
            shredded = node.databases["d"].shredded is not None
            assert len(stores(directory)) == (1 if shredded else 3)
            assert node.verify().ok
            outcomes.append(shredded)
            receipt = node.shred("d")
            assert receipt.is_new is not shredded
            assert len(stores(directory)) == 1
        shutil.rmtree(directory)
        if not was_killed:
            break
        at += 1
        assert at < 100
    assert outcomes == sorted(outcomes)
    assert outcomes.count(False) >= 6
    assert outcomes.count(True) >= 4


def test_a_database_that_begins_anew_at_once_keeps_its_new_file(
    filled: Node, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody writes to it between the moment of shredding and the removal of the files."""
    keys = filled.databases["d"].data_keys

    def begin_anew(*arguments: Any) -> None:
        with filled.new_store("d", "half") as half:
            filled.import_file("d", "new", source)
            remove_shredded(*arguments)
            half.commit({0: bytes(half.page_size)})

    monkeypatch.setattr("keystore.node.shredding.remove_shredded", begin_anew)
    receipt = filled.shred("d")
    assert receipt.is_new
    assert [key.generation for key in receipt.keys] == [1, 2]
    assert all(data_key.key.wiped for data_key in keys)
    assert sorted(filled.databases["d"].stores) == ["half", "new"]
    check = filled.verify()
    assert (check.ok, len(check.stores), check.unknown_files) == (True, 3, ())


def test_a_file_in_the_making_is_unknown_to_nobody(filled: Node) -> None:
    with filled.new_store("d", "new"):
        assert filled.verify().unknown_files == ()
        stray = next((filled.directory / "databases").iterdir()) / ("0" * 32 + ".incoming")
        stray.touch()
        assert filled.verify().unknown_files == (stray,)
