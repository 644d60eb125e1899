"""Snapshots and restores that fail, are interrupted or die: what is left, and that it harms nothing."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from keystore.errors import NodeIOError, PlaceError, SnapshotMissingError
from keystore.keys.files import Files
from keystore.node.directory import Node
from keystore.node.restoring import restore
from keystore.node.snapshotting import snapshot
from keystore.objects.directory import DirectoryPlace
from keystore.snapshots.listing import list_snapshots
from keystore.snapshots.names import snapshot_ids
from keystore.snapshots.opened import open_snapshot
from tests.snapshots.conftest import CountingConnector, Taken, contents, leftovers
from tests.snapshots.conftest import objects as objects_of

DYING = """
import os, signal, sys
from pathlib import Path
from keystore.kms.connect import connector
from keystore.node.directory import Node
from keystore.node.restoring import restore
from keystore.node.snapshotting import snapshot
from keystore.objects.directory import DirectoryPlace
from keystore.snapshots.names import snapshot_ids

what, node, target, key, calls = sys.argv[1:]
left = int(calls)

def die(done, total):
    global left
    left -= 1
    if not left:
        os.kill(os.getpid(), signal.SIGKILL)

if what == "snapshot":
    with Node.open(node, connector()) as opened:
        snapshot(opened, DirectoryPlace(target), die, full=True)
else:
    place = DirectoryPlace(target)
    restore(place, snapshot_ids(place)[-1], node, connector(), progress=die)
"""


def run_dying(what: str, node: Path, target: DirectoryPlace, calls: int) -> int:
    """Run a snapshot or a restore in a process that kills itself when so many stores or batches are done."""
    command = [sys.executable, "-c", DYING, what, str(node), str(target.path), "", str(calls)]
    return subprocess.run(command, check=False, timeout=120).returncode


class FailingError(Exception):
    """Comes out of a progress callback."""


def failing_at(calls: int, error: BaseException) -> Callable[[int, int], None]:
    left = [calls]

    def progress(done: int, total: int) -> None:
        left[0] -= 1
        if left[0] == 0:
            raise error

    return progress


@pytest.mark.parametrize("calls", [1, 2])
@pytest.mark.parametrize("error", [FailingError(), KeyboardInterrupt()])
def test_an_interrupted_snapshot_is_removed(
    taken: Taken, node: Node, target: DirectoryPlace, error: BaseException, calls: int
) -> None:
    before = objects_of(taken.place)
    with pytest.raises(type(error)):
        snapshot(node, target, failing_at(calls, error), full=True)
    assert objects_of(taken.place) == before
    assert [item.snapshot_id for item in list_snapshots(target)] == [taken.snapshot_id]
    assert snapshot(node, target).stores == 2


@pytest.mark.parametrize("calls", [1, 2])
def test_a_killed_snapshot_is_listed_as_incomplete(
    taken: Taken, node: Node, target: DirectoryPlace, connect: CountingConnector, tmp_path: Path, calls: int
) -> None:
    """S-1"""
    node.close()
    assert run_dying("snapshot", node.directory, target, calls) == -signal.SIGKILL
    done, dead = list_snapshots(target)
    assert (done.state, done.snapshot_id) == ("complete", taken.snapshot_id)
    assert (dead.state, dead.head) == ("incomplete", None)
    assert abs(dead.created_ns - done.created_ns) < 3600 * 10**9
    assert snapshot_ids(target) == [taken.snapshot_id]
    with pytest.raises(SnapshotMissingError, match="never completed"):
        restore(target, dead.snapshot_id, tmp_path / "restored", connect)
    assert contents(node.directory, connect, tmp_path / "out") == taken.content
    with Node.open(node.directory, connect) as reopened:
        snapshot(reopened, target)
    assert len(snapshot_ids(target)) == 2


@pytest.mark.parametrize("calls", [1, 2])
@pytest.mark.parametrize("error", [FailingError(), KeyboardInterrupt()])
def test_an_interrupted_restore_leaves_nothing(
    taken: Taken, target: DirectoryPlace, connect: CountingConnector, tmp_path: Path, error: BaseException, calls: int
) -> None:
    with pytest.raises(type(error)):
        restore(target, taken.snapshot_id, tmp_path / "restored", connect, progress=failing_at(calls, error))
    assert leftovers(tmp_path, "restored") == []


@pytest.mark.parametrize("calls", [1, 2])
def test_a_killed_restore_leaves_no_node(
    taken: Taken, target: DirectoryPlace, connect: CountingConnector, tmp_path: Path, calls: int
) -> None:
    """S-11"""
    assert run_dying("restore", tmp_path / "restored", target, calls) == -signal.SIGKILL
    (left,) = leftovers(tmp_path, "restored")
    assert left.startswith(".restored.restoring-")
    restore(target, taken.snapshot_id, tmp_path / "restored", connect)
    assert contents(tmp_path / "restored", connect, tmp_path / "out") == taken.content


class FullFiles(Files):
    """A disk that is full after so many objects have their names."""

    def __init__(self, objects: int) -> None:
        self._left = objects

    def name_once(self, path: Path, name: Path) -> None:
        self._left -= 1
        if self._left < 0:
            raise OSError(28, os.strerror(28), str(path))
        super().name_once(path, name)


@pytest.mark.parametrize("objects", range(4))
def test_a_full_disk_at_every_object(taken: Taken, node: Node, target: DirectoryPlace, objects: int) -> None:
    """What says that it was begun, two packs, and the manifest."""
    before = list(objects_of(taken.place))
    with pytest.raises(PlaceError, match="No space left"):
        snapshot(node, DirectoryPlace(target.path, FullFiles(objects)), full=True)
    assert list(objects_of(taken.place)) == before
    assert [item.snapshot_id for item in list_snapshots(target)] == [taken.snapshot_id]


def test_a_target_that_is_a_file(node: Node, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"mine")
    with pytest.raises(PlaceError):
        snapshot(node, DirectoryPlace(tmp_path / "file"))
    assert (tmp_path / "file").read_bytes() == b"mine"


def test_a_restore_into_a_place_that_cannot_be(
    taken: Taken, target: DirectoryPlace, connect: CountingConnector, tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(b"mine")
    with pytest.raises(NodeIOError, match="could not be restored"):
        restore(target, taken.snapshot_id, tmp_path / "file" / "restored", connect)
    assert (tmp_path / "file").read_bytes() == b"mine"


def test_a_target_that_appears_meanwhile_is_not_replaced(
    taken: Taken, target: DirectoryPlace, connect: CountingConnector, tmp_path: Path
) -> None:
    def somebody_else(done: int, total: int) -> None:
        (tmp_path / "restored").mkdir(exist_ok=True)

    with pytest.raises(Exception, match="exists and is unchanged"):
        restore(target, taken.snapshot_id, tmp_path / "restored", connect, progress=somebody_else)
    assert leftovers(tmp_path, "restored") == ["restored"]
    assert list((tmp_path / "restored").iterdir()) == []


def test_files_are_for_their_owner_only(
    taken: Taken, target: DirectoryPlace, connect: CountingConnector, tmp_path: Path
) -> None:
    restore(target, taken.snapshot_id, tmp_path / "restored", connect)
    for root in (target.path, tmp_path / "restored"):
        for path in [root, *root.rglob("*")]:
            assert path.stat().st_mode & 0o077 == 0, path


def test_a_manifest_that_cannot_be_read_is_listed(
    taken: Taken, node: Node, target: DirectoryPlace, connect: CountingConnector
) -> None:
    other = snapshot(node, target)
    taken.manifest.write_bytes(b"CMKSNAPS" + b"\x09" * 200)
    unknown, fine = list_snapshots(target)
    assert (unknown.state, fine.state) == ("unreadable", "complete")
    assert "or a later one" in unknown.problem
    taken.manifest.write_bytes(b"")
    assert [item.state for item in list_snapshots(target)] == ["damaged", "complete"]
    open_snapshot(target, other.snapshot_id, connect).close()
