"""The record of a volume key, bytes to values and back: the file `volume` of a node, and a field of manifests.

- **V-1** A record is: magic `CMKVOLUM`, version u16 = 1, suite u16 = 1, generation u32, volume id 16, commitment 16;
  the fields provider (text), key URI (text), key version (text), wrapped secret; SHA-256 of all that. Nothing follows.
- **V-2** The checksum is compared first, and finds accidents. Who changes a record on purpose gives another key, which
  the commitment tells, or the same one.
"""

import hashlib
import struct
from dataclasses import dataclass
from typing import Final, Self

from keystore.format.cursor import Cursor, NotDecodableError, encode_field
from keystore.format.wrapped import WrappedKey

MAGIC: Final = b"CMKVOLUM"
VERSION: Final = 1
SUITE: Final = 1
"""AES-256-XTS, HKDF-SHA256."""

ID_BYTES: Final = 16
NO_VOLUME: Final = bytes(ID_BYTES)
CHECKSUM_BYTES: Final = 32
RECORD_BYTES_MAX: Final = 1 << 14
"""LIMIT: bytes of a record; key URI (2048), wrapped key (6144) and key version fit twice."""

_HEAD = struct.Struct("<8sHHI16s16s")


@dataclass(frozen=True)
class VolumeRecord:
    """What is needed to get a volume key back from its KMS; nothing secret.

    Attributes:
        generation: from 1; rises whenever the key is wrapped anew.
    """

    volume_id: bytes
    generation: int
    commitment: bytes
    wrapped: WrappedKey

    def encode(self) -> bytes:
        wrapped = self.wrapped
        fields = (wrapped.provider.encode(), wrapped.key_id.encode(), wrapped.key_version.encode(), wrapped.ciphertext)
        head = _HEAD.pack(MAGIC, VERSION, SUITE, self.generation, self.volume_id, self.commitment)
        content = head + b"".join(map(encode_field, fields))
        return content + hashlib.sha256(content).digest()

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read a record.

        Raises:
            NotDecodableError: it is none, or was changed or cut (V-1, V-2).
        """
        if len(data) > RECORD_BYTES_MAX:
            raise NotDecodableError(f"it has more than {RECORD_BYTES_MAX} bytes")
        content, checksum = data[:-CHECKSUM_BYTES], data[-CHECKSUM_BYTES:]
        cursor = Cursor(content)
        magic, version, suite, generation, volume_id, commitment = cursor.unpack(_HEAD, "the head")
        if magic != MAGIC:
            raise NotDecodableError("it does not begin like the record of a volume key")
        if hashlib.sha256(content).digest() != checksum:
            raise NotDecodableError("its checksum does not match")
        if (version, suite) != (VERSION, SUITE):
            raise NotDecodableError(f"it has version {version}, suite {suite}; this program knows version 1, suite 1")
        wrapped = WrappedKey(
            cursor.text("the provider"),
            cursor.text("the key URI"),
            cursor.text("the key version"),
            cursor.field("the wrapped secret"),
        )
        cursor.end()
        if generation == 0 or volume_id == NO_VOLUME:
            raise NotDecodableError("its generation or id is zero")
        return cls(volume_id, generation, commitment, wrapped)
