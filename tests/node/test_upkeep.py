"""Looking after the stores of a node: figures, and space given back, over all files or those of one database."""

import os
from pathlib import Path

import pytest

from keystore.errors import NameUnknownError
from keystore.node.directory import Node

PAGE_SIZE = 4096


@pytest.fixture
def emptied(node: Node, tmp_path: Path) -> Node:
    """Three files in two databases, each of which was 100 pages long and has 10 of them left."""
    source = tmp_path / "source"
    source.write_bytes(os.urandom(100 * PAGE_SIZE))
    for database, name in (("d", "b"), ("d", "a"), ("e", "c")):
        node.import_file(database, name, source, page_size=PAGE_SIZE)
        with node.using_store(database, name) as store:
            store.commit(page_count=10, byte_length=10 * PAGE_SIZE)
    return node


def test_compacting_tells_one_progress_in_bytes_over_all_files(emptied: Node) -> None:
    before = {(file.database, file.name): file.stats for file in emptied.upkeep.stats()}
    assert list(before) == [("d", "a"), ("d", "b"), ("e", "c")]
    seen: list[tuple[int, int]] = []
    done = emptied.upkeep.compact(progress=lambda done, total: seen.append((done, total)))
    assert [(item.database, item.name) for item in done] == list(before)
    reports = [item.report for item in done if item.report is not None]
    assert [report.bytes_before for report in reports] == [stats.file_bytes for stats in before.values()]
    assert len({total for _, total in seen}) == 1
    assert seen[-1][0] == seen[-1][1] >= 300 * PAGE_SIZE
    for report, file in zip(reports, emptied.upkeep.stats(), strict=True):
        assert report.bytes_before > report.bytes_after == file.stats.file_bytes
        assert file.stats.logical_bytes == 10 * PAGE_SIZE


def test_one_database_is_chosen_by_name(emptied: Node) -> None:
    assert [(file.database, file.name) for file in emptied.upkeep.stats("e")] == [("e", "c")]
    assert [item.name for item in emptied.upkeep.compact("d")] == ["a", "b"]
    reports = [item.report for item in emptied.upkeep.compact() if item.report is not None]
    assert [report.given_back > 0 for report in reports] == [False, False, True]
    for act in (emptied.upkeep.stats, emptied.upkeep.compact):
        with pytest.raises(NameUnknownError):
            act("nobody")
