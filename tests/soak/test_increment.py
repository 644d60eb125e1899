"""An increment of a store of 1 GiB after scattered changes, in bytes that it puts into the place of snapshots."""

from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from keystore.kms.connect import connector
from keystore.kms.local import create_key_file
from keystore.node.directory import Node
from keystore.node.restoring import restore
from keystore.node.snapshotting import snapshot
from keystore.objects.directory import DirectoryPlace

pytestmark = pytest.mark.soak

PAGE = 16384
PAGES = (1 << 30) // PAGE
STEP = 512


def test_one_percent_of_a_gibibyte(tmp_path: Path, tell: Callable[[str], None]) -> None:
    create_key_file(tmp_path / "cmk")
    connect, random = connector(), Random(1)
    target, known = DirectoryPlace(tmp_path / "snapshots"), {}
    with Node.init(tmp_path / "node", f"local://{tmp_path / 'cmk'}", connect) as node:
        with node.create_store("d", "f", PAGE) as store:
            for first in range(0, PAGES, STEP):
                store.commit({number: page_of(number) for number in range(first, first + STEP)})
            full = snapshot(node, target)
            known = {number: random.randbytes(PAGE) for number in random.sample(range(PAGES), PAGES // 100)}
            store.commit(dict(known))
            before = stored(target)
            made = snapshot(node, target)
        share = (stored(target) - before) / (PAGES * PAGE)
        tell(f"1 % of 1 GiB changed, in pages of 16 KiB: an increment writes {share:.2%}")
        assert (made.parent, made.pages) == (full.snapshot_id, PAGES)
        assert share < 0.017
    restore(target, made.snapshot_id, tmp_path / "restored", connect)
    with Node.open(tmp_path / "restored", connect) as restored, restored.open_store("d", "f") as store:
        for first in range(0, PAGES, STEP):
            pages = store.read_many(range(first, first + STEP))
            assert pages == [known.get(number, page_of(number)) for number in range(first, first + STEP)]


def page_of(number: int) -> bytes:
    return number.to_bytes(8, "little") * (PAGE // 8)


def stored(target: DirectoryPlace) -> int:
    return sum(named.byte_length for named in target.names())
