"""The body of a log segment: records of stores, changes of the catalogue, and the data keys that both need.

Every key in it is wrapped, so values of this module hold no secret. The ciphertext of the pages follows the segment's
front, in the order of the rows here (docs/FORMAT.md, "Point-in-time log").
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import numpy as np
import numpy.typing as npt

from keystore.format import layout
from keystore.format.cursor import Cursor, NotDecodableError, encode_field
from keystore.format.record import SESSION_BYTES, SessionRecord

ROW: Final = np.dtype([("page", "<u8"), ("session", "<u4"), ("nonce", "u1", (12,)), ("tag", "u1", (16,))])
"""A page of a record; 40 bytes, no padding. Session 0: the page became a hole, and the rest is zeros."""

_DATA_KEY = struct.Struct("<16sIQ")
_EVENT = struct.Struct("<BQQ16s16sIQ")
_STORE = struct.Struct("<16s16sI")
_RECORD = struct.Struct("<IQQ16s16sQQI")

Rows = npt.NDArray[np.void]
"""An array of `ROW`."""


class EventKind(IntEnum):
    """A change of the catalogue."""

    DATABASE_MADE = 1
    """A database, or one that was shredded, has a data key from now on."""
    STORE_MADE = 2
    """A store is in the catalogue from now on; one that was in it already has this name from now on."""
    STORE_DROPPED = 3
    DATABASE_SHREDDED = 4


@dataclass(frozen=True)
class Event:
    """A change of the catalogue, at `time_ns`, or at an unknown time after `since_ns` until then.

    Attributes:
        store_id: zeros, like `page_size`, where it is about a database.
        name: of the database or store.
        created_ns: when that was made.
    """

    kind: EventKind
    time_ns: int
    since_ns: int
    database_id: bytes
    store_id: bytes = bytes(16)
    page_size: int = 0
    created_ns: int = 0
    name: str = ""


@dataclass(frozen=True)
class LogDataKey:
    """One generation of a database's data key, wrapped under the log key."""

    database_id: bytes
    generation: int
    created_ns: int
    wrapped: bytes


@dataclass(frozen=True)
class LogStore:
    """A store of which the segment has records; `sessions` are those that their rows name."""

    store_id: bytes
    database_id: bytes
    page_size: int
    sessions: tuple[SessionRecord, ...]


@dataclass(frozen=True)
class LogRecord:
    """One commit of a store.

    Attributes:
        store: place of its store in the body's list.
        rows: an array of `ROW`; the ciphertext of those that are no holes follows in this order.
    """

    store: int
    sequence: int
    time_ns: int
    previous_tag: bytes
    tag: bytes
    page_count: int
    byte_length: int
    rows: Rows

    @property
    def pages(self) -> int:
        """Number of rows that are no holes."""
        return int(np.count_nonzero(self.rows["session"]))


@dataclass(frozen=True)
class LogBody:
    """What a segment holds.

    Attributes:
        wrapped_state_key: the key of the state part, wrapped under the log key.
    """

    wrapped_state_key: bytes
    data_keys: tuple[LogDataKey, ...]
    events: tuple[Event, ...]
    stores: tuple[LogStore, ...]
    records: tuple[LogRecord, ...]

    @property
    def ciphertext_bytes(self) -> int:
        """Bytes of the pages of all records."""
        return sum(record.pages * self.stores[record.store].page_size for record in self.records)

    def encode(self) -> bytes:
        parts = [encode_field(self.wrapped_state_key), _count(self.data_keys)]
        parts += [
            _DATA_KEY.pack(key.database_id, key.generation, key.created_ns) + encode_field(key.wrapped)
            for key in self.data_keys
        ]
        parts += [_count(self.events), *map(_encode_event, self.events), _count(self.stores)]
        for store in self.stores:
            parts.append(_STORE.pack(store.store_id, store.database_id, store.page_size))
            parts += [_count(store.sessions), *(session.encode() for session in store.sessions)]
        parts += [_count(self.records), *map(_encode_record, self.records)]
        return b"".join(parts)

    @classmethod
    def decode(cls, data: bytes | bytearray, ciphertext_bytes: int) -> "LogBody":
        """Read a body that so many bytes of pages belong to.

        Raises:
            NotDecodableError: it breaks L-8 to L-10.
        """
        cursor = Cursor(data)
        state_key = cursor.field("the wrapped state key")
        keys = tuple(_decode_data_key(cursor) for _ in range(cursor.count("data keys", _DATA_KEY.size + 4)))
        events = tuple(_decode_event(cursor) for _ in range(cursor.count("events", _EVENT.size + 4)))
        stores = tuple(_decode_store(cursor) for _ in range(cursor.count("stores", _STORE.size + 4)))
        records = tuple(_decode_record(cursor, stores) for _ in range(cursor.count("records", _RECORD.size)))
        cursor.end()
        body = cls(state_key, keys, events, stores, records)
        if body.ciphertext_bytes != ciphertext_bytes:
            raise NotDecodableError(f"its pages have {body.ciphertext_bytes} bytes, and the head says otherwise")
        _require_rising(records, stores)
        return body


def _count(rows: Sequence[object]) -> bytes:
    return len(rows).to_bytes(4, "little")


def _decode_data_key(cursor: Cursor) -> LogDataKey:
    database_id, generation, created_ns = cursor.unpack(_DATA_KEY, "a data key")
    return LogDataKey(database_id, generation, created_ns, cursor.field("a wrapped data key"))


def _encode_event(event: Event) -> bytes:
    return _EVENT.pack(
        event.kind,
        event.time_ns,
        event.since_ns,
        event.database_id,
        event.store_id,
        event.page_size,
        event.created_ns,
    ) + encode_field(event.name.encode())


def _decode_event(cursor: Cursor) -> Event:
    number, time_ns, since_ns, database_id, store_id, page_size, created_ns = cursor.unpack(_EVENT, "an event")
    name = cursor.text("the name in an event")
    if number not in list(EventKind):
        raise NotDecodableError(f"an event of kind {number}")
    event = Event(EventKind(number), time_ns, since_ns, database_id, store_id, page_size, created_ns, name)
    if event.since_ns > event.time_ns:
        raise NotDecodableError("an event that ends before it begins")
    if event.kind is EventKind.STORE_MADE and event.page_size not in layout.PAGE_SIZES_BYTES:
        raise NotDecodableError("a store has an impossible page size")
    return event


def _decode_store(cursor: Cursor) -> LogStore:
    store_id, database_id, page_size = cursor.unpack(_STORE, "a store")
    if page_size not in layout.PAGE_SIZES_BYTES:
        raise NotDecodableError("a store has an impossible page size")
    sessions = tuple(
        SessionRecord.decode(cursor.take(SESSION_BYTES, "a session"))
        for _ in range(cursor.count("sessions", SESSION_BYTES))
    )
    return LogStore(store_id, database_id, page_size, sessions)


def _encode_record(record: LogRecord) -> bytes:
    fixed = _RECORD.pack(
        record.store,
        record.sequence,
        record.time_ns,
        record.previous_tag,
        record.tag,
        record.page_count,
        record.byte_length,
        len(record.rows),
    )
    return fixed + record.rows.tobytes()


def _decode_record(cursor: Cursor, stores: tuple[LogStore, ...]) -> LogRecord:
    store, sequence, time_ns, previous, tag, page_count, byte_length, count = cursor.unpack(_RECORD, "a record")
    rows = np.frombuffer(cursor.take(count * ROW.itemsize, "the rows of a record"), dtype=ROW)
    record = LogRecord(store, sequence, time_ns, previous, tag, page_count, byte_length, rows)
    if record.store >= len(stores) or record.page_count > layout.PAGES_MAX:
        raise NotDecodableError("a record names no store, or has an impossible size")
    named = set(np.unique(rows["session"]).tolist()) - {0}
    if not named <= {session.number for session in stores[record.store].sessions}:
        raise NotDecodableError("a row names a session that its store does not list")
    if count and int(rows["page"].max()) >= record.page_count:
        raise NotDecodableError("a row names a page beyond the end")
    if len(np.unique(rows["page"])) != count:
        raise NotDecodableError("a record names a page twice")
    return record


def _require_rising(records: tuple[LogRecord, ...], stores: tuple[LogStore, ...]) -> None:
    last: dict[int, tuple[int, int]] = {}
    for record in records:
        at = (record.sequence, record.time_ns)
        before = last.get(record.store, (0, 0))
        if at[0] <= before[0] or at[1] <= before[1]:
            raise NotDecodableError(f"records of store {stores[record.store].store_id.hex()} do not rise")
        last[record.store] = at
