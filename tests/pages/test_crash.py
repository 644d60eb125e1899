"""The store on a disk that loses, tears and reorders everything that was not synced (docs/FORMAT.md, section 9).

Every state found is opened, compared with what the caller was told, verified, written to, and crashed again inside its
recovery. CRASH_STATES asks for more states, CRASH_SEED for others.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from random import Random

import pytest

from keystore.crypto.secret import SecretKey
from keystore.errors import NotAStoreError, StoreDamagedError
from keystore.pages.protocols import BlockFile
from keystore.pages.volumefile import VolumeFile
from tests.pages.simdisk import Image, LyingDisk, Machine
from tests.pages.stores import StaticKeys
from tests.pages.workload import NAME, Contents, Layer, Life, Point, page_of, plain, step

STATES = int(os.environ.get("CRASH_STATES", "2000"))
SEED = int(os.environ.get("CRASH_SEED", "1"))
STEPS = 18
LOSSES = 24
"""Power losses tried for each sync of a life, at most."""
LOSSES_IN_RECOVERY = 5


@dataclass
class Explorer:
    """Opens every state once."""

    random: Random
    keys: StaticKeys
    seen: set[bytes] = field(default_factory=set)
    losses: int = LOSSES
    layer: Layer = plain

    def explore(self, points: Iterable[Point]) -> None:
        """Kill the process at every point; cut the power at every sync; and that again during the recovery."""
        for point in points:
            for image in self._outcomes(point):
                for again in self._check(image, point.allowed):
                    for worse in again.image.power_losses(self.random, LOSSES_IN_RECOVERY):
                        for _ in self._check(worse, again.allowed):
                            pass

    def _outcomes(self, point: Point) -> Iterator[Image]:
        yield point.image
        if point.kind == "sync":
            yield from point.image.power_losses(self.random, self.losses)

    def _check(self, image: Image, allowed: tuple[Contents | None, ...]) -> list[Point]:
        """Open `image` if it is new; return some moments of its recovery and of the commit that follows."""
        if (digest := image.digest()) in self.seen:
            return []
        self.seen.add(digest)
        life = Life(self.keys, Machine(image), now=allowed[0], coming=allowed[-1], layer=self.layer)
        if not opens(life, allowed):
            return []
        life.watching = False
        assert life.opened.verify().damaged == []
        life.watching = True
        life.commit({1: page_of(self.random), 5: None})
        life.opened.close()
        return self.random.sample(life.points, min(2, len(life.points)))


def opens(life: Life, allowed: tuple[Contents | None, ...]) -> bool:
    """Open a store after a crash; it has one of the contents that are allowed, or may not exist yet."""
    try:
        life.open()
    except (NotAStoreError, StoreDamagedError):
        assert None in allowed
        return False
    pages = {number for contents in allowed if contents for number, _ in contents.pages}
    found = life.read(pages)
    assert found in allowed, f"{NAME} lost or mixed something"
    life.now, life.coming = found, None
    return True


def run(seed: int, keys: StaticKeys, steps: int = STEPS, layer: Layer = plain) -> list[Point]:
    """Live one life without a crash; return every moment of it."""
    life, random = Life(keys, Machine(), layer=layer), Random(seed)
    life.create()
    for number in range(steps):
        step(life, random, number)
    life.opened.close()
    return life.points


def test_no_crash_state_loses_or_mixes_anything(tell: Callable[[str], None]) -> None:
    seen: set[bytes] = set()
    for seed in range(SEED, SEED + 1000):
        keys = StaticKeys()
        Explorer(Random(seed), keys, seen).explore(run(seed, keys))
        if len(seen) >= STATES:
            break
    tell(f"{len(seen)} crash states, 0 lost, 0 wrong, seed {SEED}")
    assert len(seen) >= STATES


def test_nor_does_one_under_a_volume_layer(tell: Callable[[str], None]) -> None:
    def layer(file: BlockFile) -> BlockFile:
        return VolumeFile(file, SecretKey(bytes(range(64))))

    keys = StaticKeys()
    explorer = Explorer(Random(SEED), keys, losses=2, layer=layer)
    explorer.explore(run(SEED, keys, 6, layer))
    tell(f"{len(explorer.seen)} crash states under a volume layer, 0 lost, 0 wrong, seed {SEED}")
    assert len(explorer.seen) > 150


def test_a_commit_whose_pages_have_a_sync_of_their_own() -> None:
    """Above 8 MiB the pages are not opened again in recovery; their sync must have come before the record."""
    keys, random = StaticKeys(), Random(SEED)
    life = Life(keys, Machine())
    life.create()
    life.commit({number: page_of(random) for number in range(30)})
    before = len(life.points)
    life.commit({number: page_of(random) for number in range(2100)})
    points = [point for point in life.points[before:] if point.kind == "sync"]
    assert len(points) == 4  # growth for the pages, growth for the record, pages, record
    explorer = Explorer(random, keys)
    for point in points:
        images = list(point.image.power_losses(random, LOSSES))
        for image in random.sample(images, min(6, len(images))):
            assert opens(Life(keys, Machine(image)), point.allowed)
            explorer.seen.add(image.digest())
    assert len(explorer.seen) >= 10


def test_a_disk_whose_syncs_do_nothing_is_found_out() -> None:
    """The exploration has teeth: without durable syncs it must see a loss."""
    keys, random = StaticKeys(), Random(SEED)
    life = Life(keys, Machine())
    life.machine.disk = LyingDisk(life.machine)
    life.create()
    for number in range(4):
        step(life, random, number)
    with pytest.raises(AssertionError):
        Explorer(random, keys).explore(life.points)
