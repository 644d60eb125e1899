"""Streams a file into a page store and out of one, in bounded memory, with its SHA-256.

Leaves to others: where the store lies, and when it enters the catalogue.
"""

import contextlib
import hashlib
import io
import os
import secrets
import stat
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, BinaryIO, Self, TypeAlias, cast

from keystore import durable
from keystore.aside import Aside
from keystore.errors import InputError, NodeIOError, PageRangeError, PathMissingError, PathTakenError
from keystore.keys.files import Files
from keystore.node.places import require_outside
from keystore.pages.file import EncryptedFile
from keystore.pages.store import PageStore
from keystore.progress import Progress, untold

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

Source: TypeAlias = str | os.PathLike[str] | BinaryIO

CHUNK_BYTES = 1 << 20
"""LIMIT: bytes of each of two buffers: one is hashed while the other is filled."""
WRITTEN_OUT_BYTES = 16 << 20
"""Bytes after which the system is told to write them out, so that the disk works while we do."""


def copy_in(store: PageStore, source: BinaryIO, progress: Progress | None = None) -> tuple[int, str]:
    """Write everything that `source` gives into `store`, which is empty, durably.

    Returns:
        The number of bytes and their SHA-256, hexadecimal.
    """
    total = _size(source)
    with _Copied(progress, total) as copied, closing(_chunks(source, copied)) as chunks:
        if total:
            pages = store.fill((_padded(*each, store.page_size) for each in chunks), room=-(-total // store.page_size))
            store.commit(page_count=pages, byte_length=copied.byte_length)
        else:  # a pipe: who waits for what comes next must not keep others from closing the store
            file = EncryptedFile(store)
            for buffer, count in chunks:
                write_all(file, buffer[:count])
            file.flush()
        return copied.byte_length, copied.sha256()


def copy_out(store: PageStore, target: BinaryIO, progress: Progress | None = None) -> tuple[int, str]:
    """Write everything in `store` to `target`.

    Returns:
        The number of bytes and their SHA-256, hexadecimal.

    Raises:
        StoreDamagedError: a page is damaged; what came before it was written.
    """
    total, size = store.byte_length, store.page_size
    with _Copied(progress, total) as copied:
        for start in range(0, total, CHUNK_BYTES):
            buffer, count = copied.buffer(), min(CHUNK_BYTES, total - start)
            _read_pages(store, start // size, buffer[: -(-count // size) * size])
            copied.hash(buffer[:count])
            write_all(target, buffer[:count])
        return copied.byte_length, copied.sha256()


class _Copied:
    """What was copied so far: its digest, its length, and two buffers that are wiped at the end."""

    def __init__(self, progress: Progress | None, total: int) -> None:
        self._progress, self._total = progress or untold, total
        self._digest, self._hashing = hashlib.sha256(), Aside("keystore-digest")
        self._buffers = [memoryview(bytearray(CHUNK_BYTES)) for _ in range(2)]
        self.byte_length = 0

    def buffer(self) -> memoryview:
        """Return the buffer that is not being hashed; tells how far the copy is."""
        if self.byte_length:
            self._progress(self.byte_length, max(self.byte_length, self._total))
        self._buffers.reverse()
        return self._buffers[0]

    def hash(self, part: memoryview) -> None:
        """Begin to hash `part`, which must stay as it is until `buffer` was called twice."""
        self._hashing.begin(partial(self._digest.update, part))
        self.byte_length += len(part)

    def sha256(self) -> str:
        """Return the digest of all of it, hexadecimal."""
        self._hashing.wait()
        if self.byte_length:
            self._progress(self.byte_length, max(self.byte_length, self._total))
        return self._digest.hexdigest()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        self._hashing.close()
        for buffer in self._buffers:
            buffer[:] = bytes(len(buffer))


def _chunks(source: BinaryIO, copied: _Copied) -> Generator[tuple[memoryview, int], None, None]:
    """Yield buffers, and how much of each was read; all but the last are full."""
    while True:
        buffer, count = copied.buffer(), 0
        while count < len(buffer) and (more := _read_into(source, buffer[count:])):
            count += more
        if not count:
            return
        copied.hash(buffer[:count])
        yield buffer, count
        if count < len(buffer):
            return


def _padded(buffer: memoryview, count: int, page_size: int) -> memoryview:
    """Return the whole pages that `count` bytes of a buffer take, zeros after them."""
    end = -(-count // page_size) * page_size
    buffer[count:end] = bytes(end - count)
    return buffer[:end]


def _read_pages(store: PageStore, first: int, buffer: memoryview) -> None:
    """Fill `buffer` with pages; beyond the last one there are zeros, also where the store is cut meanwhile."""
    there = len(buffer)
    while there := min(there, max(0, store.page_count - first) * store.page_size):
        try:
            store.read_range_into(first, buffer[:there])
            break
        except PageRangeError:
            there -= store.page_size  # it was cut in between
    buffer[there:] = bytes(len(buffer) - there)


@contextmanager
def reading(source: Source) -> Iterator[BinaryIO]:
    """Open `source` for reading where it is a path; an object that is open already stays open.

    Raises:
        PathMissingError: it is not there.
        InputError: it cannot be opened, or is a directory.
        NodeIOError: reading failed.
    """
    try:
        if not isinstance(source, str | os.PathLike):
            yield source
            return
        with _open_source(Path(source)) as file:
            yield file
    except OSError as error:
        raise NodeIOError(f"reading failed: {error.strerror or error}. Nothing was imported; try again.") from error


class _WrittenOut(io.FileIO):
    """A file that is written from its beginning on, and written out as it grows."""

    _begun = 0

    def write(self, data: "ReadableBuffer", /) -> int:
        count = super().write(data)
        end = self.tell()
        if end - self._begun >= WRITTEN_OUT_BYTES:
            durable.begin_writing(self.fileno(), self._begun, end - self._begun)
            self._begun = end
        return count


@contextmanager
def writing(path: Path, *, overwrite: bool) -> Iterator[BinaryIO]:
    """Give a file that becomes `path` when the block ends well, and otherwise never was.

    A symbolic link is followed, also one that leads to nothing yet, which needs `overwrite`.

    Raises:
        PathTakenError: something is at `path`, and `overwrite` is not set or it is no regular file; it is unchanged.
        PathMissingError, InputError: `path` cannot be written, or is inside a node or a snapshot.
        NodeIOError: writing failed; what was at `path` is unchanged.
    """
    place, former = _find_place(path, overwrite=overwrite)
    # A name of its own: one made of the target's could be longer than a name can be.
    temporary = place.with_name(f".keystore-export-{secrets.token_hex(8)}")
    files, process = Files(), os.getpid()
    try:
        fd = files.create(temporary)
    except (FileNotFoundError, NotADirectoryError):
        raise PathMissingError.parent_of(path) from None
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}. Nothing was exported.") from None
    try:
        # Unbuffered: a forked child that unwinds must have nothing to write into the parent's file.
        with _WrittenOut(fd, "wb") as file:
            yield cast(BinaryIO, file)
            if former is not None:
                _keep_access(fd, former)
            files.sync(fd)
        files.rename(temporary, place)
        files.sync_directory(place.parent)
    except BaseException as error:
        if os.getpid() == process:  # a forked child leaves the parent's work alone
            files.remove(temporary)
        if not isinstance(error, OSError):
            raise
        raise NodeIOError(
            f"{path} could not be written: {error.strerror}. What was there is unchanged; make space or give write "
            "access, and export again."
        ) from error


def _find_place(path: Path, *, overwrite: bool) -> tuple[Path, os.stat_result | None]:
    """Return where the file goes, symbolic links followed, and the status of the one that it replaces."""
    try:
        place = Path(os.path.realpath(path))
        former = place.stat() if os.path.lexists(place) else None
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}. Nothing was exported.") from None
    if former is not None and not stat.S_ISREG(former.st_mode):
        raise PathTakenError(
            f"{path} is no regular file, and is unchanged. Nothing was exported; choose another place, or export to "
            "standard output (-)."
        )
    if not overwrite and os.path.lexists(path):
        raise PathTakenError(
            f"{path} exists and is unchanged; choose another place, or allow to overwrite it (--overwrite)."
        )
    require_outside(place, "file")
    return place, former


def _keep_access(fd: int, former: os.stat_result) -> None:
    """Give a new file the owner and mode of the one that it replaces, as far as we may."""
    with contextlib.suppress(PermissionError):
        os.fchown(fd, former.st_uid, former.st_gid)
    os.fchmod(fd, former.st_mode & 0o777)


def _open_source(path: Path) -> BinaryIO:
    try:
        file = path.open("rb", buffering=0)
    except (FileNotFoundError, NotADirectoryError):
        raise PathMissingError(f"there is no file {path}. Nothing was imported; check the path.") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}. Nothing was imported.") from None
    return file


def _size(source: BinaryIO) -> int:
    try:
        status = os.fstat(source.fileno())
    except (OSError, AttributeError):
        return 0
    return status.st_size if stat.S_ISREG(status.st_mode) else 0


def _read_into(source: BinaryIO, buffer: memoryview) -> int:
    readinto = getattr(source, "readinto", None)
    if readinto is not None:
        return int(readinto(buffer) or 0)
    data = source.read(len(buffer))
    buffer[: len(data)] = data
    return len(data)


def write_all(file: BinaryIO | EncryptedFile, data: memoryview) -> None:
    """Write all of `data`, however little of it each write takes."""
    done = 0
    while done < len(data):
        done += file.write(data[done:]) or 0
