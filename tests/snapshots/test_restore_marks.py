"""Marks of what is being restored: how long they hold, and that no snapshot and no pack goes under them."""

import os
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from keystore.errors import PlaceError, SnapshotBusyError, SnapshotMissingError
from keystore.format.manifest import MANIFEST_BYTES_MAX
from keystore.kms.connect import connector
from keystore.node.directory import Node
from keystore.node.restoring import restore
from keystore.node.snapshot_export import export_from_snapshot
from keystore.node.snapshotting import snapshot
from keystore.objects.directory import DirectoryPlace
from keystore.snapshots.delete import collect_garbage, delete_snapshot
from keystore.snapshots.names import PACKS, ids_in, manifest_name, snapshot_ids
from keystore.snapshots.restore_marks import (
    AHEAD_NS_MAX,
    MARK_NS,
    RESTORING,
    BeingRestored,
    being_restored,
    remove_lapsed_marks,
)

ONE, OTHER = b"1" * 16, b"2" * 16


@dataclass
class Clock:
    ns: int = 1_800_000_000_000_000_000

    def __call__(self) -> int:
        return self.ns


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def place(tmp_path: Path) -> DirectoryPlace:
    return DirectoryPlace(tmp_path / "snapshots")


@pytest.fixture
def named(place: DirectoryPlace) -> DirectoryPlace:
    """A place with two snapshots, of which only the names count."""
    for snapshot_id in (ONE, OTHER):
        place.put(manifest_name(snapshot_id), b"a manifest")
    return place


def test_a_mark_holds_while_the_block_runs(named: DirectoryPlace, clock: Clock) -> None:
    with BeingRestored(named, ONE, clock) as mark:
        assert mark.marked
        assert being_restored(named, clock.ns) == {ONE}
        with BeingRestored(named, OTHER, clock), BeingRestored(named, ONE, clock):
            assert being_restored(named, clock.ns) == {ONE, OTHER}
        assert being_restored(named, clock.ns) == {ONE}
    assert being_restored(named, clock.ns) == set()
    assert named.names(RESTORING) == []


def test_a_mark_ends_by_itself(named: DirectoryPlace, clock: Clock) -> None:
    dead = BeingRestored(named, ONE, clock)
    dead.__enter__()
    assert being_restored(named, clock.ns + MARK_NS - 1) == {ONE}
    assert being_restored(named, clock.ns + MARK_NS) == set()
    assert remove_lapsed_marks(named, clock.ns + MARK_NS - 1) == 0
    assert remove_lapsed_marks(named, clock.ns + MARK_NS) == 1
    assert named.names(RESTORING) == []


def test_a_long_restore_makes_it_anew(named: DirectoryPlace, clock: Clock) -> None:
    told: list[tuple[int, int]] = []
    with BeingRestored(named, ONE, clock) as mark:
        progress = mark.renewing(lambda done, total: told.append((done, total)))
        for done in range(10):
            clock.ns += MARK_NS // 3
            progress(done, 10)
            assert being_restored(named, clock.ns) == {ONE}
            assert len(named.names(RESTORING)) == 1
    assert told == [(done, 10) for done in range(10)]
    assert named.names(RESTORING) == []


def test_the_mark_of_a_wrong_clock_keeps_nothing_for_ever(named: DirectoryPlace, clock: Clock) -> None:
    ahead = Clock(clock.ns + AHEAD_NS_MAX)
    BeingRestored(named, ONE, ahead).__enter__()
    assert being_restored(named, clock.ns) == set()
    assert remove_lapsed_marks(named, clock.ns) == 1


def test_what_cannot_be_marked_can_still_be_restored(named: DirectoryPlace, clock: Clock) -> None:
    class ReadOnly(DirectoryPlace):
        def put(self, name: str, data: bytes) -> bool:
            raise PlaceError("403")

    with BeingRestored(ReadOnly(named.path), ONE, clock) as mark:
        assert not mark.marked


def test_other_names_are_somebody_elses(named: DirectoryPlace, clock: Clock) -> None:
    named.put(f"{RESTORING}readme", b"")
    assert being_restored(named, clock.ns) == set()
    assert remove_lapsed_marks(named, clock.ns) == 0
    assert len(named.names(RESTORING)) == 1


def test_a_snapshot_that_was_deleted_just_now(named: DirectoryPlace, clock: Clock) -> None:
    named.remove(manifest_name(ONE))
    with pytest.raises(SnapshotMissingError, match="was deleted just now"), BeingRestored(named, ONE, clock):
        pass
    assert named.names(RESTORING) == []


@pytest.fixture
def source(node: Node, tmp_path: Path) -> Node:
    (tmp_path / "source").write_bytes(os.urandom(40_000))
    node.import_file("db", "file", tmp_path / "source", page_size=4096)
    return node


def test_what_is_being_restored_is_not_deleted(source: Node, place: DirectoryPlace) -> None:
    taken = snapshot(source, place).snapshot_id
    before = place.names()
    with BeingRestored(place, taken):
        with pytest.raises(SnapshotBusyError, match=r"is being restored\. Nothing was changed"):
            delete_snapshot(place, taken)
        assert [named for named in place.names() if not named.name.startswith(RESTORING)] == before
    delete_snapshot(place, taken)
    assert place.names() == []


def test_packs_stay_for_a_restore_that_was_faster_than_the_deletion(source: Node, place: DirectoryPlace) -> None:
    """The deletion looked for marks; then a restore began and read the manifest; then the manifest went."""
    taken = snapshot(source, place).snapshot_id
    packs = ids_in(place, PACKS)

    class Late(DirectoryPlace):
        mark: BeingRestored | None = None

        def remove(self, name: str) -> None:
            if name == manifest_name(taken):
                self.mark = BeingRestored(place, taken).__enter__()
                assert place.get(name, MANIFEST_BYTES_MAX)
            super().remove(name)

    late = Late(place.path)
    deleted = delete_snapshot(late, taken)
    assert late.mark is not None
    assert (deleted.packs, snapshot_ids(place)) == ((), [])
    assert deleted.kept == f"snapshot {taken.hex()} is being restored, and its manifest is gone"
    assert collect_garbage(place, grace_s=-1).packs_bytes == 0
    assert ids_in(place, PACKS) == packs
    late.mark.__exit__()
    assert collect_garbage(place, grace_s=-1).packs_bytes == sum(packs.values())
    assert place.names() == []


def test_a_restore_and_an_export_are_marked(source: Node, place: DirectoryPlace, tmp_path: Path) -> None:
    taken = snapshot(source, place).snapshot_id
    seen: list[set[bytes]] = []

    def progress(done: int, total: int) -> None:
        seen.append(being_restored(place, time.time_ns()))

    restore(place, taken, tmp_path / "restored", connector(), progress=progress)
    export_from_snapshot(place, taken, "db", "file", tmp_path / "out", connector(), progress=progress)
    assert seen
    assert all(ids == {taken} for ids in seen)
    assert place.names(RESTORING) == []
