"""A check of a store: it names everything that is damaged, goes on where it was cut off, and leaves others alone."""

from pathlib import Path

import pytest

from keystore.errors import StoreDamagedError
from keystore.format import layout
from keystore.format.entry import entry_slot
from keystore.pages.pace import SLEEP_MAX_S, Pace
from keystore.pages.store import PageStore
from tests.pages.stores import StaticKeys

PAGE = 4096
PAGES = 1500


class KilledError(Exception):
    """Where a process was killed."""


def page_of(number: int) -> bytes:
    return number.to_bytes(8, "little") * (PAGE // 8)


@pytest.fixture
def keys() -> StaticKeys:
    return StaticKeys()


@pytest.fixture
def path(tmp_path: Path, keys: StaticKeys) -> Path:
    with PageStore.create(tmp_path / "s", name="s", keys=keys, page_size=PAGE) as store:
        for first in range(0, PAGES, 500):
            store.commit({number: page_of(number) for number in range(first, first + 500)})
    return tmp_path / "s"


def spoil(path: Path, slot: int) -> None:
    with path.open("r+b") as file:
        file.seek(slot * PAGE + 100)
        file.write(bytes(64))


def slots_of(path: Path, keys: StaticKeys, pages: list[int]) -> list[int]:
    with PageStore.open(path, name="s", keys=keys) as store:
        return [entry_slot(store._state.pages.entry(number)) for number in pages]


def leaf_slot(path: Path, keys: StaticKeys, leaf: int) -> int:
    with PageStore.open(path, name="s", keys=keys) as store:
        return entry_slot(store._state.pages.tree.entry(1, leaf))


def test_every_damaged_page_is_named_not_only_the_first(path: Path, keys: StaticKeys) -> None:
    damaged = [0, 7, 8, 101, 102, 777, PAGES - 1]
    for slot in slots_of(path, keys, damaged):
        spoil(path, slot)
    with PageStore.open(path, name="s", keys=keys) as store:
        report = store.verify()
        assert report.damaged_pages == damaged
        assert (len(report.damaged), report.pages, report.holes) == (len(damaged), PAGES, 0)
        assert store.read(9) == page_of(9)
        with pytest.raises(StoreDamagedError):
            store.commit({3: page_of(3)})


def test_a_damaged_node_is_named_with_the_pages_below_it_and_the_rest_is_checked(path: Path, keys: StaticKeys) -> None:
    fanout = layout.fanout(PAGE)
    (slot,) = slots_of(path, keys, [1200])
    spoil(path, leaf_slot(path, keys, 3))
    spoil(path, slot)
    with PageStore.open(path, name="s", keys=keys) as store:
        report = store.verify()
        node, page = report.damaged
        assert (node.part, node.number, node.pages) == ("map node", 3, range(3 * fanout, 4 * fanout))
        assert f"above pages {3 * fanout} to {4 * fanout - 1}" in str(node)
        assert (page.part, page.number) == ("page", 1200)
        assert report.pages == PAGES - fanout


def test_a_check_that_was_killed_goes_on_where_it_was(path: Path, keys: StaticKeys) -> None:
    for slot in slots_of(path, keys, [5, 1400]):
        spoil(path, slot)
    saved: list[tuple[int, list[int]]] = []

    def kill_after_two(following: int, damaged: list[int]) -> None:
        saved.append((following, damaged))
        if len(saved) == 2:
            raise KilledError

    with PageStore.open(path, name="s", keys=keys) as store, pytest.raises(KilledError):
        store.verify(save=kill_after_two)
    start, suspects = saved[-1]
    assert (suspects, 0 < start < PAGES) == ([5], True)
    with PageStore.open(path, name="s", keys=keys) as store:
        report = store.verify(start=start, suspects=suspects)
        assert report.damaged_pages == [5, 1400]
        assert report.pages == PAGES - start + 1


def test_what_is_read_is_held_back_to_a_rate(path: Path, keys: StaticKeys) -> None:
    slept: list[float] = []
    with PageStore.open(path, name="s", keys=keys) as store:
        report = store.verify(pace=Pace(1 << 20, clock=lambda: 0.0, sleep=slept.append))
    read = (report.pages + report.nodes) * PAGE
    assert slept == sorted(slept)
    assert read - 4 * PAGE <= slept[-1] * (1 << 20) <= read + 4 * PAGE


def test_writers_go_on_while_it_reads_and_no_slot_it_needs_is_used_again(path: Path, keys: StaticKeys) -> None:
    with PageStore.open(path, name="s", keys=keys) as store:
        turns = [0]

        def write(_: float) -> None:
            turns[0] += 1
            start = turns[0] * 97 % PAGES
            store.commit({(start + at) % PAGES: page_of(turns[0]) for at in range(300)})
            store.checkpoint()

        report = store.verify(pace=Pace(1.0, clock=lambda: 0.0, sleep=write))
        assert (report.damaged, turns[0] > 10) == ([], True)
        assert store.verify().damaged == []


def test_pages_put_back_make_the_store_writable_again(path: Path, keys: StaticKeys) -> None:
    with PageStore.open(path, name="s", keys=keys) as store, store.pin() as pin:
        batches = [(batch.page_nos.tolist(), batch) for batch in pin.sealed()]
        sessions = pin.sessions()
        held = next(batch for numbers, batch in batches if 600 in numbers)
    (slot,) = slots_of(path, keys, [600])
    spoil(path, slot)
    with PageStore.open(path, name="s", keys=keys) as store:
        assert store.verify().damaged_pages == [600]
        with pytest.raises(StoreDamagedError):
            store.commit({3: page_of(3)})
        size = store.stats().written_bytes
        assert store.put_back(sessions, held) == [600]
        assert store.stats().written_bytes - size < 3 * PAGE  # one page and its record: the others opened
        with pytest.raises(StoreDamagedError):
            store.commit({3: page_of(3)})
        assert store.verify().damaged == []
        store.commit({3: page_of(4)})
        assert store.read(600) == page_of(600)
        assert store.put_back(sessions, held) == []


def test_a_rate_near_zero_sleeps_as_long_as_the_system_can() -> None:
    slept: list[float] = []
    Pace(1e-300, clock=lambda: 0.0, sleep=slept.append).passed(1)
    assert slept == [SLEEP_MAX_S]
