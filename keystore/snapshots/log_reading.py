"""Reads the log of a node in order, for a restore: every segment follows on the one before, or the log is damaged.

Invariants:
1. Nothing of a segment is used before its number, node, checksum, the checksum of the one before, and its signature
   were compared. So none is changed, left out, repeated, or another node's.
2. Pages are read when they are wanted, and authenticated by whoever opens them (F-11).
"""

from collections.abc import Callable, Iterator

import numpy as np

from keystore.errors import LogDamagedError, LogMissingError, ObjectMissingError
from keystore.format.entry import ENTRY
from keystore.format.log_segment import SegmentHead
from keystore.format.manifest import LogPosition
from keystore.keys.master import MasterKey
from keystore.keys.volume import VolumeKey
from keystore.objects.place import Place
from keystore.pages.reading import Batch
from keystore.snapshots.log_overlay import PlacedArray
from keystore.snapshots.log_segment import (
    OpenedSegment,
    damaged,
    object_name,
    open_segment,
    require_signed,
    segment_cipher,
)
from keystore.snapshots.log_tail import read_front, segment_numbers

READ_BYTES = 4 << 20
"""LIMIT: bytes of pages read and given out at once."""


class LogReader:
    """Reads one run of the log of one node.

    Args:
        signer: the node's public key.
        master: gives the master key of the era of a segment; whoever gives it wipes it.
        volume: gives the key of the volume layer of a segment, if it has one; whoever gives it wipes it.
    """

    def __init__(
        self,
        place: Place,
        node_id: bytes,
        signer: bytes,
        master: Callable[[SegmentHead], MasterKey],
        volume: Callable[[SegmentHead], VolumeKey | None],
    ) -> None:
        self._place, self._node_id, self._signer = place, node_id, signer
        self._master, self._volume = master, volume
        self._heads: dict[int, SegmentHead] = {}
        self.next_run_ns: int | None = None
        """When the log was enabled anew after what was read; None where it was not."""

    def segments(self, after: LogPosition) -> Iterator[OpenedSegment]:
        """Yield the segments after a position, to the end of the run; the caller wipes their data keys.

        Raises:
            LogMissingError: the segment after it was removed, as what is older than the window is.
            LogDamagedError: one is missing or not what was written.
            KmsError: the key of an era cannot be used.
        """
        numbers = [number for number in segment_numbers(self._place, self._node_id) if number > after.number]
        for expected, number in enumerate(numbers, after.number + 1):
            if number != expected:
                raise self._missing(after, expected, number)
            where = self._where(number)
            front = read_front(self._place, self._node_id, number)
            require_signed(front, self._signer, where)
            if front.head.run > after.number:
                self.next_run_ns = front.head.settled_ns
                return
            if front.head.previous != after.digest:
                raise damaged(where, "it does not follow on the segment before")
            opened = open_segment(front, self._master(front.head), where)
            self._volume(front.head)  # what can refuse a restore refuses now
            self._heads[number] = front.head
            yield opened
            after = LogPosition(number, front.checksum)

    def batches(self, pages: PlacedArray, page_size: int) -> Iterator[Batch]:
        """Yield pages of one segment, in the order in which they lie there; each batch is valid until the next.

        Raises:
            LogDamagedError: the segment is shorter than it was.
        """
        number = int(pages["segment"][0])
        head, where = self._heads[number], self._where(number)
        step = max(1, READ_BYTES // page_size)
        try:
            with self._place.open(object_name(self._node_id, number)) as reader:
                if reader.byte_length != head.front_bytes + head.ciphertext_bytes:
                    raise damaged(where, f"it has {reader.byte_length} bytes")
                for at in range(0, len(pages), step):
                    part = pages[at : at + step]
                    runs = _runs(part["offset"].astype(np.int64), page_size)
                    found = reader.read_ranges([(head.front_bytes + offset, length) for offset, length in runs])
                    volume = self._volume(head)
                    if volume is not None:
                        found = self._without_volume(volume, number, runs, found)
                    yield _batch(part, b"".join(found))
        except ObjectMissingError:
            raise damaged(where, "it is missing") from None

    def _without_volume(
        self, volume: VolumeKey, number: int, runs: list[tuple[int, int]], found: list[bytes]
    ) -> list[bytes]:
        cipher = segment_cipher(volume, self._node_id, number)
        try:
            return [cipher.decrypt(offset, data) for (offset, _), data in zip(runs, found, strict=True)]
        finally:
            cipher.wipe()

    def _where(self, number: int) -> str:
        return f"segment {number} of the log in {self._place}"

    def _missing(self, after: LogPosition, expected: int, found: int) -> LogDamagedError | LogMissingError:
        if not self._heads and expected == after.number + 1:
            return LogMissingError(
                f"{self._where(expected)} is missing, and {found} is there: what came after the snapshot was removed. "
                "Nothing was restored; restore the snapshot itself, or a time after a later one."
            )
        return damaged(self._where(expected), f"it is missing, and {found} is there")


def _runs(offsets: "np.ndarray[tuple[int], np.dtype[np.int64]]", page_size: int) -> list[tuple[int, int]]:
    """Join neighbours: offsets and lengths in bytes."""
    breaks = np.flatnonzero(np.diff(offsets) != page_size) + 1
    return [(int(part[0]), len(part) * page_size) for part in np.split(offsets, breaks)]


def _batch(pages: PlacedArray, ciphertext: bytes) -> Batch:
    entries = np.zeros(len(pages), dtype=ENTRY)
    entries["slot"] = 1  # means nothing outside its store, and 0 would be a hole
    for name in ("session", "nonce", "tag"):
        entries[name] = pages[name]
    return Batch(pages["page"].astype(np.uint64), entries, memoryview(ciphertext))
