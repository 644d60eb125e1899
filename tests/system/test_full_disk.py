"""A small tmpfs that is full at every stage of a node's life: a clear error, all readable; with space on it goes."""

import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from keystore.errors import KeystoreError
from keystore.kms.connect import connector
from keystore.kms.local import create_key_file
from keystore.node.directory import Node
from keystore.node.restoring import restore
from keystore.node.snapshotting import snapshot
from keystore.objects.directory import DirectoryPlace
from keystore.pages.store import PageStore
from keystore.snapshots.names import snapshot_ids

pytestmark = pytest.mark.system

KIB = 1 << 10
SPARE = (0, 4 * KIB, 16 * KIB, 40 * KIB, 100 * KIB, 300 * KIB, 1 << 20, 4 << 20, 12 << 20, 40 << 20)
"""Bytes left on the device, so that it is full at one moment or another of each act."""


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "disk"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(place)], check=True, timeout=60)
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True, timeout=60)


def page(name: str) -> bytes:
    return name.encode().ljust(4096, b".")


@dataclass
class World:
    """A node on the small disk, one of its stores, and what surrounds them."""

    disk: Path
    cmk: str
    source: Path
    node: Node
    store: PageStore
    number: int = 0

    @classmethod
    def open(cls, disk: Path, cmk: str, source: Path, number: int) -> "World":
        node = Node.open(disk / "node", connector())
        return cls(disk, cmk, source, node, node.open_store("d", "s"), number)

    @property
    def target(self) -> DirectoryPlace:
        return DirectoryPlace(self.disk / "snapshots")

    def fill(self, spare: int) -> None:
        """Take all space of the device but `spare` bytes."""
        stat = os.statvfs(self.disk)
        with (self.disk / "ballast").open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, max(stat.f_bavail * stat.f_frsize - spare, 1))

    def make_space(self) -> None:
        (self.disk / "ballast").unlink(missing_ok=True)

    def close(self) -> None:
        self.store.close()
        self.node.close()


def init(world: World) -> None:
    Node.init(world.disk / f"node-{world.number}", world.cmk, connector()).close()


def create_store(world: World) -> None:
    """Made, but not opened for want of space: it is there to be opened."""
    name = f"created-{world.number}"
    there = name in {file.name for file in world.node.list_files()}
    (world.node.open_store("d", name) if there else world.node.create_store("d", name, 4096)).close()


def import_file(world: World) -> None:
    world.node.import_file("d", f"imported-{world.number}", world.source)


def export_file(world: World) -> None:
    world.node.export_file("d", "kept", world.disk / f"out-{world.number}")


def commit(world: World) -> None:
    world.store.commit({3: page("new")})


def growth(world: World) -> None:
    world.store.commit({number: page("new") for number in range(3, 600)})


def large_commit(world: World) -> None:
    world.store.commit({number: page("new") for number in range(3, 2200)})


def checkpoint(world: World) -> None:
    world.store.checkpoint()


def close(world: World) -> None:
    world.close()


def rotate(world: World) -> None:
    world.node.rotate_master()


def data_key(world: World) -> None:
    world.node.new_data_key("d")


def take_snapshot(world: World) -> None:
    snapshot(world.node, world.target)


def restore_snapshot(world: World) -> None:
    restore(world.target, snapshot_ids(world.target)[0], world.disk / f"restored-{world.number}", connector())


ACTS: tuple[Callable[[World], None], ...] = (
    *(init, create_store, import_file, export_file, commit, growth, large_commit, checkpoint, close),
    *(rotate, data_key, take_snapshot, restore_snapshot),
)


@pytest.mark.parametrize("act", ACTS, ids=lambda act: act.__name__)
def test_full_at_every_stage(disk: Path, tmp_path: Path, act: Callable[[World], None]) -> None:
    create_key_file(tmp_path / "cmk")
    cmk, source = f"local://{tmp_path / 'cmk'}", tmp_path / "source"
    source.write_bytes(os.urandom(3 << 20))
    with Node.init(disk / "node", cmk, connector()) as node:
        node.import_file("d", "kept", source)
        with node.create_store("d", "s", 4096) as store:
            store.commit({number: page("old") for number in range(10)})
        snapshot(node, DirectoryPlace(disk / "snapshots"))
    errors = []
    for number, spare in enumerate(SPARE):
        world = World.open(disk, cmk, source, number)
        world.store.commit({number: page("old") for number in range(10)}, page_count=10)
        world.fill(spare)
        try:
            act(world)
            done = True
        except KeystoreError as error:
            errors.append(error)
            done = False
        if act is not close:
            assert world.store.read(0) == page("old")
            assert world.store.read(3) in (page("old"), page("new"))
            with Path(os.devnull).open("wb") as nowhere:
                world.node.export_file("d", "kept", nowhere)
        world.make_space()
        if act is not close:
            world.close()
        again = World.open(disk, cmk, source, number)
        assert again.node.verify().ok
        assert again.store.read_many(range(3)) == [page("old")] * 3
        if not done:
            act(again)
        if done or act is not close:
            again.close()
        if done:
            break
    assert done, "there was never enough space"
    assert all("full" in str(error) or "space" in str(error) for error in errors), [str(error) for error in errors]
    told = {type(error).__name__ for error in errors}
    assert bool(told) == (act not in (commit, checkpoint, close)), told
