"""Every decoder of `keystore`."""

import hashlib
import io
from typing import Any

from keystore.crypto.secret import SecretKey
from keystore.crypto.wrap import WrapDamagedError, unwrap
from keystore.errors import InputError, PolicyError, SnapshotDamagedError, WrongKeyError
from keystore.format import (
    anchors,
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
)
from keystore.format.cursor import NotDecodableError
from keystore.format.volume import VolumeRecord
from keystore.kms import uri
from keystore.snapshots import policy_file
from keystore.snapshots.pack import PackContent, read_pack
from keystore.snapshots.policy import Policy
from keystore.snapshots.volume import VolumePackReader
from tests.fuzz.target import Target

KEY = bytes(range(32))
SECTOR_KEY = bytes(range(64))
PACK_HEADER = pack.PackHeader(4096, b"p" * 16, b"s" * 16)
PACK_CONTENT = PackContent(pages=3, batches=2)


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


def _manifest(data: bytes) -> tuple[manifest.ManifestHead, bytes]:
    encoded, sealed = manifest.split_manifest(data)
    return manifest.ManifestHead.decode(encoded), sealed


def _encode_manifest(value: tuple[manifest.ManifestHead, bytes]) -> bytes:
    return manifest.encode_manifest(value[0].encode(), value[1])


def _index(data: bytes) -> Any:
    return pack.decode_index(data[: len(data) - len(data) % pack.INDEX.itemsize])


def _pack(data: bytes) -> list[bytes]:
    batches = read_pack(io.BytesIO(data), PACK_HEADER, SecretKey(KEY), PACK_CONTENT, "a fuzzer")
    return [bytes(batch.ciphertext) for batch in batches]


def _volume_pack(data: bytes) -> bytes:
    return VolumePackReader(io.BytesIO(data), SecretKey(SECTOR_KEY)).read(len(data) + 1)


def _wrapped(data: bytes) -> bytearray:
    return unwrap(SecretKey(KEY), data, "fuzz")


def _with_sha256(data: bytes) -> bytes:
    """End `data` with the checksum of what comes before."""
    return data[:-32] + hashlib.sha256(data[:-32]).digest()


def _uri(data: bytes) -> uri.KeyUri:
    return uri.parse(data.decode(errors="surrogateescape"))


def _backup_policy(data: bytes) -> Policy:
    return policy_file.decode_policy(data.decode(errors="surrogateescape"), "fuzz")


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
    Target("manifest-body", lambda data: manifest.ManifestBody.decode(data, 2), DECODE, manifest.ManifestBody.encode),
    Target("pack-header", pack.PackHeader.decode, DECODE, pack.PackHeader.encode),
    Target("pack-index", _index, (), lambda rows: pack.encode_index(*rows)),
    Target("pack", _pack, (SnapshotDamagedError,)),
    Target("volume-pack", _volume_pack, DECODE),
    Target("volume", VolumeRecord.decode, DECODE, VolumeRecord.encode, _with_sha256),
    Target("wrapped", _wrapped, (WrongKeyError, WrapDamagedError)),
    Target("backup-policy", _backup_policy, (PolicyError,), lambda found: policy_file.encode_policy(found).encode()),
    Target("uri", _uri, (InputError,), lambda found: found.text.encode()),
)
