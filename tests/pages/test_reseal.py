"""Pages sealed anew under the current data key: contents stay, and the former key is not needed afterwards."""

from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from keystore.errors import InputError, StoreDamagedError, StoreFullError, WrongKeyError
from keystore.format import layout
from keystore.format.entry import entry_slot
from keystore.pages import reseal, space
from keystore.pages.blockfile import OsBlockFile
from keystore.pages.pace import Pace
from keystore.pages.sessions import SEALS_MAX
from keystore.pages.store import PageStore
from tests.pages.exploring import opens
from tests.pages.simdisk import Image, Machine
from tests.pages.stores import CountedFile, StaticKeys
from tests.pages.test_full_disk import poor_store
from tests.pages.workload import FAR_PAGE, Life, page_of

PAGES = 60
BATCH_PAGES = 8


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reseal, "BATCH_BYTES", BATCH_PAGES * 4096)


@pytest.fixture
def keys() -> StaticKeys:
    return StaticKeys()


@pytest.fixture
def store(tmp_path: Path, keys: StaticKeys) -> Iterator[PageStore]:
    """A store whose map has three levels, under a former data key."""
    with PageStore.create(tmp_path / "s", name="s", keys=keys, page_size=4096) as store:
        random = Random(1)
        store.commit({number: random.randbytes(4096) for number in [*range(PAGES - 1), FAR_PAGE]}, byte_length=77)
        keys.rotate()
        yield store


def contents(store: PageStore) -> dict[int, bytes]:
    return {number: store.read(number) for number in [*range(PAGES + 2), FAR_PAGE]}


def needed(store: PageStore) -> list[int]:
    return [references.generation for references in store.key_references()]


def test_after_it_the_former_key_is_not_needed(store: PageStore, keys: StaticKeys, tmp_path: Path) -> None:
    before, sequence, ends = contents(store), store.sequence, (store.page_count, store.byte_length)
    told: list[tuple[int, int]] = []
    done = store.reseal(progress=lambda done, total: told.append((done, total)))
    assert (done.pages, done.left) == (PAGES, 0)
    assert needed(store) == [2]
    assert contents(store) == before
    assert store.sequence > sequence
    assert (store.page_count, store.byte_length) == ends
    assert told == sorted(told)
    assert len(told) >= PAGES // BATCH_PAGES
    store.close()
    del keys.keys[1]
    with PageStore.open(tmp_path / "s", name="s", keys=keys) as again:
        assert contents(again) == before
        assert again.verify().damaged == []


def test_without_it_the_former_key_is_needed(store: PageStore, keys: StaticKeys, tmp_path: Path) -> None:
    store.commit({3: bytes(4096)})
    assert needed(store) == [1, 2]
    store.close()
    del keys.keys[1]
    with PageStore.open(tmp_path / "s", name="s", keys=keys) as again, pytest.raises(WrongKeyError):
        again.read(4)


def test_a_second_one_writes_nothing(tmp_path: Path, keys: StaticKeys) -> None:
    file = CountedFile(OsBlockFile.create(tmp_path / "t"))
    with PageStore.create(file, name="t", keys=keys, page_size=4096) as store:
        store.commit({number: bytes([number]) * 4096 for number in range(20)})
        keys.rotate()
        assert store.reseal().pages == 20
        before = file.bytes["write"]
        assert (store.reseal().pages, file.bytes["write"]) == (0, before)


def test_what_is_written_meanwhile_stays(store: PageStore) -> None:
    """Writers come between any two batches; a page is resealed as it is then, or was under the new key already."""
    expected = contents(store)
    random = Random(2)

    def write(done: int, total: int) -> None:
        number = random.randrange(PAGES - 1)
        expected[number] = random.randbytes(4096)
        store.commit({number: expected[number]})

    store.reseal(progress=write)
    assert contents(store) == expected
    assert needed(store) == [2]


def test_a_data_key_that_changes_meanwhile(store: PageStore, keys: StaticKeys) -> None:
    """What it had done before stands under a former key afterwards, and is told; the next one does it."""
    before = contents(store)
    changes = iter([keys.rotate])
    done = store.reseal(progress=lambda done, total: next(changes, lambda: None)())
    assert done.left == 0
    assert needed(store) == [2, 3]
    assert store.reseal().pages == BATCH_PAGES
    assert (needed(store), contents(store)) == ([3], before)


def test_a_killed_one_goes_on(store: PageStore, keys: StaticKeys, tmp_path: Path) -> None:
    before = contents(store)
    batches = iter(range(3))

    def kill(done: int, total: int) -> None:
        if next(batches, None) is None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.reseal(progress=kill)
    store.close()
    with PageStore.open(tmp_path / "s", name="s", keys=keys) as again:
        assert again.reseal().pages == PAGES - 4 * BATCH_PAGES
        assert (needed(again), contents(again)) == ([2], before)


def test_only_what_was_asked_for(store: PageStore, keys: StaticKeys) -> None:
    store.commit({0: b"2" * 4096, 1: b"2" * 4096})
    keys.rotate()
    with pytest.raises(InputError, match="current"):
        store.reseal([3])
    assert store.reseal([2]).pages == 2
    assert needed(store) == [1, 3]
    assert store.reseal([9]).pages == 0


def test_it_holds_to_its_rate(store: PageStore) -> None:
    """No clock runs here: what it sleeps is what the rate asks for."""
    slept: list[float] = []
    pace = Pace(4096 * 2, clock=lambda: sum(slept), sleep=slept.append)
    store.reseal(pace=pace)
    assert sum(slept) == PAGES / 2
    assert len(slept) == -(-PAGES // BATCH_PAGES)


@pytest.mark.parametrize("rate", [0, -1, float("nan")])
def test_a_rate_that_is_none(rate: float) -> None:
    with pytest.raises(InputError, match="rate"):
        Pace(rate)


def test_a_damaged_page_is_named_and_what_came_before_is_done(store: PageStore, tmp_path: Path) -> None:
    number = 3 * BATCH_PAGES + 2
    slot = entry_slot(store._state.pages.entry(number))
    with (tmp_path / "s").open("r+b") as file:
        file.seek(slot * 4096 + 100)
        byte = file.read(1)[0]
        file.seek(slot * 4096 + 100)
        file.write(bytes([byte ^ 1]))
    with pytest.raises(StoreDamagedError) as caught:
        store.reseal()
    assert (caught.value.part, caught.value.number) == ("page", number)
    (first, second) = store.key_references()
    assert (first.generation, second.generation) == (1, 2)
    assert store.read(0) == Random(1).randbytes(4096)


def test_a_full_disk_keeps_everything_and_it_goes_on_with_space(tmp_path: Path, keys: StaticKeys) -> None:
    store, file = poor_store(tmp_path / "p", keys)
    with store:
        before = {number: Random(number).randbytes(4096) for number in range(400)}
        store.commit(dict(before))
        keys.rotate()
        file.limit = file.size()
        with pytest.raises(StoreFullError):
            store.reseal()
        assert {number: store.read(number) for number in before} == before
        file.limit = 1 << 40
        assert store.reseal().left == 0
        assert needed(store) == [2]
        assert {number: store.read(number) for number in before} == before


def test_the_file_grows_by_a_part_of_what_is_resealed(
    tmp_path: Path, keys: StaticKeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The former slots are used again on the way: at most those of three checkpoints are held."""
    monkeypatch.setattr(reseal, "CHECKPOINT_BYTES", 4 * BATCH_PAGES * 4096)
    monkeypatch.setattr(space, "GROW_BYTES_MIN", 4096)
    file = CountedFile(OsBlockFile.create(tmp_path / "g"))
    with PageStore.create(file, name="g", keys=keys, page_size=4096) as store:
        store.commit({number: bytes([number % 251]) * 4096 for number in range(1000)})
        keys.rotate()
        before = file.size()
        assert store.reseal().pages == 1000
        assert file.size() - before < 300 * 4096
        assert store.verify().damaged == []


def test_a_pin_needs_every_key_that_was_met(store: PageStore) -> None:
    with store.pin() as pin:
        store.reseal()
        assert [(each.generation, each.pins) for each in store.key_references()] == [(1, 1), (2, 1)]
        assert sum(len(batch.page_nos) for batch in pin.sealed()) == PAGES
    assert needed(store) == [2]


def test_a_reader_that_comes_late_reads_the_new_page(
    store: PageStore, keys: StaticKeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It looked the page up before it was resealed, and opens it when the former key is gone."""
    page, former = store.read(5), store._state.pages.entry(5)
    store.reseal()
    del keys.keys[1]
    store.forget_data_key(1)
    store._reader.wipe()
    look_up, first = store._state.pages.entry, [former]
    monkeypatch.setattr(store._state.pages, "entry", lambda number: first.pop() if first else look_up(number))
    assert store.read(5) == page
    assert first == []
    first.append(former)
    assert store.read_many([5]) == [page]
    assert first == []


def test_no_crash_after_it_needs_the_former_key() -> None:
    """From the return on, every state of the disk opens without it; both headers, whichever is lost."""
    keys, random = StaticKeys(), Random(5)
    life = Life(keys, Machine())
    life.create()
    life.commit({number: page_of(random) for number in range(30)})
    life.commit({FAR_PAGE: page_of(random)})
    life.opened.checkpoint()
    keys.rotate()
    life.commit({2: page_of(random)})
    life.opened.reseal()
    del keys.keys[1]
    life.opened.forget_data_key(1)
    allowed, settled, before = (life.now,), life.machine.now(), len(life.points)
    assert (settled.unsynced, settled.unsynced_anchors) == ((), ())
    for header in (0, 4096):
        torn = settled.disk.copy()
        torn.write(header, bytes(512))
        assert opens(Life(keys, Machine(Image(torn, anchor=settled.anchor))), allowed)
    for _ in range(3):
        life.commit({random.randrange(30): page_of(random)})
    life.opened.checkpoint()
    life.opened.close()
    states = 0
    for point in life.points[before:]:
        for image in [point.image, *point.image.power_losses(random, 8)]:
            assert opens(Life(keys, Machine(image)), point.allowed)
            states += 1
    assert states > 30


def test_parts_of_the_slot_map_that_nobody_touches_are_sealed_anew_too(
    tmp_path: Path, keys: StaticKeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A block of the slot map is for 128 MiB at least; here for so little that there are many of them."""
    monkeypatch.setattr(layout, "slots_per_block", lambda page_size: 256)
    with PageStore.create(tmp_path / "m", name="m", keys=keys, page_size=4096) as store:
        store.commit({number: bytes([number % 251]) * 4096 for number in range(2000)})
        store.commit(dict.fromkeys(range(1, 2000)))
        for _ in range(4):  # what was freed is free now, and blocks of the map without a page stay as they are
            store.commit({0: bytes(4096)})
            store.checkpoint()
        keys.rotate()
        assert store.key_references()[0].entries > 8
        assert store.reseal().left == 0
        assert needed(store) == [2]
        assert store.read(0) == bytes(4096)


def test_a_checkpoint_of_much_of_the_slot_map_has_a_session_with_seals_left(tmp_path: Path) -> None:
    """No session seals more than SEALS_MAX, the blocks of the slot map included."""
    with PageStore.create(tmp_path / "s", name="s", keys=StaticKeys(), page_size=4096) as store:
        state = store._state
        session = state.checkpoint_session()
        session.seals = SEALS_MAX - 2000
        assert state.checkpoint_session() is session
        state.space.slots.dirty.update(range(1000))
        try:
            assert state.checkpoint_session() is not session
        finally:
            state.space.slots.dirty.difference_update(range(1, 1000))
