"""Threads that share a node: no change is lost, keys stay whole while they are used, and a store is shared."""

import os
import threading
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import pytest

from keystore.crypto.secret import SecretKey
from keystore.errors import NameUnknownError, StoreClosedError, StoreLockedError
from keystore.format.wrapped import WrappedKey
from keystore.keys.files import Files
from keystore.kms.connect import connector
from keystore.kms.protocol import KeyDescription, Kms, KmsConnector
from keystore.node.directory import Node
from keystore.node.reports import Rotation

TIMEOUT_S = 60


class CountingFiles(Files):
    """Counts how many keystore files are being written at once."""

    def __init__(self) -> None:
        self.now = self.most = self.written = 0
        self._lock = threading.Lock()

    def create(self, path: Path) -> int:
        fd = super().create(path)
        if path.name == "keystore.new":
            with self._lock:
                self.now += 1
                self.most = max(self.most, self.now)
        return fd

    def rename(self, old: Path, new: Path) -> None:
        super().rename(old, new)
        if old.name == "keystore.new":
            with self._lock:
                self.now -= 1
                self.written += 1


def test_no_change_beside_another_is_lost(directory: Path, cmk: str, connect: KmsConnector) -> None:
    files = CountingFiles()
    with Node.init(directory, cmk, connect, files=files) as node:
        node.import_file("d", "first", BytesIO(b"x"))

        def rotate(number: int) -> Rotation:
            return node.rotate_master()

        with ThreadPoolExecutor(4) as pool:
            rotations = pool.map(rotate, range(10))
            imports = pool.map(lambda number: node.import_file("d", f"f{number}", BytesIO(b"x")), range(10))
            keys = pool.map(lambda number: node.new_data_key("d"), range(10))
            steps = sorted((rotation.old.generation, rotation.new.generation) for rotation in rotations)
            assert len(list(imports)) == len(list(keys)) == 10
    assert steps == [(number, number + 1) for number in range(1, 11)]
    assert (files.most, files.written) == (1, 1 + 2 + 30)
    with Node.open(directory, connect) as again:
        assert {file.name for file in again.list_files()} == {"first", *(f"f{number}" for number in range(10))}
        assert again.master_info.generation == 11
        assert [key.generation for key in again.list_databases()[0].data_keys] == list(range(1, 12))
        assert again.verify().ok


class WaitingKms:
    """A KMS that answers when it is let."""

    def __init__(self, kms: Kms, asked: threading.Event, let: threading.Event) -> None:
        self._kms, self._asked, self._let = kms, asked, let

    def describe(self) -> KeyDescription:
        return self._kms.describe()

    def wrap(self, secret: SecretKey, context: Mapping[str, str]) -> WrappedKey:
        self._asked.set()
        assert self._let.wait(TIMEOUT_S)
        return self._kms.wrap(secret, context)

    def unwrap(self, wrapped: WrappedKey, context: Mapping[str, str]) -> SecretKey:
        return self._kms.unwrap(wrapped, context)

    def close(self) -> None:
        self._kms.close()


def test_a_kms_that_hangs_stops_only_the_rotation(directory: Path, cmk: str) -> None:
    asked, let = threading.Event(), threading.Event()
    let.set()
    connect = connector()
    with (
        Node.init(directory, cmk, lambda uri: WaitingKms(connect(uri), asked, let)) as node,
        ThreadPoolExecutor(2) as pool,
    ):
        let.clear()
        asked.clear()
        first, second = pool.submit(node.rotate_master), pool.submit(node.rotate_master)
        assert asked.wait(TIMEOUT_S)
        node.import_file("d", "f", BytesIO(b"meanwhile"))
        node.new_data_key("d")
        let.set()
        done = sorted(each.result(TIMEOUT_S).new.generation for each in (first, second))
        assert done == [2, 3]
        assert [file.name for file in node.list_files()] == ["f"]


def test_keys_that_are_held_are_not_wiped(node: Node) -> None:
    with ThreadPoolExecutor(1) as pool:
        with node.held() as custody:
            master = custody.master
            rotation = pool.submit(node.rotate_master)
            assert not master.key.wiped
            assert custody.master is master
        assert rotation.result(TIMEOUT_S).new.generation == 2
    assert master.key.wiped


def test_threads_export_one_file_at_once(node: Node, source: Path, tmp_path: Path) -> None:
    node.import_file("d", "f", source)

    def export(number: int) -> bool:
        node.export_file("d", "f", tmp_path / f"out-{number}")
        return (tmp_path / f"out-{number}").read_bytes() == source.read_bytes()

    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(export, range(30))) == [True] * 30


def test_a_file_is_whole_as_soon_as_the_catalogue_has_it(directory: Path, cmk: str, connect: KmsConnector) -> None:
    class Looking(Files):
        """Looks at the files of the node between the entry of a file and its last name."""

        def rename(self, old: Path, new: Path) -> None:
            if new.suffix == ".store":
                looks.append(pool.submit(lambda: node.list_files()[-1].problem))
            super().rename(old, new)

    looks: list[Future[object]] = []
    with ThreadPoolExecutor(1) as pool, Node.init(directory, cmk, connect, files=Looking()) as node:
        for number in range(10):
            node.import_file("d", f"f{number}", BytesIO(b"x"))
        assert [look.result(TIMEOUT_S) for look in looks] == [None] * 10


def test_two_drops_of_one_file_take_it_once(node: Node) -> None:
    def drop(number: int) -> int:
        try:
            node.drop_file("d", "f")
        except NameUnknownError:
            return 0
        return 1

    for _ in range(5):
        node.import_file("d", "f", BytesIO(b"x"))
        with ThreadPoolExecutor(3) as pool:
            assert sum(pool.map(drop, range(3))) == 1
    assert node.list_files() == []
    assert node.verify().ok


def test_a_store_is_closed_when_its_last_user_leaves(node: Node) -> None:
    page = b"x" * 4096
    with node.create_store("d", "f", 4096) as store:
        store.commit({0: page})
    with node.using_store("d", "f") as one:
        with node.using_store("d", "f") as two:
            assert one is two
            two.close()
        assert one.read(0) == page
        owned = node.open_store("d", "f")
        with pytest.raises(StoreLockedError):
            node.open_store("d", "f")
        owned.close()
        owned.close()
        assert one.read(0) == page
        node.open_store("d", "f").close()
        with pytest.raises(StoreLockedError):
            node.drop_file("d", "f")
    with pytest.raises(StoreClosedError):
        one.read(0)
    node.drop_file("d", "f")


def test_a_store_that_was_forgotten_is_closed_with_its_node(node: Node, connect: KmsConnector) -> None:
    page = b"x" * 4096
    node.create_store("d", "f", 4096).commit({0: page})
    assert node.list_files()[0].problem is None
    node.close()
    with Node.open(node.directory, connect) as again, again.open_store("d", "f") as store:
        assert store.read(0) == page


def test_every_store_is_closed_also_if_one_fails(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    stores = [node.create_store("d", name, 4096) for name in "abc"]
    for store in stores:
        store.commit({0: b"x" * 4096})
    write, fd = os.pwrite, stores[0].movable.file._fd  # type: ignore[attr-defined]

    def refuse(to: int, data: bytes, offset: int) -> int:
        if to == fd:
            raise OSError(5, os.strerror(5))
        return write(to, data, offset)

    master = node.master
    monkeypatch.setattr(os, "pwrite", refuse)
    with pytest.raises(Exception, match="Input/output"):
        node.close()
    monkeypatch.undo()
    assert master.key.wiped
    for store in stores:
        with pytest.raises(StoreClosedError):
            store.read(0)
        assert not store._state.sessions._open


def test_a_node_that_closes_under_an_import(node: Node, connect: KmsConnector) -> None:
    def fill() -> None:
        with node.new_store("d", "f", 4096) as store:
            store.commit({0: b"x" * 4096})
            node.close()
            store.commit({1: b"x" * 4096})

    with pytest.raises(StoreClosedError):
        fill()
    with Node.open(node.directory, connect) as again:
        assert again.list_files() == []
        assert again.verify().ok
