"""AWS's lists in pages. A marker is opaque, and good only for the list it came from: same operation, Region and key."""

import base64
import binascii
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from kms_emulator.wire.aws.errors import aws_error, validation
from kms_emulator.wire.call import Call
from kms_emulator.wire.paging import page

_DIGEST_BYTES = 8

Item = TypeVar("Item")


@dataclass(frozen=True)
class Page(Generic[Item]):
    """Some items of a list, and the marker of the next page, None if this is the last."""

    items: list[Item]
    next_marker: str | None

    @property
    def truncated(self) -> bool:
        return self.next_marker is not None


@dataclass(frozen=True)
class Wanted:
    """What a caller asked for: at most so many items (0 for as many as the list gives), after a marker."""

    limit: int
    marker: str
    default: int
    most: int

    def count(self) -> int:
        """Return the page's length; ValidationException if the caller asked for more than the list gives."""
        if self.limit > self.most:
            raise validation("limit", f"have value less than or equal to {self.most}")
        return self.limit or self.default


def aws_page(call: Call, place: str, items: Sequence[Item], name: Callable[[Item], str], wanted: Wanted) -> Page[Item]:
    """Return the wanted page of `items`, which are in the order of `name`; `place` is all that chose the items.

    Raises:
        CloudError: InvalidMarkerException.
    """
    origin = f"{call.operation} {place}"
    count = wanted.count()
    after = _read(origin, wanted.marker) if wanted.marker else ""
    found, following = page(items, name, after, count)
    return Page(found, _write(origin, following) if following else None)


def _write(origin: str, after: str) -> str:
    return base64.urlsafe_b64encode(_digest(origin, after) + after.encode()).decode("ascii")


def _read(origin: str, marker: str) -> str:
    try:
        found = base64.urlsafe_b64decode(marker.encode("ascii"))
        after = found[_DIGEST_BYTES:].decode()
    except (UnicodeError, binascii.Error):
        raise _bad_marker() from None
    if found[:_DIGEST_BYTES] != _digest(origin, after):
        raise _bad_marker()
    return after


def _bad_marker() -> Exception:
    return aws_error("InvalidMarkerException", "Could not deserialize marker")


def _digest(origin: str, after: str) -> bytes:
    """Return what tells a marker of this list from all others; it guards nothing."""
    return hashlib.sha256(f"{len(origin)} {origin} {after}".encode()).digest()[:_DIGEST_BYTES]
