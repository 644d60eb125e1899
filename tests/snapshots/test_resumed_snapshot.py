"""Snapshots that were cut off after they had noted what was done: the next one goes on, and nothing is left over."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest

from keystore.errors import PlaceUnreachableError, SnapshotError
from keystore.node.directory import Node
from keystore.node.snapshotting import snapshot
from keystore.objects.directory import DirectoryPlace
from keystore.objects.place import ObjectWriter
from keystore.snapshots import writing
from keystore.snapshots.damage import damaged
from keystore.snapshots.delete import GRACE_S, collect_garbage, delete_snapshot
from keystore.snapshots.ids import created_ns
from keystore.snapshots.manifest import read_manifest
from keystore.snapshots.names import BEGUN, PACKS, PARTIAL, ids_in, pack_name, snapshot_ids
from tests.snapshots.conftest import CountingConnector, objects
from tests.snapshots.test_increment import PAGE, pages_in, pages_of, require_exact_counts

PAGES = 1000
PACK_PAGES = 120
LATE_NS = 4 * 10**18


@pytest.fixture(autouse=True)
def small_packs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "PACK_BYTES_MAX", PACK_PAGES * PAGE)


class DyingPlace(DirectoryPlace):
    """Does not answer any more when so many packs are there."""

    def __init__(self, path: Path, packs: int) -> None:
        super().__init__(path)
        self._left = packs

    @contextmanager
    def create(self, name: str) -> Iterator[ObjectWriter]:
        if name.startswith(PACKS):
            self._left -= 1
        with super().create(name) as writer:
            self._answer()
            yield writer

    def put(self, name: str, data: bytes) -> bool:
        self._answer()
        return super().put(name, data)

    def remove(self, name: str) -> None:
        self._answer()
        super().remove(name)

    def _answer(self) -> None:
        if self._left < 0:
            raise PlaceUnreachableError("no answer")


def write(node: Node, seed: int, every: int) -> None:
    with node.using_store("d", "f") as store:
        store.commit({number: bytes([seed, number % 251]) * (PAGE // 2) for number in range(0, PAGES, every)})


def needed(target: DirectoryPlace) -> set[bytes]:
    return {pack.pack_id for found in snapshot_ids(target) for pack in read_manifest(target, found).head.packs}


@pytest.mark.parametrize("packs", [2, 4, 7])
def test_the_next_snapshot_goes_on_where_one_was_cut_off(
    node: Node, target: DirectoryPlace, connect: CountingConnector, packs: int
) -> None:
    for name in ("a", "f", "g"):
        node.create_store("d", name, PAGE).close()
    with node.using_store("d", "a") as store:
        store.commit({0: b"a" * PAGE})
    write(node, 1, 1)
    with pytest.raises(PlaceUnreachableError):
        snapshot(node, DyingPlace(target.path, packs + 1))
    assert len(ids_in(target, PARTIAL)) == 1
    there = sum(ids_in(target, PACKS).values())
    made = snapshot(node, target)
    assert made.parent is not None
    assert there + made.stored_bytes < (PAGES + 300) * PAGE, "hardly a page was written twice"
    assert made.stored_bytes < (PAGES - (packs - 1) * PACK_PAGES * 3 // 4 + 150) * PAGE
    with node.using_store("d", "f") as store:
        assert pages_in(target, made.snapshot_id, connect) == pages_of(store)
    require_exact_counts(node, target, made.snapshot_id)
    collect_garbage(target, now_ns=lambda: LATE_NS)
    assert (ids_in(target, PARTIAL), ids_in(target, BEGUN), set(ids_in(target, PACKS))) == ({}, {}, needed(target))
    assert pages_in(target, made.snapshot_id, connect).keys() == set(range(PAGES))


def test_an_increment_that_was_cut_off_keeps_what_it_shares(
    node: Node, target: DirectoryPlace, connect: CountingConnector
) -> None:
    """Where it had not been yet the note has what the parent has; a deletion of that parent waits."""
    node.create_store("d", "f", PAGE).close()
    write(node, 1, 1)
    first = snapshot(node, target)
    write(node, 2, 3)
    with pytest.raises(PlaceUnreachableError):
        snapshot(node, DyingPlace(target.path, 2))
    assert "its parent is gone" in (delete_snapshot(target, first.snapshot_id).kept or "")
    made = snapshot(node, target)
    assert made.stored_bytes < (PAGES // 3 - PACK_PAGES // 2 + 60) * PAGE
    with node.using_store("d", "f") as store:
        assert pages_in(target, made.snapshot_id, connect) == pages_of(store)
    require_exact_counts(node, target, made.snapshot_id)
    collect_garbage(target, now_ns=lambda: LATE_NS)
    assert set(ids_in(target, PACKS)) == needed(target)


def test_a_snapshot_that_ends_well_leaves_no_note_and_no_pack_of_notes(node: Node, target: DirectoryPlace) -> None:
    node.create_store("d", "f", PAGE).close()
    write(node, 1, 1)
    snapshot(node, target)
    assert (ids_in(target, PARTIAL), ids_in(target, BEGUN), set(ids_in(target, PACKS))) == ({}, {}, needed(target))


def test_a_snapshot_that_fails_otherwise_leaves_nothing(node: Node, target: DirectoryPlace) -> None:
    node.create_store("d", "f", PAGE).close()
    write(node, 1, 1)

    def fail(done: int, total: int) -> None:
        if done > 700 * PAGE:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        snapshot(node, target, fail)
    assert objects(target.path) == {}


def test_a_note_that_another_snapshot_took_up_keeps_its_packs_when_its_own_fails(
    node: Node, target: DirectoryPlace, connect: CountingConnector
) -> None:
    """Two copies of a node may do that, or two threads; also where the common parent is deleted meanwhile."""
    node.create_store("d", "f", PAGE).close()
    write(node, 1, 1)
    first = snapshot(node, target)
    write(node, 2, 3)
    other: list[bytes] = []

    def meddle(done: int, total: int) -> None:
        if not other and ids_in(target, PARTIAL):
            made = snapshot(node, target)
            assert made.parent in ids_in(target, PARTIAL)
            other.append(made.snapshot_id)
            delete_snapshot(target, first.snapshot_id)
        if done > 700 * PAGE:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        snapshot(node, target, meddle)
    assert snapshot_ids(target) == other
    with node.using_store("d", "f") as store:
        assert pages_in(target, other[0], connect) == pages_of(store)
    collect_garbage(target, now_ns=lambda: LATE_NS)
    assert set(ids_in(target, PACKS)) == needed(target)
    with node.using_store("d", "f") as store:
        assert pages_in(target, other[0], connect) == pages_of(store)


class MeddlingOnRead(DirectoryPlace):
    """Lets something happen after the first note was read."""

    def __init__(self, place: DirectoryPlace, meddle: Callable[[], object]) -> None:
        super().__init__(place.path)
        self._meddle, self._done = meddle, False

    def get(self, name: str, bytes_max: int) -> bytes:
        data = super().get(name, bytes_max)
        if name.startswith(PARTIAL) and not self._done:
            self._done = True
            self._meddle()
        return data


def require_whole(node: Node, target: DirectoryPlace, snapshot_id: bytes, connect: CountingConnector) -> None:
    with node.using_store("d", "f") as store:
        assert pages_in(target, snapshot_id, connect) == pages_of(store)


def test_clearing_up_leaves_packs_that_a_note_names_as_long_as_the_note(
    node: Node, target: DirectoryPlace, connect: CountingConnector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A note is younger than the packs in it; who found it is about to share them."""
    node.create_store("d", "f", PAGE).close()
    write(node, 1, 1)
    seconds = count(1_700_000_000)
    with monkeypatch.context() as patch:
        patch.setattr(node.log, "record_time_ns", lambda: next(seconds) * 10**9)
        with pytest.raises(PlaceUnreachableError):
            snapshot(node, DyingPlace(target.path, 4))
    (note,) = ids_in(target, PARTIAL)
    old = [pack_id for pack_id in ids_in(target, PACKS) if pack_id < note]
    cleared = []

    def meddle() -> None:
        cleared.append(collect_garbage(target, now_ns=lambda: created_ns(note) + round(GRACE_S * 1e9)))

    made = snapshot(node, MeddlingOnRead(target, meddle))
    assert len(old) > 2
    assert made.parent == note
    assert [name.partition("/")[0] for name in cleared[0].names if not name.startswith(PARTIAL)] == ["begun"]
    require_whole(node, target, made.snapshot_id, connect)
    collect_garbage(target, now_ns=lambda: LATE_NS)
    assert set(ids_in(target, PACKS)) == needed(target)


def test_a_pack_that_goes_while_a_snapshot_is_taken_that_shares_it_fails_the_snapshot(
    node: Node, target: DirectoryPlace
) -> None:
    """Nothing of ours removes it; a lifecycle rule of a bucket does."""
    node.create_store("d", "f", PAGE).close()
    write(node, 1, 1)
    first = snapshot(node, target)
    write(node, 2, 3)
    gone = read_manifest(target, first.snapshot_id).head.packs[0].pack_id

    def meddle(done: int, total: int) -> None:
        if done == total:
            target.remove(pack_name(gone))

    with pytest.raises(SnapshotError, match=f"pack {gone.hex()} is missing"):
        snapshot(node, target, meddle)
    assert snapshot_ids(target) == [first.snapshot_id]
    made = snapshot(node, target)
    assert made.parent is None


def test_packs_that_are_given_up_stay_where_another_snapshot_shares_them(
    node: Node, target: DirectoryPlace, connect: CountingConnector
) -> None:
    """The parent's map turns out to be damaged after something was noted, and somebody had taken up the note."""
    node.create_store("d", "f", PAGE).close()
    write(node, 1, 1)
    snapshot(node, target)
    write(node, 2, 3)
    other: list[bytes] = []

    def meddle(done: int, total: int) -> None:
        if not other and ids_in(target, PARTIAL):
            made = snapshot(node, target)
            assert made.parent in ids_in(target, PARTIAL)
            other.append(made.snapshot_id)
            raise damaged("the parent's map", "as if it had been read here")

    made = snapshot(node, target, meddle)
    assert made.whole == ("d/f",)
    for snapshot_id in (made.snapshot_id, *other):
        require_whole(node, target, snapshot_id, connect)
    collect_garbage(target, now_ns=lambda: LATE_NS)
    assert set(ids_in(target, PACKS)) == needed(target)
