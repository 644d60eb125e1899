"""Threads that commit together: one record and one sync, each change whole, and a refused one alone."""

import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from keystore.errors import (
    CommitUnknownError,
    InputError,
    PageRangeError,
    StoreClosedError,
    StoreDamagedError,
    StoreFullError,
)
from keystore.pages.group import Request
from keystore.pages.line import Line
from keystore.pages.pagemap import Leaves
from keystore.pages.store import PageStore
from tests.pages.stores import StaticKeys, each_commit_marked
from tests.pages.threads import PAGE_BYTES, TIMEOUT_S, gated_store, line_up, wait_until

FIRST = b"first".ljust(PAGE_BYTES, b"!")


def page(name: object) -> bytes:
    return str(name).encode().ljust(PAGE_BYTES, b"*")


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(12) as threads:
        yield threads


def test_commits_that_come_during_a_sync_share_the_next(tmp_path: Path, pool: ThreadPoolExecutor) -> None:
    store, file = gated_store(tmp_path / "s")
    before, syncs, writes = store.sequence, file.calls["sync"], file.calls["write"]
    changes: list[Callable[[], int]] = [lambda n=n: store.commit({n: page(n)}) for n in range(10)]  # type: ignore[misc]
    futures = line_up(store, file, pool, changes)
    with each_commit_marked():
        file.gate.set()
        assert [future.result(TIMEOUT_S) for future in futures] == [before + 1] + [before + 2] * 9
    assert file.calls["sync"] - syncs == 2
    assert file.calls["write"] - writes == 6, "pages, a record and a watermark, twice"
    assert store.read_many(range(10)) == [page(n) for n in range(10)]
    assert len(store._writer._line) == 0
    assert store.commit({0: page("alone")}) == before + 3
    store.close()


def test_the_later_one_wins_in_pages_and_ends(tmp_path: Path, pool: ThreadPoolExecutor) -> None:
    store, file = gated_store(tmp_path / "s")
    before = store.sequence
    futures = line_up(
        store,
        file,
        pool,
        [
            lambda: store.commit({0: FIRST}),
            lambda: store.commit({1: page("a"), 2: page("a")}, byte_length=5),
            lambda: store.commit({2: page("b"), 9: page("b")}),
            lambda: store.commit(byte_length=7),
            lambda: store.commit({1: None}),
            lambda: store.commit(byte_length=7),
            lambda: store.commit(),
        ],
    )
    file.gate.set()
    assert [future.result(TIMEOUT_S) for future in futures] == [before + 1] + [before + 2] * 6
    assert store.read_many([0, 1, 2, 9]) == [FIRST, bytes(PAGE_BYTES), page("b"), page("b")]
    assert (store.page_count, store.byte_length) == (10, 7)
    store.close()


def test_a_change_that_cuts_pages_off_ends_its_group(tmp_path: Path, pool: ThreadPoolExecutor) -> None:
    keys = StaticKeys()
    store, file = gated_store(tmp_path / "s", keys)
    store.commit({n: page("old") for n in range(20)})
    before = store.sequence
    futures = line_up(
        store,
        file,
        pool,
        [
            lambda: store.commit({0: FIRST}),
            lambda: store.commit({3: page("a"), 30: page("a")}),
            lambda: store.commit({1: page("b")}, page_count=4),
            lambda: store.commit({10: page("c")}),
        ],
    )
    file.gate.set()
    assert [future.result(TIMEOUT_S) - before for future in futures] == [1, 2, 2, 3]
    want = [FIRST, page("b"), page("old"), page("a"), *[bytes(PAGE_BYTES)] * 6, page("c")]
    assert store.read_many(range(store.page_count)) == want
    store.close()
    with PageStore.open(tmp_path / "s", name="s", keys=keys) as again:
        assert again.read_many(range(again.page_count)) == want
        assert again.verify().ok


def test_a_large_change_is_committed_alone(tmp_path: Path, pool: ThreadPoolExecutor) -> None:
    store, file = gated_store(tmp_path / "s")
    before = store.sequence
    large = dict.fromkeys(range(2049), page("large"))
    futures = line_up(
        store,
        file,
        pool,
        [
            lambda: store.commit({0: FIRST}),
            lambda: store.commit({1: page("a")}),
            lambda: store.commit(large),
            lambda: store.commit({1: page("b")}),
            lambda: store.commit({2: page("b")}),
        ],
    )
    file.gate.set()
    assert [future.result(TIMEOUT_S) - before for future in futures] == [1, 2, 3, 4, 4]
    assert store.read_many(range(4)) == [page("large"), page("b"), page("b"), page("large")]
    store.close()


def test_a_change_that_is_refused_takes_no_other_with_it(tmp_path: Path, pool: ThreadPoolExecutor) -> None:
    store, file = gated_store(tmp_path / "s")
    before = store.sequence
    futures = line_up(
        store,
        file,
        pool,
        [
            lambda: store.commit({0: FIRST}),
            lambda: store.commit({1: b"short"}),
            lambda: store.commit({1: page("a")}),
            lambda: store.commit({-1: page("b")}),
            lambda: store.commit({2: "text"}),  # type: ignore[dict-item]
            lambda: store.commit({2: page("c")}),
            lambda: store.commit({7: page("d")}, page_count=3),
        ],
    )
    file.gate.set()
    errors = [type(future.exception(TIMEOUT_S)) for future in futures]
    nothing = type(None)
    assert errors == [nothing, InputError, nothing, PageRangeError, TypeError, nothing, PageRangeError]
    assert store.sequence == before + 2
    assert store.read_many(range(3)) == [FIRST, page("a"), page("c")]
    store.close()


def test_a_full_disk_refuses_only_what_does_not_fit(tmp_path: Path, pool: ThreadPoolExecutor) -> None:
    store, file = gated_store(tmp_path / "s")
    file.limit = file.size()
    before = store.sequence
    futures = line_up(
        store,
        file,
        pool,
        [
            lambda: store.commit({0: FIRST}),
            lambda: store.commit({1: page("a")}),
            lambda: store.commit(dict.fromkeys(range(10, 2000), page("b"))),
            lambda: store.commit({2: page("c")}),
        ],
    )
    file.gate.set()
    assert [type(future.exception(TIMEOUT_S)) for future in futures] == [
        type(None),
        type(None),
        StoreFullError,
        type(None),
    ]
    assert [future.result() - before for future in futures if not future.exception()] == [1, 2, 3]
    assert store.read_many(range(3)) == [FIRST, page("a"), page("c")]
    assert store.page_count == 3
    assert store.verify().ok
    store.close()


def test_damage_in_the_way_of_one_change_refuses_only_that_one(
    tmp_path: Path, pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A node of the map that cannot be read: only who changes pages under it is refused."""
    store, file = gated_store(tmp_path / "s")
    pages, leaves_of = store._state.pages, store._state.pages.leaves_of

    def damaged(page_nos: list[int]) -> Leaves:
        if 5 in page_nos:
            raise StoreDamagedError("gated", "map", 0, "the test says so")
        return leaves_of(page_nos)

    monkeypatch.setattr(pages, "leaves_of", damaged)
    futures = line_up(
        store,
        file,
        pool,
        [
            lambda: store.commit({0: FIRST}),
            lambda: store.commit({1: page("a")}),
            lambda: store.commit({5: page("b")}),
            lambda: store.commit({2: page("c")}),
        ],
    )
    file.gate.set()
    nothing = type(None)
    assert [type(future.exception(TIMEOUT_S)) for future in futures] == [nothing, nothing, StoreDamagedError, nothing]
    assert store.read_many(range(3)) == [FIRST, page("a"), page("c")]
    monkeypatch.undo()
    assert store.verify().ok
    store.close()


def test_a_failed_sync_leaves_the_whole_group_unknown(tmp_path: Path, pool: ThreadPoolExecutor) -> None:
    keys = StaticKeys()
    store, file = gated_store(tmp_path / "s", keys)
    file.failing = {file.calls["sync"] + 1}
    changes: list[Callable[[], int]] = [lambda n=n: store.commit({n: page(n)}) for n in range(5)]  # type: ignore[misc]
    futures = line_up(store, file, pool, changes)
    file.gate.set()
    assert futures[0].result(TIMEOUT_S) == store.sequence
    errors = [future.exception(TIMEOUT_S) for future in futures[1:]]
    assert [type(error) for error in errors] == [CommitUnknownError] * 4
    assert len({id(error) for error in errors}) == 4, "each thread raises one of its own"
    with pytest.raises(CommitUnknownError):
        store.commit({0: page("later")})
    assert (store.read(0), store.page_count) == (page(0), 1)
    store.close()
    with PageStore.open(tmp_path / "s", name="s", keys=keys) as again:
        assert again.page_count in (1, 5), "all of the group or nothing"
        assert again.read_many(range(again.page_count)) == [page(n) for n in range(again.page_count)]
        assert again.verify().ok


def test_readers_do_not_wait_for_a_sync_and_see_no_commit_before_it(tmp_path: Path, pool: ThreadPoolExecutor) -> None:
    """While the gate is shut, so that the writer is inside its sync, this thread reads in every way there is."""
    store, file = gated_store(tmp_path / "s")
    store.commit({0: FIRST, 1: FIRST, 700: FIRST})
    store.checkpoint()
    before = store.sequence
    futures = line_up(store, file, pool, [lambda: store.commit({0: page("a"), 1: page("a"), 800: page("a")})])
    assert store.read(0) == FIRST
    assert store.read_many([0, 1, 5, 700]) == [FIRST, FIRST, bytes(PAGE_BYTES), FIRST]
    with store.view(1) as view:
        assert view == FIRST
    with pytest.raises(PageRangeError):
        store.read(800)
    assert (store.sequence, store.page_count, futures[0].done()) == (before, 701, False)
    file.gate.set()
    assert futures[0].result(TIMEOUT_S) == before + 1
    assert store.read_many([0, 1, 800]) == [page("a")] * 3
    store.close()


def test_readers_do_not_wait_for_a_checkpoint(tmp_path: Path, pool: ThreadPoolExecutor) -> None:
    store, file = gated_store(tmp_path / "s")
    store.commit({0: FIRST})
    file.waiting.clear()
    file.gate.clear()
    checkpoint = pool.submit(store.checkpoint)
    assert file.waiting.wait(TIMEOUT_S)
    assert store.read(0) == FIRST
    assert not checkpoint.done()
    file.gate.set()
    checkpoint.result(TIMEOUT_S)
    store.close()


def test_a_thread_that_has_the_lock_commits_alone(tmp_path: Path, pool: ThreadPoolExecutor) -> None:
    """What it read under the lock is still so when it commits: those in line come later."""
    store, _ = gated_store(tmp_path / "s")
    store.commit({0: FIRST})
    before = store.sequence
    with store._life.lock:
        future = pool.submit(store.commit, {0: page("in line")})
        wait_until(lambda: len(store._writer._line) == 1)
        assert store.read(0) == FIRST
        assert store.commit({0: page("changed"), 1: page("changed")}) == before + 1
        assert store.read(0) == page("changed")
    assert future.result(TIMEOUT_S) == before + 2
    assert store.read_many([0, 1]) == [page("in line"), page("changed")]
    store.close()


def test_close_lets_the_commit_end_and_refuses_those_in_line(tmp_path: Path, pool: ThreadPoolExecutor) -> None:
    keys = StaticKeys()
    store, _ = gated_store(tmp_path / "s", keys)
    with store._life.lock:
        futures = [pool.submit(store.commit, {n: page(n)}) for n in range(4)]
        wait_until(lambda: len(store._writer._line) == 4)
        store.close()
    errors = [type(future.exception(TIMEOUT_S)) for future in futures]
    assert errors == [StoreClosedError] * 4
    with PageStore.open(tmp_path / "s", name="s", keys=keys) as again:
        assert again.page_count == 1


def test_a_request_that_is_done_while_another_leaves_is_woken_all_the_same(pool: ThreadPoolExecutor) -> None:
    """The thread of a former group leaves late: just then the leader of the next one has committed for a third."""
    line, leader, follower = Line(), Request({}), Request({})

    class Late(Request):
        def wake(self) -> None:
            leader.finish(2)
            follower.finish(2)
            super().wake()

    late = Late({})
    assert line.enter(leader)
    futures = []
    for request in (follower, late):
        futures.append(pool.submit(line.enter, request))
        wait_until(lambda: len(line) == 1 + len(futures))
    late.finish(1)
    line.leave(late)
    line.leave(leader)
    assert [future.result(TIMEOUT_S) for future in futures] == [False, False]


def test_a_signal_takes_a_thread_out_of_the_line(tmp_path: Path, pool: ThreadPoolExecutor) -> None:
    """The main thread is interrupted while it waits: its change is gone, those before and behind it are made."""
    store, file = gated_store(tmp_path / "s")
    before = store.sequence
    futures = line_up(store, file, pool, [lambda: store.commit({0: FIRST})])

    def interrupt() -> None:
        wait_until(lambda: len(store._writer._line) == 1)
        futures.append(pool.submit(store.commit, {2: page("behind")}))
        wait_until(lambda: len(store._writer._line) == 2)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    interrupter = pool.submit(interrupt)
    with pytest.raises(KeyboardInterrupt):
        store.commit({1: page("given up")})
    interrupter.result(TIMEOUT_S)
    file.gate.set()
    assert [future.result(TIMEOUT_S) - before for future in futures] == [1, 2]
    assert store.read_many(range(3)) == [FIRST, bytes(PAGE_BYTES), page("behind")]
    store.close()


def test_a_signal_waits_for_a_commit_that_has_the_pages_of_its_thread(tmp_path: Path, pool: ThreadPoolExecutor) -> None:
    """The main thread is interrupted while another commits for it: it leaves when its pages are its own again."""
    store, file = gated_store(tmp_path / "s")
    before, data = store.sequence, bytearray(page("mine"))
    with ThreadPoolExecutor(1) as holder:
        entered, release = threading.Event(), threading.Event()

        def hold() -> None:
            with store._life.lock:
                entered.set()
                assert release.wait(TIMEOUT_S)

        held = holder.submit(hold)
        assert entered.wait(TIMEOUT_S)
        leader = pool.submit(store.commit, {0: FIRST})
        wait_until(lambda: len(store._writer._line) == 1)

        def interrupt() -> None:
            wait_until(lambda: len(store._writer._line) == 2)
            file.waiting.clear()
            file.gate.clear()
            release.set()
            assert file.waiting.wait(TIMEOUT_S)
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
            file.gate.set()

        interrupter = pool.submit(interrupt)
        with pytest.raises(KeyboardInterrupt):
            store.commit({1: data})
        data[:] = bytes(PAGE_BYTES)
        held.result(TIMEOUT_S)
        interrupter.result(TIMEOUT_S)
        assert leader.result(TIMEOUT_S) == before + 1
    assert store.read_many(range(2)) == [FIRST, page("mine")]
    store.close()


def test_a_thread_alone_does_not_enter_the_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entered: list[Request] = []
    monkeypatch.setattr(Line, "enter", lambda _, request: entered.append(request))
    with PageStore.create(tmp_path / "s", name="s", keys=StaticKeys(), page_size=4096) as store:
        sequences = [store.commit({number: bytes(4096)}) for number in range(3)]
        assert sequences == [1, 2, 3]
        with pytest.raises(PageRangeError):
            store.commit({-1: bytes(4096)})
        assert store.commit({0: bytes([1]) * 4096}) == 4
    assert entered == []
