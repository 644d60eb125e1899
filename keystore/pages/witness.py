"""Who is told of the commits of a store, and what it is told; the point-in-time log of a node is one.

Leaves to others: when a store tells (`handover`), and what becomes of it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from keystore.format.record import SessionRecord

TagAt = Callable[[int], bytes | None]
"""Gives the tag of a record by its sequence; None where the chain at hand does not tell."""


@dataclass(frozen=True)
class Moment:
    """A state of a store: the number of an opening, and number and tag of the last record."""

    epoch: int
    sequence: int
    tag: bytes


@dataclass(frozen=True)
class Committed:
    """One commit record that is durable.

    Attributes:
        previous_tag: of the record before; so a row of records without a hole can be told.
        changes: an array of `record.CHANGE`; slots mean nothing, an entry of zeros is a page that became a hole.
        sessions: those that `changes` names.
        ciphertext: the pages of `changes` that are no holes, in their order; None where nobody had room for them.
        readable: without ciphertext: whether that was all; else a page of it does not open any more.
    """

    sequence: int
    time_ns: int
    previous_tag: bytes
    tag: bytes
    page_count: int
    byte_length: int
    changes: npt.NDArray[np.void]
    sessions: tuple[SessionRecord, ...]
    ciphertext: bytes | None
    readable: bool = True


class Witness(Protocol):
    """Is told of the commits of one store, under the store's lock. Nothing here waits for a disk or raises."""

    def next_time(self, floor_ns: int) -> int:
        """Return the time of the next record, at least `floor_ns` and later than every one given before."""

    def refused(self) -> None:
        """Note that there will be no record of the time that was given last; nothing of it is on the disk."""

    def takes(self, byte_count: int) -> bool:
        """Tell whether there is room for a commit of so many bytes of pages; what has no room is not kept for it."""

    def committed(self, commit: Committed) -> None:
        """Take a commit that is durable."""

    def known(self, first: int, last: int, tag_at: TagAt) -> int:
        """Return the number of the last record of `first` to `last` that needs no telling, or `first`."""

    def opened(self, at: Moment) -> None:
        """Note that the store was opened at `at`, and tells of every commit from here on."""

    def closed(self, at: Moment, *, settled: bool) -> None:
        """Note that the store was closed at `at`; unless `settled`, nobody knows whether a later record is durable."""
