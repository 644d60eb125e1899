"""A process that is killed at every call that changes a disk while a file is replaced: all of the old or of the new."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from keystore.engines.filesystem import KeystoreFileSystem
from keystore.kms.protocol import KmsConnector
from keystore.node.directory import Node

OLD, NEW = b"old" * 3000, b"new!" * 4000
CALLS = ("pwrite", "fsync", "fdatasync", "posix_fallocate", "ftruncate", "rename", "replace", "unlink")
CALLS_MAX = 200

Change = Callable[[KeystoreFileSystem], None]


def replace(fs: KeystoreFileSystem) -> None:
    with fs.open("d/f", "wb") as file:
        file.write(NEW)


def move_over(fs: KeystoreFileSystem) -> None:
    fs.mv("d/next", "d/f")


def killed_at(number: int, directory: Path, connect: KmsConnector, change: Change) -> bool:
    """Run `change` in a process that SIGKILL ends before the call `number`; return whether it came to that."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            node, left = Node.open(directory, connect), [number]

            def killing(call: Callable[..., object]) -> Callable[..., object]:
                def counted(*args: object, **options: object) -> object:
                    if left[0] == 0:
                        os.kill(os.getpid(), signal.SIGKILL)
                    left[0] -= 1
                    return call(*args, **options)

                return counted

            for name in CALLS:
                setattr(os, name, killing(getattr(os, name)))
            change(KeystoreFileSystem.on(node, page_size=4096))
            node.close()
            status = 0
        finally:
            os._exit(status)
    ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert ended in (0, -signal.SIGKILL)
    return ended != 0


@pytest.mark.parametrize("change", [replace, move_over])
def test_a_kill_leaves_the_old_file_or_the_new_one(
    directory: Path, cmk: str, connect: KmsConnector, change: Change
) -> None:
    Node.init(directory, cmk, connect).close()
    seen: list[bytes] = []
    for number in range(CALLS_MAX):
        if seen[-1:] != [OLD]:
            with Node.open(directory, connect) as node:
                KeystoreFileSystem.on(node, page_size=4096).pipe({"d/f": OLD, "d/next": NEW})
        was_killed = killed_at(number, directory, connect, change)
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
