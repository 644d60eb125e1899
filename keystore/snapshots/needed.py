"""Which packs of a place are needed: read from the clear heads each time, so that no crash can make it wrong (S-14).

A note names packs as a manifest does: the next snapshot may take it up as long as it is there.

Invariant: while one of them cannot be read, or one is gone that a snapshot which is begun or a restore may go by, every
pack may be needed.
"""

from typing import Final

from keystore.errors import ObjectDamagedError, ObjectMissingError, SnapshotError, SnapshotMissingError, cause_of
from keystore.format.begun import BEGUN_BYTES, Begun
from keystore.format.cursor import NotDecodableError
from keystore.format.manifest import NO_PARENT
from keystore.objects.place import Place
from keystore.snapshots.manifest import read_manifest, read_partial
from keystore.snapshots.names import BEGUN, PARTIAL, begun_name, ids_in, snapshot_ids
from keystore.snapshots.restore_marks import being_restored

LISTINGS_MAX: Final = 16
"""LIMIT: how often a place is listed until two lists are the same; then it is too busy to tell."""


def needed_packs(place: Place, now_ns: int) -> tuple[set[bytes], str | None]:
    """Return the packs that manifests and notes name, and why every other one may be needed too, or None.

    Raises:
        PlaceError: the place cannot be read.
    """
    listed = _list(place)
    for _ in range(LISTINGS_MAX):
        # What is begun after two lists that are the same finds its parent among the manifests and notes of these.
        before, listed = listed, _list(place)
        if before != listed:
            continue
        begun, manifests, notes = listed
        try:
            heads = [read_manifest(place, snapshot_id).head for snapshot_id in manifests]
            heads += [read_partial(place, note_id).head for note_id in notes]
            parents = {
                snapshot_id: _parent_of(place, snapshot_id) for snapshot_id in begun if snapshot_id not in manifests
            }
        except (SnapshotMissingError, ObjectMissingError):
            continue  # it went meanwhile, and may be the parent of one that is begun
        except SnapshotError as error:
            return set(), cause_of(error)
        for snapshot_id, parent in parents.items():
            if parent not in (NO_PARENT, *manifests, *notes):
                return set(), f"snapshot {snapshot_id.hex()} is being taken, and its parent is gone"
        # A restore marks its snapshot and then sees that the manifest is there, which may be gone since.
        for snapshot_id in being_restored(place, now_ns).difference(manifests):
            return set(), f"snapshot {snapshot_id.hex()} is being restored, and its manifest is gone"
        return {pack.pack_id for head in heads for pack in head.packs}, None
    return set(), "snapshots came and went all the time"


def _list(place: Place) -> tuple[list[bytes], list[bytes], list[bytes]]:
    """Return the ids of what is begun, then of what is complete, and of notes."""
    return list(ids_in(place, BEGUN)), snapshot_ids(place), list(ids_in(place, PARTIAL))


def _parent_of(place: Place, snapshot_id: bytes) -> bytes | None:
    """Return the parent of a snapshot that is begun; None where nobody knows.

    Raises:
        ObjectMissingError: it is not begun any more.
    """
    try:
        return Begun.decode(place.get(begun_name(snapshot_id), BEGUN_BYTES)).parent
    except (NotDecodableError, ObjectDamagedError):
        return None
