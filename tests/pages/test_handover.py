"""What a store hands over of its commits is enough to build it again, and costs nothing where nobody asks."""

import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from random import Random

import pytest

from keystore.errors import CommitUnknownError, StoreFullError
from keystore.pages.blockfile import OsBlockFile
from keystore.pages.reading import Batch
from keystore.pages.store import PageStore
from keystore.pages.witness import Committed
from tests.pages.stores import CountedFile, StaticKeys, each_commit_marked
from tests.pages.test_full_disk import poor_store
from tests.pages.threads import TIMEOUT_S, gated_store, line_up
from tests.pages.witnesses import Recorder, built

SIZE = 4096


def page(random: Random) -> bytes:
    return random.randbytes(SIZE)


def scattered(store: PageStore, random: Random, commits: int = 40) -> None:
    """Commits of every kind: pages, holes, ends that grow and shrink, and commits of nothing but ends."""
    for _ in range(commits):
        kind = random.randrange(5)
        if kind == 0 and store.page_count > 4:
            store.commit(page_count=random.randrange(store.page_count), byte_length=random.randrange(9999))
        elif kind == 1 and store.page_count:
            store.commit({random.randrange(store.page_count): None})
        elif kind == 2:
            store.commit(page_count=store.page_count + random.randrange(4), byte_length=random.randrange(9999))
        else:
            store.commit({random.randrange(64): page(random) for _ in range(random.randrange(1, 6))})


def require_same(made: PageStore, store: PageStore) -> None:
    assert (made.page_count, made.byte_length) == (store.page_count, store.byte_length)
    numbers = range(store.page_count)
    assert made.read_many(numbers) == store.read_many(numbers)


@pytest.mark.parametrize("seed", range(3))
def test_what_is_handed_over_builds_the_store_again(tmp_path: Path, seed: int) -> None:
    keys, recorder = StaticKeys(), Recorder()
    with PageStore.create(tmp_path / "s", name="s", keys=keys, page_size=SIZE, witness=recorder) as store:
        random, first = Random(seed), recorder.moments[0]
        scattered(store, random)
        keys.rotate()
        store.checkpoint()
        scattered(store, random)
        store.reseal()
        store.compact()
        scattered(store, random, 5)
        recorder.require_chain(0, first.tag)
        assert recorder.commits[-1].sequence == store.sequence
        with built(tmp_path / "t", keys, SIZE, recorder.commits) as made:
            require_same(made, store)
        end = store.sequence
    at, settled = recorder.ends[0]
    assert (at.sequence, at.tag, settled) == (end, recorder.commits[-1].tag, True)


def test_adopted_pages_are_handed_over_with_their_sessions(tmp_path: Path) -> None:
    keys, recorder, random = StaticKeys(), Recorder(), Random(4)
    with PageStore.create(tmp_path / "s", name="s", keys=keys, page_size=SIZE) as source:
        source.commit({number: page(random) for number in range(20)})
        with (
            source.pin() as pin,
            PageStore.create(tmp_path / "t", name="t", keys=keys, page_size=SIZE, witness=recorder) as target,
        ):
            for batch in pin.sealed(8):
                target.adopt(pin.sessions(), batch)
            with built(tmp_path / "u", keys, SIZE, recorder.commits) as made:
                require_same(made, source)
    assert {session.origin for commit in recorder.commits for session in commit.sessions} == {source.store_id}


def test_moving_pages_hands_over_records_without_pages(tmp_path: Path) -> None:
    keys, recorder, random = StaticKeys(), Recorder(), Random(5)
    with PageStore.create(tmp_path / "s", name="s", keys=keys, page_size=SIZE) as store:
        store.commit({number: page(random) for number in range(1024)})
        store.commit(dict.fromkeys(range(900)))
        store.watch(recorder)
        at = recorder.moments[0]
        report = store.compact()
        assert report.moved_bytes > 0
        recorder.require_chain(at.sequence, at.tag)
        assert sum(len(commit.changes) for commit in recorder.commits) == 0
        assert sum(len(commit.ciphertext or b"") for commit in recorder.commits) == 0


def test_a_record_of_several_threads_is_one(tmp_path: Path) -> None:
    store, file = gated_store(tmp_path / "s")
    recorder = Recorder()
    store.watch(recorder)
    with ThreadPoolExecutor(8) as pool:
        changes: list[Callable[[], int]] = [
            partial(store.commit, {number: bytes([number]) * store.page_size}) for number in range(1, 8)
        ]
        futures = line_up(store, file, pool, changes)
        file.gate.set()
        sequences = {future.result(TIMEOUT_S) for future in futures}
    assert [commit.sequence for commit in recorder.commits] == sorted(sequences)
    assert [len(commit.changes) for commit in recorder.commits] == [1, 6]
    store.close()


def test_nobody_asked_costs_nothing_and_somebody_no_operation_of_the_disk(tmp_path: Path) -> None:
    counts = []
    for number, witness in enumerate((None, Recorder())):
        file = CountedFile(OsBlockFile.create(tmp_path / str(number)))
        with each_commit_marked():
            store = PageStore.create(file, name="s", keys=StaticKeys(), page_size=SIZE, witness=witness)
            scattered(store, Random(7))
            store.close()
        counts.append((file.calls, file.bytes))
    assert counts[0] == counts[1]


def test_what_there_is_no_room_for_is_told_without_pages(tmp_path: Path) -> None:
    recorder = Recorder(bytes_max=2 * SIZE)
    with PageStore.create(tmp_path / "s", name="s", keys=StaticKeys(), page_size=SIZE, witness=recorder) as store:
        for count in (2, 3, 1):
            store.commit({number: bytes(SIZE) for number in range(count)})
    assert [commit.ciphertext is None for commit in recorder.commits] == [False, True, False]
    assert [len(commit.changes) for commit in recorder.commits] == [2, 3, 1]


class Failing(Recorder):
    def committed(self, commit: Committed) -> None:
        raise MemoryError


def test_a_witness_that_fails_fails_no_commit(tmp_path: Path) -> None:
    with PageStore.create(tmp_path / "s", name="s", keys=StaticKeys(), page_size=SIZE, witness=Failing()) as store:
        assert store.commit({0: b"a" * SIZE}) == 1
        assert store.commit({0: b"b" * SIZE}) == 2
        assert store.read(0) == b"b" * SIZE


def test_a_refused_commit_is_not_handed_over(tmp_path: Path) -> None:
    store, file = poor_store(tmp_path / "s", StaticKeys())
    file.limit = 1 << 20
    recorder = Recorder()
    store.watch(recorder)
    before = store.sequence
    with pytest.raises(StoreFullError):
        store.commit({number: bytes([1]) * store.page_size for number in range(4096)})
    assert (recorder.commits, recorder.refusals, store.sequence) == ([], 1, before)
    store.close()


def test_a_commit_of_unknown_outcome_ends_unsettled(tmp_path: Path) -> None:
    store, file = gated_store(tmp_path / "s")
    recorder = Recorder()
    store.watch(recorder)

    def fail() -> None:
        raise OSError(5, "no")

    file.gate.set()
    file.sync = fail  # type: ignore[method-assign]
    with pytest.raises(CommitUnknownError):
        store.commit({0: bytes(store.page_size)})
    store.close()
    assert recorder.commits == []
    assert [settled for _, settled in recorder.ends] == [False]


@pytest.mark.parametrize("knows", [0, 12, 25])
def test_the_tail_of_a_killed_process_is_handed_over_at_the_next_opening(tmp_path: Path, knows: int) -> None:
    keys, before, after = StaticKeys(), Recorder(), Recorder()
    store = PageStore.create(tmp_path / "s", name="s", keys=keys, page_size=SIZE, witness=before)
    scattered(store, Random(8), 10)
    store.checkpoint()
    folded = len(before.commits)
    scattered(store, Random(9), 15)
    shutil.copy(tmp_path / "s", tmp_path / "killed")
    store.close()
    after.knows = knows
    with PageStore.open(tmp_path / "killed", name="s", keys=keys, witness=after) as opened:
        assert after.moments == [after.moments[0]]
        assert after.moments[0].epoch == 2
        expected = before.commits[max(folded, knows) :]
        found = [(commit.sequence, commit.tag, commit.ciphertext) for commit in after.commits]
        assert found == [(commit.sequence, commit.tag, commit.ciphertext) for commit in expected]
        at, tag = (expected[0].sequence - 1, expected[0].previous_tag) if expected else (0, b"")
        opened.commit({0: b"x" * SIZE})
        if expected:
            after.require_chain(at, tag)
        with built(tmp_path / "t", keys, SIZE, before.commits[: max(folded, knows)] + after.commits) as made:
            require_same(made, opened)


def test_a_damaged_page_of_the_tail_is_told_without_pages(tmp_path: Path) -> None:
    keys, after = StaticKeys(), Recorder()
    store = PageStore.create(tmp_path / "s", name="s", keys=keys, page_size=SIZE)
    marked = Recorder()
    store.watch(marked)
    for content in (b"a", b"b", b"c"):
        store.commit({0: content * SIZE})
    shutil.copy(tmp_path / "s", tmp_path / "killed")
    store.close()
    with (tmp_path / "killed").open("r+b") as file:
        damaged = int(marked.commits[1].changes["entry"]["slot"][0])
        file.seek(damaged * SIZE)
        file.write(b"?" * 512)
    with PageStore.open(tmp_path / "killed", name="s", keys=keys, witness=after) as opened:
        assert opened.read(0) == b"c" * SIZE
    assert [commit.ciphertext is None for commit in after.commits] == [False, True, False]
    assert [commit.readable for commit in after.commits] == [True, False, True]


def test_watching_ends_with_another_witness_and_with_none(tmp_path: Path) -> None:
    first, second = Recorder(), Recorder()
    with PageStore.create(tmp_path / "s", name="s", keys=StaticKeys(), page_size=SIZE, witness=first) as store:
        store.commit({0: bytes(SIZE)})
        store.watch(second)
        store.commit({1: bytes(SIZE)})
        store.watch(None)
        store.commit({2: bytes(SIZE)})
    assert [len(each.commits) for each in (first, second)] == [1, 1]
    assert first.ends == [(second.moments[0], True)]
    assert len(second.ends) == 1


def test_a_batch_of_another_store_that_does_not_open_is_not_handed_over(tmp_path: Path) -> None:
    keys, recorder = StaticKeys(), Recorder()
    with PageStore.create(tmp_path / "s", name="s", keys=keys, page_size=SIZE) as source:
        source.commit({0: b"a" * SIZE})
        with (
            source.pin() as pin,
            PageStore.create(tmp_path / "t", name="t", keys=keys, page_size=SIZE, witness=recorder) as target,
        ):
            (batch,) = pin.sealed()
            with pytest.raises(Exception, match="tag does not match"):
                target.adopt(pin.sessions(), Batch(batch.page_nos, batch.entries, memoryview(bytes(SIZE))))
    assert recorder.commits == []
