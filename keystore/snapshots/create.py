"""Takes a snapshot: pins every store, writes what the parent has not, and puts the manifest last.

Invariants:
1. No KMS is asked. The manifest carries the wrapped master key that the node has (S-2).
2. Memory is bounded by a few pieces and the nodes of one path, whatever the stores hold.
3. The keys of a moment are used while they are held, so that no rotation wipes one under the snapshot. Data keys are
   read after the last page was copied: every generation that a pinned page can be sealed under is there by then.
4. Every page is opened before it is copied, so what is damaged already fails the snapshot and not its restore (S-2).
5. A snapshot that fails or is interrupted is removed. One that dies with the process has no manifest; nobody needs it.
   Only the process that began it removes it: a child that was forked meanwhile leaves it alone.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from functools import partial
from itertools import accumulate
from typing import Self

from keystore.crypto.signing import SigningKey
from keystore.errors import SnapshotDamagedError
from keystore.format.kind import SnapshotKind
from keystore.format.manifest import NEVER, NO_PARENT, ManifestHead, PackObject
from keystore.format.snapshot_map import (
    DatabaseEntry,
    DataKeyEntry,
    ManifestBody,
    ManifestKeys,
    SessionUse,
    StoreEntry,
    StorePack,
)
from keystore.keys.hierarchy import Database, StoreRecord
from keystore.objects.place import Place
from keystore.pages.pin import Pin
from keystore.progress import Progress, untold
from keystore.snapshots.begun import BegunSnapshot
from keystore.snapshots.difference import Counts, Difference
from keystore.snapshots.keys import derive_map_key, wrap_data_key, wrap_map_key
from keystore.snapshots.manifest import seal_manifest
from keystore.snapshots.reading import KeyedPack, MapReader, Packs
from keystore.snapshots.source import NodeSource
from keystore.snapshots.writing import StorePacks


@dataclass(frozen=True)
class CreatedSnapshot:
    """What `create_snapshot` made.

    Attributes:
        key_id: the Encryption Key ID, exactly as configured.
        parent: the snapshot that it shares packs with; None for a full one.
        pages: of all stores, whoever wrote them.
        logical_bytes: the users' own bytes in all stores.
        stored_bytes: bytes that it wrote: new packs, and the manifest.
        whole: stores that were written whole because the parent's map of them is damaged.
    """

    snapshot_id: bytes
    created_ns: int
    key_id: str
    era: int
    parent: bytes | None
    stores: int
    pages: int
    logical_bytes: int
    stored_bytes: int
    whole: tuple[str, ...] = ()


def create_snapshot(
    place: Place,
    node: NodeSource,
    *,
    kind: SnapshotKind = SnapshotKind.ON_DEMAND,
    expires_ns: int = NEVER,
    full: bool = False,
    progress: Progress | None = None,
    now_ns: Callable[[], int] = time.time_ns,
) -> CreatedSnapshot:
    """Take a snapshot of `node` into `place`; durable on return.

    All stores are pinned before the first is copied, so the snapshot shows one moment of the whole node.

    Args:
        full: share nothing with a former snapshot.

    Raises:
        PlaceError: the place cannot be read or written; nothing is left there, or what `collect_garbage` removes.
        SnapshotError: it was cleared away as left over before it was done, or a pack that it shares was removed.
        StoreDamagedError: a page does not open; it is named, and nothing is left in the place.
        StoreError: a store cannot be read.
    """
    created_ns = now_ns()
    with (
        BegunSnapshot.begin(place, node, full=full, created_ns=created_ns) as begun,
        _Taking(place, node, begun, now_ns) as taking,
    ):
        taking.copy_stores(progress or untold)
        return taking.publish(created_ns, kind, expires_ns)


@dataclass(frozen=True)
class _Pinned:
    """A store; `database` is the place of its database in the list."""

    database: int
    record: StoreRecord
    pin: Pin


class _Taking:
    """One snapshot being taken; a context manager that holds its pins and keys."""

    def __init__(self, place: Place, node: NodeSource, begun: BegunSnapshot, now_ns: Callable[[], int]) -> None:
        self._place, self._node, self._begun, self._now_ns = place, node, begun, now_ns
        self._objects: list[PackObject] = []
        self._stores: list[StoreEntry] = []
        self._whole: list[str] = []
        self._written_bytes = 0

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._log = self._node.log_position()
            with self._node.held() as keys:
                self._master, self._volume = keys.master, keys.volume
                self._databases = [database for database in keys.databases.values() if database.shredded is None]
                snapshot_id = self._begun.snapshot_id
                self._key = stack.enter_context(keys.master.snapshot_key(snapshot_id))
                self._map_key = stack.enter_context(derive_map_key(keys.snapshot_secret, snapshot_id))
            self._pinned = [
                _Pinned(place, record, stack.enter_context(self._node.pin(database, record)))
                for place, database in enumerate(self._databases)
                for record in database.stores.values()
            ]
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def copy_stores(self, progress: Progress) -> None:
        """Write what the parent has not of every store, one after the other."""
        sizes = [item.pin.page_count * item.pin.page_size for item in self._pinned]
        parent, total = self._begun.parent, sum(sizes)
        with ExitStack() as stack:
            packs = stack.enter_context(closing(Packs(self._place, parent.head, self._volume))) if parent else None
            for item, before in zip(self._pinned, accumulate(sizes, initial=0), strict=False):
                self._copy_store(item, packs, partial(_tell, progress, before, total))

    def publish(self, created_ns: int, kind: SnapshotKind, expires_ns: int) -> CreatedSnapshot:
        """Seal and put the manifest."""
        parent = self._begun.parent
        with self._node.held() as keys:
            head = replace(
                self._head(keys.signing.public, self._objects, self._stores),
                created_ns=created_ns,
                kind=kind,
                expires_ns=expires_ns,
            )
            now = [keys.databases[database.name] for database in self._databases]
            manifest = self._seal(head, self._stores, self._keys(now), keys.signing)
        self._begun.publish(head, manifest)
        named = {pack.pack_id for pack in self._objects}
        self._begun.forget([pack_id for pack_id in self._begun.pack_ids if pack_id not in named])  # notes were in them
        return CreatedSnapshot(
            head.snapshot_id,
            created_ns,
            head.wrapped.key_id,
            head.era,
            parent.found_id if parent else None,
            len(self._stores),
            sum(store.pages for store in self._stores),
            head.logical_bytes,
            self._written_bytes + len(manifest),
            tuple(self._whole),
        )

    def _head(self, signer: bytes, objects: Sequence[PackObject], stores: Sequence[StoreEntry]) -> ManifestHead:
        master, parent = self._master, self._begun.parent
        return ManifestHead(
            self._begun.snapshot_id,
            master.node_id,
            self._now_ns(),
            master.generation,
            master.commitment,
            signer,
            master.wrapped,
            tuple(objects),
            parent.found_id if parent else NO_PARENT,
            logical_bytes=sum(store.byte_length for store in stores),
            credential=self._node.credential,
            log=self._log,
            volume=self._volume.record if self._volume else None,
        )

    def _seal(self, head: ManifestHead, stores: Sequence[StoreEntry], keys: ManifestKeys, signing: SigningKey) -> bytes:
        databases = tuple(DatabaseEntry(d.database_id, d.name, d.created_ns) for d in self._databases)
        body = ManifestBody(self._node.name, databases, tuple(stores))
        return seal_manifest(head, body, keys, map_key=self._map_key, snapshot_key=self._key, signing=signing)

    def _copy_store(self, item: _Pinned, packs: Packs | None, advance: Callable[[int], None]) -> None:
        parent, begun = self._begun.parent, self._begun
        entry = parent.store(item.record.store_id) if parent else None
        if parent and packs and entry and entry.page_size == item.pin.page_size:
            before = len(begun.pack_ids)
            try:
                with closing(MapReader(packs, entry, parent.map_key)) as old:
                    return self._copy(item, old, advance)
            except SnapshotDamagedError:
                begun.forget(begun.pack_ids[before:])
                self._whole.append(f"{self._databases[item.database].name}/{item.record.name}")
        return self._copy(item, None, advance)

    def _copy(self, item: _Pinned, old: MapReader | None, advance: Callable[[int], None]) -> None:
        number = max((pack.number for pack in old.store.packs), default=-1) + 1 if old else 0
        store_id, page_size = item.record.store_id, item.pin.page_size
        shared = self._map_key, self._volume, number, self._begun.pack_ids.append, self._now_ns
        with StorePacks(self._place, store_id, page_size, *shared) as packs:
            difference = Difference(item.pin, packs, old, advance, partial(self._note, item, old, packs))
            root = difference.copy()
            written = packs.finish()
        self._written_bytes += sum(pack.object.byte_length for pack in written)
        live = self._live(old, written, difference.counts, self._objects)
        self._stores.append(self._entry(item, old, root, difference.counts, live))

    def _note(self, item: _Pinned, old: MapReader | None, packs: StorePacks, root: bytes, counts: Counts) -> None:
        """Note what is done: stores that are done, this one as far as it is, and the others as the parent has them."""
        objects = list(self._objects)
        live = self._live(old, packs.finish(), counts, objects)
        stores = [*self._stores, self._entry(item, old, root, counts, live)]
        stores += self._unchanged(self._pinned[self._pinned.index(item) + 1 :], objects)
        with self._node.held() as keys:
            head = self._head(keys.signing.public, objects, stores)
            manifest = self._seal(head, stores, ManifestKeys(b"", ()), keys.signing)
        self._begun.note(manifest, self._now_ns())

    def _unchanged(self, items: Sequence[_Pinned], objects: list[PackObject]) -> Iterator[StoreEntry]:
        """Yield what the parent has of stores that were not looked at yet."""
        parent = self._begun.parent
        for item in items:
            entry = parent.store(item.record.store_id) if parent else None
            if parent and entry:
                with (
                    closing(Packs(self._place, parent.head, self._volume)) as packs,
                    closing(MapReader(packs, entry, parent.map_key)) as old,
                ):
                    live = self._live(old, [], Counts.of(old), objects)
                yield replace(entry, database=item.database, packs=live)

    def _live(
        self, old: MapReader | None, written: list[KeyedPack], counts: Counts, objects: list[PackObject]
    ) -> tuple[StorePack, ...]:
        """Return the packs that something of a map lies in, and take them into the head's list `objects`."""
        found = []
        live = counts.live()
        kept = old.packs(self._map_key, live) if old else []
        for pack in [*kept, *(pack for pack in written if pack.number in live)]:
            place = len(objects)
            objects.append(pack.object)
            pages, nodes = counts.pages[pack.number], counts.nodes[pack.number]
            found.append(StorePack(pack.number, place, pages, nodes, pack.wrapped_key))
        return tuple(found)

    def _entry(
        self, item: _Pinned, old: MapReader | None, root: bytes, counts: Counts, packs: tuple[StorePack, ...]
    ) -> StoreEntry:
        record, pin = item.record, item.pin
        known = {session.number: session for session in (*(old.store.sessions if old else ()), *pin.sessions())}
        uses = tuple(SessionUse(known[number], counts.sessions[number]) for number in sorted(+counts.sessions))
        return StoreEntry(
            item.database,
            record.store_id,
            record.name,
            pin.page_size,
            pin.page_count,
            pin.byte_length,
            pin.sequence,
            pin.last_tag,
            record.created_ns,
            uses,
            packs,
            root,
        )

    def _keys(self, databases: Sequence[Database]) -> ManifestKeys:
        """Wrap of each database the generations that a page of the snapshot is sealed under, and no other (S-5)."""
        rows = []
        for place, database in enumerate(databases):
            needed = {
                session.generation for store in self._stores if store.database == place for session in store.sessions
            }
            rows.append(
                tuple(
                    DataKeyEntry(
                        data_key.generation,
                        data_key.created_ns,
                        wrap_data_key(self._key, data_key.key, database.database_id, data_key.generation),
                    )
                    for data_key in database.data_keys
                    if data_key.generation in needed
                )
            )
        return ManifestKeys(wrap_map_key(self._key, self._map_key, self._begun.snapshot_id), tuple(rows))


def _tell(progress: Progress, before: int, total: int, done: int) -> None:
    progress(before + done, total)
