"""The file system for fsspec: what is where, who sees what when, and what is refused."""

import io
import os
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import fsspec
import pytest

from keystore.engines.filesystem import KeystoreFileSystem
from keystore.errors import (
    CiphertextError,
    FileModeError,
    FileTakenError,
    FileUnknownError,
    InputError,
    KeyDisabledError,
    KeystoreError,
    NodeClosedError,
    NodeLockedError,
    NodeMissingError,
    PathMissingError,
    PathOutsideError,
    ReadOnlyError,
    StoreDamagedError,
    StoreFullError,
    StoreLockedError,
)
from keystore.kms.connect import connector
from keystore.kms.protocol import KmsConnector
from keystore.node.directory import Node
from keystore.node.layout import Layout
from keystore.pages.blockfile import OsBlockFile
from tests.emulator_process import Emulator

OLD, NEW = os.urandom(300_000), os.urandom(200_000)


def put(fs: KeystoreFileSystem, path: str, content: bytes) -> None:
    with fs.open(path, "wb") as file:
        file.write(content)


def stores_on_disk(node: Node) -> list[str]:
    return sorted(path.suffix for path in Layout(node.directory).databases.rglob("*") if path.is_file())


# -- names and directories --------------------------------------------------------------------------------------------


def test_files_are_listed_found_and_described(fs: KeystoreFileSystem) -> None:
    started = datetime.now(UTC)
    for path in ("sales/2026/a.csv", "sales/2026/b.csv", "sales/all.csv", "hr/x"):
        put(fs, f"cmk://{path}", path.encode())
    assert fs.ls("", detail=False) == ["hr", "sales"]
    assert [(each["name"], each["type"]) for each in fs.ls("cmk://sales")] == [
        ("sales/2026", "directory"),
        ("sales/all.csv", "file"),
    ]
    assert fs.ls("sales/all.csv", detail=False) == ["sales/all.csv"]
    assert fs.glob("cmk://sales/*/*.csv") == ["sales/2026/a.csv", "sales/2026/b.csv"]
    assert fs.find("") == ["hr/x", "sales/2026/a.csv", "sales/2026/b.csv", "sales/all.csv"]
    assert fs.info("sales/2026") == {"name": "sales/2026", "size": 0, "type": "directory"}
    assert fs.size("sales/all.csv") == len("sales/all.csv")
    assert started <= fs.created("hr/x") <= fs.modified("hr/x") <= datetime.now(UTC)
    assert fs.cat("/hr/x") == b"hr/x"
    assert [fs.exists(path) for path in ("hr", "hr/x", "hr/x/y", "nobody", "sales/2026", "")] == [
        True, True, False, False, True, True,
    ]  # fmt: skip


def test_a_file_and_names_below_it_can_be_there_at_once(fs: KeystoreFileSystem) -> None:
    put(fs, "d/a", b"file")
    put(fs, "d/a/b", b"below")
    assert fs.ls("d", detail=False) == ["d/a"]
    assert [each["type"] for each in fs.ls("d")] == ["file", "directory"]
    assert fs.find("d/a/") == fs.find("") == ["d/a", "d/a/b"]
    assert fs.ls("d/a", detail=False) == ["d/a", "d/a/b"]
    assert fs.cat("d/a/b") == b"below"
    fs.rm("d/a", recursive=True)
    assert not fs.exists("d/a/b")


def test_an_empty_directory_is_known_to_who_made_it(fs: KeystoreFileSystem, node: Node) -> None:
    fs.makedirs("d/empty/inner")
    assert fs.ls("d/empty/inner") == []
    assert fs.isdir("d/empty/inner")
    assert not KeystoreFileSystem.on(node).isdir("d/empty/inner")
    fs.rmdir("d/empty/inner")
    assert not fs.exists("d/empty/inner")
    fs.mkdir("d/removed")
    fs.rm("d/removed", recursive=True)
    assert not fs.exists("d/removed")
    put(fs, "d/full/x", b"")
    with pytest.raises(InputError, match="has files"):
        fs.rmdir("d/full")
    with pytest.raises(FileTakenError):
        fs.mkdir("d/full/x")


def test_files_are_copied_moved_touched_and_removed(fs: KeystoreFileSystem, node: Node) -> None:
    put(fs, "d/a", OLD)
    fs.cp("d/a", "d/sub/b")
    fs.mv("d/a", "d/c")
    fs.mv("d/c", "other/c")
    fs.touch("d/empty")
    fs.touch("other/c", truncate=False)
    assert fs.find("") == ["d/empty", "d/sub/b", "other/c"]
    assert fs.cat("other/c") == fs.cat("d/sub/b") == OLD
    assert fs.cat("d/empty") == b""
    fs.mv("d/sub", "d/moved", recursive=True)
    assert fs.cat("d/moved/b") == OLD
    fs.rm("d", recursive=True)
    assert fs.find("") == ["other/c"]
    assert stores_on_disk(node) == [".store"]


@pytest.mark.parametrize(
    ("path", "to", "there"),
    [
        ("d/a", "d/set", ["d/set/a", "d/set/x", "d/sub/b"]),
        ("d/a", "cmk://d/set/", ["d/set/a", "d/set/x", "d/sub/b"]),
        ("d/a", "d/new/", ["d/new/a", "d/set/x", "d/sub/b"]),
        ("d/a", "other/", ["d/set/x", "d/sub/b", "other/a"]),
        ("d/sub", "d/set", ["d/a", "d/set/sub/b", "d/set/x"]),
        ("d/set/x", "d", ["d/a", "d/sub/b", "d/x"]),
        ("d/a", "d", ["d/a", "d/set/x", "d/sub/b"]),
        ("d/a", "d/a", ["d/a", "d/set/x", "d/sub/b"]),
        ("d/sub", "d/sub", ["d/a", "d/set/x", "d/sub/b"]),
    ],
)
def test_a_directory_takes_in_what_is_moved_to_it(fs: KeystoreFileSystem, path: str, to: str, there: list[str]) -> None:
    fs.pipe({"d/a": b"a", "d/set/x": b"x", "d/sub/b": b"b"})
    fs.mv(path, to, recursive=True)
    assert fs.find("") == there
    assert sorted(fs.cat(there).values()) == [b"a", b"b", b"x"]


def test_a_list_and_a_pattern_are_moved(fs: KeystoreFileSystem) -> None:
    fs.pipe({"d/a.csv": b"a", "d/b.csv": b"b", "d/c": b"c", "d/[1].csv": b"1"})
    fs.mv("d/[1].csv", "d/one")
    fs.mv("d/*.csv", "d/set")
    assert fs.find("") == ["d/c", "d/one", "d/set/a.csv", "d/set/b.csv"]
    fs.mv(["d/c", "d/set/a.csv"], "other/")
    fs.mv(["other/c", "other/a.csv"], ["d/x", "d/y"])
    assert fs.find("") == ["d/one", "d/set/b.csv", "d/x", "d/y"]
    with pytest.raises(FileUnknownError):
        fs.mv("d/*.nothing", "other")
    with pytest.raises(InputError, match="2 paths cannot go to 1"):
        fs.mv(["d/x", "d/y"], ["d/z"])
    assert fs.find("") == ["d/one", "d/set/b.csv", "d/x", "d/y"]


@pytest.mark.parametrize(
    ("paths", "to"), [("d/*/f", "out"), (["d/a/f", "d/b/f"], "out/"), (["d/a/f", "d/b/f"], ["out/f", "out/f"])]
)
def test_nothing_is_moved_where_two_would_go_to_one_path(
    fs: KeystoreFileSystem, paths: str | list[str], to: str | list[str]
) -> None:
    for path in ("d/a/f", "d/b/f"):
        put(fs, path, path.encode())
    with pytest.raises(InputError, match="more than one path would go to out/f"):
        fs.mv(paths, to)
    assert {path: fs.cat(path) for path in fs.find("")} == {"d/a/f": b"d/a/f", "d/b/f": b"d/b/f"}


def test_a_path_may_begin_with_a_slash(fs: KeystoreFileSystem) -> None:
    for name, content in (("a/x", b"ax"), ("a/y", b"ay"), ("bx", b"bx")):
        put(fs, f"/d/{name}", content)
    fs.mv("/d/a", "/d/b", recursive=True)
    assert {path: fs.cat(path) for path in fs.find("/d")} == {"d/b/x": b"ax", "d/b/y": b"ay", "d/bx": b"bx"}
    assert fs.glob("cmk:///d/*/x") == fs.glob("/d/*/x") == ["d/b/x"]
    assert list(fs.walk("/d")) == [("d", ["b"], ["bx"]), ("d/b", [], ["x", "y"])]
    fs.rm("/d/b", recursive=True)
    assert fs.find("/") == ["d/bx"]


def test_files_go_in_and_out_by_the_ways_of_fsspec(fs: KeystoreFileSystem, tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(OLD)
    fs.put(str(tmp_path / "in"), "d/in")
    fs.get("d/in", str(tmp_path / "out"))
    assert (tmp_path / "out").read_bytes() == OLD
    fs.pipe({"d/one": b"1", "d/two": b"2"})
    assert fs.cat(["d/one", "d/two"]) == {"d/one": b"1", "d/two": b"2"}
    assert fs.cat_file("d/in", start=-4) == OLD[-4:]
    with fs.open("d/text", "w", encoding="utf-8", newline="\n") as file:
        file.write("één\ntwee\n")
    with fs.open("d/text", "r", encoding="utf-8") as file:
        assert list(file) == ["één\n", "twee\n"]


# -- who sees what ----------------------------------------------------------------------------------------------------


def test_a_new_file_takes_its_place_at_close_and_readers_keep_theirs(fs: KeystoreFileSystem, node: Node) -> None:
    put(fs, "d/f", OLD)
    with fs.open("d/f", "rb") as former, fs.open("d/f", "wb") as file:
        file.write(NEW)
        file.flush()
        assert fs.cat("d/f") == OLD
        file.close()
        assert fs.cat("d/f") == NEW
        assert former.read() == OLD
        assert stores_on_disk(node) == [".incoming", ".store"]
    assert stores_on_disk(node) == [".store"]
    with fs.open("d/f", "rb") as former:
        fs.rm("d/f")
        assert not fs.exists("d/f")
        assert former.read() == NEW
    assert stores_on_disk(node) == []
    assert node.verify().ok


def test_renaming_takes_the_place_of_a_file_that_is_read(fs: KeystoreFileSystem, node: Node) -> None:
    put(fs, "d/old", OLD)
    put(fs, "d/new", NEW)
    with fs.open("d/old", "rb") as reader, fs.open("d/new", "rb") as moved:
        fs.mv("d/new", "d/old")
        assert (reader.read(), moved.read()) == (OLD, NEW)
    assert fs.find("") == ["d/old"]
    assert fs.cat("d/old") == NEW
    assert stores_on_disk(node) == [".store"]


def test_of_two_writers_the_last_to_close_counts(fs: KeystoreFileSystem, node: Node) -> None:
    with fs.open("d/f", "wb") as one, fs.open("d/f", "wb") as two:
        one.write(OLD)
        two.write(NEW)
        two.close()
        assert fs.cat("d/f") == NEW
    assert fs.cat("d/f") == OLD
    assert stores_on_disk(node) == [".store"]


def test_readers_always_find_a_whole_file_while_it_is_replaced(fs: KeystoreFileSystem) -> None:
    contents = [bytes([number]) * 20_000 for number in range(8)]
    put(fs, "d/f", contents[0])
    ended, wrong = threading.Event(), list[str]()

    def read() -> None:
        while not ended.is_set():
            try:
                found = fs.cat("d/f")
            except KeystoreError as error:
                wrong.append(repr(error))
                return
            if found not in contents:
                wrong.append("a mixture")

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for number, content in enumerate(contents):
        put(fs, "d/f" if number % 2 else "d/next", content)
        if number % 2 == 0:
            fs.mv("d/next", "d/f")
    ended.set()
    for reader in readers:
        reader.join()
    assert wrong == []
    assert fs.cat("d/f") == contents[-1]


def test_a_file_is_changed_in_place_by_one_writer(fs: KeystoreFileSystem) -> None:
    put(fs, "d/f", OLD)
    with fs.open("d/f", "r+b") as file, fs.open("d/f", "rb") as reader:
        file.seek(100_000)
        file.write(b"in the middle")
        assert reader.read() == OLD
        file.flush()
        reader.seek(100_000)
        assert reader.read(13) == b"in the middle"
        with pytest.raises(StoreLockedError):
            fs.open("d/f", "r+b")
        with pytest.raises(StoreLockedError):
            put(fs, "d/f", NEW)
        with pytest.raises(StoreLockedError):
            fs.rm("d/f")
    with fs.open("d/f", "ab") as file:
        assert file.tell() == len(OLD)
        file.write(b"end")
    expected = OLD[:100_000] + b"in the middle" + OLD[100_013:] + b"end"
    assert fs.cat("d/f") == expected
    with fs.open("d/log", "ab") as file:
        file.write(b"one")
    assert fs.cat("d/log") == b"one"


def test_an_error_while_writing_and_a_forgotten_file_leave_the_former(fs: KeystoreFileSystem, node: Node) -> None:
    put(fs, "d/f", OLD)
    with pytest.raises(TypeError), fs.open("d/f", "wb") as file:
        file.writelines([NEW, "no bytes"])
    forgotten = fs.open("d/f", "wb")
    forgotten.write(NEW)
    del forgotten
    assert fs.cat("d/f") == OLD
    assert stores_on_disk(node) == [".store"]


def test_files_of_a_transaction_come_at_its_end(fs: KeystoreFileSystem, node: Node) -> None:
    with fs.transaction:
        put(fs, "d/a", OLD)
        put(fs, "d/b", NEW)
        assert fs.find("") == []
    assert fs.cat("d/a") + fs.cat("d/b") == OLD + NEW
    with pytest.raises(TypeError), fs.transaction:
        fs.pipe({"d/a": NEW, "d/b": "no bytes"})
    assert fs.cat("d/a") == OLD
    assert stores_on_disk(node) == [".store", ".store"]


def test_threads_that_share_a_file_seek_and_read_for_themselves(fs: KeystoreFileSystem) -> None:
    put(fs, "d/f", b"".join(bytes([number]) * 1000 for number in range(16)))
    found: dict[int, bytes] = {}
    met = threading.Barrier(16)
    with fs.open("d/f", "rb") as file:

        def read(number: int) -> None:
            file.seek(number * 1000)
            met.wait()  # now each has sought, and none has read
            found[number] = file.read(1000)

        threads = [threading.Thread(target=read, args=(number,)) for number in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert found == {number: bytes([number]) * 1000 for number in range(16)}


def test_threads_that_pass_a_file_on_go_on_where_the_other_stopped(fs: KeystoreFileSystem) -> None:
    put(fs, "d/f", bytes(range(100)))
    with fs.open("d/f", "rb") as file:
        file.seek(10)
        parts = [file.read(5)]
        thread = threading.Thread(target=lambda: parts.append(file.read(5)))
        thread.start()
        thread.join()
        parts.append(file.read(5))
        assert b"".join(parts) == bytes(range(10, 25))
        assert file.seek(-5, io.SEEK_CUR) == file.tell() == 20


def test_lines_are_read_as_from_any_file(fs: KeystoreFileSystem) -> None:
    content = b"\n".join([b"", b"a", b"b" * 5000, b"c" * 4095, b"d" * 4096, b"last"])
    put(fs, "d/f", content)
    with fs.open("d/f", "rb") as file:
        assert file.readlines() == io.BytesIO(content).readlines()
        file.seek(2)
        assert [file.readline(3), file.readline(2), file.readline(-1)] == [b"\n", b"bb", b"b" * 4998 + b"\n"]


# -- what is refused --------------------------------------------------------------------------------------------------

Act = Callable[[KeystoreFileSystem], object]
MISSING: list[Act] = [
    lambda fs: fs.open("d/none", "rb"),
    lambda fs: fs.open("none/none", "r+b"),
    lambda fs: fs.info("d/none"),
    lambda fs: fs.ls("none"),
    lambda fs: fs.ls("d/none/below"),
    lambda fs: fs.rm_file("d/none"),
    lambda fs: fs.mv("d/none", "d/other"),
    lambda fs: fs.modified("d/none"),
    lambda fs: fs.rmdir("d/none"),
]


@pytest.mark.parametrize("act", MISSING)
def test_what_is_missing_is_told_in_the_words_of_files(fs: KeystoreFileSystem, act: Act) -> None:
    put(fs, "d/f", b"")
    with pytest.raises(FileNotFoundError, match="there is no") as caught:
        act(fs)
    assert isinstance(caught.value, FileUnknownError)
    assert fs.find("") == ["d/f"]


@pytest.mark.parametrize("path", ["d/../other", "../d/f", "d//f", "d/./f", "//d/f", "d/\x07", "d/" + "x" * 2000])
@pytest.mark.parametrize("mode", ["rb", "wb"])
def test_a_path_that_leaves_the_node_is_refused(fs: KeystoreFileSystem, path: str, mode: str) -> None:
    with pytest.raises(PathOutsideError, match="is no path in a node"):
        fs.open(path, mode)
    assert fs.find("") == []


def test_modes_that_do_not_fit_are_refused(fs: KeystoreFileSystem) -> None:
    put(fs, "d/f", OLD)
    with pytest.raises(FileTakenError):
        fs.open("d/f", "xb")
    with fs.open("d/new", "xb") as file:
        put(fs, "d/new", NEW)
        with pytest.raises(FileTakenError):
            file.close()
    assert fs.cat("d/new") == NEW
    with pytest.raises(FileModeError):
        fs.open("d/f", "q+b")
    with fs.open("d/f", "rb") as file:
        assert not file.writable()
        with pytest.raises(io.UnsupportedOperation):
            file.write(b"x")
        with pytest.raises(FileModeError):
            file.truncate(0)
    with pytest.raises(InputError, match="is no file"):
        fs.open("d", "rb")
    assert fs.cat("d/f") == OLD


@pytest.mark.parametrize("options", [{"readonly": True}, {"node": "n", "pagesize": 4096}])
def test_an_option_that_there_is_not_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="no such option"):
        fsspec.filesystem("cmk", **options)


def test_options_of_fsspec_itself_are_taken(node: Node) -> None:
    own: dict[str, Any] = {"use_listings_cache": False, "asynchronous": False, "skip_instance_cache": True}
    assert KeystoreFileSystem(opened=node, **own).ls("") == []


def test_a_read_only_file_system_changes_nothing(fs: KeystoreFileSystem, node: Node) -> None:
    put(fs, "d/f", OLD)
    before = Layout(node.directory).keystore.read_bytes()
    closed = KeystoreFileSystem.on(node, read_only=True)
    acts: list[Act] = [
        lambda fs: fs.open("d/g", "wb"),
        lambda fs: fs.open("d/f", "r+b"),
        lambda fs: fs.rm("d/f"),
        lambda fs: fs.mv("d/f", "d/g"),
        lambda fs: fs.touch("d/f"),
        lambda fs: fs.mkdir("d/x"),
        lambda fs: fs.cp("d/f", "d/g"),
    ]
    for act in acts:
        with pytest.raises(PermissionError) as caught:
            act(closed)
        assert isinstance(caught.value, ReadOnlyError)
    assert closed.cat("d/f") == OLD
    assert Layout(node.directory).keystore.read_bytes() == before


def test_a_damaged_page_is_told_and_other_files_are_listed(fs: KeystoreFileSystem, node: Node) -> None:
    put(fs, "d/f", OLD)
    put(fs, "d/other", NEW)
    record = node.databases["d"].stores["f"]
    path = Layout(node.directory).store(node.databases["d"].database_id, record.store_id)
    data = bytearray(path.read_bytes())
    for at in range(1 << 16, 1 << 18, 4096):
        data[at] ^= 1
    path.write_bytes(data)
    with pytest.raises(StoreDamagedError, match=r"store d/f: page \d+ is damaged"):
        fs.cat("d/f")
    assert fs.cat("d/other") == NEW
    assert [each["name"] for each in fs.ls("d")] == ["d/f", "d/other"]


def test_a_full_disk_leaves_the_former_file(
    fs: KeystoreFileSystem, node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(fs, "d/f", OLD)

    def full(file: OsBlockFile, size: int, *, written: bool = False) -> None:
        raise OSError(28, os.strerror(28))

    with monkeypatch.context() as patch:
        file = fs.open("d/f", "wb")
        file.write(NEW)
        patch.setattr(OsBlockFile, "extend", full)
        with pytest.raises(StoreFullError, match="the device is full"):
            file.write(NEW * 100)
        with pytest.raises(StoreFullError, match="the device is full"):
            file.close()
    assert fs.cat("d/f") == OLD
    assert stores_on_disk(node) == [".store"]
    put(fs, "d/f", NEW)
    assert fs.cat("d/f") == NEW


# -- opening a node by its directory ----------------------------------------------------------------------------------


@pytest.fixture
def closed_node(directory: Path, cmk: str, connect: KmsConnector) -> Iterator[Path]:
    with Node.init(directory, cmk, connect) as node:
        put(KeystoreFileSystem.on(node), "d/f", OLD)
    yield directory
    KeystoreFileSystem.clear_instance_cache()


def test_the_entry_point_and_the_url_open_the_node_once_for_all_threads(closed_node: Path) -> None:
    fs = fsspec.filesystem("cmk", node=closed_node)
    assert isinstance(fs, KeystoreFileSystem)
    found: list[bytes] = []

    def read() -> None:
        with fsspec.open("cmk://d/f", "rb", node=str(closed_node)) as file:
            found.append(file.read())

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    read()
    assert found == [OLD] * 5
    fs.close()


def test_the_last_file_system_that_is_closed_closes_the_node(closed_node: Path, connect: KmsConnector) -> None:
    one, two = (KeystoreFileSystem(closed_node, skip_instance_cache=True) for _ in range(2))
    assert one.node is two.node
    file = one.open("d/f", "rb")
    one.close()
    with pytest.raises(NodeLockedError, match="is open in"):
        Node.open(closed_node, connect)
    two.close()
    with Node.open(closed_node, connect) as node:
        assert KeystoreFileSystem.on(node).cat("d/f") == OLD
        with pytest.raises(NodeLockedError, match="is open in"):
            one.ls("d")
    with pytest.raises(KeystoreError):
        file.read()
    file.close()
    assert one.cat("d/f") == OLD
    one.close()


def test_a_node_that_cannot_be_opened_says_why(closed_node: Path, tmp_path: Path, cmk: str) -> None:
    def opened(path: Path | None) -> KeystoreFileSystem:
        return KeystoreFileSystem(path, skip_instance_cache=True)

    with pytest.raises(PathMissingError, match="FSSPEC_CMK_NODE"):
        opened(None).ls("")
    with pytest.raises(NodeMissingError):
        opened(tmp_path / "nothing").ls("")
    key = Path(cmk.removeprefix("local://"))
    right = key.read_bytes()
    key.chmod(0o600)
    key.write_bytes(bytes(len(right)))
    with pytest.raises(CiphertextError):
        opened(closed_node).ls("")
    key.write_bytes(right)
    fs = opened(closed_node)
    assert fs.cat("d/f") == OLD
    fs.close()


def test_a_disabled_key_is_told_at_the_first_use_and_stops_nothing_that_is_open(
    emulator: Emulator, directory: Path
) -> None:
    uri = emulator.create_key("aws")
    with Node.init(directory, uri, connector(emulator.endpoint)) as node:
        put(fs := KeystoreFileSystem.on(node), "d/f", OLD)
        emulator.disable(uri)
        assert fs.cat("d/f") == OLD
    fs = KeystoreFileSystem(directory, kms_endpoint=emulator.endpoint, skip_instance_cache=True)
    with pytest.raises(KeyDisabledError):
        fs.cat("d/f")
    emulator.enable(uri)
    assert fs.cat("d/f") == OLD
    fs.close()


def test_a_closed_node_is_told(fs: KeystoreFileSystem, node: Node) -> None:
    put(fs, "d/f", OLD)
    writer = fs.open("d/f", "wb")
    writer.write(NEW)
    node.close()
    with pytest.raises(NodeClosedError):
        fs.ls("d")
    with pytest.raises(KeystoreError):
        writer.close()
