"""Opens a snapshot for a restore: manifest, packs, and the master key of its day from the KMS.

Leaves to others: where the data goes, and whether the signer is who it should be (`keystore.node`); opening pages (the
store that adopts them).

Invariants:
1. Everything that can refuse a restore without reading the packs through, refuses in `open_snapshot`: a missing or
   damaged manifest, a missing or cut pack, a key that cannot be used (S-12). Nothing of a target exists by then.
2. The only KMS calls are one unwrap, with the key and the context of the snapshot's day, and one for a volume layer.
"""

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, closing
from typing import Self

import numpy as np

from keystore.aside import ahead
from keystore.crypto.secret import SecretKey
from keystore.format.cursor import NotDecodableError
from keystore.format.manifest import ManifestHead
from keystore.format.snapshot_map import DatabaseEntry, ManifestBody, ManifestKeys, StoreEntry
from keystore.keys.hierarchy import DataKey
from keystore.keys.volume import VolumeKey
from keystore.kms.protocol import KmsConnector
from keystore.objects.place import Place
from keystore.pages.reading import Batch
from keystore.snapshots.damage import damage, damaged
from keystore.snapshots.keys import unwrap_data_key, unwrap_map_key
from keystore.snapshots.manifest import read_manifest
from keystore.snapshots.names import PACKS, ids_in
from keystore.snapshots.parent import missing_packs
from keystore.snapshots.reading import MapReader, Packs
from keystore.snapshots.unlocking import UsedCredentials, open_master_of_day, open_volume_of_day

Accept = Callable[[ManifestHead], None]
"""Looks at a head whose signature is that of the signer it names; raises to refuse it."""


class OpenedSnapshot:
    """A snapshot whose manifest was opened; holds its keys until closed. A context manager.

    Attributes:
        credentials: whose opened it.
    """

    pages_in = "a pack"
    """What its pages lie in, for messages."""

    def __init__(
        self,
        place: Place,
        head: ManifestHead,
        body: ManifestBody,
        keys: ManifestKeys,
        *,
        snapshot_key: SecretKey,
        map_key: SecretKey,
        credentials: UsedCredentials,
        volume: VolumeKey | None = None,
    ) -> None:
        self.credentials = credentials
        self._keys, self._snapshot_key, self._map_key, self._volume = keys, snapshot_key, map_key, volume
        self._packs = Packs(place, head, volume)
        self.head, self.body = head, body

    @property
    def name(self) -> str:
        return self.head.snapshot_id.hex()

    @property
    def volume(self) -> VolumeKey | None:
        """The key of the volume layer, if there is one; it is wiped with the others."""
        return self._volume

    def data_keys(self, database: DatabaseEntry) -> tuple[DataKey, ...]:
        """Return the data keys of a database, decrypt-only; the caller wipes them."""
        entries = self._keys.data_keys[self.body.databases.index(database)]
        with damage(f"snapshot {self.name}: data keys of database {database.name}"):
            return tuple(
                DataKey(
                    entry.generation,
                    unwrap_data_key(self._snapshot_key, entry.wrapped, database.database_id, entry.generation),
                    entry.created_ns,
                    decrypt_only=True,
                )
                for entry in entries
            )

    def batches(self, store: StoreEntry) -> Generator[Batch, None, None]:
        """Yield the sealed pages of a store, ascending, each batch valid until the next, which is read meanwhile.

        Raises:
            SnapshotDamagedError: a pack is not what was written. It may come after some batches.
        """
        with closing(MapReader(self._packs, store, self._map_key)) as reader:
            yield from ahead(reader.batches(), "keystore-read-ahead")

    def pages(self, store: StoreEntry, page_nos: Sequence[int]) -> Iterator[Batch]:
        """Yield those of some pages that are no holes, as `batches`; only what leads to them is read."""
        with closing(MapReader(self._packs, store, self._map_key)) as reader:
            yield from reader.batches(np.unique(np.array(page_nos, dtype=np.uint64)))

    def close(self) -> None:
        self._packs.close()
        self._snapshot_key.wipe()
        self._map_key.wipe()
        if self._volume is not None:
            self._volume.wipe()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_snapshot(
    place: Place, snapshot_id: bytes, connect: KmsConnector, accept: Accept = lambda head: None
) -> OpenedSnapshot:
    """Check what can be checked early, have the KMS unwrap the master key, and open the manifest.

    Args:
        accept: is shown the head before anything else is done with it, and may refuse it: a signer who is not known,
            say. By default everybody is trusted.

    Raises:
        SnapshotMissingError, SnapshotDamagedError, SnapshotError: as `read_manifest`; or a pack is missing or cut.
        PlaceError: the place cannot be read.
        KmsError: of the type that says why the key of that day cannot be used.
    """
    manifest = read_manifest(place, snapshot_id)
    accept(manifest.head)
    missing = missing_packs(manifest.head, ids_in(place, PACKS))
    if missing:
        raise damaged(f"snapshot {snapshot_id.hex()}", missing[0])
    with ExitStack() as stack:
        master, credentials = open_master_of_day(manifest.head, connect)
        with master:
            snapshot_key = stack.enter_context(master.snapshot_key(snapshot_id))
        keys = manifest.open_keys(snapshot_key)
        with damage(manifest.where):
            map_key = stack.enter_context(unwrap_map_key(snapshot_key, keys.map_key, snapshot_id))
        body = manifest.open_map(map_key)
        with damage(manifest.where):
            _require_consistent(body, keys)
        volume = open_volume_of_day(manifest.head, connect)
        stack.pop_all()
    return OpenedSnapshot(
        place, manifest.head, body, keys, snapshot_key=snapshot_key, map_key=map_key, credentials=credentials,
        volume=volume,
    )  # fmt: skip


def _require_consistent(body: ManifestBody, keys: ManifestKeys) -> None:
    if len(keys.data_keys) != len(body.databases):
        raise NotDecodableError("it has the data keys of another number of databases")
    for store in body.stores:
        missing = {session.generation for session in store.sessions} - {
            entry.generation for entry in keys.data_keys[store.database]
        }
        if missing:
            raise NotDecodableError(f"store {store.name} needs data key generations {sorted(missing)}")
