"""What the sealed parts of a manifest say: the map part, and the key part (docs/FORMAT.md, section 12).

The map part tells what the snapshot holds and where the maps of its stores begin; the key part has the keys that its
pages open with. Every key in either is wrapped, so values of this module hold no secret.
"""

import struct
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Self

from keystore.format import layout
from keystore.format.cursor import Cursor, NotDecodableError, encode_field
from keystore.format.pack import NO_NODE, NODE_ROW
from keystore.format.record import SESSION_BYTES, SessionRecord

_DATABASE = struct.Struct("<16sQ")
_DATA_KEY = struct.Struct("<IQ")
_STORE = struct.Struct("<I16sIQQQ16sQB")
_STORE_PACK = struct.Struct("<IIQQ")
_PAGES = struct.Struct("<Q")
_ROOT_BYTES: Final = NODE_ROW.itemsize


@dataclass(frozen=True)
class DatabaseEntry:
    database_id: bytes
    name: str
    created_ns: int


@dataclass(frozen=True)
class SessionUse:
    """A session, and how many pages of the snapshot are sealed in it; at least one."""

    record: SessionRecord
    pages: int


@dataclass(frozen=True)
class StorePack:
    """A pack with pages or map nodes of one store.

    Attributes:
        number: what the rows of the map call it; the same in every snapshot that shares it.
        place: of the pack in the head's list.
        pages, nodes: how many of its pages and map nodes belong to this snapshot; not both zero.
        wrapped_key: the key of its map nodes, wrapped under the map key.
    """

    number: int
    place: int
    pages: int
    nodes: int
    wrapped_key: bytes


@dataclass(frozen=True)
class StoreEntry:
    """A store at its pinned moment.

    Attributes:
        database: place of its database in the list.
        page_count: number of the last page plus one.
        byte_length: the user's own length.
        sequence, tag: of the last record that the pinned state has.
        root: the row (`pack.NODE_ROW`) of the node that its map begins with, or of its only page; zeros where there is
            no page.
        uses: the sessions that a page of it is sealed in.
    """

    database: int
    store_id: bytes
    name: str
    page_size: int
    page_count: int
    byte_length: int
    sequence: int
    tag: bytes
    created_ns: int
    uses: tuple[SessionUse, ...]
    packs: tuple[StorePack, ...]
    root: bytes = NO_NODE

    @property
    def sessions(self) -> tuple[SessionRecord, ...]:
        return tuple(use.record for use in self.uses)

    @property
    def pages(self) -> int:
        """Pages that are not holes."""
        return sum(pack.pages for pack in self.packs)

    @property
    def height(self) -> int:
        """Level of the root."""
        return layout.height(self.page_count, self.page_size)


@dataclass(frozen=True)
class ManifestBody:
    """The map part."""

    node_name: str
    databases: tuple[DatabaseEntry, ...]
    stores: tuple[StoreEntry, ...]

    def encode(self) -> bytes:
        parts = [encode_field(self.node_name.encode()), _count(self.databases), *map(_encode_database, self.databases)]
        parts += [_count(self.stores), *map(_encode_store, self.stores)]
        return b"".join(parts)

    @classmethod
    def decode(cls, data: bytes | bytearray, packs: int) -> Self:
        """Read a map part whose head lists `packs` packs.

        Raises:
            NotDecodableError: a length or a count does not fit, or something is named twice or not at all (S-7).
        """
        cursor = Cursor(data)
        node_name = cursor.text("the name of the node")
        databases = tuple(
            _decode_database(cursor) for _ in range(cursor.count("databases", row_bytes_min=_DATABASE.size + 4))
        )
        stores = tuple(
            _decode_store(cursor, len(databases))
            for _ in range(cursor.count("stores", row_bytes_min=_STORE.size + 12 + _ROOT_BYTES))
        )
        cursor.end()
        for what, ids in (("database", [d.database_id for d in databases]), ("store", [s.store_id for s in stores])):
            if len(set(ids)) != len(ids):
                raise NotDecodableError(f"a {what} is in it twice")
        if sorted(pack.place for store in stores for pack in store.packs) != list(range(packs)):
            raise NotDecodableError("its stores do not name each pack of the head once")
        return cls(node_name, databases, stores)


@dataclass(frozen=True)
class DataKeyEntry:
    """One generation of a database's data key, wrapped under the snapshot key."""

    generation: int
    created_ns: int
    wrapped: bytes


@dataclass(frozen=True)
class ManifestKeys:
    """The key part.

    Attributes:
        map_key: the key of the map part, wrapped under the snapshot key.
        data_keys: of each database of the map part, in its order.
    """

    map_key: bytes
    data_keys: tuple[tuple[DataKeyEntry, ...], ...]

    def encode(self) -> bytes:
        rows = [_count(keys) + b"".join(map(_encode_data_key, keys)) for keys in self.data_keys]
        return encode_field(self.map_key) + _count(self.data_keys) + b"".join(rows)

    @classmethod
    def decode(cls, data: bytes | bytearray) -> Self:
        """Raises `NotDecodableError` where a length or a count does not fit."""
        cursor = Cursor(data)
        map_key = cursor.field("the wrapped map key")
        data_keys = tuple(
            tuple(_decode_data_key(cursor) for _ in range(cursor.count("data keys", row_bytes_min=_DATA_KEY.size + 4)))
            for _ in range(cursor.count("databases", row_bytes_min=4))
        )
        cursor.end()
        return cls(map_key, data_keys)


def _count(rows: tuple[object, ...]) -> bytes:
    return len(rows).to_bytes(4, "little")


def _encode_database(entry: DatabaseEntry) -> bytes:
    return _DATABASE.pack(entry.database_id, entry.created_ns) + encode_field(entry.name.encode())


def _decode_database(cursor: Cursor) -> DatabaseEntry:
    database_id, created_ns = cursor.unpack(_DATABASE, "a database")
    return DatabaseEntry(database_id, cursor.text("the name of a database"), created_ns)


def _encode_data_key(entry: DataKeyEntry) -> bytes:
    return _DATA_KEY.pack(entry.generation, entry.created_ns) + encode_field(entry.wrapped)


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
        entry.tag,
        entry.created_ns,
        entry.height,
    )
    sessions = b"".join(use.record.encode() + _PAGES.pack(use.pages) for use in entry.uses)
    packs = b"".join(
        _STORE_PACK.pack(pack.number, pack.place, pack.pages, pack.nodes) + encode_field(pack.wrapped_key)
        for pack in entry.packs
    )
    rows = _count(entry.uses) + sessions + _count(entry.packs) + packs
    return fixed + encode_field(entry.name.encode()) + rows + entry.root


def _decode_store(cursor: Cursor, databases: int) -> StoreEntry:
    database, store_id, page_size, page_count, *rest, height = cursor.unpack(_STORE, "a store")
    if database >= databases or page_size not in layout.PAGE_SIZES_BYTES or page_count > layout.PAGES_MAX:
        raise NotDecodableError("a store names no database, or has an impossible size")
    byte_length, sequence, tag, created_ns = rest
    name = cursor.text("the name of a store")
    uses = tuple(
        _decode_use(cursor) for _ in range(cursor.count("sessions", row_bytes_min=SESSION_BYTES + _PAGES.size))
    )
    packs = tuple(
        _decode_store_pack(cursor) for _ in range(cursor.count("packs of a store", row_bytes_min=_STORE_PACK.size + 4))
    )
    root = cursor.take(_ROOT_BYTES, "the root of a map")
    entry = StoreEntry(
        database, store_id, name, page_size, page_count, byte_length, sequence, tag, created_ns, uses, packs, root
    )
    _require_consistent(entry, height)
    return entry


def _require_consistent(entry: StoreEntry, height: int) -> None:
    if height != entry.height or not _rise([pack.number for pack in entry.packs]):
        raise NotDecodableError("the level of a root, or the order of packs, is not what it must be")
    if not _rise([session.number for session in entry.sessions]) or sum(use.pages for use in entry.uses) != entry.pages:
        raise NotDecodableError("the sessions of a store do not rise, or have not as many pages as its packs")
    if (entry.root == NO_NODE) != (not entry.packs):
        raise NotDecodableError("a store has packs without a map, or a map without packs")


def _decode_use(cursor: Cursor) -> SessionUse:
    record = SessionRecord.decode(cursor.take(SESSION_BYTES, "a session"))
    (pages,) = cursor.unpack(_PAGES, "the pages of a session")
    if not pages:
        raise NotDecodableError("a session without a page")
    return SessionUse(record, pages)


def _decode_store_pack(cursor: Cursor) -> StorePack:
    number, place, pages, nodes = cursor.unpack(_STORE_PACK, "a pack of a store")
    if not pages + nodes:
        raise NotDecodableError("a pack that nothing of the snapshot lies in")
    return StorePack(number, place, pages, nodes, cursor.field("a wrapped pack key"))


def _rise(numbers: list[int]) -> bool:
    return all(one < other for one, other in pairwise(numbers))
