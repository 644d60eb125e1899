"""Somebody with access to the disk changes a closed store, or one whose writer was killed (docs/FORMAT.md, F-3).

Each change must end in an error that names the store and the part, or in a store with exactly the contents it had.
Where it was mended, the opening has to say so (F-21).
"""

import contextlib
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

import pytest

from keystore.errors import KeystoreError, NotAStoreError, StoreDamagedError, StoreRolledBackError
from keystore.pages.store import PageStore
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


@pytest.fixture(scope="module")
def keys() -> StaticKeys:
    return StaticKeys()


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory, keys: StaticKeys) -> tuple[Victim, Map]:
    victim = make(tmp_path_factory.mktemp("closed") / "store", keys=keys)
    return victim, victim.map()


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory, keys: StaticKeys) -> tuple[Victim, Map]:
    """Its last three commits are in records only."""
    victim = make(tmp_path_factory.mktemp("killed") / "store", keys=keys, closed=False)
    return victim, victim.map()


Attack: TypeAlias = Callable[[Victim], object]


def put(place: Place, data: bytes) -> Attack:
    return lambda victim: victim.put(place.offset, data)


def flip(offset: int, bit: int = 0) -> Attack:
    return lambda victim: victim.flip(offset, bit)


def truncate(size: int) -> Attack:
    return lambda victim: os.truncate(victim.path, size)


def together(*attacks: Attack) -> Attack:
    return lambda victim: [attack(victim) for attack in attacks]


def after(victim: Victim, tmp_path: Path, attack: Attack) -> str:
    """Attack a copy; open it and read everything; say what was found.

    Fails on wrong contents, on an error that does not name the store, and on damage that `verify` does not see.
    """
    copy = victim.copy(tmp_path / "attacked")
    attack(copy)
    try:
        store = copy.open()
    except KeystoreError as error:
        return f"refused: {named(error)}"
    damaged = read_all(store, copy)
    report = store.verify()
    assert damaged == {named(error) for error in report.damaged}
    with contextlib.suppress(StoreDamagedError):
        store.close()
    if damaged:
        return "found: " + ", ".join(sorted(damaged))
    return "mended" if report.notes else "unchanged"


def named(error: KeystoreError) -> str:
    """Return the part that is damaged, or the type of another error, which must name the store."""
    assert NAME in str(error)
    if not isinstance(error, StoreDamagedError):
        return type(error).__name__
    assert error.store == NAME
    return error.part if error.number is None else f"{error.part} {error.number}"


def read_all(store: PageStore, victim: Victim) -> set[str]:
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


# -- one bit ----------------------------------------------------------------------------------------------------------


def flip_each(victim: Victim, tmp_path: Path, start: int, fields: dict[str, tuple[int, int]]) -> dict[str, str]:
    """Flip the first and the last bit of each field of the block at `start`; return what was found."""
    found = {}
    for name, (offset, length) in fields.items():
        for at, bit in ((start + offset, 0), (start + offset + length - 1, 7)):
            found[f"{name}, bit {bit}"] = after(victim, tmp_path, flip(at, bit))
    return found


@pytest.mark.parametrize("newest", [True, False])
def test_a_bit_in_a_header_of_a_closed_store_is_mended_from_the_other_copy_and_reported(
    newest: bool, closed: tuple[Victim, Map], tmp_path: Path
) -> None:
    victim, places = closed
    start = places.newest if newest else 4096 - places.newest
    found = flip_each(victim, tmp_path, start, PRELUDE_FIELDS | HEADER_FIELDS)
    assert len(found) == 60
    assert set(found.values()) == {"mended"}


def test_a_bit_in_a_header_of_a_killed_store_is_mended_too(killed: tuple[Victim, Map], tmp_path: Path) -> None:
    """An opening renews both copies, so the chain of either reaches the watermark (section 8, step 5; F-17)."""
    victim, places = killed
    for start in (places.newest, 4096 - places.newest):
        found = flip_each(victim, tmp_path, start, PRELUDE_FIELDS | HEADER_FIELDS)
        assert set(found.values()) == {"mended"}


@pytest.mark.parametrize("state", ["closed", "killed"])
def test_a_bit_in_the_watermark_is_refused(state: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    victim, _ = request.getfixturevalue(state)
    found = flip_each(victim, tmp_path, WATERMARK.offset, PRELUDE_FIELDS | WATERMARK_FIELDS)
    assert set(found.values()) == {"refused: watermark"}


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_bit_in_a_record_is_damage_and_not_a_shorter_store(
    number: int, killed: tuple[Victim, Map], tmp_path: Path
) -> None:
    victim, places = killed
    assert len(places.records) == 3
    found = flip_each(victim, tmp_path, places.records[number].offset, PRELUDE_FIELDS | RECORD_FIELDS)
    assert set(found.values()) == {f"refused: commit record {victim.sequence - 2 + number}"}


@pytest.mark.parametrize("at", [0, 1234, PAGE_BYTES - 1])
def test_a_bit_in_a_page_is_found_in_that_page_alone(at: int, closed: tuple[Victim, Map], tmp_path: Path) -> None:
    victim, places = closed
    for number, place in places.pages.items():
        found = after(victim, tmp_path, flip(place.offset + at))
        assert found == f"found: page {number}"


@pytest.mark.parametrize("at", [0, 1234, PAGE_BYTES - 1])
def test_a_bit_in_a_node_a_session_table_or_a_slot_map_is_found(
    at: int, closed: tuple[Victim, Map], tmp_path: Path
) -> None:
    victim, places = closed
    found = [after(victim, tmp_path, flip(p.offset + at)) for p in places.nodes]
    assert found == ["refused: map node 0", "refused: map node 0", "found: map node 1", "found: map node 2"]
    for place in places.sessions:
        assert after(victim, tmp_path, flip(place.offset + at)) == "refused: session table 0"
    for place in places.slot_map:
        assert after(victim, tmp_path, flip(place.offset + at)) == "refused: slot map 0"


# -- whole pages ------------------------------------------------------------------------------------------------------


def test_a_moved_a_swapped_an_old_and_a_zeroed_page_are_found(closed: tuple[Victim, Map], tmp_path: Path) -> None:
    victim, places = closed
    five, seven = places.pages[5], places.pages[7]

    move, move_back = put(five, victim.bytes_at(seven)), put(seven, victim.bytes_at(five))
    assert after(victim, tmp_path, move) == "found: page 5"
    assert after(victim, tmp_path, together(move, move_back)) == "found: page 5, page 7"
    assert after(victim, tmp_path, put(five, victim.older_pages[5])) == "found: page 5"
    assert after(victim, tmp_path, put(five, bytes(PAGE_BYTES))) == "found: page 5"


def test_a_page_of_another_store_under_the_same_keys_is_found(
    closed: tuple[Victim, Map], keys: StaticKeys, tmp_path: Path
) -> None:
    victim, places = closed
    other = make(tmp_path / "other", keys=keys)
    stranger = other.bytes_at(other.map().pages[5])
    assert after(victim, tmp_path, put(places.pages[5], stranger)) == "found: page 5"


# -- whole stores -----------------------------------------------------------------------------------------------------


def test_another_store_under_this_name_is_refused(closed: tuple[Victim, Map], keys: StaticKeys, tmp_path: Path) -> None:
    other = make(tmp_path / "other", keys=keys)
    exchange = put(Place(0, 0), other.path.read_bytes())
    assert after(closed[0], tmp_path, exchange) == "refused: store id"


@pytest.mark.parametrize("commits", [0, 1, 5])
def test_an_old_whole_store_is_refused_as_rolled_back(commits: int, closed: tuple[Victim, Map], tmp_path: Path) -> None:
    """Also if it was only opened since: a commit that was rejected then must not come back with the old file."""

    def put_the_old_file_back(copy: Victim) -> None:
        old = copy.path.read_bytes()
        with copy.open() as store:
            for _ in range(commits):
                store.commit({0: victim.contents[0]})
        copy.path.write_bytes(old)

    victim, _ = closed
    assert after(victim, tmp_path, put_the_old_file_back) == "refused: StoreRolledBackError"


def test_a_cut_file_is_refused(closed: tuple[Victim, Map], killed: tuple[Victim, Map], tmp_path: Path) -> None:
    for victim, places in (closed, killed):
        size = victim.path.stat().st_size
        slots = [place.offset for place in (*places.pages.values(), *places.nodes, *places.sessions, *places.slot_map)]
        for cut in (0, 1, 100, 4095):
            found = after(victim, tmp_path, truncate(cut))
            assert found == f"refused: {NotAStoreError.__name__}"
        for cut in (4096, 8192, 8704, 12288, *slots, size - PAGE_BYTES, size - 1):
            found = after(victim, tmp_path, truncate(cut))
            assert found == "refused: file length"


def test_a_longer_file_changes_nothing(closed: tuple[Victim, Map], tmp_path: Path) -> None:
    """It looks like a growth that was cut off by a crash; no map names the new bytes."""
    size = closed[0].path.stat().st_size
    for more in (1, 512, PAGE_BYTES, 1 << 20):
        assert after(closed[0], tmp_path, truncate(size + more)) == "unchanged"


def test_headers_in_the_wrong_place_are_refused_or_mended(closed: tuple[Victim, Map], tmp_path: Path) -> None:
    victim, places = closed
    newest, older = Place(places.newest, 4096), Place(4096 - places.newest, 4096)
    newer_twice, older_twice = put(older, victim.bytes_at(newest)), put(newest, victim.bytes_at(older))
    assert after(victim, tmp_path, newer_twice) == "mended"
    assert after(victim, tmp_path, older_twice) == "mended"
    assert after(victim, tmp_path, together(newer_twice, older_twice)) == "refused: header"
    assert after(victim, tmp_path, put(newest, bytes(4096))) == "mended"
    assert after(victim, tmp_path, put(Place(0, 8192), bytes(8192))) == f"refused: {NotAStoreError.__name__}"


@pytest.mark.parametrize("field", ["version", "suite"])
def test_a_lowered_version_or_suite_is_refused(field: str, closed: tuple[Victim, Map], tmp_path: Path) -> None:
    lower = [put(Place(start + PRELUDE_FIELDS[field][0], 1), b"\0") for start in (0, 4096)]
    assert after(closed[0], tmp_path, together(*lower)) == "refused: header"


def test_a_zeroed_tail_is_refused_and_a_repeated_record_changes_nothing(
    killed: tuple[Victim, Map], tmp_path: Path
) -> None:
    victim, places = killed
    number = victim.sequence
    for first, missing in ((2, number), (1, number - 1), (0, number - 2)):
        cut = [put(place, bytes(place.length)) for place in places.records[first:]]
        assert after(victim, tmp_path, together(*cut)) == f"refused: commit record {missing}"
    for place in places.records:
        assert after(victim, tmp_path, put(places.next_record, victim.bytes_at(place))) == "unchanged"


def test_a_tail_cut_together_with_its_watermark_is_rolled_back(killed: tuple[Victim, Map], tmp_path: Path) -> None:
    """Only the anchor knows then; without one this cannot be seen."""
    victim, places = killed

    cut = together(put(places.records[-1], bytes(4096)), put(WATERMARK, victim.watermarks[-2]))
    assert after(victim, tmp_path, cut) == f"refused: {StoreRolledBackError.__name__}"


# -- a commit that never happened -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Rejected:
    """A commit that was in flight when the power went, and that the next opening rejected."""

    keys: StaticKeys
    whole: Image
    """All of it on the disk, as somebody may have copied it."""
    decided: Image
    """After the opening that rejected it, and a clean close."""
    contents: Contents


@pytest.fixture
def rejected() -> Rejected:
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


def test_a_page_put_back_does_not_bring_a_rejected_commit_back(rejected: Rejected) -> None:
    """Its record may still stand on the disk, and the page fits it; the new epoch keeps it away."""
    before, now = rejected.whole.disk, rejected.decided.disk
    opened = 0
    for at in range(0, before.size, PAGE_BYTES):
        page = before.read(at, PAGE_BYTES)
        if page == now.read(at, PAGE_BYTES):
            continue
        disk = now.copy()
        disk.write(at, page)
        life = Life(rejected.keys, Machine(replace(rejected.decided, disk=disk)))
        with contextlib.suppress(StoreDamagedError, StoreRolledBackError):
            life.open()
            assert life.read(range(20)) == rejected.contents
            opened += 1
    assert opened >= 1


def test_the_whole_branch_of_a_rejected_commit_is_refused(rejected: Rejected) -> None:
    life = Life(rejected.keys, Machine(replace(rejected.decided, disk=rejected.whole.disk)))
    with pytest.raises(StoreRolledBackError):
        life.open()
