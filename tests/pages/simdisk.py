"""A simulated disk under a page store, and every state that a crash could leave it in (docs/FORMAT.md, F-1 and F-2).

`SimDisk` is a `BlockFile`, `SimAnchor` an `Anchor`; both belong to a `Machine`. An `Image` is a machine that stands
still: what the disk has, what only the page cache has, and what the cache shows although the disk never got it. From an
image one can go on (the process was killed), cut the power (`power_losses`), or look at all of it with a new machine.

What is modelled: writes that are lost, torn at 512 bytes in any pattern, and reordered until a sync; the length of the
file old or new; syncs that fail and leave the cache clean; errors and short writes at any operation.
"""

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from random import Random
from typing import Final, Literal, TypeAlias

from keystore.pages.protocols import AnchorState, Buffer

SECTOR_BYTES: Final = 512
Kind: TypeAlias = Literal["write", "extend", "truncate", "sync", "anchor", "anchor sync"]


@dataclass(frozen=True)
class Write:
    """Bytes in the page cache that no sync followed."""

    offset: int
    data: bytes

    def apply(self, content: bytearray) -> None:
        if self.offset < len(content):
            content[self.offset : self.offset + len(self.data)] = self.data

    def torn(self, keeps: Callable[[int, int], bool]) -> "tuple[Write, ...]":
        """Return the sectors of this write that reached the disk; `keeps(sector, sectors)` chooses them."""
        count = -(-len(self.data) // SECTOR_BYTES)
        starts = [i * SECTOR_BYTES for i in range(count) if keeps(i, count)]
        return tuple(Write(self.offset + at, self.data[at : at + SECTOR_BYTES]) for at in starts)


@dataclass(frozen=True)
class Resize:
    """A new length of the file that no sync followed."""

    size: int

    def apply(self, content: bytearray) -> None:
        del content[self.size :]
        content.extend(bytes(self.size - len(content)))


Change: TypeAlias = Write | Resize


@dataclass(frozen=True)
class Image:
    """A machine that stands still."""

    disk: bytes = b""
    unsynced: tuple[Change, ...] = ()
    cache: bytes | None = None
    """What reads show, where that is not the disk with what is unsynced."""
    anchor: AnchorState | None = None
    unsynced_anchors: tuple[AnchorState, ...] = ()

    def digest(self) -> bytes:
        """Return a hash of everything in it."""
        whole = hashlib.sha256(self.disk)
        for change in self.unsynced:
            whole.update(change.data if isinstance(change, Write) else b"")
            whole.update(repr(change.offset if isinstance(change, Write) else change).encode())
        whole.update(repr((self.anchor, self.unsynced_anchors)).encode())
        whole.update(self.cache or b"")
        return whole.digest()

    def after_power_loss(self, changes: Sequence[Change], anchor: AnchorState | None) -> "Image":
        """Return what is left if of everything unsynced just these reached the disk."""
        content = bytearray(self.disk)
        for change in changes:
            change.apply(content)
        return Image(bytes(content), anchor=anchor)

    def power_losses(self, random: Random, wanted: int) -> "Iterator[Image]":
        """Yield at most `wanted` states that this image could become when the power goes."""
        anchors = (*self.unsynced_anchors, self.anchor)
        chosen = list(_subsets(self.unsynced, random, wanted))
        chosen = chosen if len(chosen) <= wanted else random.sample(chosen, wanted)
        for number, changes in enumerate(chosen):
            yield self.after_power_loss(changes, anchors[number % len(anchors)])


TEARS: Final[dict[str, Callable[[int, int], bool]]] = {
    "first half": lambda i, n: i < n // 2,
    "all but the first": lambda i, n: i > 0,
    "every other": lambda i, n: i % 2 == 0,
    "the others": lambda i, n: i % 2 == 1,
    "all but the last": lambda i, n: i < n - 1,
}


def _subsets(changes: tuple[Change, ...], random: Random, wanted: int) -> Iterator[tuple[Change, ...]]:
    count = len(changes)
    if 5**count <= wanted:
        yield from _all_subsets(changes)
        return
    yield ()
    yield changes
    for i in range(count):
        rest = changes[:i] + changes[i + 1 :]
        yield from (changes[:i], rest, (changes[i],))
        tear = random.choice(list(TEARS.values()))
        yield (*rest, *_torn(changes[i], tear))
        yield (*changes[:i], *_torn(changes[i], tear))
    for _ in range(wanted - 5 * count):
        yield tuple(part for change in changes for part in _random_part(change, random))


def _all_subsets(changes: tuple[Change, ...]) -> Iterator[tuple[Change, ...]]:
    """Every change absent, whole, or torn in two ways and their complements."""
    ways = [
        ((), (change,), *(_torn(change, TEARS[t]) for t in ("every other", "the others", "first half")))
        for change in changes
    ]
    for parts in product(*ways):
        yield tuple(change for part in parts for change in part)


def _torn(change: Change, keeps: Callable[[int, int], bool]) -> tuple[Change, ...]:
    return change.torn(keeps) if isinstance(change, Write) else (change,)


def _random_part(change: Change, random: Random) -> tuple[Change, ...]:
    way = random.randrange(4)
    if way == 0:
        return ()
    return (change,) if way < 3 else _torn(change, lambda i, n: random.random() < 0.5)


@dataclass(frozen=True)
class Fault:
    """The operation with this number fails, in this way."""

    number: int
    error: int
    """An `errno`. ENOSPC and EIO are what a store meets."""
    partly: bool = False
    """A write: its first half is done. A sync: half of the changes reached the disk, the others torn; else nothing did.
    The page cache calls everything clean either way."""


@dataclass
class Machine:
    """A disk and an anchor that share a power supply; `saw` is called before each operation that changes either."""

    image: Image = field(default_factory=Image)
    fault: Fault | None = None
    saw: Callable[[Kind, Image], None] | None = None
    operations: int = 0

    def __post_init__(self) -> None:
        self.disk = SimDisk(self)
        self.anchor = SimAnchor(self)

    def now(self) -> Image:
        """Return the state of this moment."""
        return replace(self.image, unsynced=tuple(self.disk.unsynced), cache=self.disk.lost_track())

    def about_to(self, kind: Kind) -> Fault | None:
        """Count an operation; return the fault if this is the one that fails."""
        if self.saw is not None:
            self.saw(kind, self.now())
        number, self.operations = self.operations, self.operations + 1
        return self.fault if self.fault is not None and self.fault.number == number else None


class SimDisk:
    """The file of a store. Every method is one system call, and fails as one would."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        image = machine.image
        self.unsynced: list[Change] = list(image.unsynced)
        self._cache = bytearray(image.cache if image.cache is not None else self._expected())
        self._lost_track = image.cache is not None
        self.closed = False

    def size(self) -> int:
        return len(self._cache)

    def read(self, offset: int, buffer: memoryview) -> None:
        part = self._cache[offset : offset + len(buffer)]
        buffer[: len(part)] = part
        if len(part) < len(buffer):
            raise EOFError(f"the file ends at {len(self._cache)}, inside {len(buffer)} bytes from {offset}")

    def write(self, offset: int, data: Buffer) -> None:
        data = bytes(data)
        assert offset + len(data) <= len(self._cache), "a write must not extend the file"
        assert offset % SECTOR_BYTES == 0, "a write must begin with a sector"
        fault = self._machine.about_to("write")
        if fault is None:
            self._change(Write(offset, data))
            return
        if fault.partly:
            half = len(data) // (2 * SECTOR_BYTES) * SECTOR_BYTES
            self._change(Write(offset, data[:half]))
        _fail(fault.error)

    def extend(self, size: int) -> None:
        self._resize("extend", max(size, self.size()))

    def truncate(self, size: int) -> None:
        self._resize("truncate", size)

    def sync(self) -> None:
        fault = self._machine.about_to("sync")
        arrived = self.unsynced
        if fault is not None:
            self._lost_track = True
            torn = [part for change in arrived[1::2] for part in _torn(change, TEARS["every other"])]
            arrived = [*arrived[::2], *torn] if fault.partly else []
        content = bytearray(self._machine.image.disk)
        for change in arrived:
            change.apply(content)
        self._machine.image = replace(self._machine.image, disk=bytes(content))
        self.unsynced = []
        if fault is not None:
            _fail(fault.error)

    def evict(self, offset: int, length: int) -> None:
        """Show these bytes as the disk has them, but for what is unsynced."""
        if self._lost_track:
            end = offset + length
            self._cache[offset:end] = self._expected()[offset:end].ljust(len(self._cache[offset:end]), b"\0")

    def close(self) -> None:
        self.closed = True

    def lost_track(self) -> bytes | None:
        """Return what the cache shows if, after a failed sync, it is not what the disk has."""
        return bytes(self._cache) if self._lost_track and self._cache != self._expected() else None

    def _resize(self, kind: Literal["extend", "truncate"], size: int) -> None:
        fault = self._machine.about_to(kind)
        if fault is not None:
            _fail(fault.error)
        self._change(Resize(size))

    def _change(self, change: Change) -> None:
        change.apply(self._cache)
        self.unsynced.append(change)

    def _expected(self) -> bytearray:
        content = bytearray(self._machine.image.disk)
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
