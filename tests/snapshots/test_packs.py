"""Packs with damage: the page is named, and what refuses early asks no KMS; attacks are in tests/attacks."""

from collections.abc import Callable
from pathlib import Path

import pytest

from keystore.errors import SnapshotDamagedError
from keystore.format.pack import HEADER_BYTES
from keystore.node.restoring import restore
from keystore.objects.directory import DirectoryPlace
from keystore.snapshots.opened import open_snapshot
from tests.snapshots.conftest import CountingConnector, Taken, leftovers

PAGE = 4096


@pytest.fixture
def refused(target: DirectoryPlace, connect: CountingConnector, tmp_path: Path) -> Callable[[Taken, str], None]:
    """Assert that a restore finds the damage and leaves nothing."""

    def check(taken: Taken, match: str) -> None:
        with pytest.raises(SnapshotDamagedError, match=match):
            restore(target, taken.snapshot_id, tmp_path / "restored", connect)
        assert leftovers(tmp_path, "restored") == []

    return check


def test_the_damaged_page_is_named(taken: Taken, refused: Callable[[Taken, str], None]) -> None:
    pack = max(taken.packs, key=lambda path: path.stat().st_size)
    changed = bytearray(pack.read_bytes())
    changed[HEADER_BYTES + 7 * PAGE + 5] ^= 1
    pack.write_bytes(changed)
    refused(taken, rf"snapshot {taken.snapshot_id.hex()}: .*first/a.* page 7 ")


@pytest.mark.parametrize("length", [0, 10, HEADER_BYTES, HEADER_BYTES + 8, 500, 20_000, -1])
def test_a_cut_pack_is_told_before_the_key_is_asked_for(
    taken: Taken, refused: Callable[[Taken, str], None], connect: CountingConnector, length: int
) -> None:
    pack = max(taken.packs, key=lambda path: path.stat().st_size)
    pack.write_bytes(pack.read_bytes()[:length])
    connect.asked.clear()
    refused(taken, f"{pack.name} has .* bytes, the manifest says")
    assert connect.asked == []


def test_a_snapshot_with_damage_elsewhere_still_lists_and_opens(
    taken: Taken, target: DirectoryPlace, connect: CountingConnector
) -> None:
    pack = taken.packs[0]
    changed = bytearray(pack.read_bytes())
    changed[-1] ^= 1
    pack.write_bytes(changed)
    with open_snapshot(target, taken.snapshot_id, connect) as opened:
        good = [
            store for store in opened.body.stores if opened.head.packs[store.packs[0].place].pack_id.hex() != pack.name
        ]
        assert [len(list(opened.batches(store))) for store in good] == [1]
