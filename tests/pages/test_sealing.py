"""How the pages of a commit get to the disk: in batches, the writing begun while the next is sealed."""

from pathlib import Path
from random import Random

import pytest

from keystore.pages import scratch
from keystore.pages.blockfile import OsBlockFile
from keystore.pages.protocols import Buffer
from keystore.pages.scratch import BATCH_BYTES, KEPT_MAX
from keystore.pages.sealing import EARLY_BYTES
from keystore.pages.store import PageStore
from keystore.pages.volumefile import VolumeFile
from tests.pages.stores import CountedFile, StaticKeys, each_commit_marked
from tests.pages.test_volumefile import RamFile, layered

PAGE = 16384


class TracedFile(CountedFile):
    """Keeps the order of what is written, begun early, and synced."""

    def __init__(self, path: Path) -> None:
        super().__init__(OsBlockFile.create(path))
        self.trace: list[tuple[str, int, int]] = []

    def write(self, offset: int, data: Buffer) -> None:
        self.trace.append(("write", offset, len(data)))
        super().write(offset, data)

    def begin_writing(self, offset: int, length: int) -> None:
        self.trace.append(("begin", offset, length))

    def sync(self) -> None:
        self.trace.append(("sync", 0, 0))
        super().sync()


@pytest.fixture
def file(tmp_path: Path) -> TracedFile:
    return TracedFile(tmp_path / "s")


def new(file: TracedFile) -> PageStore:
    return PageStore.create(file, name="s", keys=StaticKeys(), page_size=PAGE)


def test_a_large_commit_is_begun_batch_by_batch_and_synced_once(file: TracedFile) -> None:
    pages = {number: bytes([number % 251]) * PAGE for number in range(256)}
    with new(file) as store:
        for _ in range(4):  # until slots that were used come again
            store.commit(pages)
            store.checkpoint()
        file.trace.clear()
        with each_commit_marked():
            store.commit(dict.fromkeys(range(256), b"x" * PAGE))
        kinds = [kind for kind, _, _ in file.trace]
        assert kinds.count("sync") == 1
        assert kinds.index("sync") == len(kinds) - 2, "only the watermark comes later"
        assert kinds.count("begin") == 17, "16 batches, and at last whatever is left"
        batches = [(offset, length) for kind, offset, length in file.trace if kind == "begin" and length]
        assert sum(length for _, length in batches) == 256 * PAGE
        assert all(EARLY_BYTES <= length <= BATCH_BYTES for _, length in batches)
        for offset, length in batches:
            assert file.trace[file.trace.index(("begin", offset, length)) - 1] == ("write", offset, length)
        assert store.read_many(range(256)) == [b"x" * PAGE] * 256


def test_a_small_commit_is_begun_once_behind_its_record_and_synced(file: TracedFile) -> None:
    with new(file) as store:
        store.commit({0: bytes(PAGE)})
        for number in range(5):
            file.trace.clear()
            store.commit({number: bytes(PAGE), number + 1: bytes(PAGE)})
            kinds = [kind for kind, _, _ in file.trace if kind != "write"]
            assert kinds == ["begin", "sync"]
            assert file.trace[file.trace.index(("begin", 0, 0)) - 1][::2] == ("write", 4096), "its record"


def test_the_volume_layer_passes_on_what_is_begun(file: TracedFile) -> None:
    under_layer: VolumeFile = layered(file)
    file.extend(1 << 20)
    under_layer.begin_writing(4096, 65536)
    assert file.trace == [("begin", 4096, 65536)]
    layered(RamFile()).begin_writing(0, 4096)  # a file that has no way to: nothing happens


def test_what_is_begun_is_what_was_written(tmp_path: Path) -> None:
    """On a real file too; whether the system does it nobody can see, but that it changes nothing."""
    file = OsBlockFile.create(tmp_path / "f")
    file.extend(1 << 20)
    file.write(4096, b"a" * 8192)
    file.begin_writing(4096, 8192)
    file.begin_writing(1 << 40, 4096)
    file.sync()
    found = bytearray(16384)
    file.read(0, memoryview(found))
    file.close()
    assert found == bytes(4096) + b"a" * 8192 + bytes(4096)


def test_no_page_in_clear_lies_in_the_buffers_that_stay(file: TracedFile) -> None:
    random, mark = Random(1), b"in clear" * 2
    with new(file) as store:
        store.commit({number: mark + random.randbytes(PAGE - 16) for number in range(40)})
    assert scratch._FREE
    assert not any(mark in bytes(buffer) for buffer in scratch._FREE)


def test_buffers_that_stay_are_bounded() -> None:
    taken = [scratch.take() for _ in range(3 * KEPT_MAX)]
    assert len({id(buffer) for buffer in taken}) == len(taken)
    for buffer in taken:
        scratch.give_back(buffer)
    assert len(scratch._FREE) == KEPT_MAX


@pytest.mark.parametrize("size", [1, 8, 9, 300])
def test_what_a_commit_replaces_is_found_among_recent_and_folded_pages(file: TracedFile, size: int) -> None:
    with new(file) as store:
        store.commit({number: bytes(PAGE) for number in range(0, 500, 2)})
        store.checkpoint()
        store.commit(dict.fromkeys(range(0, 500, 6), b"r" * PAGE) | {3: None, 4: None})
        pages, chosen = store._state.pages, sorted(Random(size).sample(range(600), size))
        assert pages.entries(chosen) == [pages.entry(number) for number in chosen]
