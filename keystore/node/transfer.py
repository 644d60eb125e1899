"""Streams a file into a page store and out of one, in bounded memory, with its SHA-256.

Leaves to others: where the store lies, and when it enters the catalogue.
"""

import contextlib
import hashlib
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, TypeAlias, cast

from keystore.errors import InputError, NodeIOError, PathMissingError, PathTakenError
from keystore.keys.files import Files
from keystore.node.places import require_outside
from keystore.pages.file import EncryptedFile
from keystore.pages.store import PageStore
from keystore.progress import Progress

Source: TypeAlias = str | os.PathLike[str] | BinaryIO

CHUNK_BYTES = 1 << 20
"""LIMIT: bytes held at once; larger ones are not faster, smaller ones cost calls."""


def copy_in(store: PageStore, source: BinaryIO, progress: Progress | None = None) -> tuple[int, str]:
    """Write everything that `source` gives into `store`, durably.

    Returns:
        The number of bytes and their SHA-256, hexadecimal.
    """
    digest, done, total = hashlib.sha256(), 0, _size(source)
    buffer = bytearray(CHUNK_BYTES)
    file = EncryptedFile(store)
    while True:
        chunk = memoryview(buffer)[: _read_into(source, buffer)]
        if not chunk:
            break
        digest.update(chunk)
        write_all(file, chunk)
        done += len(chunk)
        if progress is not None:
            progress(done, max(done, total))
    file.flush()
    return done, digest.hexdigest()


def copy_out(store: PageStore, target: BinaryIO, progress: Progress | None = None) -> tuple[int, str]:
    """Write everything in `store` to `target`.

    Returns:
        The number of bytes and their SHA-256, hexadecimal.

    Raises:
        StoreDamagedError: a page is damaged; what came before it was written.
    """
    digest, done, total = hashlib.sha256(), 0, store.byte_length
    buffer = bytearray(CHUNK_BYTES)
    file = EncryptedFile(store)
    while count := file.readinto(buffer):
        chunk = memoryview(buffer)[:count]
        digest.update(chunk)
        write_all(target, chunk)
        done += count
        if progress is not None:
            progress(done, total)
    return done, digest.hexdigest()


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
        with os.fdopen(fd, "wb", buffering=0) as file:
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
        raise PathTakenError(f"{path} exists and is unchanged; choose another place, or allow to overwrite it.")
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


def _read_into(source: BinaryIO, buffer: bytearray) -> int:
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
