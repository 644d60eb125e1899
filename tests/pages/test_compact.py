"""Slots are used again, and the end of the file is given back (docs/FORMAT.md, section 7)."""

import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from threading import Event, Thread

import pytest

from keystore.errors import StoreClosedError, StoreDamagedError
from keystore.format import layout
from keystore.format.entry import entry_slot
from keystore.pages.pace import Pace
from keystore.pages.store import PageStore
from tests.pages.stores import StaticKeys

PAGE = 4096


def page_of(number: int) -> bytes:
    return number.to_bytes(8, "little") * (PAGE // 8)


def filled(path: Path, keys: StaticKeys, pages: int) -> PageStore:
    store = PageStore.create(path, name="s", keys=keys, page_size=PAGE)
    for first in range(0, pages, 500):
        store.commit({number: page_of(number) for number in range(first, min(first + 500, pages))})
    return store


@pytest.mark.parametrize("kept", [0, 1, 3, 300, 1500])
def test_what_is_left_moves_to_the_front_and_the_file_gets_shorter(kept: int, tmp_path: Path) -> None:
    keys = StaticKeys()
    with filled(tmp_path / "s", keys, 3000) as store:
        numbers = Random(kept).sample(range(3000), kept)
        store.commit({number: None for number in range(3000) if number not in numbers})
        before = (tmp_path / "s").stat().st_size
        report = store.compact()
        assert report.limited_by is None
        after = (tmp_path / "s").stat().st_size
        assert (report.bytes_before, report.bytes_after) == (before, after)
        assert after < (kept + 300) * PAGE < before
        assert store.verify().damaged == []
        store.commit({5: page_of(5)})
    with PageStore.open(tmp_path / "s", name="s", keys=keys) as store:
        assert store.verify().damaged == []
        for number in numbers:
            assert store.read(number) == page_of(number)
        again = store.compact()
        assert again.given_back >= 0
        assert store.verify().damaged == []


@pytest.mark.parametrize("copy", layout.HEADER_OFFSETS)
def test_either_header_copy_opens_the_shorter_file(copy: int, tmp_path: Path) -> None:
    """F-23: were one of them written before the end was moved, the file would be shorter than it says."""
    keys, path = StaticKeys(), tmp_path / "s"
    with filled(path, keys, 1000) as store:
        store.commit(dict.fromkeys(range(990)))
        assert store.compact().given_back > 0
        image = path.read_bytes()
    path.write_bytes(image[:copy] + bytes(layout.BLOCK_BYTES) + image[copy + layout.BLOCK_BYTES :])
    with PageStore.open(path, name="s", keys=keys) as store:
        assert store.read_many(range(990, 1000)) == [page_of(number) for number in range(990, 1000)]
        assert store.verify().damaged == []


def test_a_file_cut_short_of_its_headers_is_damaged(tmp_path: Path) -> None:
    keys, path = StaticKeys(), tmp_path / "s"
    with filled(path, keys, 1000) as store:
        store.commit(dict.fromkeys(range(990)))
        store.compact()
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - PAGE)
    with pytest.raises(StoreDamagedError, match="file length"):
        PageStore.open(path, name="s", keys=keys)


def test_a_pin_keeps_what_it_reaches_and_the_report_says_so(tmp_path: Path) -> None:
    keys = StaticKeys()
    with filled(tmp_path / "s", keys, 2000) as store:
        with store.pin() as pin:
            before = b"".join(bytes(batch.ciphertext) for batch in pin.sealed())
            store.commit(dict.fromkeys(range(1900)))
            report = store.compact()
            assert report.limited_by is not None
            assert "1 pin" in report.limited_by
            assert b"".join(bytes(batch.ciphertext) for batch in pin.sealed()) == before
        report = store.compact()
        assert report.limited_by is None
        assert report.given_back > 1500 * PAGE
        assert store.verify().damaged == []


def test_where_a_pin_holds_as_much_as_is_in_use_nothing_is_moved_and_the_file_does_not_grow(tmp_path: Path) -> None:
    keys = StaticKeys()
    with filled(tmp_path / "s", keys, 2000) as store:
        with store.pin():
            store.commit({number: page_of(number + 1) for number in range(2000)})
            report = store.compact()
            assert (report.moved_bytes, report.limited_by is not None) == (0, True)
            assert report.given_back >= 0
        assert store.compact().given_back > 1500 * PAGE
        assert store.verify().damaged == []


def test_readers_and_writers_go_on_while_it_moves_pages(tmp_path: Path) -> None:
    keys, stop, errors, rounds = StaticKeys(), Event(), list[BaseException](), [0, 0]
    with filled(tmp_path / "s", keys, 3000) as store:
        store.commit(dict.fromkeys(range(2200)))

        def reader() -> None:
            while not stop.is_set():
                assert store.read_many(range(2200, 3000, 7)) == [page_of(number) for number in range(2200, 3000, 7)]
                rounds[0] += 1

        def writer() -> None:
            while not stop.is_set():
                store.commit({10: page_of(rounds[1]), 20: page_of(rounds[1])})
                assert store.read(10) == store.read(20) == page_of(rounds[1])
                rounds[1] += 1

        def guarded(work: Callable[[], None]) -> None:
            try:
                work()
            except BaseException as error:
                errors.append(error)

        threads = [Thread(target=guarded, args=(work,)) for work in (reader, writer)]
        for thread in threads:
            thread.start()
        turns = list[float]()

        def let_others_work(seconds: float) -> None:
            turns.append(seconds)
            others_work(rounds, errors)

        try:
            store.compact(pace=Pace(1.0, clock=lambda: 0.0, sleep=let_others_work))
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        assert errors == []
        assert len(turns) >= 2
        assert store.verify().damaged == []
        assert (tmp_path / "s").stat().st_size < 2000 * PAGE


def others_work(rounds: list[int], errors: list[BaseException]) -> None:
    """Wait until reader and writer did something each."""
    before = list(rounds)
    for _ in range(100_000):
        if errors or all(now > then for now, then in zip(rounds, before, strict=True)):
            return
        time.sleep(0.0005)
    raise AssertionError("nobody else got a turn")


def test_a_closed_store_is_not_compacted(tmp_path: Path) -> None:
    store = filled(tmp_path / "s", StaticKeys(), 1)
    store.close()
    with pytest.raises(StoreClosedError):
        store.compact()


def test_a_damaged_page_stops_it_and_nothing_is_lost(tmp_path: Path) -> None:
    keys, path = StaticKeys(), tmp_path / "s"
    with filled(path, keys, 1000) as store:
        slot = entry_slot(store._state.pages.entry(995))
        store.commit(dict.fromkeys(range(990)))
    with path.open("r+b") as file:
        file.seek(slot * PAGE)
        file.write(bytes(PAGE))
    with PageStore.open(path, name="s", keys=keys) as store:
        with pytest.raises(StoreDamagedError, match="page 995"):
            store.compact()
        assert store.read(996) == page_of(996)
    with PageStore.open(path, name="s", keys=keys) as store:
        assert [error.number for error in store.verify().damaged] == [995]


def test_slots_of_dead_pages_are_used_again(tmp_path: Path) -> None:
    """A page written over and over takes no more room than a few checkpoints hold."""
    with filled(tmp_path / "s", StaticKeys(), 200) as store:
        size = (tmp_path / "s").stat().st_size
        for turn in range(40):
            store.commit({number: page_of(turn) for number in range(100)})
            store.checkpoint()
        assert (tmp_path / "s").stat().st_size <= size + (2 << 20)
        assert store.verify().damaged == []
