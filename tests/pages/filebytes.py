"""The content of a simulated file in blocks that copies share, so that thousands of its states are cheap to keep."""

from functools import lru_cache
from hashlib import blake2b
from typing import Final

BLOCK_BYTES: Final = 4096
ZEROS: Final = bytes(BLOCK_BYTES)


@lru_cache(maxsize=1 << 12)
def digest_of(data: bytes) -> bytes:
    """Return 16 bytes that stand for `data`; those of blocks met lately are remembered."""
    return blake2b(data, digest_size=16).digest()


class FileBytes:
    """Bytes of any length. A copy takes a few microseconds, and only blocks that are written after it take memory."""

    __slots__ = ("_blocks", "size")

    def __init__(self, blocks: list[bytes] | None = None, size: int = 0) -> None:
        self._blocks = blocks or []
        self.size = size
        """What lies beyond it in the last block is zeros."""

    def copy(self) -> "FileBytes":
        return FileBytes(self._blocks.copy(), self.size)

    def read(self, offset: int, length: int) -> bytes:
        """Return the bytes from `offset`, fewer where the file ends before."""
        length = min(length, self.size - offset)
        if length <= 0:
            return b""
        first, within = divmod(offset, BLOCK_BYTES)
        if within + length <= BLOCK_BYTES:
            return self._blocks[first][within : within + length]
        end = (offset + length - 1) // BLOCK_BYTES + 1
        return b"".join(self._blocks[first:end])[within : within + length]

    def write(self, offset: int, data: bytes) -> None:
        """Put `data` there; what would lie beyond the end of the file is dropped."""
        data = data[: max(0, self.size - offset)]
        at = 0
        while at < len(data):
            number, within = divmod(offset + at, BLOCK_BYTES)
            part = data[at : at + BLOCK_BYTES - within]
            if len(part) < BLOCK_BYTES:
                block = self._blocks[number]
                self._blocks[number] = block[:within] + part + block[within + len(part) :]
            else:
                self._blocks[number] = part
            at += len(part)

    def resize(self, size: int) -> None:
        """Cut the file, or lengthen it with zeros."""
        count, within = -(-size // BLOCK_BYTES), size % BLOCK_BYTES
        del self._blocks[count:]
        self._blocks += [ZEROS] * (count - len(self._blocks))
        if size < self.size and within:
            self._blocks[-1] = self._blocks[-1][:within].ljust(BLOCK_BYTES, b"\0")
        self.size = size

    def digest(self) -> bytes:
        whole = blake2b(self.size.to_bytes(8, "little"), digest_size=16)
        whole.update(b"".join(map(digest_of, self._blocks)))
        return whole.digest()

    def whole(self) -> bytes:
        return b"".join(self._blocks)[: self.size]

    def is_zeros(self) -> bool:
        return all(block == ZEROS for block in self._blocks)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, FileBytes):
            return NotImplemented
        return (self.size, self._blocks) == (other.size, other._blocks)

    __hash__ = None  # type: ignore[assignment]
