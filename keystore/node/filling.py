"""Fills page stores with the pages of a snapshot, and verifies what was filled.

Leaves to others: making the stores, and what becomes of them.

Invariants:
1. Every page is opened on its way: what does not open fails the restore, and is in no store.
2. Where the store has the very data keys of the snapshot the ciphertext stays as it is; elsewhere each page is sealed
   anew under the store's own current one.
3. The map of a filled store is read from its file, and names as many pages as were put in. That their bytes are on
   the disk rests on writes and syncs that returned, as for any commit; with `read_back` on reading them there.
"""

from collections.abc import Generator, Sequence
from contextlib import closing

from keystore.crypto.secret import SecretKey
from keystore.errors import NodeIOError, StoreDamagedError, cause_of
from keystore.format.snapshot_map import StoreEntry
from keystore.pages.protocols import DataKeys
from keystore.pages.reading import Batch
from keystore.pages.store import PageStore
from keystore.pages.verify import VerifyReport
from keystore.progress import Progress
from keystore.snapshots.opened import OpenedSnapshot
from keystore.snapshots.plain import FormerKeys, damage_in_pack, plain_batches


class Filler:
    """Fills stores from one snapshot, and tells how far it is: each page counts once, and once more if read back."""

    def __init__(
        self, snapshot: OpenedSnapshot, stores: Sequence[StoreEntry], progress: Progress, *, read_back: bool = False
    ) -> None:
        self._snapshot, self._progress, self._read_back = snapshot, progress, read_back
        self._done, self._total = 0, (2 if read_back else 1) * sum(page_bytes(entry) for entry in stores)

    def fill(self, store: PageStore, entry: StoreEntry, keys: DataKeys) -> int:
        """Put everything of `entry` into `store`, which is empty and has `keys`, and verify it; return its pages.

        Raises:
            SnapshotDamagedError: a pack is not what was written.
            NodeIOError: what was written reads back differently.
            StoreFullError, StoreIOError, CommitUnknownError: as `PageStore.commit`.
        """
        pages = self._adopt(store, entry) if self._has_keys(entry, keys) else self._reseal(store, entry)
        store.commit(page_count=entry.page_count, byte_length=entry.byte_length)
        report = self.verify(store, entry, pages=self._read_back)
        if (mapped := entry.page_count - report.holes) != pages:
            raise _differs(f"its map names {mapped} pages, and {pages} were written")
        self._advance(page_bytes(entry) if self._read_back else 0)
        return pages

    def verify(self, store: PageStore, entry: StoreEntry, *, pages: bool) -> VerifyReport:
        """Read headers and map of a store that was filled; if asked, its pages too, from the disk. Errors as `fill`."""
        before, count = self._done, page_bytes(entry)

        def progress(done: int, of: int) -> None:
            self._progress(before + count * done // max(of, 1), self._total)

        report = store.verify(progress, start=0 if pages else store.page_count, from_disk=pages)
        if report.damaged:
            raise _differs(cause_of(report.damaged[0]))
        return report

    def skip(self, entry: StoreEntry) -> None:
        """Count a store as done that was done before."""
        self._advance(page_bytes(entry) * (2 if self._read_back else 1))

    def _adopt(self, store: PageStore, entry: StoreEntry) -> int:
        with damage_in_pack(self._snapshot, StoreDamagedError), closing(self._told(entry)) as batches:
            return store.fill_sealed(entry.sessions, batches, page_count=entry.page_count, room=entry.pages)

    def _told(self, entry: StoreEntry) -> Generator[Batch, None, None]:
        """Yield the batches of a store, and count each once it was taken."""
        with closing(self._snapshot.batches(entry)) as batches:
            for batch in batches:
                yield batch
                self._advance(len(batch.ciphertext))

    def _reseal(self, store: PageStore, entry: StoreEntry) -> int:
        pages = 0
        with closing(plain_batches(self._snapshot, entry)) as batches:
            for page_nos, plain in batches:
                view, size = memoryview(plain), entry.page_size
                store.commit({int(number): view[at * size : (at + 1) * size] for at, number in enumerate(page_nos)})
                view.release()
                pages += len(page_nos)
                self._advance(len(plain))
        return pages

    def _has_keys(self, entry: StoreEntry, keys: DataKeys) -> bool:
        """Tell whether `keys` are, generation by generation, those that the pages of `entry` are sealed under."""
        former = FormerKeys(self._snapshot, entry)
        try:
            needed = {session.generation for session in entry.sessions}
            return all(_has(keys, generation, former.by_generation(generation)) for generation in needed)
        finally:
            former.close()

    def _advance(self, count: int) -> None:
        self._done += count
        self._progress(self._done, self._total)


def _differs(found: str) -> NodeIOError:
    return NodeIOError(
        f"what was restored reads back differently: {found}. Nothing of it is kept; look at the disk, and restore "
        "again."
    )


def _has(keys: DataKeys, generation: int, key: SecretKey) -> bool:
    try:
        return keys.by_generation(generation) == key
    except KeyError:
        return False


def page_bytes(entry: StoreEntry) -> int:
    """Return the bytes of all pages of a store in a snapshot; holes do not count."""
    return entry.pages * entry.page_size
