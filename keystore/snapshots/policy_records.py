"""What a place remembers of the policy of a node: when it began, and what was passed over, with the reason.

    policy/<node id>-began-<time, 20 digits>
    policy/<node id>-<kind>-<time of the occurrence, 20 digits>       its content is the reason

Times are nanoseconds since 1970. Names are written once, so two that run the policy at once say the same. Nothing in
here is sealed or signed: a node whose key is disabled has no key to do it with. Who can write to the place can keep a
snapshot from being taken, as they can delete it; what was passed over is shown by every run and every list.
"""

import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

from keystore.errors import PlaceError, PlaceMissingError
from keystore.format.kind import SnapshotKind
from keystore.objects.place import Place
from keystore.snapshots.retention import Occurrence

RECORDS = "policy/"
BEGAN = "began"
REASON_BYTES_MAX = 4096
"""LIMIT: bytes of a reason; a message of ours has some hundred."""
RECORDS_KEPT_NS = 400 * 86_400 * 1_000_000_000
"""How long it is remembered what was passed over: longer than a year, the longest time between two occurrences."""

_RECORD = re.compile(RECORDS + r"([0-9a-f]{32})-([a-z]+)-([0-9]{20})")
_KINDS = {kind.label: kind for kind in SnapshotKind if kind is not SnapshotKind.ON_DEMAND}


@dataclass(frozen=True)
class PolicyRecords:
    """What a place remembers of one node.

    Attributes:
        began_ns: when its policy began; None where it never ran.
        passed_over: ascending.
    """

    began_ns: int | None
    passed_over: tuple[Occurrence, ...]


def read_records(place: Place, node_id: bytes) -> PolicyRecords:
    """Return what is remembered of a node; nothing where there is no such place yet.

    Raises:
        PlaceError: the place cannot be listed.
    """
    found = read_all_records(place)
    return found.get(node_id, PolicyRecords(None, ()))


def read_all_records(place: Place) -> dict[bytes, PolicyRecords]:
    """Return what is remembered of each node, by its id; errors as `read_records`."""
    began: dict[bytes, int] = {}
    passed: dict[bytes, list[Occurrence]] = {}
    with suppress(PlaceMissingError):
        for named in place.names(RECORDS):
            record = _RECORD.fullmatch(named.name)
            if record is None:
                continue
            node_id, at_ns = bytes.fromhex(record[1]), int(record[3])
            if record[2] == BEGAN:
                began[node_id] = min(at_ns, began.get(node_id, at_ns))
            elif record[2] in _KINDS:
                passed.setdefault(node_id, []).append(Occurrence(at_ns, _KINDS[record[2]]))
    return {
        node_id: PolicyRecords(began.get(node_id), tuple(sorted(passed.get(node_id, ()))))
        for node_id in began.keys() | passed.keys()
    }


def record_beginning(place: Place, node_id: bytes, at_ns: int) -> None:
    """Remember, durably, that the policy of a node begins."""
    place.put(f"{RECORDS}{node_id.hex()}-{BEGAN}-{at_ns:020}", b"")


def record_passed_over(place: Place, node_id: bytes, occurrences: Iterable[Occurrence], reason: str) -> None:
    """Remember, durably, that nothing is taken for these occurrences, and why; what is remembered already stays."""
    for occurrence in occurrences:
        place.put(_name(node_id, occurrence), reason.encode()[:REASON_BYTES_MAX])


def reason_of(place: Place, node_id: bytes, occurrence: Occurrence) -> str:
    """Return why an occurrence was passed over.

    Raises:
        PlaceError: the record cannot be read.
    """
    return place.get(_name(node_id, occurrence), REASON_BYTES_MAX).decode(errors="replace")


def forget_old_records(place: Place, node_id: bytes, now_ns: int) -> None:
    """Remove what was passed over so long ago that nobody asks any more; what cannot be removed now, is later."""
    for occurrence in read_records(place, node_id).passed_over:
        if occurrence.at_ns < now_ns - RECORDS_KEPT_NS:
            with suppress(PlaceError):
                place.remove(_name(node_id, occurrence))


def _name(node_id: bytes, occurrence: Occurrence) -> str:
    return f"{RECORDS}{node_id.hex()}-{occurrence.kind.label}-{occurrence.at_ns:020}"
