"""Which segments of the logs in a place need which key: from clear heads, of which few are read.

The era of a node's segments never goes back, and one era has one wrapped master key. So where the first and the last of
some segments have the same era, all between have it.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from keystore.format.log_segment import SegmentHead
from keystore.objects.place import Place
from keystore.snapshots.log_tail import read_head, segment_numbers

LOG = "log/"
_NODE = re.compile(LOG + r"([0-9a-f]{32})/.*")


@dataclass(frozen=True)
class LogEra:
    """Segments of one node that need the same key.

    Attributes:
        count: how many there are.
        last: the clear head of the newest of them.
    """

    count: int
    last: SegmentHead


def log_eras(place: Place) -> Iterator[LogEra]:
    """Yield the eras of every log in `place`, by node and ascending.

    Raises:
        PlaceError: the place cannot be read.
        LogError: a segment is none, or has a version that this program does not know.
    """
    found = (_NODE.fullmatch(named.name) for named in place.names(LOG))
    for node_id in sorted({bytes.fromhex(node[1]) for node in found if node}):
        numbers = segment_numbers(place, node_id)
        if numbers:
            yield from _eras(place, node_id, numbers)


def _eras(place: Place, node_id: bytes, numbers: Sequence[int]) -> Iterator[LogEra]:
    """Yield the eras of segments: of each the newest segment, found by halving what may have another era."""
    at = 0
    while at < len(numbers):
        era = read_head(place, node_id, numbers[at]).era
        first, beyond = at, len(numbers)
        while beyond - first > 1:
            middle = (first + beyond) // 2
            if read_head(place, node_id, numbers[middle]).era == era:
                first = middle
            else:
                beyond = middle
        yield LogEra(beyond - at, read_head(place, node_id, numbers[first]))
        at = beyond
