"""A store with a damaged page: its snapshot fails, by name, and none is left that would not restore."""

import os
from pathlib import Path

import pytest

from keystore.errors import StoreDamagedError
from keystore.node.directory import Node
from keystore.node.snapshotting import snapshot
from keystore.objects.directory import DirectoryPlace
from keystore.snapshots.listing import list_snapshots

PAGE_SIZE = 4096


def damage_page(node: Node, database: str, name: str, at: int) -> int:
    """Flip one bit of the page that comes `at` in its store; return its number."""
    with node.open_store(database, name) as store, store.pin() as pin:
        batches = list(pin.sealed())
        places = [
            (int(page_no), int(slot))
            for batch in batches
            for page_no, slot in zip(batch.page_nos, batch.entries["slot"], strict=True)
        ]
    (path,) = (node.directory / "databases" / node.databases[database].database_id.hex()).glob("*.store")
    page_no, slot = places[at]
    with path.open("r+b") as file:
        file.seek(slot * PAGE_SIZE + 100)
        byte = file.read(1)[0]
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte ^ 1]))
    return page_no


@pytest.mark.parametrize("at", [0, 5, -1])
def test_a_damaged_page_fails_the_snapshot(node: Node, target: DirectoryPlace, tmp_path: Path, at: int) -> None:
    """S-2"""
    (tmp_path / "source").write_bytes(os.urandom(11 * PAGE_SIZE))
    for database in ("good", "bad"):
        node.import_file(database, "file", tmp_path / "source", page_size=PAGE_SIZE)
    page_no = damage_page(node, "bad", "file", at)
    with pytest.raises(StoreDamagedError) as caught:
        snapshot(node, target)
    assert (caught.value.store, caught.value.part, caught.value.number) == ("bad/file", "page", page_no)
    assert list_snapshots(target) == []
    node.drop_file("bad", "file")
    assert snapshot(node, target).pages == 11
