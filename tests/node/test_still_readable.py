"""What a purged key does not take away: its pages in newer snapshots and in the node, until they are sealed anew."""

import os
from pathlib import Path

import pytest

from keystore.errors import KeyNotFoundError, SnapshotDamagedError
from keystore.kms.connect import connector
from keystore.kms.naming import KeyName
from keystore.node.directory import Node
from keystore.node.snapshotting import snapshot
from keystore.node.still_readable import Remains, still_readable
from keystore.node.usage import keys_usage
from keystore.objects.directory import DirectoryPlace
from keystore.snapshots.delete import delete_snapshot
from keystore.snapshots.names import manifest_name
from keystore.snapshots.opened import open_snapshot
from tests.key_files import cmk as cmk
from tests.key_files import other_cmk as other_cmk

PAGES = 10


@pytest.fixture
def place(tmp_path: Path) -> DirectoryPlace:
    return DirectoryPlace(tmp_path / "snapshots")


def rows(found: Remains) -> list[tuple[bytes | None, str, int]]:
    return [(row.snapshot_id, f"{row.database}/{row.store}", row.pages) for row in found.readable]


def write(node: Node, *page_nos: int) -> None:
    with node.using_store("db", "file") as store:
        store.commit({page_no: os.urandom(4096) for page_no in page_nos})


def test_from_a_purge_to_the_last_page(tmp_path: Path, place: DirectoryPlace, cmk: str, other_cmk: str) -> None:
    (tmp_path / "source").write_bytes(os.urandom(PAGES * 4096))
    purged = KeyName(cmk)
    with Node.init(tmp_path / "node", cmk, connector()) as node:
        node.import_file("db", "file", tmp_path / "source", page_size=4096)
    with Node.open(tmp_path / "node", connector()) as node:
        old = snapshot(node, place).snapshot_id
        assert rows(still_readable(node, [place], purged.names)) == []
        node.change_cmk(other_cmk)
    with Node.open(tmp_path / "node", connector()) as node:
        write(node, 0, 1, 2)
        new = snapshot(node, place).snapshot_id
        (tmp_path / "cmk").unlink()

        # Every manifest of its era fails for good; and yet most of its pages are there.
        with pytest.raises(KeyNotFoundError, match="final"):
            open_snapshot(place, old, connector())
        found = still_readable(node, [place], purged.names)
        assert found.snapshots == 1
        assert rows(found) == [(new, "db/file", PAGES - 3), (None, "db/file", PAGES - 3)]
        assert {row.key_id for row in found.readable} == {other_cmk}

        # Sealed anew, they stand in the newer snapshot alone; and when that has gone, nowhere.
        node.new_data_key("db")
        assert [store.left for store in node.key_life.reseal()] == [0]
        assert rows(still_readable(node, [place], purged.names)) == [(new, "db/file", PAGES - 3)]
        after = snapshot(node, place).snapshot_id
        delete_snapshot(place, new)
        found = still_readable(node, [place], purged.names)
        assert (found.snapshots, found.readable, found.problems) == (1, (), ())

        # And what still needs the key is that one snapshot, which nobody can open.
        [usage] = keys_usage([node.directory, place.path]).of(purged)
        assert [user.snapshot_id for user in usage.users] == [old]
        delete_snapshot(place, old)
        report = keys_usage([node.directory, place.path])
        assert (report.of(purged), report.problems) == ((), ())
        with open_snapshot(place, after, connector()) as opened:
            assert sum(store.pages for store in opened.body.stores) == PAGES


def test_without_a_snapshot_nobody_can_tell(tmp_path: Path, place: DirectoryPlace, cmk: str, other_cmk: str) -> None:
    with Node.init(tmp_path / "node", other_cmk, connector()) as node:
        snapshot(node, place)
        assert still_readable(node, [place], KeyName(cmk).names).snapshots == 0


def test_a_page_is_readable_by_a_snapshot_in_another_place(
    tmp_path: Path, place: DirectoryPlace, cmk: str, other_cmk: str
) -> None:
    (tmp_path / "source").write_bytes(os.urandom(PAGES * 4096))
    second = DirectoryPlace(tmp_path / "second")
    with Node.init(tmp_path / "node", cmk, connector()) as node:
        node.import_file("db", "file", tmp_path / "source", page_size=4096)
        snapshot(node, place)
        node.change_cmk(other_cmk)
        new = snapshot(node, second).snapshot_id
        found = still_readable(node, [place, second], KeyName(cmk).names)
    assert found.snapshots == 1
    assert rows(found) == [(new, "db/file", PAGES), (None, "db/file", PAGES)]


def test_what_cannot_be_read_is_told(tmp_path: Path, place: DirectoryPlace, cmk: str) -> None:
    with Node.init(tmp_path / "node", cmk, connector()) as node:
        taken = snapshot(node, place).snapshot_id
        path = place.path / manifest_name(taken)
        path.write_bytes(path.read_bytes()[:-1])
        found = still_readable(node, [place], KeyName(cmk).names)
    assert [type(problem) for problem in found.problems] == [SnapshotDamagedError]


def test_snapshots_of_other_nodes_are_left_out(tmp_path: Path, place: DirectoryPlace, cmk: str, other_cmk: str) -> None:
    with Node.init(tmp_path / "other", cmk, connector()) as other:
        snapshot(other, place)
    with Node.init(tmp_path / "node", other_cmk, connector()) as node:
        assert still_readable(node, [place], KeyName(cmk).names).snapshots == 0
