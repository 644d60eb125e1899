"""Opens a snapshot for a restore: manifest, packs, and the master key of its day from the KMS.

Leaves to others: where the data goes, and whether the signer is who it should be (`keystore.node`); opening pages (the
store that adopts them).

Invariants:
1. Everything that can refuse a restore without reading the packs through, refuses in `open_snapshot`: a missing or
   damaged manifest, a missing or cut pack, a key that cannot be used (S-12). Nothing of a target exists by then.
2. The only KMS calls are one unwrap, with the key and the context of the snapshot's day, and one for a volume layer.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from typing import Self

import numpy as np

from keystore.crypto.secret import SecretKey
from keystore.errors import (
    CiphertextError,
    KeyDestroyedError,
    KeyDisabledError,
    KeyNotFoundError,
    KeyPendingDeletionError,
    KmsCredentialsError,
    KmsError,
    KmsPermissionError,
    KmsUnreachableError,
    PassphraseError,
    WrongKeyError,
)
from keystore.format.cursor import NotDecodableError
from keystore.format.manifest import ManifestHead
from keystore.format.snapshot_map import DatabaseEntry, ManifestBody, ManifestKeys, StoreEntry
from keystore.keys.hierarchy import DataKey
from keystore.keys.master import MasterKey, open_master
from keystore.keys.volume import VolumeKey, open_volume
from keystore.kms.protocol import KmsConnector
from keystore.kms.refusals import what_failed
from keystore.objects.place import Place
from keystore.pages.reading import Batch
from keystore.snapshots.damage import damage, damaged
from keystore.snapshots.keys import unwrap_data_key, unwrap_map_key
from keystore.snapshots.manifest import read_manifest
from keystore.snapshots.names import PACKS, ids_in
from keystore.snapshots.parent import missing_packs
from keystore.snapshots.reading import MapReader, Packs


class OpenedSnapshot:
    """A snapshot whose manifest was opened; holds its keys until closed. A context manager."""

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
        volume: VolumeKey | None = None,
    ) -> None:
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

    def batches(self, store: StoreEntry) -> Iterator[Batch]:
        """Yield the sealed pages of a store, ascending, each batch valid until the next.

        Raises:
            SnapshotDamagedError: a pack is not what was written. It may come after some batches.
        """
        with closing(MapReader(self._packs, store, self._map_key)) as reader:
            yield from reader.batches()

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


def open_snapshot(place: Place, snapshot_id: bytes, connect: KmsConnector) -> OpenedSnapshot:
    """Check what can be checked early, have the KMS unwrap the master key, and open the manifest.

    Raises:
        SnapshotMissingError, SnapshotDamagedError, SnapshotError: as `read_manifest`; or a pack is missing or cut.
        PlaceError: the place cannot be read.
        KmsError: of the type that says why the key of that day cannot be used.
    """
    manifest = read_manifest(place, snapshot_id)
    missing = missing_packs(manifest.head, ids_in(place, PACKS))
    if missing:
        raise damaged(f"snapshot {snapshot_id.hex()}", missing[0])
    with ExitStack() as stack:
        with _open_master(manifest.head, connect) as master:
            snapshot_key = stack.enter_context(master.snapshot_key(snapshot_id))
        keys = manifest.open_keys(snapshot_key)
        with damage(manifest.where):
            map_key = stack.enter_context(unwrap_map_key(snapshot_key, keys.map_key, snapshot_id))
        body = manifest.open_map(map_key)
        with damage(manifest.where):
            _require_consistent(body, keys)
        volume = _open_volume(manifest.head, connect)
        stack.pop_all()
    return OpenedSnapshot(place, manifest.head, body, keys, snapshot_key=snapshot_key, map_key=map_key, volume=volume)


def _require_consistent(body: ManifestBody, keys: ManifestKeys) -> None:
    if len(keys.data_keys) != len(body.databases):
        raise NotDecodableError("it has the data keys of another number of databases")
    for store in body.stores:
        missing = {session.generation for session in store.sessions} - {
            entry.generation for entry in keys.data_keys[store.database]
        }
        if missing:
            raise NotDecodableError(f"store {store.name} needs data key generations {sorted(missing)}")


def _open_master(head: ManifestHead, connect: KmsConnector) -> MasterKey:
    try:
        with closing(connect(head.wrapped.key_id)) as kms:
            return open_master(kms, head.wrapped, head.node_id, head.era, head.commitment)
    except KmsError as error:
        raise _explain(head, error) from error
    except WrongKeyError as error:
        raise damaged(f"snapshot {head.snapshot_id.hex()}: its manifest", str(error)) from None


def _open_volume(head: ManifestHead, connect: KmsConnector) -> VolumeKey | None:
    if head.volume is None:
        return None
    try:
        with closing(connect(head.volume.wrapped.key_id)) as kms:
            return open_volume(kms, head.volume)
    except KmsError as error:
        raise _explain(head, error, "the platform key of its volume layer") from error
    except WrongKeyError as error:
        raise damaged(f"snapshot {head.snapshot_id.hex()}: its manifest", str(error)) from None


_NEXT_STEP: dict[type[KmsError], str] = {
    KmsUnreachableError: "Restore again once the KMS can be reached.",
    KeyDisabledError: "Re-enable the key, and restore again.",
    KeyPendingDeletionError: "Cancel the deletion of the key, enable it, and restore again.",
    KeyNotFoundError: "Bring the key back; if it was deleted, this is final, and nothing else opens this snapshot.",
    KeyDestroyedError: "This is final: nothing else can open this snapshot.",
    KmsCredentialsError: "Renew the credentials, and restore again.",
    KmsPermissionError: "Give the permission back at the KMS, and restore again.",
    PassphraseError: "Restore again with the passphrase of that day.",
    CiphertextError: "Bring back the manifest, or the key, of that day, or use another snapshot.",
}


def _explain(head: ManifestHead, error: KmsError, key: str = "the key of its day") -> KmsError:
    """Return an error of the same type that tells which snapshot needs which key, and what to do."""
    return explained(f"snapshot {head.snapshot_id.hex()}", error, key)


def explained(what: str, error: KmsError, key: str = "the key of its day") -> KmsError:
    """Return an error of the same type that tells what cannot be restored without which key, and what to do."""
    step = _NEXT_STEP.get(type(error), "Restore again once it is mended.")
    return type(error)(f"{what} cannot be restored without {key}: {what_failed(error)}. Nothing was restored. {step}")
