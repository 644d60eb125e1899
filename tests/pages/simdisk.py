"""A simulated disk under a page store, and every state that a crash could leave it in (docs/FORMAT.md, F-1 and F-2).

`SimDisk` is a `BlockFile`, `SimAnchor` an `Anchor`; both belong to a `Machine`. An `Image` is a machine that stands
still: what the disk has, what only the page cache has, and what the cache shows although the disk never got it. From an
image one can go on (the process was killed), cut the power (`power_losses`), or look at all of it with a new machine.

What is modelled: writes that are lost, torn at 512 bytes in any pattern, and reordered until a sync; the length of the
file old, new or between; syncs that fail and leave the cache clean; errors and short writes at any operation.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from itertools import islice, product
from random import Random
from typing import Final, Literal, TypeAlias

from keystore.pages.protocols import AnchorState, Buffer
from tests.pages.filebytes import FileBytes, digest_of

SECTOR_BYTES: Final = 512
Kind: TypeAlias = Literal["write", "extend", "truncate", "sync", "anchor", "anchor sync"]
Tear: TypeAlias = Callable[[int, int], bool]
"""`tear(sector, sectors)`: whether that sector of a write reached the disk."""


@dataclass(frozen=True)
class Write:
    """Bytes in the page cache that no sync followed."""

    offset: int
    data: bytes
    kept: tuple[bool, ...] | None = None
    """Which of its sectors reached the disk, where not all did."""

    def apply(self, content: FileBytes) -> None:
        if self.kept is None:
            content.write(self.offset, self.data)
            return
        old = content.read(self.offset, len(self.data)).ljust(len(self.data), b"\0")
        starts = range(0, len(self.data), SECTOR_BYTES)
        sources = (self.data if kept else old for kept in self.kept)
        mixed = b"".join(source[at : at + SECTOR_BYTES] for at, source in zip(starts, sources, strict=True))
        content.write(self.offset, mixed)

    def torn(self, keeps: Tear) -> "Write":
        count = -(-len(self.data) // SECTOR_BYTES)
        return replace(self, kept=tuple(keeps(sector, count) for sector in range(count)))

    def told(self) -> bytes:
        return b"write %d %r" % (self.offset, self.kept) + digest_of(self.data)


@dataclass(frozen=True)
class Resize:
    """A new length of the file that no sync followed."""

    size: int
    before: int

    def apply(self, content: FileBytes) -> None:
        content.resize(self.size)

    def torn(self, _: Tear) -> "Resize":
        """Half of the way: a file system may do a long one in several steps."""
        middle = (self.size + self.before) // 2
        return replace(self, size=middle - middle % SECTOR_BYTES)

    def told(self) -> bytes:
        return b"resize %d" % self.size


Change: TypeAlias = Write | Resize


@dataclass(frozen=True)
class Image:
    """A machine that stands still."""

    disk: FileBytes = field(default_factory=FileBytes)
    """Never changed: images share it."""
    unsynced: tuple[Change, ...] = ()
    cache: FileBytes | None = None
    """What reads show, where that is not the disk with what is unsynced."""
    anchor: AnchorState | None = None
    unsynced_anchors: tuple[AnchorState, ...] = ()

    def digest(self) -> bytes:
        """Return a hash of everything in it."""
        whole = blake2b(self.disk.digest(), digest_size=16)
        for change in self.unsynced:
            whole.update(change.told())
        whole.update(repr((self.anchor, self.unsynced_anchors)).encode())
        whole.update(self.cache.digest() if self.cache is not None else b"")
        return whole.digest()

    def is_blank(self) -> bool:
        """Tell whether nothing but zeros is in it: such a state may come up in the lives of two stores."""
        written = any(isinstance(change, Write) for change in self.unsynced)
        return not written and self.anchor is None and not self.unsynced_anchors and self.disk.is_zeros()

    def after_power_loss(self, changes: Sequence[Change], anchor: AnchorState | None) -> "Image":
        """Return what is left if of everything unsynced just these reached the disk."""
        content = self.disk.copy()
        for change in changes:
            change.apply(content)
        return Image(content, anchor=anchor)

    def power_losses(self, random: Random, wanted: int) -> "Iterator[Image]":
        """Yield at most `wanted` states that this image could become when the power goes."""
        anchors = (*self.unsynced_anchors, self.anchor)
        for number, changes in enumerate(islice(_survivors(self.unsynced, random, wanted), wanted)):
            yield self.after_power_loss(changes, anchors[number % len(anchors)])


TEARS: Final[dict[str, Tear]] = {
    "first half": lambda i, n: i < n // 2,
    "all but the first": lambda i, n: i > 0,
    "every other": lambda i, n: i % 2 == 0,
    "the others": lambda i, n: i % 2 == 1,
    "all but the last": lambda i, n: i < n - 1,
}


def _survivors(changes: tuple[Change, ...], random: Random, wanted: int) -> Iterator[tuple[Change, ...]]:
    """Yield what may have survived: each change absent, whole or torn. All of it where `wanted` allows, else a sample.

    A sample begins with every subset of whole changes if those fit into its half, and ends in chance.
    """
    ways = [(None, change, *(change.torn(tear) for tear in TEARS.values())) for change in changes]
    if len(TEARS) + 2 <= wanted and (len(TEARS) + 2) ** len(changes) <= wanted:
        yield from map(_present, product(*ways))
        return
    if 2 ** len(changes) <= wanted // 2:
        yield from map(_present, product(*(way[:2] for way in ways)))
    else:
        systematic = list(_one_at_a_time(changes, random))
        yield from random.sample(systematic, min(len(systematic), -(-wanted // 2)))
    while True:
        yield tuple(part for change in changes for part in _random_part(change, random))


def _present(parts: tuple[Change | None, ...]) -> tuple[Change, ...]:
    return tuple(part for part in parts if part is not None)


def _one_at_a_time(changes: tuple[Change, ...], random: Random) -> Iterator[tuple[Change, ...]]:
    yield ()
    yield changes
    for i in range(len(changes)):
        rest = changes[:i] + changes[i + 1 :]
        yield from (changes[:i], rest, (changes[i],))
        torn = changes[i].torn(random.choice(list(TEARS.values())))
        yield (*changes[:i], torn, *changes[i + 1 :])
        yield (*changes[:i], torn)


def _random_part(change: Change, random: Random) -> tuple[Change, ...]:
    way = random.randrange(4)
    if way == 0:
        return ()
    return (change,) if way < 3 else (change.torn(lambda i, n: random.random() < 0.5),)


@dataclass(frozen=True)
class Fault:
    """One operation fails."""

    number: int
    """Which one, from 0; reads are counted apart from what changes something."""
    error: int
    """An `errno`. ENOSPC and EIO are what a store meets."""
    partly: bool = False
    """A write: its first half is done. A sync: half of the changes reached the disk, the others torn; else nothing did.
    The page cache calls everything clean either way."""
    reading: bool = False


@dataclass
class Machine:
    """A disk and an anchor that share a power supply; `saw` is called before each operation that changes either."""

    image: Image = field(default_factory=Image)
    fault: Fault | None = None
    saw: Callable[[Kind, Image], None] | None = None
    operations: int = 0
    reads: int = 0

    def __post_init__(self) -> None:
        self.disk = SimDisk(self)
        self.anchor = SimAnchor(self)

    def now(self) -> Image:
        """Return the state of this moment."""
        image = self.image
        unsynced = tuple(self.disk.unsynced)
        return Image(image.disk, unsynced, self.disk.lost_track(), image.anchor, image.unsynced_anchors)

    def about_to(self, kind: Kind) -> Fault | None:
        """Count an operation; return the fault if this is the one that fails."""
        if self.saw is not None:
            self.saw(kind, self.now())
        self.operations += 1
        return self._fault(self.operations - 1, reading=False)

    def about_to_read(self) -> Fault | None:
        self.reads += 1
        return self._fault(self.reads - 1, reading=True)

    def _fault(self, number: int, *, reading: bool) -> Fault | None:
        fault = self.fault
        return fault if fault is not None and (fault.number, fault.reading) == (number, reading) else None


class SimDisk:
    """The file of a store. Every method is one system call, and fails as one would."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        image = machine.image
        self.unsynced: list[Change] = list(image.unsynced)
        self._cache = image.cache.copy() if image.cache is not None else self._expected()
        self._lost_track = image.cache is not None
        self.closed = False

    def size(self) -> int:
        return self._cache.size

    def read(self, offset: int, buffer: memoryview) -> None:
        fault = self._machine.about_to_read()
        if fault is not None:
            _fail(fault.error)
        part = self._cache.read(offset, len(buffer))
        buffer[: len(part)] = part
        if len(part) < len(buffer):
            raise EOFError(f"the file ends at {self.size()}, inside {len(buffer)} bytes from {offset}")

    def write(self, offset: int, data: Buffer) -> None:
        data = bytes(data)
        assert offset + len(data) <= self.size(), "a write must not extend the file"
        assert offset % SECTOR_BYTES == 0, "a write must begin with a sector"
        fault = self._machine.about_to("write")
        if fault is None:
            self._change(Write(offset, data))
            return
        if fault.partly:
            half = len(data) // (2 * SECTOR_BYTES) * SECTOR_BYTES
            self._change(Write(offset, data[:half]))
        _fail(fault.error)

    def extend(self, size: int, *, written: bool = False) -> None:
        self._resize("extend", max(size, self.size()))

    def truncate(self, size: int) -> None:
        self._resize("truncate", size)

    def sync(self) -> None:
        fault = self._machine.about_to("sync")
        if fault is None and not self._lost_track:
            self._arrive(self._cache.copy())
            return
        arrived = self.unsynced
        if fault is not None:
            self._lost_track = True
            torn = [change.torn(TEARS["every other"]) for change in arrived[1::2]]
            arrived = [*arrived[::2], *torn] if fault.partly else []
        content = self._machine.image.disk.copy()
        for change in arrived:
            change.apply(content)
        self._arrive(content)
        if fault is not None:
            _fail(fault.error)

    def _arrive(self, content: FileBytes) -> None:
        image = self._machine.image
        self._machine.image = Image(content, anchor=image.anchor, unsynced_anchors=image.unsynced_anchors)
        self.unsynced = []

    def evict(self, offset: int, length: int) -> None:
        """Show these bytes as the disk has them, but for what is unsynced."""
        if self._lost_track:
            length = min(length, self.size() - offset)
            self._cache.write(offset, self._expected().read(offset, length).ljust(length, b"\0"))

    def close(self) -> None:
        self.closed = True

    def lost_track(self) -> FileBytes | None:
        """Return what the cache shows if, after a failed sync, it is not what the disk has."""
        return self._cache.copy() if self._lost_track and self._cache != self._expected() else None

    def _resize(self, kind: Literal["extend", "truncate"], size: int) -> None:
        fault = self._machine.about_to(kind)
        if fault is not None:
            _fail(fault.error)
        self._change(Resize(size, self.size()))

    def _change(self, change: Change) -> None:
        change.apply(self._cache)
        self.unsynced.append(change)

    def _expected(self) -> FileBytes:
        content = self._machine.image.disk.copy()
        for change in self.unsynced:
            change.apply(content)
        return content


class LyingDisk(SimDisk):
    """Its syncs do nothing, as those of some real disks: what every crash test has to find."""

    def sync(self) -> None:
        self._machine.about_to("sync")


class SimAnchor:
    """The anchor, on a device of its own; one sector, so never torn."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def load(self) -> AnchorState | None:
        image = self._machine.image
        return image.unsynced_anchors[-1] if image.unsynced_anchors else image.anchor

    def store(self, state: AnchorState, *, sync: bool) -> None:
        self._machine.about_to("anchor sync" if sync else "anchor")
        image = self._machine.image
        if sync:
            self._machine.image = replace(image, anchor=state, unsynced_anchors=())
        else:
            self._machine.image = replace(image, unsynced_anchors=(*image.unsynced_anchors, state))


def _fail(error: int) -> None:
    raise OSError(error, os.strerror(error))
