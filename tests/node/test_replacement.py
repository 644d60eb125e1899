"""Replacing the keystore file, with the power cut before every single operation, and every disk that may be left."""

import contextlib
from collections.abc import Callable
from pathlib import Path

import pytest

from keystore.errors import KeyFileStaleError
from keystore.keys import keyfile
from keystore.keys.files import publish, temporary_path
from keystore.keys.hierarchy import Keystore, generate_database, generate_id
from keystore.keys.master import generate_master
from keystore.kms.connect import connect
from keystore.kms.protocol import Kms
from keystore.node.anchors import Anchors
from keystore.node.custody import Custody
from keystore.node.outside import OutsideAnchor
from keystore.objects.directory import DirectoryPlace
from keystore.pages.protocols import AnchorState
from tests.simulated_files import PowerCut, SimulatedFiles

KEYSTORE, ANCHORS = Path("/node/keystore"), Path("/node/anchors")
NODE_ID = b"n" * 16


@pytest.fixture
def kms(cmk: str) -> Kms:
    return connect(cmk)


def fresh(kms: Kms) -> SimulatedFiles:
    """A disk with a new node on it, all durable."""
    files = SimulatedFiles()
    keystore, master = Keystore.generate("n", 1), generate_master(kms, NODE_ID, 1)
    data = keyfile.seal(keystore, master, 1, 1)
    Anchors.create(files, ANCHORS, keystore.anchor_key, NODE_ID, keyfile.fingerprint(data)).close()
    keyfile.prepare(files, KEYSTORE, data)
    publish(files, KEYSTORE)
    return files


def open_node(files: SimulatedFiles, kms: Kms) -> Custody:
    loaded = keyfile.load(files, KEYSTORE)
    master, keystore = keyfile.unlock(loaded, kms, KEYSTORE)
    stores = [record.store_id for database in keystore.databases.values() for record in database.stores.values()]
    anchors = Anchors.open(files, ANCHORS, keystore.anchor_key, NODE_ID, stores)
    return Custody(files, KEYSTORE, anchors, loaded, master, keystore, lambda: 5)


def rotate(custody: Custody, kms: Kms) -> None:
    custody.change_master(lambda former: generate_master(kms, NODE_ID, former.generation + 1))


def rotate_twice(custody: Custody, kms: Kms) -> None:
    rotate(custody, kms)
    rotate(custody, kms)


def add_database(custody: Custody, kms: Kms) -> None:
    custody.change(lambda keystore: keystore.with_database(generate_database("d", 2)))


def add_anchor(custody: Custody, kms: Kms) -> None:
    anchor = custody.anchors.add(generate_id())
    anchor.store(AnchorState(1, 2, b"t" * 16), sync=False)
    custody.anchors.sync()


Change = Callable[[Custody, Kms], None]


def state(custody: Custody) -> tuple[int, int, list[str]]:
    return custody.file_generation, custody.master.generation, sorted(custody.keystore.databases)


def cut(files: SimulatedFiles, kms: Kms, change: Change, at: int) -> bool:
    """Run `change` and cut the power before its operation number `at`; returns whether it was cut."""
    files.cut_at = None
    custody = open_node(files, kms)
    files.operations, files.cut_at = 0, at
    try:
        change(custody, kms)
    except PowerCut:
        return True
    return False


@pytest.mark.parametrize("change", [rotate, rotate_twice, add_database, add_anchor])
def test_node_opens_whatever_a_power_cut_leaves(kms: Kms, change: Change) -> None:
    start = fresh(kms)
    before = state(open_node(start.after_kill(), kms))
    done = start.after_kill()
    custody = open_node(done, kms)
    change(custody, kms)
    allowed = {repr(before), repr(state(custody))}
    if change is rotate_twice:
        allowed.add(repr((2, 2, [])))
    at, disks, seen = 0, 0, set()
    while cut(crashed := start.after_kill(), kms, change, at):
        for left in (crashed.after_kill(), *crashed.after_power_cut()):
            opened = open_node(left, kms)
            disks += 1
            seen.add(repr(state(opened)))
            assert repr(state(opened)) in allowed
            assert temporary_path(KEYSTORE) not in left.disk.names()
            assert len(opened.anchors.fingerprints) == 1
            rotate(opened, kms)
            assert open_node(left.after_kill(), kms).master.generation == opened.master.generation
        at += 1
        assert at < 50
    assert at >= 4
    assert disks >= 2 * at
    assert seen == allowed


@pytest.mark.parametrize("change", [rotate, add_database])
def test_change_that_returned_survives_a_power_cut(kms: Kms, change: Change) -> None:
    files = fresh(kms)
    custody = open_node(files, kms)
    change(custody, kms)
    for left in files.after_power_cut():
        assert state(open_node(left, kms)) == state(custody)


@pytest.mark.parametrize("change", [rotate, rotate_twice, add_database])
def test_nothing_is_stated_outside_that_a_power_cut_can_take_back(kms: Kms, change: Change, tmp_path: Path) -> None:
    start = fresh(kms)
    at, stated = 0, 0
    while True:
        (tmp_path / str(at)).mkdir()
        files, place = start.after_kill(), DirectoryPlace(tmp_path / str(at))
        custody = open_node(files, kms)
        outside = OutsideAnchor(place, custody.keystore.anchor_key, NODE_ID)
        custody.anchors.outside = outside
        custody.state_outside()
        files.operations, files.cut_at = 0, at
        with contextlib.suppress(PowerCut):
            change(custody, kms)
            break
        for left in files.after_power_cut():
            loaded = keyfile.load(left, KEYSTORE)
            OutsideAnchor(place, custody.keystore.anchor_key, NODE_ID).check(
                loaded.head.file_generation, loaded.fingerprint, ()
            )
            stated = max(stated, outside.info.number)
        at += 1
        assert at < 50
    assert outside.info.number == (3 if change is rotate_twice else 2)
    assert stated == outside.info.number - 1


def test_opening_may_be_cut_as_well(kms: Kms) -> None:
    """Every disk that a cut rotation leaves, with the opening of it cut before each of its operations."""
    start = fresh(kms)
    at, opened = 0, 0
    while cut(crashed := start.after_kill(), kms, rotate, at):
        for left in crashed.after_power_cut():
            step = 0
            while True:
                again = left.after_kill()
                again.operations, again.cut_at = 0, step
                try:
                    open_node(again, kms)
                    break
                except PowerCut:
                    for twice in again.after_power_cut():
                        assert open_node(twice, kms).master.generation in (1, 2)
                        opened += 1
                step += 1
                assert step < 20
        at += 1
    assert opened > 0


def test_former_file_is_refused_once_the_next_one_is_in_force(kms: Kms) -> None:
    files = fresh(kms)
    former = files.read(KEYSTORE, 1 << 20)
    rotate(open_node(files, kms), kms)
    fd = files.open(KEYSTORE)
    files.truncate(fd, 0)
    files.write(fd, 0, former)
    with pytest.raises(KeyFileStaleError):
        open_node(files, kms)
