"""Converts a node to another hierarchy of keys while it is used: customer keys on or off (docs/adr/0021-converting.md).

1. One keystore file: a new master key under the other customer master key, a new data key for each database, all former
   ones to be ended, and the volume layer coming or going. From here on new data is under the new keys alone.
2. Store after store: its pages are sealed anew under the new data key, and where the layer changes its bytes move to a
   new file that takes its place by one rename. Readers and writers go on.
3. The former data keys are destroyed, database after database, once nothing needs them.
4. One keystore file: the layer has come or gone, and no conversion is under way.

CRASH: what is under way stands in the keystore file, and how far it is shows in the stores themselves: in the sessions
that their pages name, and in their first bytes. So a node opens at any moment of this, with the keys that its keystore
file names, and the same call once more does what is left.

Leaves to others: pages (`PageStore.reseal`), moving a file (`keystore.pages.movable`), destroying a key (`KeyLife`).
"""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from enum import Enum
from functools import partial

from keystore.errors import (
    ConversionUnfinishedError,
    DataKeyInUseError,
    InputError,
    KeystoreError,
    NameUnknownError,
    NodeIOError,
    StoreLockedError,
    cause_of,
)
from keystore.format.keyfile import VOLUME_COMING, VOLUME_GOING, VOLUME_SETTLED
from keystore.keys import volume
from keystore.keys.files import Files
from keystore.keys.hierarchy import Database, Keystore, StoreRecord
from keystore.keys.master import MasterKey, generate_master
from keystore.keys.volume import VolumeKey, generate_volume
from keystore.kms.protocol import KmsConnector
from keystore.kms.uri import parse
from keystore.node.custody import Custody
from keystore.node.key_life import KeyLife
from keystore.node.layering import is_layered, new_layered
from keystore.node.layout import Layout
from keystore.node.lending import LentStore
from keystore.node.reports import MasterInfo, Rotation
from keystore.node.stores import Stores
from keystore.node.volume import rewrap_volume
from keystore.pages.blockfile import OsBlockFile
from keystore.pages.pace import Pace
from keystore.progress import Progress, parts, untold

PROBLEMS_MAX = 8
"""LIMIT: problems that an error names; it tells how many more there are."""


class Keep(Enum):
    """That the volume layer is to stay as it is, or to become what the conversion under way wants."""

    KEEP = "keep"


KEEP = Keep.KEEP
VolumeChoice = str | None | Keep
"""URI of the platform key of the volume layer; None for no layer."""


@dataclass(frozen=True)
class Conversion:
    """What one call did.

    Attributes:
        rotation: None where the node was under the key already, because an earlier call had begun.
        resealed_pages: pages that were sealed anew.
        moved: stores whose file was written anew, with the volume layer or without.
        destroyed: data keys that were destroyed.
        already_done: whether there was nothing left to do.
    """

    rotation: Rotation | None
    resealed_pages: int
    moved: int
    destroyed: int
    already_done: bool


class Converter:
    """Converts one open node."""

    def __init__(
        self,
        layout: Layout,
        files: Files,
        custody: Custody,
        stores: Stores,
        key_life: KeyLife,
        now_ns: Callable[[], int],
    ) -> None:
        self._layout, self._files, self._custody, self._stores = layout, files, custody, stores
        self._key_life, self._now_ns = key_life, now_ns
        self._one = threading.Lock()

    def convert(
        self,
        key_uri: str,
        volume_key: VolumeChoice,
        former: KmsConnector,
        new: KmsConnector,
        progress: Progress | None = None,
        pace: Pace | None = None,
    ) -> Conversion:
        """Convert the node, or go on with it; see `Node.convert`.

        Args:
            former: gives the client for the present platform key.
            new: gives the clients for the new keys.
        """
        key_uri = parse(key_uri).text
        wanted = parse(volume_key).text if isinstance(volume_key, str) else volume_key
        if not self._one.acquire(blocking=False):
            raise InputError("this node is being converted by another thread. Nothing was changed; wait until it ends.")
        try:
            rewrapped = self._rewrap(wanted, former, new)
            rotation = self._begin(key_uri, wanted, new)
            if not self._custody.keystore.is_converting:
                return Conversion(rotation, 0, 0, 0, already_done=rotation is None and not rewrapped)
            work = _Work(self._layout, self._files, self._custody, self._stores, progress or untold, pace or Pace())
            work.run()
            destroyed = self._destroy_keys(work.problems)
            self._require_no(work.problems)
            self._settle()
            return Conversion(rotation, work.resealed_pages, work.moved, destroyed, already_done=False)
        finally:
            self._one.release()

    # -- beginning ----------------------------------------------------------------------------------------------------

    def _rewrap(self, wanted: VolumeChoice, former: KmsConnector, new: KmsConnector) -> bool:
        """Put a layer that is there, and stays, under the platform key that is wanted; tell whether that was needed."""
        with self._custody.held() as custody:
            present = custody.volume.record.wrapped.key_id if custody.volume else None
        if present is None or not isinstance(wanted, str) or wanted == present:
            return False
        rewrap_volume(self._layout, self._files, self._custody, wanted, former, new)
        return True

    def _begin(self, key_uri: str, wanted: VolumeChoice, connector: KmsConnector) -> Rotation | None:
        """Put step 1 in force, unless that was done; a failure leaves everything as it was."""
        with self._custody.held() as custody:
            was_layered = custody.keystore.is_layered
            same_key = custody.master.wrapped.key_id == key_uri
            present = custody.keystore.volume_id
        layered = was_layered if wanted is KEEP else wanted is not None
        if same_key and layered == was_layered:
            return None
        made: list[Rotation] = []
        with self._new_volume(wanted if layered and present is None else None, connector) as volume_key:

            def make_next(master: MasterKey) -> MasterKey:
                with closing(connector(key_uri)) as kms:
                    following = generate_master(kms, master.node_id, master.generation + 1)
                made.append(Rotation(MasterInfo.of(master), MasterInfo.of(following)))
                try:
                    if volume_key is not None:
                        self._save(volume_key)
                except BaseException:
                    following.wipe()
                    raise
                return following

            self._custody.change_master(make_next, partial(self._begun, layered, volume_key), volume_key)
        return made[0]

    def _begun(self, layered: bool, volume_key: VolumeKey | None, keystore: Keystore) -> Keystore:
        """Return the contents with which a conversion begins, or turns round."""
        for database in keystore.databases.values():
            keystore = keystore.with_database(database.leaving_keys(self._now_ns()))
        if volume_key is not None:
            return keystore.with_volume(volume_key.record.volume_id, VOLUME_COMING)
        if keystore.volume_id is None or keystore.is_layered == layered:
            return keystore
        return keystore.with_volume(keystore.volume_id, VOLUME_COMING if layered else VOLUME_GOING)

    @contextmanager
    def _new_volume(self, key_uri: VolumeChoice, connector: KmsConnector) -> Iterator[VolumeKey | None]:
        """Make the key of a volume layer; where it does not come in force in the block nothing is left of it."""
        if not isinstance(key_uri, str):
            yield None
            return
        with closing(connector(key_uri)) as kms:
            made = generate_volume(kms)
        try:
            yield made
        finally:
            if self._custody.volume is not made:
                made.wipe()
                if not self._custody.unsure:
                    with suppress(OSError):
                        self._files.remove(self._layout.volume)

    def _save(self, volume_key: VolumeKey) -> None:
        # CRASH: a file of a volume that no keystore file names is removed at the next opening.
        try:
            volume.save(self._files, self._layout.volume, volume_key.record)
        except OSError as error:
            raise NodeIOError(
                f"the volume key file {self._layout.volume} could not be written: {error.strerror}. Nothing was "
                "changed; make space or give write access, and convert again."
            ) from error

    # -- ending -------------------------------------------------------------------------------------------------------

    def _destroy_keys(self, problems: list[KeystoreError]) -> int:
        """Destroy the former data keys of each database that nothing needs any more."""
        destroyed = 0
        for database in self._custody.keystore.databases.values():
            try:
                for key in database.to_be_left:
                    self._key_life.destroy(database.name, key.generation)
                    destroyed += 1
                if database.left_below:
                    self._stores.change_database(database.name, Database.left_keys)
            except NameUnknownError:  # it was shredded meanwhile
                continue
            except DataKeyInUseError as error:
                problems.append(error)
        return destroyed

    @staticmethod
    def _require_no(problems: list[KeystoreError]) -> None:
        if not problems:
            return
        told = "; ".join(cause_of(problem) for problem in problems[:PROBLEMS_MAX])
        more = len(problems) - PROBLEMS_MAX
        raise ConversionUnfinishedError(
            f"the node is not converted yet: {told}{f'; and {more} more' if more > 0 else ''}. New data is under the "
            "new keys, everything is there and readable, and the former data keys stay until all is done; end what is "
            "in the way, and convert again."
        ) from problems[0]

    def _settle(self) -> None:
        """Put step 4 in force; the file of the volume key goes with its layer."""

        def settle(keystore: Keystore) -> Keystore:
            if keystore.volume_change == VOLUME_SETTLED:
                return keystore
            return keystore.with_volume(keystore.volume_id if keystore.is_layered else None, VOLUME_SETTLED)

        if self._custody.change(settle).volume_id is None:
            # CRASH: the next opening removes it.
            with suppress(OSError):
                self._files.remove(self._layout.volume)
                self._files.sync_directory(self._layout.root)


class _Work:
    """Step 2 of one call."""

    def __init__(
        self, layout: Layout, files: Files, custody: Custody, stores: Stores, progress: Progress, pace: Pace
    ) -> None:
        self._layout, self._files, self._custody, self._stores = layout, files, custody, stores
        self._progress, self._pace = progress, pace
        self._done: set[bytes] = set()
        self.resealed_pages, self.moved = 0, 0
        self.problems: list[KeystoreError] = []

    def run(self) -> None:
        """Do every store that was begun before step 1; those begun since are right already.

        A file that was being made then comes into the catalogue later: it is looked for when nobody makes one of them
        any more.
        """
        begun = self._stores.being_filled()
        self._pass(self._progress)
        if begun & self._stores.being_filled():
            self.problems.append(StoreLockedError("a file is being made since before the conversion began. Wait"))
        self._pass(untold)

    def _pass(self, progress: Progress) -> None:
        chosen = [
            (database, record)
            for database, record in self._custody.keystore.stores()
            if record.store_id not in self._done
        ]
        sizes = [self._stores.stored_bytes(database, record) for database, record in chosen]
        for (database, record), part in zip(chosen, parts(progress, sizes), strict=True):
            self._done.add(record.store_id)
            try:
                self._convert(database, record, part)
            except KeystoreError as error:
                if self._stores.is_entered(database.name, record):
                    self.problems.append(error)

    def _convert(self, database: Database, record: StoreRecord, progress: Progress) -> None:
        with self._stores.using(database.name, record.name) as store:
            generations = {key.generation for key in database.to_be_left}
            if generations:
                done = store.reseal(generations, progress=partial(_half, progress, 0), pace=self._pace)
                self.resealed_pages += done.pages
            if is_layered(store.movable.file) != self._custody.keystore.is_layered:
                self._move(database, record, store, partial(_half, progress, 1))
                self.moved += 1

    def _move(self, database: Database, record: StoreRecord, store: LentStore, progress: Progress) -> None:
        place = self._layout.store(database.database_id, record.store_id)
        new, process = self._layout.converting(database.database_id, record.store_id), os.getpid()

        def make_durable() -> None:
            try:
                self._files.sync_directory(place.parent)
            except OSError as error:
                raise NodeIOError(
                    f"the new file {place} could not be made durable: {error.strerror}. Nothing was lost; open the "
                    "node again."
                ) from error

        try:
            copy = new_layered(self._custody, OsBlockFile.create(new), record)
            store.movable.move(copy, lambda: self._files.rename(new, place), make_durable, progress, self._pace)
        except BaseException:
            if os.getpid() == process:
                with suppress(OSError):
                    self._files.remove(new)
            raise


def _half(progress: Progress, passed: int, done: int, total: int) -> None:
    progress(passed * max(total, 1) + done, 2 * max(total, 1))
