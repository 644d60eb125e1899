"""Filling an empty store: few commits and syncs, nothing that was not opened or sealed, and no harm when cut off."""

import itertools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import pytest

from keystore.errors import InputError, PageRangeError, StoreDamagedError, StoreFullError
from keystore.format.record import SessionRecord
from keystore.pages import fill
from keystore.pages.blockfile import OsBlockFile
from keystore.pages.reading import Batch
from keystore.pages.store import PageStore
from tests.pages.simdisk import Image, Machine
from tests.pages.stores import CountedFile, MemoryAnchor, StaticKeys
from tests.pages.witnesses import Recorder, built

PAGE = 4096


def page_of(number: int) -> bytes:
    return (number + 1).to_bytes(4, "little") * (PAGE // 4)


def pages_of(first: int, end: int) -> bytes:
    return b"".join(page_of(number) for number in range(first, end))


def chunks(pages: int, each: int) -> Iterator[bytearray]:
    """Yield pages in one buffer that is used again."""
    buffer = bytearray()
    for first in range(0, pages, each):
        buffer[:] = pages_of(first, min(first + each, pages))
        yield buffer


@pytest.fixture
def keys() -> StaticKeys:
    return StaticKeys()


def create(path: Path, keys: StaticKeys) -> PageStore:
    return PageStore.create(path, name="filled", keys=keys, page_size=PAGE)


@pytest.fixture
def store(tmp_path: Path, keys: StaticKeys) -> Iterator[PageStore]:
    with create(tmp_path / "filled", keys) as made:
        yield made


Sealed = tuple[list[SessionRecord], list[Batch]]


@pytest.fixture
def sealed(tmp_path: Path, keys: StaticKeys) -> Sealed:
    """Pages 0 to 99 of another store, each third a hole, of two sessions, in batches of 16."""
    path = tmp_path / "source"
    with create(path, keys) as source:
        source.commit({number: page_of(number) for number in range(100) if number % 3 == 0})
    with PageStore.open(path, name="source", keys=keys) as source:
        source.commit({number: page_of(number) for number in range(100) if number % 3 == 1})
        with source.pin() as pin:
            return pin.sessions(), list(pin.sealed(16))


def content(store: PageStore) -> list[int]:
    """Return the numbers of the pages that are no holes; each must be what it was."""
    found = store.read_many(range(store.page_count))
    there = [number for number, page in enumerate(found) if any(page)]
    assert all(found[number] == page_of(number) for number in there)
    return there


def test_pages_in_clear_come_in_order_and_stay(tmp_path: Path, keys: StaticKeys) -> None:
    with create(tmp_path / "s", keys) as store:
        assert store.fill(chunks(250, 64)) == 250
        store.commit(page_count=250, byte_length=249 * PAGE + 1)
        assert content(store) == list(range(250))
    with PageStore.open(tmp_path / "s", name="s", keys=keys) as store:
        assert (store.page_count, store.byte_length) == (250, 249 * PAGE + 1)
        assert content(store) == list(range(250))
        assert store.verify().ok


def test_sealed_pages_keep_their_ciphertext_and_their_holes(store: PageStore, sealed: Sealed) -> None:
    sessions, batches = sealed
    assert store.fill_sealed(sessions, iter(batches), page_count=100) == 67
    assert store.page_count == 100
    assert content(store) == [number for number in range(100) if number % 3 != 2]
    assert store.verify().ok
    with store.pin() as pin:
        assert b"".join(bytes(batch.ciphertext) for batch in pin.sealed()) == b"".join(
            bytes(batch.ciphertext) for batch in batches
        )


def test_one_record_and_its_syncs_for_all_of_it_and_the_file_grows_once(tmp_path: Path, keys: StaticKeys) -> None:
    file = CountedFile(OsBlockFile.create(tmp_path / "s"))
    with PageStore.create(file, name="s", keys=keys, page_size=PAGE) as store:
        before, sequence = file.calls.copy(), store.sequence
        store.fill(chunks(2000, 100), room=2000)
        assert store.sequence == sequence + 1
        done = file.calls - before
        # To grow, for the pages, for the record; each chunk in one write, the record in two, the watermark.
        assert (done["extend"], done["sync"], done["write"]) == (1, 3, 20 + 3)
        assert content(store) == list(range(2000))


def test_more_than_a_commit_takes_are_several(
    store: PageStore, sealed: Sealed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fill, "COMMIT_PAGES", 40)
    sequence = store.sequence
    assert store.fill_sealed(sealed[0], iter(sealed[1]), page_count=100) == 67  # 16 + 16, 16 + 16 + 3
    assert store.sequence == sequence + 2
    assert content(store) == [number for number in range(100) if number % 3 != 2]


def test_nothing_to_fill_with_changes_nothing(store: PageStore) -> None:
    sequence = store.sequence
    assert store.fill(iter([])) == 0
    assert store.fill_sealed([], iter([]), page_count=100) == 0
    assert (store.sequence, store.page_count) == (sequence, 0)


def test_a_store_that_has_pages_is_not_filled(store: PageStore, sealed: Sealed) -> None:
    store.commit({0: page_of(0)})
    with pytest.raises(InputError, match="has 1 pages; only an empty one is filled"):
        store.fill(chunks(1, 1))
    with pytest.raises(InputError, match="only an empty one is filled"):
        store.fill_sealed(sealed[0], iter(sealed[1]), page_count=100)
    assert content(store) == [0]


@pytest.mark.parametrize("size", [0, 1, PAGE - 1, PAGE + 1])
def test_parts_of_pages_are_refused(store: PageStore, size: int) -> None:
    with pytest.raises(InputError, match="whole pages are needed"):
        store.fill(iter([bytes(size)]))
    assert store.page_count == 0


@pytest.mark.parametrize("order", [(1, 0), (0, 0), (0, 2, 1)])
def test_pages_out_of_order_are_refused(store: PageStore, sealed: Sealed, order: tuple[int, ...]) -> None:
    sessions, batches = sealed
    with pytest.raises(PageRangeError, match="do not come in order"):
        store.fill_sealed(sessions, (batches[at] for at in order), page_count=100)
    assert store.page_count == 0


def test_so_are_those_beyond_the_end(store: PageStore, sealed: Sealed) -> None:
    with pytest.raises(PageRangeError, match="are not below 99"):
        store.fill_sealed(sealed[0], iter(sealed[1]), page_count=99)
    assert store.page_count == 0


def damaged(batch: Batch, index: int) -> Batch:
    ciphertext = bytearray(batch.ciphertext)
    ciphertext[index * PAGE] ^= 1
    return replace(batch, ciphertext=memoryview(ciphertext))


def test_a_page_that_does_not_open_is_named_and_not_taken(store: PageStore, sealed: Sealed) -> None:
    sessions, batches = sealed
    found = f"page {int(batches[1].page_nos[5])} is damaged: its tag does not match"
    with pytest.raises(StoreDamagedError, match=found):
        store.fill_sealed(sessions, iter([batches[0], damaged(batches[1], 5)]), page_count=100)
    assert store.page_count == 0, "nor what came before it in that commit"
    store.commit({0: page_of(0)})
    assert content(store) == [0], "the store goes on"
    assert store.verify().ok


def test_a_session_that_is_not_told_is_damage(store: PageStore, sealed: Sealed) -> None:
    with pytest.raises(StoreDamagedError, match="which is unknown"):
        store.fill_sealed([], iter(sealed[1]), page_count=100)


def test_what_goes_wrong_where_pages_come_from_is_raised_as_it_is(
    store: PageStore, sealed: Sealed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fill, "COMMIT_PAGES", 40)

    def broken() -> Iterator[Batch]:
        yield from sealed[1][:3]
        raise OverflowError("the place is away")

    with pytest.raises(OverflowError):
        store.fill_sealed(sealed[0], broken(), page_count=100)
    there = content(store)
    assert there == [number for number in range(48) if number % 3 != 2]
    assert store.verify().ok


def test_a_witness_is_told_all_of_it_in_portions(
    tmp_path: Path, keys: StaticKeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fill, "WATCHED_BYTES", 64 * PAGE)
    recorder = Recorder(64 * PAGE)
    with PageStore.create(tmp_path / "s", name="s", keys=keys, page_size=PAGE, witness=recorder) as store:
        store.fill(chunks(200, 50), room=200)
        store.commit(page_count=200, byte_length=200 * PAGE)
    assert [len(commit.ciphertext or b"") // PAGE for commit in recorder.commits] == [50, 50, 50, 50, 0]
    with built(tmp_path / "built", keys, PAGE, recorder.commits) as copy:
        assert content(copy) == list(range(200))


def test_room_that_is_not_there_is_refused_when_it_is_needed(tmp_path: Path, keys: StaticKeys) -> None:
    class SmallDisk(OsBlockFile):
        def extend(self, size: int, **more: bool) -> None:
            if size > 300 * PAGE:
                raise OSError(28, "No space left on device")
            super().extend(size, **more)

    with PageStore.create(SmallDisk.create(tmp_path / "a"), name="s", keys=keys, page_size=PAGE) as store:
        assert store.fill(chunks(50, 10), room=5000) == 50
        assert content(store) == list(range(50))
    with PageStore.create(SmallDisk.create(tmp_path / "b"), name="s", keys=keys, page_size=PAGE) as store:
        with pytest.raises(StoreFullError):
            store.fill(chunks(500, 10), room=500)
        assert store.page_count == 0
        store.commit({0: page_of(0)})


@pytest.mark.parametrize("clear", [True, False])
def test_a_power_cut_leaves_the_first_pages(
    clear: bool, keys: StaticKeys, sealed: Sealed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever of the writes of a filling reached the disk, the store opens, and has the pages of whole commits."""
    monkeypatch.setattr(fill, "COMMIT_PAGES", 32)
    machine, random, seen = Machine(), Random(7), list[Image]()
    store = PageStore.create(machine.disk, name="s", keys=keys, page_size=PAGE, anchor=machine.anchor)
    machine.saw = lambda _, image: seen.append(image)
    if clear:
        store.fill(chunks(67, 16))
        allowed = [list(range(end)) for end in (0, 32, 64, 67)]
    else:
        store.fill_sealed(sealed[0], iter(sealed[1]), page_count=100)
        numbers = np.concatenate([batch.page_nos for batch in sealed[1]]).tolist()
        allowed = [numbers[:end] for end in (0, 32, 64, 67)]
    found = []
    for image in itertools.chain.from_iterable(image.power_losses(random, 6) for image in seen):
        after = Machine(image)
        with PageStore.open(after.disk, name="s", keys=keys, anchor=after.anchor) as opened:
            found.append(content(opened))
            assert found[-1] in allowed
            assert opened.verify().ok
    assert all(each in found for each in allowed[:-1])


def test_an_anchor_is_brought_along(keys: StaticKeys, tmp_path: Path) -> None:
    anchor = MemoryAnchor()
    with PageStore.create(tmp_path / "s", name="s", keys=keys, page_size=PAGE, anchor=anchor) as store:
        store.fill(chunks(8, 4))
        assert anchor.state is not None
        assert anchor.state.sequence == store.sequence
