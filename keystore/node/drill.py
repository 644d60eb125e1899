"""A restore drill: opens every retained snapshot as a restore would, and writes nothing.

Each snapshot is opened with the key of its day, and every page of every store in it is opened with the data keys of the
manifest. What is left of a restore is to write it down.
"""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

from keystore.errors import KeystoreError, SnapshotDamagedError
from keystore.format.manifest import ManifestHead
from keystore.kms.protocol import KmsConnector
from keystore.node.signers import Trust
from keystore.objects.place import Place
from keystore.progress import Progress, untold
from keystore.snapshots.listing import SnapshotListing, list_snapshots
from keystore.snapshots.opened import Accept, OpenedSnapshot, open_snapshot
from keystore.snapshots.plain import plain_batches


@dataclass(frozen=True)
class Drilled:
    """One snapshot of a drill.

    Attributes:
        head: the clear part of its manifest, where that could be read: it names the key.
        pages: that were opened.
        error: why it cannot be restored; None where it can.
    """

    snapshot_id: bytes
    head: ManifestHead | None
    pages: int
    error: KeystoreError | None


def drill(
    place: Place,
    connect: KmsConnector,
    *,
    trust: Trust | None = None,
    snapshot_ids: Sequence[bytes] | None = None,
    progress: Progress | None = None,
) -> Iterator[Drilled]:
    """Yield what became of each snapshot of `place`, oldest first; those that are being taken are left out.

    Args:
        trust: whose snapshots are genuine, as for a restore; nobody is recorded.
        snapshot_ids: only these.
        progress: is told bytes done and in all.

    Raises:
        PlaceError: the place cannot be listed.
    """
    found = [
        listing
        for listing in list_snapshots(place)
        if (listing.head is not None or listing.error is not None)
        and (snapshot_ids is None or listing.snapshot_id in snapshot_ids)
    ]
    accept = (trust or Trust()).of(place)
    told = _Told(progress or untold, sum(listing.head.logical_bytes for listing in found if listing.head))
    for listing in found:
        yield _drill(place, listing, connect, accept, told)


@dataclass
class _Told:
    progress: Progress
    total: int
    done: int = 0

    def __call__(self, count: int) -> None:
        self.done = min(self.done + count, self.total)
        self.progress(self.done, self.total)


def _drill(place: Place, listing: SnapshotListing, connect: KmsConnector, accept: Accept, told: _Told) -> Drilled:
    if listing.error is not None:
        return Drilled(listing.snapshot_id, listing.head, 0, listing.error)
    try:
        with open_snapshot(place, listing.snapshot_id, connect, accept) as snapshot:
            return Drilled(listing.snapshot_id, listing.head, _open_every_page(snapshot, told), None)
    except KeystoreError as error:
        return Drilled(listing.snapshot_id, listing.head, 0, error)


def _open_every_page(snapshot: OpenedSnapshot, told: _Told) -> int:
    pages = 0
    for store in snapshot.body.stores:
        found = 0
        with closing(plain_batches(snapshot, store)) as batches:
            for page_nos, plain in batches:
                found += len(page_nos)
                told(len(plain))
        if found != store.pages:
            raise SnapshotDamagedError(
                f"snapshot {snapshot.name}: store {store.name} has {found} pages, its manifest says {store.pages}. "
                "Nothing was written; use another snapshot."
            )
        pages += found
    return pages
