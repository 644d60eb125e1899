"""What a store says of its space, and how many bytes it writes for what is committed."""

from pathlib import Path
from random import Random

import pytest

from keystore.format import layout
from keystore.pages.blockfile import OsBlockFile
from keystore.pages.store import PageStore
from tests.pages.stores import CountedFile, StaticKeys, each_commit_marked
from tests.pages.test_compact import PAGE, filled, page_of


def test_slots_add_up_and_bytes_are_those_of_the_file(tmp_path: Path) -> None:
    keys, path = StaticKeys(), tmp_path / "s"
    filled(path, keys, 1000).close()
    with PageStore.open(path, name="s", keys=keys) as store:
        opened = store.stats()
        assert (opened.committed_bytes, opened.write_amplification) == (0, None)
        assert opened.logical_bytes == 1000 * PAGE
        assert opened.file_bytes == path.stat().st_size
        store.commit(dict.fromkeys(range(900)), byte_length=123)
        store.checkpoint()
        held = store.stats()
        store.commit({999: page_of(1)})
        for _ in range(2):
            store.checkpoint()
            store.commit({999: page_of(2)})
        freed = store.stats()
        assert held.logical_bytes == 123
        assert held.held_slots >= 900
        assert freed.free_slots - opened.free_slots > 800
        for stats in (opened, held, freed):
            slots = stats.live_slots + stats.held_slots + stats.free_slots
            assert slots + layout.first_slot(PAGE) == stats.file_bytes // PAGE


@pytest.mark.parametrize(
    ("pages", "commits", "low", "high"),
    [
        pytest.param(1, 300, 2.12, 2.5, id="one random page: its record, the watermark, its part of the map"),
        pytest.param(64, 40, 1.01, 1.1, id="64 random pages share one record"),
    ],
)
def test_write_amplification_is_counted_and_bounded(
    pages: int, commits: int, low: float, high: float, tmp_path: Path
) -> None:
    keys, path, random = StaticKeys(), tmp_path / "s", Random(1)
    filled(path, keys, 2000).close()

    file = CountedFile(OsBlockFile.open(path))
    with PageStore.open(file, name="s", keys=keys) as store, each_commit_marked():
        before = store.stats()
        for turn in range(commits):
            store.commit({number: page_of(turn) for number in random.sample(range(2000), pages)})
        store.checkpoint()
        after = store.stats()
        assert after.written_bytes == file.bytes["write"]
        assert after.committed_bytes == commits * pages * PAGE
        assert low <= (after.written_bytes - before.written_bytes) / after.committed_bytes <= high
