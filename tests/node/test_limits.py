"""What the system refuses or bounds: descriptors, memory, names, space; and files that are none."""

import errno
import fcntl
import os
import resource
from io import BytesIO
from pathlib import Path

import pytest

from keystore.errors import (
    AnchorsDamagedError,
    CommitUnknownError,
    KeyFileError,
    KeyFileWriteError,
    NodeExistsError,
    NodeIOError,
    StoreError,
    StoreMissingError,
)
from keystore.keys.files import Files
from keystore.kms.protocol import KmsConnector
from keystore.node import opening
from keystore.node.descriptors import require_descriptors
from keystore.node.directory import Node
from keystore.node.lock import DirectoryLock
from keystore.node.snapshotting import snapshot
from keystore.objects.directory import DirectoryPlace


def test_memory_is_taken_for_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "small").write_bytes(b"12345")
    assert Files().read(tmp_path / "small", 1 << 62) == b"12345"
    assert Files().read(tmp_path / "small", 2) == b"123"


def test_a_huge_anchors_file_is_refused_unread(node: Node, connect: KmsConnector) -> None:
    node.close()
    os.truncate(node.directory / "anchors", 1 << 40)
    with pytest.raises(AnchorsDamagedError, match="more than"):
        Node.open(node.directory, connect)


def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(node: Node, connect: KmsConnector) -> None:
    node.close()
    (node.directory / "keystore").unlink()
    os.mkfifo(node.directory / "keystore")
    with pytest.raises(KeyFileError, match="regular file"):
        Node.open(node.directory, connect)


def test_a_snapshot_of_many_files_raises_the_soft_limit(node: Node, tmp_path: Path) -> None:
    for number in range(30):
        node.import_file("d", f"f{number}", BytesIO(b"x"), page_size=4096)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    low = len(os.listdir("/proc/self/fd")) + 20  # noqa: PTH208
    resource.setrlimit(resource.RLIMIT_NOFILE, (low, hard))
    try:
        assert snapshot(node, DirectoryPlace(tmp_path / "snapshots")).stores == 30
        assert low < resource.getrlimit(resource.RLIMIT_NOFILE)[0] <= low + 200
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_more_files_than_the_system_allows_are_refused_early() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    with pytest.raises(NodeIOError, match=r"has 1099511627776 files open at once.*ulimit -n"):
        require_descriptors(1 << 40, "a snapshot")
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == before


def test_a_store_without_a_descriptor_left_is_told(node: Node) -> None:
    node.import_file("d", "f", BytesIO(b"x"))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        (file,) = node.list_files()
        with pytest.raises(NodeIOError, match="Too many open files"):
            DirectoryLock(node.directory)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert isinstance(file.problem, StoreError)
    assert "Too many open files" in str(file.problem)


def test_each_store_has_a_problem_of_its_own(node: Node) -> None:
    paths = {}
    for name in ("directory", "fine", "link", "missing", "pipe"):
        node.import_file("d", name, BytesIO(b"x"))
        record = node.databases["d"].store(name)
        (paths[name],) = node.directory.rglob(f"{record.store_id.hex()}.store")
        if name != "fine":
            paths[name].unlink()
    paths["directory"].mkdir()
    paths["link"].symlink_to(paths["link"])
    os.mkfifo(paths["pipe"])
    files = {file.name: file for file in node.list_files()}
    assert len(files) == 5
    assert (files["fine"].problem, files["fine"].byte_length) == (None, 1)
    for name in ("directory", "link", "missing", "pipe"):
        assert isinstance(files[name].problem, StoreError), name
        assert files[name].stored_bytes is None
    assert isinstance(files["missing"].problem, StoreMissingError)
    assert not node.verify().ok


class FullFiles(Files):
    """A disk that takes no new file while `full` is set."""

    full = False

    def create(self, path: Path) -> int:
        if self.full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return super().create(path)


def test_a_file_that_cannot_be_dropped_stays(directory: Path, cmk: str, connect: KmsConnector) -> None:
    files = FullFiles()
    with Node.init(directory, cmk, connect, files=files) as node:
        node.import_file("d", "f", BytesIO(b"content"))
        files.full = True
        with pytest.raises(KeyFileWriteError):
            node.drop_file("d", "f")
        out = BytesIO()
        node.export_file("d", "f", out)
        assert out.getvalue() == b"content"
        files.full = False
        node.drop_file("d", "f")
        assert node.verify().ok


class BrokenAnchors(Files):
    """An anchors file that takes no write while `broken` is set."""

    broken = False

    def write(self, fd: int, offset: int, data: bytes | bytearray | memoryview) -> None:
        if self.broken:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        super().write(fd, offset, data)


def test_a_commit_whose_anchor_cannot_be_written_is_unknown(directory: Path, cmk: str, connect: KmsConnector) -> None:
    files = BrokenAnchors()
    with Node.init(directory, cmk, connect, files=files) as node:
        with node.create_store("d", "f", 4096) as store:
            files.broken = True
            with pytest.raises(CommitUnknownError):
                store.commit({0: b"x" * 4096})
            files.broken = False
        with node.open_store("d", "f") as store:
            assert store.read(0) == b"x" * 4096


def test_names_may_be_as_long_as_the_system_allows(node: Node, tmp_path: Path) -> None:
    node.import_file("d", "f", BytesIO(b"content"))
    place = tmp_path / ("x" * 255)
    node.export_file("d", "f", place)
    assert place.read_bytes() == b"content"


def test_a_node_made_meanwhile_is_not_replaced(
    directory: Path, cmk: str, connect: KmsConnector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process makes and fills the node between the first look and the lock."""

    def late(path: Path) -> DirectoryLock:
        monkeypatch.undo()
        with Node.init(directory, cmk, connect) as other:
            other.import_file("d", "precious", BytesIO(b"x"))
        return DirectoryLock(path)

    monkeypatch.setattr(opening, "DirectoryLock", late)
    with pytest.raises(NodeExistsError):
        Node.init(directory, cmk, connect)
    with Node.open(directory, connect) as node:
        assert [file.name for file in node.list_files()] == ["precious"]


@pytest.mark.parametrize("what", ["node", "store"])
def test_an_interrupt_at_the_lock_does_not_keep_it(
    node: Node, connect: KmsConnector, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    node.import_file("d", "f", BytesIO(b"x"))
    if what == "node":
        node.close()
    lock = fcntl.flock

    def interrupted(fd: int, operation: int) -> None:
        lock(fd, operation)
        monkeypatch.undo()
        raise KeyboardInterrupt

    def use() -> None:
        if what == "node":
            Node.open(node.directory, connect).close()
        else:
            node.open_store("d", "f").close()

    monkeypatch.setattr(fcntl, "flock", interrupted)
    with pytest.raises(KeyboardInterrupt):
        use()
    use()
