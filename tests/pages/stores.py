"""What the tests of the page store share: data keys, an anchor in memory, and a file that counts."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

from keystore.crypto.secret import SecretKey
from keystore.pages.protocols import AnchorState, BlockFile, Buffer


@contextmanager
def each_commit_marked() -> Iterator[None]:
    """Let every commit write the watermark, however soon it comes after another (F-26)."""
    with patch("keystore.pages.log.WATERMARK_S", 0.0):
        yield


class StaticKeys:
    """Data keys held in memory; `rotate` adds a generation."""

    def __init__(self) -> None:
        self.keys: dict[int, SecretKey] = {}
        self.generation = 0
        self.seals: Counter[int] = Counter()
        self.rotate()

    def rotate(self) -> None:
        self.keys[self.generation + 1] = SecretKey.generate()
        self.generation += 1

    def current(self) -> tuple[int, SecretKey]:
        return self.generation, self.keys[self.generation]

    def by_generation(self, generation: int) -> SecretKey:
        return self.keys[generation]

    def note_seals(self, generation: int, seals: int) -> None:
        self.seals[generation] += seals


class MemoryAnchor:
    """An anchor that forgets nothing."""

    def __init__(self) -> None:
        self.state: AnchorState | None = None
        self.syncs = 0

    def load(self) -> AnchorState | None:
        return self.state

    def store(self, state: AnchorState, *, sync: bool) -> None:
        self.state = state
        self.syncs += sync


class CountedFile:
    """Passes everything on, and counts calls and bytes."""

    def __init__(self, file: BlockFile) -> None:
        self.file = file
        self.calls: Counter[str] = Counter()
        self.bytes: Counter[str] = Counter()

    def size(self) -> int:
        return self.file.size()

    def read(self, offset: int, buffer: memoryview) -> None:
        self._count("read", len(buffer))
        self.file.read(offset, buffer)

    def write(self, offset: int, data: Buffer) -> None:
        self._count("write", len(data))
        self.file.write(offset, data)

    def extend(self, size: int, *, written: bool = False) -> None:
        self._count("extend", 0)
        self.file.extend(size, written=written)

    def truncate(self, size: int) -> None:
        self._count("truncate", 0)
        self.file.truncate(size)

    def sync(self) -> None:
        self._count("sync", 0)
        self.file.sync()

    def evict(self, offset: int, length: int) -> None:
        self.file.evict(offset, length)

    def close(self) -> None:
        self.file.close()

    def _count(self, what: str, size: int) -> None:
        self.calls[what] += 1
        self.bytes[what] += size
