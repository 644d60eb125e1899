"""Body of a header (docs/FORMAT.md, section 5): the roots of the three trees and the head of the record chain."""

import struct
from dataclasses import dataclass
from typing import Final, Self

from keystore.format.block import NotABlockError

_HEADER = struct.Struct("<QQQQQQ16sIIQ40s40s40s")
HEADER_BODY_BYTES: Final = _HEADER.size


@dataclass(frozen=True)
class HeaderBody:
    """Field order of the format; roots are encoded entries."""

    time_ns: int
    page_count: int
    byte_length: int
    slot_count: int
    next_place: int
    later_place: int
    last_tag: bytes
    session: int
    session_count: int
    slots_used: int
    pages_root: bytes
    sessions_root: bytes
    slots_root: bytes

    def encode(self) -> bytes:
        return _HEADER.pack(
            self.time_ns,
            self.page_count,
            self.byte_length,
            self.slot_count,
            self.next_place,
            self.later_place,
            self.last_tag,
            self.session,
            self.session_count,
            self.slots_used,
            self.pages_root,
            self.sessions_root,
            self.slots_root,
        )

    @classmethod
    def decode(cls, data: bytes | bytearray) -> Self:
        """Raises `NotABlockError` on a wrong length."""
        if len(data) != HEADER_BODY_BYTES:
            raise NotABlockError(f"a header body of {len(data)} bytes; {HEADER_BODY_BYTES} were expected")
        return cls(*_HEADER.unpack(data))
