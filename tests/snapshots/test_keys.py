"""The keys that go into a snapshot, while the node's own keys change."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

from keystore.keys.hierarchy import Database, StoreRecord
from keystore.node.directory import Node
from keystore.node.restoring import restore
from keystore.node.snapshotting import snapshot
from keystore.objects.directory import DirectoryPlace
from keystore.pages.pin import Pin
from keystore.snapshots.create import create_snapshot
from keystore.snapshots.opened import open_snapshot
from keystore.snapshots.source import NodeKeys, NodeSource
from tests.snapshots.conftest import CountingConnector, contents


def test_sessions_that_no_page_names_stay_out(
    node: Node, target: DirectoryPlace, connect: CountingConnector, tmp_path: Path
) -> None:
    """S-5: neither the session in which the store was opened, nor one of the map alone."""
    with node.create_store("d", "f", 4096) as store:
        store.commit({0: b"x" * 4096})
    for _ in range(3):
        node.open_store("d", "f").close()
    node.new_data_key("d")
    with node.open_store("d", "f"):
        made = snapshot(node, target)
    with open_snapshot(target, made.snapshot_id, connect) as opened:
        (entry,) = opened.body.stores
        assert [session.generation for session in entry.sessions] == [1]
        assert [key.generation for key in opened.data_keys(opened.body.databases[0])] == [1]
    restore(target, made.snapshot_id, tmp_path / "restored", connect)


def test_a_data_key_made_before_the_pin_goes_along(
    node: Node, target: DirectoryPlace, connect: CountingConnector, tmp_path: Path
) -> None:
    """A generation that is newer than the catalogue the snapshot began with, and a page sealed under it."""
    with node.create_store("d", "f", 4096) as store:
        store.commit({0: b"1" * 4096})

    @contextmanager
    def held() -> Iterator[NodeKeys]:
        with node.held() as custody:
            yield custody.node_keys()

    @contextmanager
    def pin(database: Database, record: StoreRecord) -> Iterator[Pin]:
        node.rotate_master()
        node.new_data_key(database.name)
        with node.using_store(database.name, record.name) as store:
            store.commit({1: b"2" * 4096}, byte_length=8192)
            with store.pin() as pinned:
                yield pinned

    made = create_snapshot(target, NodeSource(node.name, held, pin))
    assert (made.era, node.master_info.generation) == (1, 2)
    restore(target, made.snapshot_id, tmp_path / "restored", connect)
    assert contents(tmp_path / "restored", connect, tmp_path / "out") == {("d", "f"): b"1" * 4096 + b"2" * 4096}


def test_snapshots_beside_rotations(
    node: Node, target: DirectoryPlace, connect: CountingConnector, tmp_path: Path
) -> None:
    node.import_file("d", "f", BytesIO(b"content"))
    with ThreadPoolExecutor(2) as pool:
        rotations = pool.map(lambda _: node.rotate_master(), range(10))
        made = list(pool.map(lambda _: snapshot(node, target), range(5)))
        assert len(list(rotations)) == 10
    for number, each in enumerate(made):
        restore(target, each.snapshot_id, tmp_path / f"restored-{number}", connect)
        found = contents(tmp_path / f"restored-{number}", connect, tmp_path / "out")
        assert found == {("d", "f"): b"content"}
