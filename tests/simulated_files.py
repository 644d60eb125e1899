"""File operations on a disk that forgets: what was not synced may be there, be missing, or be torn at sectors.

One file system for everything of ours that is a few small files: keystore file, anchors, snapshots, and the emulator's
database, whose operations are recorded elsewhere and played here. (The file of a page store has `pages.simdisk`: one
file, and far more states.)

A name (create, rename, remove, make_directory) is durable after its directory was synced; content after its file was.
Writes, lengths and names that were not synced survive a power cut in any combination (docs/FORMAT.md, F-1).
"""

import errno
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import pairwise, product
from pathlib import Path
from random import Random
from typing import Final

from keystore.keys.files import Entry, Files

SECTOR_BYTES: Final = 512
DIRECTORY: Final = 0
"""What a name of a directory stands for; a file has a number of its own."""


class PowerCut(BaseException):
    """The power went before this operation."""


@dataclass(frozen=True)
class Write:
    """At most one sector, so whole or absent."""

    offset: int
    data: bytes

    def apply(self, content: bytearray) -> None:
        content.extend(bytes(max(0, self.offset + len(self.data) - len(content))))
        content[self.offset : self.offset + len(self.data)] = self.data


@dataclass(frozen=True)
class Resize:
    size: int

    def apply(self, content: bytearray) -> None:
        del content[self.size :]
        content.extend(bytes(self.size - len(content)))


Change = Write | Resize


@dataclass(frozen=True)
class Content:
    """A file: what is durable, and what came after."""

    durable: bytes = b""
    pending: tuple[Change, ...] = ()

    def now(self) -> bytes:
        return self.after(self.pending)

    def after(self, changes: tuple[Change, ...]) -> bytes:
        if not changes:
            return self.durable
        content = bytearray(self.durable)
        for change in changes:
            change.apply(content)
        return bytes(content)


Names = dict[Path, int | None]
"""What one operation does to names, at once: what each stands for, or None if it is gone."""


@dataclass(frozen=True)
class Disk:
    """All files and names at one moment. Never changed: states share what they have in common."""

    contents: dict[int, Content] = field(default_factory=dict)
    durable_names: dict[Path, int] = field(default_factory=dict)
    pending_names: tuple[Names, ...] = ()

    def names(self) -> dict[Path, int]:
        return _names(self.durable_names, self.pending_names)

    def files(self) -> dict[Path, bytes]:
        """Return what a reader finds: the content of every file by its path."""
        return {path: self.contents[number].now() for path, number in self.names().items() if number != DIRECTORY}

    def digest(self) -> bytes:
        """Return a hash of everything in it."""
        parts = [(str(path), number) for path, number in sorted(self.names().items())]
        waiting = [sorted((str(path), number) for path, number in names.items()) for names in self.pending_names]
        whole = blake2b(repr((parts, waiting)).encode(), digest_size=16)
        for _, number in parts:
            whole.update(repr(self.contents.get(number)).encode())
        return whole.digest()

    def waiting(self) -> int:
        """Return how many things a power cut decides about."""
        return len(self.pending_names) + sum(len(content.pending) for content in self.contents.values())

    def power_cuts(self, random: Random, wanted: int = 1 << 12) -> "Iterator[Disk]":
        """Yield every disk that may be left, or about `wanted` of them if there are more."""
        count = self.waiting()
        if 2**count <= wanted:
            yield from map(self.after_power_cut, product((False, True), repeat=count))
            return
        yield self.after_power_cut((False,) * count)
        yield self.after_power_cut((True,) * count)
        for _ in range(wanted // 3):
            at = random.randrange(count)
            yield self.after_power_cut(tuple(i < at for i in range(count)))
            yield self.after_power_cut(tuple(i != at for i in range(count)))
            yield self.after_power_cut(tuple(random.random() < 0.5 for _ in range(count)))

    def after_power_cut(self, survives: tuple[bool, ...]) -> "Disk":
        """Return what is left if these, of all that waits, reached the disk."""
        choice = iter(survives)
        names = _names(self.durable_names, tuple(changes for changes in self.pending_names if next(choice)))
        made = {path for changes in self.pending_names for path, number in changes.items() if number == DIRECTORY}
        lost = made - names.keys()  # and all in them
        names = {path: number for path, number in names.items() if lost.isdisjoint(path.parents)}
        contents = {
            number: Content(content.after(tuple(change for change in content.pending if next(choice))))
            for number, content in self.contents.items()
        }
        return Disk(contents, names)


class SimulatedFiles(Files):
    """Files on a disk in memory; raises `PowerCut` instead of the operation with number `cut_at` (from 0)."""

    def __init__(self, disk: Disk | None = None, saw: Callable[[Disk], None] | None = None) -> None:
        """`saw` is called before each operation that changes something."""
        self.disk = disk or Disk()
        self.saw = saw
        self.operations = 0
        self.cut_at: int | None = None
        self._next = max(self.disk.contents, default=DIRECTORY)
        self._open: dict[int, int] = {}
        self._locks: dict[int, int] = {}

    def read(self, path: Path, bytes_max: int) -> bytes:
        return self.disk.contents[self._number(path)].now()[: bytes_max + 1]

    def create(self, path: Path) -> int:
        if path in self.disk.names():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
        self._step()
        self._next += 1
        self._put(self._next, Content())
        self._rename({path: self._next})
        return self._descriptor(self._next)

    def open(self, path: Path) -> int:
        return self._descriptor(self._number(path))

    def open_to_read(self, path: Path) -> tuple[int, int]:
        if self._number(path) == DIRECTORY:
            raise OSError(errno.EINVAL, "it is not a regular file", str(path))
        fd = self.open(path)
        return fd, len(self.disk.contents[self._open[fd]].now())

    def read_into(self, fd: int, offset: int, buffer: memoryview) -> int:
        found = self.disk.contents[self._open[fd]].now()[offset : offset + len(buffer)]
        buffer[: len(found)] = found
        return len(found)

    def lock(self, fd: int) -> bool:
        number = self._open[fd]
        return number in self.disk.names().values() and self._locks.setdefault(number, fd) == fd

    def write(self, fd: int, offset: int, data: bytes | bytearray | memoryview) -> None:
        self._step()
        ends = [0, *range(SECTOR_BYTES - offset % SECTOR_BYTES, len(data), SECTOR_BYTES), len(data)]
        parts = tuple(Write(offset + a, bytes(data[a:b])) for a, b in pairwise(ends) if a < b)
        self._change(fd, *parts)

    def truncate(self, fd: int, size: int) -> None:
        self._step()
        self._change(fd, Resize(size))

    def begin_writing(self, fd: int, offset: int, length: int) -> None:
        """What was written may be on the disk from then on, as before."""

    def sync(self, fd: int) -> None:
        self._step()
        number = self._open[fd]
        self._put(number, Content(self.disk.contents[number].now()))

    def close(self, fd: int) -> None:
        if self._locks.get(self._open[fd]) == fd:
            del self._locks[self._open[fd]]
        del self._open[fd]

    def rename(self, old: Path, new: Path) -> None:
        self._step()
        self._rename({old: None, new: self._number(old)})

    def name_once(self, old: Path, new: Path) -> None:
        if new in self.disk.names():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(new))
        self._step()
        self._rename({new: self._number(old)})

    def entries(self, path: Path) -> list[Entry]:
        names = self.disk.names()
        if names.get(path) != DIRECTORY:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
        here = [(name.name, number) for name, number in names.items() if name.parent == path]
        return [
            Entry(name, None if number == DIRECTORY else len(self.disk.contents[number].now())) for name, number in here
        ]

    def remove(self, path: Path) -> None:
        if path in self.disk.names():
            self._step()
            self._rename({path: None})

    def make_directory(self, path: Path, *, exist_ok: bool = True) -> None:
        if path not in self.disk.names():
            self._step()
            self._rename({path: DIRECTORY})
        elif not exist_ok:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))

    def sync_directory(self, path: Path) -> None:
        self._step()
        disk = self.disk
        here = tuple(names for names in disk.pending_names if path in {name.parent for name in names})
        others = tuple(names for names in disk.pending_names if names not in here)
        self.disk = Disk(disk.contents, _names(disk.durable_names, here), others)

    def after_kill(self) -> "SimulatedFiles":
        """Return what is left when only the process died: everything, synced or not."""
        return SimulatedFiles(self.disk)

    def after_power_cut(self) -> "Iterator[SimulatedFiles]":
        """Yield every disk that may be left."""
        yield from (SimulatedFiles(disk) for disk in self.disk.power_cuts(Random(1)))

    def _number(self, path: Path) -> int:
        number = self.disk.names().get(path)
        if number is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
        return number

    def _put(self, number: int, content: Content) -> None:
        disk = self.disk
        self.disk = Disk({**disk.contents, number: content}, disk.durable_names, disk.pending_names)

    def _change(self, fd: int, *changes: Change) -> None:
        number = self._open[fd]
        content = self.disk.contents[number]
        self._put(number, Content(content.durable, (*content.pending, *changes)))

    def _rename(self, names: Names) -> None:
        disk = self.disk
        self.disk = Disk(disk.contents, disk.durable_names, (*disk.pending_names, names))

    def _descriptor(self, number: int) -> int:
        fd = max(self._open, default=2) + 1
        self._open[fd] = number
        return fd

    def _step(self) -> None:
        if self.operations == self.cut_at:
            raise PowerCut
        if self.saw is not None:
            self.saw(self.disk)
        self.operations += 1


def write_out(disk: Disk, root: Path, place: Path) -> None:
    """Put what a reader of `root` finds on a simulated disk into the real directory `place`, which it makes."""
    place.mkdir()
    for path, number in sorted(disk.names().items()):
        real = place / path.relative_to(root)
        if number == DIRECTORY:
            real.mkdir()
        else:
            real.write_bytes(disk.contents[number].now())


def _names(durable: dict[Path, int], pending: tuple[Names, ...]) -> dict[Path, int]:
    names = dict(durable)
    for changes in pending:
        for path, number in changes.items():
            if number is None:
                names.pop(path, None)
            else:
                names[path] = number
    return names
