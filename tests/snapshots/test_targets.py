"""Snapshots at every kind of target, at one that has a bad day, and by a process that is killed at every request."""

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from keystore.errors import PlaceUnreachableError
from keystore.kms.protocol import KmsConnector
from keystore.node.directory import Node
from keystore.node.restoring import restore
from keystore.node.snapshotting import snapshot
from keystore.objects import upload
from keystore.objects.opening import Patience, open_place
from keystore.objects.place import Place
from keystore.snapshots.delete import collect_garbage, delete_snapshot
from keystore.snapshots.listing import list_snapshots
from keystore.snapshots.manifest import read_manifest
from keystore.snapshots.names import manifest_name, pack_name, snapshot_ids
from keystore.snapshots.opened import open_snapshot
from tests.faulty import Fault, Plan, faulty
from tests.snapshots.conftest import contents
from tests.snapshots.victim import take

PATIENCE = Patience(20.0, 3, 60.0)
PART_BYTES = 5 << 20
"""The shortest that S3 takes; a pack of the node has more, so that it comes in parts."""
FAULTS: tuple[Fault, ...] = ("503", "reset", "cut", "lost")
END_S = 60
ALWAYS = 10_000


def fill(node: Node, tmp_path: Path, length: int) -> dict[tuple[str, str], bytes]:
    content = {("first", "a"): os.urandom(length), ("second", "b"): os.urandom(9_000)}
    for (database, name), data in content.items():
        (tmp_path / "source").write_bytes(data)
        node.import_file(database, name, tmp_path / "source", page_size=4096)
    return content


def change(node: Node, content: dict[tuple[str, str], bytes], pages: range = range(1, 2)) -> None:
    """Write these pages of the longer file anew."""
    with node.using_store("first", "a") as store:
        store.commit(dict.fromkeys(pages, b"\x07" * 4096))
    new = bytearray(content["first", "a"])
    for page in pages:
        new[page * 4096 : (page + 1) * 4096] = b"\x07" * 4096
    content["first", "a"] = bytes(new)


def needed(place: Place) -> set[str]:
    """Return the names of all objects that the snapshots of a place need."""
    ids = snapshot_ids(place)
    packs = {pack_name(pack.pack_id) for each in ids for pack in read_manifest(place, each).head.packs}
    return packs | {manifest_name(each) for each in ids}


def there(place: Place) -> set[str]:
    return {named.name for named in place.names()}


def test_a_life_of_snapshots(node: Node, place_url: str, connect: KmsConnector, tmp_path: Path) -> None:
    place = open_place(place_url)
    content = fill(node, tmp_path, 400_000)
    first, before = snapshot(node, place), dict(content)
    change(node, content)
    second = snapshot(node, place)
    assert second.stored_bytes < first.stored_bytes / 4
    assert [item.state for item in list_snapshots(place)] == ["complete", "complete"]
    for made, expected in ((first, before), (second, content)):
        directory = tmp_path / made.snapshot_id.hex()
        restore(place, made.snapshot_id, directory, connect)
        assert contents(directory, connect, tmp_path / "out") == expected
    delete_snapshot(place, first.snapshot_id)
    assert there(place) == needed(place)
    restore(place, second.snapshot_id, tmp_path / "again", connect)
    assert contents(tmp_path / "again", connect, tmp_path / "out") == content


@pytest.fixture
def bad(s3_bucket: str, s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Place, Place, Plan]]:
    """A bucket, the same one through a proxy, and the plan of what goes wrong there."""
    monkeypatch.setattr(upload, "PART_BYTES", PART_BYTES)
    good = open_place(s3_bucket)
    with faulty(s3_endpoint) as (address, plan):
        monkeypatch.setenv("AWS_ENDPOINT", address)
        yield good, open_place(s3_bucket, patience=PATIENCE), plan


def nth(number: int) -> Callable[[str, str], bool]:
    numbers = count()
    return lambda method, path: next(numbers) == number


def from_the(number: int) -> Callable[[str, str], bool]:
    numbers = count()
    return lambda method, path: next(numbers) >= number


def read_all(place: Place, snapshot_id: bytes, connect: KmsConnector) -> int:
    with open_snapshot(place, snapshot_id, connect) as opened:
        return sum(len(batch.entries) for store in opened.body.stores for batch in opened.batches(store))


def test_a_fault_at_every_request_changes_nothing(
    node: Node, bad: tuple[Place, Place, Plan], connect: KmsConnector, tmp_path: Path
) -> None:
    good, place, plan = bad
    fill(node, tmp_path, 6_000_000)
    plan.let("503", 0)
    made = snapshot(node, place, full=True)
    requests = len(plan.requests)
    for number in range(requests):
        plan.let(FAULTS[number % len(FAULTS)], 1, nth(number))
        made = snapshot(node, place, full=True)
        assert plan.faults == 1
        assert read_all(good, made.snapshot_id, connect) == made.pages
    collect_garbage(good, grace_s=0)
    assert there(good) == needed(good)
    plan.let("503", 0)
    assert read_all(place, made.snapshot_id, connect) == made.pages
    for number in range(len(plan.requests)):
        plan.let(FAULTS[number % len(FAULTS)], 1, nth(number))
        assert read_all(place, made.snapshot_id, connect) == made.pages
        assert plan.faults == 1


def test_a_target_that_goes_away_at_any_request_leaves_nothing(
    node: Node, bad: tuple[Place, Place, Plan], connect: KmsConnector, tmp_path: Path
) -> None:
    good, place, plan = bad
    fill(node, tmp_path, 50_000)
    first = snapshot(node, good)
    plan.let("503", 0)
    last = snapshot(node, place, full=True)
    delete_snapshot(good, last.snapshot_id)
    for number in range(len(plan.requests) - 1):
        plan.let("reset", ALWAYS, from_the(number))
        with pytest.raises(PlaceUnreachableError):
            snapshot(node, place, full=True)
        collect_garbage(good, grace_s=0)
        assert there(good) == needed(good)
        for snapshot_id in snapshot_ids(good)[1:]:  # the answer to its manifest was the last one
            assert read_all(good, snapshot_id, connect) == first.pages
            delete_snapshot(good, snapshot_id)
        assert snapshot_ids(good) == [first.snapshot_id]
    assert read_all(good, first.snapshot_id, connect) == first.pages


@pytest.mark.system
@pytest.mark.parametrize("fault", ["reset", "lost"])
def test_a_kill_at_any_request_loses_and_leaks_nothing(
    node: Node, bad: tuple[Place, Place, Plan], connect: KmsConnector, tmp_path: Path, fault: Fault
) -> None:
    """Before the store hears of it, and after it did what was asked."""
    good, place, plan = bad
    content = fill(node, tmp_path, 6_000_000)
    first = snapshot(node, good)
    change(node, content, range(1400))  # so that the increment comes in parts too
    node.close()
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([take.__module__])
    environment = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}

    def taking() -> int | None:
        victim = context.Process(target=take, args=(str(node.directory), str(place), environment, PART_BYTES))
        plan.hook = lambda: os.kill(victim.pid or 0, signal.SIGKILL)
        victim.start()
        victim.join(END_S)
        return victim.exitcode

    plan.let(fault, 0)
    assert taking() == 0
    requests = len(plan.requests)
    assert any("partNumber=2" in request for request in plan.requests)
    for number in range(requests):
        while len(done := snapshot_ids(good)) > 1:
            delete_snapshot(good, done[-1])
        plan.let(fault, 1, nth(number))
        assert taking() == -signal.SIGKILL
        collect_garbage(good, grace_s=0)
        assert there(good) == needed(good)
        for snapshot_id in snapshot_ids(good):
            assert read_all(good, snapshot_id, connect) == first.pages
        assert snapshot_ids(good)[0] == first.snapshot_id
