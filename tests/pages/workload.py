"""A life of one store on a simulated machine, beside what its caller may rely on."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Final, TypeAlias

from keystore.errors import InputError
from keystore.pages.protocols import BlockFile, Buffer
from keystore.pages.store import PageStore
from tests.pages.simdisk import Image, Kind, Machine
from tests.pages.stores import StaticKeys
from tests.pages.together import Wish, commit_in_line

PAGE_BYTES: Final = 4096
CACHE_BYTES: Final = 1 << 14
"""Small, so that pages are read from the disk."""
NAME: Final = "crashing"
FAR_PAGE: Final = 20_000
"""A page number that makes the map two levels higher."""


Layer = Callable[[BlockFile], BlockFile]


def plain(file: BlockFile) -> BlockFile:
    return file


@dataclass(frozen=True)
class Contents:
    """Everything a reader can see of a store. Pages are told apart by their first 16 bytes and checked whole."""

    pages: frozenset[tuple[int, bytes]] = frozenset()
    page_count: int = 0
    byte_length: int = 0

    def after(self, pages: Mapping[int, bytes | None], page_count: int | None, byte_length: int | None) -> "Contents":
        now = {**dict(self.pages), **{number: page and page[:16] for number, page in pages.items()}}
        end = max([self.page_count, *(number + 1 for number in pages)]) if page_count is None else page_count
        kept = frozenset((number, page) for number, page in now.items() if page is not None and number < end)
        return Contents(kept, end, self.byte_length if byte_length is None else byte_length)


@dataclass(frozen=True)
class Point:
    """A moment just before an operation: what a crash finds, and what may then be read."""

    kind: Kind
    image: Image
    allowed: tuple[Contents | None, ...]
    """None: the store did not exist yet."""


@dataclass
class Life:
    """A store on `machine`. `points` gets every moment in which it could crash."""

    keys: StaticKeys
    machine: Machine
    store: PageStore | None = None
    now: Contents | None = None
    coming: Contents | None = None
    points: list[Point] = field(default_factory=list)
    watching: bool = True
    layer: Layer = plain
    """What lies between the store and the disk."""

    def __post_init__(self) -> None:
        self.machine.saw = self._saw

    def _saw(self, kind: Kind, image: Image) -> None:
        if self.watching:
            allowed = (self.now,) if self.coming is None else (self.now, self.coming)
            self.points.append(Point(kind, image, allowed))

    @property
    def opened(self) -> PageStore:
        assert self.store is not None
        return self.store

    def create(self) -> None:
        self.coming = Contents()
        self.store = PageStore.create(
            self.layer(self.machine.disk),
            name=NAME,
            keys=self.keys,
            page_size=PAGE_BYTES,
            anchor=self.machine.anchor,
            cache_bytes=CACHE_BYTES,
        )
        self.now, self.coming = self.coming, None

    def open(self) -> None:
        self.store = PageStore.open(
            self.layer(self.machine.disk),
            name=NAME,
            keys=self.keys,
            anchor=self.machine.anchor,
            cache_bytes=CACHE_BYTES,
        )

    def commit(
        self,
        pages: Mapping[int, bytes | None] | None = None,
        *,
        page_count: int | None = None,
        byte_length: int | None = None,
    ) -> None:
        assert self.now is not None
        wanted: dict[int, Buffer | None] = dict(pages or {})
        self.coming = self.now.after(pages or {}, page_count, byte_length)
        self.opened.commit(wanted, page_count=page_count, byte_length=byte_length)
        self.now, self.coming = self.coming, None

    def commit_together(self, wishes: Sequence[Wish]) -> list[int]:
        """Commit them from as many threads; return their sequences, without those of wishes that ask for too much.

        A wish is there after a crash with all that share its record, or with none of them. Behind a record whose
        outcome is unknown no other is written, so what it asked for stays what may be coming.
        """
        sequence, file = self.opened.sequence, self.opened._state.file

        def begun(sharing: Sequence[Wish]) -> None:
            nonlocal sequence
            if file.poison is not None:
                return
            if self.opened.sequence > sequence:
                sequence, self.now = self.opened.sequence, self.coming
            self.coming = self.now
            for wish in sharing:
                assert self.coming is not None
                self.coming = self.coming.after(wish.pages, wish.page_count, wish.byte_length)

        outcomes = commit_in_line(self.opened, wishes, begun)
        for outcome in outcomes:
            if isinstance(outcome, Exception) and not isinstance(outcome, InputError):
                raise outcome
        self.now, self.coming = self.coming, None
        return [outcome for outcome in outcomes if isinstance(outcome, int)]

    def reopen(self) -> None:
        self.opened.close()
        self.open()

    def end(self) -> None:
        """Note the moment after everything: nothing that was acknowledged waits for a sync to come."""
        self._saw("sync", self.machine.now())

    def read(self, candidates: Iterable[int]) -> Contents:
        """Read the pages of `candidates`, and some others that have to be holes."""
        store = self.opened
        numbers = [
            number for number in sorted({*candidates, 1, 13, store.page_count - 1}) if 0 <= number < store.page_count
        ]
        pages = dict(zip(numbers, store.read_many(numbers), strict=True))
        for number, page in pages.items():
            assert page == page[:16] * (PAGE_BYTES // 16), f"page {number} is torn"
        there = frozenset((number, page[:16]) for number, page in pages.items() if page != bytes(PAGE_BYTES))
        return Contents(there, store.page_count, store.byte_length)


def page_of(random: Random) -> bytes:
    return random.randbytes(16) * (PAGE_BYTES // 16)


def small(life: Life, random: Random) -> None:
    life.commit({random.randrange(8): page_of(random)})


def several(life: Life, random: Random) -> None:
    life.commit({number: page_of(random) for number in random.sample(range(40), 5)})


def large(life: Life, random: Random) -> None:
    """So many pages that the record goes on in a run; then they are cut off, so that states stay small."""
    life.commit({number: page_of(random) for number in range(40, 130)})
    life.commit(page_count=40)


def growth(life: Life, random: Random) -> None:
    """More pages than one step of growth has."""
    life.commit({number: page_of(random) for number in range(40, 80)})
    life.commit({40: page_of(random)}, page_count=42)


def far(life: Life, random: Random) -> None:
    life.commit({FAR_PAGE: page_of(random), 3: page_of(random)})


def holes(life: Life, random: Random) -> None:
    life.commit(dict.fromkeys(random.sample(range(8), 2)))


def ends(life: Life, random: Random) -> None:
    life.commit(byte_length=random.randrange(1 << 40))


def together(life: Life, random: Random) -> None:
    """Threads that share records; where they ask for the same page or end, the later one gets it. One is refused.

    A cut ends its record, so those behind it share another.
    """
    sequences = life.commit_together(
        [
            Wish({0: page_of(random), 1: page_of(random)}),
            Wish({1: page_of(random), 9: page_of(random)}, byte_length=random.randrange(1 << 40)),
            Wish({2: b"no whole page"}),
            Wish({0: None, 35: page_of(random)}),
            Wish({3: page_of(random)}, page_count=random.randrange(5, 30)),
            Wish({31: page_of(random)}),
            Wish(byte_length=random.randrange(1 << 40)),
        ]
    )
    assert len(sequences) == 6


def shrink(life: Life, random: Random) -> None:
    life.commit({2: page_of(random)}, page_count=random.randrange(4, 30))


def compact(life: Life, random: Random) -> None:
    """Most pages die; what is left moves to the front, and the file is cut."""
    there = range(min(440, life.opened.page_count))
    life.commit(dict.fromkeys(random.sample(there, len(there) * 3 // 4)))
    life.opened.compact()


def checkpoint(life: Life, _: Random) -> None:
    life.opened.checkpoint()


def reopen(life: Life, _: Random) -> None:
    life.reopen()


def new_key(life: Life, random: Random) -> None:
    life.keys.rotate()
    small(life, random)


def resealed(life: Life, random: Random) -> None:
    """A former data key is left behind; what a reader sees stays through every step of it."""
    life.keys.rotate()
    life.opened.reseal()
    assert [references.generation for references in life.opened.key_references()] == [life.keys.generation]


def pinned(life: Life, random: Random) -> None:
    """Checkpoints and commits under a pin, whose pages must not be used again."""
    with life.opened.pin() as pin:
        before = b"".join(bytes(batch.ciphertext) for batch in pin.sealed())
        for _ in range(3):
            several(life, random)
            life.opened.checkpoint()
        assert b"".join(bytes(batch.ciphertext) for batch in pin.sealed()) == before
    life.opened.checkpoint()


Step: TypeAlias = Callable[[Life, Random], None]

STEPS: Final[tuple[Step, ...]] = (
    small,
    several,
    large,
    growth,
    far,
    holes,
    ends,
    together,
    shrink,
    checkpoint,
    reopen,
    new_key,
    pinned,
    resealed,
    compact,
)
"""Everything that a store does. Whatever is named here is crashed at each of its operations.

To add something that stores learn to do: write a function like those above that does it to `life.opened` with a few
pages, and name it here. What changes what a reader sees goes through `Life.commit`, or sets `coming` before and `now`
after, as that does; what does not, like a checkpoint, just calls the store.
"""


def live(life: Life, random: Random, steps: int) -> None:
    """Create a store and do `steps` things with it, every kind once before any comes again; close it."""
    life.create()
    for round_ in range(-(-steps // len(STEPS))):
        for step in random.sample(STEPS, len(STEPS))[: steps - round_ * len(STEPS)]:
            step(life, random)
    life.opened.close()
    life.end()
