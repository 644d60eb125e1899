"""The store on a disk that loses, tears and reorders everything that was not synced (docs/FORMAT.md, section 9).

Every state found is opened, compared with what the caller was told, verified, written to, and crashed again inside its
recovery. CRASH_STATES asks for more states, CRASH_SEED for others. The work is cut into parts, which run side by side
and show how far a long run has come.
"""

from random import Random

import pytest

from keystore.crypto.secret import SecretKey
from keystore.pages.protocols import BlockFile
from keystore.pages.volumefile import VolumeFile
from tests.crashes import SEED, STATES, Crashes, LostError
from tests.pages.determined import determined
from tests.pages.exploring import LOSSES, Explorer, explore_life, opens
from tests.pages.simdisk import LyingDisk, Machine
from tests.pages.stores import StaticKeys
from tests.pages.workload import STEPS, Life, page_of, together

PARTS = max(8, STATES // 10_000)
LIVES_MAX = 1000
"""LIMIT: lives of one part; one has about 3,000 states."""


@pytest.mark.parametrize("part", range(PARTS))
def test_no_crash_state_loses_or_mixes_anything(part: int, crashes: Crashes) -> None:
    crashes.kind, wanted = "page store", -(-STATES // PARTS)
    for life in range(LIVES_MAX):
        if crashes.states >= wanted:
            break
        explore_life(f"{SEED}/{part}/{life}", crashes, wanted)
    assert crashes.states >= wanted


def test_nor_does_one_under_a_volume_layer(crashes: Crashes) -> None:
    crashes.kind = "page store under a volume layer"

    def layer(file: BlockFile) -> BlockFile:
        return VolumeFile(file, SecretKey(bytes(range(64))))

    explore_life(f"{SEED}/volume", crashes, 500, layer)
    assert crashes.states >= 500


def test_a_seed_repeats_its_states() -> None:
    """Else a failure could not be looked at again, and equal states would count twice."""
    found = []
    for _ in range(2):
        with determined(SEED) as source:
            random, keys = Random(SEED), StaticKeys()
            life = Life(keys, Machine())
            life.create()
            for step in STEPS[:3]:
                step(life, random)
            explorer = Explorer(random, keys, source, Crashes())
            explorer.explore(life.points, 100)
            found.append(explorer.seen)
    assert found[0] == found[1]
    assert len(found[0]) >= 100


def test_a_commit_whose_pages_have_a_sync_of_their_own() -> None:
    """Above 8 MiB the pages are not opened again in recovery; their sync must have come before the record."""
    keys, random, seen = StaticKeys(), Random(SEED), set[bytes]()
    life = Life(keys, Machine())
    life.create()
    life.commit({number: page_of(random) for number in range(30)})
    before = len(life.points)
    life.commit({number: page_of(random) for number in range(2100)})
    points = [point for point in life.points[before:] if point.kind == "sync"]
    assert len(points) == 4  # growth for the pages, growth for the record, pages, record
    for point in points:
        images = list(point.image.power_losses(random, LOSSES))
        for image in random.sample(images, min(6, len(images))):
            assert opens(Life(keys, Machine(image)), point.allowed)
            seen.add(image.digest())
    assert len(seen) >= 10


def test_threads_that_share_a_record_lose_it_or_keep_it_together(crashes: Crashes) -> None:
    """Every crash of a group by itself: what each thread was told holds, and no state has a part of a record."""
    crashes.kind = "page store whose threads share records"
    with determined(f"{SEED}/together") as source, crashes.judged("threads that share records"):
        random, keys = Random(SEED), StaticKeys()
        life = Life(keys, Machine())
        life.create()
        life.commit({number: page_of(random) for number in range(8)})
        before = life.opened.sequence
        del life.points[:]
        together(life, random)
        assert life.opened.sequence == before + 2
        assert len({point.allowed for point in life.points if point.kind == "sync"}) == 2, "all or nothing, twice"
        Explorer(random, keys, source, crashes, losses=256).explore(life.points, 1 << 20)
    assert crashes.states > 500


def test_a_disk_whose_syncs_do_nothing_is_found_out() -> None:
    """The exploration has teeth: without durable syncs it must see a loss."""
    with determined(SEED) as source:
        keys, random, crashes = StaticKeys(), Random(SEED), Crashes()
        life = Life(keys, Machine())
        life.machine.disk = LyingDisk(life.machine)
        life.create()
        for step in STEPS[:4]:
            step(life, random)
        with pytest.raises(LostError), crashes.judged("a life on a lying disk"):
            Explorer(random, keys, source, crashes).explore(life.points, 1000)
    assert crashes.lost == 1
