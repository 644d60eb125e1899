"""A place of objects in a directory of this machine, or of a share that is mounted here.

    ROOT/<name>                 an object; the slashes of its name are directories
    ROOT/.unfinished/<32 hex>   an object being written, locked by its writer

A name appears as a second name of a file that is whole and durable, or by a rename that replaces nothing; then
`.unfinished` has it no more. Directories stay when their last object goes.

CRASH: leaves a file in `.unfinished`, which no listing shows. Its lock went with its writer, so the next place object
that writes or removes here takes the lock, which tells that nobody writes it, and removes it. On file systems without
locks such files stay.
"""

import errno
import hashlib
import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

from keystore.aside import Aside
from keystore.errors import (
    ObjectDamagedError,
    ObjectExistsError,
    ObjectMissingError,
    PlaceError,
    PlaceMissingError,
    PlaceUnreachableError,
)
from keystore.keys.files import Files
from keystore.objects.place import (
    PIECES_LENT,
    Named,
    ObjectReader,
    ObjectWriter,
    is_name,
    require_name,
    require_prefix,
)

UNFINISHED = ".unfinished"
ASIDE_BYTES = 1 << 16
"""Bytes from which on a piece is hashed beside what the caller does next; less is done sooner than handed over."""
WRITTEN_OUT_BYTES = 4 << 20
"""Bytes after which the system is told to write them out, so that the disk works while we do."""
_TRIES = 16
"""LIMIT: names tried for an unfinished object; another one is taken where somebody who clears up was faster."""
_NO_LOCKS = {errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS}
_UNREACHABLE = {
    errno.ECONNABORTED,
    errno.ECONNREFUSED,
    errno.ECONNRESET,
    errno.EHOSTDOWN,
    errno.EHOSTUNREACH,
    errno.ENETUNREACH,
    errno.ENOTCONN,
    errno.ESTALE,
    errno.ETIMEDOUT,
}
"""What a mounted share says when its server is away."""


class DirectoryPlace:
    """A directory."""

    def __init__(
        self, path: str | os.PathLike[str], files: Files | None = None, *, text: str = "", made: bool = True
    ) -> None:
        """Of what is there nothing is asked yet.

        Args:
            files: does what has to be durable.
            text: what a person typed, if not the path.
            made: whether the directory is made, by the first write, where it is missing and its parent is there.
        """
        self._text = text or os.fspath(path)
        self.path = Path(path).absolute()
        self._files = files or Files()
        self._made = made
        self._durable: set[Path] = set()
        self._tidy = False

    def __str__(self) -> str:
        return self._text

    def names(self, prefix: str = "") -> list[Named]:
        parts = require_prefix(prefix)
        found: list[Named] = []
        with self._errors("list", prefix or "objects"):
            self._require_root()
            waiting = [parts]
            while waiting:
                inside = waiting.pop()
                with suppress(FileNotFoundError, NotADirectoryError):
                    for entry in self._files.entries(self.path / inside):
                        name = inside + entry.name
                        if not is_name(name):
                            continue
                        if entry.byte_length is None:
                            waiting.append(f"{name}/")
                        else:
                            found.append(Named(name, entry.byte_length))
        return sorted(found)

    def put(self, name: str, data: bytes) -> bool:
        try:
            with self.create(name) as writer:
                writer.write(data)
                writer.finish()
        except ObjectExistsError:
            return self._has(name, data)
        return True

    def create(self, name: str) -> AbstractContextManager[ObjectWriter]:
        return _Writer(self, self._files, require_name(name))

    def get(self, name: str, bytes_max: int) -> bytes:
        with self._errors("read", name):
            data = self._files.read(self._path(name), bytes_max)
        if len(data) > bytes_max:
            raise ObjectDamagedError(
                f"{name} in {self} has more than {bytes_max} bytes: no such object has. Nothing was changed."
            )
        return data

    @contextmanager
    def open(self, name: str) -> Iterator[ObjectReader]:
        with self._errors("read", name):
            fd, byte_length = self._files.open_to_read(self._path(name))
        try:
            yield _Reader(self, self._files, name, fd, byte_length)
        finally:
            self._files.close(fd)

    def length(self, name: str) -> int | None:
        try:
            with self.open(name) as reader:
                return reader.byte_length
        except ObjectMissingError:
            return None

    def remove(self, name: str) -> None:
        path = self._path(name)
        with self._errors("remove", name):
            self._clear_up()
            with suppress(FileNotFoundError, NotADirectoryError):
                self._files.remove(path)
                self._files.sync_directory(path.parent)

    def _path(self, name: str) -> Path:
        return self.path / require_name(name)

    def _require_root(self) -> None:
        try:
            self._files.entries(self.path)
        except (FileNotFoundError, NotADirectoryError):
            raise PlaceMissingError(f"{self} is not there: there is no such directory. Nothing was changed.") from None

    def _has(self, name: str, data: bytes) -> bool:
        """Tell whether an object has these bytes; if so it is durable, whoever wrote it."""
        path = self._path(name)
        with self._errors("write", name):
            fd, byte_length = self._files.open_to_read(path)
            try:
                found = bytearray(len(data))
                if byte_length != len(data) or self._files.read_into(fd, 0, memoryview(found)) != len(data):
                    return False
                if found != data:
                    return False
                self._files.sync(fd)
            finally:
                self._files.close(fd)
            self._files.sync_directory(path.parent)
        return True

    def _make(self, directory: Path) -> None:
        """Make a directory of this place, durably, with those above it."""
        if directory in self._durable:
            return
        if directory == self.path and not self._made:
            self._require_root()
        elif directory == self.path:
            self._make_root()
        else:
            self._make(directory.parent)
            self._files.make_directory(directory)
            # CRASH: also where it was there: who made it may have died before its name was durable.
            self._files.sync_directory(directory.parent)
        self._durable.add(directory)

    def _make_root(self) -> None:
        try:
            self._files.make_directory(self.path)
        except FileNotFoundError:
            raise PlaceMissingError(
                f"{self} cannot be made: its directory is missing. Nothing was changed; make the directory first."
            ) from None
        except FileExistsError:
            raise PlaceError(f"{self} is a file, not a directory. Nothing was changed; choose another place.") from None
        with suppress(PermissionError):  # a parent that may not be read is none that we made it in
            self._files.sync_directory(self.path.parent)

    def _begin(self) -> tuple[Path, int]:
        """Make a file for an unfinished object, and lock it; return its path and descriptor."""
        directory = self.path / UNFINISHED
        self._make(directory)
        self._clear_up()
        for _ in range(_TRIES):
            path = directory / secrets.token_hex(16)
            fd = self._files.create(path)
            if self._lock(fd):
                return path, fd
            self._files.close(fd)
        raise OSError(errno.EBUSY, "what was begun is removed at once", str(directory))

    def _lock(self, fd: int) -> bool:
        try:
            return self._files.lock(fd)
        except OSError as error:
            if error.errno in _NO_LOCKS:
                return True  # then nobody removes it either
            raise

    def _clear_up(self) -> None:
        """Remove what killed writers left, once in the life of this object; what cannot be removed stays."""
        if self._tidy:
            return
        self._tidy = True
        directory = self.path / UNFINISHED
        with suppress(OSError):
            for entry in self._files.entries(directory):
                if entry.byte_length is not None:
                    with suppress(OSError):
                        self._remove_if_dead(directory / entry.name)

    def _remove_if_dead(self, path: Path) -> None:
        fd = self._files.open(path)
        try:
            if self._files.lock(fd):
                self._files.remove(path)
        finally:
            self._files.close(fd)

    @contextmanager
    def _errors(self, action: str, what: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if action == "read" and isinstance(error, FileNotFoundError | NotADirectoryError):
                raise ObjectMissingError(f"{self} has no object {what}. Nothing was changed.") from None
            kind = PlaceUnreachableError if error.errno in _UNREACHABLE else PlaceError
            raise kind(
                f"cannot {action} {what} in {self}: {error.strerror or error}. No object was changed."
            ) from error


class _Writer:
    def __init__(self, place: DirectoryPlace, files: Files, name: str) -> None:
        self._place, self._files, self._name = place, files, name
        self._target = place.path / name
        self._digest, self._bytes, self._written_out = hashlib.sha256(), 0, 0
        self._hashing = Aside("keystore-digest", PIECES_LENT)
        self._process = os.getpid()

    def __enter__(self) -> Self:
        with self._errors():
            self._path, self._fd = self._place._begin()
        return self

    def write(self, data: bytes | bytearray | memoryview) -> None:
        with self._errors():
            self._put(data)
            if len(data) < ASIDE_BYTES and self._hashing.idle:
                self._digest.update(data)
            else:
                self._hashing.begin(partial(self._digest.update, data))

    def _put(self, data: bytes | bytearray | memoryview) -> None:
        self._files.write(self._fd, self._bytes, data)
        self._bytes += len(data)
        if self._bytes - self._written_out >= WRITTEN_OUT_BYTES:
            self._files.begin_writing(self._fd, self._written_out, self._bytes - self._written_out)
            self._written_out = self._bytes

    def finish(self) -> tuple[int, bytes]:
        with self._errors():
            self._files.sync(self._fd)
            self._hashing.wait()
            self._place._make(self._target.parent)
            try:
                self._files.name_once(self._path, self._target)
            except FileExistsError:
                raise ObjectExistsError(
                    f"{self._place} has an object {self._name} already. It is unchanged; no object is written twice."
                ) from None
            self._files.remove(self._path)
            self._files.sync_directory(self._target.parent)
        return self._bytes, self._digest.digest()

    def __exit__(self, kind: type[BaseException] | None, value: object, traceback: TracebackType | None) -> None:
        if os.getpid() == self._process:  # a child that was forked meanwhile removes nothing of its parent's
            with suppress(OSError):
                self._files.remove(self._path)
        try:
            self._hashing.close()
        finally:
            self._files.close(self._fd)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        with self._place._errors("write", self._name):
            yield


class _Reader:
    def __init__(self, place: DirectoryPlace, files: Files, name: str, fd: int, byte_length: int) -> None:
        self._place, self._files, self._name, self._fd = place, files, name, fd
        self.byte_length = byte_length

    def read_at(self, offset: int, buffer: memoryview) -> None:
        with self._place._errors("read", self._name):
            count = self._files.read_into(self._fd, offset, buffer)
        if count != len(buffer):
            raise ObjectDamagedError(
                f"{self._name} in {self._place} ends at {offset + count} of {offset + len(buffer)} bytes. Nothing was "
                "changed."
            )

    def read_ranges(self, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        return [self._read(offset, length) for offset, length in ranges]

    def _read(self, offset: int, length: int) -> bytes:
        buffer = bytearray(length)
        self.read_at(offset, memoryview(buffer))
        return bytes(buffer)
