"""Body of a commit record (docs/FORMAT.md, section 5), and the rows of sessions it shares with the session table."""

import struct
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from keystore.format.block import NotABlockError
from keystore.format.entry import ENTRY, places_of

CHANGE: Final = np.dtype([("page", "<u8"), ("entry", ENTRY)])
"""A page and its new entry; 48 bytes, no padding."""

PAGES_SYNCED: Final = 1
"""Flag bit 0: the pages were synced before the record was written, so recovery need not open them."""

_FIXED = struct.Struct("<QQQQQ16sIIII")
_SESSION = struct.Struct("<II16s32s16s")
_CHANGE = struct.Struct("<QQI12s16s")
_ROW = struct.Struct("<Q40s")
FIXED_BYTES: Final = _FIXED.size
SESSION_BYTES: Final = _SESSION.size


@dataclass(frozen=True)
class SessionRecord:
    """What is stored of a session: everything its keys derive from, but the data key, and the check of the result."""

    number: int
    generation: int
    origin: bytes
    salt: bytes
    commitment: bytes

    def encode(self) -> bytes:
        return _SESSION.pack(self.number, self.generation, self.origin, self.salt, self.commitment)

    @classmethod
    def decode(cls, data: bytes | bytearray | memoryview) -> Self:
        return cls(*_SESSION.unpack(data))


def no_changes() -> npt.NDArray[np.void]:
    return np.empty(0, dtype=CHANGE)


def encode_change(page_no: int, slot: int, session: int, nonce: bytes, tag: bytes) -> bytes:
    """Return the row of a page that was sealed."""
    return _CHANGE.pack(page_no, slot, session, nonce, tag)


def encode_holes(page_nos: Collection[int]) -> bytes:
    """Return the rows of pages that become holes, joined."""
    return b"".join([page_no.to_bytes(_CHANGE.size, "little") for page_no in page_nos])


class RecordBody(NamedTuple):
    """One commit. `rows` are its changes, joined: 48 bytes each."""

    time_ns: int
    page_count: int
    byte_length: int
    next_place: int
    later_place: int
    previous_tag: bytes
    session: int
    flags: int
    sessions: tuple[SessionRecord, ...] = ()
    rows: bytes = b""

    @property
    def changes(self) -> npt.NDArray[np.void]:
        """The changes as an array of `CHANGE`, without a copy."""
        return np.frombuffer(self.rows, dtype=CHANGE)

    def entries(self) -> Iterator[tuple[int, bytes]]:
        """Yield page number and entry of every change."""
        return _ROW.iter_unpack(self.rows)

    def references(self) -> dict[int, int]:
        """Return how many pages each session has sealed; holes have none."""
        return places_of([entry for _, entry in self.entries()])[1]

    def encode(self) -> bytes:
        return self.encode_head(len(self.rows) // CHANGE.itemsize) + self.rows

    def encode_head(self, change_count: int) -> bytes:
        """Return what stands before so many rows."""
        fixed = _FIXED.pack(
            self.time_ns,
            self.page_count,
            self.byte_length,
            self.next_place,
            self.later_place,
            self.previous_tag,
            self.session,
            self.flags,
            len(self.sessions),
            change_count,
        )
        return b"".join([fixed, *[session.encode() for session in self.sessions]]) if self.sessions else fixed

    @classmethod
    def decode(cls, data: bytes | bytearray) -> Self:
        """Raises `NotABlockError` when the lengths do not add up."""
        if len(data) < FIXED_BYTES:
            raise NotABlockError(f"a record body of {len(data)} bytes; at least {FIXED_BYTES} were expected")
        time_ns, pages, length, following, later, tag, session, flags, session_count, change_count = _FIXED.unpack_from(
            data
        )
        end = FIXED_BYTES + SESSION_BYTES * session_count
        if len(data) != end + CHANGE.itemsize * change_count:
            raise NotABlockError(
                f"a record body of {len(data)} bytes with {session_count} sessions, {change_count} pages"
            )
        sessions = tuple(
            SessionRecord.decode(data[at : at + SESSION_BYTES]) for at in range(FIXED_BYTES, end, SESSION_BYTES)
        )
        return cls(time_ns, pages, length, following, later, tag, session, flags, sessions, bytes(data[end:]))
