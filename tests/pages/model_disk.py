"""The disk of the model: what a place may hold, the page cache, what a crash may leave (docs/FORMAT.md, F-1, F-2)."""

from collections.abc import Iterable, Iterator
from itertools import product
from typing import Final, NamedTuple, TypeAlias

PAGES: Final = 2
SLOTS: Final = 20
HEADERS: Final = (SLOTS, SLOTS + 1)
WATERMARK: Final = SLOTS + 2
ANCHOR: Final = SLOTS + 3
BLOCKS: Final = SLOTS + 4
TORN: Final = "torn"

Tag: TypeAlias = tuple[int, int]
"""What a tag is here: the life of the process that sealed, and the sequence. No two differ in content alone."""


class Page(NamedTuple):
    tag: Tag
    page: int


Map: TypeAlias = tuple[tuple[int, Page] | None, ...]
"""Slot and content of each page, None for a hole."""
Content: TypeAlias = tuple[Page | None, ...]


class Record(NamedTuple):
    epoch: int
    sequence: int
    before: Tag
    tag: Tag
    changes: tuple[tuple[int, int, Page], ...]
    places: tuple[int, int]
    pages_synced: bool


class Tree(NamedTuple):
    life: int
    checkpoint: int
    map: Map


class Header(NamedTuple):
    checkpoint: int
    epoch: int
    sequence: int
    tag: Tag
    root: int
    tree: Tree
    places: tuple[int, int]


class Mark(NamedTuple):
    """Watermark or anchor; one sector, so never torn."""

    epoch: int
    sequence: int
    tag: Tag


Value: TypeAlias = Page | Record | Tree | Header | Mark | str | None


class Block(NamedTuple):
    """One place: on the disk, in the page cache, and what was written since the last sync."""

    disk: Value
    cache: Value
    unsynced: tuple[Value, ...] = ()


Disk: TypeAlias = tuple[Block, ...]


def put(disk: Disk, at: int, value: Value) -> Disk:
    old = disk[at]
    return (*disk[:at], Block(old.disk, value, (*old.unsynced, value)), *disk[at + 1 :])


def sync(disk: Disk, anchor: bool) -> Disk:
    """Make everything on one of the two devices durable; what the cache lost track of stays lost (F-2)."""
    return tuple(Block(b.cache, b.cache) if b.unsynced and (at == ANCHOR) == anchor else b for at, b in enumerate(disk))


def _outcomes(at: int, block: Block) -> tuple[Value, ...]:
    """What an unsynced place may hold after the power is gone."""
    if not block.unsynced:
        return (block.disk,)
    torn = () if at in (WATERMARK, ANCHOR) else (TORN,)
    return tuple(dict.fromkeys((block.disk, *block.unsynced, *torn)))


def power_loss(disk: Disk) -> Iterator[Disk]:
    for values in product(*(_outcomes(at, b) for at, b in enumerate(disk))):
        yield tuple(Block(value, value) for value in values)


def failed_sync(disk: Disk) -> Iterator[Disk]:
    """Nobody knows what arrived, and the cache calls everything clean; or it is still to be written."""
    yield disk
    for values in product(*(_outcomes(at, b) for at, b in enumerate(disk))):
        yield tuple(Block(value, b.cache) if b.unsynced else b for value, b in zip(values, disk, strict=True))


def evict(disk: Disk, places: Iterable[int]) -> Disk:
    chosen = set(places)
    return tuple(Block(b.disk, b.disk) if at in chosen and not b.unsynced else b for at, b in enumerate(disk))


def cache_pressure(disk: Disk) -> Iterator[Disk]:
    """The kernel may drop any clean block from its cache at any time."""
    doubtful = [at for at, b in enumerate(disk) if not b.unsynced and b.disk != b.cache]
    for keep in product((True, False), repeat=len(doubtful)):
        yield evict(disk, (at for at, kept in zip(doubtful, keep, strict=True) if not kept))
