"""A node from init to close: files in and out, keys changed, nothing left behind."""

import hashlib
import io
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from keystore.errors import (
    InputError,
    KeyFileMissingError,
    KeyNotFoundError,
    KeyUriError,
    KmsUnreachableError,
    NameTakenError,
    NameUnknownError,
    NodeClosedError,
    NodeExistsError,
    NodeLockedError,
    NodeMissingError,
    StoreClosedError,
    StoreLockedError,
)
from keystore.kms.connect import connector
from keystore.kms.protocol import KmsConnector
from keystore.node.directory import Node


def exported(node: Node, database: str, name: str) -> bytes:
    out = io.BytesIO()
    node.export_file(database, name, out)
    return out.getvalue()


def data_files(directory: Path) -> dict[str, tuple[int, int, bytes]]:
    """Every store file with its inode, time of change and content."""
    return {
        str(path): (path.stat().st_ino, path.stat().st_mtime_ns, path.read_bytes())
        for path in directory.rglob("*.store")
    }


def test_file_goes_in_and_comes_out(node: Node, source: Path, tmp_path: Path) -> None:
    content = source.read_bytes()
    result = node.import_file("orders", "2024/a.db", source)
    assert (result.byte_length, result.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    assert node.export_file("orders", "2024/a.db", tmp_path / "out") == result
    assert (tmp_path / "out").read_bytes() == content
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o600


def test_node_is_the_same_after_closing(node: Node, source: Path, connect: KmsConnector) -> None:
    node.import_file("orders", "a", source)
    before = (node.node_id, node.name, node.master_info, node.list_databases(), node.list_files())
    node.close()
    with Node.open(node.directory, connect) as again:
        assert (again.node_id, again.name, again.master_info, again.list_databases(), again.list_files()) == before
        assert exported(again, "orders", "a") == source.read_bytes()


@pytest.mark.parametrize("length", [0, 1, 4095, 4096, 4097, (1 << 20) - 1, (1 << 20) + 1])
def test_files_of_all_lengths(node: Node, length: int) -> None:
    content = os.urandom(length)
    assert node.import_file("d", "f", io.BytesIO(content), page_size=4096).byte_length == length
    assert exported(node, "d", "f") == content
    assert [(info.byte_length, info.page_size) for info in node.list_files()] == [(length, 4096)]


def test_pipe_can_be_imported(node: Node) -> None:
    read, write = os.pipe()
    os.write(write, b"through a pipe")
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        node.import_file("d", "f", pipe)
    assert exported(node, "d", "f") == b"through a pipe"


def test_progress_rises_to_the_whole(node: Node, source: Path) -> None:
    seen: list[tuple[int, int]] = []
    node.import_file("d", "f", source, progress=lambda done, total: seen.append((done, total)))
    node.export_file("d", "f", io.BytesIO(), progress=lambda done, total: seen.append((done, total)))
    size = source.stat().st_size
    assert seen == [(size, size), (size, size)]


def test_stores_show_no_plaintext_and_no_names(node: Node) -> None:
    node.import_file("payments", "ledger.db", io.BytesIO(b"secret plaintext " * 10_000))
    node.close()
    for path in node.directory.rglob("*"):
        assert "ledger" not in path.name
        assert "payments" not in path.name
        if path.is_file():
            content = path.read_bytes()
            assert b"secret plaintext" not in content
            assert b"ledger" not in content
            assert path.stat().st_mode & 0o077 == 0


def test_rotation_touches_no_data_file(node: Node, source: Path, connect: KmsConnector) -> None:
    node.import_file("d", "f", source)
    node.close()
    before = data_files(node.directory)
    with Node.open(node.directory, connect) as again:
        keystore = (again.directory / "keystore").read_bytes()
        rotation = again.rotate_master()
        assert (rotation.old.generation, rotation.new.generation) == (1, 2)
        assert rotation.old.key_id == rotation.new.key_id
        assert rotation.old.name != rotation.new.name
        assert again.master_info == rotation.new
        assert (again.directory / "keystore").read_bytes() != keystore
    assert data_files(node.directory) == before
    with Node.open(node.directory, connect) as again:
        assert again.master_info == rotation.new
        assert exported(again, "d", "f") == source.read_bytes()


def test_cmk_change_makes_a_new_master_key_and_frees_the_old_cmk(
    node: Node, source: Path, other_cmk: str, tmp_path: Path, connect: KmsConnector
) -> None:
    node.import_file("d", "f", source)
    rotation = node.change_cmk(other_cmk)
    assert rotation.new.key_id == other_cmk
    assert rotation.old.name != rotation.new.name
    node.close()
    (tmp_path / "cmk").unlink()
    with Node.open(node.directory, connect) as again:
        assert exported(again, "d", "f") == source.read_bytes()


def test_refused_change_of_the_master_key_changes_nothing(node: Node, tmp_path: Path, connect: KmsConnector) -> None:
    before, files = node.master_info, (node.directory / "keystore").read_bytes()
    with pytest.raises(KeyNotFoundError):
        node.change_cmk(f"local://{tmp_path / 'nowhere'}")
    with pytest.raises(KeyUriError):
        node.change_cmk("nonsense")
    assert node.master_info == before
    assert (node.directory / "keystore").read_bytes() == files


def test_running_node_needs_no_kms(node: Node, source: Path, tmp_path: Path, connect: KmsConnector) -> None:
    (tmp_path / "cmk").rename(tmp_path / "away")
    node.import_file("d", "f", source)
    node.new_data_key("d")
    assert exported(node, "d", "f") == source.read_bytes()
    with pytest.raises(KeyNotFoundError):
        node.rotate_master()
    node.close()
    with pytest.raises(KeyNotFoundError):
        Node.open(node.directory, connect)
    (tmp_path / "away").rename(tmp_path / "cmk")
    with Node.open(node.directory, connect) as again:
        assert exported(again, "d", "f") == source.read_bytes()


def test_new_data_key_is_used_for_new_files_and_old_ones_stay_readable(
    node: Node, source: Path, connect: KmsConnector
) -> None:
    node.import_file("d", "old", source)
    info = node.new_data_key("d")
    assert [(key.generation, key.decrypt_only) for key in info.data_keys] == [(1, True), (2, False)]
    assert len({key.name for key in info.data_keys}) == 2
    node.import_file("d", "new", source)
    node.close()
    with Node.open(node.directory, connect) as again:
        assert exported(again, "d", "old") == exported(again, "d", "new") == source.read_bytes()
        with again.open_store("d", "new") as store, store.pin() as pin:
            assert {session.generation for session in pin.sessions()} == {2}


def test_each_database_has_its_own_data_key(node: Node, source: Path) -> None:
    node.import_file("a", "f", source)
    node.import_file("b", "f", source)
    keys = [database.data_keys[0].name for database in node.list_databases()]
    assert len(set(keys)) == 2
    assert node.list_files("b") == [info for info in node.list_files() if info.database == "b"]


def test_store_can_be_made_written_and_opened_again(node: Node, connect: KmsConnector) -> None:
    with node.create_store("d", "pages", page_size=4096) as store:
        store.commit({3: b"x" * 4096})
    with node.open_store("d", "pages") as store:
        assert store.read(3) == b"x" * 4096
        with pytest.raises(StoreLockedError):
            node.open_store("d", "pages")
        assert node.verify().ok
        assert node.list_files()[0].problem is None
        with pytest.raises(StoreLockedError):
            node.drop_file("d", "pages")
        assert store.read(3) == b"x" * 4096


def test_new_store_that_fails_never_was(node: Node) -> None:
    def fill_and_fail() -> None:
        with node.new_store("d", "f") as store:
            store.commit({0: bytes(store.page_size)})
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fill_and_fail()
    assert node.list_files() == []
    assert [path for path in (node.directory / "databases").rglob("*") if path.is_file()] == []
    node.import_file("d", "f", io.BytesIO(b"again"))
    assert (node.directory / "anchors").stat().st_size == 2 * 512


def test_dropped_file_is_gone(node: Node, source: Path, connect: KmsConnector) -> None:
    node.import_file("d", "f", source)
    node.import_file("d", "g", source)
    node.drop_file("d", "f")
    with pytest.raises(NameUnknownError):
        node.open_store("d", "f")
    assert len(data_files(node.directory)) == 1
    node.import_file("d", "f", source)
    node.close()
    with Node.open(node.directory, connect) as again:
        assert exported(again, "d", "f") == source.read_bytes()
        assert again.verify().ok


def test_names_are_taken_or_unknown(node: Node, source: Path) -> None:
    node.import_file("d", "f", source)
    with pytest.raises(NameTakenError):
        node.import_file("d", "f", source)
    for call in (lambda: exported(node, "d", "g"), lambda: exported(node, "e", "f"), lambda: node.new_data_key("e")):
        with pytest.raises(NameUnknownError):
            call()
    assert exported(node, "d", "f") == source.read_bytes()


def test_bad_input_changes_nothing(node: Node, source: Path, tmp_path: Path) -> None:
    for database, name in (("", "f"), ("a/b", "f"), ("d", ""), ("d", "../f"), ("d", "a\nb")):
        with pytest.raises(InputError):
            node.import_file(database, name, source)
    for wrong in (tmp_path / "nowhere", tmp_path):
        with pytest.raises(InputError):
            node.import_file("d", "f", wrong)
    with pytest.raises(InputError):
        node.import_file("d", "f", source, page_size=5000)
    assert node.list_files() == []
    assert node.verify().ok


def test_export_never_overwrites_unasked_and_is_whole_or_absent(node: Node, source: Path, tmp_path: Path) -> None:
    node.import_file("d", "f", source)
    (tmp_path / "out").write_bytes(b"former")
    with pytest.raises(InputError, match="exists"):
        node.export_file("d", "f", tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == b"former"
    node.export_file("d", "f", tmp_path / "out", overwrite=True)
    assert (tmp_path / "out").read_bytes() == source.read_bytes()
    with pytest.raises(InputError):
        node.export_file("d", "f", tmp_path / "no" / "out")

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        node.export_file("d", "f", tmp_path / "stopped", progress=stop)
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith((".", "s", "o"))) == [
        "out",
        "source.bin",
    ]


def test_init_takes_nothing_that_is_in_use(node: Node, cmk: str, connect: KmsConnector, tmp_path: Path) -> None:
    before = (node.directory / "keystore").read_bytes()
    (tmp_path / "file").write_bytes(b"x")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "something").write_bytes(b"x")
    for path in (node.directory, tmp_path / "file", tmp_path / "full"):
        with pytest.raises(NodeExistsError):
            Node.init(path, cmk, connect)
    assert (node.directory / "keystore").read_bytes() == before
    (tmp_path / "empty").mkdir()
    with Node.init(tmp_path / "empty", cmk, connect, name="named") as other:
        assert other.name == "named"


def test_init_that_the_kms_refuses_can_be_run_again(directory: Path, tmp_path: Path, connect: KmsConnector) -> None:
    uri = f"local://{tmp_path / 'cmk'}"
    with pytest.raises(KeyNotFoundError):
        Node.init(directory, uri, connect)
    with pytest.raises(NodeMissingError):
        Node.open(directory, connect)
    with pytest.raises(KeyUriError):
        Node.init(directory, "what://ever", connect)
    (tmp_path / "cmk").write_bytes(os.urandom(32))
    (tmp_path / "cmk").chmod(0o600)
    Node.init(directory, uri, connect).close()


def test_init_under_an_unreachable_kms_is_told(directory: Path) -> None:
    with pytest.raises(KmsUnreachableError):
        Node.init(directory, "aws://us-east-1/alias/cmk", connector("127.0.0.1:1"))


def test_what_is_not_a_node_is_told(tmp_path: Path, connect: KmsConnector) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_bytes(b"x")
    for path in (tmp_path / "nowhere", tmp_path / "empty", tmp_path / "file"):
        with pytest.raises(NodeMissingError):
            Node.open(path, connect)


def test_missing_keystore_file_is_never_a_fresh_start(
    node: Node, source: Path, cmk: str, connect: KmsConnector
) -> None:
    node.import_file("d", "f", source)
    node.close()
    (node.directory / "keystore").rename(node.directory.parent / "saved")
    with pytest.raises(KeyFileMissingError):
        Node.open(node.directory, connect)
    with pytest.raises(NodeExistsError):
        Node.init(node.directory, cmk, connect)
    (node.directory.parent / "saved").rename(node.directory / "keystore")
    with Node.open(node.directory, connect) as again:
        assert exported(again, "d", "f") == source.read_bytes()


def test_one_object_at_a_time(node: Node, connect: KmsConnector) -> None:
    with pytest.raises(NodeLockedError, match="this process"):
        Node.open(node.directory, connect)
    node.close()
    Node.open(node.directory, connect).close()


def test_closed_node_does_nothing_and_holds_no_key(node: Node, source: Path) -> None:
    node.import_file("d", "f", source)
    master, database = node.master, node.databases["d"]
    store = node.open_store("d", "f")
    node.close()
    node.close()
    assert master.key.wiped
    assert all(data_key.key.wiped for data_key in database.data_keys)
    with pytest.raises(StoreClosedError):
        store.read(0)
    for call in (node.rotate_master, node.verify, node.list_files, lambda: node.open_store("d", "f")):
        with pytest.raises(NodeClosedError):
            call()


def test_rotation_wipes_the_former_master_key(node: Node) -> None:
    former = node.master
    node.rotate_master()
    assert former.key.wiped
    assert not node.master.key.wiped


def test_threads_import_at_once(node: Node, connect: KmsConnector) -> None:
    contents = {f"f{number}": os.urandom(50_000) for number in range(12)}

    def one(name: str) -> None:
        node.import_file(f"d{int(name[1:]) % 3}", name, io.BytesIO(contents[name]), page_size=4096)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(one, contents))
    node.close()
    with Node.open(node.directory, connect) as again:
        assert sorted(info.name for info in again.list_files()) == sorted(contents)
        for info in again.list_files():
            assert exported(again, info.database, info.name) == contents[info.name]
        assert again.verify().ok


def test_two_imports_of_one_name_make_one_file(node: Node) -> None:
    def one(content: bytes) -> bool:
        try:
            node.import_file("d", "f", io.BytesIO(content))
        except NameTakenError:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(one, [b"%d" % number for number in range(8)])) == 1
    assert len(node.list_files()) == len(data_files(node.directory)) == 1
    assert node.verify().ok


def test_progress_of_verify_rises_to_the_whole(node: Node, source: Path) -> None:
    node.import_file("d", "f", source)
    node.import_file("e", "g", source)
    seen: list[tuple[int, int]] = []
    node.verify(lambda done, total: seen.append((done, total)))
    assert seen == sorted(seen)
    assert len({total for _, total in seen}) == 1
    assert seen[-1][0] == seen[-1][1] > 2 * source.stat().st_size


def test_forked_child_holds_no_key_and_the_parent_goes_on(node: Node, source: Path, connect: KmsConnector) -> None:
    node.import_file("d", "f", source)
    master, data_key = node.master, node.databases["d"].data_keys[0]
    child = os.fork()
    if child == 0:
        try:
            assert master.key.wiped
            assert data_key.key.wiped
            with pytest.raises(NodeClosedError):
                node.rotate_master()
            node.close()
        except BaseException:
            os._exit(1)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    with pytest.raises(NodeLockedError):
        Node.open(node.directory, connect)
    assert node.rotate_master().new.generation == 2
    assert exported(node, "d", "f") == source.read_bytes()
