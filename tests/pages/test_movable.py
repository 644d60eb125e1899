"""A store whose file moves while it is used: nothing is lost at any moment, and nobody notices."""

import contextlib
import errno
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random
from threading import Event, Thread

import pytest

from keystore.crypto.kernel import KERNEL
from keystore.crypto.protocols import PageKernel, SlotReader
from keystore.crypto.secret import SecretKey
from keystore.errors import StoreClosedError, StoreFullError, StoreIOError
from keystore.pages import movable
from keystore.pages.blockfile import OsBlockFile
from keystore.pages.movable import MovableFile
from keystore.pages.pace import Pace
from keystore.pages.protocols import AnchorState, BlockFile, Buffer
from keystore.pages.reading import READ_BYTES
from keystore.pages.store import PageStore
from keystore.pages.volumefile import VolumeFile
from keystore.progress import Progress, untold
from tests.crashes import SEED, Crashes
from tests.pages.determined import determined
from tests.pages.exploring import Explorer
from tests.pages.simdisk import Machine, SimAnchor
from tests.pages.stores import CountedFile, StaticKeys
from tests.pages.workload import STEPS, Life, Point, plain, reopen, small

PAGES = 60
STEP = 64 << 10
WAIT_S = 60


@pytest.fixture(autouse=True)
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(movable, "STEP_BYTES", STEP)


def rename(old: Path, new: Path) -> None:
    old.replace(new)


def layered(file: BlockFile) -> BlockFile:
    return VolumeFile(file, SecretKey(bytes(range(64))))


class Moving:
    """A store on a real file that can move, and where it lies."""

    def __init__(self, directory: Path, keys: StaticKeys) -> None:
        self.keys, self.path, self.new = keys, directory / "s", directory / "s.new"
        self.file = MovableFile("s", OsBlockFile.create(self.path))
        self.store = PageStore.create(self.file, name="s", keys=keys, page_size=4096)

    def move(
        self,
        *,
        wrap: Callable[[BlockFile], BlockFile] = layered,
        make_durable: Callable[[], None] = lambda: None,
        progress: Progress = untold,
    ) -> None:
        copy = wrap(OsBlockFile.create(self.new))
        try:
            self.file.move(copy, lambda: rename(self.new, self.path), make_durable, progress, Pace())
        finally:
            self.new.unlink(missing_ok=True)

    def again(self, wrap: Callable[[BlockFile], BlockFile] = layered) -> PageStore:
        return PageStore.open(wrap(OsBlockFile.open(self.path)), name="s", keys=self.keys)


@pytest.fixture
def moving(tmp_path: Path) -> Moving:
    moving = Moving(tmp_path, StaticKeys())
    random = Random(1)
    moving.store.commit({number: random.randbytes(4096) for number in range(PAGES)}, byte_length=77)
    return moving


def contents(store: PageStore) -> list[bytes]:
    return store.read_many(range(store.page_count))


def open_files() -> list[str]:
    found = []
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # that of the directory itself
            found.append(str(entry.readlink()))
    return sorted(found)


def test_contents_stay_and_the_store_goes_on(moving: Moving) -> None:
    before, told = contents(moving.store), list[tuple[int, int]]()
    moving.move(progress=lambda done, total: told.append((done, total)))
    assert contents(moving.store) == before
    moving.store.commit({3: b"x" * 4096})
    moving.store.close()
    assert not moving.path.read_bytes().startswith(b"CMKPAGES")
    assert told[-1][0] == told[-1][1]
    with moving.again() as store:
        assert contents(store) == [*before[:3], b"x" * 4096, *before[4:]]
        assert store.verify().damaged == []
        assert store.byte_length == 77


def test_the_former_file_is_closed_and_its_space_free(moving: Moving) -> None:
    moving.move()
    assert [name for name in open_files() if str(moving.path) in name] == [str(moving.path)]
    moving.store.close()
    assert [name for name in open_files() if str(moving.path) in name] == []


def test_the_key_of_a_layer_that_was_left_is_wiped(moving: Moving) -> None:
    key = SecretKey(bytes(range(64)))
    moving.move(wrap=lambda file: VolumeFile(file, key))
    assert not key.wiped
    moving.move(wrap=plain)
    assert key.wiped
    moving.store.close()


def test_what_is_written_meanwhile_is_in_the_copy(moving: Moving) -> None:
    """Between any two pieces somebody writes, grows the store, or cuts it."""
    random, expected = Random(2), dict(enumerate(contents(moving.store)))

    def write(done: int, total: int) -> None:
        number = random.choice([*range(PAGES), 400 + random.randrange(400)])
        expected[number] = random.randbytes(4096)
        moving.store.commit({number: expected[number]})
        if random.random() < 0.2:
            moving.store.commit(page_count=PAGES)
            for gone in [number for number in expected if number >= PAGES]:
                del expected[gone]
            moving.store.compact()

    moving.move(progress=write)
    moving.store.close()
    with moving.again() as store:
        assert {number: store.read(number) for number in expected} == expected
        assert store.verify().damaged == []


def test_readers_writers_and_a_pin_go_on_through_many_moves(moving: Moving) -> None:
    """Every page is one number repeated, and numbers rise: a reader sees no other page, and none that is older."""
    store, stop, wrote, problems = moving.store, Event(), Event(), list[BaseException]()
    store.commit({number: bytes(4096) for number in range(PAGES)})
    written = [0] * PAGES

    def guarded(work: Callable[[Random], None], seed: int) -> Thread:
        def run() -> None:
            random = Random(seed)
            try:
                while not stop.is_set():
                    work(random)
            except BaseException as error:
                problems.append(error)

        thread = Thread(target=run)
        thread.start()
        return thread

    def write(random: Random) -> None:
        number = random.randrange(PAGES)
        store.commit({number: (written[number] + 1).to_bytes(8, "big") * 512})
        written[number] += 1
        wrote.set()

    def after_a_commit(done: int, total: int) -> None:
        wrote.clear()
        assert wrote.wait(WAIT_S), "no writer came through between two pieces"

    def read(random: Random) -> None:
        number = random.randrange(PAGES)
        least, page = written[number], store.read(number)
        assert page == page[:8] * 512
        assert int.from_bytes(page[:8], "big") >= least

    with store.pin() as pin:
        pinned = [bytes(batch.ciphertext) for batch in pin.sealed()]
        threads = [guarded(write, 1), *(guarded(read, seed) for seed in (2, 3))]
        for turn in range(4):
            moving.move(wrap=layered if turn % 2 == 0 else plain, progress=after_a_commit)
        stop.set()
        for thread in threads:
            thread.join()
        assert problems == []
        assert [bytes(batch.ciphertext) for batch in pin.sealed()] == pinned
    store.close()
    with moving.again(plain) as again:
        assert [int.from_bytes(page[:8], "big") for page in contents(again)] == written
        assert again.verify().damaged == []


@pytest.mark.parametrize("threads", [1, 3])
def test_scans_and_ranges_go_on_through_a_move(moving: Moving, threads: int) -> None:
    """Pieces that were begun by the former file's descriptor are finished, from whichever file."""
    store, random = moving.store, Random(3)
    pages = 3 * (READ_BYTES // 4096) + 5
    content = random.randbytes(pages * 4096)
    store.commit({page: content[page * 4096 :][:4096] for page in range(pages)}, page_count=pages)
    for wrap in (plain, layered, plain):
        found, is_moved = bytearray(), False
        for piece in store.scan(threads=threads):
            found += piece
            if not is_moved:
                moving.move(wrap=wrap)
                is_moved = True
        assert found == content
        assert b"".join(store.read_many(range(pages))) == content
    assert [name for name in open_files() if str(moving.path) in name] == [str(moving.path)]


def test_after_a_move_pages_are_read_by_the_descriptor_of_the_new_file(
    moving: Moving, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So a plain file is read as fast as one that never moved; under the layer there is no descriptor to read by."""
    asked: list[int] = []
    reader = type(KERNEL).slot_reader

    def slot_reader(self: PageKernel, fd: int, page_size: int) -> SlotReader | None:
        asked.append(os.fstat(fd).st_ino)
        return reader(self, fd, page_size)

    monkeypatch.setattr(type(KERNEL), "slot_reader", slot_reader)
    moving.move()
    assert asked == []
    moving.move(wrap=plain)
    assert asked == [moving.path.stat().st_ino]


def test_who_waits_comes_before_who_comes_again() -> None:
    turns, order = movable._Turns(), list[str]()

    def other() -> None:
        with turns:
            order.append("other")

    with turns:
        thread = Thread(target=other)
        thread.start()
        for _ in range(1_000_000):
            if turns._next.locked():
                break
        else:
            pytest.fail("the other thread never came")
    with turns:
        order.append("again")
    thread.join()
    assert order == ["other", "again"]


# -- what goes wrong --------------------------------------------------------------------------------------------------


class FailingFile(CountedFile):
    """Fails at one call, with this error; the call does nothing."""

    def __init__(self, file: BlockFile, what: str, at: int, number: int) -> None:
        super().__init__(file)
        self._fails, self._number = (what, at), number

    def _count(self, what: str, size: int) -> None:
        super()._count(what, size)
        if (what, self.calls[what]) == self._fails:
            raise OSError(self._number, os.strerror(self._number))


CALLS = {"extend": (1, 2), "truncate": (1,), "write": (1, 2, 3), "read": (1, 2, 3), "sync": (1, 2)}
"""How often each is called at least: by the copying, or for what is written meanwhile."""


@pytest.mark.parametrize("what", CALLS)
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_an_error_on_the_copy_ends_the_move_and_nothing_else(moving: Moving, what: str, number: int) -> None:
    before = contents(moving.store)

    def write(done: int, total: int) -> None:
        moving.store.commit({0: before[0]})

    for at in CALLS[what]:
        with pytest.raises(StoreFullError if number == errno.ENOSPC else StoreIOError, match="goes on"):
            moving.move(wrap=lambda file, at=at: FailingFile(file, what, at, number), progress=write)  # type: ignore[misc]
        assert contents(moving.store) == before
        moving.store.commit({1: before[1]})
        assert moving.path.read_bytes().startswith(b"CMKPAGES")
        assert not moving.new.exists()
    moving.move()
    moving.store.close()
    with moving.again() as store:
        assert contents(store) == before


def test_a_copy_that_reads_back_differently_is_not_taken(moving: Moving) -> None:
    class Forgetful(CountedFile):
        def write(self, offset: int, data: Buffer) -> None:
            super().write(offset, bytes(len(data)) if self.calls["write"] == 1 else data)

    with pytest.raises(StoreIOError, match="reads back differently"):
        moving.move(wrap=Forgetful)
    assert moving.path.read_bytes().startswith(b"CMKPAGES")
    moving.store.close()


def test_a_name_that_cannot_be_given_changes_nothing(moving: Moving) -> None:
    before = contents(moving.store)
    copy = layered(OsBlockFile.create(moving.new))

    def refuse() -> None:
        raise OSError(errno.EACCES, os.strerror(errno.EACCES))

    with pytest.raises(StoreIOError, match="Permission denied"):
        moving.file.move(copy, refuse, lambda: None, untold, Pace())
    moving.store.commit({0: before[1]})
    moving.store.close()
    with moving.again(plain) as store:
        assert contents(store)[1:] == before[1:]


def test_where_the_name_may_not_be_durable_both_files_get_everything(moving: Moving, tmp_path: Path) -> None:
    former = tmp_path / "former"
    os.link(moving.path, former)

    def fail() -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with pytest.raises(OSError, match="Input/output error"):
        moving.move(make_durable=fail)
    moving.store.commit({5: b"y" * 4096})
    moving.store.commit({800: b"z" * 4096})
    with pytest.raises(StoreIOError, match="open it again"):
        moving.move()
    expected = contents(moving.store)
    moving.store.close()
    for path, wrap in ((moving.path, layered), (former, plain)):
        with PageStore.open(wrap(OsBlockFile.open(path)), name="s", keys=moving.keys) as store:
            assert contents(store) == expected


@pytest.mark.parametrize("share", [0, 0.5, 1])
def test_a_store_that_is_closed_meanwhile_stays_where_it_was(moving: Moving, share: float) -> None:
    """By whoever is told of the first piece, of the last, and of the last that was compared."""
    before = contents(moving.store)

    def close(done: int, total: int) -> None:
        if done >= share * total:
            moving.store.close()

    with pytest.raises(StoreClosedError, match="while it was being moved"):
        moving.move(progress=close)
    with moving.again(plain) as store:
        assert contents(store) == before


def test_a_copy_closed_under_its_sync_is_told_as_a_closed_store(moving: Moving) -> None:
    before = contents(moving.store)

    class Closed(CountedFile):
        def sync(self) -> None:
            moving.store.close()
            super().sync()

    with pytest.raises(StoreClosedError, match="while it was being moved"):
        moving.move(wrap=Closed)
    with moving.again(plain) as store:
        assert contents(store) == before


def test_a_forked_child_closes_its_copies_and_leaves_the_move_alone(moving: Moving) -> None:
    before, children = contents(moving.store), list[int]()

    def fork(done: int, total: int) -> None:
        if not children:
            children.append(os.fork())
            if not children[0]:
                os._exit(0 if not [name for name in open_files() if str(moving.path) in name] else 1)

    moving.move(progress=fork)
    assert os.waitpid(children[0], 0)[1] == 0
    moving.store.close()
    with moving.again() as store:
        assert contents(store) == before


# -- crashes ----------------------------------------------------------------------------------------------------------


class EitherAnchor:
    """The anchor of whichever machine the store is on."""

    def __init__(self, anchor: SimAnchor) -> None:
        self.inner = anchor

    def load(self) -> AnchorState | None:
        return self.inner.load()

    def store(self, state: AnchorState, *, sync: bool) -> None:
        self.inner.store(state, sync=sync)


def test_no_crash_during_a_move_loses_anything(crashes: Crashes) -> None:
    """Until it has its name the former disk counts, from then on the copy: each is crashed at every operation."""
    crashes.kind = "a store that moves"
    with determined(f"{SEED}/move") as source:
        random, keys, former, new = Random(SEED), StaticKeys(), Machine(), Machine()
        life = Life(keys, former)
        files: list[MovableFile] = []
        before: list[Point] = []

        def movable_file(file: BlockFile) -> BlockFile:
            files.append(MovableFile("s", file))
            return files[-1]

        life.layer = movable_file
        life.create()
        for step in (small, *STEPS[:3], reopen):
            step(life, random)
        state = life.opened._state
        state.anchor = anchor = EitherAnchor(former.anchor)

        def write(done: int, total: int) -> None:
            if len(life.points) < 200:
                random.choice(STEPS[:9])(life, random)

        def give_name() -> None:
            assert new.now().unsynced == (), "it has its name before it is durable"
            state.store_anchor(sync=True)
            before.extend(life.points)
            life.points.clear()
            former.saw, new.saw = None, life._saw
            anchors = former.image.anchor, former.image.unsynced_anchors
            new.image = replace(new.image, anchor=anchors[0], unsynced_anchors=anchors[1])
            anchor.inner = new.anchor

        files[-1].move(layered(new.disk), give_name, lambda: None, write, Pace())
        life.machine = new
        for step in STEPS[:9]:
            step(life, random)
        life.opened.close()
        life.end()
        for points, layer in ((before, plain), (life.points, layered)):
            sample = random.sample(points, min(40, len(points)))
            Explorer(random, keys, source, crashes, layer=layer).explore(sample, crashes.states + 400)
    assert crashes.states >= 600
