"""Shreds a database: destroys all its data keys, so that nothing that was sealed under them opens any more.

1. Nobody may use a store of it, and the snapshots named are listed. What refuses, refuses here.
2. The KMS wraps a new master key. Where it does not answer, nothing has changed.
3. One replacement of the keystore file: without the data keys and the stores of the database, under the new master
   key. This is the moment. CRASH: before it is durable nothing has happened; afterwards the rest is finished by the
   next opening of the node, or by the same call once more.
4. The stores' files are removed.

What stays is a record in the keystore file: generations, times, names of keys for people, and the fingerprint of the
file before. So the receipt can be had again.

Leaves to others: copies elsewhere. The receipt names those it knows of, and says that there may be more.
"""

import contextlib
import os
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass

from keystore.errors import KeystoreError, StoreLockedError
from keystore.keys.files import Files
from keystore.keys.hierarchy import Database, DestroyedKey, Keystore, ShredRecord
from keystore.keys.master import MasterKey, generate_master
from keystore.kms.protocol import KmsConnector
from keystore.node.copies import SnapshotCopy, list_snapshots_in, that_may_hold
from keystore.node.custody import Custody
from keystore.node.layout import Layout
from keystore.node.leftovers import remove_shredded
from keystore.node.stores import Stores
from keystore.objects.place import Place


@dataclass(frozen=True)
class ShredReceipt:
    """What was destroyed, when, and what is known to exist still.

    Attributes:
        keys: all data keys that the database ever had here, those destroyed before included.
        shredded: when, and the keystore file before.
        fingerprint: SHA-256 of the keystore file in force when this was written.
        key_id, key_version: the customer master key of the node, which unwraps the former master key too.
        copies: snapshots that may hold one of the keys.
        is_new: whether this call did it; False where it had been done.
    """

    database: str
    database_id: bytes
    node_id: bytes
    keys: tuple[DestroyedKey, ...]
    shredded: ShredRecord
    master_generation: int
    fingerprint: bytes
    key_id: str
    key_version: str
    copies: tuple[SnapshotCopy, ...]
    is_new: bool


class Shredder:
    """Shreds databases of one open node."""

    def __init__(
        self,
        layout: Layout,
        files: Files,
        custody: Custody,
        stores: Stores,
        connector: KmsConnector,
        now_ns: Callable[[], int],
    ) -> None:
        self._layout, self._files, self._custody, self._stores = layout, files, custody, stores
        self._connector, self._now_ns = connector, now_ns

    def shred(self, database: str, snapshots: Sequence[str | os.PathLike[str] | Place] = ()) -> ShredReceipt:
        """Destroy all data keys of a database, and remove its files; durable on return.

        Where that was done already, what is left of it is finished, and the receipt given once more.

        Args:
            snapshots: directories of snapshots, to be listed in the receipt. They are not changed.

        Raises:
            NameUnknownError, PathMissingError, SnapshotError, StoreLockedError, KmsError, KeyFileWriteError: nothing
            was changed.
            NodeIOError: files could not be removed, or it is unknown which keystore file is in force; open the node
            again, and shred once more.
        """
        copies = list_snapshots_in(snapshots)
        entry = self._custody.keystore.database(database)
        is_new = entry.shredded is None
        if is_new:
            with self._stores.reserved(entry):
                gone = self._destroy(entry)
                self._forget_anchors(entry)
                store_ids = [record.store_id for record in entry.stores.values()]
                remove_shredded(self._files, self._layout, gone, store_ids)
        else:
            with self._custody.held() as custody:  # nobody begins the database anew meanwhile
                gone = custody.keystore.database(database)
                if gone.shredded is None:
                    raise _changed(database)
                remove_shredded(self._files, self._layout, gone)
        return self._receipt(gone, copies, is_new=is_new)

    def _destroy(self, entry: Database) -> Database:
        """Put the database without its keys in force, and return it; somebody may begin it anew from then on."""
        found: list[tuple[Database, Database]] = []

        def next_master(master: MasterKey) -> MasterKey:
            with closing(self._connector(master.wrapped.key_id)) as kms:
                return generate_master(kms, master.node_id, master.generation + 1)

        def without_keys(keystore: Keystore) -> Keystore:
            now = keystore.database(entry.name).unshredded()
            if now.stores != entry.stores:
                raise _changed(entry.name)
            gone = now.shred(self._now_ns(), self._custody.fingerprint, self._custody.master.generation)
            found.append((now, gone))
            return keystore.with_database(gone)

        try:
            self._custody.change_master(next_master, without_keys)
        finally:
            kept = self._custody.keystore.database(entry.name).data_keys
            for data_key in found[0][0].data_keys if found else ():
                if all(data_key.key is not other.key for other in kept):
                    data_key.key.wipe()
        return found[0][1]

    def _forget_anchors(self, entry: Database) -> None:
        """Free the records of the stores; one that stays is used again after the next opening."""
        for record in entry.stores.values():
            with contextlib.suppress(KeystoreError, KeyError):
                self._custody.anchors.remove(record.store_id)

    def _receipt(self, gone: Database, copies: list[SnapshotCopy], *, is_new: bool) -> ShredReceipt:
        assert gone.shredded is not None
        oldest_ns = min(key.created_ns for key in gone.destroyed)
        with self._custody.held() as custody:
            return ShredReceipt(
                gone.name,
                gone.database_id,
                custody.master.node_id,
                gone.destroyed,
                gone.shredded,
                custody.master.generation,
                custody.fingerprint,
                custody.master.wrapped.key_id,
                custody.master.wrapped.key_version,
                tuple(that_may_hold(copies, oldest_ns)),
                is_new,
            )


def _changed(database: str) -> StoreLockedError:
    return StoreLockedError(
        f"the files of database {database!r} changed meanwhile; nothing was changed. Shred it once more"
    )
