"""Lists the snapshots of a place from what is clear: no key, no KMS, and of a pack only whether it is there, whole."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from keystore.errors import (
    KeystoreError,
    PlaceError,
    SnapshotDamagedError,
    SnapshotError,
    SnapshotMissingError,
    cause_of,
)
from keystore.format.manifest import ManifestHead
from keystore.objects.place import Place
from keystore.snapshots.damage import damaged
from keystore.snapshots.ids import created_ns
from keystore.snapshots.manifest import read_manifest
from keystore.snapshots.names import BEGUN, MANIFESTS, PACKS, ids_in
from keystore.snapshots.parent import missing_packs

SnapshotState = Literal["complete", "incomplete", "damaged", "unreadable"]


@dataclass(frozen=True)
class SnapshotListing:
    """One snapshot of a place.

    Attributes:
        state: `incomplete` has no manifest (being written, or its writer died), or lacks a pack that its manifest names
            or a part of it; `unreadable` has a manifest of another version, or something that the system does not let
            us read.
        head: the clear part of the manifest, if that could be read: it tells the key, whatever is missing besides.
        problem: what is wrong, or nothing.
        error: why it cannot be restored; None where there is no manifest, because then nothing was lost.
        unique_bytes: of packs that no other snapshot of the place names: what deleting it gives back.
    """

    snapshot_id: bytes
    state: SnapshotState
    created_ns: int
    head: ManifestHead | None
    problem: str
    error: KeystoreError | None = None
    unique_bytes: int = 0

    @property
    def stored_bytes(self) -> int:
        """Bytes of all packs that it names, shared ones too."""
        return self.head.pack_bytes if self.head else 0


def list_snapshots(place: Place) -> list[SnapshotListing]:
    """Return all snapshots of `place`, oldest first.

    Raises:
        PlaceMissingError: there is no such place.
        PlaceError: it cannot be listed.
    """
    begun, complete = ids_in(place, BEGUN), ids_in(place, MANIFESTS)
    present = ids_in(place, PACKS)
    found = [_look(place, snapshot_id, present) for snapshot_id in sorted(begun.keys() | complete.keys())]
    named = Counter(pack.pack_id for item in found if item.head for pack in item.head.packs)
    return [replace(item, unique_bytes=_unique_bytes(item.head, named)) for item in found]


def _look(place: Place, snapshot_id: bytes, present: Mapping[bytes, int]) -> SnapshotListing:
    when = created_ns(snapshot_id)
    try:
        head = read_manifest(place, snapshot_id).head
    except SnapshotMissingError:
        return SnapshotListing(
            snapshot_id, "incomplete", when, None, "it has no manifest: being written, or its writer died"
        )
    except SnapshotDamagedError as error:
        return SnapshotListing(snapshot_id, "damaged", when, None, cause_of(error), error)
    except (SnapshotError, PlaceError) as error:
        return SnapshotListing(snapshot_id, "unreadable", when, None, str(error), error)
    missing = missing_packs(head, present)
    if not missing:
        return SnapshotListing(snapshot_id, "complete", head.created_ns, head, "")
    lost = damaged(f"snapshot {snapshot_id.hex()}", missing[0])
    return SnapshotListing(snapshot_id, "incomplete", head.created_ns, head, cause_of(lost), lost)


def _unique_bytes(head: ManifestHead | None, named: Counter[bytes]) -> int:
    return sum(pack.byte_length for pack in head.packs if named[pack.pack_id] == 1) if head else 0
