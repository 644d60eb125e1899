"""Customer keys on and off: the same contents under other keys, and everybody goes on meanwhile."""

import errno
import io
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from threading import Event, Thread

import pytest

from keystore.errors import (
    ConversionUnfinishedError,
    DataKeyInUseError,
    InputError,
    KeyDisabledError,
    KeyFileWriteError,
    KmsError,
    KmsUnreachableError,
    NodeClosedError,
    NodeIOError,
    StoreDamagedError,
    StoreFullError,
    StoreLockedError,
)
from keystore.keys.files import Files
from keystore.kms.protocol import Kms, KmsConnector
from keystore.node.converting import KEEP
from keystore.node.directory import Node
from keystore.node.restoring import restore
from keystore.node.snapshotting import snapshot
from keystore.node.usage import keys_usage
from keystore.objects.directory import DirectoryPlace
from keystore.pages import movable
from keystore.pages.blockfile import OsBlockFile
from tests.key_files import new_key

CANARY = b"canary: nobody may see this on a disk. " * 2000
PAGES = 24
WAIT_S = 60


@pytest.fixture(autouse=True)
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(movable, "STEP_BYTES", 64 << 10)


@pytest.fixture
def customer(tmp_path: Path) -> str:
    return new_key(tmp_path / "customer")


@pytest.fixture
def platform(tmp_path: Path) -> str:
    return new_key(tmp_path / "platform")


@pytest.fixture
def plain(directory: Path, cmk: str, connect: KmsConnector) -> Iterator[Node]:
    """A node without customer keys: three files in two databases, under two generations of a data key."""
    with Node.init(directory, cmk, connect) as node:
        fill(node)
        yield node


def fill(node: Node) -> None:
    node.import_file("orders", "canary", io.BytesIO(CANARY), page_size=4096)
    node.new_data_key("orders")
    random = Random(1)
    for database, name in (("orders", "ledger"), ("audit", "ledger")):
        with node.new_store(database, name, 4096) as store:
            store.commit({number: random.randbytes(4096) for number in range(PAGES)}, byte_length=7)


def contents(node: Node) -> dict[str, tuple[bytes, ...]]:
    found = {}
    for database in node.databases.values():
        for name in database.stores:
            with node.using_store(database.name, name) as store:
                pages = store.read_many(range(store.page_count))
                found[f"{database.name}/{name}"] = (*pages, str(store.byte_length).encode())
    return found


def stores_of(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(directory.rglob("databases/*/*")) if path.is_file()}


def generations(node: Node) -> dict[str, list[str]]:
    return {each.name: [f"{key.generation} {key.state}" for key in each.data_keys] for each in node.list_databases()}


def destroy_file(uri: str) -> None:
    Path(uri.removeprefix("local://")).unlink()


def is_layered(node: Node) -> set[bool]:
    for database in node.databases.values():
        for name in database.stores:
            with node.using_store(database.name, name) as store:
                store.checkpoint()
    return {not content.startswith(b"CMKPAGES") for content in stores_of(node.directory).values()}


# -- on and off -------------------------------------------------------------------------------------------------------


def test_on(plain: Node, cmk: str, customer: str, platform: str, connect: KmsConnector) -> None:
    before, told = contents(plain), list[tuple[int, int]]()
    done = plain.convert(customer, platform, progress=lambda now, total: told.append((now, total)))
    assert done.rotation is not None
    assert (done.rotation.old.key_id, done.rotation.new.key_id) == (cmk, customer)
    assert (done.moved, done.destroyed, done.already_done) == (3, 3, False)
    assert done.resealed_pages == sum(len(pages) - 1 for pages in before.values())
    assert not plain.is_converting
    assert generations(plain) == {
        "audit": ["1 destroyed", "2 current"],
        "orders": ["1 destroyed", "2 destroyed", "3 current"],
    }
    assert told == sorted(told)
    assert contents(plain) == before
    assert plain.verify().ok
    plain.close()
    destroy_file(cmk)
    with Node.open(plain.directory, connect) as node:
        assert (node.master_info.key_id, node.master_info.generation) == (customer, 2)
        assert node.volume_info is not None
        assert node.volume_info.key_id == platform
        assert contents(node) == before


@pytest.mark.row("R21")
def test_on_and_off_and_on_again(plain: Node, cmk: str, customer: str, platform: str, connect: KmsConnector) -> None:
    before, volumes = contents(plain), set[bytes]()
    for turn in range(2):
        plain.convert(customer, platform)
        assert plain.volume_info is not None
        volumes.add(plain.volume_info.volume_id)
        assert is_layered(plain) == {True}
        plain.convert(cmk, None)
        assert plain.volume_info is None
        assert not (plain.directory / "volume").exists()
        assert is_layered(plain) == {False}
        assert contents(plain) == before, turn
    assert len(volumes) == 2
    plain.convert(customer, platform)
    plain.close()
    with Node.open(plain.directory, connect) as node:
        assert contents(node) == before
        assert node.verify().ok
        assert [key for keys in generations(node).values() for key in keys if "decrypt" in key] == []


@pytest.mark.row("R21")
def test_nothing_in_clear_and_nothing_of_the_former_keys(plain: Node, customer: str, platform: str) -> None:
    """R21: no file has the form of a store, and none is left that the former data keys open."""
    former = [bytes(key.key.view()) for database in plain.databases.values() for key in database.data_keys]
    plain.convert(customer, platform)
    now = [bytes(key.key.view()) for database in plain.databases.values() for key in database.data_keys]
    assert not set(former) & set(now)
    with plain.using_store("orders", "canary") as store:
        assert {references.generation for references in store.key_references()} == {3}
    plain.close()
    for name, content in stores_of(plain.directory).items():
        assert name.endswith(".store")
        assert b"CMKPAGES" not in content, name
        assert CANARY[:39] not in content, name


def test_without_a_change_of_the_layer_no_file_moves(plain: Node, customer: str) -> None:
    before = contents(plain)
    inodes = {path: path.stat().st_ino for path in plain.directory.rglob("*.store")}
    done = plain.convert(customer)
    assert (done.moved, done.destroyed) == (0, 3)
    assert {path: path.stat().st_ino for path in plain.directory.rglob("*.store")} == inodes
    assert contents(plain) == before


def test_the_layer_alone_can_come_under_the_same_key(plain: Node, cmk: str, platform: str) -> None:
    before = contents(plain)
    assert plain.convert(cmk, platform).moved == 3
    assert is_layered(plain) == {True}
    assert contents(plain) == before


def test_what_is_done_is_not_done_again(plain: Node, customer: str, platform: str) -> None:
    plain.convert(customer, platform)
    before, fingerprint = stores_of(plain.directory), plain._custody.fingerprint
    for volume_key in (platform, KEEP):
        done = plain.convert(customer, volume_key)
        assert (done.already_done, done.rotation, done.moved) == (True, None, 0)
    assert (stores_of(plain.directory), plain._custody.fingerprint) == (before, fingerprint)


def test_another_platform_key_is_one_small_file(plain: Node, tmp_path: Path, customer: str, platform: str) -> None:
    plain.convert(customer, platform)
    before = stores_of(plain.directory)
    done = plain.convert(customer, new_key(tmp_path / "other-platform"))
    assert (done.already_done, done.moved) == (False, 0)
    assert stores_of(plain.directory) == before
    assert plain.volume_info is not None
    assert plain.volume_info.key_id == f"local://{tmp_path / 'other-platform'}"


def test_an_empty_node_is_converted_at_once(node: Node, customer: str, platform: str) -> None:
    node.convert(customer, platform)
    assert not node.is_converting
    assert node.volume_info is not None
    node.import_file("d", "f", io.BytesIO(CANARY))
    assert is_layered(node) == {True}
    node.convert(customer, None)
    assert is_layered(node) == {False}


def test_a_shredded_database_stays_shredded(plain: Node, customer: str, platform: str) -> None:
    plain.shred("audit")
    plain.convert(customer, platform)
    assert plain.databases["audit"].shredded is not None
    assert set(contents(plain)) == {"orders/canary", "orders/ledger"}


# -- while it is used -------------------------------------------------------------------------------------------------


@pytest.mark.row("R21")
def test_readers_and_writers_go_on_throughout(plain: Node, cmk: str, customer: str, platform: str) -> None:
    """Every page is one number repeated, and numbers rise: a reader sees no other page, and none that is older."""
    calls, stop, wrote, problems, written = 0, Event(), Event(), list[BaseException](), [0] * PAGES
    store = plain.open_store("orders", "ledger")
    store.commit({number: bytes(4096) for number in range(PAGES)})

    def write(random: Random) -> None:
        number = random.randrange(PAGES)
        store.commit({number: (written[number] + 1).to_bytes(8, "big") * 512})
        written[number] += 1
        wrote.set()

    def read(random: Random) -> None:
        number = random.randrange(PAGES)
        least, page = written[number], store.read(number)
        assert page == page[:8] * 512
        assert int.from_bytes(page[:8], "big") >= least

    def start(work: Callable[[Random], None], seed: int) -> Thread:
        def run() -> None:
            random = Random(seed)
            try:
                while not stop.is_set():
                    work(random)
            except BaseException as error:
                problems.append(error)
                wrote.set()

        thread = Thread(target=run)
        thread.start()
        return thread

    def after_a_commit(done: int, total: int) -> None:
        nonlocal calls
        calls += 1
        if calls % 5 == 0:
            wrote.clear()
            assert wrote.wait(WAIT_S), "no writer came through"

    threads = [start(write, 1), start(read, 2), start(read, 3)]
    try:
        for key, volume in ((customer, platform), (cmk, None), (customer, platform)):
            plain.convert(key, volume, progress=after_a_commit)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert problems == []
    store.close()
    with plain.using_store("orders", "ledger") as again:
        assert [int.from_bytes(page[:8], "big") for page in again.read_many(range(PAGES))] == written
    assert plain.verify().ok


def test_files_come_and_go_meanwhile(plain: Node, cmk: str, customer: str, platform: str) -> None:
    calls, made = 0, 0

    def come_and_go(done: int, total: int) -> None:
        nonlocal calls, made
        calls += 1
        if calls % 10:
            return
        made += 1
        plain.import_file("new" if made % 2 else "orders", f"f{made}", io.BytesIO(CANARY[: made * 100]))
        if made > 2:
            plain.drop_file("new" if (made - 2) % 2 else "orders", f"f{made - 2}")

    for key, volume in ((customer, platform), (cmk, None)):
        plain.convert(key, volume, progress=come_and_go)
        assert is_layered(plain) == {volume is not None}
    assert made > 2
    assert plain.verify().ok
    assert len(contents(plain)) == 5


def test_a_file_that_was_being_made_is_waited_for(plain: Node, customer: str, platform: str) -> None:
    with plain.new_store("orders", "late", 4096) as store:
        store.commit({0: b"a" * 4096})
        with pytest.raises(ConversionUnfinishedError, match="is being made") as refused:
            plain.convert(customer, platform)
        assert isinstance(refused.value.__cause__, StoreLockedError)
        assert plain.is_converting
    assert contents(plain)["orders/late"] == (b"a" * 4096, b"0")
    assert plain.convert(customer, platform).moved == 1
    assert is_layered(plain) == {True}
    assert contents(plain)["orders/late"] == (b"a" * 4096, b"0")


def test_a_check_meanwhile_finds_nothing_wrong(plain: Node, customer: str, platform: str) -> None:
    found: list[bool] = []
    seen: set[str] = set()

    def check(done: int, total: int) -> None:
        seen.update(path.suffix for path in plain.directory.rglob("databases/*/*"))
        if len(found) < 3 or (".converting" in seen and len(found) < 6):
            found.append(plain.verify().ok)

    plain.convert(customer, platform, progress=check)
    assert found == [True] * 6
    assert seen == {".store", ".converting"}


def test_two_at_once_are_one(plain: Node, customer: str, platform: str) -> None:
    refused: list[InputError] = []

    def again(done: int, total: int) -> None:
        with pytest.raises(InputError, match="by another thread") as error:
            plain.convert(customer, platform)
        refused.append(error.value)

    plain.convert(customer, platform, progress=again)
    assert refused
    assert not plain.is_converting


def test_a_rotation_in_the_middle_changes_nothing_for_it(plain: Node, customer: str, platform: str) -> None:
    before = contents(plain)

    def rotate(done: int, total: int) -> None:
        if plain.master_info.generation == 2:
            plain.rotate_master()

    plain.convert(customer, platform, progress=rotate)
    assert (plain.master_info.generation, plain.is_converting) == (3, False)
    assert contents(plain) == before


# -- snapshots and the log --------------------------------------------------------------------------------------------


@pytest.mark.row("R95")
def test_each_snapshot_restores_under_the_keys_of_its_day(
    plain: Node, tmp_path: Path, cmk: str, customer: str, platform: str, connect: KmsConnector
) -> None:
    target, taken, before = DirectoryPlace(tmp_path / "snapshots"), list[bytes](), contents(plain)

    def once(done: int, total: int) -> None:
        if len(taken) % 2:
            taken.append(snapshot(plain, target).snapshot_id)

    for key, volume in ((customer, platform), (cmk, None)):
        taken.append(snapshot(plain, target).snapshot_id)
        plain.convert(key, volume, progress=once)
    taken.append(snapshot(plain, target).snapshot_id)
    assert len(taken) == 5
    for number, snapshot_id in enumerate(taken):
        place = tmp_path / f"restored-{number}"
        restore(target, snapshot_id, place, connect)
        with Node.open(place, connect) as restored:
            assert contents(restored) == before, number
    destroy_file(customer)
    for number, snapshot_id in enumerate(taken):
        place = tmp_path / f"again-{number}"
        if number in (1, 2):
            with pytest.raises(KmsError):
                restore(target, snapshot_id, place, connect)
        else:
            restore(target, snapshot_id, place, connect)


def test_a_pin_keeps_the_former_data_key_and_the_next_call_ends_it(plain: Node, customer: str, platform: str) -> None:
    with plain.using_store("orders", "ledger") as store, store.pin() as pin:
        pages = [bytes(batch.ciphertext) for batch in pin.sealed()]
        with pytest.raises(ConversionUnfinishedError, match="pin") as refused:
            plain.convert(customer, platform)
        assert isinstance(refused.value.__cause__, DataKeyInUseError)
        assert [bytes(batch.ciphertext) for batch in pin.sealed()] == pages
    done = plain.convert(customer, platform)
    assert (done.rotation, done.moved, done.destroyed) == (None, 0, 1)
    assert not plain.is_converting


def test_the_log_reaches_over_a_conversion(
    plain: Node, tmp_path: Path, cmk: str, customer: str, platform: str, connect: KmsConnector
) -> None:
    from keystore.snapshots.at_time import PointInTime

    target, log = DirectoryPlace(tmp_path / "snapshots"), tmp_path / "log"
    log.mkdir()
    plain.log.enable(str(log), window_days=30)
    made = snapshot(plain, target)
    moments: list[tuple[int, dict[str, tuple[bytes, ...]]]] = []
    for key, volume in ((customer, platform), (cmk, None)):
        plain.convert(key, volume)
        with plain.using_store("orders", "ledger") as store:
            store.commit({len(moments): key.encode()[-8:] * 512})
        plain.log.flush()
        moments.append((plain._now_ns(), contents(plain)))
    plain.log.flush()
    for number, (at_ns, expected) in enumerate(moments):
        place = tmp_path / f"restored-{number}"
        restore(target, made.snapshot_id, place, connect, at=PointInTime(at_ns, DirectoryPlace(log)))
        with Node.open(place, connect) as restored:
            assert contents(restored) == expected


# -- what goes wrong --------------------------------------------------------------------------------------------------


class Refusing:
    """A connector whose clients refuse one operation on one key."""

    def __init__(self, connect: KmsConnector, key: str, operation: str, error: type[KmsError]) -> None:
        self._connect, self._refuses, self._error = connect, (key, operation), error

    def __call__(self, key_uri: str) -> Kms:
        kms, (key, operation) = self._connect(key_uri), self._refuses

        def refuse(*_: object) -> object:
            raise self._error(f"{key}: refused")

        if key == key_uri:
            setattr(kms, operation, refuse)
        return kms


@pytest.mark.parametrize("operation", ["wrap", "unwrap"])
@pytest.mark.parametrize("error", [KmsUnreachableError, KeyDisabledError])
@pytest.mark.parametrize("which", ["customer", "platform"])
def test_a_key_that_refuses_changes_nothing(
    plain: Node,
    customer: str,
    platform: str,
    connect: KmsConnector,
    operation: str,
    error: type[KmsError],
    which: str,
) -> None:
    before, fingerprint = stores_of(plain.directory), plain._custody.fingerprint
    key = customer if which == "customer" else platform
    with pytest.raises(error):
        plain.convert(customer, platform, Refusing(connect, key, operation, error))
    assert (stores_of(plain.directory), plain._custody.fingerprint) == (before, fingerprint)
    assert not (plain.directory / "volume").exists()
    assert not plain.is_converting
    plain.convert(customer, platform)
    assert not plain.is_converting


def test_once_begun_it_needs_no_kms(plain: Node, cmk: str, customer: str, platform: str) -> None:
    before = contents(plain)

    def away(done: int, total: int) -> None:
        for key in (cmk, customer, platform):
            Path(key.removeprefix("local://")).unlink(missing_ok=True)

    plain.convert(customer, platform, progress=away)
    assert not plain.is_converting
    assert contents(plain) == before


@pytest.mark.parametrize("uri", ["nonsense", "local://", "aws://us-east-1/"])
def test_a_malformed_key_changes_nothing(plain: Node, customer: str, uri: str) -> None:
    for key, volume in ((uri, None), (customer, uri)):
        fingerprint = plain._custody.fingerprint
        with pytest.raises(InputError):
            plain.convert(key, volume)
        assert plain._custody.fingerprint == fingerprint
        assert not plain.is_converting


def test_without_space_the_node_goes_on_and_the_next_call_finishes(
    plain: Node, customer: str, platform: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, extend = contents(plain), OsBlockFile.extend

    def full(self: OsBlockFile, size: int, *, written: bool = False) -> None:
        if self.path.suffix == ".converting":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        extend(self, size, written=written)

    with monkeypatch.context() as patch:
        patch.setattr(OsBlockFile, "extend", full)
        with pytest.raises(ConversionUnfinishedError, match="no space for its copy") as refused:
            plain.convert(customer, platform)
    assert isinstance(refused.value.__cause__, StoreFullError)
    assert plain.is_converting
    assert contents(plain) == before
    assert {Path(name).suffix for name in stores_of(plain.directory)} == {".store"}
    with plain.using_store("orders", "ledger") as store:
        store.commit({0: b"z" * 4096})
    done = plain.convert(customer, platform)
    assert (done.rotation, done.resealed_pages, done.moved) == (None, 0, 3)
    assert contents(plain)["orders/ledger"][0] == b"z" * 4096


class FailingFiles(Files):
    """Refuses one kind of operation on paths of one suffix, once."""

    def __init__(self) -> None:
        self.fails: tuple[str, str] | None = None

    def _step(self, operation: str, path: Path) -> None:
        if self.fails == (operation, path.suffix):
            self.fails = None
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    def rename(self, old: Path, new: Path) -> None:
        self._step("rename", old)
        super().rename(old, new)

    def create(self, path: Path) -> int:
        self._step("create", path)
        return super().create(path)

    def sync_directory(self, path: Path) -> None:
        self._step("sync", path)
        super().sync_directory(path)


def test_a_keystore_file_that_cannot_be_written_changes_nothing(
    plain: Node, customer: str, platform: str, connect: KmsConnector
) -> None:
    plain.close()
    files = FailingFiles()
    with Node.open(plain.directory, connect, files=files) as node:
        files.fails = "create", ".new"
        with pytest.raises(NodeIOError, match="volume key file"):
            node.convert(customer, platform)
        files.fails = "create", ".new"
        with pytest.raises(KeyFileWriteError):
            node.convert(customer)
        assert not node.is_converting
        assert not (plain.directory / "volume").exists()


@pytest.mark.parametrize("operation", ["rename", "sync"])
def test_a_file_that_cannot_get_its_place(
    plain: Node, customer: str, platform: str, connect: KmsConnector, operation: str
) -> None:
    before = contents(plain)
    plain.close()
    files = FailingFiles()
    with Node.open(plain.directory, connect, files=files) as node:
        store = node.open_store("orders", "ledger")
        told = iter([lambda: setattr(files, "fails", (operation, ".converting" if operation == "rename" else ""))])
        with pytest.raises(ConversionUnfinishedError):
            node.convert(customer, platform, progress=lambda done, total: next(told, lambda: None)())
        store.commit({1: b"y" * 4096})
        assert node.is_converting
    with Node.open(plain.directory, connect) as again:
        again.convert(customer, platform)
        found = contents(again)
        assert found.pop("orders/ledger")[1] == b"y" * 4096
        assert found == {name: pages for name, pages in before.items() if name != "orders/ledger"}
        assert is_layered(again) == {True}


def test_a_damaged_store_is_named_and_all_others_are_done(
    plain: Node, customer: str, platform: str, connect: KmsConnector
) -> None:
    record = plain.databases["orders"].stores["canary"]
    with plain.using_store("orders", "canary") as store:
        slot = int(next(entries["slot"][5] for _, entries in store._state.pages.tree.leaves(0)))
    plain.close()
    (path,) = plain.directory.rglob(f"{record.store_id.hex()}.store")
    content = bytearray(path.read_bytes())
    content[slot * 4096] ^= 1
    path.write_bytes(content)
    with Node.open(plain.directory, connect) as node:
        with pytest.raises(ConversionUnfinishedError, match="orders/canary: page 5") as refused:
            node.convert(customer, platform)
        assert isinstance(refused.value.__cause__, StoreDamagedError)
        assert node.databases["audit"].to_be_left == ()
        with node.using_store("orders", "canary") as store:
            assert store.read(4) == CANARY[4 * 4096 : 5 * 4096]
        node.drop_file("orders", "canary")
        node.convert(customer, platform)
        assert not node.is_converting
        assert is_layered(node) == {True}


def test_a_node_that_is_closed_meanwhile_goes_on_when_it_is_open_again(
    plain: Node, customer: str, platform: str, connect: KmsConnector
) -> None:
    before, calls = contents(plain), iter(range(4))

    def close(done: int, total: int) -> None:
        if next(calls, None) is None:
            plain.close()

    with pytest.raises((ConversionUnfinishedError, NodeClosedError)):
        plain.convert(customer, platform, progress=close)
    with Node.open(plain.directory, connect) as node:
        assert node.is_converting
        assert contents(node) == before
        assert node.verify().ok
        node.convert(customer, platform)
        assert not node.is_converting
        assert contents(node) == before


def test_it_can_turn_round_in_the_middle(
    plain: Node, cmk: str, customer: str, platform: str, connect: KmsConnector
) -> None:
    before = contents(plain)
    for calls in (1, 4, 9):
        interrupt(plain, customer, platform, calls)
        assert plain.is_converting
        assert contents(plain) == before
        plain.close()
        plain = Node.open(plain.directory, connect)
        assert contents(plain) == before
        interrupt(plain, cmk, None, 1)
        assert contents(plain) == before
    plain.convert(customer, KEEP)
    assert plain.volume_info is None, "what it was turning to"
    assert contents(plain) == before
    assert plain.verify().ok
    plain.close()


class StoppedError(Exception):
    pass


def interrupt(node: Node, key: str, volume: str | None, calls: int) -> None:
    """Convert, and stop when it has told that often how far it is."""
    left = iter(range(calls))

    def stop(done: int, total: int) -> None:
        if next(left, None) is None:
            raise StoppedError

    with pytest.raises(StoppedError):
        node.convert(key, volume, progress=stop)


def test_usage_names_the_platform_key_only_while_there_is_a_layer(
    plain: Node, cmk: str, customer: str, platform: str
) -> None:
    def keys() -> set[str]:
        return {uri for key in keys_usage([plain.directory]).keys for uri in key.key_ids if key.users}

    plain.convert(customer, platform)
    assert keys() == {customer, platform}
    plain.convert(cmk, None)
    assert keys() == {cmk}


def test_in_a_child_that_was_forked_meanwhile_nothing_is_converted(
    plain: Node, customer: str, platform: str, connect: KmsConnector
) -> None:
    before, children = contents(plain), list[int]()

    def fork(done: int, total: int) -> None:
        if not children:
            children.append(os.fork())
            if not children[0]:
                raise StoppedError

    parent = os.getpid()
    try:
        plain.convert(customer, platform, progress=fork)
    except BaseException:
        if os.getpid() != parent:
            os._exit(0)
        raise
    assert os.getpid() == parent
    assert os.waitpid(children[0], 0)[1] == 0
    assert contents(plain) == before
    assert not plain.is_converting
