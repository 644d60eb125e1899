"""Every decoder of `keystore`."""

import hashlib
from collections.abc import Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import replace
from typing import Any

import numpy as np

from keystore.crypto.secret import SecretKey
from keystore.crypto.wrap import WrapDamagedError, unwrap
from keystore.errors import (
    InputError,
    KnownNodesError,
    ObjectDamagedError,
    PolicyError,
    SnapshotDamagedError,
    WrongKeyError,
)
from keystore.format import (
    anchors,
    begun,
    block,
    entry,
    header,
    keyfile,
    layout,
    manifest,
    outside,
    pack,
    record,
    session_table,
    snapshot_map,
)
from keystore.format.cursor import NotDecodableError
from keystore.format.volume import VolumeRecord
from keystore.format.wrapped import WrappedKey
from keystore.kms import uri
from keystore.node.known_nodes import KnownNode, KnownNodes
from keystore.snapshots import policy_file
from keystore.snapshots.keys import seal_node, wrap_pack_key
from keystore.snapshots.policy import Policy
from keystore.snapshots.reading import MapReader, Packs
from keystore.snapshots.volume import VolumePackReader
from tests.fuzz.target import Target

KEY = bytes(range(32))
SECTOR_KEY = bytes(range(64))
WRAPPED = WrappedKey("aws", "aws://us-east-1/alias/cmk", "arn:aws:kms:us-east-1:111122223333:key/1", b"w" * 184)
PACK_HEADER = pack.PackHeader(4096, b"p" * 16, b"s" * 16)


def _prelude(data: bytes) -> block.Prelude:
    return block.Prelude.decode(data[1:], 1 + (data[0] if data else 0) % 3)


def _encode_prelude(value: block.Prelude) -> bytes:
    return bytes([value.kind - 1]) + value.encode().ljust(block.PRELUDE_BYTES, b"\0")


def _runs(data: bytes) -> list[tuple[int, int]]:
    return block.decode_runs(data[: len(data) - len(data) % block.RUN_BYTES])


def _rows(data: bytes) -> bytes:
    node = data[:4096].ljust(4096, b"\0")
    return bytes(entry.rows_from_bytes(node, layout.TREE_PAGES).tobytes() + entry.slot_rows(node).tobytes())


def _session_table(data: bytes) -> Any:
    page = data[:4096].ljust(4096, b"\0")
    return session_table.decode_block(page, layout.sessions_per_block(4096))


def _encode_session_table(rows: Any) -> bytes:
    return b"".join(session_table.encode_table(rows, 4096))


def _keyfile(data: bytes) -> keyfile.KeyFileParts:
    return keyfile.split(data)


def _encode_keyfile(parts: keyfile.KeyFileParts) -> bytes:
    return keyfile.join(parts.head_bytes, parts.sealed_body)


def _keyfile_body(data: bytes) -> keyfile.Body:
    return keyfile.decode_body(bytearray(data), keyfile.VERSION)


def _anchor(data: bytes) -> Any:
    return anchors.split_record(data)


def _encode_anchor(value: Any) -> bytes:
    prelude, _, sealed = value
    return anchors.join_record(anchors.encode_prelude(prelude), sealed)


def _manifest(data: bytes) -> tuple[manifest.ManifestHead, manifest.ManifestParts]:
    parts = manifest.ManifestParts.split(data)
    return manifest.ManifestHead.decode(parts.head), parts


def _encode_manifest(value: tuple[manifest.ManifestHead, manifest.ManifestParts]) -> bytes:
    head, parts = value
    return replace(parts, head=head.encode(len(parts.sealed_map), len(parts.sealed_keys))).join()


def _map_node(data: bytes) -> Any:
    level = 1 + (data[0] if data else 0) % 2
    return level, pack.decode_node(data[1:], level, 4096)


class PackInMemory:
    """A pack, wherever it is asked for, and a reader of it."""

    def __init__(self, data: bytes) -> None:
        self._data, self.byte_length = data, len(data)

    def open(self, name: str) -> AbstractContextManager["PackInMemory"]:
        return nullcontext(self)

    def read_at(self, offset: int, buffer: memoryview) -> None:
        buffer[:] = self.read_ranges([(offset, len(buffer))])[0]

    def read_ranges(self, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        if any(offset + length > self.byte_length for offset, length in ranges):
            raise ObjectDamagedError("it ends before that")
        return [self._data[offset : offset + length] for offset, length in ranges]


def _snapshot_map(data: bytes) -> int:
    """Walk a map whose root, a leaf, was sealed by who knows all keys and put anything into it."""
    key, at = SecretKey(KEY), pack.HEADER_BYTES
    sealed = seal_node(key, data, PACK_HEADER.pack_id, 1, 0, at)
    row = np.zeros(1, dtype=pack.NODE_ROW)
    row["session"], row["offset"], row["length"] = 1, at, len(sealed)
    source = PackInMemory(PACK_HEADER.encode() + sealed + bytes(8192))
    packs = (manifest.PackObject(PACK_HEADER.pack_id, source.byte_length, bytes(32)),)
    head = manifest.ManifestHead(b"i" * 16, b"n" * 16, 1, 1, b"c" * 16, bytes(32), WRAPPED, packs)
    wrapped = wrap_pack_key(key, key, PACK_HEADER.pack_id, PACK_HEADER.store_id)
    store = snapshot_map.StoreEntry(
        0, PACK_HEADER.store_id, "f", 4096, 100, 0, 0, bytes(16), 0, (),
        (snapshot_map.StorePack(0, 0, 1, 1, wrapped),), row.tobytes(),
    )  # fmt: skip
    with closing(MapReader(Packs(source, head, None), store, key)) as reader:
        return sum(len(batch.page_nos) for batch in reader.batches())


def _volume_pack(data: bytes) -> bytes:
    (found,) = VolumePackReader(PackInMemory(data), SecretKey(SECTOR_KEY)).read_ranges([(5, max(len(data) - 5, 0))])
    return found


def _encode(value: Any) -> bytes:
    return bytes(value.encode())


def _wrapped(data: bytes) -> bytearray:
    return unwrap(SecretKey(KEY), data, "fuzz")


def _with_sha256(data: bytes) -> bytes:
    """End `data` with the checksum of what comes before."""
    return data[:-32] + hashlib.sha256(data[:-32]).digest()


def _uri(data: bytes) -> uri.KeyUri:
    return uri.parse(data.decode(errors="surrogateescape"))


def _backup_policy(data: bytes) -> Policy:
    return policy_file.decode_policy(data.decode(errors="surrogateescape"), "fuzz")


def _known_nodes(data: bytes) -> list[KnownNode]:
    return KnownNodes("/known")._decode(data.decode(errors="replace"))


BLOCK = (block.NotABlockError,)
DECODE = (NotDecodableError,)
TARGETS = (
    Target("prelude", _prelude, BLOCK, _encode_prelude),
    Target("header", header.HeaderBody.decode, BLOCK, header.HeaderBody.encode),
    Target("record", record.RecordBody.decode, BLOCK, record.RecordBody.encode),
    Target("runs", _runs, (), block.encode_runs),
    Target("rows", _rows, ()),
    Target("session-table", _session_table, (), _encode_session_table),
    Target("keyfile", _keyfile, DECODE, _encode_keyfile, _with_sha256),
    Target("keyfile-body", _keyfile_body, DECODE, lambda body: bytes(keyfile.encode_body(body))),
    Target("anchor", _anchor, DECODE, _encode_anchor),
    Target("anchor-fingerprints", anchors.decode_fingerprints, DECODE, anchors.encode_fingerprints),
    Target("anchor-state", anchors.decode_state, DECODE, anchors.encode_state),
    Target("outside", outside.split, DECODE, lambda found: found[1] + found[2]),
    Target("outside-body", outside.decode_body, DECODE, outside.encode_body),
    Target("manifest", _manifest, DECODE, _encode_manifest, _with_sha256),
    Target("manifest-body", lambda data: snapshot_map.ManifestBody.decode(data, 2), DECODE, _encode),
    Target("manifest-keys", snapshot_map.ManifestKeys.decode, DECODE, _encode),
    Target("begun", begun.Begun.decode, DECODE, _encode, _with_sha256),
    Target("pack-header", pack.PackHeader.decode, DECODE, pack.PackHeader.encode),
    Target("map-node", _map_node, DECODE, lambda found: bytes([found[0] - 1]) + pack.encode_node(found[1])),
    Target("snapshot-map", _snapshot_map, (SnapshotDamagedError,)),
    Target("volume-pack", _volume_pack, (ObjectDamagedError,)),
    Target("volume", VolumeRecord.decode, DECODE, VolumeRecord.encode, _with_sha256),
    Target("wrapped", _wrapped, (WrongKeyError, WrapDamagedError)),
    Target("backup-policy", _backup_policy, (PolicyError,), lambda found: policy_file.encode_policy(found).encode()),
    Target("known-nodes", _known_nodes, (KnownNodesError,)),
    Target("uri", _uri, (InputError,), lambda found: found.text.encode()),
)
