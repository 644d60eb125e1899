"""What the attack matrix leaves out: which changes make a keystore file stale, and files that nobody knows."""

import io
from collections.abc import Callable
from pathlib import Path

import pytest

from keystore.errors import (
    KeyFileStaleError,
    KeystoreError,
    StoreDamagedError,
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
