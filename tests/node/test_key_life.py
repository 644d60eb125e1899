"""Data keys of a node from their change to their end: what needs them, resealing, and destroying at zero only."""

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from keystore.errors import (
    DatabaseShreddedError,
    DataKeyInUseError,
    InputError,
    KeyFileWriteError,
    NameUnknownError,
    StoreDamagedError,
)
from keystore.keys.files import Files
from keystore.kms.protocol import KmsConnector
from keystore.node.directory import Node
from keystore.node.restoring import restore
from keystore.node.snapshotting import snapshot
from keystore.objects.directory import DirectoryPlace
from keystore.pages.pace import Pace
from tests.snapshots.conftest import contents


@pytest.fixture
def changed(node: Node, tmp_path: Path) -> Node:
    """Two files and two data keys in one database, and another database."""
    source = tmp_path / "source"
    for database, name in (("d", "a"), ("d", "b"), ("e", "c")):
        source.write_bytes(os.urandom(60_000))
        node.import_file(database, name, source, page_size=4096)
    node.new_data_key("d")
    return node


def needed(node: Node, database: str) -> dict[str, list[int]]:
    return {store.name: [each.generation for each in store.references] for store in node.key_life.references(database)}


def states(node: Node, database: str) -> list[tuple[int, str]]:
    (info,) = [each for each in node.list_databases() if each.name == database]
    return [(key.generation, key.state) for key in info.data_keys]


def test_from_change_to_end(changed: Node, connect: KmsConnector, tmp_path: Path) -> None:
    before = {name: exported(changed, "d", name, tmp_path) for name in ("a", "b")}
    assert needed(changed, "d") == {"a": [1, 2], "b": [1, 2]}  # opening one writes blocks of its maps
    told: list[tuple[int, int]] = []
    done = changed.key_life.reseal("d", progress=lambda done, total: told.append((done, total)))
    assert [(each.name, each.pages, each.left, each.problem) for each in done] == [
        ("a", 15, 0, None),
        ("b", 15, 0, None),
    ]
    assert told[-1][0] == told[-1][1]
    assert needed(changed, "d") == {"a": [2], "b": [2]}
    assert needed(changed, "e") == {"c": [1]}
    key = changed.databases["d"].data_keys[0].key
    material = bytes(key.view())
    gone = changed.key_life.destroy("d", 1)
    assert key.wiped
    assert gone.former_fingerprint != gone.fingerprint
    assert states(changed, "d") == [(1, "destroyed"), (2, "current")]
    assert material not in (changed.directory / "keystore").read_bytes()
    assert {name: exported(changed, "d", name, tmp_path) for name in ("a", "b")} == before
    changed.close()
    with Node.open(changed.directory, connect) as again:
        assert states(again, "d") == [(1, "destroyed"), (2, "current")]
        assert {name: exported(again, "d", name, tmp_path) for name in ("a", "b")} == before
        assert again.verify().ok


def exported(node: Node, database: str, name: str, tmp_path: Path) -> bytes:
    node.export_file(database, name, tmp_path / "out", overwrite=True)
    return (tmp_path / "out").read_bytes()


def test_a_key_that_is_needed_stays(changed: Node) -> None:
    """What refers is named; and so it is where only the last of several files does."""
    with pytest.raises(DataKeyInUseError, match=r"d/a \(1\d pages and blocks\); d/b"):
        changed.key_life.destroy("d", 1)
    with changed.using_store("d", "a") as store:
        store.reseal()
    with pytest.raises(DataKeyInUseError, match=r"needed: d/b \(") as caught:
        changed.key_life.destroy("d", 1)
    assert "d/a" not in str(caught.value)
    assert states(changed, "d") == [(1, "decrypt-only"), (2, "current")]


def test_one_page_is_enough_to_keep_it(changed: Node) -> None:
    changed.key_life.reseal("d")
    changed.new_data_key("d")
    with changed.using_store("d", "b") as store:
        store.commit({0: bytes(4096)})
        changed.new_data_key("d")
        store.commit({1: bytes(4096)})
    with pytest.raises(DataKeyInUseError, match="d/b"):
        changed.key_life.destroy("d", 3)
    changed.key_life.reseal("d", generation=3)
    changed.key_life.destroy("d", 3)
    assert states(changed, "d") == [(1, "decrypt-only"), (2, "decrypt-only"), (3, "destroyed"), (4, "current")]
    assert needed(changed, "d") == {"a": [2, 4], "b": [2, 4]}


@pytest.mark.parametrize(
    ("database", "generation", "error", "match"),
    [
        ("x", 1, NameUnknownError, "no database 'x'"),
        ("d", 3, NameUnknownError, "no data key generation 3"),
        ("d", 2, InputError, "is the current one"),
    ],
)
def test_what_cannot_be_destroyed(
    changed: Node, database: str, generation: int, error: type[Exception], match: str
) -> None:
    before = (changed.directory / "keystore").read_bytes()
    for act in (changed.key_life.destroy, lambda name, number: changed.key_life.reseal(name, generation=number)):
        with pytest.raises(error, match=match):
            act(database, generation)
    assert (changed.directory / "keystore").read_bytes() == before


def test_a_key_is_destroyed_once(changed: Node) -> None:
    changed.key_life.reseal("d")
    changed.key_life.destroy("d", 1)
    for act in (changed.key_life.destroy, lambda name, number: changed.key_life.reseal(name, generation=number)):
        with pytest.raises(InputError, match="destroyed already"):
            act("d", 1)
    with pytest.raises(InputError, match="belongs to a database"):
        changed.key_life.reseal(generation=1)


def test_a_pin_keeps_it(changed: Node) -> None:
    with changed.using_store("d", "a") as store, store.pin() as pin:
        changed.key_life.reseal("d")
        with pytest.raises(DataKeyInUseError, match=r"d/a \(1 pin, "):
            changed.key_life.destroy("d", 1)
        assert sum(len(batch.page_nos) for batch in pin.sealed()) == 15
    changed.key_life.destroy("d", 1)


def test_a_store_that_was_open_all_the_time_reads_on(changed: Node) -> None:
    """It began under the first key, and takes the second without being opened again."""
    changed.new_data_key("e")
    with changed.using_store("e", "c") as store:
        before = store.read_many(range(store.page_count))
        store.commit({0: before[0]})
        changed.new_data_key("e")
        store.commit({1: before[1]})
        assert [each.generation for each in store.key_references()] == [1, 2, 3]
        changed.key_life.reseal("e")
        changed.key_life.destroy("e", 1)
        changed.key_life.destroy("e", 2)
        store._reader.wipe()
        assert store.read_many(range(store.page_count)) == before
        store.commit({2: before[2]})


def test_a_file_that_is_being_made_keeps_it(node: Node) -> None:
    """It is in no catalogue yet, and its pages are under the key of its beginning."""
    node.create_store("d", "other").close()
    with node.new_store("d", "new", 4096) as store:
        store.commit({0: b"1" * 4096})
        node.new_data_key("d")
        node.key_life.reseal("d")
        with pytest.raises(DataKeyInUseError, match="1 file being made"):
            node.key_life.destroy("d", 1)
    with pytest.raises(DataKeyInUseError, match="d/new"):
        node.key_life.destroy("d", 1)
    node.key_life.reseal("d")
    node.key_life.destroy("d", 1)
    with node.using_store("d", "new") as store:
        assert store.read(0) == b"1" * 4096


def test_a_damaged_store_is_told_and_the_others_are_done(changed: Node) -> None:
    record = changed.databases["d"].stores["a"]
    database = changed.databases["d"].database_id
    with changed.using_store("d", "a") as store:
        state = store._state
        slot = int.from_bytes(state.pages.entry(9)[:8], "little")
    path = changed.directory / "databases" / database.hex() / f"{record.store_id.hex()}.store"
    with path.open("r+b") as file:
        file.seek(slot * 4096)
        file.write(bytes(16))
    damaged, whole = changed.key_life.reseal("d")
    assert isinstance(damaged.problem, StoreDamagedError)
    assert (damaged.problem.part, damaged.problem.number) == ("page", 9)
    assert (whole.name, whole.pages, whole.problem) == ("b", 15, None)
    with pytest.raises(DataKeyInUseError, match="d/a"):
        changed.key_life.destroy("d", 1)
    path.unlink()
    with pytest.raises(DataKeyInUseError, match="d/a cannot be asked"):
        changed.key_life.destroy("d", 1)
    assert states(changed, "d")[0] == (1, "decrypt-only")


def test_a_snapshot_restores_after_its_data_key_was_destroyed(
    changed: Node, connect: KmsConnector, tmp_path: Path
) -> None:
    """It has a copy of its own: that is why it does not keep the key alive, and is told as a copy that remains."""
    target = DirectoryPlace(tmp_path / "snapshots")
    before = {("d", name): exported(changed, "d", name, tmp_path) for name in ("a", "b")}
    before["e", "c"] = exported(changed, "e", "c", tmp_path)
    made = snapshot(changed, target)
    changed.key_life.reseal("d")
    changed.key_life.destroy("d", 1)
    changed.close()
    restore(target, made.snapshot_id, tmp_path / "restored", connect)
    assert contents(tmp_path / "restored", connect, tmp_path / "out") == before


def test_resealing_holds_to_its_rate_over_all_files(changed: Node) -> None:
    slept: list[float] = []
    changed.key_life.reseal("d", pace=Pace(4096, clock=lambda: sum(slept), sleep=slept.append))
    assert sum(slept) == 30


def test_readers_and_writers_go_on_meanwhile(changed: Node) -> None:
    """A writer in another thread comes between the batches; what it wrote is what is there."""
    with changed.using_store("d", "a") as store:
        pages = {number: store.read(number) for number in range(store.page_count)}
        turns, stop = threading.Semaphore(0), threading.Event()

        def write() -> None:
            while turns.acquire(timeout=60) and not stop.is_set():
                pages[3] = os.urandom(4096)
                store.commit({3: pages[3]})

        thread = threading.Thread(target=write)
        thread.start()
        for _ in range(3):
            changed.new_data_key("d")
            changed.key_life.reseal("d", progress=lambda done, total: turns.release())
        stop.set()
        turns.release()
        thread.join(60)
        assert {number: store.read(number) for number in pages} == pages
        changed.key_life.reseal("d")
    assert needed(changed, "d") == {"a": [5], "b": [5]}


class FullDisk(Files):
    """No space for anything new, once `full`."""

    full = False

    def create(self, path: Path) -> int:
        if self.full:
            raise OSError(28, "No space left on device")
        return super().create(path)


@pytest.fixture
def poor(directory: Path, cmk: str, connect: KmsConnector) -> Iterator[tuple[Node, FullDisk]]:
    files = FullDisk()
    with Node.init(directory, cmk, connect, files=files) as node:
        node.create_store("d", "a").close()
        yield node, files


def test_without_space_for_the_keystore_file_nothing_ends(poor: tuple[Node, FullDisk]) -> None:
    node, files = poor
    node.new_data_key("d")
    node.key_life.reseal("d")
    key = node.databases["d"].data_keys[0].key
    files.full = True
    with pytest.raises(KeyFileWriteError, match="No space"):
        node.key_life.destroy("d", 1)
    assert not key.wiped
    assert states(node, "d") == [(1, "decrypt-only"), (2, "current")]
    files.full = False
    node.key_life.destroy("d", 1)
    assert key.wiped


def test_a_shredded_database_has_nothing_to_reseal(changed: Node) -> None:
    changed.shred("d")
    with pytest.raises(DatabaseShreddedError):
        changed.key_life.reseal("d")
    with pytest.raises(DatabaseShreddedError):
        changed.new_data_key("d")
    assert changed.key_life.references("d") == []
    assert [each.name for each in changed.key_life.reseal()] == ["c"]
