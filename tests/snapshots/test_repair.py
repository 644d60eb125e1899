"""Damaged pages of a node: which snapshot has a good copy, and how they are put back."""

import os
from pathlib import Path

import pytest

from keystore.errors import KeyDisabledError, StoreDamagedError
from keystore.format.entry import entry_slot
from keystore.node.directory import Node
from keystore.node.repairing import find_copies, repair
from keystore.node.reports import NodeCheck
from keystore.node.snapshotting import snapshot
from keystore.objects.directory import DirectoryPlace
from tests.cli.running import keystore
from tests.snapshots.conftest import CountingConnector, Taken, manifest_path

PAGE = 4096


def spoil(node: Node, database: str, name: str, pages: list[int]) -> None:
    """Overwrite pages on the disk, behind the back of the node."""
    with node.using_store(database, name) as store:
        slots = [entry_slot(store._state.pages.entry(page)) for page in pages]
        store_id = store.store_id
    (path,) = node.directory.glob(f"databases/*/{store_id.hex()}.store")
    with path.open("r+b") as file:
        for slot in slots:
            file.seek(slot * PAGE)
            file.write(os.urandom(PAGE))


def test_the_same_version_goes_back_as_it_is(
    node: Node, taken: Taken, target: DirectoryPlace, connect: CountingConnector, tmp_path: Path
) -> None:
    spoil(node, "first", "a", [1, 5])
    check = node.verify()
    found = find_copies(node, check, target, connect)
    assert [(copy.page_no, copy.same, copy.snapshot_id) for copy in found.copies] == [
        (1, True, taken.snapshot_id),
        (5, True, taken.snapshot_id),
    ]
    assert (found.missing, found.problems) == ([], [])
    done = repair(node, target, connect)
    assert [(copy.page_no, copy.same) for copy in done.put_back] == [(1, True), (5, True)]
    assert (done.refused, done.after.ok) == ((), True)
    node.export_file("first", "a", tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == taken.content["first", "a"]
    with node.using_store("first", "a") as store:
        store.commit({0: bytes(PAGE)})
    assert repair(node, target, connect).put_back == ()


def test_an_older_version_goes_back_only_when_that_is_accepted(
    node: Node, taken: Taken, target: DirectoryPlace, connect: CountingConnector
) -> None:
    with node.using_store("first", "a") as store:
        store.commit({2: b"n" * PAGE, 20: b"m" * PAGE})
    spoil(node, "first", "a", [2, 3, 20])
    done = repair(node, target, connect)
    assert [(copy.page_no, copy.same) for copy in done.put_back] == [(3, True)]
    assert [(copy.page_no, copy.same) for copy in done.refused] == [(2, False)]
    assert done.search.missing == [("first", "a", 20)]
    assert [damage.number for damage in damages(done.after)] == [2, 20]
    again = repair(node, target, connect, accept_older=True)
    assert [(copy.page_no, copy.same) for copy in again.put_back] == [(2, False)]
    assert [damage.number for damage in damages(again.after)] == [20]
    with node.using_store("first", "a") as store:
        assert store.read(2) == taken.content["first", "a"][2 * PAGE : 3 * PAGE]


def damages(check: NodeCheck) -> list[StoreDamagedError]:
    return [found for store in check.stores for found in store.problems if isinstance(found, StoreDamagedError)]


def test_the_newest_snapshot_that_has_the_page_is_used(
    node: Node, taken: Taken, target: DirectoryPlace, connect: CountingConnector
) -> None:
    with node.using_store("first", "a") as store:
        store.commit({2: b"n" * PAGE})
    newer = snapshot(node, target).snapshot_id
    with node.using_store("first", "a") as store:
        store.commit({7: None}, page_count=8)
    newest = snapshot(node, target).snapshot_id
    spoil(node, "first", "a", [2])
    connect.asked.clear()
    found = find_copies(node, node.verify(), target, connect)
    assert [(copy.snapshot_id, copy.same) for copy in found.copies] == [(newest, True)]
    assert len(connect.asked) == 1
    only = repair(node, target, connect, snapshot_id=taken.snapshot_id)
    assert [(copy.snapshot_id, copy.same) for copy in only.refused] == [(taken.snapshot_id, False)]
    one = repair(node, target, connect, snapshot_id=newer)
    assert [(copy.snapshot_id, copy.same) for copy in one.put_back] == [(newer, True)]
    assert one.after.ok


def test_a_snapshot_that_cannot_be_used_is_told_and_the_next_one_taken(
    node: Node, taken: Taken, target: DirectoryPlace, connect: CountingConnector
) -> None:
    newer = snapshot(node, target).snapshot_id
    manifest = manifest_path(target.path, newer)
    data = manifest.read_bytes()
    manifest.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    spoil(node, "first", "a", [1])
    done = repair(node, target, connect)
    assert [copy.snapshot_id for copy in done.put_back] == [taken.snapshot_id]
    (problem,) = done.search.problems
    assert newer.hex() in str(problem)
    assert done.after.ok


def test_without_the_key_nothing_is_put_back(
    node: Node, taken: Taken, target: DirectoryPlace, connect: CountingConnector
) -> None:
    spoil(node, "first", "a", [1])

    def refuse(uri: str) -> object:
        raise KeyDisabledError(f"{uri} is disabled")

    done = repair(node, target, refuse)  # type: ignore[arg-type]
    assert (done.put_back, done.search.missing) == ((), [("first", "a", 1)])
    assert isinstance(done.search.problems[0], KeyDisabledError)
    assert not done.after.ok


def test_a_damaged_map_node_is_not_repaired_and_says_which_pages_it_has(
    node: Node, taken: Taken, target: DirectoryPlace, connect: CountingConnector
) -> None:
    with node.using_store("first", "a") as store:
        store.commit({number: bytes([number % 256]) * PAGE for number in range(300)})
        store.checkpoint()
        slot, store_id = entry_slot(store._state.pages.tree.entry(1, 1)), store.store_id
    (path,) = node.directory.glob(f"databases/*/{store_id.hex()}.store")
    with path.open("r+b") as file:
        file.seek(slot * PAGE)
        file.write(bytes(PAGE))
    done = repair(node, target, connect)
    (damage,) = damages(done.after)
    assert (damage.part, damage.pages, done.put_back) == ("map node", range(102, 204), ())


def test_the_commands(node: Node, taken: Taken, target: DirectoryPlace, tmp_path: Path) -> None:
    with node.using_store("first", "a") as store:
        store.commit({2: b"n" * PAGE})
    spoil(node, "first", "a", [1, 2])
    place = node.directory
    node.close()
    position = tmp_path / "position"
    position.write_text("{}")
    assert keystore("verify", place, "--resume", position).code == 2
    assert position.read_text() == "{}"
    position.unlink()

    run = keystore("verify", place, "--snapshots", target.path, "--resume", position, "--rate", "1GB", "--json")
    assert (run.code, position.exists()) == (5, False)
    assert [(problem["part"], problem["number"]) for problem in run.json["problems"]] == [("page", 1), ("page", 2)]
    assert [(copy["page"], copy["same_version"]) for copy in run.json["copies"]] == [(1, True), (2, False)]
    assert "an older version, from snapshot" in keystore("verify", place, "--snapshots", target.path).out

    assert keystore("verify", place, "--snapshots", tmp_path / "nowhere").code == 6

    run = keystore("repair", place, "--from", target.path)
    assert run.code == 5
    assert "put back: page 1 of first/a: the same version" in run.out
    assert "older: page 2 of first/a: an older version" in run.out
    assert run.out.count("--accept-older puts these back") == 1
    assert "only resealed" in run.out
    run = keystore("repair", place, "--from", target.path, "--snapshot", "latest", "--accept-older", "--json")
    assert (run.code, run.json["ok"], len(run.json["put_back"])) == (0, True, 1)
    assert keystore("verify", place).code == 0

    found = keystore("stats", place, "--json").json["files"]
    assert [item["file"] for item in found] == ["first/a", "second/branch/c"]
    assert found[0]["logical_bytes"] == len(taken.content["first", "a"])
    run = keystore("compact", place, "--database", "first", "--rate", "500MB", "--json")
    assert (run.code, [item["limited_by"] for item in run.json["files"]]) == (0, [None])
    assert keystore("compact", place, "--database", "nowhere").code == 6
    assert keystore("compact", place, "--rate", "fast").code == 2
    assert "given back" in keystore("compact", place).out
    assert "ON DISK" in keystore("stats", place).out


def test_what_to_do_is_said_once_for_many_damaged_pages(node: Node, taken: Taken) -> None:
    spoil(node, "first", "a", [1, 2, 3])
    place = str(node.directory)
    node.close()
    run = keystore("verify", place)
    assert run.code == 5
    assert run.out.count("damaged: store first/a: page") == 3
    assert run.out.count("keystore repair") == 1
    assert run.out.count("nothing was written") == 1
    problems = keystore("verify", place, "--json").json["problems"]
    assert ["keystore repair" in problem["message"] for problem in problems] == [True] * 3


def test_a_check_that_was_killed_goes_on_in_the_next_run(
    node: Node, taken: Taken, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each store is read once, however often the check is cut off, and damage found before is told at the end."""
    from keystore.node.scrub_state import ScrubState

    spoil(node, "first", "a", [3])
    position, finished = tmp_path / "position", ScrubState.finish

    def kill(self: ScrubState, store_id: bytes, damaged: list[int]) -> None:
        finished(self, store_id, damaged)
        raise KeyboardInterrupt

    monkeypatch.setattr(ScrubState, "finish", kill)
    with pytest.raises(KeyboardInterrupt):
        node.verify(resume=position)
    monkeypatch.undo()
    assert position.exists()
    check = node.verify(resume=position)
    assert [damage.number for damage in damages(check)] == [3]
    assert [store.pages for store in check.stores] == [1, 3]  # the damaged page again, and the other store
    assert not position.exists()
    assert sum(store.pages for store in node.verify().stores) == 13
