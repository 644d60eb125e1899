"""A restore that was interrupted goes on where it stopped: what is done is verified and kept, the rest is made anew."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from keystore.errors import NodeIOError, StoreFullError
from keystore.kms.connect import connector
from keystore.node import filling, restoring
from keystore.node.building import JOURNAL
from keystore.node.directory import Node
from keystore.node.restoring import restore
from keystore.node.snapshotting import snapshot
from keystore.objects.directory import DirectoryPlace
from keystore.pages.protocols import BlockFile
from keystore.pages.store import PageStore
from keystore.pages.verify import VerifyReport
from keystore.snapshots.choice import Choice
from keystore.testing import CountingBlockFile
from tests.snapshots.conftest import CountingConnector, contents, leftovers

FILES = 4
BYTES = 3 * 4096

DYING = """
import os, signal, sys
from keystore.kms.connect import connector
from keystore.node.restoring import restore
from keystore.objects.directory import DirectoryPlace
from keystore.snapshots.names import snapshot_ids

target, node, left = sys.argv[1], sys.argv[2], [int(sys.argv[3])]

def die(done, total):
    left[0] -= 1
    if not left[0]:
        os.kill(os.getpid(), signal.SIGKILL)

place = DirectoryPlace(target)
restore(place, snapshot_ids(place)[-1], node, connector(), resume="keep" in sys.argv, progress=die)
"""


@pytest.fixture
def content(node: Node, tmp_path: Path) -> dict[tuple[str, str], bytes]:
    found = {("d", f"f{number}"): os.urandom(BYTES) for number in range(FILES)}
    for (database, name), data in found.items():
        (tmp_path / "source").write_bytes(data)
        node.import_file(database, name, tmp_path / "source", page_size=4096)
    return found


def reading(calls: list[int], at: int, error: BaseException) -> Callable[[int, int], None]:
    """Return a progress that counts its calls, and fails at one."""

    def progress(done: int, total: int) -> None:
        calls.append(done)
        if len(calls) == at:
            raise error

    return progress


def calls_of_a_whole_restore(target: DirectoryPlace, snapshot_id: bytes, directory: Path) -> int:
    calls: list[int] = []
    restore(target, snapshot_id, directory, connector(), progress=reading(calls, 0, ValueError()))
    return len(calls)


def test_it_goes_on_from_wherever_it_was_interrupted(
    node: Node,
    content: dict[tuple[str, str], bytes],
    target: DirectoryPlace,
    connect: CountingConnector,
    tmp_path: Path,
) -> None:
    made = snapshot(node, target)
    resumed = set()
    for at in range(1, calls_of_a_whole_restore(target, made.snapshot_id, tmp_path / "whole") + 1):
        place = tmp_path / f"restored-{at}"
        with pytest.raises(KeyboardInterrupt):
            restore(
                target, made.snapshot_id, place, connect, resume=True, progress=reading([], at, KeyboardInterrupt())
            )
        assert not place.exists()
        seen: list[int] = []
        done = restore(target, made.snapshot_id, place, connect, resume=True, progress=reading(seen, 0, ValueError()))
        assert (done.stores, done.pages) == (FILES, (FILES - done.resumed) * BYTES // 4096)
        assert seen[-1] == FILES * BYTES
        assert contents(place, connect, tmp_path / "out") == content
        assert leftovers(tmp_path, f"restored-{at}") == [place.name]
        assert not (place / JOURNAL).exists()
        resumed.add(done.resumed)
    assert resumed == set(range(FILES))


@pytest.mark.parametrize("keep", ["keep", "nothing said"])
def test_a_killed_restore_is_resumed(
    node: Node,
    content: dict[tuple[str, str], bytes],
    target: DirectoryPlace,
    connect: CountingConnector,
    tmp_path: Path,
    keep: str,
) -> None:
    made, calls = snapshot(node, target), 0
    calls = calls_of_a_whole_restore(target, made.snapshot_id, tmp_path / "whole") // 2
    command = [sys.executable, "-c", DYING, str(target.path), str(tmp_path / "restored"), str(calls), keep]
    assert subprocess.run(command, check=False, timeout=120).returncode == -signal.SIGKILL
    done = restore(target, made.snapshot_id, tmp_path / "restored", connect, resume=True)
    assert 0 < done.resumed < FILES
    assert contents(tmp_path / "restored", connect, tmp_path / "out") == content
    assert leftovers(tmp_path, "restored") == ["restored"]
    with Node.open(tmp_path / "restored", connect) as opened:
        assert opened.verify().ok


def test_another_snapshot_choice_or_key_is_no_resumption(
    node: Node,
    content: dict[tuple[str, str], bytes],
    target: DirectoryPlace,
    connect: CountingConnector,
    tmp_path: Path,
    other_cmk: str,
) -> None:
    first, second = snapshot(node, target), snapshot(node, target)
    calls = calls_of_a_whole_restore(target, first.snapshot_id, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        restore(
            target,
            first.snapshot_id,
            tmp_path / "r",
            connect,
            resume=True,
            progress=reading([], calls, KeyboardInterrupt()),
        )
    left = leftovers(tmp_path, ".r.restoring")
    assert len(left) == 1
    for number, made in enumerate(
        (
            restore(target, second.snapshot_id, tmp_path / "r", connect, resume=True),
            restore(target, first.snapshot_id, tmp_path / "r2", connect, resume=True),
        )
    ):
        assert made.resumed == 0, number
    (tmp_path / "r").rename(tmp_path / "moved-1")
    assert restore(target, first.snapshot_id, tmp_path / "r", connect, resume=True, key=other_cmk).resumed == 0
    (tmp_path / "r").rename(tmp_path / "moved-2")
    chosen = Choice(files=[("d", "f0")])
    assert restore(target, first.snapshot_id, tmp_path / "r", connect, resume=True, choice=chosen).resumed == 0
    (tmp_path / "r").rename(tmp_path / "moved-3")
    assert leftovers(tmp_path, ".r.restoring") == left
    assert restore(target, first.snapshot_id, tmp_path / "r", connect, resume=True).resumed == FILES - 1


def test_what_was_done_and_is_damaged_meanwhile_is_made_again(
    node: Node,
    content: dict[tuple[str, str], bytes],
    target: DirectoryPlace,
    connect: CountingConnector,
    tmp_path: Path,
) -> None:
    made = snapshot(node, target)
    calls = calls_of_a_whole_restore(target, made.snapshot_id, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        restore(
            target,
            made.snapshot_id,
            tmp_path / "r",
            connect,
            resume=True,
            progress=reading([], calls, KeyboardInterrupt()),
        )
    (left,) = leftovers(tmp_path, ".r.restoring")
    done = (tmp_path / left / JOURNAL).read_text().split()[2:]
    (store,) = (tmp_path / left).glob(f"databases/*/{done[0]}.store")
    before = store.stat().st_size
    data = bytearray(store.read_bytes())
    for at in range(16384, before, 512):
        data[at] ^= 1
    store.write_bytes(data)
    assert len(done) == FILES - 1
    assert restore(target, made.snapshot_id, tmp_path / "r", connect, resume=True).resumed == FILES - 2
    assert contents(tmp_path / "r", connect, tmp_path / "out") == content


def test_a_full_disk_keeps_what_is_done_and_says_how_to_go_on(
    node: Node,
    content: dict[tuple[str, str], bytes],
    target: DirectoryPlace,
    connect: CountingConnector,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made, verified = snapshot(node, target), [0]
    whole = filling.Filler.verify

    def full_at_the_third(self: filling.Filler, *arguments: Any, **settings: Any) -> VerifyReport:
        verified[0] += 1
        if verified[0] == 3:
            raise StoreFullError("no space")
        return whole(self, *arguments, **settings)

    with monkeypatch.context() as patch:
        patch.setattr(filling.Filler, "verify", full_at_the_third)
        with pytest.raises(StoreFullError, match=r"What is done stays; make space, and restore again \(--resume\)"):
            restore(target, made.snapshot_id, tmp_path / "r", connect, resume=True)
        verified[0] = 0
        with pytest.raises(StoreFullError, match="Nothing was restored; make space, and restore again"):
            restore(target, made.snapshot_id, tmp_path / "other", connect)
    assert leftovers(tmp_path, "other") == []
    assert restore(target, made.snapshot_id, tmp_path / "r", connect, resume=True).resumed == 2


def test_what_reads_back_differently_is_not_taken_for_restored(
    node: Node,
    content: dict[tuple[str, str], bytes],
    target: DirectoryPlace,
    connect: CountingConnector,
    tmp_path: Path,
) -> None:
    """Somebody, or the disk, changes a page after it was written and before it is verified."""
    made, flipped = snapshot(node, target), list[Path]()

    def flip(done: int, total: int) -> None:
        for store in tmp_path.glob(".r.restoring-*/databases/*/*.store"):
            if not flipped:
                flipped.append(store)
                data = bytearray(store.read_bytes())
                data[16384::512] = bytes(byte ^ 1 for byte in data[16384::512])
                store.write_bytes(data)

    with pytest.raises(NodeIOError, match="reads back differently"):
        restore(target, made.snapshot_id, tmp_path / "r", connect, progress=flip, read_back=True)
    assert flipped
    assert leftovers(tmp_path, ".r") == []


@pytest.mark.parametrize("read_back", [False, True])
def test_pages_are_read_back_where_asked_and_the_map_always(
    node: Node,
    content: dict[tuple[str, str], bytes],
    target: DirectoryPlace,
    connect: CountingConnector,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    read_back: bool,
) -> None:
    """The system is told to forget each file before its pages are read, so that the disk answers and not a cache."""
    made, files, told = snapshot(node, target), list[CountingBlockFile](), list[tuple[int, int]]()

    def counted(file: BlockFile, *_: object) -> CountingBlockFile:
        files.append(CountingBlockFile(file))
        return files[-1]

    monkeypatch.setattr(restoring, "with_volume", counted)
    restore(
        target, made.snapshot_id, tmp_path / "r", connect, read_back=read_back,
        progress=lambda done, total: told.append((done, total)),
    )  # fmt: skip
    monkeypatch.undo()
    assert len(files) == FILES
    # headers, watermark, a node of the page map, of the session table and twice of the slot map
    without_pages = 2 * 4096 + 512 + 4 * 4096
    assert [file.counts.bytes_read for file in files] == [without_pages + read_back * BYTES] * FILES
    assert [file.counts.evictions for file in files] == [int(read_back)] * FILES
    assert told[-1] == ((1 + read_back) * FILES * BYTES,) * 2
    assert contents(tmp_path / "r", connect, tmp_path / "out") == content


def test_a_map_that_names_fewer_pages_than_were_written_is_not_taken_for_restored(
    node: Node,
    content: dict[tuple[str, str], bytes],
    target: DirectoryPlace,
    connect: CountingConnector,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made, whole = snapshot(node, target), PageStore.fill_sealed

    def with_a_hole(self: PageStore, *arguments: Any, **settings: Any) -> int:
        pages = whole(self, *arguments, **settings)
        self.commit({1: None})
        return pages

    monkeypatch.setattr(PageStore, "fill_sealed", with_a_hole)
    with pytest.raises(NodeIOError, match="its map names 2 pages, and 3 were written"):
        restore(target, made.snapshot_id, tmp_path / "r", connect)
    assert leftovers(tmp_path, ".r") == []
