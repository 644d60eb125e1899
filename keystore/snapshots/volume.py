"""Packs with the volume layer: encrypted a second time, as a whole, while they are written and read front to back.

What lies in the target is the pack, one byte 0x80 and zeros up to a multiple of 16, encrypted in sectors under a key of
its own. Length and SHA-256 in the manifest are of what lies there.

Leaves to others: noticing changes; the pack's own seals and the manifest do (S-6, S-10).
"""

from keystore.crypto.secret import SecretKey
from keystore.crypto.sectors import BLOCK_BYTES, SECTOR_BYTES, SectorCipher
from keystore.format.cursor import NotDecodableError
from keystore.snapshots.pack import Reader
from keystore.snapshots.target import PackWriter

_END = 0x80
_CHUNK_BYTES = 64 * SECTOR_BYTES
"""LIMIT: bytes encrypted or decrypted at once."""


class VolumePackWriter:
    """Encrypts what it is given and passes it on; owns `key`."""

    def __init__(self, out: PackWriter, key: SecretKey) -> None:
        self._out, self._cipher = out, SectorCipher(key)
        self._offset, self._rest = 0, bytearray()

    def write(self, data: bytes | memoryview) -> None:
        self._rest += data
        self._pass_on(len(self._rest) - len(self._rest) % SECTOR_BYTES)

    def finish(self) -> tuple[int, bytes]:
        """Make the pack durable; return length and SHA-256 of what lies in the target."""
        self._rest.append(_END)
        self._rest += bytes(-len(self._rest) % BLOCK_BYTES)
        self._pass_on(len(self._rest))
        self._cipher.wipe()
        return self._out.finish()

    def _pass_on(self, length: int) -> None:
        if length:
            with memoryview(self._rest) as view, view[:length] as part:
                self._out.write(self._cipher.encrypt(self._offset, part))
            del self._rest[:length]
            self._offset += length


class VolumePackReader:
    """Decrypts what `source` gives, without the end mark; owns `key`.

    Raises:
        NotDecodableError: it does not end as a pack with the layer does.
    """

    def __init__(self, source: Reader, key: SecretKey) -> None:
        self._source, self._cipher = source, SectorCipher(key)
        self._offset, self._ended = 0, False
        self._clear = bytearray()
        """Decrypted and not given out yet; before the end the last block stays here, because it may hold the mark."""

    def read(self, length: int, /) -> bytes:
        data = bytearray(length)
        with memoryview(data) as view:
            count = self.readinto(view)
        return bytes(data[:count])

    def readinto(self, buffer: memoryview, /) -> int:
        done = 0
        while done < len(buffer):
            ready = len(self._clear) - (0 if self._ended else BLOCK_BYTES)
            if ready <= 0 and self._ended:
                break
            if ready <= 0:
                self._refill()
                continue
            count = min(ready, len(buffer) - done)
            buffer[done : done + count] = self._clear[:count]
            del self._clear[:count]
            done += count
        return done

    def close(self) -> None:
        self._cipher.wipe()

    def _refill(self) -> None:
        ciphertext = self._source.read(_CHUNK_BYTES)
        if len(ciphertext) % BLOCK_BYTES:
            raise NotDecodableError("its length is no multiple of 16")
        self._clear += self._cipher.decrypt(self._offset, ciphertext)
        self._offset += len(ciphertext)
        if len(ciphertext) < _CHUNK_BYTES:
            self._ended = True
            content = self._clear.rstrip(b"\0")
            if not content or content[-1] != _END or len(self._clear) - len(content) >= BLOCK_BYTES:
                raise NotDecodableError("its end mark is missing")
            del self._clear[len(content) - 1 :]
