"""The state part of a log segment: how far the log is, after this segment (docs/FORMAT.md, "Point-in-time log").

The node reads it back from its last segment, to go on; a restore reads it to learn what the log vouches for. It holds
no key and no name.
"""

import struct
from dataclasses import dataclass, field
from enum import IntEnum
from itertools import pairwise
from typing import Final

from keystore.format.cursor import Cursor, NotDecodableError

GAPS_MAX: Final = 256
"""LIMIT: gaps that a state names; older ones are left out, and are told by the chain of records all the same."""

_FIXED = struct.Struct("<Q")
_DATABASE = struct.Struct("<16sB")
_STORE = struct.Struct("<16sBQQ16sQ")
_GAP = struct.Struct("<16sBQQQQ")

_ENTERED, _CLOSED, _CERTAIN = 1, 2, 4


class GapReason(IntEnum):
    """Why commits are not in the log."""

    LAG = 1
    """More was committed than the archiver may hold back."""
    KILLED = 2
    """The process ended before they were archived, and the record chain had them no more at the next opening."""
    KEY_GONE = 3
    """Their data key was destroyed before they were archived."""
    UNREADABLE = 4
    """A page of the chain that a killed process left does not open."""
    UNKNOWN = 5
    """The store was at another commit than the log when it was opened: changed elsewhere, or put back."""


@dataclass(frozen=True)
class StorePosition:
    """How far the log is with one store.

    Attributes:
        entered: it is in the catalogue.
        closed: it was closed at this position, under opening `epoch`; until a later opening nothing is committed.
        certain: the log vouches that there is no later commit before the segment's settled time.
        time_ns: of the last record; 0 where none is known.
    """

    store_id: bytes
    epoch: int
    sequence: int
    tag: bytes
    time_ns: int = 0
    entered: bool = False
    closed: bool = False
    certain: bool = True


@dataclass(frozen=True)
class Gap:
    """Commits of a store that are not in the log: after `from_sequence`, up to `to_sequence` (0: not known)."""

    store_id: bytes
    reason: GapReason
    from_sequence: int
    to_sequence: int
    from_ns: int
    to_ns: int


@dataclass(frozen=True)
class LogState:
    """What a segment says of the log.

    Attributes:
        clock_ns: the latest time that was given to a record or event.
        databases: ids of the databases that have a data key.
    """

    clock_ns: int
    databases: frozenset[bytes] = frozenset()
    stores: dict[bytes, StorePosition] = field(default_factory=dict)
    gaps: tuple[Gap, ...] = ()

    def encode(self) -> bytes:
        parts = [_FIXED.pack(self.clock_ns), _count(len(self.databases)), *sorted(self.databases)]
        parts.append(_count(len(self.stores)))
        parts += [_encode_position(self.stores[store_id]) for store_id in sorted(self.stores)]
        parts.append(_count(len(self.gaps)))
        parts += [
            _GAP.pack(gap.store_id, gap.reason, gap.from_sequence, gap.to_sequence, gap.from_ns, gap.to_ns)
            for gap in self.gaps
        ]
        return b"".join(parts)

    @classmethod
    def decode(cls, data: bytes | bytearray) -> "LogState":
        """Raises `NotDecodableError` where a count, an order or a value does not fit (L-7)."""
        cursor = Cursor(data)
        (clock_ns,) = cursor.unpack(_FIXED, "the clock")
        databases = [cursor.take(16, "a database") for _ in range(cursor.count("databases", 16))]
        stores = [_decode_position(cursor) for _ in range(cursor.count("stores", _STORE.size))]
        gaps = tuple(_decode_gap(cursor) for _ in range(cursor.count("gaps", _GAP.size)))
        cursor.end()
        _require_rising(databases)
        _require_rising([position.store_id for position in stores])
        if len(gaps) > GAPS_MAX:
            raise NotDecodableError(f"{len(gaps)} gaps; at most {GAPS_MAX} are named")
        return cls(clock_ns, frozenset(databases), {each.store_id: each for each in stores}, gaps)


def _count(rows: int) -> bytes:
    return rows.to_bytes(4, "little")


def _require_rising(ids: list[bytes]) -> None:
    if any(a >= b for a, b in pairwise(ids)):
        raise NotDecodableError("ids do not rise")


def _encode_position(position: StorePosition) -> bytes:
    flags = position.entered * _ENTERED | position.closed * _CLOSED | position.certain * _CERTAIN
    return _STORE.pack(
        position.store_id, flags, position.epoch, position.sequence, position.tag, position.time_ns
    )  # fmt: skip


def _decode_position(cursor: Cursor) -> StorePosition:
    store_id, flags, epoch, sequence, tag, time_ns = cursor.unpack(_STORE, "a store")
    if flags > _ENTERED | _CLOSED | _CERTAIN:
        raise NotDecodableError("the flags of a store are unknown")
    return StorePosition(
        store_id, epoch, sequence, tag, time_ns, bool(flags & _ENTERED), bool(flags & _CLOSED), bool(flags & _CERTAIN)
    )


def _decode_gap(cursor: Cursor) -> Gap:
    store_id, reason, first, last, from_ns, to_ns = cursor.unpack(_GAP, "a gap")
    if reason not in list(GapReason):
        raise NotDecodableError(f"a gap for reason {reason}")
    return Gap(store_id, GapReason(reason), first, last, from_ns, to_ns)
