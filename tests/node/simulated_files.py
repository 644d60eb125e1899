"""File operations on a disk that forgets: what was not synced may be there, be missing, or be torn at sectors.

A name (create, rename, remove) is durable after its directory was synced; content after its file was. Writes and names
that were not synced survive a power cut in any combination (docs/FORMAT.md, F-1).
"""

import copy
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

from keystore.keys.files import Files

SECTOR_BYTES = 512


class PowerCut(BaseException):
    """The power went before this operation."""


@dataclass
class Content:
    durable: bytearray = field(default_factory=bytearray)
    pending: list[tuple[int, bytes]] = field(default_factory=list)

    def now(self) -> bytes:
        return bytes(_apply(self.durable, self.pending))


class SimulatedFiles(Files):
    """Files in memory; raises `PowerCut` instead of the operation with number `cut_at` (from 0)."""

    def __init__(self, cut_at: int | None = None) -> None:
        self.operations = 0
        self.cut_at = cut_at
        self._contents: dict[int, Content] = {}
        self._durable_names: dict[Path, int] = {}
        self._pending_names: list[dict[Path, int | None]] = []
        self._next = 0
        self._open: dict[int, int] = {}

    def read(self, path: Path, bytes_max: int) -> bytes:
        number = self._names().get(path)
        if number is None:
            raise FileNotFoundError(2, "No such file", str(path))
        return self._contents[number].now()[: bytes_max + 1]

    def create(self, path: Path) -> int:
        if path in self._names():
            raise FileExistsError(17, "File exists", str(path))
        self._step()
        self._next += 1
        self._contents[self._next] = Content()
        self._pending_names.append({path: self._next})
        return self._descriptor(self._next)

    def open(self, path: Path) -> int:
        number = self._names().get(path)
        if number is None:
            raise FileNotFoundError(2, "No such file", str(path))
        return self._descriptor(number)

    def write(self, fd: int, offset: int, data: bytes | bytearray) -> None:
        self._step()
        self._contents[self._open[fd]].pending.append((offset, bytes(data)))

    def sync(self, fd: int) -> None:
        self._step()
        content = self._contents[self._open[fd]]
        content.durable, content.pending = bytearray(content.now()), []

    def close(self, fd: int) -> None:
        del self._open[fd]

    def rename(self, old: Path, new: Path) -> None:
        self._step()
        self._pending_names.append({old: None, new: self._names()[old]})

    def remove(self, path: Path) -> None:
        if path in self._names():
            self._step()
            self._pending_names.append({path: None})

    def make_directory(self, path: Path) -> None:
        """Directories are there."""

    def sync_directory(self, path: Path) -> None:
        self._step()
        self._durable_names, self._pending_names = self._names(), []

    def after_kill(self) -> "SimulatedFiles":
        """Return what is left when only the process died: everything, synced or not."""
        left = copy.deepcopy(self)
        left.cut_at, left._open = None, {}
        return left

    def after_power_cut(self) -> Iterator["SimulatedFiles"]:
        """Yield every disk that may be left."""
        torn = [(number, _sectors(content.pending)) for number, content in self._contents.items() if content.pending]
        choices = [[False, True]] * (len(self._pending_names) + sum(len(sectors) for _, sectors in torn))
        for choice in product(*choices):
            left = SimulatedFiles()
            survives = iter(choice)
            left._next = self._next
            left._durable_names = _names(
                self._durable_names, [names for names in self._pending_names if next(survives)]
            )
            left._contents = {number: Content(bytearray(content.durable)) for number, content in self._contents.items()}
            for number, sectors in torn:
                kept = [sector for sector in sectors if next(survives)]
                left._contents[number].durable = _apply(left._contents[number].durable, kept)
            yield left

    def _names(self) -> dict[Path, int]:
        return _names(self._durable_names, self._pending_names)

    def _descriptor(self, number: int) -> int:
        fd = max(self._open, default=2) + 1
        self._open[fd] = number
        return fd

    def _step(self) -> None:
        if self.operations == self.cut_at:
            raise PowerCut
        self.operations += 1


def _names(durable: dict[Path, int], pending: list[dict[Path, int | None]]) -> dict[Path, int]:
    names = dict(durable)
    for changes in pending:
        for path, number in changes.items():
            if number is None:
                names.pop(path, None)
            else:
                names[path] = number
    return names


def _apply(durable: bytearray, writes: list[tuple[int, bytes]]) -> bytearray:
    content = bytearray(durable)
    for offset, data in writes:
        content.extend(bytes(max(0, offset + len(data) - len(content))))
        content[offset : offset + len(data)] = data
    return content


def _sectors(writes: list[tuple[int, bytes]]) -> list[tuple[int, bytes]]:
    return [
        (offset + at, data[at : at + SECTOR_BYTES])
        for offset, data in writes
        for at in range(0, len(data), SECTOR_BYTES)
    ]
