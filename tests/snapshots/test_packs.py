"""Packs that were changed, cut, lengthened, exchanged or lost: each is told, and nothing of a target is left."""

import hashlib
import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from keystore.crypto.wrap import OVERHEAD_BYTES
from keystore.errors import SnapshotDamagedError
from keystore.format.manifest import ManifestHead, PackObject, encode_manifest, split_manifest
from keystore.format.pack import HEADER_BYTES, INDEX, PRELUDE_BYTES
from keystore.node.directory import Node
from keystore.node.snapshotting import restore, snapshot
from keystore.snapshots.opened import open_snapshot
from keystore.snapshots.target import LocalTarget
from tests.snapshots.conftest import CountingConnector, Taken, leftovers

PAGE = 4096


@pytest.fixture
def refused(target: LocalTarget, connect: CountingConnector, tmp_path: Path) -> Callable[[Taken, str], None]:
    """Assert that a restore finds the damage and leaves nothing."""

    def check(taken: Taken, match: str) -> None:
        with pytest.raises(SnapshotDamagedError, match=match):
            restore(target, taken.snapshot_id, tmp_path / "restored", connect)
        assert leftovers(tmp_path, "restored") == []

    return check


def test_a_flipped_bit_anywhere(taken: Taken, refused: Callable[[Taken, str], None]) -> None:
    """Every byte of header, prelude and index; a byte of every page."""
    pack = max(taken.packs, key=lambda path: path.stat().st_size)
    original = pack.read_bytes()
    pages = 10
    clear = HEADER_BYTES + PRELUDE_BYTES
    index_end = clear + pages * INDEX.itemsize + OVERHEAD_BYTES
    assert len(original) == index_end + pages * PAGE
    chosen = random.Random(5)
    places = [*range(clear), *range(clear, index_end, 7)]
    places += [index_end + page * PAGE + chosen.randrange(PAGE) for page in range(pages)]
    for at in places:
        changed = bytearray(original)
        changed[at] ^= 1 << (at % 8)
        pack.write_bytes(changed)
        refused(taken, "damaged")
    pack.write_bytes(original)


def test_the_damaged_page_is_named(taken: Taken, refused: Callable[[Taken, str], None]) -> None:
    pack = max(taken.packs, key=lambda path: path.stat().st_size)
    changed = bytearray(pack.read_bytes())
    changed[-3 * PAGE + 5] ^= 1
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


def test_a_longer_pack(taken: Taken, refused: Callable[[Taken, str], None]) -> None:
    with taken.packs[0].open("ab") as file:
        file.write(b"\0")
    refused(taken, "bytes, the manifest says")


def test_a_missing_pack(taken: Taken, refused: Callable[[Taken, str], None]) -> None:
    taken.packs[1].unlink()
    refused(taken, "is missing")


def test_exchanged_packs_of_equal_length(
    node: Node, target: LocalTarget, tmp_path: Path, connect: CountingConnector
) -> None:
    """Two stores of one snapshot; then the same store in two snapshots."""
    for name in ("one", "two"):
        (tmp_path / "source").write_bytes(os.urandom(3 * PAGE))
        node.import_file("db", name, tmp_path / "source", page_size=PAGE)
    first, second = snapshot(node, target), snapshot(node, target)
    one, two = sorted((target.path / first.snapshot_id.hex()).glob("*.pack"))
    original = one.read_bytes()
    one.write_bytes(two.read_bytes())
    with pytest.raises(SnapshotDamagedError, match="belongs to another"):
        restore(target, first.snapshot_id, tmp_path / "restored", connect)
    foreign = sorted((target.path / second.snapshot_id.hex()).glob("*.pack"))[0]
    one.write_bytes(foreign.read_bytes())
    with pytest.raises(SnapshotDamagedError, match="belongs to another"):
        restore(target, first.snapshot_id, tmp_path / "restored", connect)
    one.write_bytes(original[:HEADER_BYTES] + foreign.read_bytes()[HEADER_BYTES:])
    with pytest.raises(SnapshotDamagedError, match="sealed under another key"):
        restore(target, first.snapshot_id, tmp_path / "restored", connect)
    one.write_bytes(original)
    restore(target, first.snapshot_id, tmp_path / "restored", connect)


def test_batches_that_were_moved(node: Node, target: LocalTarget, tmp_path: Path, connect: CountingConnector) -> None:
    """S-8: two batches of equal size change places, or one stands twice."""
    (tmp_path / "source").write_bytes(os.urandom(512 * 16384))
    node.import_file("db", "file", tmp_path / "source")
    made = snapshot(node, target)
    (path,) = (target.path / made.snapshot_id.hex()).glob("*.pack")
    data = path.read_bytes()
    batches = split_batches(data, 16384)
    sizes = [len(batch) for batch in batches]
    assert len(batches) > 1
    assert sum(sizes) + HEADER_BYTES == len(data)
    for order in ([1, 0, *range(2, len(batches))], [0, 0, *range(2, len(batches))]):
        path.write_bytes(data[:HEADER_BYTES] + b"".join(batches[at] for at in order))
        with pytest.raises(SnapshotDamagedError, match=r"damaged|bytes, the manifest says"):
            restore(target, made.snapshot_id, tmp_path / "restored", connect)
    relabelled = (1).to_bytes(8, "little") + batches[0][8:]
    forge_digest(target, made.snapshot_id, path, data[:HEADER_BYTES] + relabelled + b"".join(batches[1:]))
    with pytest.raises(SnapshotDamagedError):
        restore(target, made.snapshot_id, tmp_path / "restored", connect)
    assert leftovers(tmp_path, "restored") == []


def test_a_pack_with_a_forged_digest_still_fails(
    taken: Taken, target: LocalTarget, refused: Callable[[Taken, str], None]
) -> None:
    """S-10: SHA-256 finds accidents; against changes on purpose stand the tags, and the head is associated data."""
    pack = taken.packs[0]
    changed = bytearray(pack.read_bytes())
    changed[-1] ^= 1
    forge_digest(target, taken.snapshot_id, pack, bytes(changed))
    refused(taken, "manifest is damaged")


def test_a_snapshot_with_damage_elsewhere_still_lists_and_opens(
    taken: Taken, target: LocalTarget, connect: CountingConnector
) -> None:
    pack = taken.packs[0]
    changed = bytearray(pack.read_bytes())
    changed[-1] ^= 1
    pack.write_bytes(changed)
    with open_snapshot(target, taken.snapshot_id, connect) as opened:
        good = [
            store for store in opened.body.stores if opened.head.packs[store.packs[0].pack].pack_id.hex() != pack.stem
        ]
        assert [len(list(opened.batches(store))) for store in good] == [1]


def split_batches(data: bytes, page_size: int) -> list[bytes]:
    """Cut a pack into its batches."""
    batches, at = [], HEADER_BYTES
    while at < len(data):
        pages = int.from_bytes(data[at + 8 : at + 12], "little")
        index_bytes = int.from_bytes(data[at + 12 : at + 16], "little")
        end = at + PRELUDE_BYTES + index_bytes + pages * page_size
        batches.append(data[at:end])
        at = end
    return batches


def forge_digest(target: LocalTarget, snapshot_id: bytes, path: Path, data: bytes) -> None:
    """Put other bytes into a pack, and their length and SHA-256 into the clear head."""
    path.write_bytes(data)
    place = target.path / snapshot_id.hex() / "manifest"
    encoded, sealed = split_manifest(place.read_bytes())
    head = ManifestHead.decode(encoded)
    packs = tuple(
        PackObject(pack.pack_id, pack.home, len(data), hashlib.sha256(data).digest())
        if pack.pack_id.hex() == path.stem
        else pack
        for pack in head.packs
    )
    forged = ManifestHead(
        head.snapshot_id, head.node_id, head.created_ns, head.era, head.commitment, head.parent, head.wrapped, packs
    )
    place.write_bytes(encode_manifest(forged.encode(), sealed))
