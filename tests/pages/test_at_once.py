"""Small commits that the kernel writes itself, beside the same ones step by step: the same bytes, the same errors."""

import errno
import os
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

import pytest

from keystore.crypto import kernel
from keystore.crypto.kernel import KERNEL, seal_block
from keystore.crypto.protocols import CommitFault
from keystore.crypto.secret import SecretKey
from keystore.errors import CommitUnknownError, InputError, StoreFullError, StoreIOError
from keystore.format import layout
from keystore.pages.blockfile import OsBlockFile
from keystore.pages.movable import MovableFile
from keystore.pages.protocols import BlockFile
from keystore.pages.state import StoreState
from keystore.pages.store import PageStore
from tests.pages.determined import determined
from tests.pages.stores import CountedFile, StaticKeys

PAGE = 4096

Opened = Callable[[Path], BlockFile]
WAYS: dict[str, Opened] = {
    "a file": OsBlockFile.create,
    "a file that can move": lambda path: MovableFile("s", OsBlockFile.create(path)),
    "a file that only writes": lambda path: CountedFile(OsBlockFile.create(path)),
}
"""How the store's file is given to it; by the last one the kernel cannot write."""


def live(file: BlockFile, path: Path, page_size: int) -> bytes:
    """Commit small and large, adjacent and scattered, holes and ends; return the file as a kill would leave it."""
    with determined("at once"):
        random = Random(1)
        store = PageStore.create(file, name="s", keys=StaticKeys(), page_size=page_size)
        for count in (1, 2, 7, 64, 65, 90, 1, 16, 3):
            numbers = random.sample(range(300), count)
            store.commit({number: random.randbytes(page_size) for number in numbers})
            store.commit({numbers[0]: None, 301: memoryview(bytearray(random.randbytes(page_size)))})
            store.commit({count: random.randbytes(page_size)}, byte_length=count)
            if count == 64:
                store.checkpoint()
                store.checkpoint()
        found = path.read_bytes()
        store.close()
    return found


@pytest.mark.parametrize("page_size", [4096, 16384, 65536])
def test_every_way_writes_the_same_bytes(tmp_path: Path, page_size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    key = SecretKey(bytes(32))
    monkeypatch.setattr(StaticKeys, "by_generation", lambda *_: key)
    monkeypatch.setattr(StaticKeys, "current", lambda _: (1, key))
    found = []
    for number, way in enumerate(WAYS.values()):
        path = tmp_path / str(number)
        found.append(live(way(path), path, page_size))
    assert found[0] == found[1] == found[2]


@contextmanager
def files_end_at(offset: int) -> Iterator[None]:
    """Let the system refuse what this process writes beyond `offset` of a file; what lies before it is written."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (offset, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture(params=WAYS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[PageStore]:
    """A store whose low slots are free, and whose next record stands behind them."""
    keys = StaticKeys()
    store = PageStore.create(WAYS[request.param](tmp_path / "s"), name="s", keys=keys, page_size=PAGE)
    for _ in range(2):
        store.commit({number: bytes([number]) * PAGE for number in range(40)})
        store.checkpoint()
        store.checkpoint()
    request.node.keys = keys
    yield store
    store._state.file.close()


def reopened(request: pytest.FixtureRequest, tmp_path: Path) -> PageStore:
    return PageStore.open(tmp_path / "s", name="s", keys=request.node.keys)


def test_pages_that_are_refused_change_nothing(
    store: PageStore, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    sequence = store.sequence
    taken = store._state.space.slots
    taken.search_from(taken.end)
    with files_end_at(taken.end * PAGE + 100), pytest.raises(StoreFullError, match="nothing was changed"):
        store.commit({1: b"a" * PAGE, 2: b"b" * PAGE})
    assert (store.sequence, store.read(1)) == (sequence, bytes([1]) * PAGE)
    assert store.commit({1: b"c" * PAGE}) == sequence + 1
    assert store.verify().ok
    store._state.file.close()
    with reopened(request, tmp_path) as again:
        assert (again.sequence, again.read(1), again.read(2)) == (sequence + 1, b"c" * PAGE, bytes([2]) * PAGE)


def test_a_record_that_is_refused_leaves_the_outcome_unknown(
    store: PageStore, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    sequence, state = store.sequence, store._state
    state.space.slots.search_from(layout.first_slot(PAGE))
    with files_end_at(state.next_place * layout.BLOCK_BYTES + 100), pytest.raises(CommitUnknownError):
        store.commit({1: b"a" * PAGE})
    with pytest.raises(CommitUnknownError, match="Close the store"):
        store.commit({1: b"b" * PAGE})
    assert store.read(1) == bytes([1]) * PAGE
    state.file.close()
    with reopened(request, tmp_path) as again:
        assert (again.sequence, again.read(1)) == (sequence, bytes([1]) * PAGE)


def test_a_file_that_was_closed_is_an_error_of_the_store(store: PageStore) -> None:
    sequence = store.sequence
    store._state.file.close()
    with pytest.raises(StoreIOError, match="nothing was changed"):
        store.commit({1: b"a" * PAGE})
    assert store.sequence == sequence


def test_a_page_that_got_shorter_meanwhile_is_refused(store: PageStore, monkeypatch: pytest.MonkeyPatch) -> None:
    sequence, page = store.sequence, bytearray(PAGE)
    monkeypatch.setattr(StoreState, "reserve_for_checkpoint", lambda *_: page.clear())  # after it was checked
    with pytest.raises(InputError, match="nothing was changed"):
        store.commit({1: page})
    monkeypatch.undo()
    assert (store.sequence, store.read(1)) == (sequence, bytes([1]) * PAGE)
    assert store.commit({1: b"c" * PAGE}) == sequence + 1
    assert store.verify().ok


def arguments(count: int, **changed: Any) -> dict[str, Any]:
    random = Random(count)
    right = {
        "pages": [random.randbytes(PAGE) for _ in range(count)],
        "page_size": PAGE,
        "aad": random.randbytes(40),
        "drawn": b"d" * 8,
        "counter": 70_000,
        "session": 7,
        "page_nos": [random.getrandbits(40) for _ in range(count)],
        "slots": [(number * 2 + 1) // 3 + 2 for number in range(count)][::-1],
        "out": bytearray(count * PAGE + 16),
        "clear": random.randbytes(128),
        "head": random.randbytes(72),
        "record_at": 100 * PAGE,
    }
    return right | changed


@pytest.fixture
def keys() -> Iterator[tuple[SecretKey, SecretKey]]:
    pair = SecretKey(bytes(range(32))), SecretKey(bytes(range(1, 33)))
    yield pair
    for key in pair:
        key.wipe()
        KERNEL.forget(key)


def test_the_call_is_sealing_page_by_page_a_record_and_its_place(
    tmp_path: Path, keys: tuple[SecretKey, SecretKey]
) -> None:
    for count in (1, 5, 80):
        given = arguments(count, slots=list(range(3, 3 + count)))
        expected = bytearray(101 * PAGE)
        rows = kernel.choose("portable").seal_changes(keys[0], *[*given.values()][:9])
        expected[3 * PAGE : (3 + count) * PAGE] = given["out"][: count * PAGE]
        body = given["head"] + rows
        sealed = seal_block(keys[1], given["clear"][112:124], body, given["clear"])
        tag = sealed[len(body) :]
        expected[100 * PAGE :] = (given["clear"] + tag + sealed[: len(body)]).ljust(4096, b"\0")
        if KERNEL.write_commit is None:
            assert KERNEL.name == "portable"
            return
        path = tmp_path / str(count)
        path.write_bytes(bytes(101 * PAGE))
        fd = os.open(path, os.O_RDWR)
        out = bytearray(count * PAGE + 16)
        try:
            done = KERNEL.write_commit(fd, *keys, **(given | {"out": out}))
        finally:
            os.close(fd)
        assert done == (rows, tag, 0, 0)
        assert path.read_bytes() == expected
        assert out[: count * PAGE] == given["out"][: count * PAGE]


@pytest.mark.parametrize(
    "wrong",
    [
        {"pages": [bytes(PAGE), bytes(PAGE - 1)]},
        {"slots": [3]},
        {"slots": [3, 1 << 52]},
        {"counter": (1 << 32) - 1},
        {"out": bytearray(2 * PAGE + 15)},
        {"clear": bytes(127)},
        {"head": bytes(4096 - 144 - 95)},
        {"record_at": 1 << 62},
    ],
    ids=str,
)
def test_wrong_arguments_write_nothing(
    tmp_path: Path, keys: tuple[SecretKey, SecretKey], wrong: dict[str, Any]
) -> None:
    if KERNEL.write_commit is None:
        assert KERNEL.name == "portable"
        return
    path = tmp_path / "f"
    path.write_bytes(bytes(PAGE))
    fd = os.open(path, os.O_RDWR)
    try:
        with pytest.raises(ValueError):
            KERNEL.write_commit(fd, *keys, **arguments(2, **wrong))
    finally:
        os.close(fd)
    assert path.read_bytes() == bytes(PAGE)


def test_a_refused_write_is_told_with_its_number(tmp_path: Path, keys: tuple[SecretKey, SecretKey]) -> None:
    if KERNEL.write_commit is None:
        assert KERNEL.name == "portable"
        return
    path = tmp_path / "f"
    path.write_bytes(bytes(PAGE))
    fd = os.open(path, os.O_RDONLY)
    try:
        *_, failed, number = KERNEL.write_commit(fd, *keys, **arguments(2))
    finally:
        os.close(fd)
    assert (failed, number) == (CommitFault.PAGES, errno.EBADF)
