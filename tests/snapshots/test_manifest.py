"""The manifest: what is encoded is decoded, nothing else is, and every byte of it counts."""

import hashlib
import os
import struct
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keystore.errors import KeystoreError, SnapshotDamagedError, SnapshotError
from keystore.format import manifest
from keystore.format.cursor import NotDecodableError
from keystore.format.kind import SnapshotKind
from keystore.format.manifest import LogPosition, ManifestHead, ManifestParts, PackObject
from keystore.format.pack import NO_NODE
from keystore.format.record import SessionRecord
from keystore.format.snapshot_map import (
    DatabaseEntry,
    DataKeyEntry,
    ManifestBody,
    ManifestKeys,
    SessionUse,
    StoreEntry,
    StorePack,
)
from keystore.format.wrapped import WrappedKey
from keystore.node.directory import Node
from keystore.node.restoring import restore
from keystore.objects.directory import DirectoryPlace
from keystore.snapshots.manifest import read_manifest
from keystore.snapshots.opened import open_snapshot
from tests.snapshots.conftest import CountingConnector, Taken, leftovers

ids = st.binary(min_size=16, max_size=16)
u32 = st.integers(0, 2**32 - 1)
u64 = st.integers(0, 2**64 - 1)
texts = st.text(max_size=40).filter(lambda text: text.isprintable() or not text)
digests = st.binary(min_size=32, max_size=32)
packs = st.builds(PackObject, ids, u64, digests)
heads = st.builds(
    ManifestHead, ids, ids, u64, u32, ids, digests,
    st.builds(WrappedKey, texts, texts, texts, st.binary(max_size=600)),
    st.lists(packs, max_size=3, unique_by=lambda pack: pack.pack_id).map(tuple),
    ids, st.sampled_from(SnapshotKind), u64, u64, texts, st.builds(LogPosition, u64, digests),
)  # fmt: skip
records = st.builds(SessionRecord, u32, u32, ids, digests, ids)
databases = st.builds(DatabaseEntry, ids, texts, u64)
keys = st.builds(DataKeyEntry, u32, u64, st.binary(max_size=120))
key_parts = st.builds(
    ManifestKeys, st.binary(max_size=120), st.lists(st.lists(keys, max_size=3).map(tuple), max_size=3).map(tuple)
)


@st.composite
def bodies(draw: st.DrawFn) -> tuple[ManifestBody, int]:
    """A body with up to 3 databases and stores, and how many packs its head lists."""
    rows = draw(st.lists(databases, min_size=1, max_size=3, unique_by=lambda row: row.database_id))
    stores, places = [], 0
    for store_id in draw(st.lists(ids, max_size=3, unique=True)):
        numbers = draw(st.lists(u32, max_size=2, unique=True).map(sorted))
        pages = [draw(st.integers(0, 2**30)) for _ in numbers]
        store_packs = tuple(
            StorePack(number, places + at, pages[at], 1, draw(st.binary(max_size=120)))
            for at, number in enumerate(numbers)
        )
        places += len(numbers)
        uses = (SessionUse(draw(records), sum(pages)),) if sum(pages) else ()
        root = draw(st.binary(min_size=48, max_size=48).filter(any)) if numbers else NO_NODE
        stores.append(
            StoreEntry(
                draw(st.integers(0, len(rows) - 1)),
                store_id,
                draw(texts),
                draw(st.sampled_from([4096, 65536])),
                draw(st.integers(0, 2**40)),
                draw(u64),
                draw(u64),
                draw(ids),
                draw(u64),
                uses,
                store_packs,
                root,
            )
        )
    return ManifestBody(draw(texts), tuple(rows), tuple(stores)), places


@given(heads, st.binary(max_size=200), st.binary(max_size=200), st.binary(min_size=64, max_size=64))
def test_a_manifest_is_taken_apart_as_it_was_joined(
    head: ManifestHead, sealed_map: bytes, sealed_keys: bytes, signature: bytes
) -> None:
    encoded = head.encode(len(sealed_map), len(sealed_keys))
    parts = ManifestParts(encoded, sealed_map, sealed_keys, signature)
    assert ManifestParts.split(parts.join()) == parts
    assert ManifestHead.decode(encoded) == head
    for other in (encoded[:-1], encoded + b"\0"):
        with pytest.raises(NotDecodableError):
            ManifestHead.decode(other)


@given(bodies())
def test_a_body_is_decoded_as_it_was_encoded(made: tuple[ManifestBody, int]) -> None:
    body, places = made
    assert ManifestBody.decode(body.encode(), places) == body
    with pytest.raises(NotDecodableError, match="each pack"):
        ManifestBody.decode(body.encode(), places + 1)


@given(bodies(), st.data())
def test_a_body_of_another_length_is_refused(made: tuple[ManifestBody, int], data: st.DataObject) -> None:
    body, places = made
    encoded = body.encode()
    with pytest.raises(NotDecodableError):
        ManifestBody.decode(encoded[: data.draw(st.integers(0, len(encoded) - 1))], places)
    with pytest.raises(NotDecodableError):
        ManifestBody.decode(encoded + b"\0", places)


@given(key_parts, st.data())
def test_a_key_part_is_decoded_as_it_was_encoded(part: ManifestKeys, data: st.DataObject) -> None:
    encoded = part.encode()
    assert ManifestKeys.decode(encoded) == part
    for other in (encoded[: data.draw(st.integers(0, len(encoded) - 1))], encoded + b"\0"):
        with pytest.raises(NotDecodableError):
            ManifestKeys.decode(other)


STORE = StoreEntry(
    0, b"s" * 16, "f", 4096, 9, 8, 7, b"t" * 16, 6,
    tuple(SessionUse(SessionRecord(number, 1, b"o" * 16, b"s" * 32, b"c" * 16), 2) for number in (1, 2)),
    (StorePack(0, 0, 3, 1, b"k"), StorePack(4, 1, 1, 0, b"k")), b"r" * 48,
)  # fmt: skip
DATABASE = DatabaseEntry(b"d" * 16, "d", 1)


@pytest.mark.parametrize(
    "wrong",
    [
        ManifestBody("n", (), (STORE,)),
        ManifestBody("n", (DATABASE, DATABASE), (STORE,)),
        ManifestBody("n", (DATABASE,), (STORE, replace(STORE, packs=(), uses=(), root=NO_NODE))),
        ManifestBody("n", (DATABASE,), (replace(STORE, packs=STORE.packs[:1]),)),
        ManifestBody("n", (DATABASE,), (replace(STORE, packs=STORE.packs[::-1]),)),
        ManifestBody("n", (DATABASE,), (replace(STORE, packs=(STORE.packs[0], replace(STORE.packs[1], place=0))),)),
        ManifestBody("n", (DATABASE,), (replace(STORE, packs=(STORE.packs[0], replace(STORE.packs[1], pages=0))),)),
        ManifestBody("n", (DATABASE,), (replace(STORE, uses=STORE.uses[::-1]),)),
        ManifestBody("n", (DATABASE,), (replace(STORE, uses=STORE.uses[:1]),)),
        ManifestBody("n", (DATABASE,), (replace(STORE, uses=(*STORE.uses, replace(STORE.uses[1], pages=0))),)),
        ManifestBody("n", (DATABASE,), (replace(STORE, root=NO_NODE),)),
        ManifestBody("n", (DATABASE,), (replace(STORE, page_size=5000),)),
    ],
)
def test_a_body_that_contradicts_itself_is_refused(wrong: ManifestBody) -> None:
    """S-7"""
    assert ManifestBody.decode(ManifestBody("n", (DATABASE,), (STORE,)).encode(), 2).stores == (STORE,)
    with pytest.raises(NotDecodableError):
        ManifestBody.decode(wrong.encode(), 2)


@given(st.binary(max_size=400))
def test_noise_is_refused_and_nothing_else_happens(noise: bytes) -> None:
    for data in (noise, manifest.MAGIC + noise, manifest.MAGIC + b"\x02\x01\0\0" + noise):
        with pytest.raises(NotDecodableError):
            ManifestParts.split(data)
        with pytest.raises(NotDecodableError):
            ManifestHead.decode(data)
        with pytest.raises(NotDecodableError):
            ManifestBody.decode(b"\xff" * 4 + noise, packs=0)


def test_a_huge_count_costs_nothing() -> None:
    """LIMIT: counts are compared with what is left before a row is read."""
    for count in (1 << 20, 2**32 - 1):
        with pytest.raises(NotDecodableError, match="do not fit"):
            ManifestBody.decode(b"\0" * 4 + struct.pack("<I", count) + b"\0" * 64, packs=0)


def test_the_head_tells_the_configured_key_and_no_names(
    taken: Taken, node: Node, target: DirectoryPlace, cmk: str
) -> None:
    found = read_manifest(target, taken.snapshot_id)
    head = found.head
    assert (head.wrapped.key_id, head.wrapped.provider, head.era) == (cmk, "local", 1)
    assert (head.parent, head.kind, head.expires_ns) == (manifest.NO_PARENT, SnapshotKind.ON_DEMAND, manifest.NEVER)
    assert head.logical_bytes == sum(map(len, taken.content.values()))
    with node.held() as custody:
        assert head.signer == custody.keystore.signing.public
    raw = taken.manifest.read_bytes()
    assert cmk.encode() in raw
    assert b"first" not in raw
    assert b"branch/c" not in raw
    assert [pack.pack_id.hex() for pack in sorted(head.packs, key=lambda pack: pack.pack_id)] == [
        path.name for path in taken.packs
    ]
    for pack in head.packs:
        data = (taken.place / "packs" / pack.pack_id.hex()).read_bytes()
        assert (len(data), hashlib.sha256(data).digest()) == (pack.byte_length, pack.digest)
    assert found.parts.join() == raw


def with_checksum(content: bytes) -> bytes:
    return content + hashlib.sha256(content).digest()


def flips(data: bytes) -> Iterator[bytes]:
    """Yield `data` with one bit changed, once in every byte."""
    for at in range(len(data)):
        yield data[:at] + bytes([data[at] ^ (1 << at % 8)]) + data[at + 1 :]


def test_every_byte_of_a_manifest_counts(taken: Taken, target: DirectoryPlace, connect: CountingConnector) -> None:
    """S-6: without a key the checksum finds it, and no KMS is asked about what a damaged manifest says."""
    original = taken.manifest.read_bytes()
    for changed in flips(original):
        taken.manifest.write_bytes(changed)
        with pytest.raises(SnapshotError, match=taken.snapshot_id.hex()):
            open_snapshot(target, taken.snapshot_id, connect)
    assert connect.asked[2:] == []
    taken.manifest.write_bytes(original)
    open_snapshot(target, taken.snapshot_id, connect).close()


def test_no_byte_can_be_forged(
    taken: Taken, target: DirectoryPlace, connect: CountingConnector, tmp_path: Path
) -> None:
    """S-6, S-7: changed on purpose, with a checksum that fits, it still does not open."""
    content = taken.manifest.read_bytes()[:-32]
    for changed in flips(content):
        taken.manifest.write_bytes(with_checksum(changed))
        with pytest.raises(KeystoreError):
            restore(target, taken.snapshot_id, tmp_path / "restored", connect)
    assert leftovers(tmp_path, "restored") == []


@pytest.mark.parametrize("at", [8, 9])
def test_another_version_or_suite_is_named(
    taken: Taken, target: DirectoryPlace, connect: CountingConnector, tmp_path: Path, at: int
) -> None:
    changed = bytearray(taken.manifest.read_bytes()[:-32])
    changed[at] = 9
    taken.manifest.write_bytes(with_checksum(bytes(changed)))
    with pytest.raises(SnapshotError, match="or a later one") as caught:
        restore(target, taken.snapshot_id, tmp_path / "restored", connect)
    assert not isinstance(caught.value, SnapshotDamagedError)
    assert leftovers(tmp_path, "restored") == []


def test_too_long_a_manifest_is_not_read(taken: Taken, target: DirectoryPlace, connect: CountingConnector) -> None:
    os.truncate(taken.manifest, manifest.MANIFEST_BYTES_MAX + 1)
    with pytest.raises(SnapshotDamagedError, match="more than"):
        open_snapshot(target, taken.snapshot_id, connect)
