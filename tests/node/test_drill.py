"""The restore drill: what it proves, with which keys, what it finds, and that it writes nothing."""

import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from keystore.errors import KeyNotFoundError, SignerUnknownError, SnapshotDamagedError
from keystore.kms.connect import connector
from keystore.kms.protocol import Kms
from keystore.node.directory import Node
from keystore.node.drill import Drilled, drill
from keystore.node.known_nodes import KnownNodes
from keystore.node.signers import Trust
from keystore.node.snapshotting import snapshot
from keystore.objects.directory import DirectoryPlace
from keystore.snapshots.names import PACKS, ids_in, pack_name
from tests.key_files import cmk as cmk
from tests.key_files import other_cmk as other_cmk

PAGES = 5


@dataclass
class World:
    """A node whose three snapshots are under two keys, and who asked for which."""

    node: Node
    place: DirectoryPlace
    taken: list[bytes] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def connect(self, uri: str) -> Kms:
        self.asked.append(uri)
        return connector()(uri)

    def drill(self) -> list[Drilled]:
        return list(drill(self.place, self.connect))

    def write(self, *page_nos: int) -> None:
        with self.node.using_store("db", "file") as store:
            store.commit({page_no: os.urandom(4096) for page_no in page_nos})


@pytest.fixture
def world(tmp_path: Path, cmk: str, other_cmk: str) -> World:
    (tmp_path / "source").write_bytes(os.urandom(PAGES * 4096))
    with Node.init(tmp_path / "node", cmk, connector()) as node:
        node.import_file("db", "file", tmp_path / "source", page_size=4096)
        found = World(node, DirectoryPlace(tmp_path / "snapshots"))
        found.taken.append(snapshot(node, found.place).snapshot_id)
        found.write(1)
        found.taken.append(snapshot(node, found.place).snapshot_id)
        node.change_cmk(other_cmk)
        found.write(2, PAGES)
        found.taken.append(snapshot(node, found.place).snapshot_id)
    return found


def contents(root: Path) -> dict[str, str]:
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in root.rglob("*") if path.is_file()}


def test_every_page_of_every_snapshot_with_the_key_of_its_day(
    world: World, tmp_path: Path, cmk: str, other_cmk: str
) -> None:
    before = contents(tmp_path)
    told: list[tuple[int, int]] = []
    done = list(drill(world.place, world.connect, progress=lambda done, total: told.append((done, total))))
    assert [(one.snapshot_id, one.pages, one.error) for one in done] == [
        (snapshot_id, pages, None) for snapshot_id, pages in zip(world.taken, (PAGES, PAGES, PAGES + 1), strict=True)
    ]
    assert world.asked == [cmk, cmk, other_cmk]
    assert contents(tmp_path) == before
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert told[-1] == (3 * PAGES * 4096, 3 * PAGES * 4096)  # as many as users wrote


def test_only_those_that_are_named(world: World) -> None:
    done = list(drill(world.place, world.connect, snapshot_ids=world.taken[1:2]))
    assert [one.snapshot_id for one in done] == world.taken[1:2]


def test_a_key_that_is_gone(world: World, tmp_path: Path, cmk: str) -> None:
    (tmp_path / "cmk").unlink()
    done = world.drill()
    assert [type(one.error) for one in done] == [KeyNotFoundError, KeyNotFoundError, type(None)]
    assert all(one.head is not None and one.head.wrapped.key_id == cmk for one in done[:2])


def test_a_changed_byte_is_found_in_every_snapshot_that_has_it(world: World) -> None:
    packs = [{pack.pack_id for pack in one.head.packs} for one in world.drill() if one.head is not None]
    [second] = packs[1] - packs[0] - packs[2] or packs[1] - packs[0]
    sharing = [second in names for names in packs]
    path = world.place.path / pack_name(second)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    done = world.drill()
    assert [type(one.error) is SnapshotDamagedError for one in done] == sharing
    assert sharing == [False, True, True]


def test_a_missing_pack(world: World) -> None:
    for pack_id in ids_in(world.place, PACKS):
        world.place.remove(pack_name(pack_id))
    done = world.drill()
    assert [type(one.error) for one in done] == [SnapshotDamagedError] * 3
    assert world.asked == []


def test_a_signer_that_nobody_knows(world: World, tmp_path: Path) -> None:
    """As a restore would: refused before any KMS is asked, unless it is taken on trust; and nobody is recorded."""
    nobody = KnownNodes(tmp_path / "nobody")
    done = list(drill(world.place, world.connect, trust=Trust(nobody)))
    assert [type(one.error) for one in done] == [SignerUnknownError] * 3
    assert world.asked == []
    done = list(drill(world.place, world.connect, trust=Trust(nobody, first_use=True)))
    assert [one.error for one in done] == [None] * 3
    assert nobody.all() == []
