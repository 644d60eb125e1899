"""The usage of keys: who needs which, what cannot be read, and that no key is needed to tell."""

from pathlib import Path

import pytest

from keystore.errors import PathMissingError
from keystore.node.directory import Node
from keystore.node.restoring import restore
from keystore.node.snapshotting import snapshot
from keystore.node.usage import keys_usage
from keystore.objects.directory import DirectoryPlace
from tests.snapshots.conftest import CountingConnector, Taken


@pytest.mark.row("R81", "R124")
def test_nodes_and_snapshots_by_key(
    taken: Taken,
    node: Node,
    target: DirectoryPlace,
    tmp_path: Path,
    connect: CountingConnector,
    cmk: str,
    other_cmk: str,
) -> None:
    node.change_cmk(other_cmk)
    later = snapshot(node, target)
    restore(target, taken.snapshot_id, tmp_path / "restored", connect, key=other_cmk)
    connect.asked.clear()
    report = keys_usage([tmp_path / "node", tmp_path / "restored", target.path])
    assert connect.asked == []
    assert report.problems == ()
    found = {
        key.key_version: [(user.kind, user.place, user.snapshot_id, user.era) for user in key.users]
        for key in report.keys
    }
    assert found == {
        cmk: [("snapshot", str(target.path), taken.snapshot_id, 1)],
        other_cmk: [
            ("node", str(tmp_path / "node"), None, 2),
            ("node", str(tmp_path / "restored"), None, 1),
            ("snapshot", str(target.path), later.snapshot_id, 2),
        ],
    }


def test_what_cannot_be_read_is_a_problem(taken: Taken, node: Node, target: DirectoryPlace, tmp_path: Path) -> None:
    node.close()
    snapshot_bytes, node_bytes = taken.manifest.read_bytes(), (tmp_path / "node" / "keystore").read_bytes()
    taken.manifest.write_bytes(snapshot_bytes[:-1])
    (tmp_path / "node" / "keystore").write_bytes(node_bytes[:-1])
    report = keys_usage([tmp_path / "node", target.path])
    assert report.keys == ()
    assert len(report.problems) == 2
    (tmp_path / "node" / "keystore").unlink()
    assert "is missing" in str(keys_usage([tmp_path / "node"]).problems[0])


def test_an_incomplete_snapshot_needs_no_key(taken: Taken, target: DirectoryPlace) -> None:
    taken.manifest.rename(target.path / "begun" / taken.snapshot_id.hex())
    report = keys_usage([target.path])
    assert (report.keys, report.problems) == ((), ())
    assert taken.snapshot_id.hex() in report.notes[0]


def test_a_place_that_is_neither(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for place in (tmp_path / "file", tmp_path / "nowhere"):
        with pytest.raises(PathMissingError, match="no node and no snapshot in"):
            keys_usage([place])
