"""The life of data keys after their making: what needs them, how that ends, and when they may be destroyed.

A data key is current, decrypt-only, or destroyed. Only a decrypt-only one can be destroyed, and only where nothing in
the node needs it: no page and no block of a store, no pin, no import under way. What was counted stays true, because
nothing is ever sealed under a decrypt-only key again.
LIMIT: a repair (`keystore.node.repairing`) puts pages back as a snapshot has them, also under a decrypt-only key. One
that runs in this process while such a key is destroyed may put back what then opens no more; do one after the other.

Snapshots do not keep a data key alive: each carries its own copy, wrapped under the master key of its day, and restores
without the node. So they are told as copies that remain (`keystore.node.copies`), and block nothing.

CRASH: a data key is destroyed by one replacement of the keystore file; before it is durable nothing has happened.
"""

from collections.abc import Callable
from dataclasses import dataclass

from keystore.errors import DataKeyInUseError, InputError, KeystoreError, cause_of
from keystore.keys.hierarchy import Database, DestroyedKey, StoreRecord
from keystore.node.custody import Custody
from keystore.node.stores import Stores
from keystore.pages.generations import KeyReferences
from keystore.pages.pace import Pace
from keystore.progress import Progress, parts, untold
from keystore.units import plural


@dataclass(frozen=True)
class StoreReferences:
    """What one store needs.

    Attributes:
        references: by generation.
        problem: why nobody knows, or None.
    """

    database: str
    name: str
    references: tuple[KeyReferences, ...] = ()
    problem: KeystoreError | None = None


@dataclass(frozen=True)
class StoreResealed:
    """What came of resealing one store.

    Attributes:
        pages: pages that were sealed anew.
        left: pages and blocks that still stand under former data keys.
        problem: why it could not be done, or not to its end.
    """

    database: str
    name: str
    pages: int = 0
    left: int = 0
    problem: KeystoreError | None = None


@dataclass(frozen=True)
class DataKeyDestroyed:
    """A data key that is gone from the node.

    Attributes:
        former_fingerprint, fingerprint: SHA-256 of the keystore file before and after.
    """

    database: str
    key: DestroyedKey
    former_fingerprint: bytes
    fingerprint: bytes


class KeyLife:
    """The data keys of an open node."""

    def __init__(self, custody: Custody, stores: Stores, now_ns: Callable[[], int]) -> None:
        self._custody, self._stores, self._now_ns = custody, stores, now_ns

    def references(self, database: str | None = None) -> list[StoreReferences]:
        """Tell what each store needs, of one database or of all; each is opened, and no page is read.

        Raises:
            NameUnknownError: there is no such database.
        """
        chosen = self._custody.keystore.stores(database)
        return [self._references(entry, record, settle=False) for entry, record in chosen]

    def reseal(
        self,
        database: str | None = None,
        *,
        generation: int | None = None,
        progress: Progress | None = None,
        pace: Pace | None = None,
    ) -> list[StoreResealed]:
        """Seal what stands under former data keys anew under the current one, store after store.

        A store that cannot be done, or not to its end, is in the list with its problem; the others are done. Whoever
        starts again goes on where it was.

        Args:
            generation: only what stands under this generation of `database`.
            progress: is told bytes done and in all, as the stores take them on disk.
            pace: holds it back.

        Raises:
            NameUnknownError, DatabaseShreddedError, InputError: there is no such database, or no such generation to be
            left behind; nothing was changed.
        """
        if generation is not None:
            if database is None:
                raise InputError("a generation belongs to a database; name that too. Nothing was changed.")
            self._custody.keystore.database(database).decrypt_only(generation)
        if database is not None:
            self._custody.keystore.database(database).unshredded()
        chosen = self._custody.keystore.stores(database)
        sizes = [self._stores.stored_bytes(entry, record) for entry, record in chosen]
        return [
            self._reseal(entry, record, generation, part, pace)
            for (entry, record), part in zip(chosen, parts(progress or untold, sizes), strict=True)
        ]

    def destroy(self, database: str, generation: int) -> DataKeyDestroyed:
        """Destroy a decrypt-only data key that nothing in this node needs; durable on return.

        Raises:
            NameUnknownError, InputError: there is no such generation, it is current, or destroyed already.
            DataKeyInUseError: something needs it, or could not be asked; the message names what. Nothing was changed.
            KeyFileWriteError, NodeIOError: as every change of the keystore file.
        """
        self._custody.keystore.database(database).decrypt_only(generation)
        blockers = self._blockers(database, generation)
        if blockers:
            raise DataKeyInUseError(
                f"data key generation {generation} of database {database!r} is needed: {_listed(blockers)}. Nothing "
                "was destroyed; reseal the database, end what pins it, and try again."
            )
        with self._custody.held():
            before = self._custody.fingerprint
            former = self._custody.keystore.database(database).decrypt_only(generation)
            try:
                self._stores.change_database(database, lambda now: now.without_key(generation, self._now_ns()))
            finally:
                changed = self._custody.keystore.database(database)
                if all(data_key.key is not former.key for data_key in changed.data_keys):
                    former.key.wipe()
            after = self._custody.fingerprint
        for store in self._stores.opened(changed):
            store.forget_data_key(generation)
        gone = next(key for key in changed.destroyed if key.generation == generation)
        return DataKeyDestroyed(database, gone, before, after)

    def _references(self, entry: Database, record: StoreRecord, *, settle: bool) -> StoreReferences:
        try:
            with self._stores.using(entry.name, record.name) as store:
                found = store.key_references(settle=settle)
        except KeystoreError as error:
            return StoreReferences(entry.name, record.name, problem=error)
        return StoreReferences(entry.name, record.name, tuple(found))

    def _reseal(
        self, entry: Database, record: StoreRecord, generation: int | None, progress: Progress, pace: Pace | None
    ) -> StoreResealed:
        try:
            with self._stores.using(entry.name, record.name) as store:
                done = store.reseal(None if generation is None else [generation], progress=progress, pace=pace)
        except KeystoreError as error:
            return StoreResealed(entry.name, record.name, problem=error)
        return StoreResealed(entry.name, record.name, done.pages, done.left)

    def _blockers(self, database: str, generation: int) -> list[str]:
        # Looked at first: a file that is finished from here on is in the catalogue then, or began under another key.
        filling = self._stores.filling(database)
        found = [f"{plural(filling, 'file')} being made"] if filling else []
        entry = self._custody.keystore.database(database)
        for record in entry.stores.values():
            needed = self._references(entry, record, settle=True)
            where = f"{entry.name}/{record.name}"
            if needed.problem is not None:
                found.append(f"{where} cannot be asked ({cause_of(needed.problem)})")
            found += [_reason(where, each) for each in needed.references if each.generation == generation]
        return found


def _reason(where: str, references: KeyReferences) -> str:
    parts = [f"{references.entries:,} pages and blocks"] if references.entries else []
    parts += [f"{plural(references.pins, 'pin')}, such as of a snapshot being taken"] if references.pins else []
    return f"{where} ({', '.join(parts)})"


BLOCKERS_MAX = 8
"""LIMIT: blockers that an error names; it tells how many more there are."""


def _listed(blockers: list[str]) -> str:
    more = len(blockers) - BLOCKERS_MAX
    return "; ".join(blockers[:BLOCKERS_MAX]) + (f"; and {more} more" if more > 0 else "")
