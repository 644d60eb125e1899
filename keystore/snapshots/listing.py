"""Lists the snapshots of a target from what is clear: no key, no KMS, and of a pack only whether it is there, whole."""

from dataclasses import dataclass
from typing import Literal

from keystore.errors import SnapshotDamagedError, SnapshotError, SnapshotMissingError, cause_of
from keystore.format.manifest import ManifestHead
from keystore.snapshots.ids import created_ns
from keystore.snapshots.opened import read_head
from keystore.snapshots.target import SnapshotTarget

SnapshotState = Literal["complete", "incomplete", "damaged", "unreadable"]


@dataclass(frozen=True)
class SnapshotListing:
    """One snapshot of a target.

    Attributes:
        state: `incomplete` has no manifest (being written, or its writer died), or lacks a pack that its manifest names
            or a part of it; `unreadable` has a manifest of another version, or something that the system does not let
            us read.
        head: the clear part of the manifest, if that could be read: it tells the key, whatever is missing besides.
        problem: what is wrong, or nothing.
        error: why it cannot be restored; None where there is no manifest, because then nothing was lost.
    """

    snapshot_id: bytes
    state: SnapshotState
    created_ns: int
    head: ManifestHead | None
    problem: str
    error: SnapshotError | None = None

    @property
    def stored_bytes(self) -> int:
        """Bytes of the packs this snapshot wrote itself."""
        if self.head is None:
            return 0
        return sum(pack.byte_length for pack in self.head.packs if pack.home == self.snapshot_id)


def list_snapshots(target: SnapshotTarget) -> list[SnapshotListing]:
    """Return all snapshots of `target`, oldest first.

    Raises:
        SnapshotMissingError: the target is no place of snapshots.
    """
    return [_look(target, snapshot_id) for snapshot_id in target.ids()]


def _look(target: SnapshotTarget, snapshot_id: bytes) -> SnapshotListing:
    when = created_ns(snapshot_id)
    try:
        head, _, _ = read_head(target, snapshot_id)
    except SnapshotMissingError:
        return SnapshotListing(
            snapshot_id, "incomplete", when, None, "it has no manifest: being written, or its writer died"
        )
    except SnapshotDamagedError as error:
        return SnapshotListing(snapshot_id, "damaged", when, None, cause_of(error), error)
    except SnapshotError as error:
        return SnapshotListing(snapshot_id, "unreadable", when, None, str(error), error)
    state, missing = _look_at_packs(target, head)
    return SnapshotListing(snapshot_id, state, head.created_ns, head, cause_of(missing) if missing else "", missing)


def _look_at_packs(target: SnapshotTarget, head: ManifestHead) -> tuple[SnapshotState, SnapshotError | None]:
    for pack in head.packs:
        try:
            with target.open_pack(pack):
                pass
        except SnapshotDamagedError as error:
            return "incomplete", error
        except SnapshotError as error:
            return "unreadable", error
    return "complete", None
