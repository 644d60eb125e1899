"""Body of a commit record (docs/FORMAT.md, section 5), and the rows of sessions it shares with the session table."""

import struct
from dataclasses import dataclass, field
from typing import Final, Self

import numpy as np
import numpy.typing as npt

from keystore.format.block import NotABlockError
from keystore.format.entry import ENTRY

CHANGE: Final = np.dtype([("page", "<u8"), ("entry", ENTRY)])
"""A page and its new entry; 48 bytes, no padding."""

PAGES_SYNCED: Final = 1
"""Flag bit 0: the pages were synced before the record was written, so recovery need not open them."""

_FIXED = struct.Struct("<QQQQQ16sIIII")
_SESSION = struct.Struct("<II16s32s16s")
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


@dataclass(frozen=True)
class RecordBody:
    """One commit. `changes` is an array of `CHANGE`."""

    time_ns: int
    page_count: int
    byte_length: int
    next_place: int
    later_place: int
    previous_tag: bytes
    session: int
    flags: int
    sessions: tuple[SessionRecord, ...] = ()
    changes: npt.NDArray[np.void] = field(default_factory=no_changes)

    def encode(self) -> bytes:
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
            len(self.changes),
        )
        return fixed + b"".join(session.encode() for session in self.sessions) + self.changes.tobytes()

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
        changes = np.frombuffer(data, dtype=CHANGE, offset=end)
        return cls(time_ns, pages, length, following, later, tag, session, flags, sessions, changes)
