"""Where else a data key may be: what can be listed, and what nobody can.

A data key that is destroyed in a node lives on in every copy of it. Snapshots in the targets that the caller names can
be listed. Their clear parts tell when they were taken and which customer master key opens them, and not which data keys
they hold; so whatever was taken since the key was made may hold it, also of another node: one that was restored from a
snapshot of this one has the key to read with.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass

from keystore.node.usage import snapshots_at
from keystore.objects.opening import as_place
from keystore.objects.place import Place
from keystore.snapshots.listing import SnapshotListing

UNLISTED = (
    "other copies of this node's directory, or of its keystore file: backups, file system snapshots, replicas",
    "snapshots in places that were not named here, and nodes that were restored from any snapshot",
    "segments of its point-in-time log, where it keeps one, until they are pruned",
    "blocks that the disk has not overwritten yet: removing a file does not erase it",
)
"""Copies that no program can list from here."""


@dataclass(frozen=True)
class SnapshotCopy:
    """A snapshot that may hold a data key.

    Attributes:
        node_id: of the node that it was taken of; None where its manifest cannot be read.
        key_id, key_version: the customer master key that opens it, as configured and as the KMS named it.
        problem: why it may not be restorable, or nothing. It is listed all the same: what cannot be read may be whole
            elsewhere.
    """

    target: str
    snapshot_id: bytes
    created_ns: int
    node_id: bytes | None
    key_id: str | None
    key_version: str | None
    problem: str


def list_snapshots_in(targets: Sequence[str | os.PathLike[str] | Place]) -> list[SnapshotCopy]:
    """Return all snapshots in the places `targets`, oldest first in each; needs no key.

    Raises:
        PathMissingError: one of them has no snapshot.
        PlaceError: one of them cannot be read.
    """
    return [_copy(place, listing) for place in map(as_place, targets) for listing in snapshots_at(place)]


def that_may_hold(copies: Sequence[SnapshotCopy], made_ns: int) -> list[SnapshotCopy]:
    """Return the snapshots that were taken since a data key was made."""
    return [copy for copy in copies if copy.created_ns >= made_ns]


def _copy(place: Place, listing: SnapshotListing) -> SnapshotCopy:
    head = listing.head
    wrapped = head.wrapped if head is not None else None
    return SnapshotCopy(
        str(place),
        listing.snapshot_id,
        listing.created_ns,
        head.node_id if head is not None else None,
        wrapped.key_id if wrapped is not None else None,
        wrapped.key_version if wrapped is not None else None,
        listing.problem,
    )
