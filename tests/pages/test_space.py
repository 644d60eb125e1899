"""How a store takes room: what small commits grow by, that slots come in runs, and that the file stays bounded."""

import os
from pathlib import Path

import pytest

from keystore.errors import StoreDamagedError
from keystore.format import layout
from keystore.format.entry import entry_slot
from keystore.pages import writer
from keystore.pages.blockfile import OsBlockFile
from keystore.pages.space import GROW_BYTES_MIN, GROW_WRITTEN_BYTES
from keystore.pages.store import PageStore
from tests.pages.stores import CountedFile, StaticKeys

PAGE = 16384


class GrowingFile(CountedFile):
    """Keeps how it grew: by how many bytes, and whether they were written."""

    def __init__(self, path: Path) -> None:
        super().__init__(OsBlockFile.create(path))
        self.growths: list[tuple[int, bool]] = []

    def extend(self, size: int, *, written: bool = False) -> None:
        self.growths.append((size - self.size(), written))
        super().extend(size, written=written)


def new(file: CountedFile) -> PageStore:
    return PageStore.create(file, name="s", keys=StaticKeys(), page_size=PAGE)


def test_a_small_commit_grows_the_file_by_written_zeros_and_a_large_one_does_not(tmp_path: Path) -> None:
    file = GrowingFile(tmp_path / "s")
    with new(file) as store:
        file.growths.clear()
        for number in range(200):
            store.commit({number: bytes(PAGE)})
        small = file.growths
        assert len(small) >= 3
        assert set(small) == {(GROW_BYTES_MIN, True)}
        file.growths = []
        pages = GROW_WRITTEN_BYTES // PAGE + 1
        for _ in range(40):
            store.commit(dict.fromkeys(range(pages), bytes(PAGE)))
        assert True not in {written for _, written in file.growths}
        assert all(size >= GROW_BYTES_MIN for size, _ in file.growths)


def test_written_zeros_are_zeros_on_the_disk_with_blocks_of_their_own(tmp_path: Path) -> None:
    file = OsBlockFile.create(tmp_path / "s")
    file.extend(1 << 20)
    file.extend(3 << 20, written=True)
    file.extend(2 << 20, written=True)
    file.close()
    assert (tmp_path / "s").read_bytes() == bytes(3 << 20)
    assert (tmp_path / "s").stat().st_blocks * 512 >= 3 << 20


def test_pages_of_a_commit_are_written_together(tmp_path: Path) -> None:
    file = CountedFile(OsBlockFile.create(tmp_path / "s"))
    with new(file) as store:
        for number in range(10):  # holes between what lives on
            store.commit({number: bytes(PAGE), 100: bytes(PAGE)})
        store.commit(dict.fromkeys(range(16), bytes(PAGE)))
        file.calls.clear()
        store.commit(dict.fromkeys(range(16), bytes(PAGE)))
        assert file.calls["write"] <= 4


def test_rewriting_does_not_grow_the_file_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody asks for a checkpoint, and the records alone would allow 4096 commits before one."""
    monkeypatch.setattr(writer, "CHECKPOINT_DEAD_BYTES", 64 * PAGE)
    with new(CountedFile(OsBlockFile.create(tmp_path / "s"))) as store:
        sizes = []
        for _ in range(4):
            for _ in range(40):
                store.commit(dict.fromkeys(range(16), bytes(PAGE)))
            sizes.append(store.stats().file_bytes)
        assert sizes[-1] == sizes[1]
        assert sizes[-1] <= (16 + 4 * 64) * PAGE + 2 * GROW_BYTES_MIN
        assert store.verify().ok


@pytest.mark.parametrize("surplus", [0, 1])
def test_a_damaged_block_of_the_slot_map_refuses_a_commit_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, surplus: int
) -> None:
    """Also where the file had one slot more than these blocks have, which no header names: an opening cuts it."""
    monkeypatch.setattr(layout, "slots_per_block", lambda page_size: 256)
    keys, path, size = StaticKeys(), tmp_path / "s", 3 * 256
    with PageStore.create(path, name="s", keys=keys, page_size=PAGE) as store:
        store.commit({number: bytes(PAGE) for number in range(600)})
        state = store._state
        places = [entry_slot(state.pages.entry(number)) // 256 for number in range(600)]
        assert set(places) == {0, 1, 2}
        assert state.space.slots.slot_count < size
    os.truncate(path, (size + surplus) * PAGE)
    file = CountedFile(OsBlockFile.open(path))
    with PageStore.open(file, name="s", keys=keys) as store:
        state, slots = store._state, store._state.space.slots
        assert slots.slot_count == size - (not surplus)
        (unread,) = {0, 1, 2} - slots._used.keys()
        file.write(entry_slot(state.slots_tree.entry(0, unread)) * PAGE, b"#" * PAGE)
        before = store.sequence, file.calls["write"]
        with pytest.raises(StoreDamagedError, match="slot map"):
            store.commit({places.index(unread): b"n" * PAGE})
        assert (store.sequence, file.calls["write"]) == before
        store.commit({places.index((unread + 1) % 3): b"n" * PAGE})
        assert store.read(places.index(unread)) == bytes(PAGE)
