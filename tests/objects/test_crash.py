"""A directory of objects on a disk that loses, tears and reorders what was not synced.

Every state is looked at: an object is there whole or not at all, those that were acknowledged are there, those whose
removal was acknowledged are not, and the next writer finds its way and clears up.
"""

from pathlib import Path
from random import Random

import pytest

from keystore.errors import PlaceMissingError
from keystore.objects.directory import UNFINISHED, DirectoryPlace
from tests.crashes import SEED, STATES, Crashes, LostError, WrongError
from tests.simulated_files import Disk, SimulatedFiles

ROOT = Path("/backups/target")
CUTS = 200
WANTED = STATES // 20
SMALL, LONG, LAST = b"small" * 3, bytes(range(256)) * 9, b"put after the crash"
CONTENTS = {"begun/1": SMALL, "packs/a": LONG, "packs/b": SMALL, "manifests/1": SMALL, "manifests/2": LONG}
Moment = tuple[Disk, frozenset[str], frozenset[str]]
"""A disk, the objects acknowledged by then, and those whose removal was."""


class Life:
    """Writes and removes objects; keeps the disk before each operation."""

    def __init__(self, files: SimulatedFiles) -> None:
        self.moments: list[Moment] = []
        self.there, self.gone, self.leaving = frozenset[str](), frozenset[str](), frozenset[str]()
        files.saw = lambda disk: self.moments.append((disk, self.there - self.leaving, self.gone))
        self.place = DirectoryPlace(ROOT, files)
        self.put("begun/1")
        self.create("packs/a")
        self.create("packs/b", finished=False)
        self.put("manifests/1")
        self.remove("begun/1")
        self.create("manifests/2")
        self.remove("packs/a")
        self.moments.append((files.disk, self.there, self.gone))

    def put(self, name: str) -> None:
        assert self.place.put(name, CONTENTS[name])
        self.there |= {name}

    def create(self, name: str, *, finished: bool = True) -> None:
        with self.place.create(name) as writer:
            writer.write(CONTENTS[name][:700])
            writer.write(CONTENTS[name][700:])
            if finished:
                writer.finish()
                self.there |= {name}

    def remove(self, name: str) -> None:
        self.leaving = frozenset({name})
        self.place.remove(name)
        self.there, self.gone, self.leaving = self.there - {name}, self.gone | {name}, frozenset()


def check(disk: Disk, there: frozenset[str], gone: frozenset[str]) -> None:
    files = SimulatedFiles(disk)
    place = DirectoryPlace(ROOT, files)
    found = names(place)
    if not there <= found:
        raise LostError(f"{sorted(there - found)} were acknowledged and are not there")
    if gone & found:
        raise WrongError(f"{sorted(gone & found)} were removed and are there")
    for name in found:
        if place.get(name, 1 << 20) != CONTENTS[name]:
            raise WrongError(f"{name} is there and is not what was written")
    assert place.put("packs/last", LAST)
    assert names(place) == found | {"packs/last"}
    if files.entries(ROOT / UNFINISHED):
        raise WrongError("what the crash left was not removed")


def names(place: DirectoryPlace) -> frozenset[str]:
    try:
        return frozenset(named.name for named in place.names())
    except PlaceMissingError:
        return frozenset()


def explore(moments: list[Moment], random: Random, crashes: Crashes) -> None:
    seen = set[tuple[bytes, frozenset[str], frozenset[str]]]()
    for disk, there, gone in random.sample(moments, len(moments)):
        for left in (disk, *disk.power_cuts(random, CUTS)):
            key = (left.digest(), there, gone)
            if key in seen or crashes.states >= WANTED:
                continue
            seen.add(key)
            crashes.states += 1
            check(left, there, gone)


def test_no_crash_state_has_half_an_object(crashes: Crashes) -> None:
    crashes.kind, random = "objects", Random(SEED)
    with crashes.judged(f"objects of seed {SEED}"):
        explore(Life(SimulatedFiles()).moments, random, crashes)
    assert crashes.states > 300


class LyingFiles(SimulatedFiles):
    """Content is never synced."""

    def sync(self, fd: int) -> None:
        self._step()


class ForgetfulFiles(SimulatedFiles):
    """Names are never synced."""

    def sync_directory(self, path: Path) -> None:
        self._step()


@pytest.mark.parametrize(("files", "expected"), [(LyingFiles, WrongError), (ForgetfulFiles, LostError)])
def test_a_disk_that_lies_is_found_out(files: type[SimulatedFiles], expected: type[Exception]) -> None:
    crashes = Crashes()
    with pytest.raises(expected), crashes.judged("a disk that lies"):
        explore(Life(files()).moments[-1:], Random(SEED), crashes)
    assert crashes.lost + crashes.wrong == 1
