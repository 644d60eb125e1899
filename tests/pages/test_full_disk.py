"""A device without space, and one that fails: what stays, what is said, and how it goes on."""

import contextlib
import errno
import os
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from keystore.errors import CommitUnknownError, StoreFullError, StoreIOError
from keystore.pages.blockfile import OsBlockFile
from keystore.pages.protocols import Buffer
from keystore.pages.store import PageStore
from tests.pages.stores import CountedFile, StaticKeys


class PoorFile(CountedFile):
    """A file on a device that ends at `limit` bytes, and that fails where told."""

    limit = 1 << 62
    fail: "dict[str, int]" = {}  # noqa: RUF012 - each test sets its own

    def extend(self, size: int, *, written: bool = False) -> None:
        if size > self.limit:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        super().extend(size, written=written)

    def write(self, offset: int, data: Buffer) -> None:
        self._maybe_fail("write")
        super().write(offset, data)

    def sync(self) -> None:
        self._maybe_fail("sync")
        super().sync()

    def _maybe_fail(self, what: str) -> None:
        if what in self.fail:
            self.fail[what] -= 1
            if self.fail[what] < 0:
                raise OSError(errno.EIO, os.strerror(errno.EIO))


def poor_store(path: Path, keys: StaticKeys) -> tuple[PageStore, PoorFile]:
    file = PoorFile(OsBlockFile.create(path))
    file.fail = {}
    return PageStore.create(file, name="poor", keys=keys, page_size=4096), file


@pytest.mark.parametrize("limit_mib", [2, 5])
def test_full_disk_reads_on_deletes_closes_opens_and_goes_on(tmp_path: Path, limit_mib: int) -> None:
    keys, chooser, model = StaticKeys(), random.Random(limit_mib), dict[int, bytes]()
    store, file = poor_store(tmp_path / "s", keys)
    file.limit = limit_mib << 20

    def fill() -> None:
        for _ in range(5000):
            page_no, page = chooser.randrange(100_000), chooser.randbytes(4096)
            store.commit({page_no: page})
            model[page_no] = page

    with pytest.raises(StoreFullError, match="nothing was changed"):
        fill()
    assert all(store.read(page_no) == page for page_no, page in model.items())
    store.close()
    file = PoorFile(OsBlockFile.open(tmp_path / "s"))
    file.fail, file.limit = {}, limit_mib << 20
    store = PageStore.open(file, name="poor", keys=keys)
    assert store.verify().ok
    keep = sorted(model)[len(model) // 2]
    store.commit(page_count=keep)
    for _ in range(3):
        store.commit({0: chooser.randbytes(4096)})
        store.checkpoint()
    for page_no in range(keep, keep + 50):
        store.commit({page_no: b"y" * 4096})
    file.limit = 1 << 62
    store.commit(dict.fromkeys(range(1000), b"z" * 4096))
    assert store.verify().ok
    assert all(store.read(page_no) == page for page_no, page in model.items() if 1000 <= page_no < keep)
    store.close()


def test_failed_write_of_pages_changes_nothing(tmp_path: Path) -> None:
    store, file = poor_store(tmp_path / "s", StaticKeys())
    store.commit({0: b"a" * 4096})
    file.fail = {"write": 0}
    with pytest.raises(StoreIOError, match="nothing was changed"):
        store.commit({0: b"b" * 4096})
    file.fail = {}
    assert (store.sequence, store.read(0)) == (1, b"a" * 4096)
    store.commit({0: b"c" * 4096})
    assert store.verify().ok
    store.close()


@pytest.mark.parametrize("fail", [{"write": 1}, {"sync": 0}])
def test_failed_record_or_sync_poisons(tmp_path: Path, fail: dict[str, int]) -> None:
    keys = StaticKeys()
    store, file = poor_store(tmp_path / "s", keys)
    store.commit({0: b"a" * 4096})
    file.fail = dict(fail)
    with pytest.raises(CommitUnknownError, match="open it again"):
        store.commit({0: b"b" * 4096})
    file.fail = {}
    with pytest.raises(CommitUnknownError):
        store.commit({0: b"c" * 4096})
    store.close()
    with PageStore.open(tmp_path / "s", name="s", keys=keys) as again:
        assert again.read(0) in (b"a" * 4096, b"b" * 4096)
        again.commit({0: b"d" * 4096})
        assert again.verify().ok


def test_failed_sync_in_checkpoint_loses_nothing(tmp_path: Path) -> None:
    keys = StaticKeys()
    for sync in range(2):
        path = tmp_path / f"s{sync}"
        store, file = poor_store(path, keys)
        for number in range(50):
            store.commit({number: number.to_bytes(4, "big") * 1024})
        file.fail = {"sync": sync}
        with pytest.raises(CommitUnknownError):
            store.checkpoint()
        file.fail = {}
        store.close()
        with PageStore.open(path, name="s", keys=keys) as again:
            assert again.read_many(range(50)) == [number.to_bytes(4, "big") * 1024 for number in range(50)]


class FullFile(CountedFile):
    """A file on a device that is full after `room` more operations, on which even rewriting needs space."""

    room = 1 << 62

    def write(self, offset: int, data: Buffer) -> None:
        self._need_room()
        super().write(offset, data)

    def extend(self, size: int, *, written: bool = False) -> None:
        self._need_room()
        super().extend(size, written=written)

    def _need_room(self) -> None:
        if self.room <= 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.room -= 1


def page(name: str) -> bytes:
    return name.encode().ljust(4096, b".")


def filled_store(path: Path, keys: StaticKeys) -> tuple[PageStore, FullFile]:
    """Return a store of ten pages with no free slot but its reserve, some of it not in a checkpoint yet."""
    file = FullFile(OsBlockFile.create(path))
    store = PageStore.create(file, name="full", keys=keys, page_size=4096)
    store.commit({number: page("old") for number in range(10)})
    store.checkpoint()
    store.commit({0: page("old")})
    return store, file


STAGES: dict[str, Callable[[PageStore], object]] = {
    "commit": lambda store: store.commit({3: page("new")}),
    "growth": lambda store: store.commit({number: page("new") for number in range(3, 300)}),
    "large commit": lambda store: store.commit({number: page("new") for number in range(3, 2100)}),
    "cut": lambda store: store.commit(page_count=5),
    "checkpoint": lambda store: store.checkpoint(),
    "pin": lambda store: store.pin().release(),
    "compact": lambda store: store.compact(),
    "close": lambda store: store.close(),
}


@pytest.mark.parametrize("stage", STAGES)
def test_full_at_every_operation_of_every_stage(tmp_path: Path, stage: str) -> None:
    """The error says so; what is there stays readable; with space again it goes on, or another opening does."""
    met = Counter[str]()
    for room in range(100):
        path, keys = tmp_path / f"s{room}", StaticKeys()
        store, file = filled_store(path, keys)
        file.room = room
        failed: Exception | None = None
        try:
            STAGES[stage](store)
        except (StoreFullError, CommitUnknownError) as error:
            failed = error
            met[type(error).__name__] += 1
        if stage != "close":
            assert store.read(0) == page("old")
            assert store.read(3) in (page("old"), page("new"))
        file.room = 1 << 62
        if isinstance(failed, StoreFullError) and stage != "close":
            assert "full" in str(failed)
            assert "nothing was changed" in str(failed)
            assert store.read(3) == page("old")
            STAGES[stage](store)
        with contextlib.suppress(CommitUnknownError):
            store.close()
        with PageStore.open(path, name="full", keys=keys) as again:
            assert again.read_many([0, 1, 2]) == [page("old")] * 3
            rest = set(again.read_many(range(3, again.page_count)))
            assert len(rest) == 1 or (stage == "commit" and rest == {page("old"), page("new")})
            STAGES[stage](again)
        with PageStore.open(path, name="full", keys=keys) as again:
            assert again.verify().ok
        path.unlink()
        if failed is None:
            break
    assert failed is None
    assert met["StoreFullError"] + met["CommitUnknownError"] > 0, "it was never full"


def test_full_while_it_is_created_or_opened(tmp_path: Path) -> None:
    """A file that could not become a store can be removed; one that could not be opened opens later."""
    keys, tried = StaticKeys(), 0
    for act in ("create", "open"):
        for room in range(100):
            path = tmp_path / f"{act}{room}"
            if act == "open":
                filled_store(path, keys)[0].close()
            file = FullFile(OsBlockFile.create(path) if act == "create" else OsBlockFile.open(path))
            file.room = room
            make = PageStore.create if act == "create" else PageStore.open
            try:
                make(file, name="full", keys=keys).close()
                break
            except (StoreFullError, CommitUnknownError):
                tried += 1
            path.unlink() if act == "create" else None
            file = FullFile(OsBlockFile.create(path) if act == "create" else OsBlockFile.open(path))
            with make(file, name="full", keys=keys) as store:
                assert store.verify().ok
                assert act == "create" or store.read(9) == page("old")
        else:
            pytest.fail("it never had enough room")
    assert tried > 6
