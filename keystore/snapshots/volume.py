"""Packs with the volume layer: encrypted a second time, as a whole, and read in pieces.

What lies in the place is the pack, one byte 0x80 and zeros up to a multiple of 16, encrypted in sectors under a key of
its own. Length and SHA-256 in the manifest are of what lies there.

Leaves to others: noticing changes; the tags of pages and nodes do (S-10).
"""

from collections.abc import Sequence

from keystore.crypto.secret import SecretKey
from keystore.crypto.sectors import BLOCK_BYTES, SECTOR_BYTES, SectorCipher
from keystore.objects.place import ObjectReader, ObjectWriter

_END = 0x80
_CHUNK_BYTES = 64 * SECTOR_BYTES
"""LIMIT: bytes encrypted at once."""


class VolumePackWriter:
    """Encrypts what it is given and passes it on; owns `key`."""

    def __init__(self, out: ObjectWriter, key: SecretKey) -> None:
        self._out, self._cipher = out, SectorCipher(key)
        self._offset, self._rest = 0, bytearray()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self._rest += data
        self._pass_on(len(self._rest) - len(self._rest) % SECTOR_BYTES)

    def finish(self) -> tuple[int, bytes]:
        """Let the pack appear; return length and SHA-256 of what lies in the place."""
        self._rest.append(_END)
        self._rest += bytes(-len(self._rest) % BLOCK_BYTES)
        self._pass_on(len(self._rest))
        self._cipher.wipe()
        return self._out.finish()

    def _pass_on(self, length: int) -> None:
        with memoryview(self._rest) as view:
            for start in range(0, length, _CHUNK_BYTES):
                with view[start : min(start + _CHUNK_BYTES, length)] as part:
                    self._out.write(self._cipher.encrypt(self._offset, part))
                    self._offset += len(part)
        del self._rest[:length]


class VolumePackReader:
    """Decrypts pieces of a pack; owns `key`."""

    def __init__(self, source: ObjectReader, key: SecretKey) -> None:
        self._source, self._cipher = source, SectorCipher(key)

    @property
    def byte_length(self) -> int:
        """Bytes of what lies in the place."""
        return self._source.byte_length

    def read_at(self, offset: int, buffer: memoryview) -> None:
        buffer[:] = self.read_ranges([(offset, len(buffer))])[0]

    def read_ranges(self, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        wide = [(start - start % BLOCK_BYTES, start + length) for start, length in ranges]
        found = self._source.read_ranges([(start, end - start + -(end - start) % BLOCK_BYTES) for start, end in wide])
        return [
            self._cipher.decrypt(begin, data)[start - begin : start - begin + length]
            for (start, length), (begin, _), data in zip(ranges, wide, found, strict=True)
        ]

    def close(self) -> None:
        self._cipher.wipe()
