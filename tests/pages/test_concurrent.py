"""Many readers and several writers against the model: what is read was current, and of one commit, during the call."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import numpy as np
import pytest

from keystore.errors import KeystoreError, StoreClosedError
from keystore.pages.reading import open_batch
from keystore.pages.store import PageStore
from tests.pages.linear import Call, not_linear
from tests.pages.stores import StaticKeys
from tests.pages.threads import PAGE_BYTES, TIMEOUT_S, wait_until

PAGES = range(5)
"""Each commit writes the same to all of them."""
COMMITS = 20


def page(value: int) -> bytes:
    return value.to_bytes(8, "big") * (PAGE_BYTES // 8)


def value_of(pages: list[bytes]) -> int:
    """Return what a commit wrote; every page must be whole, and of that one."""
    value = int.from_bytes(pages[0][:8], "big")
    assert pages == [page(value)] * len(pages), "half a commit was read"
    return value


@dataclass
class Shop:
    """One store, the threads that use it, and what they called. Writers end by themselves, the others with them."""

    store: PageStore
    calls: list[Call]
    clock: "count[int]"
    over: threading.Event
    looking: "list[Callable[[], int]]" = field(default_factory=list)
    """What those who read have looked with, once each."""

    def write(self, writer: int) -> None:
        for number in range(1, COMMITS + 1):
            value, begun = writer * 1000 + number, next(self.clock)
            self.store.commit(dict.fromkeys(PAGES, page(value)))
            self.calls.append(Call(value, True, begun, next(self.clock)))

    def read(self, look: Callable[[], int]) -> int:
        """Look until the writers are done, and once more."""
        looks, last = 0, False
        while not last:
            last = self.over.is_set()
            begun = next(self.clock)
            value = look()
            self.calls.append(Call(value, False, begun, next(self.clock)))
            looks += 1
            if looks == 1:
                self.looking.append(look)
        return looks

    def tidy(self, keys: StaticKeys) -> None:
        """Have slots of old versions used again, pages moved, and pages sealed anew, all of it under the readers."""
        last = False
        while not last:
            last = self.over.is_set()
            self.store.checkpoint()
            self.store.compact()
            keys.rotate()
            self.store.reseal()

    def pages(self) -> int:
        return value_of(self.store.read_many(PAGES))

    def range(self) -> int:
        buffer = bytearray(len(PAGES) * PAGE_BYTES)
        self.store.read_range_into(0, buffer)
        return value_of([bytes(buffer[at : at + PAGE_BYTES]) for at in range(0, len(buffer), PAGE_BYTES)])

    def one_page(self) -> int:
        return value_of([self.store.read(3)])

    def one_view(self) -> int:
        with self.store.view(2) as view:
            return value_of([bytes(view)])

    def pinned(self) -> int:
        """A pin is of one commit, the one it was made at, however long it is read."""
        with self.store.pin() as pin:
            found = [self._open(pin.sealed(pages_per_batch=2)) for _ in range(2)]
        assert found[0] == found[1]
        return found[0]

    def _open(self, batches: object) -> int:
        state, pages = self.store._state, []
        for batch in batches:  # type: ignore[attr-defined]
            with self.store._life.unless_closed():
                plain = bytes(open_batch(state.sessions, PAGE_BYTES, batch))
            pages += [plain[at : at + PAGE_BYTES] for at in range(0, len(plain), PAGE_BYTES)]
        assert len(pages) == len(PAGES)
        return value_of(pages)


@pytest.mark.parametrize(("writers", "cache_bytes"), [(1, 0), (4, 2 * PAGE_BYTES)])
def test_every_read_is_of_a_commit_that_was_current(tmp_path: Path, writers: int, cache_bytes: int) -> None:
    keys = StaticKeys()
    store = PageStore.create(tmp_path / "s", name="s", keys=keys, page_size=PAGE_BYTES, cache_bytes=cache_bytes)
    store.commit(dict.fromkeys(PAGES, page(0)))
    shop = Shop(store, [Call(0, True, -2, -1)], count(), threading.Event())
    before = store.sequence
    looks = (shop.pages, shop.range, shop.range, shop.one_page, shop.one_view, shop.pinned)
    with ThreadPoolExecutor(16) as pool:
        reading = [pool.submit(shop.read, look) for look in looks]
        tidying = pool.submit(shop.tidy, keys)
        wait_until(lambda: len(shop.looking) == len(looks))
        writing = [pool.submit(shop.write, number) for number in range(1, writers + 1)]
        try:
            for future in writing:
                future.result(TIMEOUT_S)
        finally:
            shop.over.set()
        tidying.result(TIMEOUT_S)
        assert all(reader.result(TIMEOUT_S) > 1 for reader in reading)
    assert not_linear(shop.calls) is None
    assert store.sequence - before >= COMMITS
    assert sum(call.wrote for call in shop.calls) == writers * COMMITS + 1
    last = shop.pages()
    assert store.verify().ok
    store.close()
    with PageStore.open(tmp_path / "s", name="s", keys=keys) as again:
        assert value_of(again.read_many(PAGES)) == last


def test_close_while_others_read(tmp_path: Path) -> None:
    """Readers get what was committed, or StoreClosedError; nothing else, however the close falls between."""
    keys = StaticKeys()
    path = tmp_path / "s"
    with PageStore.create(path, name="s", keys=keys, page_size=PAGE_BYTES) as store:
        store.commit(dict.fromkeys(PAGES, page(7)))
    for _ in range(12):
        store = PageStore.open(path, name="s", keys=keys, cache_bytes=0)
        shop = Shop(store, [], count(), threading.Event())
        looks = (shop.pages, shop.range, shop.range, shop.one_page, shop.one_view, shop.pinned)
        with ThreadPoolExecutor(8) as pool:
            futures = [pool.submit(shop.read, look) for look in looks]
            wait_until(lambda: len(shop.calls) > 20)  # noqa: B023
            store.close()
            assert [type(future.exception(TIMEOUT_S)) for future in futures] == [StoreClosedError] * len(looks)
        assert {call.value for call in shop.calls} == {7}


def test_a_view_that_is_lent_while_the_store_is_closed(tmp_path: Path) -> None:
    store = PageStore.create(tmp_path / "s", name="s", keys=StaticKeys(), page_size=PAGE_BYTES)
    store.commit(dict.fromkeys(PAGES, page(7)))

    def close_under(use: Callable[[memoryview], object]) -> None:
        with store.view(1) as view:
            assert bytes(view) == page(7)
            kept = np.frombuffer(view, dtype=np.uint8) if use is len else None
            store.close()
            assert kept is None or not kept.any(), "an array on it shows zeros, until the block ends"
            use(view)

    with pytest.raises(StoreClosedError):
        close_under(bytes)
    store = PageStore.create(tmp_path / "t", name="s", keys=StaticKeys(), page_size=PAGE_BYTES)
    store.commit(dict.fromkeys(PAGES, page(7)))
    with pytest.raises(StoreClosedError):
        close_under(len)


def test_close_while_a_pin_is_read(tmp_path: Path) -> None:
    store = PageStore.create(tmp_path / "s", name="s", keys=StaticKeys(), page_size=PAGE_BYTES)
    store.commit(dict.fromkeys(range(600), page(7)))
    with store.pin() as pin:
        batches = pin.sealed(pages_per_batch=2)
        assert [next(batches).page_nos.tolist() for _ in range(3)] == [[0, 1], [2, 3], [4, 5]]
        store.close()
        with pytest.raises(StoreClosedError):
            next(batches)
        with pytest.raises(StoreClosedError):
            next(pin.sealed())


def test_two_threads_close_at_once(tmp_path: Path) -> None:
    store = PageStore.create(tmp_path / "s", name="s", keys=StaticKeys(), page_size=PAGE_BYTES)
    store.commit({0: page(1)})
    barrier = threading.Barrier(4)

    def close() -> None:
        barrier.wait(TIMEOUT_S)
        store.close()

    with ThreadPoolExecutor(4) as pool:
        for future in [pool.submit(close) for _ in range(4)]:
            future.result(TIMEOUT_S)
    with pytest.raises(KeystoreError):
        store.read(0)
