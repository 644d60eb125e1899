"""Stores of a TiB: what opening and changing them costs in bytes read and in memory."""

import tracemalloc
from pathlib import Path
from random import Random

import pytest

from keystore.format.entry import entry_slot
from keystore.pages.blockfile import OsBlockFile
from keystore.pages.store import PageStore
from tests.pages.huge import TIB, SparseFile, full_store
from tests.pages.stores import CountedFile, StaticKeys

READ_MAX = 1 << 20
MEMORY_MAX = 300 << 20


def opened(file: CountedFile, keys: StaticKeys, name: str) -> PageStore:
    """Open a store, and hold the opening to its limits."""
    tracemalloc.start()
    try:
        store = PageStore.open(file, name=name, keys=keys)
        assert tracemalloc.get_traced_memory()[1] < MEMORY_MAX
    finally:
        tracemalloc.stop()
    assert 0 < file.bytes["read"] < READ_MAX
    file.bytes.clear()
    return store


@pytest.mark.parametrize("page_size", [16384, pytest.param(4096, marks=pytest.mark.soak)])
def test_a_tib_of_pages_opens_and_changes_with_little_reading(page_size: int) -> None:
    """Free slots are few at the start and some in the middle, so the last ones taken are found by the counts alone."""
    keys = StaticKeys()
    free = range(TIB // page_size // 2, TIB // page_size // 2 + 60_000)
    sealed = full_store(page_size, keys, free)
    file, page = CountedFile(sealed), bytes(range(256)) * (page_size // 256)
    with opened(file, keys, "full") as store:
        length = file.size()
        assert store.page_count == TIB // page_size
        store.commit(dict.fromkeys(range(7_000_000, 7_001_000), page))
        assert (file.bytes["read"] < READ_MAX, file.size()) == (True, length)
        assert store.read(7_000_050) == page
        assert entry_slot(store._state.pages.entry(7_000_999)) in free


@pytest.mark.parametrize("written", [24 << 20, pytest.param(3 << 30, marks=pytest.mark.soak)])
def test_a_sparse_store_of_a_tib(written: int, tmp_path: Path) -> None:
    keys, random, page_size = StaticKeys(), Random(1), 16384
    numbers = random.sample(range(TIB // page_size), written // page_size)
    with PageStore.create(tmp_path / "s", name="s", keys=keys, page_size=page_size) as store:
        for first in range(0, len(numbers), 256):
            step = numbers[first : first + 256]
            store.commit({number: number.to_bytes(8, "little") * (page_size // 8) for number in step})
        store.commit(page_count=TIB // page_size, byte_length=TIB)
    assert (tmp_path / "s").stat().st_size < 2.5 * written + (64 << 20)
    with opened(CountedFile(OsBlockFile.open(tmp_path / "s")), keys, "s") as store:
        assert (store.page_count * page_size, store.byte_length) == (TIB, TIB)
        for number in random.sample(numbers, 100):
            assert store.read(number) == number.to_bytes(8, "little") * (page_size // 8)


def test_compaction_takes_levels_off_the_slot_map() -> None:
    """A file of a TiB with pages at its end only becomes a small one again; nothing of its slot map stays behind."""
    keys, file = StaticKeys(), SparseFile()
    PageStore.create(file, name="s", keys=keys, page_size=4096).close()
    file.extend(TIB)
    pages = {number: number.to_bytes(8, "little") * 512 for number in range(0, 90_000, 300)}
    with PageStore.open(file, name="s", keys=keys) as store:
        store._state.space.slots.search_from(TIB // 4096 - 10_000)
        store.commit(pages)
        store.checkpoint()
        assert store._state.slots_tree.height == 3
    counted = CountedFile(file)
    with PageStore.open(counted, name="s", keys=keys) as store:
        report = store.compact()
        assert (report.limited_by, report.bytes_before) == (
            None,
            TIB - 4096,
        )  # an opening cut a slot that nothing named
        assert report.bytes_after == file.size() < 80 << 20
        assert store._state.slots_tree.height == 0
        assert counted.bytes["read"] < 32 << 20
        assert store.verify().damaged == []
        assert store.read_many(list(pages)) == list(pages.values())
    with PageStore.open(file, name="s", keys=keys) as store:
        assert store.verify().damaged == []
