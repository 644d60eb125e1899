"""Increments: every snapshot of a chain is what the store was, shares what did not change, and counts exactly."""

import io
import shutil
from collections import Counter
from contextlib import closing
from pathlib import Path
from random import Random

import pytest

from keystore.format.layout import PAGE_SIZES_BYTES
from keystore.format.snapshot_map import StoreEntry
from keystore.node.directory import Node
from keystore.node.restoring import restore
from keystore.node.snapshotting import snapshot
from keystore.objects.directory import DirectoryPlace
from keystore.pages.store import PageStore
from keystore.snapshots import writing
from keystore.snapshots.create import CreatedSnapshot
from keystore.snapshots.keys import derive_map_key
from keystore.snapshots.manifest import read_manifest
from keystore.snapshots.names import PACKS, ids_in
from keystore.snapshots.opened import open_snapshot
from keystore.snapshots.reading import MapReader, Packs
from tests.snapshots.conftest import CountingConnector, contents, manifest_path, objects

PAGE = 4096
Pages = dict[int, bytes]
"""Page numbers, and session, nonce, tag and ciphertext of each."""


def pages_of(store: PageStore) -> Pages:
    with store.pin() as pin:
        return {
            number: entry.tobytes()[8:] + bytes(batch.ciphertext[at * store.page_size : (at + 1) * store.page_size])
            for batch in pin.sealed()
            for at, (number, entry) in enumerate(zip(batch.page_nos.tolist(), batch.entries, strict=True))
        }


def pages_in(target: DirectoryPlace, snapshot_id: bytes, connect: CountingConnector, name: str = "f") -> Pages:
    with open_snapshot(target, snapshot_id, connect) as opened:
        (entry,) = (store for store in opened.body.stores if store.name == name)
        size = entry.page_size
        return {
            number: row.tobytes()[8:] + bytes(batch.ciphertext[at * size : (at + 1) * size])
            for batch in opened.batches(entry)
            for at, (number, row) in enumerate(zip(batch.page_nos.tolist(), batch.entries, strict=True))
        }


def require_exact_counts(node: Node, target: DirectoryPlace, snapshot_id: bytes) -> None:
    """S-18, S-5: walk each map to its end, and count."""
    manifest = read_manifest(target, snapshot_id)
    with node.held() as custody, derive_map_key(custody.keystore.snapshot_secret, snapshot_id) as map_key:
        body = manifest.open_map(map_key)
        with closing(Packs(target, manifest.head, custody.volume)) as packs:
            for entry in body.stores:
                with closing(MapReader(packs, entry, map_key)) as reader:
                    found = counted(reader, entry)
                assert found == (
                    {pack.number: pack.pages for pack in entry.packs if pack.pages},
                    {pack.number: pack.nodes for pack in entry.packs if pack.nodes},
                    {use.record.number: use.pages for use in entry.uses},
                )


def counted(reader: MapReader, entry: StoreEntry) -> tuple[Counter[int], Counter[int], Counter[int]]:
    pages, nodes, sessions = Counter[int](), Counter[int](), Counter[int]()
    read = reader.nodes

    def counting(wanted: list[tuple[int, int, bytes]]) -> list[object]:
        for _, _, row in wanted:
            nodes[int.from_bytes(row[32:36], "little")] += 1
        return read(wanted)  # type: ignore[return-value]

    reader.nodes = counting  # type: ignore[assignment,method-assign]
    for _, rows in reader.leaves():
        there = rows[rows["session"] != 0]
        pages.update(there["pack"].tolist())
        sessions.update(there["session"].tolist())
    return pages, nodes, sessions


CHANGES = ("scattered", "grow", "cut", "cut to nothing", "cut to one page", "far away", "holes", "nothing", "reopen")


@pytest.mark.parametrize("seed", range(6))
def test_every_snapshot_of_a_chain_is_what_the_store_was(
    node: Node, target: DirectoryPlace, connect: CountingConnector, seed: int
) -> None:
    """Chance changes, which make the map higher and lower; each snapshot is compared with the store at its time."""
    random = Random(seed)
    store = node.create_store("d", "f", PAGE)
    known: dict[bytes, Pages] = {}
    for _ in range(14):
        kind = random.choice(CHANGES)
        if kind == "reopen":
            store.close()
            store = node.open_store("d", "f")
        else:
            change(store, kind, random)
        made = snapshot(node, target)
        known[made.snapshot_id] = pages_of(store)
        assert made.pages == len(known[made.snapshot_id])
        require_exact_counts(node, target, made.snapshot_id)
    for snapshot_id, pages in known.items():
        assert pages_in(target, snapshot_id, connect) == pages
    store.close()


def change(store: PageStore, kind: str, random: Random) -> None:
    def page() -> bytes:
        return random.randbytes(8) * (PAGE // 8)

    count = store.page_count
    if kind == "grow":
        first = count + random.randrange(3)
        store.commit({first + at: page() for at in range(random.choice((1, 5, 150)))})
    elif kind == "far away":
        store.commit({count + random.choice((500, 20_000)): page()})
    elif kind.startswith("cut"):
        store.commit(page_count={"cut": count // 2, "cut to nothing": 0}.get(kind, min(count, 1)))
    elif kind in ("scattered", "holes"):
        chosen = random.sample(range(max(count, 1)), min(max(count, 1), random.choice((1, 7, 40))))
        store.commit({number: None if kind == "holes" else page() for number in chosen if number < count})


@pytest.mark.parametrize("page_size", PAGE_SIZES_BYTES)
def test_an_increment_writes_what_changed_and_the_nodes_above_it(
    node: Node, target: DirectoryPlace, connect: CountingConnector, tmp_path: Path, page_size: int
) -> None:
    """In bytes: 1 of 100 pages, scattered; the manifest, one pack, and not one byte of what was there."""
    pages = (24 << 20) // page_size
    random = Random(page_size)
    with node.create_store("d", "f", page_size) as store:
        for first in range(0, pages, 64):
            store.commit({first + at: random.randbytes(page_size) for at in range(min(64, pages - first))})
    full = snapshot(node, target)
    before = objects(target.path)
    changed = random.sample(range(pages), max(1, pages // 100))
    with node.open_store("d", "f") as store:
        store.commit({number: random.randbytes(page_size) for number in changed})
    made = snapshot(node, target)
    after = objects(target.path)
    assert {name: after[name] for name in before} == before
    added = sum(len(data) for name, data in after.items() if name not in before)
    assert (made.parent, made.stored_bytes, len(after) - len(before)) == (full.snapshot_id, added, 2)
    fanout = page_size // 40
    nodes = min(len(changed), -(-pages // fanout)) + 2
    assert added <= len(changed) * page_size + nodes * (fanout * 48 + 76) + 4096
    again = snapshot(node, target)
    assert (again.parent, again.pages) == (made.snapshot_id, pages)
    assert again.stored_bytes < 2048
    restore(target, made.snapshot_id, tmp_path / "r", connect)
    shutil.rmtree(tmp_path / "r")


def test_a_full_snapshot_shares_nothing(node: Node, target: DirectoryPlace) -> None:
    node.import_file("d", "f", io.BytesIO(bytes(20 * PAGE)), page_size=PAGE)
    first, second = snapshot(node, target), snapshot(node, target, full=True)
    assert (first.parent, second.parent) == (None, None)
    packs = [{pack.pack_id for pack in read_manifest(target, made.snapshot_id).head.packs} for made in (first, second)]
    assert packs[0].isdisjoint(packs[1])


def test_packs_have_a_largest_size(
    node: Node, target: DirectoryPlace, connect: CountingConnector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "PACK_BYTES_MAX", 50 * PAGE)
    data = Random(1).randbytes(300 * PAGE)
    node.import_file("d", "f", io.BytesIO(data), page_size=PAGE)
    first = snapshot(node, target)
    lengths = list(ids_in(target, PACKS).values())
    assert len(lengths) > 5
    assert max(lengths) <= 103 * PAGE  # a batch, of one leaf, is not cut
    with node.open_store("d", "f") as store:
        store.commit(dict.fromkeys(range(0, 300, 3), b"n" * PAGE))
    second = snapshot(node, target)
    require_exact_counts(node, target, second.snapshot_id)
    restore(target, first.snapshot_id, tmp_path / "first", connect)
    assert contents(tmp_path / "first", connect, tmp_path / "out") == {("d", "f"): data}
    restore(target, second.snapshot_id, tmp_path / "second", connect)
    expected = b"".join(b"n" * PAGE if at % 3 == 0 else data[at * PAGE : (at + 1) * PAGE] for at in range(300))
    assert contents(tmp_path / "second", connect, tmp_path / "out") == {("d", "f"): expected}


def filled(node: Node) -> None:
    with node.create_store("d", "f", PAGE) as store:
        store.commit({number: bytes([number % 251]) * PAGE for number in range(400)})


def written_pages(target: DirectoryPlace, made: CreatedSnapshot) -> int:
    return made.stored_bytes // PAGE


def test_a_copy_of_the_node_and_a_node_that_was_rolled_back(
    node: Node, target: DirectoryPlace, connect: CountingConnector, tmp_path: Path
) -> None:
    """Three lines of one node id take turns in one place, each with the others' snapshots as parents."""
    filled(node)
    snapshot(node, target)
    node.close()
    places = [node.directory, tmp_path / "copy", tmp_path / "older"]
    for place in places[1:]:
        shutil.copytree(node.directory, place)
    known: dict[bytes, Pages] = {}
    for turn in range(3):
        for number, place in enumerate(places):
            with Node.open(place, connect) as opened, opened.open_store("d", "f") as store:
                store.commit({page: bytes([number, turn]) * (PAGE // 2) for page in range(number, 400, 50 + number)})
                made = snapshot(opened, target)
                assert made.parent is not None
                require_exact_counts(opened, target, made.snapshot_id)
                known[made.snapshot_id] = pages_of(store)
                assert written_pages(target, made) < 40
    for snapshot_id, pages in known.items():
        assert pages_in(target, snapshot_id, connect) == pages


@pytest.mark.row("R80")
def test_rotations_a_change_of_the_cmk_and_a_compaction_make_no_page_be_written_again(
    node: Node, target: DirectoryPlace, connect: CountingConnector, other_cmk: str
) -> None:
    """S-16: the parent's map is read without a KMS."""
    filled(node)
    snapshot(node, target)
    node.rotate_master()
    node.change_cmk(other_cmk)
    connect.asked.clear()
    rotated = snapshot(node, target)
    assert connect.asked == []
    assert rotated.stored_bytes < 2048
    with node.open_store("d", "f") as store:
        store.commit(dict.fromkeys(range(100)))
        store.compact()
        compacted = snapshot(node, target)
        assert (compacted.pages, pages_in(target, compacted.snapshot_id, connect)) == (300, pages_of(store))
    assert written_pages(target, compacted) < 10  # nodes of the map


def test_resealed_pages_are_other_pages(node: Node, target: DirectoryPlace, connect: CountingConnector) -> None:
    filled(node)
    snapshot(node, target)
    node.new_data_key("d")
    node.key_life.reseal("d")
    made = snapshot(node, target)
    assert written_pages(target, made) >= 400
    with open_snapshot(target, made.snapshot_id, connect) as opened:
        assert [key.generation for key in opened.data_keys(opened.body.databases[0])] == [2]
    packs = {pack.pack_id for pack in read_manifest(target, made.snapshot_id).head.packs}
    assert packs.isdisjoint(pack.pack_id for pack in read_manifest(target, made.parent or b"").head.packs)


def test_a_damaged_map_of_the_parent_makes_that_store_be_written_whole(
    node: Node, target: DirectoryPlace, connect: CountingConnector
) -> None:
    filled(node)
    node.import_file("d", "g", io.BytesIO(bytes(50 * PAGE)), page_size=PAGE)
    first = snapshot(node, target)
    with open_snapshot(target, first.snapshot_id, connect) as opened:
        entry = next(store for store in opened.body.stores if store.name == "f")
        pack = target.path / "packs" / opened.head.packs[entry.packs[0].place].pack_id.hex()
    data = bytearray(pack.read_bytes())
    data[int.from_bytes(entry.root[36:44], "little") + 60] ^= 1
    pack.write_bytes(data)
    with node.open_store("d", "f") as store:
        store.commit({7: b"7" * PAGE})
        second = snapshot(node, target)
        assert (second.parent, second.whole) == (first.snapshot_id, ("d/f",))
        assert 400 <= written_pages(target, second) < 450
        assert pages_in(target, second.snapshot_id, connect) == pages_of(store)
    require_exact_counts(node, target, second.snapshot_id)
    assert snapshot(node, target).whole == ()


def test_what_is_no_parent(node: Node, target: DirectoryPlace, connect: CountingConnector, tmp_path: Path) -> None:
    """A damaged manifest, one that lacks a pack, one of another node; then the one before, or none."""
    filled(node)
    first, second = snapshot(node, target), snapshot(node, target, full=True)
    with Node.init(tmp_path / "other", node.master_info.key_id, connect) as other:
        other.import_file("d", "f", io.BytesIO(bytes(50 * PAGE)), page_size=PAGE)
        assert snapshot(other, target).parent is None
    manifest = manifest_path(target.path, second.snapshot_id)
    data = manifest.read_bytes()
    manifest.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    assert snapshot(node, target).parent == first.snapshot_id
    for pack in (target.path / "packs").iterdir():
        pack.unlink()
    assert snapshot(node, target).parent is None


def test_pages_are_found_one_by_one(node: Node, target: DirectoryPlace, connect: CountingConnector) -> None:
    with node.create_store("d", "f", PAGE) as store:
        store.commit({number: bytes([number % 251]) * PAGE for number in range(0, 3000, 3)})
        made = snapshot(node, target)
        pages = pages_of(store)
    with open_snapshot(target, made.snapshot_id, connect) as opened:
        (entry,) = opened.body.stores
        for wanted in ([], [0], [1], [2999, 5, 3, 3], [900, 901, 902, 903], list(range(0, 3000, 150)), [10**9]):
            found = {
                int(number): bytes(batch.ciphertext[at * PAGE : (at + 1) * PAGE])
                for batch in opened.pages(entry, wanted)
                for at, number in enumerate(batch.page_nos)
            }
            assert found == {number: pages[number][32:] for number in set(wanted) & pages.keys()}
