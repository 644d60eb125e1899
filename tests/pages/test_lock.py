"""The lock on a store file dies with its owner, however that ends and whatever it started; until then it tells who."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from keystore.errors import StoreLockedError
from keystore.pages.blockfile import OsBlockFile
from tests.pages.threads import wait_until

OWNER = """
import ctypes, os, subprocess, sys
from keystore.testing import new_store
store = new_store(sys.argv[1], 4096)
store.commit({0: b"x" * 4096})
heir = 0
if sys.argv[2] == "fork":
    heir = os.fork()
elif sys.argv[2] == "program":
    heir = subprocess.Popen(["sleep", "600"], close_fds=False).pid
elif sys.argv[2] == "fork by C":
    heir = ctypes.PyDLL(None).fork()
if heir or sys.argv[2] == "nothing":
    print(heir, flush=True)
ctypes.CDLL(None).pause()
"""


@contextmanager
def owner(path: Path, starts: str) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A process that has the store open, and a child of its, if it has one; both are killed at the end."""
    with subprocess.Popen([sys.executable, "-c", OWNER, str(path), starts], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        heir = 0
        try:
            heir = int(process.stdout.readline())
            yield process, heir
        finally:
            process.kill()
            if heir:
                os.kill(heir, signal.SIGKILL)


@pytest.mark.parametrize("starts", ["nothing", "fork", "program"])
def test_it_dies_with_its_owner_also_when_a_child_lives(tmp_path: Path, starts: str) -> None:
    path = tmp_path / "s"
    with owner(path, starts) as (process, heir):
        with pytest.raises(StoreLockedError, match=rf"is open in process {process.pid} \(python.*\); nothing"):
            OsBlockFile.open(path)
        process.kill()
        process.wait(60)
        OsBlockFile.open(path).close()
        if heir:
            os.kill(heir, 0)


def test_a_child_that_python_does_not_know_of_keeps_it_and_is_named(tmp_path: Path) -> None:
    """Forked by C code, so that nothing closes its copy of the descriptor: to write beside it would not be safe."""
    path = tmp_path / "s"
    with owner(path, "fork by C") as (process, heir):
        process.kill()
        process.wait(60)
        with pytest.raises(StoreLockedError, match=rf"process {heir} \(python.*\), which inherited it from process"):
            OsBlockFile.open(path)
    wait_until(lambda: can_open(path))


def can_open(path: Path) -> bool:
    try:
        OsBlockFile.open(path).close()
    except StoreLockedError:
        return False
    return True


def test_one_process_opens_it_once(tmp_path: Path) -> None:
    file = OsBlockFile.create(tmp_path / "s")
    with pytest.raises(StoreLockedError, match="is open in this process"):
        OsBlockFile.open(tmp_path / "s")
    file.close()
    OsBlockFile.open(tmp_path / "s").close()
