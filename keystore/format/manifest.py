"""The manifest of a snapshot: a clear head, a sealed body, a checksum (docs/FORMAT.md, "Snapshots").

The head tells everybody which key a restore needs and which objects must be there; the body, sealed under the snapshot
key with the head as associated data, tells what the snapshot holds. Every key in a body is wrapped, so values of this
module hold no secret.

Leaves to others: deriving the snapshot key, sealing and opening the body (`keystore.snapshots`).
"""

import hashlib
import struct
from dataclasses import dataclass
from typing import Final, Self

from keystore.format import layout
from keystore.format.cursor import Cursor, NotDecodableError, encode_field
from keystore.format.record import SESSION_BYTES, SessionRecord
from keystore.format.volume import VolumeRecord
from keystore.format.wrapped import WrappedKey

MAGIC: Final = b"CMKSNAPS"
VERSION: Final = 1
SUITE: Final = 1
"""AES-256-GCM, HKDF-SHA256."""

MANIFEST_BYTES_MAX: Final = 64 << 20
"""LIMIT: bytes of a manifest, read whole; 64 MiB hold some 200,000 stores."""

CHECKSUM_BYTES: Final = 32
NO_PARENT: Final = bytes(16)

_HEAD = struct.Struct("<8sBBHI16s16sQII16s16s")
_VOLUME = 1
"""Flag: the packs that this snapshot wrote have the volume layer, and its record is the last field before the packs."""
_PACK = struct.Struct("<16s16sQ32s")
_DATABASE = struct.Struct("<16sQ")
_DATA_KEY = struct.Struct("<IQ")
_STORE = struct.Struct("<I16sIQQQQ")
_STORE_PACK = struct.Struct("<IQQ")


class UnknownVersionError(NotDecodableError):
    """A manifest of a later version or suite: nothing is wrong with it, this program is too old."""


@dataclass(frozen=True)
class PackObject:
    """A pack as everybody may know it.

    Attributes:
        home: id of the snapshot that wrote it and in whose place it lies.
        digest: SHA-256 of all its bytes.
    """

    pack_id: bytes
    home: bytes
    byte_length: int
    digest: bytes


@dataclass(frozen=True)
class ManifestHead:
    """The clear part.

    Attributes:
        created_ns: nanoseconds since 1970.
        era: generation of the node's master key at that moment.
        commitment: of that master key.
        parent: id of the snapshot this one builds on; zeros in version 1.
        wrapped: that master key as the CMK wrapped it; its `key_id` is the Encryption Key ID.
        volume: the volume key under which the packs are encrypted a second time, if they are.
    """

    snapshot_id: bytes
    node_id: bytes
    created_ns: int
    era: int
    commitment: bytes
    parent: bytes
    wrapped: WrappedKey
    packs: tuple[PackObject, ...]
    volume: VolumeRecord | None = None

    def encode(self) -> bytes:
        rest = b"".join(
            encode_field(field)
            for field in (
                self.wrapped.provider.encode(),
                self.wrapped.key_id.encode(),
                self.wrapped.key_version.encode(),
                self.wrapped.ciphertext,
            )
        )
        rest += encode_field(self.volume.encode()) if self.volume else b""
        rest += b"".join(_PACK.pack(pack.pack_id, pack.home, pack.byte_length, pack.digest) for pack in self.packs)
        return _HEAD.pack(
            MAGIC,
            VERSION,
            SUITE,
            _VOLUME if self.volume else 0,
            _HEAD.size + len(rest),
            self.snapshot_id,
            self.node_id,
            self.created_ns,
            self.era,
            len(self.packs),
            self.commitment,
            self.parent,
        ) + rest  # fmt: skip

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read the head at the start of `data`; what follows it is not looked at."""
        length = head_bytes(data)
        cursor = Cursor(data[:length])
        flags, _, *fixed = cursor.unpack(_HEAD, "the head")[3:]
        snapshot_id, node_id, created_ns, era, packs, commitment, parent = fixed
        wrapped = WrappedKey(
            cursor.text("the provider"),
            cursor.text("the key id"),
            cursor.text("the key version"),
            cursor.field("the wrapped master key"),
        )
        volume = VolumeRecord.decode(cursor.field("the volume key")) if flags & _VOLUME else None
        if packs * _PACK.size != length - cursor.at:
            raise NotDecodableError(f"{packs} packs do not fill {length - cursor.at} bytes")
        rows = tuple(PackObject(*cursor.unpack(_PACK, "a pack")) for _ in range(packs))
        head = cls(snapshot_id, node_id, created_ns, era, commitment, parent, wrapped, rows, volume)
        if head.encode() != data[:length]:
            raise NotDecodableError("its flags are unknown")
        return head


def head_bytes(data: bytes) -> int:
    """Return the length of the head at the start of `data`.

    Raises:
        NotDecodableError: this is no manifest, or a cut one.
        UnknownVersionError: it is one of another version or suite.
    """
    if len(data) < _HEAD.size:
        raise NotDecodableError(f"{len(data)} bytes; a manifest has at least {_HEAD.size}")
    magic, version, suite, _, length = _HEAD.unpack_from(data)[:5]
    if magic != MAGIC:
        raise NotDecodableError("the magic of a manifest is missing")
    if (version, suite) != (VERSION, SUITE):
        raise UnknownVersionError(f"manifest version {version}, suite {suite}; this program knows {VERSION}, {SUITE}")
    if not _HEAD.size <= length <= len(data):
        raise NotDecodableError(f"a head of {length} bytes in {len(data)}")
    return int(length)


def encode_manifest(head: bytes, sealed_body: bytes) -> bytes:
    """Return the file: the encoded head, the sealed body, SHA-256 of both."""
    return head + sealed_body + hashlib.sha256(head + sealed_body).digest()


def split_manifest(data: bytes) -> tuple[bytes, bytes]:
    """Return the encoded head and the sealed body.

    The checksum finds accidents without a key; what somebody changed on purpose fails the seal of the body.

    Raises:
        NotDecodableError: the checksum or a length does not fit.
        UnknownVersionError: another version or suite.
    """
    length = head_bytes(data)
    content, checksum = data[:-CHECKSUM_BYTES], data[-CHECKSUM_BYTES:]
    if hashlib.sha256(content).digest() != checksum or length > len(content):
        raise NotDecodableError("its checksum does not match")
    return content[:length], content[length:]


@dataclass(frozen=True)
class DataKeyEntry:
    """One generation of a database's data key, wrapped under the snapshot key."""

    generation: int
    created_ns: int
    wrapped: bytes


@dataclass(frozen=True)
class DatabaseEntry:
    database_id: bytes
    name: str
    created_ns: int
    data_keys: tuple[DataKeyEntry, ...]


@dataclass(frozen=True)
class StorePack:
    """Pages of one store: the pack at `pack` in the head's list, and its key, wrapped under the snapshot key.

    A later one of the same store overrides an earlier one, page by page.
    """

    pack: int
    pages: int
    batches: int
    wrapped_key: bytes


@dataclass(frozen=True)
class StoreEntry:
    """A store at its pinned moment.

    Attributes:
        database: place of its database in the body's list.
        page_count: number of the last page plus one.
        byte_length: the user's own length.
    """

    database: int
    store_id: bytes
    name: str
    page_size: int
    page_count: int
    byte_length: int
    sequence: int
    created_ns: int
    sessions: tuple[SessionRecord, ...]
    packs: tuple[StorePack, ...]


@dataclass(frozen=True)
class ManifestBody:
    node_name: str
    databases: tuple[DatabaseEntry, ...]
    stores: tuple[StoreEntry, ...]

    def encode(self) -> bytes:
        parts = [encode_field(self.node_name.encode()), _count(self.databases), *map(_encode_database, self.databases)]
        parts += [_count(self.stores), *map(_encode_store, self.stores)]
        return b"".join(parts)

    @classmethod
    def decode(cls, data: bytes | bytearray, packs: int) -> Self:
        """Read a body whose head lists `packs` packs.

        Raises:
            NotDecodableError: a length, or a place in a list, does not fit.
        """
        cursor = Cursor(data)
        node_name = cursor.text("the name of the node")
        databases = tuple(
            _decode_database(cursor) for _ in range(cursor.count("databases", row_bytes_min=_DATABASE.size + 8))
        )
        stores = tuple(
            _decode_store(cursor, len(databases), packs)
            for _ in range(cursor.count("stores", row_bytes_min=_STORE.size + 12))
        )
        cursor.end()
        return cls(node_name, databases, stores)


def _count(rows: tuple[object, ...]) -> bytes:
    return len(rows).to_bytes(4, "little")


def _encode_database(entry: DatabaseEntry) -> bytes:
    keys = b"".join(
        _DATA_KEY.pack(key.generation, key.created_ns) + encode_field(key.wrapped) for key in entry.data_keys
    )
    return (
        _DATABASE.pack(entry.database_id, entry.created_ns)
        + encode_field(entry.name.encode())
        + _count(entry.data_keys)
        + keys
    )


def _decode_database(cursor: Cursor) -> DatabaseEntry:
    database_id, created_ns = cursor.unpack(_DATABASE, "a database")
    name = cursor.text("the name of a database")
    rows = cursor.count("data keys", row_bytes_min=_DATA_KEY.size + 4)
    keys = tuple(_decode_data_key(cursor) for _ in range(rows))
    return DatabaseEntry(database_id, name, created_ns, keys)


def _decode_data_key(cursor: Cursor) -> DataKeyEntry:
    generation, created_ns = cursor.unpack(_DATA_KEY, "a data key")
    return DataKeyEntry(generation, created_ns, cursor.field("a wrapped data key"))


def _encode_store(entry: StoreEntry) -> bytes:
    fixed = _STORE.pack(
        entry.database,
        entry.store_id,
        entry.page_size,
        entry.page_count,
        entry.byte_length,
        entry.sequence,
        entry.created_ns,
    )
    sessions = b"".join(session.encode() for session in entry.sessions)
    packs = b"".join(
        _STORE_PACK.pack(pack.pack, pack.pages, pack.batches) + encode_field(pack.wrapped_key) for pack in entry.packs
    )
    return fixed + encode_field(entry.name.encode()) + _count(entry.sessions) + sessions + _count(entry.packs) + packs


def _decode_store(cursor: Cursor, databases: int, packs: int) -> StoreEntry:
    database, store_id, page_size, page_count, byte_length, sequence, created_ns = cursor.unpack(_STORE, "a store")
    if database >= databases or page_size not in layout.PAGE_SIZES_BYTES or page_count > layout.PAGES_MAX:
        raise NotDecodableError("a store names no database, or has an impossible size")
    name = cursor.text("the name of a store")
    sessions = tuple(
        SessionRecord.decode(cursor.take(SESSION_BYTES, "a session"))
        for _ in range(cursor.count("sessions", row_bytes_min=SESSION_BYTES))
    )
    store_packs = tuple(
        _decode_store_pack(cursor) for _ in range(cursor.count("packs of a store", row_bytes_min=_STORE_PACK.size + 4))
    )
    if any(pack.pack >= packs for pack in store_packs):
        raise NotDecodableError("a store names a pack that the head does not list")
    return StoreEntry(
        database, store_id, name, page_size, page_count, byte_length, sequence, created_ns, sessions, store_packs
    )


def _decode_store_pack(cursor: Cursor) -> StorePack:
    pack, pages, batches = cursor.unpack(_STORE_PACK, "a pack of a store")
    return StorePack(pack, pages, batches, cursor.field("a wrapped pack key"))
