"""The keystore file, bytes to values and back.

Leaves to `keystore.keys`: the keys themselves, and sealing. Key bytes come in and go out as views of buffers that the
caller wipes. All integers are unsigned and little-endian; a *field* is a length (u32), then that many bytes; *text* is
a field in UTF-8.

- **K-1** The file is `head | sealed body | SHA-256 of both`. Head: magic `CMKKEYFL`, version u16 = 4, suite u16 = 1,
  head bytes u32, body bytes u32, file generation u64, node id 16, master generation u32, time written u64 (ns since
  1970), master-key commitment 16; then the fields provider (text), key URI (text), key version (text), wrapped secret.
- **K-2** The lengths in the head add up to the length of the file, and a head has at most 16384 bytes. What is longer,
  shorter or unknown is refused.
- **K-3** The checksum is compared first. It protects from nothing but accidents: it tells a damaged file from a wrong
  key, without asking a KMS about what a damaged file says.
- **K-4** The body is sealed under the master key with the whole head as associated data, under a fresh salt at every
  writing.
- **K-5** Body: node name (text), time of init u64, anchor key 32, volume id 16 (zeros where the node has no volume
  layer), change of the volume layer u8 (0: none, 1: it is coming, 2: it is going), outside anchor (text: its place, or
  empty), each commit u8 (0 or 1: whether every commit is stated to it), signing seed 32 (Ed25519), snapshot secret 32,
  log place (text, or empty: there is no log), log window u32 (days), count u32 of databases; each: id 16, name (text),
  time u64, count u32 of data keys (generation u32, decrypt-only u8, time u64, seals u64, key 32), count u32 of
  destroyed data keys (generation u32, time u64, time of destruction u64, name for people 8), shredded u8; if that is 1:
  time u64, SHA-256 of the file before 32, its master generation u32, number of stores u32; number below which data keys
  are to be left u32 (0: none are); then count u32 of stores (id 16, name (text), page size u32, time u64). Nothing
  follows.
- **K-6** Names of databases are unique, and those of stores in their database; ids are unique in the file. The
  generations of a database's data keys rise; all but the last are decrypt-only, and the last is not. Generations of
  destroyed data keys rise, are no data key's, and lie below the last of those. A database is shredded exactly if it has
  no data key; then it has no store.
- **K-7** Databases and stores stand in the order of their names, so that the same values give the same body.
- **K-8** Version 1 differs in the body only: there is no volume id and no outside anchor, a data key has no count of
  seals (0 is meant), and a database neither destroyed data keys nor the mark of being shredded. It is read and never
  written.
- **K-11** Version 2 differs in the body only, and so does version 1 beside what K-8 says: there is no signing seed, no
  snapshot secret and no log. It is read and never written.
- **K-12** The log window is 0 exactly where there is no log.
- **K-14** Version 3 differs in the body only, and so do versions 1 and 2 beside what K-8 and K-11 say: there is no
  change of the volume layer and no data key to be left (0 is meant). It is read and never written. The change is 0
  where there is no volume layer.
- **K-15** The number below which data keys are to be left is 0, or at most that of the current one.
"""

import hashlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from keystore.format.cursor import Cursor, NotDecodableError, encode_field
from keystore.format.layout import PAGE_SIZES_BYTES
from keystore.format.volume import NO_VOLUME
from keystore.format.wrapped import WrappedKey

MAGIC: Final = b"CMKKEYFL"
VERSION: Final = 4
VERSIONS: Final = (1, 2, 3, 4)
IDENTITY_VERSION: Final = 3
"""The first one with the keys of a node for its snapshots (K-11)."""
SUITE: Final = 1
"""AES-256-GCM, HKDF-SHA256."""

VOLUME_SETTLED: Final = 0
VOLUME_COMING: Final = 1
VOLUME_GOING: Final = 2
"""Whether all stores have the volume layer that the body names, are to get it, or are to lose it (K-14)."""

ID_BYTES: Final = 16
KEY_BYTES: Final = 32
COMMITMENT_BYTES: Final = 16
CHECKSUM_BYTES: Final = 32
KEY_NAME_BYTES: Final = 8

FILE_BYTES_MAX: Final = 1 << 28
"""LIMIT: bytes of a keystore file, some two million stores; a longer one is refused before it is read."""

HEAD_BYTES_MAX: Final = 1 << 14
"""LIMIT: bytes of a head; key URI (2048), wrapped key (6144) and key version fit twice."""

_HEAD = struct.Struct("<8sHHIIQ16sIQ16s")
_U32 = struct.Struct("<I")
_DATA_KEY_1 = struct.Struct("<IBQ")
_DATA_KEY = struct.Struct("<IBQQ")
_DESTROYED = struct.Struct(f"<IQQ{KEY_NAME_BYTES}s")
_SHREDDED = struct.Struct("<Q32sII")
_STORE = struct.Struct("<IQ")
_DATABASE_BYTES_MIN = ID_BYTES + 4 + 8 + 4 + 4
_DATA_KEY_BYTES_MIN = _DATA_KEY_1.size + KEY_BYTES
_STORE_BYTES_MIN = ID_BYTES + 4 + _STORE.size


@dataclass(frozen=True)
class Head:
    """The clear part of a keystore file: what is needed to ask the KMS for the master key, and nothing secret."""

    file_generation: int
    node_id: bytes
    master_generation: int
    written_ns: int
    commitment: bytes
    wrapped: WrappedKey


@dataclass(frozen=True)
class StoreRecord:
    """A store in the catalogue of its database."""

    store_id: bytes
    name: str
    page_size: int
    created_ns: int


@dataclass(frozen=True)
class DataKeyRow:
    generation: int
    decrypt_only: bool
    created_ns: int
    seals: int
    key: memoryview


@dataclass(frozen=True)
class DestroyedKey:
    """What is kept of a data key that was destroyed: everything but the key.

    Attributes:
        name: tells one key from another and reveals nothing.
    """

    generation: int
    created_ns: int
    destroyed_ns: int
    name: bytes


@dataclass(frozen=True)
class ShredRecord:
    """When all data keys of a database were destroyed, and what the node had before.

    Attributes:
        former_fingerprint: SHA-256 of the last keystore file that held the data keys.
        former_master: generation of the master key that sealed it.
        stores: how many there were.
    """

    shredded_ns: int
    former_fingerprint: bytes
    former_master: int
    stores: int


@dataclass(frozen=True)
class DatabaseRow:
    database_id: bytes
    name: str
    created_ns: int
    data_keys: Sequence[DataKeyRow]
    stores: Sequence[StoreRecord]
    destroyed: Sequence[DestroyedKey] = ()
    shredded: ShredRecord | None = None
    left_below: int = 0


@dataclass(frozen=True)
class IdentityRow:
    """The keys of a node for its snapshots: the seed that signs them, and the secret that opens their maps."""

    signing_seed: memoryview
    snapshot_secret: memoryview


@dataclass(frozen=True)
class Body:
    """The values of a body.

    Attributes:
        identity: None where the file is of a version that has none (K-11).
    """

    node_name: str
    created_ns: int
    anchor_key: memoryview
    volume_id: bytes
    databases: Sequence[DatabaseRow]
    identity: IdentityRow | None
    outside_anchor: str = ""
    outside_each_commit: bool = False
    log_place: str = ""
    log_window_days: int = 0
    volume_change: int = 0


@dataclass(frozen=True)
class KeyFileParts:
    """A keystore file taken apart; `head_bytes` is the associated data of `sealed_body`."""

    head: Head
    head_bytes: bytes
    sealed_body: bytes
    version: int = VERSION


def encode_head(head: Head, body_bytes: int) -> bytes:
    """Return the head for a sealed body of `body_bytes` bytes (K-1)."""
    wrapped = head.wrapped
    fields = b"".join(
        encode_field(field)
        for field in (
            wrapped.provider.encode(),
            wrapped.key_id.encode(),
            wrapped.key_version.encode(),
            wrapped.ciphertext,
        )
    )
    fixed = _HEAD.pack(
        MAGIC,
        VERSION,
        SUITE,
        _HEAD.size + len(fields),
        body_bytes,
        head.file_generation,
        head.node_id,
        head.master_generation,
        head.written_ns,
        head.commitment,
    )
    return fixed + fields


def join(head_bytes: bytes, sealed_body: bytes) -> bytes:
    """Return the whole file."""
    content = head_bytes + sealed_body
    return content + hashlib.sha256(content).digest()


def split(data: bytes) -> KeyFileParts:
    """Take a file apart, without any key.

    Raises:
        NotDecodableError: it is no keystore file, or was changed or cut (K-1 to K-3).
    """
    cursor = Cursor(data)
    magic, version, suite, head_bytes, body_bytes, *fixed = cursor.unpack(_HEAD, "the head")
    if magic != MAGIC:
        raise NotDecodableError("it does not begin like a keystore file")
    if hashlib.sha256(data[:-CHECKSUM_BYTES]).digest() != data[-CHECKSUM_BYTES:]:
        raise NotDecodableError("its checksum does not match")
    if version not in VERSIONS or suite != SUITE:
        known = ", ".join(str(each) for each in VERSIONS)
        raise NotDecodableError(
            f"it has version {version}, suite {suite}; this program knows versions {known}, suite 1"
        )
    if head_bytes > HEAD_BYTES_MAX or head_bytes + body_bytes + CHECKSUM_BYTES != len(data):
        raise NotDecodableError(f"it has {len(data)} bytes; its head says {head_bytes + body_bytes + CHECKSUM_BYTES}")
    wrapped = WrappedKey(
        cursor.text("the provider"), cursor.text("the key URI"), cursor.text("the key version"), cursor.field("the key")
    )
    if cursor.at != head_bytes:
        raise NotDecodableError(f"its head has {cursor.at} bytes and says {head_bytes}")
    file_generation, node_id, master_generation, written_ns, commitment = fixed
    head = Head(file_generation, node_id, master_generation, written_ns, commitment, wrapped)
    return KeyFileParts(head, data[:head_bytes], data[head_bytes : head_bytes + body_bytes], version)


def encode_body(body: Body) -> bytearray:
    """Return the body in clear (K-5, K-7); the caller wipes it.

    Raises:
        ValueError: it has no identity.
    """
    if body.identity is None:
        raise ValueError("a keystore file without the keys of its node's snapshots is never written")
    # Joined at once: a buffer that grew would leave copies of keys where it had been.
    out: list[bytes | memoryview] = []
    out.append(encode_field(body.node_name.encode()))
    out.append(body.created_ns.to_bytes(8, "little"))
    out.append(body.anchor_key)
    out.append(body.volume_id)
    out.append(bytes([body.volume_change]))
    out.append(encode_field(body.outside_anchor.encode()))
    out.append(bytes([body.outside_each_commit]))
    out.append(body.identity.signing_seed)
    out.append(body.identity.snapshot_secret)
    out.append(encode_field(body.log_place.encode()))
    out.append(_U32.pack(body.log_window_days))
    out.append(_U32.pack(len(body.databases)))
    for database in sorted(body.databases, key=lambda row: row.name):
        _encode_database(out, database)
    return bytearray().join(out)


def _encode_database(out: list[bytes | memoryview], database: DatabaseRow) -> None:
    out.append(database.database_id)
    out.append(encode_field(database.name.encode()))
    out.append(database.created_ns.to_bytes(8, "little"))
    out.append(_U32.pack(len(database.data_keys)))
    for row in database.data_keys:
        out.append(_DATA_KEY.pack(row.generation, row.decrypt_only, row.created_ns, row.seals))
        out.append(row.key)
    out.append(_U32.pack(len(database.destroyed)))
    for key in database.destroyed:
        out.append(_DESTROYED.pack(key.generation, key.created_ns, key.destroyed_ns, key.name))
    out.append(bytes([database.shredded is not None]))
    if database.shredded is not None:
        shredded = database.shredded
        out.append(
            _SHREDDED.pack(shredded.shredded_ns, shredded.former_fingerprint, shredded.former_master, shredded.stores)
        )
    out.append(_U32.pack(database.left_below))
    out.append(_U32.pack(len(database.stores)))
    for store in sorted(database.stores, key=lambda record: record.name):
        out.append(store.store_id)
        out.append(encode_field(store.name.encode()))
        out.append(_STORE.pack(store.page_size, store.created_ns))


def decode_body(data: bytearray, version: int = VERSION) -> Body:
    """Return the values of a body; its keys are views of `data`, which the caller wipes.

    Raises:
        NotDecodableError: it breaks K-5 to K-15.
    """
    cursor = Cursor(data)
    name = cursor.text("the node name")
    created_ns = _u64(cursor, "the time of init")
    anchor_key = cursor.view(KEY_BYTES, "the anchor key")
    volume_id = NO_VOLUME if version == 1 else cursor.take(ID_BYTES, "the volume id")
    volume_change = _decode_volume_change(cursor, volume_id) if version >= 4 else 0
    outside, each_commit = _decode_outside(cursor) if version >= 2 else ("", False)
    identity = _decode_identity(cursor) if version >= IDENTITY_VERSION else None
    log_place, log_window_days = _decode_log(cursor) if version >= 3 else ("", 0)
    databases = [_decode_database(cursor, version) for _ in range(cursor.count("databases", _DATABASE_BYTES_MIN))]
    cursor.end()
    _require_rising([database.name for database in databases], "names of databases")
    ids = [database.database_id for database in databases]
    ids += [store.store_id for database in databases for store in database.stores]
    if len(set(ids)) != len(ids):
        raise NotDecodableError("an id appears twice")
    return Body(
        name,
        created_ns,
        anchor_key,
        volume_id,
        databases,
        identity,
        outside,
        each_commit,
        log_place,
        log_window_days,
        volume_change,
    )


def _decode_volume_change(cursor: Cursor, volume_id: bytes) -> int:
    change = cursor.take(1, "the change of the volume layer")[0]
    if change > (VOLUME_SETTLED if volume_id == NO_VOLUME else VOLUME_GOING):
        raise NotDecodableError(f"the change {change} of a volume layer")
    return change


def _decode_outside(cursor: Cursor) -> tuple[str, bool]:
    place, each_commit = cursor.text("the outside anchor"), cursor.take(1, "the mark of each commit")[0]
    if each_commit > 1:
        raise NotDecodableError(f"the mark {each_commit} of each commit")
    return place, bool(each_commit)


def _decode_identity(cursor: Cursor) -> IdentityRow:
    return IdentityRow(cursor.view(KEY_BYTES, "the signing seed"), cursor.view(KEY_BYTES, "the snapshot secret"))


def _decode_log(cursor: Cursor) -> tuple[str, int]:
    place, window_days = cursor.text("the log place"), int(cursor.unpack(_U32, "the log window")[0])
    if bool(place) != bool(window_days):
        raise NotDecodableError(f"a log of {window_days} days in the place {place!r}")
    return place, window_days


def _decode_database(cursor: Cursor, version: int) -> DatabaseRow:
    database_id = cursor.take(ID_BYTES, "a database id")
    name = cursor.text("a database name")
    created_ns = _u64(cursor, "the time of a database")
    keys = [_decode_data_key(cursor, version) for _ in range(cursor.count("data keys", _DATA_KEY_BYTES_MIN))]
    destroyed, shredded = _decode_destroyed(cursor) if version >= 2 else ([], None)
    left_below = int(cursor.unpack(_U32, "the data keys to be left")[0]) if version >= 4 else 0
    stores = [_decode_store(cursor) for _ in range(cursor.count("stores", _STORE_BYTES_MIN))]
    row = DatabaseRow(database_id, name, created_ns, keys, stores, destroyed, shredded, left_below)
    _require_generations(row)
    _require_rising([store.name for store in stores], "names of stores")
    return row


def _decode_data_key(cursor: Cursor, version: int) -> DataKeyRow:
    fixed = cursor.unpack(_DATA_KEY if version >= 2 else _DATA_KEY_1, "a data key")
    generation, decrypt_only, created_ns, seals = (*fixed, 0)[:4]
    if generation == 0 or decrypt_only > 1:
        raise NotDecodableError(f"a data key has generation {generation} and the mark {decrypt_only}")
    return DataKeyRow(generation, bool(decrypt_only), created_ns, seals, cursor.view(KEY_BYTES, "a data key"))


def _decode_destroyed(cursor: Cursor) -> tuple[list[DestroyedKey], ShredRecord | None]:
    count = cursor.count("destroyed data keys", _DESTROYED.size)
    destroyed = [DestroyedKey(*cursor.unpack(_DESTROYED, "a destroyed data key")) for _ in range(count)]
    mark = cursor.take(1, "the mark of a shredded database")[0]
    if mark > 1:
        raise NotDecodableError(f"a database has the mark {mark}")
    return destroyed, ShredRecord(*cursor.unpack(_SHREDDED, "a shredded database")) if mark else None


def _require_generations(row: DatabaseRow) -> None:
    """K-6, for one database."""
    keys, gone = [key.generation for key in row.data_keys], [key.generation for key in row.destroyed]
    _require_rising(keys, "generations of data keys")
    _require_rising(gone, "generations of destroyed data keys")
    if 0 in gone:
        raise NotDecodableError("a destroyed data key has generation 0")
    if row.shredded is not None:
        if keys or row.stores or not gone:
            raise NotDecodableError("a shredded database has no data key, no store, and what was destroyed")
    elif not keys or [key.decrypt_only for key in row.data_keys] != [True] * (len(keys) - 1) + [False]:
        raise NotDecodableError("the last data key of a database, and no other, must be for writing")
    elif set(keys) & set(gone) or max(gone, default=0) > keys[-1]:
        raise NotDecodableError("a data key that was destroyed is there, or came after the last one")
    if row.left_below > max(keys, default=0):
        raise NotDecodableError("the data keys to be left have the current one among them")


def _decode_store(cursor: Cursor) -> StoreRecord:
    store_id = cursor.take(ID_BYTES, "a store id")
    name = cursor.text("a store name")
    page_size, created_ns = cursor.unpack(_STORE, "a store")
    if page_size not in PAGE_SIZES_BYTES:
        raise NotDecodableError(f"a store has the page size {page_size}")
    return StoreRecord(store_id, name, page_size, created_ns)


def _u64(cursor: Cursor, what: str) -> int:
    return int.from_bytes(cursor.take(8, what), "little")


def _require_rising(values: Sequence[int] | Sequence[str], what: str) -> None:
    if any(not before < after for before, after in pairwise(values)):  # type: ignore[operator]
        raise NotDecodableError(f"the {what} do not rise")
