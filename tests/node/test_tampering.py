"""Somebody with access to the disk of a closed node: what they change is told by type, and nothing is lost to it."""

import io
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from keystore.errors import (
    AnchorsDamagedError,
    AnchorsMissingError,
    KeyFileDamagedError,
    KeyFileStaleError,
    KeystoreError,
    StoreDamagedError,
    StoreDivergedError,
    StoreError,
    StoreMissingError,
    StoreRolledBackError,
    WrongKeyError,
)
from keystore.kms.protocol import KmsConnector
from keystore.node.directory import Node


@pytest.fixture
def closed(node: Node, source: Path) -> Path:
    """A closed node with two files in one database and one in another; returns its directory."""
    for database, name in (("d", "f"), ("d", "g"), ("e", "h")):
        node.import_file(database, name, source, page_size=4096)
    node.close()
    return node.directory


def store_path(directory: Path, node: Node, database: str, name: str) -> Path:
    database_id = node.databases[database].database_id
    store_id = node.databases[database].stores[name].store_id
    return directory / "databases" / database_id.hex() / f"{store_id.hex()}.store"


def paths(directory: Path, connect: KmsConnector) -> dict[str, Path]:
    with Node.open(directory, connect) as node:
        return {
            name: store_path(directory, node, database, name) for database, name in (("d", "f"), ("d", "g"), ("e", "h"))
        }


def flip(path: Path, at: int, mask: int = 0x01) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ mask]))


def problems(directory: Path, connect: KmsConnector) -> dict[str, list[type[KeystoreError]]]:
    """Open the node, verify it, and return what was found by file."""
    with Node.open(directory, connect) as node:
        return {check.name: [type(problem) for problem in check.problems] for check in node.verify().stores}


def test_untouched_node_has_no_problems(closed: Path, connect: KmsConnector) -> None:
    assert problems(closed, connect) == {"f": [], "g": [], "h": []}


def test_every_changed_byte_of_the_keystore_file_is_told(closed: Path, connect: KmsConnector) -> None:
    data = (closed / "keystore").read_bytes()
    for at in range(0, len(data), 7):
        changed = data[:at] + bytes([data[at] ^ 0x40]) + data[at + 1 :]
        (closed / "keystore").write_bytes(changed)
        with pytest.raises(KeyFileDamagedError):
            Node.open(closed, connect)
        assert (closed / "keystore").read_bytes() == changed
    (closed / "keystore").write_bytes(data)
    assert problems(closed, connect) == {"f": [], "g": [], "h": []}


@pytest.mark.parametrize("change", ["rotate", "import", "cmk"])
def test_older_genuine_keystore_file_is_stale(closed: Path, connect: KmsConnector, change: str, other_cmk: str) -> None:
    former = (closed / "keystore").read_bytes()
    with Node.open(closed, connect) as node:
        if change == "rotate":
            node.rotate_master()
        elif change == "cmk":
            node.change_cmk(other_cmk)
        else:
            node.import_file("d", "new", io.BytesIO(b"x"))
    latest = (closed / "keystore").read_bytes()
    (closed / "keystore").write_bytes(former)
    with pytest.raises(KeyFileStaleError, match="older or foreign"):
        Node.open(closed, connect)
    (closed / "keystore").write_bytes(latest)
    Node.open(closed, connect).close()


def test_keystore_file_of_another_node_is_told(closed: Path, connect: KmsConnector, cmk: str, tmp_path: Path) -> None:
    Node.init(tmp_path / "second", cmk, connect).close()
    shutil.copy(tmp_path / "second" / "keystore", closed / "keystore")
    with pytest.raises(AnchorsDamagedError):
        Node.open(closed, connect)


def test_other_node_as_a_whole_does_not_read_these_stores(
    closed: Path, connect: KmsConnector, cmk: str, tmp_path: Path
) -> None:
    places = paths(closed, connect)
    with Node.init(tmp_path / "second", cmk, connect) as second:
        second.import_file("d", "f", io.BytesIO(b"of the second"))
        place = store_path(second.directory, second, "d", "f")
    shutil.copy(places["f"], place)
    assert problems(tmp_path / "second", connect)["f"] != []


def test_missing_anchors_are_told(closed: Path, connect: KmsConnector) -> None:
    (closed / "anchors").unlink()
    with pytest.raises(AnchorsMissingError):
        Node.open(closed, connect)
    assert not (closed / "anchors").exists()


@pytest.mark.parametrize("at", range(0, 188, 3))
def test_changed_anchor_of_the_keystore_file_is_told(closed: Path, connect: KmsConnector, at: int) -> None:
    flip(closed / "anchors", at)
    with pytest.raises(AnchorsDamagedError, match="record 0"):
        Node.open(closed, connect)


@pytest.mark.parametrize("at", [0, 5, 7, 9, 20, 40, 70, 90, 150, 187, 300, 511])
def test_changed_anchor_of_a_store_is_told_and_other_stores_go_on(closed: Path, connect: KmsConnector, at: int) -> None:
    flip(closed / "anchors", 512 + at)
    assert problems(closed, connect) == {"f": [AnchorsDamagedError], "g": [], "h": []}
    with Node.open(closed, connect) as node, pytest.raises(AnchorsDamagedError, match="records: 1"):
        node.open_store("d", "f")


def test_anchors_in_each_others_place_are_told(closed: Path, connect: KmsConnector) -> None:
    data = (closed / "anchors").read_bytes()
    (closed / "anchors").write_bytes(data[:512] + data[1024:1536] + data[512:1024] + data[1536:])
    found = problems(closed, connect)
    assert found == {"f": [AnchorsDamagedError], "g": [AnchorsDamagedError], "h": []}


def test_cut_anchors_are_told(closed: Path, connect: KmsConnector) -> None:
    data = (closed / "anchors").read_bytes()
    for length in (0, 1, 511):
        (closed / "anchors").write_bytes(data[:length])
        with pytest.raises(AnchorsDamagedError):
            Node.open(closed, connect)
    (closed / "anchors").write_bytes(data[:1024])
    assert problems(closed, connect) == {"f": [], "g": [AnchorsMissingError], "h": [AnchorsMissingError]}


def test_older_anchors_are_told(closed: Path, connect: KmsConnector) -> None:
    former = (closed / "anchors").read_bytes()
    with Node.open(closed, connect) as node:
        node.rotate_master()
    (closed / "anchors").write_bytes(former)
    with pytest.raises(KeyFileStaleError):
        Node.open(closed, connect)


def test_stores_in_each_others_place_are_told(closed: Path, connect: KmsConnector, tmp_path: Path) -> None:
    for one, other in (("f", "g"), ("f", "h")):
        places = paths(closed, connect)
        places[one].rename(tmp_path / "third")
        places[other].rename(places[one])
        (tmp_path / "third").rename(places[other])
        with Node.open(closed, connect) as node:
            for database, name in (("d", one), ("d" if other == "g" else "e", other)):
                with pytest.raises((StoreError, WrongKeyError)):
                    node.open_store(database, name)
        places[one].rename(tmp_path / "third")
        places[other].rename(places[one])
        (tmp_path / "third").rename(places[other])
    assert problems(closed, connect) == {"f": [], "g": [], "h": []}


def test_older_copy_of_a_store_is_told(closed: Path, connect: KmsConnector, tmp_path: Path) -> None:
    place = paths(closed, connect)["f"]
    shutil.copy(place, tmp_path / "copy")
    with Node.open(closed, connect) as node, node.open_store("d", "f") as store:
        for number in range(3):
            store.commit({0: bytes([number]) * store.page_size})
    shutil.copy(tmp_path / "copy", place)
    with Node.open(closed, connect) as node:
        with pytest.raises(StoreRolledBackError):
            node.open_store("d", "f")
        assert isinstance(node.list_files("d")[0].problem, StoreRolledBackError)


def test_branch_of_a_store_is_told(closed: Path, connect: KmsConnector, tmp_path: Path) -> None:
    """Two copies of a node directory are written to; a store of the one is put into the other."""
    shutil.copytree(closed, tmp_path / "twin")
    for directory in (closed, tmp_path / "twin"):
        with Node.open(directory, connect) as node, node.open_store("d", "f") as store:
            store.commit({0: directory.name.encode().ljust(store.page_size)})
    shutil.copy(paths(tmp_path / "twin", connect)["f"], paths(closed, connect)["f"])
    with Node.open(closed, connect) as node, pytest.raises((StoreDivergedError, StoreRolledBackError)):
        node.open_store("d", "f")


def test_missing_store_is_told_and_never_made_anew(closed: Path, connect: KmsConnector) -> None:
    place = paths(closed, connect)["f"]
    place.unlink()
    assert problems(closed, connect) == {"f": [StoreMissingError], "g": [], "h": []}
    assert not place.exists()


def place_of_page(directory: Path, connect: KmsConnector, page_no: int) -> int:
    """Return where in the file of d/f the ciphertext of a page begins."""
    with Node.open(directory, connect) as node, node.open_store("d", "f") as store, store.pin() as pin:
        batch = next(iter(pin.sealed()))
        index = batch.page_nos.tolist().index(page_no)
        ciphertext = bytes(batch.ciphertext[index * pin.page_size : (index + 1) * pin.page_size])
    return paths(directory, connect)["f"].read_bytes().index(ciphertext)


def test_flipped_bit_is_found_by_store_and_page(closed: Path, connect: KmsConnector, tmp_path: Path) -> None:
    flip(paths(closed, connect)["f"], place_of_page(closed, connect, 5) + 1000)
    with Node.open(closed, connect) as node:
        check = node.verify()
        assert not check.ok
        damaged = [problem for store in check.stores for problem in store.problems]
        assert [(d.store, d.part, d.number) for d in damaged if isinstance(d, StoreDamagedError)] == [
            ("d/f", "page", 5)
        ]
        assert len(damaged) == 1
        with pytest.raises(StoreDamagedError):
            node.export_file("d", "f", tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir() if "out" in path.name] == []


@pytest.mark.parametrize(
    "where",
    [
        lambda place: place.with_name("notes.txt"),
        lambda place: place.with_name("0" * 32 + ".store"),
        lambda place: place.with_name("short.incoming"),
        lambda place: place.parent.parent / "stray",
        lambda place: place.parent.parent / ("f" * 32) / "x",
    ],
)
def test_unknown_file_is_reported_and_never_touched(
    closed: Path, connect: KmsConnector, where: Callable[[Path], Path]
) -> None:
    stray = where(paths(closed, connect)["f"])
    stray.parent.mkdir(exist_ok=True)
    stray.write_bytes(b"whose?")
    with Node.open(closed, connect) as node:
        check = node.verify()
        assert stray in check.unknown_files
        assert not check.ok
        assert all(not store.problems for store in check.stores)
    assert stray.read_bytes() == b"whose?"
