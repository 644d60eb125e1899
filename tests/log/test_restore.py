"""Restoring to a time: what the node held then, whatever rotated meanwhile; or a refusal that names other times."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from keystore.errors import (
    KeyNotFoundError,
    KmsError,
    LogDamagedError,
    LogGapError,
    LogMissingError,
)
from keystore.kms.connect import connector
from keystore.kms.protocol import Kms, KmsConnector
from keystore.node.directory import Node
from keystore.node.restoring import restore
from keystore.node.snapshot_export import export_from_snapshot
from keystore.node.snapshotting import snapshot
from keystore.objects.directory import DirectoryPlace
from keystore.pages.blockfile import OsBlockFile
from keystore.snapshots.at_time import PointInTime
from keystore.snapshots.names import snapshot_ids
from tests.log.history import SIZE, History, State, change, state_of

HOUR_NS = 3600 * 10**9


class CountingConnector:
    """Connects to real KMSes and notes for which keys."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def __call__(self, uri: str) -> Kms:
        self.asked.append(uri)
        return connector()(uri)


def commits(node: Node, history: History, random: Random, names: str, count: int) -> None:
    for _ in range(count):
        name = random.choice(names)
        with node.using_store("db", name) as store:
            change(store, random)
            history.note(name, store)


def restored(place: Path, directory: Path, at_ns: int | None, connect: KmsConnector) -> dict[str, State]:
    """Restore to a time; return what the new node holds."""
    target = DirectoryPlace(place)
    made = restore(target, snapshot_ids(target)[-1], directory, connect, at=PointInTime(at_ns))
    with Node.open(directory, connect) as node:
        assert node.node_id == made.node_id
        assert node.verify().ok
        found = {}
        for info in node.list_files():
            with node.using_store(info.database, info.name) as store:
                found[info.name] = state_of(store)
    return found


def test_random_times_equal_the_model_whatever_rotated(
    node: Node, place: Path, other_cmk: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """2,000 commits to three stores, two rotations of the master key, and one change of CMK, data key and snapshot."""
    monkeypatch.setattr(OsBlockFile, "sync", lambda _: None)  # nothing is killed here, and there are thousands
    history, random = History(), Random(11)
    for name in "abc":
        node.create_store("db", name, SIZE).close()
    stores = [node.open_store("db", name) for name in "abc"]
    commits(node, history, random, "abc", 60)
    snapshot(node, DirectoryPlace(place))
    begun_ns = node.log.record_time_ns()
    for step in range(8):
        commits(node, history, random, "abc", 250)
        if step in (1, 5):
            node.rotate_master()
        if step == 3:
            node.change_cmk(other_cmk)
        if step == 4:
            node.new_data_key("db")
        if step == 6:
            snapshot(node, DirectoryPlace(place))
        if step % 2:
            node.log.flush()
    for store in stores:
        store.close()
    end_ns = node.log.record_time_ns()
    node.log.flush()
    node.close()
    for number in range(6):
        at_ns = random.randrange(begun_ns, end_ns) if number else history.times()[-1]
        found = restored(place, tmp_path / f"restored-{number}", at_ns, connector())
        assert found == {name: history.at(name, at_ns) for name in "abc"}


@pytest.fixture
def lived(node: Node, place: Path) -> History:
    """A node with a snapshot in the place of its log, and commits before and after it."""
    history, random = History(), Random(5)
    for name in "ab":
        node.create_store("db", name, SIZE).close()
    commits(node, history, random, "ab", 12)
    snapshot(node, DirectoryPlace(place))
    commits(node, history, random, "ab", 20)
    node.log.flush()
    return history


def test_each_key_is_asked_for_once(
    node: Node, lived: History, place: Path, cmk: str, other_cmk: str, tmp_path: Path
) -> None:
    random = Random(6)
    for key in (other_cmk, cmk):
        node.change_cmk(key)
        commits(node, lived, random, "ab", 6)
        node.log.flush()
    node.close()
    connect = CountingConnector()
    target = DirectoryPlace(place)
    restore(target, snapshot_ids(target)[0], tmp_path / "new", connect, key=other_cmk, connect_new=connector(),
            at=PointInTime(lived.times()[-1]))  # fmt: skip
    assert sorted(connect.asked) == sorted([cmk, other_cmk, cmk]), "three eras, and each master key unwrapped once"


def test_one_file_is_exported_as_it_was(node: Node, lived: History, place: Path, tmp_path: Path) -> None:
    node.close()
    target, times = DirectoryPlace(place), [each for each, _ in lived.moments["b"]]
    for number, at_ns in enumerate((times[-1], times[-4])):
        count, length, pages = lived.at("b", at_ns) or (0, 0, {})
        content = b"".join(pages.get(page_no, bytes(SIZE)) for page_no in range(count))[:length].ljust(length, b"\0")
        path = tmp_path / f"file-{number}"
        export_from_snapshot(target, snapshot_ids(target)[0], "db", "b", path, connector(), at=PointInTime(at_ns))
        assert path.read_bytes() == content


def test_files_made_and_dropped_after_the_snapshot(node: Node, lived: History, place: Path, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(os.urandom(50_000))
    node.import_file("other", "new", source)
    made_ns = node.log.record_time_ns()
    node.drop_file("db", "a")
    dropped_ns = node.log.record_time_ns()
    node.log.flush()  # what is shredded before it is archived never will be
    node.shred("other")
    shredded_ns = node.log.record_time_ns()
    node.import_file("other", "again", source)
    node.log.flush()
    last_ns = node.log.record_time_ns()
    node.log.flush()
    node.close()
    expected = {made_ns: "a b new", dropped_ns: "b new", shredded_ns: "b", last_ns: "again b"}
    for number, (at_ns, names) in enumerate(expected.items()):
        found = restored(place, tmp_path / f"restored-{number}", at_ns, connector())
        assert " ".join(sorted(found)) == names
        for name in set(names.split()) & {"new", "again"}:
            assert b"".join(found[name][2].values())[:50_000] == source.read_bytes()


def test_the_latest_is_as_far_as_the_log_tells(node: Node, lived: History, place: Path, tmp_path: Path) -> None:
    node.close()
    found = restored(place, tmp_path / "restored", None, connector())
    assert found == {name: lived.at(name, lived.times()[-1]) for name in "ab"}


def refused(place: Path, at_ns: int, directory: Path, connect: KmsConnector | None = None) -> LogGapError:
    target = DirectoryPlace(place)
    with pytest.raises(LogGapError, match="Nothing was restored") as caught:
        restore(target, snapshot_ids(target)[0], directory, connect or connector(), at=PointInTime(at_ns))
    assert not directory.exists()
    return caught.value


def test_a_time_after_the_end_is_refused_with_the_end(node: Node, lived: History, place: Path, tmp_path: Path) -> None:
    node.close()
    error = refused(place, lived.times()[-1] + 10**12, tmp_path / "new")
    assert "the log ends at" in str(error)
    assert error.before_ns is not None
    assert error.after_ns is None
    found = restored(place, tmp_path / "new", error.before_ns, connector())
    assert found == {name: lived.at(name, lived.times()[-1]) for name in "ab"}


def test_a_time_before_the_first_snapshot_is_refused_with_that_snapshot(
    node: Node, lived: History, place: Path, tmp_path: Path
) -> None:
    node.close()
    error = refused(place, lived.times()[3], tmp_path / "new")
    assert "no snapshot was taken before" in str(error)
    assert error.before_ns is None
    assert error.after_ns is not None
    found = restored(place, tmp_path / "new", error.after_ns, connector())
    assert set(found) == {"a", "b"}


def test_a_time_in_a_gap_is_refused_with_the_times_around_it(
    node: Node, lived: History, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = lived.times()[-1]
    store = node.open_store("db", "a")
    other = node.open_store("db", "b")
    archiver = node.log._archiver
    assert archiver is not None
    monkeypatch.setattr(archiver.queue, "takes", lambda _: False)
    store.commit({0: b"x" * SIZE})
    monkeypatch.undo()
    lost_ns = store._state.time_ns
    store.commit({1: b"y" * SIZE})
    other.commit({0: b"z" * SIZE})
    lived.note("b", other)
    between_ns = node.log.record_time_ns()
    store.close()
    other.close()
    after = snapshot(node, DirectoryPlace(place)).created_ns
    with node.using_store("db", "a") as store:
        store.commit({2: b"w" * SIZE})
        lived.note("a", store)
    node.log.flush()
    node.close()
    for at_ns in (lost_ns, between_ns):
        error = refused(place, at_ns, tmp_path / "new")
        assert "a commit of a is not in the log (more was committed than the archiver may hold back)" in str(error)
        assert error.after_ns == after
        assert error.before_ns is not None
        assert lived.moments["a"][-2][0] <= error.before_ns < lost_ns
    target = DirectoryPlace(place)
    only = tmp_path / "b"
    export_from_snapshot(target, snapshot_ids(target)[0], "db", "b", only, connector(), at=PointInTime(between_ns))
    assert only.read_bytes()[:SIZE] == b"z" * SIZE, "the gap is of the other file"
    found = restored(place, tmp_path / "new", error.before_ns, connector())
    before_ns = error.before_ns or 0
    assert found == {name: lived.at(name, before_ns) for name in "ab"}
    assert found["a"] == lived.at("a", before)
    last = restored(place, tmp_path / "last", lived.times()[-1], connector())
    assert last["a"] == lived.at("a", lived.times()[-1]), "the next snapshot is built on"


def test_times_while_the_log_was_off_are_refused(node: Node, lived: History, place: Path, tmp_path: Path) -> None:
    node.log.disable()
    with node.using_store("db", "a") as store:
        store.commit({0: b"off" + bytes(SIZE - 3)})
    node.log.enable(place)
    with node.using_store("db", "a") as store:
        store.commit({0: b"on" + bytes(SIZE - 2)})
        at_ns = store._state.time_ns
    node.log.flush()
    node.close()
    error = refused(place, at_ns, tmp_path / "new")
    assert "the log was off from" in str(error)
    assert error.before_ns is not None
    assert restored(place, tmp_path / "new", error.before_ns, connector()) == {
        name: lived.at(name, lived.times()[-1]) for name in "ab"
    }


def test_without_a_log_there_is_no_time(tmp_path: Path, cmk: str) -> None:
    place = DirectoryPlace(tmp_path / "place")
    with Node.init(tmp_path / "node", cmk, connector()) as node:
        node.create_store("db", "a", SIZE).close()
        made = snapshot(node, place)
    for at_ns in (made.created_ns + 1, None):
        with pytest.raises(LogMissingError, match="Nothing was restored"):
            restore(place, made.snapshot_id, tmp_path / "new", connector(), at=PointInTime(at_ns))
    restore(place, made.snapshot_id, tmp_path / "new", connector(), at=PointInTime(made.created_ns))


def test_a_store_that_was_not_opened_since_a_kill_is_not_vouched_for(
    node: Node, lived: History, place: Path, tmp_path: Path
) -> None:
    """Another process commits to `a` and is killed; the next one opens `b` alone."""
    import shutil

    node.close()
    shutil.copytree(place, tmp_path / "log-then")
    with Node.open(tmp_path / "node", connector()) as killed:
        store = killed.open_store("db", "a")
        store.commit({0: b"lost?" + bytes(SIZE - 5)})
        lost_ns = store._state.time_ns
        lived.note("a", store)
        shutil.copytree(tmp_path / "node", tmp_path / "after")
        store.close()
    shutil.rmtree(place)
    shutil.copytree(tmp_path / "log-then", place)
    with Node.open(tmp_path / "after", connector()) as opened:
        with opened.using_store("db", "b") as store:
            store.commit({0: b"b" * SIZE})
            lived.note("b", store)
        opened.log.flush()
        error = refused(place, lived.times()[-1], tmp_path / "new")
        assert "was not opened since a process was killed" in str(error)
        with opened.using_store("db", "a"):
            pass
        opened.log.flush()
    for number, at_ns in enumerate((lost_ns, lived.times()[-1])):
        found = restored(place, tmp_path / f"new-{number}", at_ns, connector())
        assert found == {name: lived.at(name, at_ns) for name in "ab"}


@pytest.mark.row("R96")
def test_the_key_of_an_era_is_needed_and_named(
    node: Node, lived: History, place: Path, other_cmk: str, tmp_path: Path
) -> None:
    node.change_cmk(other_cmk)
    commits(node, lived, Random(8), "ab", 4)
    node.log.flush()
    node.close()
    (tmp_path / "other-cmk").rename(tmp_path / "away")
    target = DirectoryPlace(place)
    with pytest.raises(KmsError, match=r"segment \d+ of the log .* cannot be restored without the key of its day") as e:
        restore(target, snapshot_ids(target)[0], tmp_path / "new", connector(), at=PointInTime(lived.times()[-1]))
    assert isinstance(e.value, KeyNotFoundError)
    assert not (tmp_path / "new").exists()
    (tmp_path / "away").rename(tmp_path / "other-cmk")
    assert restored(place, tmp_path / "new", lived.times()[-1], connector())["a"] == lived.at("a", lived.times()[-1])


def test_a_log_that_was_pruned_too_far_is_told(node: Node, lived: History, place: Path, tmp_path: Path) -> None:
    commits(node, lived, Random(9), "ab", 4)
    node.log.flush()
    node.close()
    segments = sorted(place.glob("log/*/*"))
    for path in segments[:-1]:
        path.unlink()
    target = DirectoryPlace(place)
    with pytest.raises((LogMissingError, LogDamagedError), match="was removed"):
        restore(target, snapshot_ids(target)[0], tmp_path / "new", connector(), at=PointInTime(lived.times()[-1]))


def test_the_volume_layer_is_over_the_log_too(
    tmp_path: Path, cmk: str, other_cmk: str, place: Path, connect: KmsConnector
) -> None:
    history = History()
    with Node.init(tmp_path / "node", cmk, connect, volume_key=other_cmk) as node:
        node.log.enable(place)
        node.create_store("db", "a", SIZE).close()
        snapshot(node, DirectoryPlace(place))
        commits(node, history, Random(3), "a", 30)
        node.log.flush()
    at_ns = history.times()[-7]
    assert restored(place, tmp_path / "new", at_ns, connect) == {"a": history.at("a", at_ns)}


def test_a_time_has_the_names_that_files_had_then(
    node: Node, place: Path, tmp_path: Path, connect: KmsConnector
) -> None:
    """Names are changed, and taken from others, by renaming and by replacing, while readers have the former files."""

    def made(name: str, text: bytes) -> None:
        with node.replacement() as replacement:
            with replacement.filling("db", name, SIZE, node.log.record_time_ns()) as store:
                store.commit({0: text.ljust(SIZE)})
            replacement.put_in_place()

    def held() -> dict[str, bytes]:
        found = {}
        for name in node.databases["db"].stores:
            with node.using_store("db", name) as store:
                found[name] = store.read(0).rstrip()
        return found

    steps: list[Callable[[], object]] = [
        lambda: made("c", b"3"),
        lambda: node.rename_file("db", "a", "d"),
        lambda: node.rename_file("db", "d", "b", replace=True),
        lambda: made("b", b"4"),
        lambda: node.rename_file("db", "b", "a"),
        lambda: node.drop_file("db", "c", while_read=True),
    ]
    made("a", b"1")
    made("b", b"2")
    snapshot(node, DirectoryPlace(place))
    model = [(node.log.record_time_ns(), held())]
    for step in steps:
        with node.using_store("db", next(iter(node.databases["db"].stores))):
            step()
        model.append((node.log.record_time_ns(), held()))
    node.log.flush()
    node.close()
    assert [names for _, names in model][-1] == {"a": b"4"}
    for number, (at_ns, expected) in enumerate(model):
        target = tmp_path / f"restored-{number}"
        restore(DirectoryPlace(place), snapshot_ids(DirectoryPlace(place))[-1], target, connect, at=PointInTime(at_ns))
        with Node.open(target, connect) as node:
            assert held() == expected
            assert node.verify().ok


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_rename_that_nobody_could_tell_is_known_though_the_clock_was_set_back(
    node: Node, place: Path, tmp_path: Path, connect: KmsConnector
) -> None:
    for name in "ab":
        with node.new_store("db", name, SIZE) as store:
            store.commit({0: name.encode().ljust(SIZE)})
    snapshot(node, DirectoryPlace(place))
    node.close()
    child = os.fork()
    if child == 0:
        try:
            ahead_ns = HOUR_NS
            killed = Node.open(node.directory, connect, now_ns=lambda: time.time_ns() + ahead_ns)
            killed.log.flush()
            ahead_ns = 0
            killed.rename_file("db", "a", "b", replace=True)
        finally:
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    with Node.open(node.directory, connect) as again:
        assert list(again.databases["db"].stores) == ["b"]
        with again.using_store("db", "b") as store:
            store.commit({1: bytes(SIZE)})
        at_ns = again.log.record_time_ns()
        again.log.flush()
    found = restored(place, tmp_path / "restored", at_ns, connect)
    assert {name: pages[0].rstrip() for name, (_, _, pages) in found.items()} == {"b": b"a"}
