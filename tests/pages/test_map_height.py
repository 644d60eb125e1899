"""The page map gains and loses levels without leaving anything behind."""

from pathlib import Path

import pytest

from keystore.pages.store import PageStore
from tests.pages.stores import StaticKeys

HEIGHT_ENDS = (1, 102, 102**2, 102**3)
"""Numbers of 4 KiB pages that one more level begins after."""


@pytest.mark.parametrize("before", HEIGHT_ENDS)
@pytest.mark.parametrize("after", HEIGHT_ENDS)
def test_every_change_of_height_keeps_map_and_slots_in_step(before: int, after: int, tmp_path: Path) -> None:
    page = bytes(range(256)) * 16
    with PageStore.create(tmp_path / "s", name="s", keys=StaticKeys(), page_size=4096) as store:
        for end in (before, after, before):
            store.commit({0: page, end: page}, page_count=end + 1)
            store.checkpoint()
            report = store.verify()
            assert (report.damaged, report.pages, report.holes) == ([], len({0, end}), end + 1 - len({0, end}))
            store.commit(page_count=1)
            assert store.verify().damaged == []
        store.commit(page_count=0)
        assert (store.verify().damaged, store.page_count) == ([], 0)
