"""Read points: the pages of one commit, whatever is committed and moved after it; no slot is kept long."""

from pathlib import Path

import pytest

from keystore.errors import PageRangeError, StoreClosedError, StoreDamagedError
from keystore.pages.blockfile import OsBlockFile
from keystore.pages.store import PageStore
from tests.pages.stores import CountedFile, StaticKeys

PAGE = 4096


def page(value: int) -> bytes:
    return bytes([value % 256]) * PAGE


@pytest.fixture
def store(tmp_path: Path) -> PageStore:
    store = PageStore.create(tmp_path / "s", name="s", keys=StaticKeys(), page_size=PAGE, cache_bytes=PAGE)
    store.commit({number: page(number) for number in range(300)}, byte_length=300 * PAGE)
    return store


def test_it_shows_its_commit_through_commits_cuts_checkpoints_and_compactions(store: PageStore) -> None:
    points = []
    for value in range(10):
        points.append((store.read_point(), value))
        store.commit({number: page(value + 1) for number in range(0, 280, 3)}, page_count=300 - value)
        if value % 3 == 2:
            store.checkpoint()
    store.compact()
    for _ in range(5):
        store.commit({1: page(99)})
        store.checkpoint()
    for point, value in points:
        assert point.page_count == (300 if not value else 301 - value)
        assert [point.read(number) for number in (1, 2, 286)] == [page(1), page(2), page(286)]
        assert point.read(3) == page(value or 3)
    assert not store.verify().damaged


def test_slots_are_free_again_while_others_begin_to_read(store: PageStore) -> None:
    """Readers that overlap for ever, each of them short, do not make the file grow."""
    sizes, point = [], store.read_point()
    for value in range(40):
        store.commit({number: page(value) for number in range(300)})
        following = store.read_point()
        point.release()
        point = following
        store.checkpoint()
        sizes.append(store.stats().file_bytes)
    assert sizes[-1] == sizes[8]


def test_one_that_stays_keeps_its_pages_and_the_others_do_not(store: PageStore) -> None:
    kept = store.read_point()
    slots = store._state.space.slots
    busy = []
    for value in range(12):
        with_it = store.read_point()
        store.commit({number: page(100 + value) for number in range(300)})
        with_it.release()
        store.checkpoint()
        busy.append(slots.busy_count)
    assert [kept.read(number) for number in range(10)] == [page(number) for number in range(10)]
    kept.release()
    for _ in range(3):
        store.commit({0: page(1)})
        store.checkpoint()
    assert slots.busy_count < busy[0]
    assert not store._state.read_points
    assert not slots._pinned


def test_beginning_and_ending_reads_and_writes_nothing(tmp_path: Path) -> None:
    file = CountedFile(OsBlockFile.create(tmp_path / "s"))
    with PageStore.create(file, name="s", keys=StaticKeys(), page_size=PAGE) as store:
        store.commit({0: page(1)})
        file.calls.clear()
        store.read_point().release()
        assert not file.calls


def test_it_reads_nothing_after_its_end_and_after_the_store_s(store: PageStore) -> None:
    point, other = store.read_point(), store.read_point()
    with pytest.raises(PageRangeError, match="page 300 of 300"):
        point.read(300)
    point.release()
    point.release()
    with pytest.raises(PageRangeError, match="after the end"):
        point.read(0)
    store.close()
    with pytest.raises(StoreClosedError):
        other.read(0)
    other.release()


def test_pages_in_a_row_are_read_ahead_and_are_the_same(tmp_path: Path) -> None:
    file = CountedFile(OsBlockFile.create(tmp_path / "s"))
    with PageStore.create(file, name="s", keys=StaticKeys(), page_size=PAGE, cache_bytes=PAGE) as store:
        store.commit({number: page(number) for number in range(100) if number % 7})
        point = store.read_point()
        store.commit({number: page(1) for number in range(100)})
        file.calls.clear()
        for number in range(100):
            assert point.read(number) == (page(number) if number % 7 else bytes(PAGE))
        assert file.calls["read"] < 40
        point.release()


def test_a_page_ahead_that_does_not_open_is_told_when_it_is_asked_for(tmp_path: Path) -> None:
    file = CountedFile(OsBlockFile.create(tmp_path / "s"))
    with PageStore.create(file, name="s", keys=StaticKeys(), page_size=PAGE, cache_bytes=PAGE) as store:
        store.commit({number: page(number) for number in range(40)})
        point = store.read_point()
        file.file.write(int.from_bytes(point.entry(20)[:8], "little") * PAGE, b"damage")
        assert [point.read(number) for number in range(20)] == [page(number) for number in range(20)]
        with pytest.raises(StoreDamagedError, match="page 20"):
            point.read(20)
        assert point.read(21) == page(21)
        point.release()


def test_a_data_key_may_end_while_others_read_who_began_after_it_was_needed(tmp_path: Path) -> None:
    keys = StaticKeys()
    with PageStore.create(tmp_path / "s", name="s", keys=keys, page_size=PAGE) as store:
        store.commit({number: page(number) for number in range(300)})
        early = store.read_point()
        keys.rotate()
        store.reseal()
        late = store.read_point()
        (first, second) = store.key_references(settle=True)
        assert (first.generation, first.entries, first.pins) == (1, 0, 1)
        assert second.entries > 300
        early.release()
        assert [each.generation for each in store.key_references(settle=True)] == [2]
        assert late.read(7) == page(7)
        late.release()
