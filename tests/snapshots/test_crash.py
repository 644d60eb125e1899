"""Snapshots on a disk that loses, tears and reorders what was not synced: complete, or not there, and never in the way.

A full snapshot, increments, deletions from the middle and the start of the chain and a clearing up go to one place,
which the first one makes. Every state is looked at: each snapshot that is there opens whole, page by page; those that
were acknowledged are there, those whose deletion was acknowledged are not; the next snapshot and the next clearing up
find their way, and then there is no pack but those that somebody needs.
"""

from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from random import Random

import pytest

from keystore.errors import KeystoreError, PlaceMissingError
from keystore.kms.protocol import KmsConnector
from keystore.node.directory import Node
from keystore.node.snapshotting import snapshot
from keystore.objects.directory import DirectoryPlace
from keystore.snapshots import writing
from keystore.snapshots.delete import collect_garbage, delete_snapshot
from keystore.snapshots.manifest import read_manifest
from keystore.snapshots.names import BEGUN, PACKS, PARTIAL, ids_in, snapshot_ids
from keystore.snapshots.opened import open_snapshot
from tests.crashes import SEED, STATES, Crashes, LostError, WrongError
from tests.simulated_files import Disk, SimulatedFiles

WANTED = STATES // 40
CUTS = 30
TARGET = Path("/backups/target")
LATE_NS = 4 * 10**18
"""So late that everything that is left over is old."""


@dataclass
class Moment:
    """A disk, and what had returned by then."""

    disk: Disk
    there: frozenset[bytes]
    gone: frozenset[bytes]


@dataclass
class Life:
    """Takes and deletes snapshots of one node; keeps the disk before each operation."""

    node: Node
    files: SimulatedFiles = field(default_factory=SimulatedFiles)
    moments: list[Moment] = field(default_factory=list)
    there: frozenset[bytes] = frozenset()
    gone: frozenset[bytes] = frozenset()
    leaving: frozenset[bytes] = frozenset()

    def __post_init__(self) -> None:
        self.files.saw = self.note

    @property
    def place(self) -> DirectoryPlace:
        return DirectoryPlace(TARGET, self.files)

    def note(self, disk: Disk) -> None:
        self.moments.append(Moment(disk, self.there - self.leaving, self.gone))

    def take(self, number: int) -> bytes:
        with self.node.using_store("first", "a") as store:
            store.commit({page: bytes([number]) * 4096 for page in (1, 4)})
        taken = snapshot(self.node, self.place).snapshot_id
        self.there |= {taken}
        return taken

    def delete(self, snapshot_id: bytes) -> None:
        self.leaving = frozenset({snapshot_id})
        delete_snapshot(self.place, snapshot_id)
        self.there, self.gone, self.leaving = self.there - self.leaving, self.gone | self.leaving, frozenset()

    def live(self) -> None:
        first, second, _ = (self.take(number) for number in range(3))
        self.delete(second)
        self.delete(first)
        self.take(3)
        collect_garbage(self.place, grace_s=0, now_ns=lambda: LATE_NS)
        self.note(self.files.disk)


def contents(place: DirectoryPlace, snapshot_id: bytes, connect: KmsConnector) -> bytes:
    """Return a digest of everything in a snapshot."""
    found = sha256()
    with open_snapshot(place, snapshot_id, connect) as opened:
        for store in opened.body.stores:
            for batch in opened.batches(store):
                found.update(batch.page_nos.tobytes() + batch.entries.tobytes() + batch.ciphertext)
    return found.digest()


def look(moment: Moment, known: dict[bytes, bytes], connect: KmsConnector) -> DirectoryPlace:
    """Every snapshot that is there opens whole; return the place."""
    place = DirectoryPlace(TARGET, SimulatedFiles(moment.disk))
    try:
        found = set(snapshot_ids(place))
    except PlaceMissingError:
        found = set()
    if not moment.there <= found:
        raise LostError(f"{len(moment.there - found)} snapshots were acknowledged and are not there")
    if moment.gone & found:
        raise WrongError("a snapshot was deleted and is there")
    for snapshot_id in found:
        try:
            same = contents(place, snapshot_id, connect) == known[snapshot_id]
        except KeystoreError as error:
            raise WrongError(f"a snapshot is there and does not open: {error}") from error
        if not same:
            raise WrongError("a snapshot is there and is not what was taken")
    return place


def go_on(place: DirectoryPlace, node: Node, connect: KmsConnector) -> None:
    """Take a snapshot into what the crash left, and clear up; nothing is left over, and nothing is lost."""
    made = snapshot(node, place).snapshot_id
    collect_garbage(place, grace_s=0, now_ns=lambda: LATE_NS)
    needed = {pack.pack_id for found in snapshot_ids(place) for pack in read_manifest(place, found).head.packs}
    assert made in snapshot_ids(place)
    assert set(ids_in(place, PACKS)) == needed
    assert ids_in(place, BEGUN) == ids_in(place, PARTIAL) == {}
    for found in snapshot_ids(place):
        contents(place, found, connect)


@pytest.mark.usefixtures("taken")
def test_no_crash_state_has_half_a_snapshot(node: Node, connect: KmsConnector, crashes: Crashes) -> None:
    crashes.kind, random = "snapshots", Random(SEED)
    while crashes.states < WANTED:
        life, before, seen = Life(node), crashes.states, set[bytes]()
        life.live()
        known = {
            snapshot_id: contents(DirectoryPlace(TARGET, SimulatedFiles(moment.disk)), snapshot_id, connect)
            for moment in life.moments
            for snapshot_id in moment.there
        }
        with crashes.judged(f"snapshots of seed {SEED}"):
            for moment in random.sample(life.moments, len(life.moments)):
                for left in (moment.disk, *moment.disk.power_cuts(random, CUTS)):
                    if (digest := left.digest()) in seen or crashes.states >= WANTED:
                        continue
                    seen.add(digest)
                    crashes.states += 1
                    place = look(Moment(left, moment.there, moment.gone), known, connect)
                    if random.random() < 0.1:
                        go_on(place, node, connect)
        assert crashes.states > before


@pytest.mark.usefixtures("taken")
def test_what_a_snapshot_or_a_deletion_leaves_when_it_is_killed_is_cleared_up(
    node: Node, connect: KmsConnector
) -> None:
    """At every operation of each; what is there before goes on to open."""
    life = Life(node)
    life.live()
    for moment in life.moments:
        place = DirectoryPlace(TARGET, SimulatedFiles(moment.disk))
        collect_garbage_if_there(place)
        go_on(place, node, connect)


def test_a_snapshot_that_notes_what_is_done_may_be_killed_at_every_operation(
    node: Node, connect: KmsConnector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S-22: the next one goes on from whatever note there is, also from one beside the former."""
    monkeypatch.setattr(writing, "PACK_BYTES_MAX", 60 * 4096)
    node.create_store("first", "a", 4096).close()
    with node.using_store("first", "a") as store:
        store.commit({number: bytes([number % 251]) * 4096 for number in range(250)})
    life = Life(node)
    life.take(1)
    noted = 0
    for moment in life.moments:
        noted += any(path.is_relative_to(TARGET / PARTIAL) for path in moment.disk.files())
        go_on(DirectoryPlace(TARGET, SimulatedFiles(moment.disk)), node, connect)
    assert noted > 5


def collect_garbage_if_there(place: DirectoryPlace) -> None:
    try:
        collect_garbage(place, grace_s=0, now_ns=lambda: LATE_NS)
    except PlaceMissingError:
        return
    needed = {pack.pack_id for found in snapshot_ids(place) for pack in read_manifest(place, found).head.packs}
    assert set(ids_in(place, PACKS)) == needed


class LyingFiles(SimulatedFiles):
    """Directories are never synced."""

    def sync_directory(self, path: Path) -> None:
        self._step()


@pytest.mark.usefixtures("taken")
def test_a_disk_that_forgets_names_is_found_out(node: Node, connect: KmsConnector) -> None:
    life, crashes = Life(node, LyingFiles()), Crashes()
    taken = life.take(0)
    left = next(life.files.disk.power_cuts(Random(SEED), 10))
    with pytest.raises(LostError), crashes.judged("a disk that forgets names"):
        look(Moment(left, frozenset({taken}), frozenset()), {}, connect)
    assert crashes.lost == 1
