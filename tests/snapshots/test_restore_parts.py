"""Restoring a part of a snapshot: databases and files into a new node, and one file in clear."""

import hashlib
import io
import os
from pathlib import Path

import pytest

from keystore.errors import NameUnknownError, OutsideAnchorMissingError, PathTakenError, SnapshotDamagedError
from keystore.node.directory import Node
from keystore.node.restoring import restore
from keystore.node.snapshot_export import export_from_snapshot
from keystore.node.snapshotting import snapshot
from keystore.objects.directory import DirectoryPlace
from keystore.snapshots.choice import Choice
from tests.snapshots.conftest import CountingConnector, Taken, contents, leftovers


@pytest.mark.parametrize(
    ("choice", "databases", "files"),
    [
        (Choice(databases=["second"]), ["second"], [("second", "branch/c")]),
        (Choice(files=[("first", "a")]), ["first"], [("first", "a")]),
        (
            Choice(databases=["second"], files=[("first", "a")]),
            ["first", "second"],
            [("first", "a"), ("second", "branch/c")],
        ),
        (Choice(), ["first", "second"], [("first", "a"), ("second", "branch/c")]),
    ],
)
def test_what_is_chosen_is_restored_and_no_more(
    taken: Taken,
    target: DirectoryPlace,
    connect: CountingConnector,
    tmp_path: Path,
    choice: Choice,
    databases: list[str],
    files: list[tuple[str, str]],
) -> None:
    made = restore(target, taken.snapshot_id, tmp_path / "restored", connect, choice=choice)
    assert made.stores == len(files)
    assert made.logical_bytes == sum(len(taken.content[file]) for file in files)
    assert contents(tmp_path / "restored", connect, tmp_path / "out") == {file: taken.content[file] for file in files}
    with Node.open(tmp_path / "restored", connect) as node:
        assert sorted(node.databases) == databases
        assert node.verify().ok


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        (Choice(databases=["third"]), "no database 'third'. Nothing was restored; it has first, second"),
        (Choice(files=[("first", "b")]), "no file first/b. Nothing was restored; it has first/a, second/branch/c"),
    ],
)
def test_what_is_not_there_is_told(
    taken: Taken, target: DirectoryPlace, connect: CountingConnector, tmp_path: Path, choice: Choice, message: str
) -> None:
    with pytest.raises(NameUnknownError, match=message):
        restore(target, taken.snapshot_id, tmp_path / "restored", connect, choice=choice)
    assert leftovers(tmp_path, "restored") == []


def test_a_file_comes_out_in_clear_with_one_question_to_the_kms(
    taken: Taken, target: DirectoryPlace, connect: CountingConnector, tmp_path: Path, cmk: str
) -> None:
    for (database, name), data in taken.content.items():
        connect.asked.clear()
        out = tmp_path / f"{database}.out"
        done = export_from_snapshot(target, taken.snapshot_id, database, name, out, connect)
        assert out.read_bytes() == data
        assert (done.byte_length, done.sha256) == (len(data), hashlib.sha256(data).hexdigest())
        assert connect.asked == [cmk]


def test_holes_and_the_end_of_a_file_come_out_as_they_were(
    node: Node, target: DirectoryPlace, connect: CountingConnector
) -> None:
    """At the beginning, in the middle and at the end; a length inside a page, before it and behind all pages."""
    page = bytes(range(256)) * 16
    for number, (pages, length) in enumerate(
        [([1, 2, 5], 9 * 4096), ([0, 1], 4097), ([0], 0), ([], 0), ([], 5000), ([3], 4096), ([0, 3], 3 * 4096 + 1)]
    ):
        with node.create_store("d", f"f{number}", 4096) as store:
            store.commit(dict.fromkeys(pages, page), page_count=16, byte_length=length)
    made = snapshot(node, target)
    for number in range(7):
        expected, out = io.BytesIO(), io.BytesIO()
        node.export_file("d", f"f{number}", expected)
        done = export_from_snapshot(target, made.snapshot_id, "d", f"f{number}", out, connect)
        assert out.getvalue() == expected.getvalue()
        assert done.byte_length == len(expected.getvalue())


def test_a_path_that_is_taken_is_not_touched(
    taken: Taken, target: DirectoryPlace, connect: CountingConnector, tmp_path: Path
) -> None:
    (tmp_path / "out").write_bytes(b"mine")
    with pytest.raises(PathTakenError):
        export_from_snapshot(target, taken.snapshot_id, "first", "a", tmp_path / "out", connect)
    assert (tmp_path / "out").read_bytes() == b"mine"
    export_from_snapshot(target, taken.snapshot_id, "first", "a", tmp_path / "out", connect, overwrite=True)
    assert (tmp_path / "out").read_bytes() == taken.content["first", "a"]


def test_a_damaged_pack_leaves_no_file(
    taken: Taken, target: DirectoryPlace, connect: CountingConnector, tmp_path: Path
) -> None:
    for pack in taken.packs:
        data = bytearray(pack.read_bytes())
        data[len(data) // 2] ^= 1
        pack.write_bytes(data)
    with pytest.raises(SnapshotDamagedError):
        export_from_snapshot(target, taken.snapshot_id, "first", "a", tmp_path / "out", connect)
    assert not (tmp_path / "out").exists()


def test_a_restored_node_has_its_outside_anchor_from_the_beginning(
    taken: Taken, target: DirectoryPlace, connect: CountingConnector, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    restore(target, taken.snapshot_id, tmp_path / "restored", connect, outside_anchor=str(outside))
    restore(target, taken.snapshot_id, tmp_path / "without", connect)
    with Node.open(tmp_path / "restored", connect, outside_anchor=str(outside)) as node:
        assert node.outside_anchor is not None
        assert node.outside_anchor.place == str(outside)
        assert node.verify().ok
    with pytest.raises(OutsideAnchorMissingError):
        Node.open(tmp_path / "without", connect, outside_anchor=str(outside))


def test_random_files_survive_in_any_choice(
    node: Node, target: DirectoryPlace, connect: CountingConnector, tmp_path: Path
) -> None:
    """Two databases have files of the same name."""
    content = {(database, "same"): os.urandom(5000) for database in ("one", "two")}
    for (database, name), data in content.items():
        node.import_file(database, name, io.BytesIO(data), page_size=4096)
    made = snapshot(node, target)
    restore(target, made.snapshot_id, tmp_path / "r", connect, choice=Choice(files=[("two", "same")]))
    assert contents(tmp_path / "r", connect, tmp_path / "out") == {("two", "same"): content["two", "same"]}
