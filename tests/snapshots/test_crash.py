"""Snapshots on a disk that loses, tears and reorders what was not synced: complete, or not there, and never in the way.

Two snapshots go to one target, which the first one makes. Every state is listed; each snapshot that it has opens whole,
page by page; and the next snapshot is taken into it.
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import pytest

from keystore.errors import KeystoreError
from keystore.kms.protocol import KmsConnector
from keystore.node.directory import Node
from keystore.node.snapshotting import snapshot
from keystore.snapshots.opened import open_snapshot
from keystore.snapshots.target import LocalTarget
from tests.crashes import SEED, STATES, Crashes, LostError, WrongError
from tests.simulated_files import Disk, SimulatedFiles, write_out

WANTED = STATES // 100
CUTS = 60
PARENT = Path("/backups")
TARGET = PARENT / "target"
PAGES = 13
"""What the two files of the node take."""


@dataclass
class Recorded:
    """The disk before each operation of some snapshots, and how many of them had returned by then."""

    files: SimulatedFiles = field(default_factory=SimulatedFiles)
    moments: list[tuple[Disk, int]] = field(default_factory=list)
    taken: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.files.saw = lambda disk: self.moments.append((disk, len(self.taken)))

    def take(self, node: Node) -> None:
        self.taken.append(snapshot(node, LocalTarget(TARGET, self.files)).snapshot_id)
        self.moments.append((self.files.disk, len(self.taken)))


def check(place: Path, acknowledged: list[bytes], connect: KmsConnector) -> None:
    """Every snapshot that is listed opens whole, and all that were acknowledged are listed."""
    target = LocalTarget(place / TARGET.name)
    found = set(target.complete_ids()) if target.path.exists() else set()
    if not found.issuperset(acknowledged):
        raise LostError(f"{len(found)} snapshots are there, {len(acknowledged)} were acknowledged")
    for snapshot_id in found:
        try:
            with open_snapshot(target, snapshot_id, connect) as opened:
                read = sum(len(batch.entries) for store in opened.body.stores for batch in opened.batches(store))
        except KeystoreError as error:
            raise WrongError(f"a snapshot is listed and does not open: {error}") from error
        if read != PAGES:
            raise WrongError(f"a snapshot is listed and has {read} pages of {PAGES}")


def explore(
    recorded: Recorded, random: Random, crashes: Crashes, look: Callable[[Path, int], None], scratch: Path
) -> None:
    seen = set[bytes]()
    moments = random.sample(recorded.moments, len(recorded.moments))
    for disk, acknowledged in moments:
        for left in (disk, *disk.power_cuts(random, CUTS)):
            if (digest := left.digest()) in seen or crashes.states >= WANTED:
                continue
            seen.add(digest)
            crashes.states += 1
            write_out(left, PARENT, scratch)
            look(scratch, acknowledged)
            shutil.rmtree(scratch)


@pytest.mark.usefixtures("taken")
def test_no_crash_state_has_half_a_snapshot(
    node: Node, connect: KmsConnector, tmp_path: Path, crashes: Crashes
) -> None:
    crashes.kind, random, recorded = "snapshots", Random(SEED), Recorded()

    def look(place: Path, acknowledged: int) -> None:
        check(place, recorded.taken[:acknowledged], connect)
        if random.random() < 0.2:
            made = snapshot(node, LocalTarget(place / TARGET.name)).snapshot_id
            check(place, [*recorded.taken[:acknowledged], made], connect)

    while crashes.states < WANTED:
        recorded = Recorded()
        recorded.take(node)
        recorded.take(node)
        before = crashes.states
        with crashes.judged(f"snapshots of seed {SEED}"):
            explore(recorded, random, crashes, look, tmp_path / "scratch")
        assert crashes.states > before


class LyingFiles(SimulatedFiles):
    """Directories are never synced."""

    def sync_directory(self, path: Path) -> None:
        self._step()


@pytest.mark.usefixtures("taken")
def test_a_disk_that_forgets_names_is_found_out(node: Node, connect: KmsConnector, tmp_path: Path) -> None:
    recorded, crashes = Recorded(LyingFiles()), Crashes()
    recorded.take(node)
    write_out(next(recorded.files.disk.power_cuts(Random(SEED), 10)), PARENT, tmp_path / "scratch")
    with pytest.raises(LostError), crashes.judged("a disk that forgets names"):
        check(tmp_path / "scratch", recorded.taken, connect)
    assert crashes.lost == 1
