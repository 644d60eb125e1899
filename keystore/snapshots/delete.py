"""Deletes snapshots and clears up what was left over: packs go exactly when nothing needs them (S-14, S-15).

Nothing counts references: which packs are needed is read from the clear heads each time, so no crash can make it wrong.

Invariants:
1. A pack that a manifest or a note names is never removed; the manifest goes first, so none names what is missing.
2. What a deletion had to leave because nobody knew whether it is needed (`needed`), `collect_garbage` removes later.
3. A new pack of a snapshot that is being taken is younger than the grace, or that snapshot fails (`begun`).

CRASH: a deletion that is cut off leaves packs that nothing names; `collect_garbage` removes them.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from keystore.errors import SnapshotBusyError, SnapshotError, SnapshotMissingError
from keystore.objects.place import Place
from keystore.snapshots.ids import NS_PER_ID_TICK, created_ns
from keystore.snapshots.manifest import read_manifest
from keystore.snapshots.names import BEGUN, PACKS, PARTIAL, ids_in, manifest_name, pack_name
from keystore.snapshots.needed import needed_packs
from keystore.snapshots.restore_marks import being_restored, remove_lapsed_marks

GRACE_S: Final = 24 * 3600.0
"""LIMIT: seconds that a snapshot may take, and by far more than clocks differ. What is older may be left over."""


@dataclass(frozen=True)
class DeletedSnapshot:
    """What `delete_snapshot` did.

    Attributes:
        packs: that were removed; the bytes of all of them.
        kept: why packs that nothing names had to stay for now, or None.
    """

    snapshot_id: bytes
    packs: tuple[bytes, ...]
    packs_bytes: int
    kept: str | None


@dataclass(frozen=True)
class Collected:
    """What `collect_garbage` did.

    Attributes:
        names: objects that were removed.
        packs_bytes: bytes of the packs among them.
        kept: as in `DeletedSnapshot`.
    """

    names: tuple[str, ...]
    packs_bytes: int
    kept: str | None


def delete_snapshot(place: Place, snapshot_id: bytes, now_ns: Callable[[], int] = time.time_ns) -> DeletedSnapshot:
    """Delete a snapshot, and the packs that no other one in `place` needs; durable on return.

    Raises:
        SnapshotMissingError: there is none.
        SnapshotBusyError: it is being restored; nothing was changed.
        PlaceError: the place cannot be read or written; what was not done, `collect_garbage` does.
    """
    head = None
    try:
        head = read_manifest(place, snapshot_id).head
    except SnapshotMissingError:
        raise
    except SnapshotError:
        pass  # nobody knows what it named; that is left over
    _require_idle(place, snapshot_id, now_ns())
    place.remove(manifest_name(snapshot_id))
    needed, kept = needed_packs(place, now_ns())
    packs = [] if head is None or kept else [pack for pack in head.packs if pack.pack_id not in needed]
    for pack in packs:
        place.remove(pack_name(pack.pack_id))
    if head is None:
        kept = "its manifest could not be read, so nobody knows which packs it had"
    removed = tuple(pack.pack_id for pack in packs)
    return DeletedSnapshot(snapshot_id, removed, sum(pack.byte_length for pack in packs), kept)


def collect_garbage(place: Place, *, grace_s: float = GRACE_S, now_ns: Callable[[], int] = time.time_ns) -> Collected:
    """Remove what snapshots left over that were cut off, and deletions; durable on return.

    Args:
        grace_s: what is younger stays. A snapshot that takes longer fails.

    Raises:
        PlaceError: the place cannot be read or written; what was done stays done.
    """
    dead_before_ns = now_ns() - round(grace_s * 1e9)
    names = [
        prefix + snapshot_id.hex()
        for prefix in (BEGUN, PARTIAL)
        for snapshot_id in ids_in(place, prefix)
        if _is_dead(snapshot_id, dead_before_ns)
    ]
    for name in names:
        place.remove(name)
    remove_lapsed_marks(place, now_ns())
    needed, kept = needed_packs(place, now_ns())
    left_over = {
        pack_id: length
        for pack_id, length in ids_in(place, PACKS).items()
        if not kept and pack_id not in needed and _is_dead(pack_id, dead_before_ns)
    }
    for pack_id in left_over:
        place.remove(pack_name(pack_id))
    return Collected((*names, *map(pack_name, left_over)), sum(left_over.values()), kept)


def _is_dead(name_id: bytes, dead_before_ns: int) -> bool:
    return created_ns(name_id) + NS_PER_ID_TICK <= dead_before_ns


def _require_idle(place: Place, snapshot_id: bytes, now_ns: int) -> None:
    if snapshot_id in being_restored(place, now_ns):
        raise SnapshotBusyError(
            f"snapshot {snapshot_id.hex()} in {place} is being restored. Nothing was changed; delete it when that is "
            "done, or in an hour, should whoever restores it have died."
        )
