"""Takes a snapshot: pins every store, copies its sealed pages as they are, and publishes the manifest last.

Invariants:
1. No KMS is asked. The manifest carries the wrapped master key that the node has (S-2).
2. Memory is bounded by one batch, whatever the stores hold.
3. The keys of a moment are used while they are held, so that no rotation wipes one under the snapshot. Data keys are
   read after the last page was copied: every generation that a pinned page can be sealed under is there by then.
4. Every page is opened before it is copied, so what is damaged already fails the snapshot and not its restore (S-2).
5. A snapshot that fails or is interrupted is removed. One that dies with the process has no manifest; nobody needs it.
   Only the process that began it removes it: a child that was forked meanwhile leaves it alone.
"""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import numpy as np

from keystore.crypto.secret import SecretKey
from keystore.crypto.wrap import wrap
from keystore.format.manifest import (
    NO_PARENT,
    DatabaseEntry,
    DataKeyEntry,
    ManifestBody,
    ManifestHead,
    PackObject,
    StoreEntry,
    StorePack,
    encode_manifest,
)
from keystore.format.pack import PackHeader, pages_per_batch
from keystore.keys.hierarchy import Database, StoreRecord
from keystore.keys.master import MasterKey
from keystore.keys.volume import VolumeKey
from keystore.pages.pin import Pin
from keystore.pages.reading import Batch
from keystore.progress import Progress, untold
from keystore.snapshots.ids import new_id
from keystore.snapshots.keys import BODY_PURPOSE, wrap_data_key, wrap_pack_key
from keystore.snapshots.pack import write_pack
from keystore.snapshots.source import NodeSource
from keystore.snapshots.target import PackWriter, SnapshotTarget
from keystore.snapshots.volume import VolumePackWriter


@dataclass(frozen=True)
class CreatedSnapshot:
    """What `create_snapshot` made.

    Attributes:
        key_id: the Encryption Key ID, exactly as configured.
        logical_bytes: the users' own bytes in all stores.
        stored_bytes: bytes of packs and manifest.
    """

    snapshot_id: bytes
    created_ns: int
    key_id: str
    era: int
    stores: int
    pages: int
    logical_bytes: int
    stored_bytes: int


@dataclass(frozen=True)
class _Pinned:
    database: int
    record: StoreRecord
    pin: Pin


def create_snapshot(
    target: SnapshotTarget,
    node: NodeSource,
    progress: Progress | None = None,
    now_ns: Callable[[], int] = time.time_ns,
) -> CreatedSnapshot:
    """Take a snapshot of `node` into `target`; durable on return.

    All stores are pinned before the first is copied, so the snapshot shows one moment of the whole node.

    Raises:
        SnapshotError, PathMissingError: the target cannot be written; nothing is left there.
        StoreDamagedError: a page does not open; it is named, and nothing is left in the target.
        StoreError: a store cannot be read.
    """
    created_ns = now_ns()
    snapshot_id = new_id(created_ns)
    with ExitStack() as stack:
        with node.held() as keys:
            master, volume = keys.master, keys.volume
            databases = [database for database in keys.databases.values() if database.shredded is None]
            key = stack.enter_context(master.snapshot_key(snapshot_id))
        pinned = [
            _Pinned(place, record, stack.enter_context(node.pin(database, record)))
            for place, database in enumerate(databases)
            for record in database.stores.values()
        ]
        stack.enter_context(_discard_on_failure(target, snapshot_id))
        target.begin(snapshot_id)
        stores, packs = _copy_stores(target, snapshot_id, key, volume, pinned, progress or untold)
        with node.held() as keys:
            now = [keys.databases[database.name] for database in databases]
            body = ManifestBody(node.name, _databases(key, now, stores), tuple(stores))
        head = _head(snapshot_id, created_ns, master, tuple(packs), volume).encode()
        manifest = encode_manifest(head, wrap(key, body.encode(), BODY_PURPOSE, head))
        target.publish(snapshot_id, manifest)
    return CreatedSnapshot(
        snapshot_id,
        created_ns,
        master.wrapped.key_id,
        master.generation,
        len(stores),
        sum(pack.pages for store in stores for pack in store.packs),
        sum(store.byte_length for store in stores),
        sum(pack.byte_length for pack in packs) + len(manifest),
    )


@contextmanager
def _discard_on_failure(target: SnapshotTarget, snapshot_id: bytes) -> Iterator[None]:
    process = os.getpid()
    try:
        yield
    except BaseException:
        if os.getpid() == process:
            target.discard(snapshot_id)
        raise


def _copy_stores(
    target: SnapshotTarget,
    snapshot_id: bytes,
    key: SecretKey,
    volume: VolumeKey | None,
    pinned: list[_Pinned],
    progress: Progress,
) -> tuple[list[StoreEntry], list[PackObject]]:
    total = sum(item.pin.page_count * item.pin.page_size for item in pinned)
    stores: list[StoreEntry] = []
    packs: list[PackObject] = []
    copied = 0

    def advance(count: int) -> None:
        nonlocal copied
        copied += count
        progress(copied, total)

    for item in pinned:
        entry, pack = _copy_store(target, snapshot_id, key, volume, item, len(packs), advance)
        stores.append(entry)
        packs.append(pack)
    return stores, packs


def _copy_store(
    target: SnapshotTarget,
    snapshot_id: bytes,
    key: SecretKey,
    volume: VolumeKey | None,
    item: _Pinned,
    place: int,
    advance: Callable[[int], None],
) -> tuple[StoreEntry, PackObject]:
    record, pin = item.record, item.pin
    pack_id = new_id(time.time_ns())
    header = PackHeader(pin.page_size, pack_id, record.store_id)
    used: set[int] = set()

    def batches() -> Iterator[Batch]:
        for batch in pin.sealed(pages_per_batch(pin.page_size)):
            used.update(np.unique(batch.entries["session"]).tolist())
            yield batch

    with SecretKey.generate() as pack_key, target.create_pack(snapshot_id, pack_id) as packed:
        out: PackWriter = packed
        if volume is not None:
            out = VolumePackWriter(packed, volume.file_key("pack", pack_id))
        content = write_pack(out, header, pack_key, batches(), advance)
        byte_length, digest = out.finish()
        wrapped_key = wrap_pack_key(key, pack_key, pack_id, record.store_id)
    entry = StoreEntry(
        item.database,
        record.store_id,
        record.name,
        pin.page_size,
        pin.page_count,
        pin.byte_length,
        pin.sequence,
        record.created_ns,
        tuple(session for session in pin.sessions() if session.number in used),
        (StorePack(place, content.pages, content.batches, wrapped_key),),
    )
    return entry, PackObject(pack_id, snapshot_id, byte_length, digest)


def _databases(key: SecretKey, databases: Sequence[Database], stores: list[StoreEntry]) -> tuple[DatabaseEntry, ...]:
    """Keep of each database the generations that a pinned page is sealed under, and no other."""
    entries = []
    for place, database in enumerate(databases):
        needed = {session.generation for store in stores if store.database == place for session in store.sessions}
        keys = tuple(
            DataKeyEntry(
                data_key.generation,
                data_key.created_ns,
                wrap_data_key(key, data_key.key, database.database_id, data_key.generation),
            )
            for data_key in database.data_keys
            if data_key.generation in needed
        )
        entries.append(DatabaseEntry(database.database_id, database.name, database.created_ns, keys))
    return tuple(entries)


def _head(
    snapshot_id: bytes, created_ns: int, master: MasterKey, packs: tuple[PackObject, ...], volume: VolumeKey | None
) -> ManifestHead:
    return ManifestHead(
        snapshot_id,
        master.node_id,
        created_ns,
        master.generation,
        master.commitment,
        NO_PARENT,
        master.wrapped,
        packs,
        volume.record if volume else None,
    )
