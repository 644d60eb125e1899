"""Ranges and scans against `read`: every height of the map, holes, what is recent, calls of the file, and damage."""

import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from keystore.crypto.kernel import KERNEL
from keystore.errors import (
    InputError,
    PageRangeError,
    StoreClosedError,
    StoreDamagedError,
    StoreForkedError,
    StoreIOError,
    WrongKeyError,
)
from keystore.format.entry import entry_slot
from keystore.pages.blockfile import OsBlockFile
from keystore.pages.protocols import BlockFile
from keystore.pages.reading import READ_BYTES
from keystore.pages.store import PageStore
from tests.pages.stores import CountedFile, StaticKeys

PAGE_BYTES = 4096
FANOUT = PAGE_BYTES // 40
STEP = READ_BYTES // PAGE_BYTES


def page(value: int) -> bytes:
    return value.to_bytes(8, "big") * (PAGE_BYTES // 8)


@pytest.fixture
def keys() -> StaticKeys:
    return StaticKeys()


@pytest.fixture(params=["by descriptor", "through the file"])
def store(request: pytest.FixtureRequest, tmp_path: Path, keys: StaticKeys) -> Iterator[PageStore]:
    """The file itself, which the native kernel reads from, and one that only the store can read."""
    file: BlockFile = OsBlockFile.create(tmp_path / "s")
    if request.param == "through the file":
        file = CountedFile(file)
    with PageStore.create(file, name="s", keys=keys, page_size=PAGE_BYTES, cache_bytes=0) as store:
        yield store


def range_of(store: PageStore, first: int, count: int) -> bytes:
    buffer = bytearray(b"\xff" * (count * store.page_size))
    store.read_range_into(first, buffer)
    return bytes(buffer)


def one_by_one(store: PageStore, first: int, count: int) -> bytes:
    return b"".join(store.read(number) for number in range(first, first + count))


@pytest.mark.parametrize("count", [1, 2, FANOUT, FANOUT + 1, 3 * FANOUT + 7])
def test_a_range_is_what_read_returns(store: PageStore, keys: StaticKeys, count: int) -> None:
    """Pages in order and not, holes, several sessions, and commits that no checkpoint folded in yet."""
    chosen = random.Random(count)
    for round_no in range(3):
        numbers = chosen.sample(range(count), -(-count * 2 // 3))
        store.commit({number: page(1000 * round_no + number) for number in numbers}, page_count=count)
        store.commit(dict.fromkeys(chosen.sample(range(count), count // 5)))
        if round_no < 2:
            store.checkpoint()
            keys.rotate()
    assert len({entry[8:12] for entry in map(store._state.pages.entry, range(count)) if any(entry)}) > (count > 2)
    for _ in range(20):
        first = chosen.randrange(count)
        length = chosen.randrange(count - first + 1)
        assert range_of(store, first, length) == one_by_one(store, first, length)
    assert range_of(store, 0, count) == one_by_one(store, 0, count) == b"".join(map(bytes, store.scan()))


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("page_size", [4096, 8192, 16384, 32768, 65536])
def test_a_scan_of_every_page_size(tmp_path: Path, keys: StaticKeys, page_size: int, threads: int) -> None:
    """More than one piece, the last one short."""
    count = 2 * READ_BYTES // page_size + 3
    with PageStore.create(tmp_path / "s", name="s", keys=keys, page_size=page_size) as store:
        store.commit({number: bytes([number % 251 + 1]) * page_size for number in range(count) if number % 9})
        pieces = [bytes(piece) for piece in store.scan(threads=threads)]
        assert b"".join(pieces) == one_by_one(store, 0, count)
        assert [len(piece) for piece in pieces] == [READ_BYTES, READ_BYTES, 3 * page_size]
        assert b"".join(map(bytes, store.scan(5, 7, threads=threads))) == one_by_one(store, 5, 7)
        assert list(store.scan(count)) == list(store.scan(0, 0)) == []


def test_what_cannot_be_read_or_read_into_is_refused(store: PageStore) -> None:
    """As what it is, whatever reads: a buffer is no destroyed key, and a number that fits no integer no other error."""
    store.commit({number: page(number) for number in range(4)})
    piece = memoryview(bytearray(2 * PAGE_BYTES))
    for ask in (store.read_into, store.read_range_into):
        with pytest.raises(InputError, match="the buffer to read into is read-only; nothing was read"):
            ask(0, memoryview(bytes(PAGE_BYTES)))
        with pytest.raises(InputError, match="the buffer to read into is not in one piece; nothing was read"):
            ask(0, piece[::2])
    assert not any(piece)
    with pytest.raises(InputError, match="page 1 is not in one piece; nothing was changed"):
        store.commit({1: piece[::2]})
    for number in (-1, 4, 1 << 63, 1 << 64):
        with pytest.raises(PageRangeError, match=f"page {number} of 4; nothing was read"):
            store.read_many([0, number])
    for threads in (0, -1):
        with pytest.raises(InputError, match=f"{threads} threads; at least one reads. Nothing was read"):
            store.scan(threads=threads)
    assert b"".join(map(bytes, store.scan(threads=1 << 70))) == one_by_one(store, 0, 4)


def test_adjacent_slots_are_read_together(tmp_path: Path, keys: StaticKeys) -> None:
    """One read for a run of slots; none for holes, and none for an empty range."""
    file = CountedFile(OsBlockFile.create(tmp_path / "s"))
    with PageStore.create(file, name="s", keys=keys, page_size=PAGE_BYTES) as store:
        store.commit({number: page(number) for number in range(2 * STEP)}, page_count=3 * STEP)
        store.checkpoint()
        range_of(store, 0, 1)
        for first, count, reads in ((0, STEP, 1), (0, 2 * STEP, 2), (2 * STEP, STEP, 0), (7, 0, 0)):
            before = file.calls["read"]
            range_of(store, first, count)
            assert file.calls["read"] - before == reads


@pytest.mark.parametrize("threads", [1, 2])
def test_a_piece_lasts_until_the_next(store: PageStore, threads: int) -> None:
    """Nothing is left of any once the scan is closed."""
    store.commit({number: page(number + 1) for number in range(4 * STEP)})
    scan = store.scan(threads=threads)
    parts = []
    for number in range(3):
        piece = next(scan)
        assert piece.readonly
        parts.append(piece[:8])
        assert bytes(parts[-1]) == page(number * STEP + 1)[:8]
    scan.close()
    assert [bytes(part) for part in parts] == [bytes(8)] * 3


@pytest.mark.parametrize("ask", [lambda store, first, count: range_of(store, first, count), PageStore.scan])
def test_a_range_beyond_the_end_is_refused(store: PageStore, ask: Callable[[PageStore, int, int], object]) -> None:
    store.commit({0: page(1), 3: page(2)})
    for first, count in ((0, 5), (4, 1), (5, 0), (-1, 2)):
        with pytest.raises(PageRangeError, match=f"pages {first} to {first + count - 1} of 4; nothing was read"):
            ask(store, first, count)


def test_a_buffer_of_part_of_a_page_is_refused(store: PageStore) -> None:
    store.commit({0: page(1)})
    buffer = bytearray(b"x" * (PAGE_BYTES - 1))
    with pytest.raises(InputError, match="a buffer of 4095 bytes; whole pages of 4096 are read"):
        store.read_range_into(0, buffer)
    assert buffer == b"x" * (PAGE_BYTES - 1)


def test_damage_names_the_page(store: PageStore, tmp_path: Path) -> None:
    """And it latches; the pages around it stay readable, in a range too."""
    store.commit({number: page(number) for number in range(STEP + 50)})
    slot = entry_slot(store._state.pages.entry(STEP + 20))
    with (tmp_path / "s").open("r+b") as raw:
        raw.seek(slot * PAGE_BYTES + 77)
        byte = raw.read(1)[0]
        raw.seek(slot * PAGE_BYTES + 77)
        raw.write(bytes([byte ^ 4]))
    buffer = bytearray(b"\xff" * (40 * PAGE_BYTES))
    with pytest.raises(StoreDamagedError, match=f"the tag of slot {slot} does not match") as caught:
        store.read_range_into(STEP, buffer)
    assert (caught.value.part, caught.value.number) == ("page", STEP + 20)
    assert page(STEP + 20) not in buffer
    for threads in (1, 2):
        with pytest.raises(StoreDamagedError) as caught:
            list(store.scan(threads=threads))
        assert caught.value.number == STEP + 20
    with pytest.raises(StoreDamagedError) as caught:
        store.read(STEP + 20)
    assert caught.value.number == STEP + 20
    with pytest.raises(StoreDamagedError):
        store.commit({0: page(9)})
    assert range_of(store, 0, STEP + 20) == one_by_one(store, 0, STEP + 20)
    assert range_of(store, STEP + 21, 29) == one_by_one(store, STEP + 21, 29)


def test_a_file_that_ends_early_is_damage(store: PageStore, tmp_path: Path) -> None:
    store.commit({number: page(number) for number in range(4)})
    slot = entry_slot(store._state.pages.entry(2))
    with (tmp_path / "s").open("r+b") as raw:
        raw.truncate(slot * PAGE_BYTES + 100)
    with pytest.raises(StoreDamagedError, match="the file ends before its slot") as caught:
        range_of(store, 0, 4)
    assert caught.value.number == 2
    with pytest.raises(StoreDamagedError, match="page 2 is damaged: the file ends before its slot"):
        store.read_many([1, 0, 3, 2])
    assert store.read_many([1, 0]) == [page(1), page(0)]
    store._life.damage = caught.value  # the close writes nothing


def test_a_destroyed_key_is_told(store: PageStore, keys: StaticKeys) -> None:
    store.commit({number: page(number) for number in range(4)})
    keys.rotate()
    store.commit({9: page(9)})
    assert range_of(store, 0, 10) == one_by_one(store, 0, 10)
    del keys.keys[1]
    store.forget_data_key(1)
    with pytest.raises(WrongKeyError):
        range_of(store, 0, 10)
    assert range_of(store, 4, 6) == bytes(5 * PAGE_BYTES) + page(9)
    assert store._life.damage is None


@pytest.mark.parametrize("threads", [1, 2])
def test_a_closed_store_ends_a_scan(store: PageStore, threads: int) -> None:
    store.commit({number: page(number + 1) for number in range(2 * STEP)})
    scan = store.scan(threads=threads)
    piece = next(scan)
    assert bytes(piece[:PAGE_BYTES]) == page(1)
    store.close()
    assert bytes(piece) == bytes(READ_BYTES)
    with pytest.raises(StoreClosedError):
        next(scan)
    with pytest.raises(StoreClosedError):
        store.scan()
    with pytest.raises(StoreClosedError):
        store.read_range_into(0, bytearray(PAGE_BYTES))


@pytest.mark.parametrize("threads", [1, 2])
def test_a_piece_is_released_by_the_next(store: PageStore, threads: int) -> None:
    store.commit({number: page(number + 1) for number in range(2 * STEP)})
    scan = store.scan(threads=threads)
    first, second = next(scan), next(scan)
    with pytest.raises(ValueError, match="released"):
        first[0]
    assert second[7] == (STEP + 1) % 256


@pytest.mark.parametrize("threads", [1, 2])
def test_the_last_piece_of_a_closed_store_is_no_end(store: PageStore, threads: int) -> None:
    """Who was lent it may have seen zeros."""
    store.commit({0: page(1)})
    scan = store.scan(threads=threads)
    piece = next(scan)
    store.close()
    assert bytes(piece) == bytes(PAGE_BYTES)
    with pytest.raises(StoreClosedError):
        next(scan)


@pytest.mark.parametrize("threads", [1, 2])
def test_a_store_closed_before_a_piece_is_lent_lends_no_zeros(
    store: PageStore, monkeypatch: pytest.MonkeyPatch, threads: int
) -> None:
    """By another thread, when the piece is there, or what comes after it is being read already."""
    store.commit({number: page(number + 1) for number in range(2 * STEP)})
    scan = store.scan(threads=threads)
    step = "begin" if threads > 1 else "read_into"
    act = getattr(store._ranges, step)

    def and_close(*args: object) -> object:
        done = act(*args)
        store.close()
        return done

    monkeypatch.setattr(store._ranges, step, and_close)
    with pytest.raises(StoreClosedError):
        next(scan)


@pytest.mark.parametrize("threads", [1, 2])
def test_a_scan_meets_a_cut(store: PageStore, threads: int) -> None:
    store.commit({number: page(number + 1) for number in range(3 * STEP)})
    scan = store.scan(threads=threads)
    next(scan)
    store.commit(page_count=STEP + 1)
    with pytest.raises(PageRangeError):
        list(scan)


@pytest.mark.parametrize("threads", [1, 2])
def test_a_scan_follows_a_writer(store: PageStore, threads: int) -> None:
    """Pages that were moved, and whose slots were used again, since they were looked up."""
    numbers = range(3 * STEP)
    store.commit({number: page(number) for number in numbers})
    found = []
    for piece in store.scan(threads=threads):
        found += [int.from_bytes(piece[at : at + 8], "big") for at in range(0, len(piece), PAGE_BYTES)]
        for value in range(3):
            store.commit({number: page(number + 1000 * value) for number in numbers})
            store.checkpoint()
    assert [value % 1000 for value in found] == list(numbers)
    assert store._life.damage is None


def test_a_page_moved_under_a_reader_is_followed(store: PageStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what changed is read anew, and what was not opened yet."""
    store.commit({number: page(number) for number in range(STEP)})
    store.checkpoint()
    state, look_up = store._state, store._state.pages.range
    former, slots = [look_up(0, STEP)], [entry_slot(state.pages.entry(number)) for number in range(40, 50)]
    store.commit({number: page(1000 + number) for number in range(40, 50)})
    for slot in slots:
        state.file.write(slot * PAGE_BYTES, page(0))
    monkeypatch.setattr(state.pages, "range", lambda first, count: former.pop() if former else look_up(first, count))
    assert range_of(store, 0, STEP) == one_by_one(store, 0, STEP)
    assert former == []
    assert store._life.damage is None


def test_the_children_of_a_fork_cannot_read(store: PageStore) -> None:
    store.commit({number: page(number) for number in range(2 * STEP)})
    scan = store.scan(threads=2)
    next(scan)
    child = os.fork()
    if not child:
        refused = 0
        for ask in (lambda: store.read_range_into(0, bytearray(PAGE_BYTES)), lambda: next(scan), lambda: store.scan()):
            try:
                ask()
            except StoreForkedError:
                refused += 1
        os._exit(refused)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3
    assert [len(piece) for piece in scan] == [READ_BYTES]


def test_a_disk_that_does_not_read_is_told(store: PageStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the descriptor and by the file alike; nothing is taken for damage."""
    store.commit({number: page(number) for number in range(4)})
    file: Any = store._state.file._file
    bad = os.open("/dev/null", os.O_WRONLY)
    monkeypatch.setattr(getattr(file, "file", file), "_fd", bad)
    slots = store._opener._slots
    monkeypatch.setattr(store._opener, "_slots", slots and KERNEL.slot_reader(bad, PAGE_BYTES))
    for ask in (lambda: store.read(1), lambda: range_of(store, 0, 4), lambda: list(store.scan(threads=2))):
        with pytest.raises(StoreIOError, match=r"reading .* failed \(Bad file descriptor\). Nothing was changed"):
            ask()
    monkeypatch.undo()
    os.close(bad)
    assert store._life.damage is None
    assert range_of(store, 0, 4) == one_by_one(store, 0, 4)
