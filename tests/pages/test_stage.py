"""Pages staged for a coming commit: nobody else sees them, they become one commit or nothing, and leave no slot."""

from pathlib import Path

import pytest

from keystore.errors import InputError, StoreDamagedError
from keystore.pages import commit, stage
from keystore.pages.blockfile import OsBlockFile
from keystore.pages.store import PageStore
from tests.pages.stores import CountedFile, MemoryAnchor, StaticKeys
from tests.pages.witnesses import Recorder

PAGE = 4096


def page(value: int) -> bytes:
    return bytes([value]) * PAGE


@pytest.fixture
def keys() -> StaticKeys:
    return StaticKeys()


@pytest.fixture
def file(tmp_path: Path) -> CountedFile:
    return CountedFile(OsBlockFile.create(tmp_path / "s"))


@pytest.fixture
def store(file: CountedFile, keys: StaticKeys, monkeypatch: pytest.MonkeyPatch) -> PageStore:
    """A store of pages 0 to 9, whose stages seal after every 4 pages."""
    monkeypatch.setattr(stage, "BATCH_BYTES", 4 * PAGE)
    store = PageStore.create(file, name="s", keys=keys, page_size=PAGE, anchor=MemoryAnchor())
    store.commit({number: page(number) for number in range(10)})
    return store


def reopened(store: PageStore, keys: StaticKeys, tmp_path: Path) -> PageStore:
    store.close()
    return PageStore.open(tmp_path / "s", name="s", keys=keys)


def test_what_is_staged_is_its_writers_alone_until_it_is_one_commit(
    store: PageStore, keys: StaticKeys, tmp_path: Path
) -> None:
    before, change = store.sequence, store.stage()
    for number in range(5, 25):
        change.write(number, page(100 + number))
    assert change.read(7) == page(107)
    assert change.read(24) == page(124)
    assert change.read(3) is None
    assert (store.read(7), store.page_count, store.sequence) == (page(7), 10, before)

    assert change.publish(25 * PAGE) == before + 1
    assert (store.read(7), store.page_count, store.byte_length) == (page(107), 25, 25 * PAGE)
    assert not store.verify().damaged
    with reopened(store, keys, tmp_path) as again:
        assert [again.read(number)[0] for number in (4, 5, 24)] == [4, 105, 124]
        assert not again.verify().damaged


@pytest.mark.parametrize(("pages", "syncs"), [(3, 1), (20, 1)])
def test_a_small_stage_takes_one_sync(store: PageStore, file: CountedFile, pages: int, syncs: int) -> None:
    change = store.stage()
    for number in range(pages):
        change.write(number, page(50))
    file.calls.clear()
    change.publish(10 * PAGE)
    assert file.calls["sync"] == syncs


def test_beyond_8_mib_the_pages_have_a_sync_of_their_own(
    store: PageStore, file: CountedFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commit, "SYNC_FIRST_BYTES", 16 * PAGE)
    change = store.stage()
    for number in range(17):
        change.write(number, page(50))
    file.calls.clear()
    change.publish(17 * PAGE)
    assert file.calls["sync"] == 2


def test_what_is_discarded_leaves_pages_and_slots_as_they_were(
    store: PageStore, keys: StaticKeys, tmp_path: Path
) -> None:
    slots = store._state.space.slots
    change = store.stage()
    used, busy = slots.used_count, slots.busy_count
    for number in range(20):
        change.write(number, page(200))
    assert (slots.used_count, slots.busy_count) == (used, busy + 20)
    store.checkpoint()  # no header says that they are in use
    store.commit({1: page(77)})
    change.discard()
    assert not store.verify().damaged
    store.checkpoint()
    with reopened(store, keys, tmp_path) as again:
        assert [again.read(number)[0] for number in (0, 1, 9)] == [0, 77, 9]
        assert not again.verify().damaged
        assert again._state.space.slots.busy_count <= busy + 8


def test_a_page_that_is_written_again_keeps_its_slot(store: PageStore) -> None:
    slots, change = store._state.space.slots, store.stage()
    for value in range(6):
        for number in range(4):
            change.write(number, page(value))
        if not value:
            busy = slots.busy_count
    assert slots.busy_count == busy
    change.publish(10 * PAGE)
    assert [store.read(number) for number in range(4)] == [page(5)] * 4


def test_commits_checkpoints_and_compactions_go_on_beside_a_stage(store: PageStore) -> None:
    change = store.stage()
    for number in range(10, 30):
        change.write(number, page(number))
    for value in range(20):
        store.commit({0: page(value)})
        store.checkpoint()
    store.compact()
    change.publish(30 * PAGE)
    assert [store.read(number) for number in range(10, 30)] == [page(number) for number in range(10, 30)]
    assert store.read(0) == page(19)
    assert not store.verify().damaged


def test_what_was_cut_off_reads_as_zeros_and_is_a_hole_when_the_store_grows_again(store: PageStore) -> None:
    change = store.stage()
    change.write(12, page(12))
    change.cut(4)
    change.write(8, page(88))
    assert [change.read(number) for number in (5, 8)] == [bytes(PAGE), page(88)]
    assert change.page_count == 9
    change.publish(9 * PAGE)
    assert store.page_count == 9
    assert [store.read(number)[0] for number in range(9)] == [0, 1, 2, 3, 0, 0, 0, 0, 88]
    assert not store.verify().damaged


def test_pages_of_a_session_that_ended_meanwhile_are_recovered(
    store: PageStore, keys: StaticKeys, tmp_path: Path
) -> None:
    """Its number is in no table: the record that publishes says what it is, and the pages are synced before it."""
    change = store.stage()
    for number in range(8):
        change.write(number, page(60 + number))
    store._state.sessions.begin()
    change.write(9, page(69))
    change.publish(10 * PAGE)
    (tmp_path / "killed").write_bytes((tmp_path / "s").read_bytes())
    with PageStore.open(tmp_path / "killed", name="s", keys=keys) as again:
        assert [again.read(number)[0] for number in range(10)] == [60, 61, 62, 63, 64, 65, 66, 67, 8, 69]
        assert not again.verify().damaged


def test_nothing_is_published_under_a_former_data_key_and_none_ends_before(store: PageStore, keys: StaticKeys) -> None:
    change = store.stage()
    for number in range(8):
        change.write(number, page(60 + number))
    keys.rotate()
    store.reseal()
    first = next(each for each in store.key_references(settle=True) if each.generation == 1)
    assert (first.entries, first.pins) == (0, 1)  # a data key with pins is not destroyed

    change.publish(10 * PAGE)
    assert [each.generation for each in store.key_references(settle=True)] == [2]
    assert [store.read(number)[0] for number in range(8)] == [60, 61, 62, 63, 64, 65, 66, 67]


def test_more_pages_than_a_commit_takes_are_refused_and_the_rest_can_be_discarded(
    store: PageStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage, "COMMIT_PAGES_MAX", 6)
    change = store.stage()
    for number in range(6):
        change.write(number, page(1))
    with pytest.raises(InputError, match="more than 6 pages in one commit"):
        change.write(6, page(1))
    change.write(5, page(2))
    change.discard()
    assert store.read(5) == page(5)


def test_a_witness_gets_the_ciphertext_of_staged_pages(
    file: CountedFile, keys: StaticKeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage, "BATCH_BYTES", 4 * PAGE)
    witness = Recorder()
    with PageStore.create(file, name="s", keys=keys, page_size=PAGE, witness=witness) as store:
        change = store.stage()
        for number in range(10):
            change.write(number, page(number))
        change.publish(10 * PAGE)
        told = witness.commits[-1]
        assert told.ciphertext is not None
        slots = told.changes["entry"]["slot"].tolist()
        assert told.changes["page"].tolist() == list(range(10))
        for index, slot in enumerate(slots):
            there = bytearray(PAGE)
            file.read(slot * PAGE, memoryview(there))
            assert told.ciphertext[index * PAGE : (index + 1) * PAGE] == there


def test_a_staged_page_that_was_changed_on_the_disk_is_damage(store: PageStore, file: CountedFile) -> None:
    change = store.stage()
    for number in range(4):
        change.write(number, page(1))
    slot = int.from_bytes(change._entries[2][:8], "little")
    file.file.write(slot * PAGE, bytes(PAGE))
    with pytest.raises(StoreDamagedError, match="page 2"):
        change.read(2)


@pytest.mark.parametrize("pages", [3, 20], ids=["in memory", "in slots"])
def test_a_signal_right_behind_the_commit_leaves_nothing_staged(
    store: PageStore, keys: StaticKeys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pages: int
) -> None:
    """Its slots are those of the commit: what is staged or given up next must not touch them."""

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    change = store.stage()
    for number in range(pages):
        change.write(number, page(50))
    with monkeypatch.context() as signal:
        signal.setattr(commit, "hand_over", interrupted)
        with pytest.raises(KeyboardInterrupt):
            change.publish(pages * PAGE)
    assert (store.read(0), change.changed) == (page(50), False)
    for number in range(pages):
        change.write(number, page(60))
    change.discard()
    for number in range(100, 120):  # takes slots that are free
        store.commit({number: page(70)})
    assert [store.read(number) for number in range(pages)] == [page(50)] * pages
    with reopened(store, keys, tmp_path) as again:
        assert [again.read(number) for number in range(pages)] == [page(50)] * pages
        assert not again.verify().damaged
