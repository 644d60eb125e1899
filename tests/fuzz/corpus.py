"""Writes the genuine part of the corpus anew: `python -m tests.fuzz.corpus`, after a change of a format.

The same bytes every time. What once did harm stands beside it, and stays.
"""

import hashlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import replace
from random import Random
from typing import Any
from unittest.mock import patch

import numpy as np
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from keystore.crypto.secret import SecretKey
from keystore.crypto.wrap import wrap
from keystore.format import (
    anchors,
    begun,
    block,
    entry,
    header,
    keyfile,
    manifest,
    outside,
    pack,
    record,
    session_table,
    snapshot_map,
)
from keystore.format.volume import VolumeRecord
from keystore.format.wrapped import WrappedKey
from keystore.snapshots.policy import DEFAULT_POLICY
from keystore.snapshots.policy_file import encode_policy
from keystore.snapshots.volume import VolumePackWriter
from kms_emulator.model import envelope
from kms_emulator.model.keys import Key, KeyKind, Schedule, Version, VersionState
from kms_emulator.storage.documents import encode_key
from tests.fuzz import log_targets
from tests.fuzz.keystore_targets import KEY, PACK_HEADER, SECTOR_KEY, WRAPPED
from tests.fuzz.target import CORPUS, GENUINE

A, B = b"a" * 16, b"b" * 16
VOLUME = VolumeRecord(A, 3, B, WrappedKey("local", "local:///keys/platform", "", b"v" * 140))
SESSION = record.SessionRecord(1, 2, A, b"s" * 32, B)
SEED = """version: 1
users:
  - {name: alice, access_key_id: AKIAIOSFODNN7EXAMPLE, secret_access_key: wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY}
keys:
  - id: 1234abcd-12ab-34cd-56ef-1234567890ab
    region: eu-west-1
    aliases: [alias/app]
    tags: {team: storage}
    rotation_days: 365
    material: [AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=]
"""
SIGNED = (
    "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20150830/us-east-1/kms/aws4_request, "
    "SignedHeaders=host;x-amz-date, Signature=" + "0" * 64
)
PRESIGNED = (
    "Action=GetCallerIdentity&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20150830%2F"
    "us-east-1%2Fsts%2Faws4_request&X-Amz-Date=20150830T123600Z&X-Amz-Expires=60&X-Amz-SignedHeaders=host&"
    "X-Amz-Signature=" + "0" * 64
)
POLICY = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Sid": "1",
            "Effect": "Allow",
            "Principal": {"AWS": "arn:aws:iam::111122223333:root"},
            "Action": ["kms:*"],
            "Resource": "*",
            "Condition": {"StringLike": {"kms:EncryptionContext:a": ["b*", "c"]}},
        }
    ],
}
IDENTITY_POLICY = {"Version": "2012-10-17", "Statement": {"Effect": "Deny", "Action": "kms:D*", "Resource": "*"}}


def entries(count: int) -> entry.EntryArray:
    rows = np.zeros(count, dtype=entry.ENTRY)
    rows["slot"], rows["session"] = np.arange(5, 5 + count), 1
    return rows


def _prelude(kind: int, runs: int = 0) -> bytes:
    value = block.Prelude(kind, 4096, 200, A, 3, 4, 1, runs, 5, b"s" * 32, B, b"n" * 12)
    return bytes([kind - 1]) + value.encode().ljust(block.PRELUDE_BYTES, b"t")


def _header() -> bytes:
    root = entries(1).tobytes()
    return header.HeaderBody(1, 2, 3, 40, 5, 6, A, 1, 1, 9, root, root, entry.HOLE).encode()


def _record(pages: int) -> bytes:
    changes = np.zeros(pages, dtype=record.CHANGE)
    changes["page"], changes["entry"] = np.arange(pages), entries(pages)
    return record.RecordBody(1, pages, 2, 3, 4, A, 1, record.PAGES_SYNCED, (SESSION,), changes.tobytes()).encode()


def _keyfile_body() -> bytes:
    key = memoryview(KEY)
    rows = [keyfile.DataKeyRow(1, True, 5, 7, key), keyfile.DataKeyRow(2, False, 6, 8, key)]
    stores = [keyfile.StoreRecord(bytes([i]) * 16, f"2024/{i}.db", 4096, 9) for i in (1, 2)]
    databases = [keyfile.DatabaseRow(A, "orders", 4, rows, stores), keyfile.DatabaseRow(B, "users", 4, rows[1:], [])]
    identity = keyfile.IdentityRow(key, key)
    places = ("s3://anchors/node-1", True, "s3://log", 7)
    body = keyfile.Body("node-1", 3, key, VOLUME.volume_id, databases, identity, *places)
    return bytes(keyfile.encode_body(body))


def _keyfile() -> bytes:
    sealed = wrap(SecretKey(KEY), _keyfile_body(), "corpus")
    return keyfile.join(keyfile.encode_head(keyfile.Head(2, A, 3, 4, B, WRAPPED), len(sealed)), sealed)


def _manifest(*, volume: bool) -> bytes:
    packs = tuple(manifest.PackObject(bytes([i]) * 16, 1000 + i, b"d" * 32) for i in range(2))
    head = manifest.ManifestHead(
        A, B, 1, 2, A, b"p" * 32, WRAPPED, packs, B if volume else manifest.NO_PARENT, manifest.SnapshotKind.DAILY,
        5, 6, "profile", manifest.LogPosition(7, b"l" * 32), VOLUME if volume else None,
    )  # fmt: skip
    return manifest.ManifestParts(head.encode(100, 50), b"m" * 100, b"k" * 50, b"s" * 64).join()


def _manifest_body() -> bytes:
    packs = tuple(snapshot_map.StorePack(i, i, 3, 2, b"p" * 108) for i in range(2))
    root = _row(pack.NODE_ROW, session=1, pack=1, offset=64, length=500)
    uses = (snapshot_map.SessionUse(SESSION, 6),)
    store = snapshot_map.StoreEntry(0, B, "2024.db", 4096, 9, 8, 7, A, 6, uses, packs, root)
    empty = replace(store, store_id=A, name="2025.db", uses=(), packs=(), root=pack.NO_NODE)
    return snapshot_map.ManifestBody("node-1", (snapshot_map.DatabaseEntry(A, "orders", 1),), (store, empty)).encode()


def _manifest_keys() -> bytes:
    keys = tuple(snapshot_map.DataKeyEntry(i, 3, b"k" * 108) for i in (2, 3))
    return snapshot_map.ManifestKeys(b"m" * 108, (keys, ())).encode()


def _row(kind: Any, **fields: int) -> bytes:
    row = np.zeros(1, dtype=kind)
    for name, value in fields.items():
        row[name] = value
    return row.tobytes()


class _Out:
    def __init__(self) -> None:
        self.data = bytearray()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.data += data

    def finish(self) -> tuple[int, bytes]:
        return len(self.data), hashlib.sha256(self.data).digest()


def _volume_pack(length: int) -> bytes:
    out = _Out()
    writer = VolumePackWriter(out, SecretKey(SECTOR_KEY))
    writer.write(b"p" * length)
    writer.finish()
    return bytes(out.data)


def _stored_key() -> bytes:
    versions = (Version(1, "1" * 32, 5, VersionState.DISABLED), Version(2, "2" * 32, 6, attributes={"a": "b"}))
    schedule = Schedule(period_ns=7, next_ns=8)
    key = Key(A, "aws", "name", KeyKind.AES_256, 1, 2, primary=2, schedule=schedule, versions=versions, family=B)
    return encode_key(key).encode()


def made() -> Mapping[str, list[bytes]]:
    """Return the genuine bytes of each target."""
    return {
        "prelude": [_prelude(block.HEADER), _prelude(block.RECORD, 3), _prelude(block.WATERMARK)],
        "header": [_header()],
        "record": [_record(0), _record(3)],
        "runs": [block.encode_runs([(5, 1), (9, 70)])],
        "rows": [entries(20).tobytes()],
        "session-table": list(session_table.encode_table([(SESSION, 5)] * 3, 4096)),
        "keyfile": [_keyfile()],
        "keyfile-body": [_keyfile_body()],
        "anchor": [
            anchors.join_record(anchors.encode_prelude(anchors.Prelude(kind, kind, A)), b"s" * anchors.SEALED_BYTES)
            for kind in (anchors.KIND_FREE, anchors.KIND_KEYFILE, anchors.KIND_STORE)
        ],
        "anchor-fingerprints": [anchors.encode_fingerprints((b"f" * 32,) * count) for count in (1, 2)],
        "anchor-state": [anchors.encode_state(state) for state in (None, anchors.StoreState(1, 2, A))],
        "outside": [outside.encode_head(outside.StatementHead(A, 4, 5), 100) + b"s" * 100],
        "outside-body": [
            outside.encode_body(
                outside.StatementBody(3, b"f" * 32, {key: anchors.StoreState(1, 2, A) for key in (A, B)})
            )
        ],
        "manifest": [_manifest(volume=volume) for volume in (False, True)],
        "manifest-body": [_manifest_body()],
        "manifest-keys": [_manifest_keys()],
        "begun": [begun.Begun(A, B, A, 7).encode()],
        "pack-header": [PACK_HEADER.encode()],
        "map-node": [
            bytes([level - 1]) + 3 * _row(pack.row_type(level), session=1, pack=2, offset=4096) for level in (1, 2)
        ],
        "snapshot-map": [2 * _row(pack.PAGE_ROW, session=1, offset=64)],
        "volume-pack": [_volume_pack(length) for length in (0, 15, 4096)],
        "volume": [VOLUME.encode()],
        "wrapped": [wrap(SecretKey(KEY), b"secret" * 6, "fuzz")],
        "known-nodes": [
            f"# ours\n\n{A.hex()} {KEY.hex()} node 1\n{B.hex()} {KEY.hex()} \n".encode(),
        ],
        "uri": [
            b"aws://us-east-1/alias/cmk",
            b"aws://eu-west-1/arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab",
            b"azure://vault/key/0123456789abcdef0123456789abcdef",
            b"https://vault.vault.azure.net/keys/key/0123456789abcdef0123456789abcdef",
            b"gcp://projects/p/locations/global/keyRings/r/cryptoKeys/k/cryptoKeyVersions/1",
            b"local:///etc/cmk",
            b"local+passphrase:///node-1",
        ],
        "backup-policy": [encode_policy(DEFAULT_POLICY).encode()],
        "envelope": [envelope.seal(AESGCM(KEY), envelope.Named(A, 1), b"plaintext", b"context", b"n" * 12)],
        "aws-request": [
            b'EncryptRequest\n{"KeyId": "alias/cmk", "Plaintext": "AAEC", "EncryptionContext": {"a": "b"}}',
            b'CreateKeyRequest\n{"Tags": [{"TagKey": "k", "TagValue": "v"}], "MultiRegion": true}',
            b'ListKeysRequest\n{"Limit": 100}',
        ],
        "sigv4": [f"/\n\n{SIGNED}\n20150830T123600Z\n{{}}".encode(), f"/a%20b/\n{PRESIGNED}\n\n\n".encode()],
        "policy": [b"\0" + json.dumps(POLICY).encode(), b"\1" + json.dumps(IDENTITY_POLICY).encode()],
        "seed-yaml": [SEED.encode()],
        "seed-json": [json.dumps({"version": 1, "users": [{"name": "a", "policy": IDENTITY_POLICY}]}).encode()],
        "stored-key": [_stored_key()],
        **log_targets.genuine(),
    }


def main() -> None:
    with patch.object(secrets, "token_bytes", Random(1).randbytes):
        found = made()
    for name, contents in found.items():
        place = CORPUS / name
        place.mkdir(parents=True, exist_ok=True)
        for path in place.glob(f"{GENUINE}*"):
            path.unlink()
        for number, content in enumerate(contents):
            (place / f"{GENUINE}{number}").write_bytes(content)


if __name__ == "__main__":
    main()
