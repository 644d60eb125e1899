"""For examples and tests: a page store under throwaway keys, and a file that counts what is done to it.

Nothing here is for data that matters: the keys of `new_store` are gone with the object.
"""

import os
from dataclasses import dataclass

from keystore.crypto.secret import SecretKey
from keystore.pages.blockfile import OsBlockFile
from keystore.pages.protocols import BlockFile, Buffer, DataKeys
from keystore.pages.store import PageStore

__all__ = ["CountingBlockFile", "IoCounts", "ThrowawayKeys", "new_store"]


class ThrowawayKeys(DataKeys):
    """One random data key that is stored nowhere."""

    def __init__(self) -> None:
        self._key = SecretKey.generate()

    def current(self) -> tuple[int, SecretKey]:
        """Return generation 1 and its key."""
        return 1, self._key

    def by_generation(self, generation: int) -> SecretKey:
        """Return the key of generation 1."""
        if generation != 1:
            raise KeyError(generation)
        return self._key

    def note_seals(self, generation: int, seals: int) -> None:
        """Nobody counts here."""


def new_store(
    path: str | os.PathLike[str] | BlockFile,
    page_size: int = 16384,
    *,
    name: str = "throwaway",
    keys: DataKeys | None = None,
) -> PageStore:
    """Create an empty page store; a context manager that closes it.

    Args:
        path: where the file will be (nothing may be there), or a block file such as `CountingBlockFile`.
        page_size: bytes of a page: 4, 8, 16, 32 or 64 KiB.
        keys: keep a `ThrowawayKeys` to open the store again; by default nobody can.
    """
    return PageStore.create(path, name=name, keys=keys or ThrowawayKeys(), page_size=page_size)


@dataclass
class IoCounts:
    """Calls, and bytes where there are any."""

    reads: int = 0
    bytes_read: int = 0
    writes: int = 0
    bytes_written: int = 0
    syncs: int = 0
    extends: int = 0
    truncates: int = 0
    evictions: int = 0

    def since(self, before: "IoCounts") -> "IoCounts":
        """Return what came in addition to `before`."""
        return IoCounts(**{name: count - getattr(before, name) for name, count in vars(self).items()})


class CountingBlockFile(BlockFile):
    """A block file that counts, and passes everything on."""

    def __init__(self, inner: BlockFile) -> None:
        self._inner = inner
        self._counts = IoCounts()

    @classmethod
    def create(cls, path: str | os.PathLike[str]) -> "CountingBlockFile":
        """Create an empty file on the disk."""
        return cls(OsBlockFile.create(path))

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> "CountingBlockFile":
        """Open a file on the disk."""
        return cls(OsBlockFile.open(path))

    @property
    def counts(self) -> IoCounts:
        """What was done so far: a copy."""
        return IoCounts(**vars(self._counts))

    def size(self) -> int:
        return self._inner.size()

    def read(self, offset: int, buffer: memoryview) -> None:
        self._counts.reads += 1
        self._counts.bytes_read += len(buffer)
        self._inner.read(offset, buffer)

    def write(self, offset: int, data: Buffer) -> None:
        self._counts.writes += 1
        self._counts.bytes_written += memoryview(data).nbytes
        self._inner.write(offset, data)

    def extend(self, size: int, *, written: bool = False) -> None:
        self._counts.extends += 1
        self._inner.extend(size, written=written)

    def truncate(self, size: int) -> None:
        self._counts.truncates += 1
        self._inner.truncate(size)

    def sync(self) -> None:
        self._counts.syncs += 1
        self._inner.sync()

    def evict(self, offset: int, length: int) -> None:
        self._counts.evictions += 1
        self._inner.evict(offset, length)

    def close(self) -> None:
        self._inner.close()
