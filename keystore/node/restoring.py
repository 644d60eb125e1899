"""Nodes out of snapshots.

Leaves to others: the form of a snapshot (`keystore.snapshots`), the form of a node (`keystore.node.directory`), where
it is built (`keystore.node.building`), pages (`keystore.node.filling`).

Invariants:
1. Whatever refuses a restore early, refuses before anything is written (S-12).
2. A restored node shares no id, and no key for writing, with the node that the snapshot was taken of.
"""

import hashlib
import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from keystore.crypto.secret import SecretKey
from keystore.errors import InputError, NodeError, PathMissingError, StoreError, WrongKeyError
from keystore.format.manifest import ManifestHead
from keystore.format.snapshot_map import StoreEntry
from keystore.keys import keyfile
from keystore.keys.hierarchy import (
    Database,
    DatabaseKeys,
    DataKey,
    Keystore,
    OutsideSetting,
    StoreRecord,
    generate_id,
)
from keystore.keys.master import MasterKey, generate_master
from keystore.keys.volume import VolumeKey
from keystore.kms.protocol import KmsConnector
from keystore.node.anchors import Anchors
from keystore.node.building import Building, building, require_free
from keystore.node.filling import Filler
from keystore.node.known_nodes import KnownNode, KnownNodes
from keystore.node.opening import open_volume_of, write_first
from keystore.node.outside import OutsideAnchor
from keystore.node.outside_choice import as_place
from keystore.node.outside_places import newest
from keystore.node.places import require_outside
from keystore.node.signers import Trust
from keystore.node.volume import new_volume, with_volume
from keystore.objects.directory import DirectoryPlace
from keystore.objects.place import Place
from keystore.pages.blockfile import OsBlockFile
from keystore.pages.store import PageStore
from keystore.progress import Progress, untold
from keystore.snapshots.at_time import PointInTime, open_at
from keystore.snapshots.choice import Choice, Chosen
from keystore.snapshots.opened import OpenedSnapshot
from keystore.snapshots.restore_marks import BeingRestored
from keystore.snapshots.unlocking import UsedCredentials

FIRST_GENERATION = 1


@dataclass(frozen=True)
class RestoredNode:
    """What `restore` made.

    Attributes:
        snapshot_key_id: the key that opened the snapshot.
        key_id: the key that the new node is under.
        credentials: whose opened the snapshot.
        resumed: stores that an earlier restore had finished.
    """

    snapshot_id: bytes
    snapshot_key_id: str
    node_id: bytes
    key_id: str
    stores: int
    pages: int
    logical_bytes: int
    credentials: UsedCredentials
    resumed: int = 0


def restore(
    target: Place,
    snapshot_id: bytes,
    directory: str | os.PathLike[str],
    connect: KmsConnector,
    *,
    choice: Choice | None = None,
    at: PointInTime | None = None,
    key: str | None = None,
    volume_key: str | None = None,
    connect_new: KmsConnector | None = None,
    trust: Trust | None = None,
    outside_anchor: str | Place | None = None,
    resume: bool = False,
    read_back: bool = False,
    progress: Progress | None = None,
    now_ns: Callable[[], int] = time.time_ns,
) -> RestoredNode:
    """Make a new node at `directory` from a snapshot; verified, complete and durable on return, or not there.

    Args:
        choice: which databases and files; by default all.
        at: a time, to restore the node as it was then; the snapshot may be any of it.
        key: URI of the CMK of the new node; by default the snapshot's.
        volume_key: URI of the platform key of the new node's volume layer; by default the snapshot's, if it has one.
        connect_new: gives the client for a key that is another than the snapshot's; by default `connect`.
        trust: whose snapshots are taken for genuine, and where the new node is recorded; by default those of the nodes
            in this user's list, and there.
        outside_anchor: where to attach one, as `Node.attach_outside_anchor`.
        resume: go on where an earlier restore of the same stopped, if one did; and if this one is interrupted, keep
            what is done for the next.
        read_back: read every page once more from the disk before the node appears. Without, each was opened on its way
            there, and headers and maps are read back.
        progress: is told bytes done and in all; a page that is read back counts twice.

    Raises:
        PathMissingError, InputError: `directory` cannot be there.
        NodeExistsError: something is at `directory`.
        NameUnknownError: the snapshot has not what `choice` names.
        SignerError, KnownNodesError: nobody knows here whether the node of the snapshot signed it, or it did not.
        KmsError: the key of the snapshot's day, or the new one, cannot be used; the type says why.
        LogError: with a time: the log does not tell what was then, or cannot be used.
        SnapshotMissingError, SnapshotDamagedError, SnapshotError: the snapshot cannot be used.
    """
    destination = Path(directory)
    require_free(destination)
    _require_place(destination, target)
    outside = None if outside_anchor is None else as_place(outside_anchor)
    if outside is not None:
        newest(outside, bytes(16))  # it answers, or nothing is made
    trust = trust or Trust()
    with (
        open_at(target, snapshot_id, connect, at, trust.of(target), choice) as snapshot,
        BeingRestored(target, snapshot.head.snapshot_id, now_ns) as mark,
    ):
        trust.note(snapshot.head, snapshot.body.node_name)
        chosen = (choice or Choice()).of(snapshot)
        plan = _Plan(
            snapshot,
            chosen,
            key or snapshot.head.wrapped.key_id,
            volume_key or (snapshot.head.volume.wrapped.key_id if snapshot.head.volume else None),
            _choosing(snapshot.head, connect, connect_new or connect),
            trust.known_nodes,
            outside,
        )
        found = Building.resume(destination.absolute(), plan.purpose) if resume else None
        with (
            _keys_for(plan, found, now_ns()) as keys,
            building(destination, plan.purpose, found, keep=resume) as work,
        ):
            filler = Filler(snapshot, chosen.stores, mark.renewing(progress or untold), read_back=read_back)
            builder = _Builder(work, plan, keys, filler, now_ns())
            pages = builder.build()
            return RestoredNode(
                snapshot.head.snapshot_id,
                snapshot.head.wrapped.key_id,
                keys.master.node_id,
                plan.key_id,
                len(chosen.stores),
                pages,
                chosen.logical_bytes,
                snapshot.credentials,
                builder.kept,
            )


@dataclass(frozen=True)
class _Plan:
    """What is to become of a snapshot.

    Attributes:
        connect: reaches the key of the new node, and that of its volume layer.
    """

    snapshot: OpenedSnapshot
    chosen: Chosen
    key_id: str
    volume_key_id: str | None
    connect: KmsConnector
    known_nodes: KnownNodes
    outside: Place | None

    @property
    def purpose(self) -> str:
        """The line by which a restore knows an earlier one of the same."""
        settings = self.key_id, self.volume_key_id, self.outside and str(self.outside), self.chosen.databases
        stores = [entry.store_id.hex() for entry in self.chosen.stores]
        return f"{self.snapshot.name} {hashlib.sha256(repr((settings, stores)).encode()).hexdigest()}"


def _choosing(head: ManifestHead, connect: KmsConnector, connect_new: KmsConnector) -> KmsConnector:
    """Return a connector that reaches the keys of the snapshot by `connect` and all others by `connect_new`."""
    known = {head.wrapped.key_id, head.volume.wrapped.key_id if head.volume else None}
    return lambda key_id: connect(key_id) if key_id in known else connect_new(key_id)


def _require_place(destination: Path, target: Place) -> None:
    parent = Path(os.path.realpath(destination)).parent
    require_outside(destination, "node")
    if isinstance(target, DirectoryPlace) and parent.is_relative_to(os.path.realpath(target.path)):
        raise InputError(
            f"{destination} is inside {target}, where snapshots are. No node was made; choose another place."
        )
    if not parent.exists():
        raise PathMissingError.parent_of(destination)


@dataclass(frozen=True)
class _Keys:
    """The keys of the node that is built.

    Attributes:
        begun: they are those of an earlier restore, whose keystore file is there.
    """

    master: MasterKey
    volume: VolumeKey | None
    keystore: Keystore
    begun: bool


@contextmanager
def _keys_for(plan: _Plan, found: Building | None, now_ns: int) -> Iterator[_Keys]:
    """Give the keys of a new node, or of the one that an earlier restore began, and wipe them."""
    begun = found is not None and found.layout.keystore.exists()
    with ExitStack() as stack:
        if found is not None and begun:
            files, layout = found.files, found.layout
            loaded = keyfile.load(files, layout.keystore)
            with closing(plan.connect(plan.key_id)) as kms:
                master, keystore = keyfile.unlock(loaded, kms, layout.keystore)
            stack.callback(master.wipe)
            stack.callback(keystore.wipe)
            volume = open_volume_of(layout, files, keystore, plan.connect)
        else:
            with closing(plan.connect(plan.key_id)) as kms:
                master = stack.enter_context(generate_master(kms, generate_id(), FIRST_GENERATION))
            volume = new_volume(plan.volume_key_id, plan.connect)
            keystore = _contents(plan, volume.record.volume_id if volume else None, now_ns)
            stack.callback(keystore.wipe)
        if volume is not None:
            stack.callback(volume.wipe)
        yield _Keys(master, volume, keystore, begun)


def _contents(plan: _Plan, volume_id: bytes | None, now_ns: int) -> Keystore:
    """Return the contents of the new keystore file: the old data keys to read with, a new one to write with."""
    body = plan.snapshot.body
    keystore = Keystore.generate(body.node_name, now_ns, volume_id)
    if plan.outside is not None:
        keystore = keystore.with_outside_anchor(OutsideSetting(str(plan.outside)))
    for place, entry in enumerate(body.databases):
        if entry.name not in plan.chosen.databases:
            continue
        stores = {
            store.name: StoreRecord(generate_id(), store.name, store.page_size, store.created_ns)
            for store in plan.chosen.stores
            if store.database == place
        }
        former = plan.snapshot.data_keys(entry)
        last = max((data_key.generation for data_key in former), default=0)
        fresh = DataKey(last + 1, SecretKey.generate(), now_ns)
        database = Database(generate_id(), entry.name, entry.created_ns, (*former, fresh), MappingProxyType(stores))
        keystore = keystore.with_database(database)
    return keystore


class _Builder:
    """Builds one node directory, or goes on building one.

    Attributes:
        kept: how many stores were done before.
    """

    def __init__(self, work: Building, plan: _Plan, keys: _Keys, filler: Filler, now_ns: int) -> None:
        self._work, self._plan, self._keys, self._filler, self._now_ns = work, plan, keys, filler, now_ns
        self._layout, self._files = work.layout, work.files
        self.kept = 0

    def build(self) -> int:
        """Write keystore file, anchors and stores, or those that are missing; return the number of pages."""
        master, keystore = self._keys.master, self._keys.keystore
        if not self._keys.begun:
            # CRASH: known before it is there, as by `init`.
            node = KnownNode(master.node_id, keystore.signing.public, keystore.node_name)
            self._plan.known_nodes.record(node)
            write_first(self._layout, self._files, keystore, master, self._now_ns, self._keys.volume)
        stores = {record.store_id for _, record in keystore.stores()}
        anchors = Anchors.open(self._files, self._layout.anchors, keystore.anchor_key, master.node_id, stores)
        with closing(anchors):
            pages = self._fill(anchors)
            anchors.sync()
            self._state_outside(anchors)
        return pages

    def _fill(self, anchors: Anchors) -> int:
        pages, stores, keystore = 0, self._plan.chosen.stores, self._keys.keystore
        for name in self._plan.chosen.databases:
            self._files.make_directory(self._layout.database(keystore.database(name).database_id))
        for entry in stores:
            database = keystore.database(self._plan.snapshot.body.databases[entry.database].name)
            pages += self._restore_store(database, entry, anchors)
        return pages

    def _restore_store(self, database: Database, entry: StoreEntry, anchors: Anchors) -> int:
        record, keys, volume = database.store(entry.name), DatabaseKeys(lambda: database), self._keys.volume
        path, name = self._layout.store(database.database_id, record.store_id), f"{database.name}/{entry.name}"
        if record.store_id in self._work.done and self._is_whole(path, name, database, entry, anchors):
            self._filler.skip(entry)
            self.kept += 1
            return 0
        if self._keys.begun:
            self._files.remove(path)
            if anchors.has(record.store_id):
                anchors.remove(record.store_id)
        with PageStore.create(
            with_volume(OsBlockFile.create(path), volume, "store", record.store_id),
            name=name,
            keys=keys,
            page_size=entry.page_size,
            anchor=anchors.add(record.store_id),
            store_id=record.store_id,
        ) as store:
            pages = self._filler.fill(store, entry, keys)
        self._work.note_done(record.store_id)
        return pages

    def _is_whole(self, path: Path, name: str, database: Database, entry: StoreEntry, anchors: Anchors) -> bool:
        """Verify a store that an earlier restore finished; one that was damaged since is made again."""
        record, keys = database.store(entry.name), DatabaseKeys(lambda: database)
        try:
            file = with_volume(OsBlockFile.open(path), self._keys.volume, "store", record.store_id)
            anchor = anchors.of(record.store_id)
            with PageStore.open(file, name=name, keys=keys, anchor=anchor, store_id=record.store_id) as store:
                self._filler.verify(store, entry, pages=True)
        except (StoreError, NodeError, WrongKeyError):
            return False
        return True

    def _state_outside(self, anchors: Anchors) -> None:
        """State all of the node to its outside anchor before it appears."""
        if self._plan.outside is None:
            return
        master, keystore = self._keys.master, self._keys.keystore
        loaded = keyfile.load(self._files, self._layout.keystore)
        outside = OutsideAnchor(self._plan.outside, keystore.anchor_key, master.node_id)
        outside.begin(anchors.states())
        outside.keystore_in_force(loaded.head.file_generation, loaded.fingerprint)
        if outside.problem is not None:
            raise outside.problem
