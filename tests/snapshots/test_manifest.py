"""The manifest: what is encoded is decoded, nothing else is, and every byte of it counts."""

import hashlib
import os
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keystore.errors import KeystoreError, SnapshotDamagedError, SnapshotError
from keystore.format import manifest
from keystore.format.cursor import NotDecodableError
from keystore.format.manifest import (
    DatabaseEntry,
    DataKeyEntry,
    ManifestBody,
    ManifestHead,
    PackObject,
    StoreEntry,
    StorePack,
    encode_manifest,
    split_manifest,
)
from keystore.format.record import SessionRecord
from keystore.format.wrapped import WrappedKey
from keystore.node.snapshotting import restore
from keystore.snapshots.opened import open_snapshot, read_head
from keystore.snapshots.target import LocalTarget
from tests.snapshots.conftest import CountingConnector, Taken, leftovers

ids = st.binary(min_size=16, max_size=16)
u32 = st.integers(0, 2**32 - 1)
u64 = st.integers(0, 2**64 - 1)
texts = st.text(max_size=40).filter(lambda text: text.isprintable() or not text)
packs = st.builds(PackObject, ids, ids, u64, st.binary(min_size=32, max_size=32))
heads = st.builds(
    ManifestHead, ids, ids, u64, u32, ids, ids,
    st.builds(WrappedKey, texts, texts, texts, st.binary(max_size=600)),
    st.lists(packs, max_size=3).map(tuple),
)  # fmt: skip
sessions = st.builds(SessionRecord, u32, u32, ids, st.binary(min_size=32, max_size=32), ids)
databases = st.builds(
    DatabaseEntry, ids, texts, u64,
    st.lists(st.builds(DataKeyEntry, u32, u64, st.binary(max_size=120)), max_size=3).map(tuple),
)  # fmt: skip


@st.composite
def bodies(draw: st.DrawFn) -> ManifestBody:
    """A body with up to 3 databases, whose head lists 3 packs."""
    rows = draw(st.lists(databases, min_size=1, max_size=3))
    stores = st.builds(
        StoreEntry, st.integers(0, len(rows) - 1), ids, texts, st.sampled_from([4096, 65536]),
        st.integers(0, 2**40), u64, u64, u64, st.lists(sessions, max_size=3).map(tuple),
        st.lists(st.builds(StorePack, st.integers(0, 2), u64, u64, st.binary(max_size=120)), max_size=2).map(tuple),
    )  # fmt: skip
    return ManifestBody(draw(texts), tuple(rows), tuple(draw(st.lists(stores, max_size=3))))


@given(heads, st.binary(max_size=200))
def test_a_head_is_decoded_as_it_was_encoded(head: ManifestHead, rest: bytes) -> None:
    encoded = head.encode()
    assert ManifestHead.decode(encoded + rest) == head
    assert split_manifest(encode_manifest(encoded, rest)) == (encoded, rest)


@given(bodies())
def test_a_body_is_decoded_as_it_was_encoded(body: ManifestBody) -> None:
    assert ManifestBody.decode(body.encode(), packs=3) == body


@given(bodies(), st.data())
def test_a_body_of_another_length_is_refused(body: ManifestBody, data: st.DataObject) -> None:
    encoded = body.encode()
    with pytest.raises(NotDecodableError):
        ManifestBody.decode(encoded[: data.draw(st.integers(0, len(encoded) - 1))], packs=3)
    with pytest.raises(NotDecodableError):
        ManifestBody.decode(encoded + b"\0", packs=3)


@given(st.binary(max_size=400))
def test_noise_is_refused_and_nothing_else_happens(noise: bytes) -> None:
    for data in (noise, manifest.MAGIC + noise, manifest.MAGIC + b"\x01\x01\0\0" + noise):
        with pytest.raises(NotDecodableError):
            split_manifest(data)
        with pytest.raises(NotDecodableError):
            ManifestBody.decode(b"\xff" * 4 + noise, packs=0)


def test_a_huge_count_costs_nothing() -> None:
    """LIMIT: counts are compared with what is left before a row is read."""
    for count in (1 << 20, 2**32 - 1):
        with pytest.raises(NotDecodableError, match="do not fit"):
            ManifestBody.decode(b"\0" * 4 + struct.pack("<I", count) + b"\0" * 64, packs=0)


def test_the_head_tells_the_configured_key_and_no_names(taken: Taken, target: LocalTarget, cmk: str) -> None:
    head, encoded, _ = read_head(target, taken.snapshot_id)
    assert (head.wrapped.key_id, head.wrapped.provider, head.era) == (cmk, "local", 1)
    assert (head.parent, [pack.home for pack in head.packs]) == (manifest.NO_PARENT, [taken.snapshot_id] * 2)
    raw = taken.manifest.read_bytes()
    assert cmk.encode() in raw
    assert b"first" not in raw
    assert b"branch/c" not in raw
    for pack in head.packs:
        data = (taken.place / f"{pack.pack_id.hex()}.pack").read_bytes()
        assert (len(data), hashlib.sha256(data).digest()) == (pack.byte_length, pack.digest)
    assert encoded == raw[: len(encoded)]


def with_checksum(content: bytes) -> bytes:
    return content + hashlib.sha256(content).digest()


def flips(data: bytes) -> Iterator[bytes]:
    """Yield `data` with one bit changed, once in every byte."""
    for at in range(len(data)):
        yield data[:at] + bytes([data[at] ^ (1 << at % 8)]) + data[at + 1 :]


def test_every_byte_of_a_manifest_counts(taken: Taken, target: LocalTarget, connect: CountingConnector) -> None:
    """S-6: without a key the checksum finds it, and no KMS is asked about what a damaged manifest says."""
    original = taken.manifest.read_bytes()
    for changed in flips(original):
        taken.manifest.write_bytes(changed)
        with pytest.raises(SnapshotError, match=taken.snapshot_id.hex()):
            open_snapshot(target, taken.snapshot_id, connect)
    assert connect.asked[2:] == []
    taken.manifest.write_bytes(original)
    open_snapshot(target, taken.snapshot_id, connect).close()


def test_no_byte_can_be_forged(taken: Taken, target: LocalTarget, connect: CountingConnector, tmp_path: Path) -> None:
    """S-6, S-7: changed on purpose, with a checksum that fits, it still does not open."""
    content = taken.manifest.read_bytes()[:-32]
    for changed in flips(content):
        taken.manifest.write_bytes(with_checksum(changed))
        with pytest.raises(KeystoreError):
            restore(target, taken.snapshot_id, tmp_path / "restored", connect)
    assert leftovers(tmp_path, "restored") == []


@pytest.mark.parametrize("at", [8, 9])
def test_another_version_or_suite_is_named(
    taken: Taken, target: LocalTarget, connect: CountingConnector, tmp_path: Path, at: int
) -> None:
    changed = bytearray(taken.manifest.read_bytes()[:-32])
    changed[at] = 2
    taken.manifest.write_bytes(with_checksum(bytes(changed)))
    with pytest.raises(SnapshotError, match="use a later keystore") as caught:
        restore(target, taken.snapshot_id, tmp_path / "restored", connect)
    assert not isinstance(caught.value, SnapshotDamagedError)
    assert leftovers(tmp_path, "restored") == []


def test_too_long_a_manifest_is_not_read(taken: Taken, target: LocalTarget, connect: CountingConnector) -> None:
    os.truncate(taken.manifest, manifest.MANIFEST_BYTES_MAX + 1)
    with pytest.raises(SnapshotDamagedError, match="more than"):
        open_snapshot(target, taken.snapshot_id, connect)
