"""A store of any size gets shorter in bounded memory."""

from pathlib import Path

import pytest

from keystore.errors import InputError
from keystore.pages import commit, writer
from keystore.pages.file import EncryptedFile
from keystore.pages.store import PageStore
from tests.pages.stores import StaticKeys
from tests.pages.test_compact import PAGE, filled, page_of

CUT_MAX = 150


@pytest.fixture(autouse=True)
def _small_cuts(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (commit, writer):
        monkeypatch.setattr(module, "CUT_PAGES_MAX", CUT_MAX)


@pytest.mark.parametrize("end", [0, 1, 101, 102, 103, 700, 999])
def test_what_is_too_much_for_one_commit_goes_in_several(end: int, tmp_path: Path) -> None:
    keys = StaticKeys()
    with filled(tmp_path / "s", keys, 1000) as store:
        store.commit(dict.fromkeys(range(300, 500)))
        store.commit({200_000: page_of(1)})
        before, there = store.sequence, 801 - min(end, 300) - max(0, end - 500)
        if there > CUT_MAX:
            with pytest.raises(InputError, match="more than 150 pages"):
                store.commit(page_count=end)
            assert (store.sequence, store.page_count) == (before, 200_001)
        last = {0: page_of(77)} if end else {}
        store.cut(end, byte_length=5, last=last)
        assert (store.page_count, store.byte_length) == (end, 5)
        assert store.sequence - before == max(1, -(-there // CUT_MAX))
        assert store.verify().damaged == []
    with PageStore.open(tmp_path / "s", name="s", keys=keys) as store:
        kept = [number for number in range(1, end) if not 300 <= number < 500]
        assert store.read_many(kept) == [page_of(number) for number in kept]
        assert all(store.read(0) == page for page in last.values())


def test_a_file_is_cut_the_same_way(tmp_path: Path) -> None:
    with filled(tmp_path / "s", StaticKeys(), 1000) as store:
        store.commit(byte_length=1000 * PAGE)
        with EncryptedFile(store) as file:
            file.truncate(3 * PAGE + 10)
            file.seek(0)
            assert file.read() == b"".join(page_of(number) for number in range(3)) + page_of(3)[:10]
        assert store.page_count == 4
