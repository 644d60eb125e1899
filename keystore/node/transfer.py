"""Streams a file into a page store and out of one, in bounded memory, with its SHA-256.

Leaves to others: where the store lies, and when it enters the catalogue.
"""

import hashlib
import os
import secrets
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, TypeAlias

from keystore.errors import InputError, NodeIOError
from keystore.keys.files import Files
from keystore.pages.file import EncryptedFile
from keystore.pages.store import PageStore

Source: TypeAlias = str | os.PathLike[str] | BinaryIO
Progress: TypeAlias = Callable[[int, int], None]
"""``(bytes done, bytes in all)``; 0 in all where nobody knows."""

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
        _write_all(file, chunk)
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
        _write_all(target, chunk)
        done += count
        if progress is not None:
            progress(done, total)
    return done, digest.hexdigest()


@contextmanager
def reading(source: Source) -> Iterator[BinaryIO]:
    """Open `source` for reading where it is a path; an object that is open already stays open.

    Raises:
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

    Raises:
        InputError: something is at `path`, and `overwrite` is not set; or `path` cannot be written.
        NodeIOError: writing failed; what was at `path` is unchanged.
    """
    if path.is_dir() or (path.exists() and not overwrite):
        raise InputError(f"{path} exists and is unchanged; choose another place, or allow to overwrite it")
    temporary = path.with_name(f".{path.name[:200]}.{secrets.token_hex(8)}")
    files = Files()
    try:
        fd = files.create(temporary)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}. Nothing was exported.") from None
    try:
        with os.fdopen(fd, "wb") as file:
            yield file
            file.flush()
            files.sync(fd)
        files.rename(temporary, path)
        files.sync_directory(path.parent)
    except OSError as error:
        files.remove(temporary)
        raise NodeIOError(f"{path} could not be written: {error.strerror}. What was there is unchanged.") from error
    except BaseException:
        files.remove(temporary)
        raise


def _open_source(path: Path) -> BinaryIO:
    try:
        file = path.open("rb", buffering=0)
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


def _write_all(file: BinaryIO | EncryptedFile, data: memoryview) -> None:
    done = 0
    while done < len(data):
        done += file.write(data[done:]) or 0
