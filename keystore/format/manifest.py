"""The manifest of a snapshot: clear head, sealed map part, sealed key part, signature, checksum (docs/FORMAT.md, 12).

The head tells everybody which key a restore needs and which packs must be there. What the sealed parts say is in
`keystore.format.snapshot_map`.

Leaves to others: sealing and opening the parts, signing and verifying (`keystore.snapshots`).
"""

import hashlib
import struct
from dataclasses import dataclass
from typing import Final, Self

from keystore.format.cursor import Cursor, NotDecodableError, encode_field
from keystore.format.kind import SnapshotKind
from keystore.format.volume import VolumeRecord
from keystore.format.wrapped import WrappedKey

MAGIC: Final = b"CMKSNAPS"
VERSION: Final = 2
SUITE: Final = 1
"""AES-256-GCM, HKDF-SHA256, Ed25519."""

MANIFEST_BYTES_MAX: Final = 64 << 20
"""LIMIT: bytes of a manifest, read whole; 64 MiB hold some 200,000 stores, or packs of 200 TiB."""

CHECKSUM_BYTES: Final = 32
SIGNATURE_BYTES: Final = 64
NO_PARENT: Final = bytes(16)
NEVER: Final = 0
"""The time of expiry of a snapshot that is kept until somebody deletes it."""

_HEAD = struct.Struct("<8sBBBBIIIII16s16s16s16sQQQQ32s32s")
_VOLUME = 1
"""Flag: the packs have the volume layer, and its record is the last field before the packs."""
_PACK = struct.Struct("<16sQ32s")


class UnknownVersionError(NotDecodableError):
    """A manifest of another version or suite: nothing is wrong with it, this program cannot read it."""


@dataclass(frozen=True)
class LogPosition:
    """How far the point-in-time log of the node had come.

    Attributes:
        number: of the last segment; 0 where there is no log.
        digest: SHA-256 of that segment, or zeros.
    """

    number: int = 0
    digest: bytes = bytes(32)


NO_LOG: Final = LogPosition()


@dataclass(frozen=True)
class PackObject:
    """A pack as everybody may know it.

    Attributes:
        digest: SHA-256 of all its bytes.
    """

    pack_id: bytes
    byte_length: int
    digest: bytes


@dataclass(frozen=True)
class ManifestHead:
    """The clear part.

    Attributes:
        created_ns, expires_ns: nanoseconds since 1970; `NEVER` for no expiry.
        era: generation of the node's master key at that moment.
        commitment: of that master key.
        parent: id of the snapshot that this one shares packs with; `NO_PARENT` for a full one.
        signer: public key of the node (Ed25519).
        wrapped: that master key as the CMK wrapped it; its `key_id` is the Encryption Key ID.
        credential: what the credentials of that day are called; never a secret.
        logical_bytes: the users' own bytes in all stores.
        packs: every pack that a page or node of the map of this snapshot lies in.
        volume: the volume key under which the packs are encrypted a second time, if they are.
    """

    snapshot_id: bytes
    node_id: bytes
    created_ns: int
    era: int
    commitment: bytes
    signer: bytes
    wrapped: WrappedKey
    packs: tuple[PackObject, ...]
    parent: bytes = NO_PARENT
    kind: SnapshotKind = SnapshotKind.ON_DEMAND
    expires_ns: int = NEVER
    logical_bytes: int = 0
    credential: str = ""
    log: LogPosition = NO_LOG
    volume: VolumeRecord | None = None

    @property
    def pack_bytes(self) -> int:
        """Bytes of all packs that it names, shared ones too."""
        return sum(pack.byte_length for pack in self.packs)

    def encode(self, map_bytes: int, key_bytes: int) -> bytes:
        """Return the head of a manifest whose sealed parts have these lengths."""
        wrapped = self.wrapped
        texts = (wrapped.provider, wrapped.key_id, wrapped.key_version)
        rest = b"".join(encode_field(text.encode()) for text in texts)
        rest += encode_field(wrapped.ciphertext) + encode_field(self.credential.encode())
        rest += encode_field(self.volume.encode()) if self.volume else b""
        rest += b"".join(_PACK.pack(pack.pack_id, pack.byte_length, pack.digest) for pack in self.packs)
        return _HEAD.pack(
            MAGIC,
            VERSION,
            SUITE,
            self.kind,
            _VOLUME if self.volume else 0,
            _HEAD.size + len(rest),
            map_bytes,
            key_bytes,
            self.era,
            len(self.packs),
            self.snapshot_id,
            self.node_id,
            self.parent,
            self.commitment,
            self.created_ns,
            self.expires_ns,
            self.logical_bytes,
            self.log.number,
            self.log.digest,
            self.signer,
        ) + rest  # fmt: skip

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read an encoded head; nothing may follow it.

        Raises:
            NotDecodableError: it is none, or a count or length does not fit (S-7).
            UnknownVersionError: it is one of another version or suite.
        """
        length = _lengths(data)[0]
        cursor = Cursor(data)
        _, _, _, kind, flags, _, _, _, era, packs, *fixed = cursor.unpack(_HEAD, "the head")
        snapshot_id, node_id, parent, commitment, created_ns, expires_ns, logical_bytes, *log, signer = fixed
        wrapped = WrappedKey(
            cursor.text("the provider"),
            cursor.text("the key id"),
            cursor.text("the key version"),
            cursor.field("the wrapped master key"),
        )
        credential = cursor.text("the credential reference")
        volume = VolumeRecord.decode(cursor.field("the volume key")) if flags & _VOLUME else None
        if packs * _PACK.size != len(data) - cursor.at:
            raise NotDecodableError(f"{packs} packs do not fill {len(data) - cursor.at} bytes")
        rows = tuple(PackObject(*cursor.unpack(_PACK, "a pack")) for _ in range(packs))
        if length != len(data) or flags & ~_VOLUME or kind not in set(SnapshotKind):
            raise NotDecodableError("its length, a flag or its kind is unknown")
        if len({row.pack_id for row in rows}) != packs:
            raise NotDecodableError("it names a pack twice")
        return cls(
            snapshot_id, node_id, created_ns, era, commitment, signer, wrapped, rows, parent, SnapshotKind(kind),
            expires_ns, logical_bytes, credential, LogPosition(*log), volume,
        )  # fmt: skip


@dataclass(frozen=True)
class ManifestParts:
    """A manifest, taken apart; every part as it is in the file."""

    head: bytes
    sealed_map: bytes
    sealed_keys: bytes
    signature: bytes

    @property
    def signed(self) -> bytes:
        """What the signature is over."""
        return self.head + self.sealed_map + self.sealed_keys

    def join(self) -> bytes:
        """Return the file."""
        content = self.signed + self.signature
        return content + hashlib.sha256(content).digest()

    @classmethod
    def split(cls, data: bytes) -> Self:
        """Take a manifest apart.

        The checksum finds accidents without a key; what somebody changed on purpose fails the signature.

        Raises:
            NotDecodableError: the checksum or a length does not fit (S-6).
            UnknownVersionError: another version or suite.
        """
        lengths = _lengths(data)
        content, checksum = data[:-CHECKSUM_BYTES], data[-CHECKSUM_BYTES:]
        if hashlib.sha256(content).digest() != checksum:
            raise NotDecodableError("its checksum does not match")
        cursor = Cursor(content)
        head, sealed_map, sealed_keys = (cursor.take(length, "a part") for length in lengths)
        signature = cursor.take(SIGNATURE_BYTES, "the signature")
        cursor.end()
        return cls(head, sealed_map, sealed_keys, signature)


def _lengths(data: bytes) -> tuple[int, int, int]:
    """Return the lengths of head, map part and key part, from the start of a head."""
    if len(data) < _HEAD.size:
        raise NotDecodableError(f"{len(data)} bytes; a manifest has at least {_HEAD.size}")
    magic, version, suite, _, _, *lengths = _HEAD.unpack_from(data)[:8]
    if magic != MAGIC:
        raise NotDecodableError("the magic of a manifest is missing")
    if (version, suite) != (VERSION, SUITE):
        raise UnknownVersionError(f"manifest version {version}, suite {suite}; this program knows {VERSION}, {SUITE}")
    head, map_bytes, key_bytes = lengths
    if head < _HEAD.size:
        raise NotDecodableError(f"a head of {head} bytes")
    return int(head), int(map_bytes), int(key_bytes)
