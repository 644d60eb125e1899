"""When the watermark is written, and what a killed store can tell where it is behind (docs/FORMAT.md, F-26)."""

import time
from pathlib import Path

import pytest

from keystore.errors import StoreDamagedError, StoreRolledBackError
from keystore.format import layout
from keystore.pages.blockfile import OsBlockFile
from keystore.pages.log import WATERMARK_S
from keystore.pages.protocols import Buffer
from keystore.pages.store import PageStore
from tests.pages.stores import CountedFile, MemoryAnchor, StaticKeys

PAGE = 4096


class Clock:
    """A monotonic clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


class MarkedFile(CountedFile):
    """Notes which sequence each watermark named, and what was synced and written as a header meanwhile."""

    def __init__(self, path: Path) -> None:
        super().__init__(OsBlockFile.create(path))
        self.trace: list[int | str] = []

    def write(self, offset: int, data: Buffer) -> None:
        if offset == layout.WATERMARK_OFFSET:
            self.trace.append(int.from_bytes(bytes(data[40:48]), "little"))
        elif offset in layout.HEADER_OFFSETS:
            self.trace.append("header")
        super().write(offset, data)

    def sync(self) -> None:
        self.trace.append("sync")
        super().sync()

    @property
    def marks(self) -> list[int]:
        return [mark for mark in self.trace if isinstance(mark, int)]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(time, "monotonic", clock)
    return clock


def page(number: int) -> bytes:
    return bytes([number]) * PAGE


def test_a_commit_writes_it_unless_another_did_just_before(tmp_path: Path, clock: Clock) -> None:
    file = MarkedFile(tmp_path / "s")
    with PageStore.create(file, name="s", keys=StaticKeys(), page_size=PAGE) as store:
        file.trace.clear()
        for number in range(1, 6):
            store.commit({number: page(number)})
        assert file.marks == [1], "the first after the opening"
        clock.now_s += WATERMARK_S
        store.commit({6: page(6)})
        clock.now_s += WATERMARK_S / 2
        store.commit({7: page(7)})
        assert file.marks == [1, 6]
        clock.now_s += WATERMARK_S
        store.commit({8: page(8)})
        assert file.marks == [1, 6, 8]


def test_a_checkpoint_brings_it_forward_before_the_header(tmp_path: Path, clock: Clock) -> None:
    file = MarkedFile(tmp_path / "s")
    store = PageStore.create(file, name="s", keys=StaticKeys(), page_size=PAGE)
    for number in range(3):
        store.commit({number: page(number)})
    file.trace.clear()
    store.checkpoint()
    assert file.trace == [3, "sync", "header", "sync"]
    store.commit({1: page(9)})
    store.commit({1: page(10)})
    file.trace.clear()
    store.close()
    assert file.trace == [5, "sync", "header", "sync"]


class Killed:
    """A store that was killed after three commits of one moment: the watermark names the first."""

    def __init__(self, place: Path, anchor: MemoryAnchor | None) -> None:
        self.path, self.keys, self.anchor = place / "s", StaticKeys(), anchor
        store = PageStore.create(self.path, name="s", keys=self.keys, page_size=PAGE, anchor=anchor)
        self.record_places, self.page_slots = [], []
        for number in range(3):
            self.record_places.append(store._state.next_place)
            store.commit({number: page(number + 1)})
            self.page_slots.append(int.from_bytes(store._state.pages.entry(number)[:8], "little"))
        assert store._state.watermark == 1
        store._state.file.close()

    def rot(self, offset: int) -> None:
        data = bytearray(self.path.read_bytes())
        data[offset] ^= 1
        self.path.write_bytes(data)

    def open(self) -> PageStore:
        return PageStore.open(self.path, name="s", keys=self.keys, anchor=self.anchor)


@pytest.fixture
def killed(tmp_path: Path, clock: Clock) -> Killed:
    return Killed(tmp_path, None)


@pytest.fixture
def anchored(tmp_path: Path, clock: Clock) -> Killed:
    return Killed(tmp_path, MemoryAnchor())


def test_what_is_beyond_it_is_there_after_a_kill(killed: Killed) -> None:
    with killed.open() as store:
        assert (store.sequence, store.read_many([0, 1, 2])) == (3, [page(1), page(2), page(3)])


def test_a_record_that_is_damaged_is_told_by_the_one_behind_it(killed: Killed) -> None:
    killed.rot(killed.record_places[1] * layout.BLOCK_BYTES + 150)
    with pytest.raises(StoreDamagedError, match="record 3 follows it"):
        killed.open()


def test_what_it_names_is_told_without_one_behind_it(killed: Killed) -> None:
    for place in killed.record_places:
        killed.rot(place * layout.BLOCK_BYTES + 150)
    with pytest.raises(StoreDamagedError, match="commit 1 was acknowledged"):
        killed.open()


@pytest.mark.parametrize("lost", [(2,), (1, 2)], ids=["the last record", "the last two"])
def test_beyond_it_a_damaged_end_is_not_told_without_an_anchor(killed: Killed, lost: tuple[int, ...]) -> None:
    """The limit that F-26 states: whole commits are missing, and what is left is right."""
    for number in lost:
        killed.rot(killed.record_places[number] * layout.BLOCK_BYTES + 150)
    with killed.open() as store:
        there = 3 - len(lost)
        assert (store.sequence, store.page_count) == (there, there)
        assert store.read_many(range(there)) == [page(number + 1) for number in range(there)]
        assert store.verify().ok


@pytest.mark.parametrize("lost", [(2,), (1, 2)], ids=["the last record", "the last two"])
def test_an_anchor_tells_it(anchored: Killed, lost: tuple[int, ...]) -> None:
    for number in lost:
        anchored.rot(anchored.record_places[number] * layout.BLOCK_BYTES + 150)
    with pytest.raises(StoreRolledBackError, match="commit 3 was acknowledged"):
        anchored.open()


def test_a_damaged_page_of_the_last_commit_takes_it_along_without_an_anchor(killed: Killed) -> None:
    killed.rot(killed.page_slots[2] * PAGE + 17)
    with killed.open() as store:
        assert (store.sequence, store.page_count) == (2, 2)


def test_with_one_it_is_that_page_alone(anchored: Killed) -> None:
    anchored.rot(anchored.page_slots[2] * PAGE + 17)
    with anchored.open() as store:
        assert (store.sequence, store.read(1)) == (3, page(2))
        with pytest.raises(StoreDamagedError, match="page 2 is damaged"):
            store.read(2)
