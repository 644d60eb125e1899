"""The object that says that a snapshot was begun (docs/FORMAT.md, section 10); clear, found by its name.

It tells nothing that anything is decided by, but how long the packs of its parent are still wanted.
"""

import hashlib
import struct
from dataclasses import dataclass
from typing import Final, Self

from keystore.format.cursor import NotDecodableError

MAGIC: Final = b"CMKBEGUN"
VERSION: Final = 1

_BEGUN = struct.Struct("<8sH6x16s16s16sQ")
_CHECKSUM_BYTES: Final = 32
BEGUN_BYTES: Final = _BEGUN.size + _CHECKSUM_BYTES


@dataclass(frozen=True)
class Begun:
    """A snapshot that was begun.

    Attributes:
        parent: the snapshot whose packs it may come to name; zeros for none.
        begun_ns: nanoseconds since 1970.
    """

    snapshot_id: bytes
    node_id: bytes
    parent: bytes
    begun_ns: int

    def encode(self) -> bytes:
        content = _BEGUN.pack(MAGIC, VERSION, self.snapshot_id, self.node_id, self.parent, self.begun_ns)
        return content + hashlib.sha256(content).digest()

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Raises `NotDecodableError` where it is anything else, or was changed."""
        content, checksum = data[:-_CHECKSUM_BYTES], data[-_CHECKSUM_BYTES:]
        if len(data) != BEGUN_BYTES or hashlib.sha256(content).digest() != checksum:
            raise NotDecodableError("its length or checksum does not fit")
        magic, version, *fields = _BEGUN.unpack(content)
        begun = cls(*fields)
        if (magic, version) != (MAGIC, VERSION) or begun.encode() != data:
            raise NotDecodableError("its magic, version or padding is unknown")
        return begun
