"""Deleting snapshots, clearing up, and both while others are taken: packs go exactly when nothing needs them."""

from collections.abc import Callable
from itertools import permutations
from pathlib import Path

import pytest

from keystore.errors import ObjectMissingError, SnapshotError, SnapshotMissingError
from keystore.format.begun import Begun
from keystore.format.manifest import NO_PARENT
from keystore.node.directory import Node
from keystore.node.snapshotting import snapshot
from keystore.objects.directory import DirectoryPlace
from keystore.snapshots import names
from keystore.snapshots.delete import GRACE_S, collect_garbage, delete_snapshot
from keystore.snapshots.ids import new_id
from keystore.snapshots.listing import list_snapshots
from keystore.snapshots.manifest import read_manifest
from keystore.snapshots.names import BEGUN, MANIFESTS, PACKS, begun_name, ids_in, manifest_name, snapshot_ids
from keystore.snapshots.opened import open_snapshot
from tests.snapshots.conftest import CountingConnector, Taken, manifest_path, objects

PAGE = 4096
DAY_NS = 86400 * 10**9
LATE_NS = 4 * 10**18


def write(node: Node, number: int) -> None:
    with node.using_store("d", "f") as store:
        store.commit({page: bytes([number]) * PAGE for page in range(number, 40, 5)})


def chain(node: Node, target: DirectoryPlace, length: int) -> list[bytes]:
    """Take snapshots, each of a few pages more; every one shares packs with all before it."""
    node.create_store("d", "f", PAGE).close()
    taken = []
    for number in range(length):
        write(node, number)
        taken.append(snapshot(node, target).snapshot_id)
    return taken


def needed(target: DirectoryPlace) -> set[bytes]:
    return {pack.pack_id for found in snapshot_ids(target) for pack in read_manifest(target, found).head.packs}


def require_all_open(target: DirectoryPlace, connect: CountingConnector) -> None:
    for found in snapshot_ids(target):
        with open_snapshot(target, found, connect) as opened:
            assert sum(len(batch.page_nos) for store in opened.body.stores for batch in opened.batches(store))


@pytest.mark.parametrize("order", list(permutations(range(4))), ids=str)
def test_in_any_order_a_deletion_frees_exactly_what_nothing_else_needs(
    node: Node, target: DirectoryPlace, connect: CountingConnector, order: tuple[int, ...]
) -> None:
    """S-14, S-3"""
    taken = chain(node, target, 4)
    for at in order:
        before, unique = objects(target.path), {item.snapshot_id: item.unique_bytes for item in list_snapshots(target)}
        deleted = delete_snapshot(target, taken[at])
        after = objects(target.path)
        assert set(ids_in(target, PACKS)) == needed(target)
        assert deleted.packs_bytes == unique[taken[at]]
        assert deleted.kept is None
        gone = {manifest_name(taken[at]), *map(names.pack_name, deleted.packs)}
        assert after == {name: data for name, data in before.items() if name not in gone}
        require_all_open(target, connect)
    assert objects(target.path) == {}
    with pytest.raises(SnapshotMissingError):
        delete_snapshot(target, taken[0])


def test_nodes_in_one_place_do_not_touch_each_other(
    node: Node, target: DirectoryPlace, connect: CountingConnector, tmp_path: Path
) -> None:
    first = chain(node, target, 2)
    with Node.init(tmp_path / "other", node.master_info.key_id, connect) as other:
        others = chain(other, target, 2)
    for snapshot_id in first:
        delete_snapshot(target, snapshot_id)
    assert snapshot_ids(target) == others
    require_all_open(target, connect)


def test_a_damaged_manifest_keeps_every_pack_until_it_is_deleted_itself(node: Node, target: DirectoryPlace) -> None:
    first, second, third = chain(node, target, 3)
    manifest = manifest_path(target.path, second)
    manifest.write_bytes(manifest.read_bytes()[:-1])
    deleted = delete_snapshot(target, third)
    assert (deleted.packs, second.hex() in (deleted.kept or "")) == ((), True)
    assert second.hex() in (collect_garbage(target, now_ns=lambda: LATE_NS).kept or "")
    deleted = delete_snapshot(target, second)
    assert deleted.packs == ()
    assert "could not be read" in (deleted.kept or "")
    cleared = collect_garbage(target, now_ns=lambda: LATE_NS)
    assert (cleared.kept, len(cleared.names)) == (None, 2)
    assert (set(ids_in(target, PACKS)), snapshot_ids(target)) == (needed(target), [first])


class Meddling(DirectoryPlace):
    """Lets something happen between two operations of a snapshot that is being taken: after a name was written."""

    def __init__(self, place: DirectoryPlace, after: str, meddle: Callable[[], object]) -> None:
        super().__init__(place.path)
        self._after, self._meddle, self._done = after, meddle, False

    def _now(self, name: str) -> None:
        if name.startswith(self._after) and not self._done:
            self._done = True
            self._meddle()

    def put(self, name: str, data: bytes) -> bool:
        done = super().put(name, data)
        self._now(name)
        return done

    def length(self, name: str) -> int | None:
        found = super().length(name)
        self._now(f"looked for {name}")
        return found


def test_a_parent_that_is_deleted_before_it_is_looked_for_is_no_parent(
    node: Node, target: DirectoryPlace, connect: CountingConnector
) -> None:
    first, second = chain(node, target, 2)
    place = Meddling(target, BEGUN, lambda: delete_snapshot(target, second))
    made = snapshot(node, place)
    assert made.parent == first
    assert ids_in(target, BEGUN) == {}
    cleared = collect_garbage(target, now_ns=lambda: LATE_NS)
    assert cleared.kept is None
    assert set(ids_in(target, PACKS)) == needed(target)
    require_all_open(target, connect)


@pytest.mark.parametrize("others", [False, True])
def test_a_parent_that_is_deleted_later_keeps_its_packs_until_the_snapshot_is_done(
    node: Node, target: DirectoryPlace, connect: CountingConnector, others: bool
) -> None:
    """Also what another deletion would free that the missing parent shares."""
    first, second = chain(node, target, 2)
    write(node, 3)

    def meddle() -> None:
        for snapshot_id in (second, first) if others else (second,):
            deleted = delete_snapshot(target, snapshot_id)
            assert deleted.packs == ()
            assert "its parent is gone" in (deleted.kept or "")
        assert "its parent is gone" in (collect_garbage(target, grace_s=GRACE_S).kept or "")

    made = snapshot(node, Meddling(target, f"looked for {MANIFESTS}", meddle))
    assert made.parent == second
    require_all_open(target, connect)
    collect_garbage(target, now_ns=lambda: LATE_NS)
    assert set(ids_in(target, PACKS)) == needed(target)
    require_all_open(target, connect)


@pytest.mark.parametrize("after", [f"looked for {MANIFESTS}", MANIFESTS])
def test_a_snapshot_that_was_cleared_away_meanwhile_is_withdrawn(
    node: Node, target: DirectoryPlace, after: str
) -> None:
    """S-15: before its manifest is there, and between the manifest and the last look."""
    chain(node, target, 2)
    before = objects(target.path)
    write(node, 3)
    place = Meddling(target, after, lambda: collect_garbage(target, now_ns=lambda: LATE_NS))
    with pytest.raises(SnapshotError, match="left over"):
        snapshot(node, place)
    assert objects(target.path) == before


def test_clearing_up_leaves_what_is_young_and_what_is_somebody_elses(
    node: Node, taken: Taken, target: DirectoryPlace
) -> None:
    (target.path / "packs" / "notes.txt").write_bytes(b"mine")
    now = taken_ns = int.from_bytes(taken.snapshot_id[:6], "big") * 10**6
    orphan, dead = new_id(taken_ns), new_id(taken_ns)
    target.put(names.pack_name(orphan), b"what a killed snapshot left")
    target.put(begun_name(dead), Begun(dead, node.node_id, NO_PARENT, taken_ns).encode())
    young = now + round(GRACE_S * 1e9)
    assert collect_garbage(target, now_ns=lambda: young).names == ()
    cleared = collect_garbage(target, now_ns=lambda: young + 10**7)
    assert set(cleared.names) == {names.pack_name(orphan), begun_name(dead)}
    assert cleared.packs_bytes == 27
    assert (target.path / "packs" / "notes.txt").read_bytes() == b"mine"
    assert [item.state for item in list_snapshots(target)] == ["complete"]


def test_what_says_that_a_snapshot_is_begun_and_says_nonsense_keeps_all_until_it_is_cleared_up(
    node: Node, target: DirectoryPlace
) -> None:
    _, second = chain(node, target, 2)
    odd = new_id(10**9)  # however old: a deletion does not know whether its writer lives
    target.put(begun_name(odd), b"nonsense")
    assert "its parent is gone" in (delete_snapshot(target, second).kept or "")
    assert set(ids_in(target, PACKS)) > needed(target)
    assert collect_garbage(target, now_ns=lambda: LATE_NS).kept is None
    assert set(ids_in(target, PACKS)) == needed(target)
    with pytest.raises(ObjectMissingError):
        target.get(begun_name(odd), 1000)
