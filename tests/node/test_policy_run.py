"""Runs of a backup policy: what they take and delete, by which reasons, and that none harms another or a killed one."""

import os
import shutil
import threading
import time
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import pytest

from keystore.errors import (
    InputError,
    KeyDisabledError,
    KmsUnreachableError,
    NodeLockedError,
    PassphraseError,
    SnapshotDamagedError,
)
from keystore.format.kind import SnapshotKind
from keystore.format.manifest import ManifestHead
from keystore.kms.connect import connector
from keystore.node.directory import Node
from keystore.node.drill import drill
from keystore.node.known_nodes import KnownNode, KnownNodes
from keystore.node.policy_run import PolicyRun, run_policy
from keystore.node.snapshotting import snapshot
from keystore.objects.directory import DirectoryPlace
from keystore.objects.opening import open_place
from keystore.objects.place import Place
from keystore.snapshots.delete import collect_garbage
from keystore.snapshots.log_tail import segment_numbers
from keystore.snapshots.manifest import read_manifest
from keystore.snapshots.names import BEGUN, PACKS, ids_in, manifest_name, pack_name, snapshot_ids
from keystore.snapshots.policy import DAY_NS, DEFAULT_POLICY
from keystore.snapshots.policy_records import read_records
from keystore.snapshots.restore_marks import BeingRestored
from tests.buckets import s3_bucket as s3_bucket
from tests.buckets import s3_endpoint as s3_endpoint
from tests.key_files import cmk as cmk
from tests.key_files import other_cmk as other_cmk
from tests.snapshots.dying import DyingPlace, KilledError
from tests.snapshots.virtual_target import ns, text

START = "2026-03-05T18:00"  # a Thursday


@dataclass
class World:
    """A node of one small file, a place for its snapshots, and the time."""

    directory: Path
    place: DirectoryPlace
    now_ns: int = ns(START)
    opened: int = 0

    def open(self) -> AbstractContextManager[Node]:
        self.opened += 1
        return Node.open(self.directory, connector(), now_ns=lambda: self.now_ns)

    def run(self, place: Place | None = None) -> PolicyRun:
        return run_policy(place or self.place, self.directory, self.open, DEFAULT_POLICY, now_ns=lambda: self.now_ns)

    def run_at(self, moment: str) -> PolicyRun:
        self.now_ns = ns(moment)
        return self.run()

    @property
    def heads(self) -> list[ManifestHead]:
        return [read_manifest(self.place, snapshot_id).head for snapshot_id in snapshot_ids(self.place)]

    def kept(self) -> list[tuple[str, str]]:
        return [(text(head.created_ns), head.kind.label) for head in self.heads]


@pytest.fixture
def world(tmp_path: Path, cmk: str) -> World:
    (tmp_path / "source").write_bytes(os.urandom(10_000))
    with Node.init(tmp_path / "node", cmk, connector()) as node:
        node.import_file("db", "file", tmp_path / "source", page_size=4096)
    return World(tmp_path / "node", DirectoryPlace(tmp_path / "snapshots"))


def test_a_run_takes_what_is_due_once(world: World) -> None:
    done = world.run()
    assert done.taken is not None
    assert done.due is not None
    # The first run begins the policy: at the time of the most frequent schedule, which is also the daily one's.
    assert [occurrence.kind for occurrence in done.due.occurrences] == [SnapshotKind.HOURLY, SnapshotKind.DAILY]
    assert (text(done.next.at_ns), done.problems) == ("2026-03-06T00:00", [])
    [head] = world.heads
    assert (head.kind, text(head.created_ns), text(head.expires_ns)) == (SnapshotKind.DAILY, START, "2026-03-12T18:00")
    assert world.opened == 1
    again = world.run()
    assert (again.due, again.taken, again.deleted, world.opened) == (None, None, [], 1)
    assert world.run_at("2026-03-05T23:59").taken is None
    assert world.run_at("2026-03-06T00:00").taken is not None
    assert world.kept() == [(START, "daily"), ("2026-03-06T00:00", "hourly")]


def test_a_run_that_comes_late_takes_one_for_all_that_was_missed(world: World) -> None:
    world.run()
    done = world.run_at("2026-03-09T07:13")
    assert done.due is not None
    assert [(one.kind.label, text(one.at_ns)) for one in done.due.occurrences] == [
        ("hourly", "2026-03-09T06:00"),
        ("daily", "2026-03-08T18:00"),
        ("weekly", "2026-03-07T18:00"),
    ]
    assert world.kept() == [(START, "daily"), ("2026-03-09T07:13", "weekly")]


def test_what_has_expired_goes_at_its_time_with_its_objects(world: World) -> None:
    world.run()
    first = snapshot_ids(world.place)
    world.now_ns = ns("2026-03-12T18:00") - 1
    assert world.run().deleted == []
    world.now_ns += 1
    done = world.run()
    assert [head.snapshot_id for head in done.deleted] == first
    names = {pack.pack_id for head in world.heads for pack in head.packs}
    assert set(ids_in(world.place, PACKS)) == names
    assert ids_in(world.place, BEGUN) == {}


def test_a_disabled_node_is_passed_over_and_its_time_goes_on(world: World, tmp_path: Path) -> None:
    world.run()
    (tmp_path / "cmk").rename(tmp_path / "away")
    done = world.run_at("2026-03-07T18:00")
    assert (done.taken, done.problems) == (None, [])
    assert done.refusal is not None
    records = read_records(world.place, done.node_id)
    assert [(one.kind.label, text(one.at_ns)) for one in records.passed_over] == [
        ("hourly", "2026-03-07T18:00"),
        ("daily", "2026-03-07T18:00"),
        ("weekly", "2026-03-07T18:00"),
    ]
    opened = world.opened
    assert world.run_at("2026-03-07T23:00").due is None  # and the KMS is not asked again
    assert world.opened == opened
    done = world.run_at("2026-03-12T18:00")
    assert [text(head.created_ns) for head in done.deleted] == [START]
    assert world.kept() == []
    (tmp_path / "away").rename(tmp_path / "cmk")
    assert world.run_at("2026-03-12T23:59").taken is None  # passed over is passed over
    assert world.run_at("2026-03-13T00:00").taken is not None
    assert world.kept() == [("2026-03-13T00:00", "hourly")]


@pytest.mark.parametrize("error", [KmsUnreachableError("no answer"), PassphraseError("none was given")])
def test_what_is_no_refusal_stays_due(world: World, error: Exception) -> None:
    def fail() -> AbstractContextManager[Node]:
        raise error

    done = run_policy(world.place, world.directory, fail, DEFAULT_POLICY, now_ns=lambda: world.now_ns)
    assert (done.problems, done.refusal, done.taken) == ([error], None, None)
    assert done.due is not None
    assert read_records(world.place, done.node_id).passed_over == ()
    assert world.run_at("2026-03-05T19:00").taken is not None


def test_a_node_that_another_process_has_open(world: World) -> None:
    world.run()
    world.now_ns = ns("2026-03-12T18:00")
    with world.open():
        done = world.run()
    assert [type(problem) for problem in done.problems] == [NodeLockedError]
    assert len(done.deleted) == 1
    assert world.run().taken is not None


def test_two_at_once_take_one(world: World) -> None:
    with world.open() as node:  # the process that owns the node runs the policy in two threads
        together = threading.Barrier(2)

        class Lent:
            def __enter__(self) -> Node:
                together.wait(30)
                return node

            def __exit__(self, *_: object) -> None:
                pass

        found: list[PolicyRun] = []

        def run() -> None:
            found.append(run_policy(world.place, world.directory, Lent, DEFAULT_POLICY, now_ns=lambda: world.now_ns))

        threads = [threading.Thread(target=run) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert [done.problems for done in found] == [[], []]
    assert sorted(done.taken is None for done in found) == [False, True]
    assert len(world.heads) == 1


def test_two_that_delete_at_once(world: World) -> None:
    world.run()
    world.now_ns = ns("2026-03-12T18:00")

    class Beaten(DirectoryPlace):
        """Another run deletes what this one is about to."""

        def get(self, name: str, bytes_max: int) -> bytes:
            found = super().get(name, bytes_max)
            if name == manifest_name(expired) and not world.opened:
                world.opened = 1
                world.run()
            return found

    [expired] = snapshot_ids(world.place)
    world.opened = 0
    done = world.run(Beaten(world.place.path))
    assert done.problems == []
    assert world.kept() == [("2026-03-12T18:00", "weekly")]


def test_what_is_being_restored_waits(world: World) -> None:
    world.run()
    [first] = snapshot_ids(world.place)
    world.now_ns = ns("2026-03-12T18:00")
    with BeingRestored(world.place, first, lambda: world.now_ns):
        done = world.run()
        assert ([head.snapshot_id for head, _ in done.kept], done.deleted) == ([first], [])
        assert first in snapshot_ids(world.place)
    assert [head.snapshot_id for head in world.run().deleted] == [first]


def test_snapshots_on_demand_have_their_own_days(world: World) -> None:
    with world.open() as node:
        for_ever = snapshot(node, world.place).snapshot_id
        thirty_days = ns("2026-04-04T18:00")
        snapshot(node, world.place, expires_ns=thirty_days)
    assert world.run().taken is not None  # they serve no schedule
    world.now_ns = thirty_days
    world.run()
    kept = [head.snapshot_id for head in world.heads if head.kind is SnapshotKind.ON_DEMAND]
    assert kept == [for_ever]


def test_expired_snapshots_of_other_nodes_go_too(world: World, tmp_path: Path, other_cmk: str) -> None:
    """A node that is gone runs no policy any more, and its snapshots still end."""
    with Node.init(tmp_path / "gone", other_cmk, connector(), now_ns=lambda: world.now_ns - 1) as gone:
        snapshot(gone, world.place, expires_ns=world.now_ns)
        kept = snapshot(gone, world.place).snapshot_id
    done = world.run()
    assert [head.node_id for head in done.deleted] == [gone.node_id]
    assert kept in snapshot_ids(world.place)
    assert done.taken is not None


def test_a_damaged_manifest_is_told_and_stops_nothing(world: World) -> None:
    world.run()
    [first] = snapshot_ids(world.place)
    path = world.place.path / manifest_name(first)
    path.write_bytes(path.read_bytes()[:-1])
    done = world.run()
    assert [type(problem) for problem in done.problems] == [SnapshotDamagedError]
    assert done.taken is not None  # what the damaged one was taken for is due again


def test_killed_at_any_object(world: World, tmp_path: Path) -> None:
    """Each run dies before its next change of the place. What is there restores, and the next run does what is left."""
    world.run()
    world.now_ns = ns("2026-03-12T18:00")
    with world.open() as node, node.using_store("db", "file") as store:
        store.commit({page_no: os.urandom(4096) for page_no in range(3)})
    before = tmp_path / "before"
    world.place.path.rename(before)
    deaths = 0
    while _is_killed(world, before, deaths):
        assert all(one.error is None for one in drill(world.place, connector()))
        done = world.run()
        assert done.problems == []
        assert world.kept() == [("2026-03-12T18:00", "weekly")]
        collect_garbage(world.place, now_ns=lambda: time.time_ns() + ns("1971-01-01T00:00"))
        packs = {pack.pack_id for head in world.heads for pack in head.packs}
        assert (set(ids_in(world.place, PACKS)), ids_in(world.place, BEGUN)) == (packs, {})
        deaths += 1
    # begun, a pack, a manifest, begun no more; a manifest and its pack gone
    assert deaths == 6


def _is_killed(world: World, before: Path, deaths: int) -> bool:
    """Go back to `before`, and run until so many changes were made; tell whether the run came to its end."""
    if world.place.path.exists():
        shutil.rmtree(world.place.path)
    shutil.copytree(before, world.place.path)
    try:
        world.run(DyingPlace(world.place, deaths))
    except KilledError:
        return True
    return False


def test_the_log_is_cut_to_its_window(world: World, tmp_path: Path) -> None:
    """What no restore within the window needs goes when a snapshot is there that makes it needless."""
    log, world.now_ns = DirectoryPlace(tmp_path / "log"), time.time_ns()  # stores have no virtual clock
    with world.open() as node:
        node.log.enable(log.path, window_days=2)
        with node.using_store("db", "file") as store:
            for _ in range(3):
                store.commit({0: os.urandom(4096)})
                node.log.flush()
    done = world.run()
    assert done.pruned is not None
    assert (done.pruned.removed, done.problems) == (0, [])
    [head] = world.heads
    before = segment_numbers(log, done.node_id)
    world.now_ns += 3 * DAY_NS
    done = world.run()
    assert done.pruned is not None
    # Up to the snapshot of three days ago, which is the one that a restore to two days ago begins with.
    assert head.log.number >= 3
    assert (done.pruned.removed, done.problems) == (head.log.number, [])
    assert segment_numbers(log, done.node_id)[0] == head.log.number + 1 <= before[-1] + 1


def test_a_bucket(world: World, s3_bucket: str) -> None:
    """Taken, expired and passed over at a real store, as in a directory."""
    place = open_place(f"{s3_bucket}/backups")
    assert world.run(place).taken is not None
    world.now_ns = ns("2026-03-12T18:00")
    done = world.run(place)
    assert (done.problems, len(done.deleted)) == ([], 1)
    [kept] = snapshot_ids(place)
    names = {pack_name(pack.pack_id) for pack in read_manifest(place, kept).head.packs}
    assert {named.name for named in place.names(PACKS)} == names
    world.now_ns = ns("2026-03-13T00:00")
    refused = run_policy(place, world.directory, _refused, DEFAULT_POLICY, now_ns=lambda: world.now_ns)
    assert refused.refusal is not None
    assert [one.kind for one in read_records(place, refused.node_id).passed_over] == [SnapshotKind.HOURLY]
    assert [one.error for one in drill(place, connector())] == [None]


def _refused() -> AbstractContextManager[Node]:
    raise KeyDisabledError("the key is disabled")


def test_a_snapshot_that_another_signed_keeps_none_from_being_taken(world: World) -> None:
    known, done = KnownNodes.default(), world.run()
    node = known.find(done.node_id)
    assert done.taken is not None
    assert node is not None
    known.forget(node.node_id)
    known.record(KnownNode(node.node_id, bytes(32), node.name))
    assert world.run().taken is not None
    known.forget(node.node_id)
    assert world.run().taken is None  # nobody says who it should be


def test_a_place_inside_the_node_is_refused(world: World) -> None:
    before = sorted(world.directory.rglob("*"))
    with pytest.raises(InputError, match="inside the node"):
        world.run(DirectoryPlace(world.directory / "databases"))
    assert sorted(world.directory.rglob("*")) == before
