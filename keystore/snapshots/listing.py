"""Lists the snapshots of a target from what is clear: no key, no KMS, no pack is read."""

from dataclasses import dataclass
from typing import Literal

from keystore.errors import SnapshotDamagedError, SnapshotError, SnapshotMissingError
from keystore.format.manifest import ManifestHead
from keystore.snapshots.ids import created_ns
from keystore.snapshots.opened import read_head
from keystore.snapshots.target import SnapshotTarget

SnapshotState = Literal["complete", "incomplete", "damaged", "unreadable"]


@dataclass(frozen=True)
class SnapshotListing:
    """One snapshot of a target.

    Attributes:
        state: `incomplete` has no manifest (being written, or its writer died); `unreadable` has a manifest of another
            version, or one that the system does not let us read.
        head: the clear part of the manifest, if the state is `complete`.
        problem: what is wrong, or nothing.
    """

    snapshot_id: bytes
    state: SnapshotState
    created_ns: int
    head: ManifestHead | None
    problem: str

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
    state: SnapshotState
    try:
        head, _, _ = read_head(target, snapshot_id)
    except SnapshotMissingError:
        state, problem = "incomplete", "no manifest: being written, or its writer died"
    except SnapshotDamagedError as error:
        state, problem = "damaged", str(error)
    except SnapshotError as error:
        state, problem = "unreadable", str(error)
    else:
        return SnapshotListing(snapshot_id, "complete", head.created_ns, head, "")
    return SnapshotListing(snapshot_id, state, created_ns(snapshot_id), None, problem)
