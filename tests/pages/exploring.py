"""Opens every state that crashes of one life could leave: recover, compare, verify, write, and crash again.

Leaves to others: what a life is (`workload`), what a crash can leave (`simdisk`).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Final

from keystore.errors import KeystoreError, NotAStoreError, StoreDamagedError
from tests.crashes import Crashes, LostError, WrongError
from tests.pages.determined import Determined, determined
from tests.pages.simdisk import Image, Machine
from tests.pages.stores import StaticKeys
from tests.pages.workload import Contents, Layer, Life, Point, live, page_of, plain

STEPS: Final = 16
LOSSES: Final = 32
"""Power losses tried for each sync of a life, at most."""
LOSSES_IN_RECOVERY: Final = 6
MOMENTS_IN_RECOVERY: Final = 3
"""Moments of a recovery, and of the commit that follows it, in which it crashes again."""


@dataclass
class Explorer:
    """Opens every state of one life once. No other life has a state with the same bytes: its store has another id."""

    random: Random
    keys: StaticKeys
    source: Determined
    crashes: Crashes
    seen: set[bytes] = field(default_factory=set)
    losses: int = LOSSES
    layer: Layer = plain

    def explore(self, points: Iterable[Point], wanted: int) -> None:
        """Kill the process at every point; cut the power at every sync; and that again during the recovery."""
        for point in points:
            if self.crashes.states >= wanted:
                return
            for image in outcomes(point, self.random, self.losses):
                for again in self.check(image, point.allowed):
                    for worse in outcomes(again, self.random, LOSSES_IN_RECOVERY):
                        self.check(worse, again.allowed, depth=2)

    def check(self, image: Image, allowed: tuple[Contents | None, ...], depth: int = 1) -> list[Point]:
        """Open `image` if it is new; return some moments of its recovery and of the commit that follows."""
        if (digest := image.digest()) in self.seen or image.is_blank():
            return []
        self.seen.add(digest)
        self.crashes.states += 1
        self.source.begin(f"recovery {depth}")
        life = Life(
            self.keys, Machine(image), now=allowed[0], coming=allowed[-1], watching=depth == 1, layer=self.layer
        )
        if not opens(life, allowed):
            return []
        write_again(life, self.random)
        return self.random.sample(life.points, min(MOMENTS_IN_RECOVERY, len(life.points)))


def outcomes(point: Point, random: Random, losses: int) -> Iterator[Image]:
    """Yield the state of a killed process, and what is left if the power goes while something waits for a sync."""
    yield point.image
    if point.kind == "sync":
        yield from point.image.power_losses(random, losses)


def opens(life: Life, allowed: tuple[Contents | None, ...]) -> bool:
    """Open a store after a crash; it has one of the contents that are allowed, or may not exist yet."""
    try:
        life.open()
    except (NotAStoreError, StoreDamagedError) as error:
        if None in allowed:
            return False
        raise LostError(f"the store does not open: {error}") from error
    pages = {number for contents in allowed if contents for number, _ in contents.pages}
    try:
        found = life.read(pages)
    except (AssertionError, KeystoreError) as error:
        raise WrongError(str(error)) from error
    if found not in allowed:
        raise LostError(f"at commit {life.opened.sequence} it has neither what was acknowledged nor what was coming")
    life.now, life.coming = found, None
    return True


def write_again(life: Life, random: Random) -> None:
    """Verify a store that was just opened; it takes another commit, and sometimes a clean close."""
    if damaged := life.opened.verify().damaged:
        raise WrongError(f"it opens, and is damaged: {damaged[0]}")
    page = page_of(random)
    life.commit({1: page, 5: None})
    if life.opened.read(1) != page:
        raise WrongError("the commit after the crash reads back differently")
    if random.random() < 0.25:
        life.opened.close()


def explore_life(seed: str, crashes: Crashes, wanted: int, layer: Layer = plain) -> None:
    """Live one life and explore its crashes, until `crashes` has `wanted` states.

    Raises:
        LostError, WrongError: in the first state that shows it.
    """
    with determined(seed) as source, crashes.judged(f"life {seed}"):
        random, keys = Random(seed), StaticKeys()
        life = Life(keys, Machine(), layer=layer)
        live(life, random, STEPS)
        random.shuffle(life.points)
        Explorer(random, keys, source, crashes, layer=layer).explore(life.points, wanted)
