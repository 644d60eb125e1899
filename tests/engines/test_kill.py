"""A process that is killed at every call that changes a disk while a file is replaced: all of the old or of the new."""

from collections.abc import Callable
from pathlib import Path

import pytest

from keystore.engines.filesystem import KeystoreFileSystem
from keystore.kms.protocol import KmsConnector
from keystore.node.directory import Node
from tests.engines.killing import killed_at

OLD, NEW = b"old" * 3000, b"new!" * 4000
CALLS_MAX = 200

Change = Callable[[KeystoreFileSystem], None]


def replace(fs: KeystoreFileSystem) -> None:
    with fs.open("d/f", "wb") as file:
        file.write(NEW)


def move_over(fs: KeystoreFileSystem) -> None:
    fs.mv("d/next", "d/f")


@pytest.mark.parametrize("change", [replace, move_over])
def test_a_kill_leaves_the_old_file_or_the_new_one(
    directory: Path, cmk: str, connect: KmsConnector, change: Change
) -> None:
    Node.init(directory, cmk, connect).close()
    seen: list[bytes] = []

    def work() -> None:
        with Node.open(directory, connect) as node:
            change(KeystoreFileSystem.on(node, page_size=4096))

    for number in range(CALLS_MAX):
        if seen[-1:] != [OLD]:
            with Node.open(directory, connect) as node:
                KeystoreFileSystem.on(node, page_size=4096).pipe({"d/f": OLD, "d/next": NEW})
        was_killed = killed_at(number, work)
        with Node.open(directory, connect) as node:
            fs = KeystoreFileSystem.on(node)
            seen.append(fs.cat("d/f"))
            moved = change is move_over and seen[-1] == NEW
            assert fs.find("d") == (["d/f"] if moved else ["d/f", "d/next"])
            assert node.verify().ok
            assert len(list((directory / "databases").glob("*/*"))) == len(fs.find("d"))
        if not was_killed:
            break
    assert not was_killed
    assert set(seen) == {OLD, NEW}
    first = seen.index(NEW)
    assert seen == [OLD] * first + [NEW] * (len(seen) - first)
    assert first > 5
