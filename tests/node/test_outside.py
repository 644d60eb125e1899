"""An outside anchor tells what the anchors beside the data cannot: that everything was put back, or forged, at once."""

import io
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from obstore.store import LocalStore, MemoryStore

from keystore.errors import (
    InputError,
    KeyFileStaleError,
    KeystoreError,
    OutsideAnchorConflictError,
    OutsideAnchorDamagedError,
    OutsideAnchorMissingError,
    OutsideAnchorUnreachableError,
    PlaceError,
    PlaceUnreachableError,
    StoreRolledBackError,
)
from keystore.kms.protocol import KmsConnector
from keystore.node.directory import Node
from keystore.node.outside import KEPT
from keystore.node.outside_places import newest
from keystore.objects.bucket import BucketPlace
from keystore.objects.directory import DirectoryPlace
from keystore.objects.place import Named, ObjectReader, ObjectWriter, Place

PAGE_BYTES = 4096


@pytest.fixture(params=["directory", "memory", "local objects"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    (tmp_path / "outside").mkdir()
    places: dict[str, Callable[[], Place]] = {
        "directory": lambda: DirectoryPlace(tmp_path / "outside", made=False),
        "memory": lambda: BucketPlace(MemoryStore(), "memory"),
        "local objects": lambda: BucketPlace(LocalStore(tmp_path / "outside"), "local objects"),
    }
    return places[request.param]()


@pytest.fixture
def directory_place(tmp_path: Path) -> DirectoryPlace:
    (tmp_path / "outside").mkdir()
    return DirectoryPlace(tmp_path / "outside", made=False)


class Through:
    """A place before another one, to which it passes everything on."""

    def __init__(self, place: Place) -> None:
        self._place = place

    def __str__(self) -> str:
        return str(self._place)

    def names(self, prefix: str = "") -> list[Named]:
        return self._place.names(prefix)

    def put(self, name: str, data: bytes) -> bool:
        return self._place.put(name, data)

    def create(self, name: str) -> AbstractContextManager[ObjectWriter]:
        return self._place.create(name)

    def get(self, name: str, bytes_max: int) -> bytes:
        return self._place.get(name, bytes_max)

    def open(self, name: str) -> AbstractContextManager[ObjectReader]:
        return self._place.open(name)

    def length(self, name: str) -> int | None:
        return self._place.length(name)

    def remove(self, name: str) -> None:
        self._place.remove(name)


class Unplugged(Through):
    """A place that is there until it is unplugged; counts what is put."""

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self.works, self.puts = True, 0
        self.loses_answers = False

    def _require(self) -> None:
        if not self.works:
            raise PlaceUnreachableError("it is unplugged. Nothing was changed; plug it in.")

    def names(self, prefix: str = "") -> list[Named]:
        self._require()
        return super().names(prefix)

    def put(self, name: str, data: bytes) -> bool:
        self._require()
        self.puts += 1
        written = super().put(name, data)
        if self.loses_answers:
            raise PlaceUnreachableError("it did not answer. Nothing was changed; try again.")
        return written

    def get(self, name: str, bytes_max: int) -> bytes:
        self._require()
        return super().get(name, bytes_max)

    def remove(self, name: str) -> None:
        self._require()
        super().remove(name)


@pytest.fixture
def unplugged(directory_place: DirectoryPlace) -> Unplugged:
    return Unplugged(directory_place)


def write(node: Node, fill: bytes = b"x", commits: int = 1) -> None:
    with node.using_store("d", "f") as store:
        for _ in range(commits):
            store.commit({0: fill * PAGE_BYTES})


def make(directory: Path, cmk: str, connect: KmsConnector, place: Place) -> None:
    """Make a node with an outside anchor and one file, and close it."""
    with Node.init(directory, cmk, connect, outside_anchor=place) as node:
        node.import_file("d", "f", io.BytesIO(b"y" * PAGE_BYTES), page_size=PAGE_BYTES)


def contents(node: Node) -> bytes:
    out = io.BytesIO()
    node.export_file("d", "f", out)
    return out.getvalue()


# -- what it detects --------------------------------------------------------------------------------------------------


def test_a_node_goes_through_its_life_under_an_outside_anchor(
    directory: Path, cmk: str, other_cmk: str, connect: KmsConnector, place: Place
) -> None:
    make(directory, cmk, connect, place)
    for fill in (b"1", b"2"):
        with Node.open(directory, connect, outside_anchor=place) as node:
            write(node, fill, 3)
            node.rotate_master()
            node.import_file("d", fill.decode(), io.BytesIO(b"z"))
            node.change_cmk(other_cmk)
            node.drop_file("d", fill.decode())
    with Node.open(directory, connect, outside_anchor=place) as node:
        assert contents(node) == b"2" * PAGE_BYTES
        info = node.outside_anchor
    assert info is not None
    assert (info.problem, info.ignored) == (None, False)
    last = newest(place, node.node_id)
    assert info.number in (last, last - 1)
    assert len(place.names()) <= KEPT


@pytest.mark.parametrize("since", ["a commit", "an opening", "a rotation", "an import"])
def test_a_whole_directory_put_back_is_refused(
    since: str, directory: Path, cmk: str, connect: KmsConnector, place: Place, tmp_path: Path
) -> None:
    make(directory, cmk, connect, place)
    shutil.copytree(directory, tmp_path / "old")
    with Node.open(directory, connect, outside_anchor=place) as node:
        if since == "a rotation":
            node.rotate_master()
        elif since == "an import":
            node.import_file("d", "g", io.BytesIO(b"z"))
        elif since == "a commit":
            write(node)
        else:
            node.open_store("d", "f").close()
    shutil.rmtree(directory)
    (tmp_path / "old").rename(directory)
    if since in ("a rotation", "an import"):
        with pytest.raises(KeyFileStaleError, match="rolled back"):
            Node.open(directory, connect, outside_anchor=place)
        return
    with Node.open(directory, connect, outside_anchor=place) as node:
        with pytest.raises(StoreRolledBackError, match="outside anchor"):
            node.open_store("d", "f")
        assert [type(problem) for check in node.verify().stores for problem in check.problems] == [StoreRolledBackError]


def test_a_store_put_back_with_its_own_anchor_is_refused(
    directory: Path, cmk: str, connect: KmsConnector, directory_place: DirectoryPlace
) -> None:
    """The limit of anchors that lie beside the data; the place is found by what the node itself says."""
    make(directory, cmk, connect, directory_place)
    store, anchors = next(directory.glob("databases/*/*.store")), directory / "anchors"
    old, old_record = store.read_bytes(), anchors.read_bytes()[512:1024]
    with Node.open(directory, connect) as node:
        write(node)
    store.write_bytes(old)
    data = bytearray(anchors.read_bytes())
    data[512:1024] = old_record
    anchors.write_bytes(data)
    with Node.open(directory, connect) as node, pytest.raises(StoreRolledBackError, match=str(directory_place)):
        node.open_store("d", "f")
    with Node.open(directory, connect, ignore_outside_anchor=True) as node:
        assert contents(node) == b"y" * PAGE_BYTES  # without it nobody can tell


def test_a_copy_from_before_it_was_attached_is_refused_where_the_place_is_named(
    directory: Path, cmk: str, connect: KmsConnector, directory_place: DirectoryPlace, tmp_path: Path
) -> None:
    Node.init(directory, cmk, connect).close()
    shutil.copytree(directory, tmp_path / "old")
    with Node.open(directory, connect) as node:
        node.attach_outside_anchor(directory_place)
    with pytest.raises(KeyFileStaleError, match="rolled back"):
        Node.open(tmp_path / "old", connect, outside_anchor=directory_place)
    Node.open(tmp_path / "old", connect).close()  # it knows of none: why the place has to be named


def test_two_copies_of_a_node_do_not_state_to_one_anchor(
    directory: Path, cmk: str, connect: KmsConnector, place: Place, tmp_path: Path
) -> None:
    make(directory, cmk, connect, place)
    shutil.copytree(directory, tmp_path / "twin")
    first = Node.open(directory, connect, outside_anchor=place)
    second = Node.open(tmp_path / "twin", connect, outside_anchor=place)
    write(first, b"1")
    with pytest.raises(OutsideAnchorConflictError, match="another copy"):
        write(second, b"2")
    before = (second.directory / "keystore").read_bytes()
    with pytest.raises(OutsideAnchorConflictError):
        second.rotate_master()
    assert (second.directory / "keystore").read_bytes() == before
    info = second.outside_anchor
    assert info is not None
    assert "another copy" in (info.problem or "")
    with pytest.raises(OutsideAnchorConflictError):
        second.close()
    write(first, b"3")
    first.close()
    with Node.open(directory, connect, outside_anchor=place) as node:
        assert contents(node) == b"3" * PAGE_BYTES
    with pytest.raises(StoreRolledBackError):
        _open_all(tmp_path / "twin", connect, place)


def _open_all(directory: Path, connect: KmsConnector, place: Place) -> None:
    with Node.open(directory, connect, outside_anchor=place) as node:
        for check in node.verify().stores:
            for problem in check.problems:
                raise problem


# -- a place that is away ---------------------------------------------------------------------------------------------


def test_a_place_that_is_away_refuses_an_opening_and_a_flag_goes_on(
    directory: Path, cmk: str, connect: KmsConnector, unplugged: Unplugged
) -> None:
    make(directory, cmk, connect, unplugged)
    puts, unplugged.works = unplugged.puts, False
    before = {path: path.read_bytes() for path in directory.rglob("*") if path.is_file()}
    with pytest.raises(OutsideAnchorUnreachableError):
        Node.open(directory, connect, outside_anchor=unplugged)
    assert {path: path.read_bytes() for path in directory.rglob("*") if path.is_file()} == before
    with Node.open(directory, connect, outside_anchor=unplugged, ignore_outside_anchor=True) as node:
        write(node, b"2")
        assert node.outside_anchor is not None
        assert node.outside_anchor.ignored
    unplugged.works = True
    assert unplugged.puts == puts
    with Node.open(directory, connect, outside_anchor=unplugged) as node:
        assert contents(node) == b"2" * PAGE_BYTES


def test_a_place_that_goes_away_stops_nothing_and_is_caught_up_with(
    directory: Path, cmk: str, connect: KmsConnector, unplugged: Unplugged, tmp_path: Path
) -> None:
    make(directory, cmk, connect, unplugged)
    node = Node.open(directory, connect, outside_anchor=unplugged)
    unplugged.works = False
    write(node, b"2", 3)
    node.rotate_master()
    assert node.outside_anchor is not None
    assert "unplugged" in (node.outside_anchor.problem or "")
    with pytest.raises(OutsideAnchorUnreachableError):
        node.close()
    unplugged.works = True
    with Node.open(directory, connect, outside_anchor=unplugged) as node:
        shutil.copytree(directory, tmp_path / "old")
        assert node.outside_anchor is not None
        assert node.outside_anchor.problem is None
        assert contents(node) == b"2" * PAGE_BYTES
        node.rotate_master()
    with pytest.raises(KeyFileStaleError):
        Node.open(tmp_path / "old", connect, outside_anchor=unplugged)


def test_an_answer_that_was_lost_is_no_conflict(
    directory: Path, cmk: str, connect: KmsConnector, unplugged: Unplugged
) -> None:
    make(directory, cmk, connect, unplugged)
    with Node.open(directory, connect, outside_anchor=unplugged) as node:
        unplugged.loses_answers = True
        write(node, b"2")
        assert node.outside_anchor is not None
        assert "did not answer" in (node.outside_anchor.problem or "")
        unplugged.loses_answers = False
        write(node, b"3")
        assert node.outside_anchor.problem is None
    with Node.open(directory, connect, outside_anchor=unplugged) as node:
        assert contents(node) == b"3" * PAGE_BYTES


def test_a_share_that_is_not_mounted_is_away_and_never_made(
    directory: Path, cmk: str, connect: KmsConnector, directory_place: DirectoryPlace, tmp_path: Path
) -> None:
    make(directory, cmk, connect, directory_place)
    directory_place.path.rename(tmp_path / "unmounted")
    with pytest.raises(OutsideAnchorUnreachableError, match="no such directory"):
        Node.open(directory, connect)
    assert not directory_place.path.exists()
    with pytest.raises(OutsideAnchorUnreachableError):
        Node.init(tmp_path / "new", cmk, connect, outside_anchor=directory_place)
    assert not (tmp_path / "new").exists()


def test_a_place_with_nothing_of_this_node_is_missing(
    directory: Path, cmk: str, connect: KmsConnector, directory_place: DirectoryPlace, tmp_path: Path
) -> None:
    make(directory, cmk, connect, directory_place)
    (tmp_path / "empty").mkdir()
    with pytest.raises(OutsideAnchorMissingError, match="never attached"):
        Node.open(directory, connect, outside_anchor=str(tmp_path / "empty"))


# -- a place that lies ------------------------------------------------------------------------------------------------


def statement_files(place: DirectoryPlace) -> list[Path]:
    return sorted(path for path in place.path.rglob("*") if path.is_file())


def test_every_changed_byte_of_the_last_statement_is_told(
    directory: Path, cmk: str, connect: KmsConnector, directory_place: DirectoryPlace
) -> None:
    make(directory, cmk, connect, directory_place)
    last = statement_files(directory_place)[-1]
    data = last.read_bytes()
    for at in range(0, len(data), 5):
        last.write_bytes(data[:at] + bytes([data[at] ^ 4]) + data[at + 1 :])
        with pytest.raises((OutsideAnchorDamagedError, KeyFileStaleError)):
            Node.open(directory, connect)
    for length in (0, 47, len(data) - 1):
        last.write_bytes(data[:length])
        with pytest.raises(OutsideAnchorDamagedError):
            Node.open(directory, connect)
    last.write_bytes(data)
    Node.open(directory, connect).close()


def test_a_statement_under_the_number_of_another_is_told(
    directory: Path, cmk: str, connect: KmsConnector, directory_place: DirectoryPlace
) -> None:
    make(directory, cmk, connect, directory_place)
    *_, former, last = statement_files(directory_place)
    shutil.copyfile(former, last.with_name(f"{int(last.name) + 1:020d}"))
    with pytest.raises(OutsideAnchorDamagedError, match="it is statement"):
        Node.open(directory, connect)


# -- attaching and detaching ------------------------------------------------------------------------------------------


def test_attaching_detaching_and_moving(
    directory: Path, cmk: str, connect: KmsConnector, directory_place: DirectoryPlace, tmp_path: Path
) -> None:
    with Node.init(directory, cmk, connect) as node:
        assert node.outside_anchor is None
        info = node.attach_outside_anchor(str(directory_place), each_commit=True)
        assert (info.place, info.each_commit) == (str(directory_place), True)
    with Node.open(directory, connect) as node:
        assert node.outside_anchor is not None
        assert node.outside_anchor.each_commit
        node.detach_outside_anchor()
        assert node.outside_anchor is None
        node.rotate_master()
    statements = len(statement_files(directory_place))
    with Node.open(directory, connect) as node:
        node.rotate_master()
    assert len(statement_files(directory_place)) == statements
    with pytest.raises(OutsideAnchorMissingError, match="this node has none"):
        Node.open(directory, connect, outside_anchor=directory_place)
    with Node.open(directory, connect) as node:
        assert node.attach_outside_anchor(directory_place).number == statements + 2
        (tmp_path / "moved").mkdir()
        node.attach_outside_anchor(str(tmp_path / "moved"))
        statements = len(statement_files(directory_place))
        node.rotate_master()
        assert len(statement_files(directory_place)) == statements


def test_a_directory_that_is_behind_is_attached_again_on_demand_only(
    directory: Path, cmk: str, connect: KmsConnector, directory_place: DirectoryPlace, tmp_path: Path
) -> None:
    """As after a restore from a backup of the directory: somebody has decided that the old state is to count."""
    make(directory, cmk, connect, directory_place)
    shutil.copytree(directory, tmp_path / "backup")
    with Node.open(directory, connect) as node:
        write(node)
        node.rotate_master()
    with Node.open(tmp_path / "backup", connect, ignore_outside_anchor=True) as node:
        with pytest.raises(KeyFileStaleError):
            node.attach_outside_anchor(directory_place)
        node.attach_outside_anchor(directory_place, replace=True)
        write(node, b"9")
    with Node.open(tmp_path / "backup", connect) as node:
        assert contents(node) == b"9" * PAGE_BYTES
    with pytest.raises(KeystoreError):
        _open_all(directory, connect, directory_place)


@pytest.mark.parametrize("place", ["relative/path", "", "nonsense://x", "s3://", "memory://", "http://x/y"])
def test_what_is_no_place_is_refused(place: str, directory: Path, cmk: str, connect: KmsConnector) -> None:
    with pytest.raises(InputError):
        Node.init(directory, cmk, connect, outside_anchor=place)
    assert not directory.exists()


def test_a_place_inside_the_node_is_refused(node: Node) -> None:
    (node.directory / "outside").mkdir()
    with pytest.raises(InputError, match="inside the node"):
        node.attach_outside_anchor(str(node.directory / "outside"))
    assert node.outside_anchor is None


# -- when it is written -----------------------------------------------------------------------------------------------


def test_how_often_it_is_written(directory: Path, cmk: str, connect: KmsConnector, unplugged: Unplugged) -> None:
    make(directory, cmk, connect, unplugged)

    def puts(action: Callable[[Node], object]) -> int:
        before = unplugged.puts
        with Node.open(directory, connect, outside_anchor=unplugged) as node:
            action(node)
        return unplugged.puts - before

    assert puts(lambda node: None) == 0
    assert puts(lambda node: node.open_store("d", "f").close()) == 1  # the new epoch
    assert puts(lambda node: write(node, commits=20)) == 2  # and the checkpoint at close
    assert puts(lambda node: node.rotate_master()) == 1
    with Node.open(directory, connect) as node:
        node.attach_outside_anchor(unplugged, each_commit=True)
    assert puts(lambda node: write(node, commits=20)) == 21


# -- crashes ----------------------------------------------------------------------------------------------------------


def number_of(name: str) -> int:
    return int(name.rpartition("/")[2])


class Copier(Through):
    """Copies a node directory before and after each statement: what a process that is killed there leaves."""

    def __init__(self, place: Place, directory: Path, to: Path) -> None:
        super().__init__(place)
        self._directory, self._to = directory, to
        self.left: list[tuple[Path, int]] = []

    def put(self, name: str, data: bytes) -> bool:
        self._keep(number_of(name) - 1)
        written = super().put(name, data)
        self._keep(number_of(name))
        return written

    def remove(self, name: str) -> None:
        """Everything is kept, as at a place without the right to remove."""

    def _keep(self, number: int) -> None:
        to = self._to / str(len(self.left))
        shutil.copytree(self._directory, to)
        self.left.append((to, number))


class Upto(Through):
    """A place as it was when it had `last` statements."""

    def __init__(self, place: Place, last: int) -> None:
        super().__init__(place)
        self._last = last
        self._more: dict[str, bytes] = {}

    def names(self, prefix: str = "") -> list[Named]:
        former = [named for named in super().names(prefix) if number_of(named.name) <= self._last]
        return former + sorted(Named(name, len(data)) for name, data in self._more.items())

    def get(self, name: str, bytes_max: int) -> bytes:
        return self._more.get(name) or super().get(name, bytes_max)

    def put(self, name: str, data: bytes) -> bool:
        if number_of(name) <= self._last or name in self._more:
            return False
        self._more[name] = data
        return True

    def remove(self, name: str) -> None:
        """As above."""


def test_a_kill_between_inside_and_outside_leaves_a_node_that_opens(
    directory: Path, cmk: str, connect: KmsConnector, directory_place: DirectoryPlace, tmp_path: Path
) -> None:
    (tmp_path / "left").mkdir()
    copier = Copier(directory_place, directory, tmp_path / "left")
    with Node.init(directory, cmk, connect) as node:
        node.attach_outside_anchor(copier, each_commit=True)
        node.import_file("d", "f", io.BytesIO(b"y" * PAGE_BYTES), page_size=PAGE_BYTES)
        write(node, b"1", 2)
        node.rotate_master()
        node.drop_file("d", "f")
    opened = 0
    for left, last in copier.left:
        if last == 0:
            continue  # before the first statement there is nothing outside
        place = Upto(directory_place, last)
        with Node.open(left, connect, ignore_outside_anchor=True) as node:
            attached = node.outside_anchor is not None
        if not attached:  # killed before the keystore file named the place
            with pytest.raises(OutsideAnchorMissingError, match="this node has none"):
                Node.open(left, connect, outside_anchor=place)
            continue
        with Node.open(left, connect, outside_anchor=place) as node:
            assert [check.problems for check in node.verify().stores] in ([], [()])
            node.rotate_master()
        with Node.open(left, connect, outside_anchor=place) as node:
            opened += 1
    assert opened > 15


def test_a_node_whose_outside_anchor_cannot_be_attached_is_not_made(
    directory: Path, cmk: str, connect: KmsConnector, directory_place: DirectoryPlace
) -> None:
    class ReadOnly(Through):
        def put(self, name: str, data: bytes) -> bool:
            raise PlaceError("it is read-only. Nothing was changed; open it.")

    with pytest.raises(OutsideAnchorUnreachableError, match="read-only"):
        Node.init(directory, cmk, connect, outside_anchor=ReadOnly(directory_place))
    assert not directory.exists()
    with Node.init(directory, cmk, connect, outside_anchor=directory_place) as node:
        assert node.outside_anchor is not None


@pytest.mark.parametrize("number", [1 << 63, (1 << 64) - 1, 10**20 - 1])
def test_a_statement_with_a_number_that_no_node_writes_is_told(
    node: Node, connect: KmsConnector, directory_place: DirectoryPlace, number: int
) -> None:
    node.attach_outside_anchor(directory_place)
    planted = directory_place.path / node.node_id.hex() / f"{number:020d}"
    planted.write_bytes(b"")
    with pytest.raises(OutsideAnchorDamagedError, match=f"statement {number}"):
        node.attach_outside_anchor(directory_place, replace=True)
    node.close()
    with pytest.raises(OutsideAnchorDamagedError, match="remove that object"):
        Node.open(node.directory, connect)
    planted.unlink()
    Node.open(node.directory, connect).close()
