"""Reads fields, one after the other, from bytes that somebody may have changed; no length is trusted unchecked."""

import struct
from typing import Any

FIELD_BYTES_MAX = 1 << 16
"""LIMIT: bytes of one field with a length of its own; far above a key URI (2048) or a wrapped key (a few hundred)."""


class NotDecodableError(Exception):
    """The bytes do not have the layout that was expected; the text says where."""


class Cursor:
    """A place in `data` that moves on with every read; nothing is read twice and nothing is skipped."""

    __slots__ = ("_at", "_data")

    def __init__(self, data: bytes | bytearray | memoryview) -> None:
        self._data = memoryview(data)
        self._at = 0

    @property
    def at(self) -> int:
        return self._at

    def take(self, length: int, what: str) -> bytes:
        """Return the next `length` bytes.

        Raises:
            NotDecodableError: fewer are left.
        """
        return bytes(self.view(length, what))

    def view(self, length: int, what: str) -> memoryview:
        """Return the next `length` bytes uncopied, for key bytes whose buffer the caller wipes.

        Raises:
            NotDecodableError: fewer are left.
        """
        if length > len(self._data) - self._at:
            raise NotDecodableError(f"it ends inside {what}: {length} bytes at {self._at}, {len(self._data)} in all")
        self._at += length
        return self._data[self._at - length : self._at]

    def unpack(self, layout: struct.Struct, what: str) -> tuple[Any, ...]:
        return layout.unpack(self.take(layout.size, what))

    def field(self, what: str) -> bytes:
        """Return the next field: a length (u32, little-endian), then that many bytes."""
        length = int.from_bytes(self.take(4, what), "little")
        if length > FIELD_BYTES_MAX:
            raise NotDecodableError(f"{what} claims {length} bytes; at most {FIELD_BYTES_MAX} are allowed")
        return self.take(length, what)

    def text(self, what: str) -> str:
        """Return the next field as text (UTF-8)."""
        try:
            return self.field(what).decode()
        except UnicodeDecodeError:
            raise NotDecodableError(f"{what} is not UTF-8") from None

    def count(self, what: str, row_bytes_min: int) -> int:
        """Return the next u32 as a number of rows of which each takes at least `row_bytes_min` of what is left."""
        rows = int.from_bytes(self.take(4, what), "little")
        if rows * row_bytes_min > len(self._data) - self._at:
            raise NotDecodableError(f"{rows} {what} do not fit into the {len(self._data) - self._at} bytes that follow")
        return rows

    def end(self) -> None:
        """Raises `NotDecodableError` unless everything was read."""
        if self._at != len(self._data):
            raise NotDecodableError(f"{len(self._data) - self._at} bytes follow where it should end")


def encode_field(field: bytes) -> bytes:
    """Return `field` behind its length (u32, little-endian).

    Raises:
        ValueError: it is longer than `FIELD_BYTES_MAX`.
    """
    if len(field) > FIELD_BYTES_MAX:
        raise ValueError(f"a field has {len(field)} bytes; at most {FIELD_BYTES_MAX} are allowed")
    return len(field).to_bytes(4, "little") + field
