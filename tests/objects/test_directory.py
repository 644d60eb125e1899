"""A place in a directory: what is special about files."""

import ctypes
import errno
import hashlib
import os
import signal
import threading
from pathlib import Path
from typing import ClassVar

import pytest

from keystore.errors import PlaceError, PlaceMissingError, PlaceUnreachableError
from keystore.keys.files import Files
from keystore.objects.directory import ASIDE_BYTES, UNFINISHED, WRITTEN_OUT_BYTES, DirectoryPlace
from keystore.objects.opening import open_place
from keystore.objects.place import PIECES_LENT, Named


@pytest.fixture
def place(tmp_path: Path) -> DirectoryPlace:
    return DirectoryPlace(tmp_path / "place")


def unfinished(place: DirectoryPlace) -> list[Path]:
    return list((place.path / UNFINISHED).iterdir())


def test_a_path_and_a_file_url_name_one(tmp_path: Path) -> None:
    open_place(f"file://{tmp_path}/place").put("a", b"1")
    assert open_place(f"{tmp_path}/place").get("a", 1) == b"1"


def test_a_relative_path_stays_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    place = open_place("place")
    monkeypatch.chdir("/")
    place.put("a", b"1")
    assert (tmp_path / "place" / "a").read_bytes() == b"1"


def test_no_directory_above_it_is_made(tmp_path: Path) -> None:
    with pytest.raises(PlaceMissingError, match="make the directory first"):
        DirectoryPlace(tmp_path / "no" / "place").put("a", b"1")
    assert not (tmp_path / "no").exists()


def test_files_that_are_no_objects_are_left_alone(place: DirectoryPlace) -> None:
    place.put("packs/p", b"x")
    (place.path / "packs" / "notes of mine.txt").write_text("hello")
    (place.path / "packs" / ".p.new").write_text("hello")
    (place.path / "packs" / "link").symlink_to(place.path / "packs" / "p")
    (place.path / "lost+found").mkdir()
    assert place.names() == [Named("packs/p", 1)]


def test_objects_are_for_their_owner_only(place: DirectoryPlace) -> None:
    place.put("packs/p", b"x")
    assert {path.stat().st_mode & 0o077 for path in (place.path, *place.path.rglob("*"))} == {0}


def test_what_a_killed_writer_left_goes_with_the_next_write(place: DirectoryPlace) -> None:
    child = os.fork()
    if child == 0:
        with place.create("packs/p") as writer:
            writer.write(b"x" * 1000)
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    later = DirectoryPlace(place.path)
    assert (later.names(), len(unfinished(later))) == ([], 1)
    later.put("packs/q", b"y")
    assert (later.names(), unfinished(later)) == ([Named("packs/q", 1)], [])


def test_what_a_killed_writer_left_goes_with_the_next_removal(place: DirectoryPlace) -> None:
    place.put("packs/q", b"y")
    (place.path / UNFINISHED / ("0" * 32)).write_bytes(b"x")
    DirectoryPlace(place.path).remove("packs/q")
    assert unfinished(place) == []


def test_what_is_being_written_is_left_alone(place: DirectoryPlace) -> None:
    with place.create("packs/p") as writer:
        writer.write(b"x")
        DirectoryPlace(place.path).put("packs/q", b"y")
        writer.finish()
    assert place.names() == [Named("packs/p", 1), Named("packs/q", 1)]


def test_a_forked_child_removes_nothing_of_its_parent(place: DirectoryPlace) -> None:
    with place.create("packs/p") as writer:
        child = os.fork()
        if child == 0:
            writer.__exit__(None, None, None)  # type: ignore[attr-defined]
            os._exit(0)
        os.waitpid(child, 0)
        DirectoryPlace(place.path).put("packs/q", b"y")  # nor is the parent's lock gone with it
        writer.write(b"x")
        writer.finish()
    assert place.get("packs/p", 1) == b"x"


class FailingFiles(Files):
    """Whatever is synced fails with this number."""

    def __init__(self, number: int) -> None:
        self.number = number

    def sync(self, fd: int) -> None:
        raise OSError(self.number, os.strerror(self.number))


@pytest.mark.parametrize(
    ("number", "expected"),
    [(errno.EIO, PlaceError), (errno.ENOSPC, PlaceError), (errno.ESTALE, PlaceUnreachableError)],
)
def test_what_cannot_be_written_is_not_there(tmp_path: Path, number: int, expected: type[PlaceError]) -> None:
    place = DirectoryPlace(tmp_path / "place", FailingFiles(number))
    with pytest.raises(PlaceError, match=r"cannot write packs/p in .*: " + os.strerror(number)) as caught:
        place.put("packs/p", b"x")
    assert type(caught.value) is expected
    assert (place.names(), unfinished(place)) == ([], [])


@pytest.fixture
def without_second_names(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(old: Path, *_: object, **__: object) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM), str(old))

    monkeypatch.setattr(os, "link", refuse)


@pytest.mark.usefixtures("without_second_names")
def test_without_either_way_to_name_once_nothing_is_written(
    place: DirectoryPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: object())
    with pytest.raises(PlaceError, match="Function not implemented"):
        place.put("packs/p", b"x")
    assert (place.names(), unfinished(place)) == ([], [])


@pytest.mark.usefixtures("without_second_names")
def test_a_file_system_without_second_names_renames(place: DirectoryPlace) -> None:
    assert place.put("packs/p", b"x")
    assert not place.put("packs/p", b"y")
    assert (place.names(), unfinished(place)) == ([Named("packs/p", 1)], [])


def test_a_file_system_without_locks_is_written_to(place: DirectoryPlace) -> None:
    class LocklessFiles(Files):
        def lock(self, fd: int) -> bool:
            raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    place.put("packs/p", b"x")
    (place.path / UNFINISHED / ("0" * 32)).write_bytes(b"x")
    lockless = DirectoryPlace(place.path, LocklessFiles())
    assert lockless.put("packs/q", b"y")
    assert len(unfinished(place)) == 1  # nobody can tell whether its writer lives
    assert lockless.names() == [Named("packs/p", 1), Named("packs/q", 1)]


@pytest.mark.parametrize("small", [True, False])
def test_pieces_are_hashed_while_the_next_are_made(place: DirectoryPlace, small: bool) -> None:
    """A caller fills one buffer while those before it are in work; small pieces come in between, or none."""
    buffers = [bytearray(ASIDE_BYTES) for _ in range(PIECES_LENT + 1)]
    expected = b""
    with place.create("packs/p") as writer:
        for number in range(40):
            buffer = buffers[number % len(buffers)]
            buffer[:] = bytes([number]) * len(buffer)
            for piece in (memoryview(buffer), bytes([number]))[: 1 + small]:
                writer.write(piece)
                expected += bytes(piece)
        assert writer.finish() == (len(expected), hashlib.sha256(expected).digest())
    assert place.get("packs/p", len(expected)) == expected
    assert [thread for thread in threading.enumerate() if thread.name == "keystore-digest"] == []


def test_pieces_are_written_before_those_before_are_hashed(
    place: DirectoryPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    go, sha256 = threading.Event(), hashlib.sha256

    class Waiting:
        def __init__(self) -> None:
            self._real = sha256()
            self.digest = self._real.digest

        def update(self, data: bytes) -> None:
            assert go.wait(60)
            self._real.update(data)

    monkeypatch.setattr(hashlib, "sha256", Waiting)
    with place.create("packs/p") as writer:
        for _ in range(PIECES_LENT):
            writer.write(bytes(ASIDE_BYTES))
        assert [path.stat().st_size for path in unfinished(place)] == [PIECES_LENT * ASIDE_BYTES]
        go.set()
        assert writer.finish()[1] == sha256(bytes(PIECES_LENT * ASIDE_BYTES)).digest()


@pytest.mark.parametrize("piece", [b"x", bytes(ASIDE_BYTES)])
def test_an_error_of_writing_is_told_at_once_and_nothing_is_left(tmp_path: Path, piece: bytes) -> None:
    class Full(Files):
        def write(self, fd: int, offset: int, data: bytes | bytearray | memoryview) -> None:
            if offset:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            super().write(fd, offset, data)

    place = DirectoryPlace(tmp_path / "place", Full())
    with place.create("packs/p") as writer:
        writer.write(bytes(ASIDE_BYTES))
        with pytest.raises(PlaceError, match=r"cannot write packs/p in .*: No space left"):
            writer.write(piece)
    assert place.names() == []
    assert unfinished(place) == []


def test_the_system_is_told_to_write_out_as_it_goes(tmp_path: Path) -> None:
    class Telling(Files):
        told: ClassVar[list[tuple[int, int]]] = []

        def begin_writing(self, fd: int, offset: int, length: int) -> None:
            super().begin_writing(fd, offset, length)
            self.told.append((offset, length))

    with DirectoryPlace(tmp_path / "place", Telling()).create("packs/p") as writer:
        for _ in range(5):
            writer.write(bytes(WRITTEN_OUT_BYTES // 2))
        writer.finish()
    assert Telling.told == [(0, WRITTEN_OUT_BYTES), (WRITTEN_OUT_BYTES, WRITTEN_OUT_BYTES)]
