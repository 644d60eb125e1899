"""A node with several files under a key file, and a target for its snapshots."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from keystore.kms.connect import connector
from keystore.kms.protocol import Kms, KmsConnector
from keystore.node.directory import Node
from keystore.node.snapshotting import snapshot
from keystore.objects.directory import DirectoryPlace
from keystore.snapshots.names import PACKS, manifest_name
from tests.key_files import cmk as cmk
from tests.key_files import other_cmk as other_cmk


class CountingConnector:
    """Connects to real KMSes and notes for which keys."""

    def __init__(self) -> None:
        self._connect: KmsConnector = connector()
        self.asked: list[str] = []

    def __call__(self, uri: str) -> Kms:
        self.asked.append(uri)
        return self._connect(uri)


@pytest.fixture
def connect() -> CountingConnector:
    return CountingConnector()


@pytest.fixture
def target(tmp_path: Path) -> DirectoryPlace:
    return DirectoryPlace(tmp_path / "snapshots")


@pytest.fixture
def node(tmp_path: Path, cmk: str, connect: CountingConnector) -> Iterator[Node]:
    with Node.init(tmp_path / "node", cmk, connect) as node:
        yield node


@dataclass(frozen=True)
class Taken:
    """A node with one file of a few pages in each of two databases, and a snapshot of it."""

    snapshot_id: bytes
    place: Path
    content: dict[tuple[str, str], bytes]

    @property
    def manifest(self) -> Path:
        return manifest_path(self.place, self.snapshot_id)

    @property
    def packs(self) -> list[Path]:
        """All packs of the place."""
        return sorted((self.place / PACKS).iterdir())


def manifest_path(place: Path, snapshot_id: bytes) -> Path:
    return place / manifest_name(snapshot_id)


def objects(place: Path) -> dict[str, bytes]:
    """Return every object of a directory of snapshots."""
    return {str(path.relative_to(place)): path.read_bytes() for path in sorted(place.rglob("*")) if path.is_file()}


@pytest.fixture
def taken(node: Node, target: DirectoryPlace, tmp_path: Path) -> Taken:
    content = {("first", "a"): os.urandom(40_000), ("second", "branch/c"): os.urandom(9_000)}
    for (database, name), data in content.items():
        source = tmp_path / "source"
        source.write_bytes(data)
        node.import_file(database, name, source, page_size=4096)
    made = snapshot(node, target)
    return Taken(made.snapshot_id, target.path, content)


def contents(directory: Path, connect: KmsConnector, place: Path) -> dict[tuple[str, str], bytes]:
    """Return every file of a node, read through its export; `place` is for a temporary file."""
    with Node.open(directory, connect) as node:
        found = {}
        for file in node.list_files():
            node.export_file(file.database, file.name, place, overwrite=True)
            found[file.database, file.name] = place.read_bytes()
    return found


def leftovers(tmp_path: Path, name: str) -> list[str]:
    """Return what lies in `tmp_path` and is, or was to become, the directory `name`."""
    return sorted(entry.name for entry in tmp_path.iterdir() if name in entry.name)
