"""Removes segments of the log that no restore within its window needs.

A restore to a time within the window needs a snapshot taken at or before that time, and every segment after it. So the
newest snapshot that is older than the window decides: what came before it may go. Where all snapshots are younger, it
is the oldest one.

CRASH: segments go from the oldest on, so what is left has no hole; the next call goes on. The last one always stays:
the node goes on from it.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from keystore.errors import LogMissingError
from keystore.objects.place import Place
from keystore.snapshots.log_segment import object_name
from keystore.snapshots.log_tail import read_head, segment_numbers

DAY_NS = 24 * 3600 * 10**9


@dataclass(frozen=True)
class Base:
    """A snapshot on which a restore to a time can build: when it was taken, and where the log was then (0: nowhere)."""

    created_ns: int
    log_number: int


@dataclass(frozen=True)
class Pruned:
    """What was removed, and what is left."""

    removed: int
    kept: int


def needed_after(bases: Iterable[Base], start_ns: int) -> int | None:
    """Return the number up to which no restore to a time from `start_ns` on needs segments; None: there is no base."""
    usable = sorted((base.created_ns, base.log_number) for base in bases if base.log_number)
    if not usable:
        return None
    older = [number for created_ns, number in usable if created_ns <= start_ns]
    return older[-1] if older else usable[0][1]


def prune_log(place: Place, node_id: bytes, bases: Iterable[Base], window_days: int, now_ns: int) -> Pruned:
    """Remove what is older than the window and needed by no snapshot among `bases`, which are all of the node.

    Raises:
        LogMissingError: there is no snapshot to build on, so nobody knows what a restore needs; nothing was removed.
    """
    start_ns = now_ns - window_days * DAY_NS
    needed = needed_after(bases, start_ns)
    if needed is None:
        raise LogMissingError(
            f"no snapshot of node {node_id.hex()} can be built on, so nobody knows what a restore needs of its log. "
            "Nothing was removed; name the place of its snapshots, or take one."
        )
    numbers = segment_numbers(place, node_id)
    removed = 0
    for number in numbers[:-1]:
        if number > needed or read_head(place, node_id, number).settled_ns > start_ns:
            break
        place.remove(object_name(node_id, number))
        removed += 1
    return Pruned(removed, len(numbers) - removed)
