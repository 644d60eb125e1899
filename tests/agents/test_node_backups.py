"""Backups of a served node over a real connection: expiries, restores into the node, the point-in-time log."""

from pathlib import Path

import pytest

from keystore.agents.identity import Role
from keystore.errors import InputError, KeyNotFoundError, LogGapError, LogMissingError
from keystore.format.kind import SnapshotKind
from tests.agents.running import ServedNode
from tests.snapshots.test_restore_into import state_of

FIRST, SECOND = b"first" * 5000, b"second" * 5000


def read(node: ServedNode, name: str = "file") -> bytes:
    return b"".join(node.client(Role.CLIENT).read_file("db", name))


def write(node: ServedNode, content: bytes, name: str = "file") -> None:
    node.client(Role.CLIENT).write_file("db", name, content)


def test_a_snapshot_says_why_and_until_when_it_is_kept(node: ServedNode, tmp_path: Path, cmk: str) -> None:
    write(node, FIRST)
    client, target = node.client(), str(tmp_path / "snapshots")
    made = client.create_snapshot(target, kind=SnapshotKind.WEEKLY, expires_ns=2**60)
    assert (made.kind, made.expires_ns, made.key_id) == (SnapshotKind.WEEKLY, 2**60, cmk)
    on_demand = client.create_snapshot(target)
    assert (on_demand.kind, on_demand.expires_ns) == (SnapshotKind.ON_DEMAND, 0)
    listed = client.list_snapshots(target)
    assert [(each.snapshot_id, each.kind, each.expires_ns) for each in listed] == [
        (each.snapshot_id, each.kind, each.expires_ns) for each in (made, on_demand)
    ]


def test_a_restore_into_the_node_gives_exactly_the_files_of_the_snapshot(
    node: ServedNode, tmp_path: Path, cmk: str, other_cmk: str
) -> None:
    write(node, FIRST)
    write(node, FIRST, "gone")
    client, target = node.client(), str(tmp_path / "snapshots")
    made = client.create_snapshot(target)
    client.change_cmk(other_cmk)
    write(node, SECOND)
    write(node, SECOND, "later")
    node.client(Role.CLIENT).drop_file("db", "gone")
    told: list[tuple[int, int]] = []
    done = client.restore_into(target, made.snapshot_id, progress=lambda *progress: told.append(progress))
    assert (done.replaced, done.added, done.dropped) == (("db/file",), ("db/gone",), ("db/later",))
    assert (done.snapshot_key_id, done.master_key.key_id, done.master_key.generation) == (cmk, other_cmk, 3)
    assert told[-1][0] == told[-1][1] > 0
    assert {each.name: read(node, each.name) for each in client.list_files()} == {"file": FIRST, "gone": FIRST}
    assert client.restore_into(target, made.snapshot_id).master_key.generation == 4, "the same again is no harm"
    assert read(node) == FIRST


def test_a_check_opens_the_snapshot_and_changes_nothing(node: ServedNode, tmp_path: Path, cmk: str) -> None:
    write(node, FIRST)
    client, target = node.client(), str(tmp_path / "snapshots")
    made = client.create_snapshot(target)
    before = state_of(node.node.directory)
    done = client.restore_into(target, made.snapshot_id, only_check=True)
    assert (done.replaced, done.snapshot_key_id, done.master_key.generation) == (("db/file",), cmk, 1)
    assert state_of(node.node.directory) == before


@pytest.mark.row("R89", "R97")
def test_a_restore_whose_key_is_gone_touches_nothing(
    node: ServedNode, tmp_path: Path, cmk: str, other_cmk: str
) -> None:
    write(node, FIRST)
    client, target = node.client(), str(tmp_path / "snapshots")
    made = client.create_snapshot(target)
    client.change_cmk(other_cmk)
    write(node, SECOND)
    key = Path(cmk.removeprefix("local://"))
    key.rename(key.with_name("away"))
    before = state_of(node.node.directory)
    for only_check in (True, False):
        with pytest.raises(KeyNotFoundError, match="Nothing was restored"):
            client.restore_into(target, made.snapshot_id, only_check=only_check)
    assert state_of(node.node.directory) == before
    key.with_name("away").rename(key)
    client.restore_into(target, made.snapshot_id)
    assert read(node) == FIRST


# -- the log ----------------------------------------------------------------------------------------------------------


@pytest.mark.row("R96")
def test_a_log_goes_on_through_a_change_of_the_key_and_restores_to_a_time(
    node: ServedNode, tmp_path: Path, other_cmk: str
) -> None:
    client, target = node.client(), str(tmp_path / "snapshots")
    assert client.log().place == ""
    assert client.set_log(target).place == target
    assert client.set_log(target).place == target, "the same again changes nothing"
    made = client.create_snapshot(target)
    write(node, FIRST)
    first_ns = client.log(flush=True).settled_ns
    client.change_cmk(other_cmk)
    write(node, SECOND)
    second = client.log(flush=True)
    write(node, b"third")
    client.log(flush=True)
    client.restore_into(target, made.snapshot_id, at_ns=second.settled_ns)
    assert read(node) == SECOND
    client.restore_into(target, made.snapshot_id, at_ns=first_ns)
    assert read(node) == FIRST


def test_a_time_that_the_log_does_not_tell_of_is_refused(node: ServedNode, tmp_path: Path) -> None:
    client, target = node.client(), str(tmp_path / "snapshots")
    write(node, FIRST)
    without = client.create_snapshot(target)
    with pytest.raises((LogMissingError, LogGapError)):
        client.restore_into(target, without.snapshot_id, at_ns=without.created_ns + 1)
    client.set_log(target)
    made = client.create_snapshot(target)
    client.log(flush=True)
    with pytest.raises(LogGapError):
        client.restore_into(target, made.snapshot_id, at_ns=made.created_ns + 10**15)
    assert read(node) == FIRST


def test_a_log_ends_and_begins_elsewhere(node: ServedNode, tmp_path: Path) -> None:
    client = node.client()
    client.set_log(str(tmp_path / "one"))
    write(node, FIRST)
    assert client.set_log(str(tmp_path / "two")).place == str(tmp_path / "two")
    ended = client.set_log("")
    assert (ended.place, ended.segment) == ("", 0)
    assert client.set_log("").place == ""
    with pytest.raises(InputError):
        client.set_log("relative")
    assert client.log().place == ""
    assert len(list((tmp_path / "one").rglob("log/*/*"))) == 2
