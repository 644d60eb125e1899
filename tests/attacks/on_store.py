"""Attacks on a page store: a closed one, and one whose writer was killed with three commits in records only."""

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import TypeAlias

from keystore.errors import KeystoreError, StoreDamagedError, StoreRolledBackError
from keystore.pages.store import PageStore
from tests.attacks.cells import Cells
from tests.pages.simdisk import Image, Machine
from tests.pages.stores import StaticKeys
from tests.pages.victim import (
    HEADER_FIELDS,
    NAME,
    PAGE_BYTES,
    PRELUDE_FIELDS,
    RECORD_FIELDS,
    WATERMARK,
    WATERMARK_FIELDS,
    Map,
    Place,
    Victim,
    make,
)
from tests.pages.workload import Contents, Life

Attack: TypeAlias = Callable[[Victim], object]
Fields: TypeAlias = dict[str, tuple[int, int]]
CELLS = Cells()
HEADERS = (Place(0, 4096), Place(4096, 4096))


@dataclass(frozen=True)
class State:
    """A store to attack, and where its parts stand."""

    victim: Victim
    places: Map

    @property
    def newest(self) -> Place:
        return Place(self.places.newest, 4096)

    @property
    def older(self) -> Place:
        return Place(4096 - self.places.newest, 4096)


class StoreScene:
    """Stores under one set of keys. `after` attacks a copy."""

    def __init__(self, directory: Path) -> None:
        self.keys = StaticKeys()
        closed = make(directory / "closed", keys=self.keys)
        killed = make(directory / "killed", keys=self.keys, closed=False)
        other = make(directory / "other", keys=self.keys)
        self.closed, self.killed, self.other = (State(each, each.map()) for each in (closed, killed, other))
        self._directory, self._copies = directory, count()

    @property
    def both(self) -> tuple[State, State]:
        return self.closed, self.killed

    def after(self, state: State, *attacks: Attack) -> str:
        """Attack a copy; open it and read everything; say what was found.

        Fails on wrong contents, on an error that does not name the store, and on damage that `verify` does not see.
        """
        copy = state.victim.copy(self._directory / f"attacked-{next(self._copies)}")
        for attack in attacks:
            attack(copy)
        try:
            return _opened(copy)
        finally:
            copy.path.unlink()

    def flips(self, state: State, start: int, fields: Fields) -> Iterator[str]:
        """Flip the first and the last bit of each field of the block at `start`."""
        for offset, length in fields.values():
            for at, bit in ((start + offset, 0), (start + offset + length - 1, 7)):
                yield self.after(state, flip(at, bit))


def _opened(copy: Victim) -> str:
    try:
        store = copy.open()
    except KeystoreError as error:
        return f"refused: {_record_numbered(error, copy)}"
    damaged = _read_all(store, copy)
    report = store.verify()
    assert damaged == {named(error) for error in report.damaged}
    with contextlib.suppress(StoreDamagedError):
        store.close()
    if damaged:
        return f"found: {', '.join(sorted(damaged))}"
    return "mended" if report.notes else "unchanged"


def _record_numbered(error: KeystoreError, victim: Victim) -> str:
    """As `named`; a damaged record must have the number of one that stands in records only."""
    if isinstance(error, StoreDamagedError) and error.part == "commit record":
        assert error.number in range(victim.sequence - 2, victim.sequence + 1)
    return named(error)


def named(error: KeystoreError) -> str:
    """Return type and part of an error, which must name the store, and the number where the part has one."""
    assert NAME in str(error)
    if not isinstance(error, StoreDamagedError):
        return type(error).__name__
    assert error.store == NAME
    assert error.number is not None or error.part in ("header", "watermark", "store id", "file length")
    return f"StoreDamagedError, {error.part}" + (f" {error.number}" if error.part == "page" else "")


def _read_all(store: PageStore, victim: Victim) -> set[str]:
    damaged = set()
    for number in range(store.page_count):
        try:
            page = store.read(number)
        except StoreDamagedError as error:
            damaged.add(named(error))
            continue
        assert page == victim.contents.get(number, bytes(PAGE_BYTES)), f"page {number} is wrong"
    assert store.page_count == victim.page_count
    return damaged


# -- attacks ----------------------------------------------------------------------------------------------------------


def put(place: Place, data: bytes) -> Attack:
    return lambda victim: victim.put(place.offset, data)


def zero(place: Place) -> Attack:
    return put(place, bytes(place.length))


def flip(offset: int, bit: int = 0) -> Attack:
    return lambda victim: victim.flip(offset, bit)


def resize(size: int) -> Attack:
    return lambda victim: os.truncate(victim.path, size)


def exchange(victim: Victim, one: Place, other: Place) -> tuple[Attack, Attack]:
    return put(one, victim.bytes_at(other)), put(other, victim.bytes_at(one))


OTHER_COPY = "the other copy serves, since its chain reaches the watermark (F-17); the opening reports it (F-21)"

# -- header -----------------------------------------------------------------------------------------------------------


@CELLS.add("store header", "bit flip in each field", "mended", why=OTHER_COPY)
def _(scene: StoreScene) -> Iterator[str]:
    for state in scene.both:
        for copy in HEADERS:
            yield from scene.flips(state, copy.offset, PRELUDE_FIELDS | HEADER_FIELDS)


@CELLS.add("store header", "one copy zeroed, or put over the other", "mended", why=OTHER_COPY)
def _(scene: StoreScene) -> Iterator[str]:
    for state in scene.both:
        yield scene.after(state, zero(state.newest))
        yield scene.after(state, put(state.older, state.victim.bytes_at(state.newest)))
        yield scene.after(state, put(state.newest, state.victim.bytes_at(state.older)))


@CELLS.add("store header", "both copies zeroed", "refused: NotAStoreError")
def _(scene: StoreScene) -> Iterator[str]:
    yield scene.after(scene.closed, zero(Place(0, 8192)))


@CELLS.add("store header", "copies swapped", "refused: StoreDamagedError, header")
def _(scene: StoreScene) -> Iterator[str]:
    for state in scene.both:
        yield scene.after(state, *exchange(state.victim, *HEADERS))


@CELLS.add("store header", "version or suite lowered", "refused: StoreDamagedError, header")
def _(scene: StoreScene) -> Iterator[str]:
    for at in (PRELUDE_FIELDS["version"][0], PRELUDE_FIELDS["suite"][0]):
        yield scene.after(scene.closed, *(put(Place(copy.offset + at, 1), b"\0") for copy in HEADERS))


@CELLS.add("store header", "both copies of another store under the same key", "refused: StoreDamagedError, store id")
def _(scene: StoreScene) -> Iterator[str]:
    yield scene.after(scene.closed, *(put(copy, scene.other.victim.bytes_at(copy)) for copy in HEADERS))


# -- record -----------------------------------------------------------------------------------------------------------


@CELLS.add("record", "bit flip in each field", "refused: StoreDamagedError, commit record")
def _(scene: StoreScene) -> Iterator[str]:
    for place in scene.killed.places.records:
        yield from scene.flips(scene.killed, place.offset, PRELUDE_FIELDS | RECORD_FIELDS)


@CELLS.add("record", "dropped (zeroed): first, middle, last, or all after", "refused: StoreDamagedError, commit record")
def _(scene: StoreScene) -> Iterator[str]:
    records = scene.killed.places.records
    for at in range(len(records)):
        yield scene.after(scene.killed, zero(records[at]))
        yield scene.after(scene.killed, *map(zero, records[at:]))


@CELLS.add(
    "record", "repeated at the next place", "unchanged", why="its sequence and the tag before it do not fit there"
)
def _(scene: StoreScene) -> Iterator[str]:
    for place in scene.killed.places.records:
        yield scene.after(scene.killed, put(scene.killed.places.next_record, scene.killed.victim.bytes_at(place)))


@CELLS.add("record", "two exchanged", "refused: StoreDamagedError, commit record")
def _(scene: StoreScene) -> Iterator[str]:
    first, second, third = scene.killed.places.records
    for one, other in ((first, second), (second, third), (first, third)):
        yield scene.after(scene.killed, *exchange(scene.killed.victim, one, other))


@CELLS.add("record", "version or suite lowered", "refused: StoreDamagedError, commit record")
def _(scene: StoreScene) -> Iterator[str]:
    for place in scene.killed.places.records:
        for field in ("version", "suite"):
            at = Place(place.offset + PRELUDE_FIELDS[field][0], 1)
            yield scene.after(scene.killed, zero(at))


@CELLS.add("record", "of another store under the same key", "refused: StoreDamagedError, commit record")
def _(scene: StoreScene) -> Iterator[str]:
    other = make(scene._directory / "stranger", keys=scene.keys, closed=False)
    places = zip(scene.killed.places.records, other.map().records, strict=True)
    yield from (scene.after(scene.killed, put(place, other.bytes_at(from_))) for place, from_ in places)


@CELLS.add("record", "last ones cut together with the watermark", "refused: StoreRolledBackError")
def _(scene: StoreScene) -> Iterator[str]:
    *_, last = scene.killed.places.records
    yield scene.after(scene.killed, zero(last), put(WATERMARK, scene.killed.victim.watermarks[-2]))


@CELLS.add(
    "record",
    "cut with the watermark back to the last synced anchor, and that put back too",
    "limit 2: the state at that anchor",
    why="what was never anchored on the disk can be cut; an outside anchor that states each commit tells it",
)
def _(scene: StoreScene) -> Iterator[str]:
    victim = scene.killed.victim.copy(scene._directory / "cut")
    *_, last = scene.killed.places.records
    zero(last)(victim)
    put(WATERMARK, victim.watermarks[-2])(victim)
    anchor = victim.anchor.state
    assert anchor is not None
    victim.anchor.state = replace(anchor, sequence=victim.sequence - 1, tag=_tag(scene.killed, -2))
    with victim.open() as store:
        assert store.sequence == victim.sequence - 1
        assert store.verify().damaged == []
        others = [number for number in victim.contents if number != 7]  # the last commit wrote page 7
        assert [store.read(number) for number in others] == [victim.contents[number] for number in others]
    yield "limit 2: the state at that anchor"


def _tag(state: State, at: int) -> bytes:
    return state.victim.bytes_at(state.places.records[at])[128:144]


# -- watermark --------------------------------------------------------------------------------------------------------


@CELLS.add("watermark", "bit flip in each field, zeroed, version lowered", "refused: StoreDamagedError, watermark")
def _(scene: StoreScene) -> Iterator[str]:
    for state in scene.both:
        yield from scene.flips(state, WATERMARK.offset, PRELUDE_FIELDS | WATERMARK_FIELDS)
        yield scene.after(state, zero(WATERMARK))
        for field in ("version", "suite"):
            yield scene.after(state, zero(Place(WATERMARK.offset + PRELUDE_FIELDS[field][0], 1)))


@CELLS.add("watermark", "of another store under the same key", "refused: StoreDamagedError, watermark")
def _(scene: StoreScene) -> Iterator[str]:
    for state in scene.both:
        yield scene.after(state, put(WATERMARK, scene.other.victim.bytes_at(WATERMARK)))


@CELLS.add("watermark", "an older one", "unchanged", why="the chain of records proves the later commits itself")
def _(scene: StoreScene) -> Iterator[str]:
    for mark in scene.killed.victim.watermarks[:-1]:
        yield scene.after(scene.killed, put(WATERMARK, mark))


# -- page -------------------------------------------------------------------------------------------------------------

PAGE_FIVE = "found: StoreDamagedError, page 5"


@CELLS.add("page", "bit flip", PAGE_FIVE)
def _(scene: StoreScene) -> Iterator[str]:
    for number, place in scene.closed.places.pages.items():
        for at in (0, 1234, PAGE_BYTES - 1):
            found = scene.after(scene.closed, flip(place.offset + at))
            yield found.replace(f"page {number}", "page 5")


@CELLS.add("page", "moved, old, zeroed, of another store under the same key", PAGE_FIVE)
def _(scene: StoreScene) -> Iterator[str]:
    victim, pages = scene.closed.victim, scene.closed.places.pages
    for data in (
        victim.bytes_at(pages[7]),
        victim.older_pages[5],
        bytes(PAGE_BYTES),
        scene.other.victim.bytes_at(scene.other.places.pages[5]),
    ):
        yield scene.after(scene.closed, put(pages[5], data))


@CELLS.add("page", "two exchanged", "found: StoreDamagedError, page 5, StoreDamagedError, page 7")
def _(scene: StoreScene) -> Iterator[str]:
    pages = scene.closed.places.pages
    yield scene.after(scene.closed, *exchange(scene.closed.victim, pages[5], pages[7]))


# -- map node, session table, slot map --------------------------------------------------------------------------------

NODES = ("refused: StoreDamagedError, map node", "found: StoreDamagedError, map node")


def _blocks(scene: StoreScene, place: Place, other: Place, elsewhere: Place) -> Iterator[str]:
    """Flip bits in a block, zero it, move another into its place, and take one from another store."""
    for at in (0, 1234, PAGE_BYTES - 1):
        yield scene.after(scene.closed, flip(place.offset + at))
    yield scene.after(scene.closed, zero(place))
    yield scene.after(scene.closed, put(place, scene.closed.victim.bytes_at(other)))
    yield scene.after(scene.closed, put(place, scene.other.victim.bytes_at(elsewhere)))


@CELLS.add("map node", "bit flip, zeroed, replaced by another, of another store under the same key", *NODES)
def _(scene: StoreScene) -> Iterator[str]:
    nodes, others = scene.closed.places.nodes, scene.other.places.nodes
    for at, place in enumerate(nodes):
        yield from _blocks(scene, place, nodes[at - 1], others[at])


@CELLS.add("map node", "an older one of the same place", *NODES)
def _(scene: StoreScene) -> Iterator[str]:
    """Before and after one more commit and checkpoint: each node that changed is put back where the new one stands."""
    later = scene.closed.victim.copy(scene._directory / "later")
    with later.open() as store:
        store.commit({number: later.contents[number] for number in later.contents})
    state = State(later, later.map())
    for old, new in zip(scene.closed.places.nodes, state.places.nodes, strict=True):
        assert old != new
        yield scene.after(state, put(new, scene.closed.victim.bytes_at(old)))


@CELLS.add("session table", "bit flip, zeroed, replaced, of another store", "refused: StoreDamagedError, session table")
def _(scene: StoreScene) -> Iterator[str]:
    places = scene.closed.places
    (place,), (elsewhere,) = places.sessions, scene.other.places.sessions
    yield from _blocks(scene, place, places.slot_map[0], elsewhere)


@CELLS.add("slot map", "bit flip, zeroed, replaced, of another store", "refused: StoreDamagedError, slot map")
def _(scene: StoreScene) -> Iterator[str]:
    places = scene.closed.places
    (place,), (elsewhere,) = places.slot_map, scene.other.places.slot_map
    yield from _blocks(scene, place, places.sessions[0], elsewhere)


# -- whole file -------------------------------------------------------------------------------------------------------


@CELLS.add("store file", "truncated", "refused: NotAStoreError", "refused: StoreDamagedError, file length")
def _(scene: StoreScene) -> Iterator[str]:
    for state in scene.both:
        size, places = state.victim.path.stat().st_size, state.places
        parts = (*places.pages.values(), *places.nodes, *places.sessions, *places.slot_map)
        cuts = (0, 1, 100, 4095, 4096, 8192, 8704, 12288, *(part.offset for part in parts), size - PAGE_BYTES, size - 1)
        for cut in cuts:
            yield scene.after(state, resize(cut))


@CELLS.add("store file", "extended", "unchanged", why="it looks like a growth that a crash cut off; no map names it")
def _(scene: StoreScene) -> Iterator[str]:
    size = scene.closed.victim.path.stat().st_size
    yield from (scene.after(scene.closed, resize(size + more)) for more in (1, 512, PAGE_BYTES, 1 << 20))


@CELLS.add("store file", "another store under the same key", "refused: StoreDamagedError, store id")
def _(scene: StoreScene) -> Iterator[str]:
    yield scene.after(scene.closed, put(Place(0, 0), scene.other.victim.path.read_bytes()))


@CELLS.add("store file", "an old one, of before an opening or of before commits", "refused: StoreRolledBackError")
def _(scene: StoreScene) -> Iterator[str]:
    for commits in (0, 1, 5):

        def put_back(copy: Victim, commits: int = commits) -> None:
            old = copy.path.read_bytes()
            with copy.open() as store:
                for _ in range(commits):
                    store.commit({0: copy.contents[0]})
            copy.path.write_bytes(old)

        yield scene.after(scene.closed, put_back)


@dataclass(frozen=True)
class Rejected:
    """A commit that was in flight when the power went, and that the next opening rejected."""

    keys: StaticKeys
    whole: Image
    """All of it on the disk, as somebody may have copied it."""
    decided: Image
    """After the opening that rejected it, and a clean close."""
    contents: Contents


def _rejected() -> Rejected:
    keys = StaticKeys()
    life = Life(keys, Machine())
    life.create()
    # Everything is written three times: so the next opening finds free slots far below that of the lost page, and its
    # own blocks leave that alone.
    for fill in (b"0", b"1", b"2"):
        life.commit(dict.fromkeys(range(20), fill * PAGE_BYTES))
        life.opened.checkpoint()
    before, known = len(life.points), life.now
    life.commit({0: b"3" * PAGE_BYTES})
    assert known is not None
    point = next(point for point in life.points[before:] if point.kind == "sync")
    *_, record = point.image.unsynced
    torn = point.image.after_power_loss([record], point.image.anchor)
    again = Life(keys, Machine(torn))
    again.open()
    assert again.read(range(20)) == known
    again.opened.close()
    whole = point.image.after_power_loss(point.image.unsynced, None)
    return Rejected(keys, whole, again.machine.now(), known)


@CELLS.add(
    "rejected commit",
    "any page of it put back",
    "unchanged",
    "refused: StoreDamagedError",
    why="its record may still stand on the disk, and the page fits it; the new epoch keeps it away",
)
def _(scene: StoreScene) -> Iterator[str]:
    rejected = _rejected()
    before, now = rejected.whole.disk, rejected.decided.disk
    for at in range(0, before.size, PAGE_BYTES):
        page = before.read(at, PAGE_BYTES)
        if page == now.read(at, PAGE_BYTES):
            continue
        disk = now.copy()
        disk.write(at, page)
        life = Life(rejected.keys, Machine(replace(rejected.decided, disk=disk)))
        try:
            life.open()
        except (StoreDamagedError, StoreRolledBackError) as error:
            yield f"refused: {type(error).__name__}"
            continue
        assert life.read(range(20)) == rejected.contents
        yield "unchanged"


@CELLS.add("rejected commit", "its whole branch put back", "refused: StoreRolledBackError")
def _(scene: StoreScene) -> Iterator[str]:
    rejected = _rejected()
    life = Life(rejected.keys, Machine(replace(rejected.decided, disk=rejected.whole.disk)))
    try:
        life.open()
    except KeystoreError as error:
        yield f"refused: {type(error).__name__}"
