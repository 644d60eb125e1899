"""The page store against a dictionary, its limits, its counts, and what it refuses."""

import os
import random
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from keystore.errors import (
    InputError,
    NotAStoreError,
    PageRangeError,
    StoreClosedError,
    StoreDamagedError,
    StoreExistsError,
    StoreForkedError,
    StoreLockedError,
    StoreMissingError,
    WrongKeyError,
)
from keystore.pages import writer
from keystore.pages.blockfile import OsBlockFile
from keystore.pages.store import PageStore
from tests.pages.stores import CountedFile, MemoryAnchor, StaticKeys, each_commit_marked

PAGE_SIZES = (4096, 8192, 16384, 32768, 65536)


class Walk:
    """A random life of one store beside a dictionary."""

    def __init__(self, path: Path, page_size: int, seed: int) -> None:
        self.path, self.page_size, self.random = path, page_size, random.Random(seed)
        self.keys, self.anchor = StaticKeys(), MemoryAnchor()
        self.model: dict[int, bytes | None] = {}
        self.count = 0
        self.store = PageStore.create(path, name="walk", keys=self.keys, page_size=page_size, anchor=self.anchor)

    def step(self) -> None:
        chance = self.random.random()
        if chance < 0.75:
            self.write()
        elif chance < 0.82:
            self.count = self.random.randrange(self.count + 1)
            self.store.commit(page_count=self.count)
            self.model = {page_no: page for page_no, page in self.model.items() if page_no < self.count}
        elif chance < 0.9:
            self.store.checkpoint()
        elif chance < 0.94:
            assert self.store.verify().damaged == []
        elif chance < 0.98:
            self.reopen()
        else:
            self.keys.rotate()

    def write(self) -> None:
        pages: dict[int, bytes | None] = {}
        for _ in range(self.random.choice([1, 1, 2, 5, 40])):
            hole = self.random.random() < 0.1
            page_no = self.random.randrange(self.random.choice([10, 300, 5000]))
            pages[page_no] = None if hole else self.random.randbytes(64) * (self.page_size // 64)
        self.store.commit(pages)
        self.model.update(pages)
        self.count = max(self.count, max(pages) + 1)

    def reopen(self) -> None:
        self.store.close()
        self.store = PageStore.open(self.path, name="walk", keys=self.keys, anchor=self.anchor)
        assert self.store.notes == []

    def check(self, page_nos: list[int]) -> None:
        assert self.store.page_count == self.count
        expected = [self.model.get(page_no) or bytes(self.page_size) for page_no in page_nos]
        assert [self.store.read(page_no) for page_no in page_nos] == expected
        assert self.store.read_many(page_nos) == expected


@pytest.mark.parametrize("page_size", PAGE_SIZES)
def test_random_life_equals_a_dictionary(tmp_path: Path, page_size: int) -> None:
    walk = Walk(tmp_path / "store", page_size, seed=page_size)
    for _ in range(250):
        walk.step()
        walk.check(walk.random.sample(range(walk.count), min(walk.count, 3)))
    walk.reopen()
    walk.check(list(range(walk.count)))
    report = walk.store.verify()
    assert report.ok
    assert report.pages == sum(page is not None for page in walk.model.values())
    walk.store.close()


def test_tree_of_several_levels_grows_and_shrinks(tmp_path: Path) -> None:
    """102 entries a node at 4 KiB: these numbers need one to five levels."""
    keys = StaticKeys()
    far = [0, 101, 102, 102**2, 102**3 + 5, 102**4 + 7]
    with PageStore.create(tmp_path / "s", name="s", keys=keys, page_size=4096) as store:
        for page_no in far:
            store.commit({page_no: page_no.to_bytes(8, "little") * 512})
            store.checkpoint()
        for page_no in far:
            assert store.read(page_no) == page_no.to_bytes(8, "little") * 512
        assert store.verify().pages == len(far)
        for keep in range(len(far) - 1, 0, -1):
            store.commit(page_count=far[keep - 1] + 1)
            report = store.verify()
            assert (report.ok, report.pages) == (True, keep)
        assert store.read(0) == bytes(4096)


def test_slots_are_used_again(tmp_path: Path) -> None:
    """Rewriting the same page for ever must not grow the file."""
    with PageStore.create(tmp_path / "s", name="s", keys=StaticKeys(), page_size=4096) as store:
        for round_no in range(50):
            for _ in range(20):
                store.commit({0: os.urandom(4096)})
            store.checkpoint()
            if round_no == 10:
                size = (tmp_path / "s").stat().st_size
        assert (tmp_path / "s").stat().st_size == size


def test_reopening_does_not_grow_the_file(tmp_path: Path) -> None:
    keys = StaticKeys()
    PageStore.create(tmp_path / "s", name="s", keys=keys).close()
    sizes = set()
    for _ in range(30):
        PageStore.open(tmp_path / "s", name="s", keys=keys).close()
        sizes.add((tmp_path / "s").stat().st_size)
    assert len(sizes) == 1


# -- counts -----------------------------------------------------------------------------------------------------------


def counted_store(path: Path, page_size: int = 16384) -> tuple[PageStore, CountedFile]:
    file = CountedFile(OsBlockFile.create(path))
    store = PageStore.create(file, name="counted", keys=StaticKeys(), page_size=page_size)
    store.commit({0: bytes(page_size)})
    return store, file


def test_one_sync_for_a_commit_of_one_page(tmp_path: Path) -> None:
    store, file = counted_store(tmp_path / "s")
    file.calls.clear()
    file.bytes.clear()
    with each_commit_marked():
        for number in range(20):
            store.commit({number: bytes(16384)})
    assert file.calls["extend"] == 0
    assert file.calls["sync"] == 20
    assert file.calls["write"] == 60, "a page, a record, the watermark"
    assert file.bytes["write"] == 20 * (16384 + 4096 + 512)
    assert file.calls["read"] == 0
    store.close()


def test_commit_above_8_mib_syncs_its_pages_first(tmp_path: Path) -> None:
    store, file = counted_store(tmp_path / "s", 65536)
    store.commit({number: bytes(65536) for number in range(400)})
    store.commit(dict.fromkeys(range(400)))
    store.checkpoint()
    store.commit({0: bytes(65536)})
    store.checkpoint()
    file.calls.clear()
    store.commit({number: bytes(65536) for number in range(129)})
    assert file.calls["sync"] - file.calls["extend"] == 2
    store.close()


def test_rewriting_one_page_writes_no_other_page(tmp_path: Path) -> None:
    store, file = counted_store(tmp_path / "s")
    store.commit({number: bytes(16384) for number in range(1000)})
    store.checkpoint()
    file.bytes.clear()
    store.commit({500: b"\1" * 16384})
    store.checkpoint()
    leaf_root_table_map = 4
    assert file.bytes["write"] <= 16384 * (1 + leaf_root_table_map) + 4096 * 2 + 512
    store.close()


def test_opening_reads_little(tmp_path: Path) -> None:
    keys = StaticKeys()
    with PageStore.create(tmp_path / "s", name="s", keys=keys, page_size=4096) as store:
        for at in range(0, 20000, 1000):
            store.commit({number: bytes(4096) for number in range(at, at + 1000)})
    file = CountedFile(OsBlockFile.open(tmp_path / "s"))
    PageStore.open(file, name="s", keys=keys).close()
    assert file.bytes["read"] < 1 << 18


# -- limits -----------------------------------------------------------------------------------------------------------


def test_checkpoint_comes_at_its_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "CHECKPOINT_RECORDS", 10)
    with PageStore.create(tmp_path / "s", name="s", keys=StaticKeys(), page_size=4096) as store:
        for number in range(35):
            store.commit({number: bytes(4096)})
            assert store._state.records <= 10
        assert store._state.checkpoint == 2 + 3


def test_session_changes_at_its_seal_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("keystore.pages.sessions.SEALS_MAX", 50)
    keys = StaticKeys()
    with PageStore.create(tmp_path / "s", name="s", keys=keys, page_size=4096) as store:
        for number in range(60):
            store.commit({number: number.to_bytes(2, "little") * 2048})
        assert len(store._state.sessions.rows()) >= 4
    with PageStore.open(tmp_path / "s", name="s", keys=keys) as store:
        assert store.read_many(range(60)) == [number.to_bytes(2, "little") * 2048 for number in range(60)]


def test_new_data_key_takes_new_pages_and_old_stay_readable(tmp_path: Path) -> None:
    keys = StaticKeys()
    with PageStore.create(tmp_path / "s", name="s", keys=keys, page_size=4096) as store:
        store.commit({0: b"a" * 4096})
        keys.rotate()
        store.commit({1: b"b" * 4096})
        generations = {record.generation for record, _ in store._state.sessions.rows()}
        assert generations == {1, 2}
    with PageStore.open(tmp_path / "s", name="s", keys=keys) as store:
        assert store.read_many([0, 1]) == [b"a" * 4096, b"b" * 4096]
        store.commit({0: b"c" * 4096})
        store.checkpoint()
        assert {record.generation for record, _ in store._state.sessions.rows()} == {2}


def test_unused_sessions_leave_the_table(tmp_path: Path) -> None:
    keys = StaticKeys()
    PageStore.create(tmp_path / "s", name="s", keys=keys, page_size=4096).close()
    for _ in range(60):
        with PageStore.open(tmp_path / "s", name="s", keys=keys) as store:
            store.commit({0: os.urandom(4096)})
    with PageStore.open(tmp_path / "s", name="s", keys=keys) as store:
        assert len(store._state.sessions.rows()) < 10


def test_record_of_many_pages_continues_in_runs(tmp_path: Path) -> None:
    keys = StaticKeys()
    path = tmp_path / "s"
    store = PageStore.create(path, name="s", keys=keys, page_size=4096)
    pages = {number: number.to_bytes(4, "little") * 1024 for number in range(0, 4000, 2)}
    store.commit(pages)
    store._state.file.close()
    with PageStore.open(path, name="s", keys=keys) as again:
        assert again.sequence == 1
        assert again.read_many(list(pages)) == list(pages.values())
        assert again.verify().ok


def test_record_fits_a_fragmented_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """More runs than a record can list: room is made where slots are neighbours."""
    monkeypatch.setattr("keystore.format.block.RUNS_MAX", 2)
    keys = StaticKeys()
    path = tmp_path / "s"
    store = PageStore.create(path, name="s", keys=keys, page_size=4096)
    for number in range(600):
        store.commit({number: bytes(4096)})
    store.commit(dict.fromkeys(range(0, 600, 2)))
    for _ in range(3):
        store.commit({599: os.urandom(4096)})
        store.checkpoint()
    store.commit(dict.fromkeys(range(1000, 1500), b"x" * 4096))
    store._state.file.close()
    with PageStore.open(path, name="s", keys=keys) as again:
        assert again.read(1499) == b"x" * 4096
        assert again.verify().ok


# -- refusals ---------------------------------------------------------------------------------------------------------


def test_bad_input_changes_nothing(tmp_path: Path) -> None:
    with PageStore.create(tmp_path / "s", name="s", keys=StaticKeys(), page_size=4096) as store:
        store.commit({0: b"a" * 4096}, byte_length=4096)
        for pages, count in (
            ({-1: bytes(4096)}, None),
            ({1 << 41: bytes(4096)}, None),
            ({3: bytes(4096)}, 2),
            ({}, -1),
        ):
            with pytest.raises(PageRangeError, match="nothing was changed"):
                store.commit(pages, page_count=count)
        for size in (0, 4095, 4097):
            with pytest.raises(InputError, match="page 1 has"):
                store.commit({0: b"b" * 4096, 1: bytes(size)})
        for page_no in (-1, 1, 1 << 50):
            with pytest.raises(PageRangeError):
                store.read(page_no)
        with pytest.raises(InputError):
            store.read_into(0, bytearray(10))
        assert (store.sequence, store.read(0), store.page_count) == (1, b"a" * 4096, 1)
        assert store.commit({}) == 1


@pytest.mark.parametrize(
    ("pages", "ends"),
    [
        ({2.0: bytes(4096)}, {}),
        ({1: bytes(4096), 1.5: None}, {}),
        ({0: bytes(4096)}, {"page_count": 4.0}),
        ({0: bytes(4096)}, {"byte_length": 1.5}),
    ],
)
def test_a_number_that_is_no_integer_changes_nothing(
    tmp_path: Path, pages: dict[Any, bytes | None], ends: dict[str, Any]
) -> None:
    with PageStore.create(tmp_path / "s", name="s", keys=StaticKeys(), page_size=4096) as store:
        store.commit({0: b"a" * 4096})
        with pytest.raises(TypeError, match="integer"):
            store.commit(pages, **ends)
        assert (store.sequence, store.page_count, store.read(0)) == (1, 1, b"a" * 4096)
        store.commit({0: b"b" * 4096})


def test_page_size_is_one_of_five(tmp_path: Path) -> None:
    for page_size in (0, 512, 5000, 131072):
        with pytest.raises(InputError):
            PageStore.create(tmp_path / "s", name="s", keys=StaticKeys(), page_size=page_size)
    assert list(tmp_path.iterdir()) == []


def test_existing_missing_and_foreign_files(tmp_path: Path) -> None:
    keys = StaticKeys()
    (tmp_path / "other").write_bytes(b"not a store" * 5000)
    with pytest.raises(StoreExistsError):
        PageStore.create(tmp_path / "other", name="s", keys=keys)
    for name in ("other", "short"):
        (tmp_path / "short").write_bytes(b"x")
        with pytest.raises(NotAStoreError):
            PageStore.open(tmp_path / name, name="s", keys=keys)
    assert (tmp_path / "other").read_bytes() == b"not a store" * 5000
    with pytest.raises(StoreMissingError):
        PageStore.open(tmp_path / "none", name="s", keys=keys)
    assert not (tmp_path / "none").exists()


def test_wrong_key_writes_nothing(tmp_path: Path) -> None:
    PageStore.create(tmp_path / "s", name="s", keys=StaticKeys()).close()
    before = (tmp_path / "s").read_bytes()
    with pytest.raises(WrongKeyError):
        PageStore.open(tmp_path / "s", name="s", keys=StaticKeys())
    assert (tmp_path / "s").read_bytes() == before


def test_second_opening_is_told_who_holds_it(tmp_path: Path) -> None:
    keys = StaticKeys()
    with PageStore.create(tmp_path / "s", name="s", keys=keys):
        with pytest.raises(StoreLockedError, match="this process"):
            PageStore.open(tmp_path / "s", name="s", keys=keys)
        code = (
            "import sys\nfrom keystore.errors import StoreLockedError\n"
            "from keystore.pages.blockfile import OsBlockFile\n"
            "try: OsBlockFile.open(sys.argv[1])\nexcept StoreLockedError as error: print(error)"
        )
        told = subprocess.run(
            [sys.executable, "-c", code, tmp_path / "s"], capture_output=True, text=True, check=True, timeout=60
        ).stdout
        assert f"process {os.getpid()}" in told
    PageStore.open(tmp_path / "s", name="s", keys=keys).close()


def test_use_after_close(tmp_path: Path) -> None:
    store = PageStore.create(tmp_path / "s", name="s", keys=StaticKeys(), page_size=4096)
    store.commit({0: b"secret!!" * 512})
    keys = [session.page_key for session in store._state.sessions._open.values()]
    store.close()
    store.close()
    assert all(key.wiped for key in keys)
    for use in (
        lambda: store.read(0),
        lambda: store.commit({0: bytes(4096)}),
        store.checkpoint,
        store.pin,
        store.verify,
    ):
        with pytest.raises(StoreClosedError):
            use()


def test_forked_child_holds_no_key(tmp_path: Path) -> None:
    store = PageStore.create(tmp_path / "s", name="s", keys=StaticKeys(), page_size=4096)
    store.commit({0: b"a" * 4096})
    pid = os.fork()
    if pid == 0:
        outcomes = []
        for use in (lambda: store.read(0), lambda: store.commit({0: bytes(4096)}), store.checkpoint, store.verify):
            try:
                use()
                outcomes.append(False)
            except StoreForkedError:
                outcomes.append(True)
        outcomes.append(not store._state.sessions._open)
        os._exit(0 if all(outcomes) else 1)
    assert os.waitpid(pid, 0)[1] == 0
    store.commit({1: b"b" * 4096})
    assert store.read_many([0, 1]) == [b"a" * 4096, b"b" * 4096]
    store.close()


def test_names_are_checked_by_id(tmp_path: Path) -> None:
    keys = StaticKeys()
    with PageStore.create(tmp_path / "a", name="a", keys=keys):
        pass
    with pytest.raises(StoreDamagedError, match="was expected under this name"):
        PageStore.open(tmp_path / "a", name="b", keys=keys, store_id=bytes(16))


# -- several threads --------------------------------------------------------------------------------------------------


def test_readers_beside_a_writer_see_whole_commits(tmp_path: Path) -> None:
    """Every commit writes the same byte to all pages; a page is one byte repeated, whatever moves under the reader."""
    store = PageStore.create(tmp_path / "s", name="s", keys=StaticKeys(), page_size=4096, cache_bytes=8192)
    pages = range(30)
    store.commit({number: bytes(4096) for number in pages})
    wrong: list[str] = []
    done = threading.Event()

    def read(seed: int) -> None:
        chooser, last = random.Random(seed), 0
        while not done.is_set():
            try:
                many = [*store.read_many(chooser.sample(pages, 5)), store.read(chooser.choice(pages))]
            except Exception as error:
                wrong.append(repr(error))
                return
            if any(page != page[:1] * 4096 for page in many):
                wrong.append("a torn page")
            if many[-1][0] < last:
                wrong.append("an older page")
            last = many[-1][0]

    readers = [threading.Thread(target=read, args=(seed,)) for seed in range(4)]
    for reader in readers:
        reader.start()
    for value in range(1, 200):
        store.commit({number: bytes([value]) * 4096 for number in pages})
        if value % 7 == 0:
            store.checkpoint()
    done.set()
    for reader in readers:
        reader.join(60)
    assert wrong == []
    store.close()


def test_pin_keeps_its_state(tmp_path: Path) -> None:
    with PageStore.create(tmp_path / "s", name="s", keys=StaticKeys(), page_size=4096) as store:
        store.commit(dict.fromkeys(range(200), b"a" * 4096))
        with store.pin() as pin:
            before = [(batch.page_nos.tolist(), bytes(batch.ciphertext)) for batch in pin.sealed()]
            for value in range(12):
                store.commit({number: bytes([value]) * 4096 for number in range(200)})
                store.checkpoint()
            assert [(batch.page_nos.tolist(), bytes(batch.ciphertext)) for batch in pin.sealed()] == before
            assert (pin.page_count, pin.sequence) == (200, 1)
        size = store._state.space.slots.slot_count
        for _ in range(6):
            store.commit(dict.fromkeys(range(200), b"z" * 4096))
            store.checkpoint()
        assert store._state.space.slots.slot_count == size, "released slots are used again"
        assert store.verify().ok


def test_view_lends_a_page(tmp_path: Path) -> None:
    with PageStore.create(tmp_path / "s", name="s", keys=StaticKeys(), page_size=4096, cache_bytes=4096) as store:
        store.commit({0: b"a" * 4096, 1: b"b" * 4096, 2: None})
        with store.view(0) as first, store.view(1) as second, store.view(2) as hole:
            assert (bytes(first), bytes(second), bytes(hole)) == (b"a" * 4096, b"b" * 4096, bytes(4096))
            assert first.readonly
        with pytest.raises(ValueError):
            bytes(first)


def test_adopt_takes_pages_of_another_store(tmp_path: Path) -> None:
    keys = StaticKeys()
    with (
        PageStore.create(tmp_path / "a", name="a", keys=keys, page_size=4096) as source,
        PageStore.create(tmp_path / "b", name="b", keys=keys, page_size=4096) as target,
    ):
        source.commit({number: bytes([number]) * 4096 for number in range(0, 250, 3)})
        keys.rotate()
        source.commit({1: b"!" * 4096})
        with source.pin() as pin:
            batches = list(pin.sealed(64))
            for batch in batches:
                target.adopt(pin.sessions(), batch)
        for number in range(250):
            assert target.read(number) == source.read(number)
        damaged = batches[0]
        damaged.ciphertext[5] ^= 1
        with pytest.raises(StoreDamagedError, match="page 0"):
            target.adopt(pin.sessions(), damaged)
    with PageStore.open(tmp_path / "b", name="b", keys=keys) as target:
        assert target.verify().pages == 85
        target.commit({0: b"new!" * 1024})
        assert target.read(3) == bytes([3]) * 4096


def test_repr_and_state_show_no_key(tmp_path: Path) -> None:
    keys = StaticKeys()
    with PageStore.create(tmp_path / "s", name="s", keys=keys) as store:
        shown = repr(store) + repr(store._state.sessions._open) + repr(keys.keys)
        assert bytes(keys.keys[1].view()).hex() not in shown
        assert "SecretKey of 32 bytes" in shown


def test_damage_in_the_last_commit_of_a_killed_store_is_that_page_alone(tmp_path: Path) -> None:
    """The watermark says that the commit was acknowledged, so a page of it that does not open was not in flight."""
    keys, path = StaticKeys(), tmp_path / "s"
    store = PageStore.create(path, name="s", keys=keys, page_size=4096)
    store.commit({0: b"a" * 4096, 1: b"b" * 4096})
    slot = int.from_bytes(store._state.pages.entry(1)[:8], "little")
    store._state.file.close()
    data = bytearray(path.read_bytes())
    data[slot * 4096 + 17] ^= 1
    path.write_bytes(data)
    with PageStore.open(path, name="s", keys=keys) as again:
        assert (again.sequence, again.read(0)) == (1, b"a" * 4096)
        with pytest.raises(StoreDamagedError, match="page 1 is damaged"):
            again.read(1)
        with pytest.raises(StoreDamagedError, match="page 1"):
            again.commit({5: bytes(4096)})
        assert [error.number for error in again.verify().damaged] == [1]
