"""The log of a node that runs: everything committed is in it, in order, under the key of its day, and nothing waits."""

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from threading import Event

import pytest

from keystore.errors import InputError, LogBehindError, LogConflictError, PlaceUnreachableError, StoreFullError
from keystore.format.log_body import EventKind
from keystore.format.log_state import GapReason
from keystore.kms.protocol import KmsConnector
from keystore.node import archiver
from keystore.node.directory import Node
from keystore.objects.directory import DirectoryPlace
from keystore.pages.witness import Committed
from keystore.snapshots.log_ledger import Ledger
from tests.log.history import SIZE, History, LogOpener, change


def filled(node: Node, history: History, seed: int = 1, commits: int = 30, name: str = "a") -> None:
    with node.using_store("db", name) as store:
        random = Random(seed)
        for _ in range(commits):
            change(store, random)
            history.note(name, store)


def test_the_log_alone_tells_every_moment(node: Node, place: Path, connect: KmsConnector, tmp_path: Path) -> None:
    history = History()
    for number, name in enumerate("abc"):
        node.create_store("db", name, SIZE).close()
        filled(node, history, seed=number, name=name)
        node.log.flush()
        node.rotate_master()
    for number, name in enumerate("cab"):
        filled(node, history, seed=10 + number, name=name)
    node.log.flush()
    opener, random = LogOpener(place, node, connect), Random(7)
    times = history.times()
    made_ns = max(moments[0][0] for moments in history.moments.values())
    for at_ns in sorted(random.sample([each for each in times if each > made_ns], 12)):
        found = opener.told(at_ns, tmp_path)
        assert found == {name: history.at(name, at_ns) for name in "abc"}
    assert len(opener.masters) == 4, "each era's key is asked for once"


def test_one_store_is_in_the_log_from_its_making_to_its_end(
    node: Node, place: Path, connect: KmsConnector, tmp_path: Path
) -> None:
    node.import_file("db", "first", tmp_path / "cmk")
    node.log.flush()
    node.drop_file("db", "first")
    node.import_file("other", "second", tmp_path / "cmk")
    node.shred("other")
    node.log.flush()
    opener = LogOpener(place, node, connect)
    events = [event for segment in opener.segments() for event in segment.body.events]
    assert [(event.kind, event.name) for event in events] == [
        (EventKind.DATABASE_MADE, "db"),
        (EventKind.STORE_MADE, "first"),
        (EventKind.STORE_DROPPED, "first"),
        (EventKind.DATABASE_MADE, "other"),
        (EventKind.STORE_MADE, "second"),
        (EventKind.STORE_DROPPED, "second"),
        (EventKind.DATABASE_SHREDDED, "other"),
    ]
    made, dropped = events[1].time_ns, events[2].time_ns
    assert list(opener.told(made, tmp_path)) == ["first"]
    assert list(opener.told(made - 1, tmp_path)) == []
    assert list(opener.told(dropped, tmp_path)) == []


def test_record_times_rise_over_all_stores_when_the_clock_goes_back(
    tmp_path: Path, cmk: str, connect: KmsConnector, place: Path
) -> None:
    now = [1_700_000_000_000_000_000]
    with Node.init(tmp_path / "node", cmk, connect, now_ns=lambda: now[0]) as node:
        node.log.enable(place)
        a, b = (node.create_store("db", name, SIZE) for name in "ab")
        for step in (10**9, -3600 * 10**9, 10**9, -(10**9)):
            for store in (a, b):
                now[0] += step
                store.commit({0: bytes([1]) * SIZE})
        node.log.flush()
        segments = LogOpener(place, node, connect).segments()
        times = [record.time_ns for segment in segments for record in segment.body.records]
        assert len(times) == 8
        assert times == sorted(set(times))
        assert all(segment.head.last_ns < segment.head.settled_ns for segment in segments)


def test_the_next_process_goes_on_where_the_last_one_ended(
    node: Node, tmp_path: Path, connect: KmsConnector, place: Path
) -> None:
    history = History()
    node.create_store("db", "a", SIZE).close()
    filled(node, history, 1)
    node.close()
    for seed in (2, 3):
        with Node.open(tmp_path / "node", connect) as opened:
            filled(opened, history, seed)
    with Node.open(tmp_path / "node", connect) as opened:
        opened.log.flush()
        assert opened.log.info is not None
        assert opened.log.info.status.gaps == ()
        opener = LogOpener(place, opened, connect)
    for at_ns in history.times()[::17]:
        assert opener.told(at_ns, tmp_path) == {"a": history.at("a", at_ns)}


def test_after_a_kill_the_next_opening_brings_what_the_record_chain_has(
    node: Node, tmp_path: Path, cmk: str, connect: KmsConnector, place: Path
) -> None:
    history = History()
    store = node.create_store("db", "a", SIZE)
    random = Random(3)
    for number in range(20):
        change(store, random)
        history.note("a", store)
        if number == 8:
            node.log.flush()
    shutil.copytree(tmp_path / "node", tmp_path / "killed")
    shutil.copytree(place, tmp_path / "log-then")
    store.close()
    node.close()
    shutil.rmtree(place)
    shutil.copytree(tmp_path / "log-then", place)
    with Node.open(tmp_path / "killed", connect) as opened:
        filled(opened, history, 4, 5)
        opened.log.flush()
        assert opened.log.info is not None
        assert opened.log.info.status.gaps == ()
        opener = LogOpener(place, opened, connect)
        for at_ns in history.times():
            assert opener.told(at_ns, tmp_path) == {"a": history.at("a", at_ns)}


class AwayPlace(DirectoryPlace):
    """A place that does not answer while `away`, and counts what it was asked to write."""

    away = False
    puts = 0

    def put(self, name: str, data: bytes) -> bool:
        AwayPlace.puts += 1
        if AwayPlace.away:
            raise PlaceUnreachableError("the place is away. No object was changed.")
        return super().put(name, data)


@pytest.fixture
def away(monkeypatch: pytest.MonkeyPatch) -> type[AwayPlace]:
    monkeypatch.setattr("keystore.node.log_keeping.open_place", AwayPlace)
    AwayPlace.away, AwayPlace.puts = False, 0
    return AwayPlace


def test_a_place_that_is_away_stops_no_commit_and_what_waits_is_bounded(
    tmp_path: Path, cmk: str, connect: KmsConnector, place: Path, away: type[AwayPlace],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(archiver, "LIMITS", archiver.ArchiveLimits(queue_bytes=20 * SIZE, segment_s=0.0, retry_s=0.01))
    with Node.init(tmp_path / "node", cmk, connect) as node:
        node.log.enable(place)
        store = node.create_store("db", "a", SIZE)
        store.commit({0: b"0" * SIZE})
        node.log.flush()
        away.away = True
        for number in range(60):
            store.commit({number: b"x" * SIZE})
            assert node.log.info is not None
            assert node.log.info.status.waiting_bytes <= 20 * SIZE
        away.away = False
        node.log.flush()
        info = node.log.info
        assert info is not None
        (gap,) = info.status.gaps
        assert gap.reason is GapReason.LAG
        assert gap.store_id == store.store_id
        assert 10 < gap.from_sequence < 22
        assert gap.to_sequence == 61
        store.commit({0: b"1" * SIZE})
        node.log.flush()
        opener = LogOpener(place, node, connect)
        records = [record.sequence for segment in opener.segments() for record in segment.body.records]
        assert records == [*range(1, gap.from_sequence + 1), 62]


def test_commits_do_not_hurry_the_tries(
    tmp_path: Path, cmk: str, connect: KmsConnector, place: Path, away: type[AwayPlace],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    limits = archiver.ArchiveLimits(queue_bytes=20 * SIZE, segment_bytes=SIZE, segment_s=0.0, close_s=0.0)
    monkeypatch.setattr(archiver, "LIMITS", limits)
    with Node.init(tmp_path / "node", cmk, connect) as node:
        node.log.enable(place)
        store = node.create_store("db", "a", SIZE)
        node.log.flush()
        away.away, away.puts = True, 0
        for number in range(60):
            store.commit({number: b"x" * SIZE})
        assert away.puts < 20, "half a second apart, then more"
        away.away = False
        node.log.flush()


def test_a_refused_commit_does_not_hold_the_log_back(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    with node.create_store("db", "a", SIZE) as store:
        store.commit({0: b"x" * SIZE})

        def full(*_: object) -> None:
            raise StoreFullError("full")

        with monkeypatch.context() as patched:
            patched.setattr("keystore.pages.space.Space.take", full)
            with pytest.raises(StoreFullError):
                store.commit({0: b"y" * SIZE})
        refused_ns = node.log.record_time_ns()
        node.log.flush()
        assert node.log.info is not None
        assert node.log.info.status.settled_ns > refused_ns


def test_closing_tells_what_did_not_get_to_the_log(
    tmp_path: Path, cmk: str, connect: KmsConnector, place: Path, away: type[AwayPlace],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(archiver, "LIMITS", archiver.ArchiveLimits(close_s=0.05, retry_s=0.01))
    node = Node.init(tmp_path / "node", cmk, connect)
    node.log.enable(place)
    store = node.create_store("db", "a", SIZE)
    store.commit({0: b"0" * SIZE})
    node.log.flush()
    away.away = True
    store.commit({0: b"1" * SIZE})
    with pytest.raises(LogBehindError, match="the place is away"):
        node.close()
    away.away = False
    with Node.open(tmp_path / "node", connect) as opened:
        with opened.using_store("db", "a") as store:
            assert store.read(0) == b"1" * SIZE
        opened.log.flush()
        assert opened.log.info is not None
        (gap,) = opened.log.info.status.gaps
        assert (gap.reason, gap.from_sequence, gap.to_sequence) == (GapReason.KILLED, 1, 2)


def test_a_place_that_is_away_at_the_opening_keeps_nobody_from_it(
    node: Node, tmp_path: Path, connect: KmsConnector, place: Path
) -> None:
    node.create_store("db", "a", SIZE).close()
    node.close()
    place.rename(tmp_path / "elsewhere")
    with Node.open(tmp_path / "node", connect) as opened, opened.using_store("db", "a") as store:
        store.commit({0: b"1" * SIZE})
        (tmp_path / "elsewhere").rename(place)
        opened.log.flush()
        assert opened.log.info is not None
        assert opened.log.info.status.gaps == ()
        records = [
            record for segment in LogOpener(place, opened, connect).segments() for record in segment.body.records
        ]
        assert [record.sequence for record in records] == [1]


def test_a_second_copy_of_the_node_is_found(node: Node, tmp_path: Path, connect: KmsConnector, place: Path) -> None:
    store = node.create_store("db", "a", SIZE)
    store.commit({0: b"0" * SIZE})
    node.log.flush()
    shutil.copytree(tmp_path / "node", tmp_path / "copy")
    with Node.open(tmp_path / "copy", connect) as copy, copy.using_store("db", "a") as other:
        other.commit({0: b"2" * SIZE})
        copy.log.flush()
        assert store.commit({0: b"1" * SIZE}) == 2
        with pytest.raises(LogConflictError, match="another copy of this node"):
            node.log.flush()
        assert store.commit({0: b"3" * SIZE}) == 3
    with pytest.raises(LogConflictError, match="another copy of this node"):
        node.close()


def test_a_log_is_enabled_once_and_ends_with_what_was_committed(
    node: Node, tmp_path: Path, connect: KmsConnector, place: Path
) -> None:
    with pytest.raises(InputError, match="has a log already"):
        node.log.enable(tmp_path / "other")
    store = node.create_store("db", "a", SIZE)
    store.commit({0: b"0" * SIZE})
    node.log.disable()
    assert node.log.info is None
    store.commit({0: b"1" * SIZE})
    with pytest.raises(InputError, match="no log"):
        node.log.disable()
    assert node.log.flush() == 0
    records = [record for segment in LogOpener(place, node, connect).segments() for record in segment.body.records]
    assert [record.sequence for record in records] == [1]
    node.log.enable(place)
    store.commit({0: b"2" * SIZE})
    number = node.log.flush()
    store.close()
    opener = LogOpener(place, node, connect)
    (last,) = opener.segments(number - 1)
    assert [record.sequence for record in last.body.records] == [3]
    assert 1 < last.head.run < number, "it is a run of its own"
    assert all(segment.head.run == 1 for segment in opener.segments())


@pytest.mark.parametrize(("bad", "days"), [("relative/path", 7), ("", 7), ("/tmp/x", 0), ("/tmp/x", 4000)])
def test_what_cannot_be_a_log_changes_nothing(
    tmp_path: Path, cmk: str, connect: KmsConnector, bad: str, days: int
) -> None:
    with Node.init(tmp_path / "node", cmk, connect) as node:
        before = (tmp_path / "node" / "keystore").read_bytes()
        with pytest.raises(InputError, match="Nothing was changed"):
            node.log.enable(bad, days)
        assert (tmp_path / "node" / "keystore").read_bytes() == before
        assert node.log.info is None


def test_a_place_that_cannot_be_written_enables_nothing(tmp_path: Path, cmk: str, connect: KmsConnector) -> None:
    (tmp_path / "file").touch()
    with Node.init(tmp_path / "node", cmk, connect) as node:
        with pytest.raises(LogBehindError, match="log is behind"):
            node.log.enable(tmp_path / "file")
        assert node.log.info is None


def test_a_node_without_a_log_starts_no_thread(tmp_path: Path, cmk: str, connect: KmsConnector) -> None:
    import threading

    before = threading.active_count()
    with Node.init(tmp_path / "node", cmk, connect) as node, node.create_store("db", "a", SIZE) as store:
        store.commit({0: bytes(SIZE)})
        assert threading.active_count() == before
        assert store._state.witness is None


def test_no_commit_waits_while_a_segment_is_made(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, committed, seen = Event(), Event(), []
    note = Ledger.committed

    def slow(ledger: Ledger, store_id: bytes, commit: Committed, refused: GapReason | None) -> bool:
        begun.set()
        seen.append(committed.wait(20))
        return note(ledger, store_id, commit, refused)

    monkeypatch.setattr(Ledger, "committed", slow)
    with node.create_store("db", "a", SIZE) as store, ThreadPoolExecutor(1) as pool:
        store.commit({0: b"x" * SIZE})
        flushed = pool.submit(node.log.flush)
        assert begun.wait(20)
        store.commit({0: b"y" * SIZE})
        committed.set()
        flushed.result(20)
    assert seen[0]
