"""A log on a disk that loses, tears and reorders what was not synced: a row of whole segments, and a node goes on."""

import shutil
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import pytest

from keystore.errors import KeystoreError
from keystore.kms.protocol import KmsConnector
from keystore.node.directory import Node
from keystore.objects.directory import DirectoryPlace
from keystore.snapshots.log_tail import segment_numbers
from tests.crashes import SEED, STATES, Crashes, LostError, WrongError
from tests.log.history import SIZE, LogOpener
from tests.simulated_files import Disk, SimulatedFiles, write_out

WANTED = STATES // 100
CUTS = 60
PARENT = Path("/backups")
PLACE = PARENT / "log"


@dataclass
class Recorded:
    """The disk before each operation of the archiver, and the number of the last segment that was told by then."""

    files: SimulatedFiles = field(default_factory=SimulatedFiles)
    moments: list[tuple[Disk, int]] = field(default_factory=list)
    told: int = 0

    def __post_init__(self) -> None:
        self.files.saw = lambda disk: self.moments.append((disk, self.told))

    def flushed(self, node: Node) -> None:
        self.told = node.log.flush()
        self.moments.append((self.files.disk, self.told))


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> Recorded:
    """A simulated disk, on which every log of this process is."""
    found = Recorded()
    monkeypatch.setattr("keystore.node.log_keeping.open_place", lambda text: DirectoryPlace(text, found.files))
    return found


def check(opener: LogOpener, place: Path, told: int) -> None:
    """All segments that were told of are there, none is half, and each follows on the one before."""
    opener.place = DirectoryPlace(place)
    numbers = segment_numbers(opener.place, opener.node_id) if place.exists() else []
    if numbers != list(range(1, len(numbers) + 1)):
        raise WrongError(f"segments {numbers}")
    if len(numbers) < told:
        raise LostError(f"{len(numbers)} segments, and {told} were told of")
    if not numbers:
        return
    try:
        segments = opener.whole()
    except KeystoreError as error:
        raise WrongError(f"a segment is there and does not open: {error}") from error
    sequences = [record.sequence for segment in segments for record in segment.body.records]
    if sequences != list(range(1, len(sequences) + 1)):
        raise WrongError(f"records {sequences}")


def test_no_crash_state_has_half_a_segment(
    tmp_path: Path, cmk: str, connect: KmsConnector, recorded: Recorded, crashes: Crashes
) -> None:
    crashes.kind, random = "log", Random(SEED)
    with Node.init(tmp_path / "node", cmk, connect) as node:
        node.log.enable(PLACE)
        with node.create_store("db", "a", SIZE) as store:
            for number in range(4):
                store.commit({number: bytes([number]) * SIZE})
                recorded.flushed(node)
        opener = LogOpener(tmp_path, node, connect)
    seen = set[bytes]()
    with crashes.judged(f"a log of seed {SEED}"):
        for disk, told in random.sample(recorded.moments, len(recorded.moments)):
            for left in (disk, *disk.power_cuts(random, CUTS)):
                if (digest := left.digest()) in seen or crashes.states >= WANTED:
                    continue
                seen.add(digest)
                crashes.states += 1
                write_out(left, PARENT, tmp_path / "scratch")
                check(opener, tmp_path / "scratch" / PLACE.name, told)
                shutil.rmtree(tmp_path / "scratch")
    assert crashes.states > 50


class LyingFiles(SimulatedFiles):
    """Directories are never synced."""

    def sync_directory(self, path: Path) -> None:
        self._step()


def test_a_disk_that_forgets_names_is_found_out(
    tmp_path: Path, cmk: str, connect: KmsConnector, recorded: Recorded
) -> None:
    recorded.files = LyingFiles()
    with Node.init(tmp_path / "node", cmk, connect) as node:
        node.log.enable(PLACE)
        recorded.flushed(node)
        opener = LogOpener(tmp_path, node, connect)
        write_out(next(recorded.files.disk.power_cuts(Random(SEED), 10)), PARENT, tmp_path / "scratch")
    crashes = Crashes()
    with pytest.raises(LostError), crashes.judged("a disk that forgets names"):
        check(opener, tmp_path / "scratch" / PLACE.name, recorded.told)
    assert crashes.lost == 1
