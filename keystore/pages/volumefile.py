"""A `BlockFile` with the volume layer: what goes through it lies on the disk encrypted a second time.

Bytes keep their places: offset, length and order of all operations are those of the file inside. So what F-1 says of a
torn write stays true: a sector of 512 bytes is old or new, because it is encrypted by itself.

CRASH: a write whose ends are no multiples of 16 goes on to the next multiple with what stands there: those bytes get
the same ciphertext again.

Leaves to others: noticing that somebody changed the file. There are no tags here; the store has them.
"""

from contextlib import suppress
from threading import Lock

from keystore.crypto.secret import SecretKey
from keystore.crypto.sectors import BLOCK_BYTES, SectorCipher
from keystore.pages.protocols import BlockFile, Buffer, EarlyFile


class VolumeFile:
    """The layer over `inner`, under a key of 64 bytes that it owns. Threads may share it."""

    def __init__(self, inner: BlockFile, key: SecretKey) -> None:
        self._inner, self._cipher = inner, SectorCipher(key)
        self._unaligned = Lock()

    def size(self) -> int:
        return self._inner.size()

    def read(self, offset: int, buffer: memoryview) -> None:
        start, end = _aligned(offset, len(buffer))
        ciphertext = bytearray(end - start)
        self._inner.read(start, memoryview(ciphertext))
        buffer[:] = memoryview(self._cipher.decrypt(start, ciphertext))[offset - start :][: len(buffer)]

    def write(self, offset: int, data: Buffer) -> None:
        view = memoryview(data).cast("B")
        start, end = _aligned(offset, len(view))
        if (start, end) == (offset, offset + len(view)):
            self._inner.write(offset, self._cipher.encrypt(offset, view))
            return
        with self._unaligned:  # or two writers of one block would each put back what they read of the other
            whole = bytearray(end - start)
            for block in {start, end - BLOCK_BYTES}:
                self.read(block, memoryview(whole)[block - start : block - start + BLOCK_BYTES])
            whole[offset - start : offset - start + len(view)] = view
            self._inner.write(start, self._cipher.encrypt(start, whole))

    def begin_writing(self, offset: int, length: int) -> None:
        if isinstance(self._inner, EarlyFile):
            self._inner.begin_writing(offset, length)

    def extend(self, size: int, *, written: bool = False) -> None:
        self._inner.extend(size, written=written)

    def truncate(self, size: int) -> None:
        self._inner.truncate(size)

    def sync(self) -> None:
        self._inner.sync()

    def evict(self, offset: int, length: int) -> None:
        start, end = _aligned(offset, length)
        self._inner.evict(start, end - start)

    def close(self) -> None:
        self._cipher.wipe()
        self._inner.close()

    def __del__(self) -> None:
        with suppress(AttributeError):  # it was never made
            self._cipher.wipe()  # a file that a store has moved away from is let go of, not closed


def _aligned(offset: int, length: int) -> tuple[int, int]:
    return offset - offset % BLOCK_BYTES, offset + length + -(offset + length) % BLOCK_BYTES
