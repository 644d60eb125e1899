"""A new node: the KMS is asked once, and what fails leaves nothing behind."""

import errno
import os
from pathlib import Path

import pytest

from keystore.errors import KeyFileWriteError, KeystoreError, NodeIOError
from keystore.keys.files import Files
from keystore.kms.protocol import Kms, KmsConnector
from keystore.node.directory import Node


class FullFiles(Files):
    """A disk that is full from write number `at` on, and counts up to it."""

    def __init__(self, at: int) -> None:
        self.left = at

    def write(self, fd: int, offset: int, data: bytes | bytearray | memoryview) -> None:
        self.left -= 1
        if self.left < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        super().write(fd, offset, data)


class ReadOnlyFiles(Files):
    """A file system mounted read-only."""

    def open(self, path: Path) -> int:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))


@pytest.mark.parametrize("is_there", [False, True])
def test_a_full_disk_leaves_nothing(cmk: str, connect: KmsConnector, directory: Path, is_there: bool) -> None:
    if is_there:
        directory.mkdir(mode=0o755)
    for at in range(2):
        with pytest.raises(KeystoreError, match="No space left"):
            Node.init(directory, cmk, connect, files=FullFiles(at))
        assert directory.exists() is is_there
        assert not is_there or list(directory.iterdir()) == []
        assert not is_there or directory.stat().st_mode & 0o777 == 0o755
    Node.init(directory, cmk, connect, files=FullFiles(2)).close()
    Node.open(directory, connect).close()


def test_a_full_disk_is_told_as_such(cmk: str, connect: KmsConnector, directory: Path) -> None:
    with pytest.raises(KeyFileWriteError, match="No space left"):
        Node.init(directory, cmk, connect, files=FullFiles(1))


def test_the_kms_is_connected_to_once(cmk: str, connect: KmsConnector, directory: Path) -> None:
    asked: list[str] = []

    def counting(uri: str) -> Kms:
        asked.append(uri)
        return connect(uri)

    with Node.init(directory, cmk, counting) as node:
        assert asked == [cmk]
        assert node.master_info.generation == 1
    with Node.open(directory, connect) as again:
        assert again.node_id == node.node_id


def test_a_read_only_file_system_is_told(node: Node, connect: KmsConnector) -> None:
    node.close()
    with pytest.raises(NodeIOError, match="cannot be opened for writing: Read-only file system"):
        Node.open(node.directory, connect, files=ReadOnlyFiles())
