"""What a place of objects promises, whatever it is made of.

Leaves to others: what the objects say, and that they are what was written (their seals and digests tell).

Invariants:
1. An object never changes. Its name is written once, whoever else writes at the same time; then it is there or removed.
2. An object is there whole or not at all. What a killed writer leaves is never listed and never read.
3. What a call wrote is durable when the call returns.
"""

import re
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from keystore.errors import InputError

NAME_CHARACTERS_MAX = 200
"""LIMIT: characters of a name; a part of one is a file name (255 bytes), a whole one a key of a bucket (1024)."""
PIECES_LENT = 3
"""LIMIT: pieces of an object that its writer may still be reading. Who uses buffers again has one more of them."""
_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*")


@dataclass(frozen=True, order=True)
class Named:
    """An object of a place."""

    name: str
    byte_length: int


class ObjectWriter(Protocol):
    """An object being written. Errors are of type `PlaceError`."""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Append `data`, which must stay as it is until `PIECES_LENT` more calls, or `finish`, have returned."""
        ...

    def finish(self) -> tuple[int, bytes]:
        """Let the object appear, whole and durable; return its length in bytes and its SHA-256.

        Raises:
            ObjectExistsError: something has the name, and is unchanged.
        """
        ...


class ObjectReader(Protocol):
    """An object open for reading, by several threads at once if need be. Errors are of type `PlaceError`."""

    @property
    def byte_length(self) -> int: ...

    def read_at(self, offset: int, buffer: memoryview) -> None:
        """Fill `buffer` from `offset` on.

        Raises:
            ObjectDamagedError: the object ends before that.
        """
        ...

    def read_ranges(self, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        """Return the bytes of each (offset, length), in as few requests as are sensible; errors as in `read_at`."""
        ...


class Place(Protocol):
    """A place of objects; `str` of one is what a person typed. Errors are of type `PlaceError`.

    A name is parts between slashes; a part has letters, digits and `._-` and begins with no dot (`require_name`). Who
    writes `a/b` writes no `a`: a directory cannot have both.
    """

    def names(self, prefix: str = "") -> list[Named]:
        """Return all objects whose names begin with `prefix`, which is empty or ends with a slash; ascending by name.

        Raises:
            PlaceMissingError: there is no such directory or bucket.
        """
        ...

    def put(self, name: str, data: bytes) -> bool:
        """Write an object, durably; return False, and change nothing, where the name has other bytes.

        Where it has the same bytes the answer is True: it may be our own write, whose answer was lost.

        Raises:
            PlaceUnreachableError: nobody knows whether it was written; the same call again tells.
        """
        ...

    def create(self, name: str) -> AbstractContextManager[ObjectWriter]:
        """Begin an object of any length; it appears when the writer is told to finish, and never if it is not told."""
        ...

    def get(self, name: str, bytes_max: int) -> bytes:
        """Return a whole object.

        Raises:
            ObjectMissingError: there is none of that name.
            ObjectDamagedError: it has more than `bytes_max` bytes, and was not read.
        """
        ...

    def open(self, name: str) -> AbstractContextManager[ObjectReader]:
        """Open an object for reading parts of it.

        Raises:
            ObjectMissingError: there is none of that name.
        """
        ...

    def length(self, name: str) -> int | None:
        """Return the length of an object in bytes; None where there is none of that name."""
        ...

    def remove(self, name: str) -> None:
        """Remove an object, durably, if it is there."""
        ...


def is_name(name: str) -> bool:
    """Tell whether an object can have this name; whatever else lies in a place is not ours."""
    return len(name) <= NAME_CHARACTERS_MAX and _NAME.fullmatch(name) is not None


def require_name(name: str) -> str:
    """Return `name` if it can be the name of an object.

    Raises:
        InputError: it cannot.
    """
    if not is_name(name):
        raise InputError(f"{name[:NAME_CHARACTERS_MAX]!r} cannot be the name of an object. Nothing was changed.")
    return name


def require_prefix(prefix: str) -> str:
    """Return `prefix` if names can begin with it; errors as in `require_name`."""
    if prefix and not prefix.endswith("/"):
        raise InputError(f"{prefix!r} ends with no slash: no names are listed by it. Nothing was changed.")
    return prefix and require_name(prefix.removesuffix("/")) + "/"
