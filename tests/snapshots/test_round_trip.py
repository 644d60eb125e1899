"""Snapshot and restore of all that a node can hold: everything comes back, nothing is opened or rewritten."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from keystore.errors import NameUnknownError, NodeExistsError, PlaceMissingError, SnapshotMissingError
from keystore.node.directory import Node
from keystore.node.restoring import restore
from keystore.node.snapshotting import snapshot
from keystore.objects.directory import DirectoryPlace
from keystore.objects.place import PIECES_LENT, ObjectWriter
from keystore.pages.file import EncryptedFile
from keystore.snapshots import difference
from keystore.snapshots.ids import find_id
from keystore.snapshots.listing import list_snapshots
from keystore.snapshots.names import snapshot_ids
from keystore.snapshots.opened import open_snapshot
from tests.snapshots.conftest import CountingConnector, Taken, contents, objects

PAGE = 4096


def test_every_file_comes_back(
    taken: Taken, target: DirectoryPlace, tmp_path: Path, connect: CountingConnector, cmk: str
) -> None:
    made = restore(target, taken.snapshot_id, tmp_path / "restored", connect)
    assert contents(tmp_path / "restored", connect, tmp_path / "out") == taken.content
    assert (made.snapshot_key_id, made.key_id, made.stores) == (cmk, cmk, 2)
    assert made.logical_bytes == sum(map(len, taken.content.values()))


def test_a_snapshot_asks_no_kms(node: Node, target: DirectoryPlace, connect: CountingConnector, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(os.urandom(10_000))
    node.import_file("db", "file", source)
    connect.asked.clear()
    snapshot(node, target)
    list_snapshots(target)
    assert connect.asked == []


def test_a_restore_asks_for_the_key_of_the_day(
    taken: Taken,
    node: Node,
    target: DirectoryPlace,
    tmp_path: Path,
    connect: CountingConnector,
    cmk: str,
    other_cmk: str,
) -> None:
    node.rotate_master()
    node.change_cmk(other_cmk)
    node.rotate_master()
    connect.asked.clear()
    restore(target, taken.snapshot_id, tmp_path / "restored", connect, key=other_cmk)
    assert connect.asked == [cmk, other_cmk]
    Path(cmk.removeprefix("local://")).unlink()
    assert contents(tmp_path / "restored", connect, tmp_path / "out") == taken.content


def test_rotations_change_no_byte_of_a_snapshot(taken: Taken, node: Node, other_cmk: str) -> None:
    before = objects(taken.place)
    node.rotate_master()
    node.change_cmk(other_cmk)
    assert objects(taken.place) == before


class LatePlace(DirectoryPlace):
    """Looks at each piece as late as `ObjectWriter.write` allows."""

    @contextmanager
    def create(self, name: str) -> Iterator[ObjectWriter]:
        with super().create(name) as writer:
            yield LateWriter(writer)


class LateWriter:
    def __init__(self, writer: ObjectWriter) -> None:
        self._writer = writer
        self._lent: list[bytes | bytearray | memoryview] = []

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self._lent.append(data)
        self._look(PIECES_LENT)

    def finish(self) -> tuple[int, bytes]:
        self._look(0)
        return self._writer.finish()

    def _look(self, left: int) -> None:
        while len(self._lent) > left:
            self._writer.write(bytes(self._lent.pop(0)))


def test_a_piece_stays_as_it_is_while_it_is_lent(
    node: Node, target: DirectoryPlace, tmp_path: Path, connect: CountingConnector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(difference, "PIECE_BYTES", 2 * PAGE)
    content, source = os.urandom(41 * PAGE), tmp_path / "source"
    source.write_bytes(content)
    node.import_file("db", "file", source, page_size=PAGE)
    made = snapshot(node, LatePlace(target.path))
    restore(target, made.snapshot_id, tmp_path / "restored", connect)
    assert contents(tmp_path / "restored", connect, tmp_path / "out") == {("db", "file"): content}


def test_ciphertext_goes_in_and_out_unchanged(
    node: Node, target: DirectoryPlace, tmp_path: Path, connect: CountingConnector
) -> None:
    """S-10, F-11: the pages in store, pack and restored store are the same bytes."""
    source = tmp_path / "source"
    source.write_bytes(os.urandom(20 * 4096))
    node.import_file("db", "file", source, page_size=4096)
    with node.open_store("db", "file") as store, store.pin() as pin:
        sealed = b"".join(bytes(batch.ciphertext) for batch in pin.sealed())
    made = snapshot(node, target)
    (pack,) = (target.path / "packs").iterdir()
    assert sealed in pack.read_bytes()
    assert source.read_bytes()[:64] not in pack.read_bytes()
    restore(target, made.snapshot_id, tmp_path / "restored", connect)
    with (
        Node.open(tmp_path / "restored", connect) as restored,
        restored.open_store("db", "file") as store,
        store.pin() as pin,
    ):
        assert b"".join(bytes(batch.ciphertext) for batch in pin.sealed()) == sealed


def test_a_restored_node_shares_no_id_and_no_key_for_writing(
    taken: Taken, node: Node, target: DirectoryPlace, tmp_path: Path, connect: CountingConnector
) -> None:
    restore(target, taken.snapshot_id, tmp_path / "restored", connect)
    with Node.open(tmp_path / "restored", connect) as restored:
        assert restored.node_id != node.node_id
        assert restored.master_info.name != node.master_info.name
        for name, old in node.databases.items():
            new = restored.databases[name]
            assert new.database_id != old.database_id
            assert {record.store_id for record in new.stores.values()}.isdisjoint(
                record.store_id for record in old.stores.values()
            )
            *former, current = new.data_keys
            assert [data_key.generation for data_key in former] == [1]
            assert all(data_key.decrypt_only for data_key in former)
            assert former[0].key == old.data_keys[0].key
            assert (current.generation, current.decrypt_only) == (2, False)
            assert all(current.key != data_key.key for data_key in old.data_keys)


def test_a_restored_node_can_be_written_verified_and_snapshot_again(
    taken: Taken, target: DirectoryPlace, tmp_path: Path, connect: CountingConnector
) -> None:
    restore(target, taken.snapshot_id, tmp_path / "restored", connect)
    with Node.open(tmp_path / "restored", connect) as restored:
        assert restored.verify().ok
        with restored.open_store("first", "a") as store:
            store.commit({1: b"\x07" * 4096})
        again = snapshot(restored, target)
    restore(target, again.snapshot_id, tmp_path / "third", connect)
    expected = dict(taken.content)
    expected["first", "a"] = expected["first", "a"][:4096] + b"\x07" * 4096 + expected["first", "a"][8192:]
    assert contents(tmp_path / "third", connect, tmp_path / "out") == expected
    with Node.open(tmp_path / "third", connect) as third:
        assert third.verify().ok
        assert [data_key.generation for data_key in third.databases["first"].data_keys] == [1, 2, 3]


@pytest.mark.parametrize("page_size", [4096, 8192, 16384, 32768, 65536])
def test_sizes_at_the_edges_of_pages_and_batches(
    node: Node, target: DirectoryPlace, tmp_path: Path, connect: CountingConnector, page_size: int
) -> None:
    batch = 4 << 20
    lengths = [0, 1, page_size - 1, page_size, page_size + 1, batch, batch + 1, 2 * batch + page_size]
    expected = {}
    for length in lengths:
        (tmp_path / "source").write_bytes(os.urandom(length))
        node.import_file("db", f"f{length}", tmp_path / "source", page_size=page_size)
        expected["db", f"f{length}"] = (tmp_path / "source").read_bytes()
    made = snapshot(node, target)
    restore(target, made.snapshot_id, tmp_path / "restored", connect)
    assert contents(tmp_path / "restored", connect, tmp_path / "out") == expected


def test_holes_stay_holes(node: Node, target: DirectoryPlace, tmp_path: Path, connect: CountingConnector) -> None:
    with node.create_store("db", "sparse", 4096) as store:
        store.commit({5: b"five" * 1024, 700_000: b"last" * 1024}, page_count=1_000_000, byte_length=3_999_999_999)
    made = snapshot(node, target)
    assert (made.pages, made.logical_bytes) == (2, 3_999_999_999)
    assert made.stored_bytes < 32 * 1024
    restore(target, made.snapshot_id, tmp_path / "restored", connect)
    with Node.open(tmp_path / "restored", connect) as restored, restored.open_store("db", "sparse") as store:
        assert (store.page_count, store.byte_length) == (1_000_000, 3_999_999_999)
        assert store.read(5) == b"five" * 1024
        assert store.read(700_000) == b"last" * 1024
        assert store.read(6) == bytes(4096)
        report = store.verify()
        assert (report.ok, report.pages) == (True, 2)


def test_only_the_generations_in_use_go_along(
    node: Node, target: DirectoryPlace, tmp_path: Path, connect: CountingConnector
) -> None:
    """S-5: a generation that no page is sealed under stays out of the manifest."""
    with node.create_store("db", "file", 4096) as store:
        store.commit({0: b"1" * 4096, 1: b"1" * 4096})
    node.new_data_key("db")
    node.new_data_key("db")
    with node.open_store("db", "file") as store:
        store.commit({1: b"3" * 4096})
    node.new_data_key("db")
    made = snapshot(node, target)
    with open_snapshot(target, made.snapshot_id, connect) as opened:
        assert [key.generation for key in opened.data_keys(opened.body.databases[0])] == [1, 3]
    restore(target, made.snapshot_id, tmp_path / "restored", connect)
    with Node.open(tmp_path / "restored", connect) as restored:
        generations = [data_key.generation for data_key in restored.databases["db"].data_keys]
        assert generations == [1, 3, 4]
        with restored.open_store("db", "file") as store:
            assert store.read(0) + store.read(1) == b"1" * 4096 + b"3" * 4096


def test_an_empty_node_and_an_empty_database(
    node: Node, target: DirectoryPlace, tmp_path: Path, connect: CountingConnector
) -> None:
    first = snapshot(node, target)
    (tmp_path / "source").write_bytes(b"x")
    node.import_file("db", "gone", tmp_path / "source")
    node.drop_file("db", "gone")
    second = snapshot(node, target)
    restore(target, first.snapshot_id, tmp_path / "first", connect)
    restore(target, second.snapshot_id, tmp_path / "second", connect)
    with Node.open(tmp_path / "first", connect) as restored:
        assert dict(restored.databases) == {}
    with Node.open(tmp_path / "second", connect) as restored:
        assert list(restored.databases) == ["db"]
        assert restored.list_files() == []
        (tmp_path / "source").write_bytes(b"new")
        restored.import_file("db", "gone", tmp_path / "source")


def test_a_snapshot_of_an_open_store_shows_one_moment(
    node: Node, target: DirectoryPlace, tmp_path: Path, connect: CountingConnector
) -> None:
    """What is committed while pages are copied is not in the snapshot."""
    with node.create_store("db", "live", 4096) as store:
        file = EncryptedFile(store)
        file.write(b"a" * 4096 * 3000)
        file.flush()
        seen = []

        def write_meanwhile(done: int, total: int) -> None:
            seen.append((done, total))
            store.commit(dict.fromkeys(range(0, 3000, 7), b"b" * 4096))

        made = snapshot(node, target, write_meanwhile)
        assert store.read(7) == b"b" * 4096
    assert len(seen) > 3
    assert seen[-1] == (3000 * 4096, 3000 * 4096)
    restore(target, made.snapshot_id, tmp_path / "restored", connect)
    assert contents(tmp_path / "restored", connect, tmp_path / "out") == {("db", "live"): b"a" * 4096 * 3000}


@pytest.mark.parametrize("read_back", [False, True])
def test_restore_reports_its_progress(
    taken: Taken, target: DirectoryPlace, tmp_path: Path, connect: CountingConnector, read_back: bool
) -> None:
    seen: list[tuple[int, int]] = []

    def progress(done: int, total: int) -> None:
        seen.append((done, total))

    restore(target, taken.snapshot_id, tmp_path / "r", connect, progress=progress, read_back=read_back)
    first, second = 10 * 4096, 3 * 4096
    total = (1 + read_back) * (first + second)
    assert seen[0] == (first, total)
    assert ((1 + read_back) * first + second, total) in seen
    assert seen[-1] == (total, total)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_nothing_is_restored_over_something(
    taken: Taken, target: DirectoryPlace, tmp_path: Path, connect: CountingConnector
) -> None:
    (tmp_path / "file").write_bytes(b"mine")
    (tmp_path / "empty").mkdir()
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    connect.asked.clear()
    for name in ("file", "empty", "dangling", "node"):
        with pytest.raises(NodeExistsError, match="unchanged"):
            restore(target, taken.snapshot_id, tmp_path / name, connect)
    assert connect.asked == []
    assert (tmp_path / "file").read_bytes() == b"mine"


def test_ids_are_found_by_their_beginning(node: Node, target: DirectoryPlace) -> None:
    ids = [snapshot(node, target).snapshot_id for _ in range(3)]
    assert snapshot_ids(target) == sorted(ids)
    for snapshot_id in ids:
        assert find_id(snapshot_id.hex(), ids, "here") == snapshot_id
        assert find_id(snapshot_id.hex()[:30].upper(), ids, "here") == snapshot_id
    assert find_id("latest", sorted(ids), "here") == max(ids)
    for text, message in (("", "no complete"), (ids[0].hex()[:2], "3 snapshots"), ("zz", "no complete")):
        with pytest.raises(SnapshotMissingError, match=message):
            find_id(text, ids, "here")
    with pytest.raises(SnapshotMissingError, match="no complete"):
        find_id("latest", [], "here")


def test_names_that_look_alike_do_not_meet(node: Node, target: DirectoryPlace, connect: CountingConnector) -> None:
    with pytest.raises(NameUnknownError):
        node.open_store("db", "file")
    with pytest.raises(PlaceMissingError, match="no such directory"):
        list_snapshots(target)
    snapshot(node, target)
    for directory in (target.path, target.path / "manifests", target.path / "begun"):
        (directory / "notes.txt").write_text("mine")
        (directory / ("g" * 32)).write_text("mine")
        (directory / ("A" * 32)).mkdir()
    assert len(list_snapshots(target)) == 1
    with pytest.raises(SnapshotMissingError, match="has no snapshot"):
        open_snapshot(target, bytes(16), connect)
