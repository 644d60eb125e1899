"""Snapshots of a node, and nodes out of snapshots.

Leaves to others: the form of a snapshot (`keystore.snapshots`), the form of a node (`keystore.node.directory`).

Invariants:
1. The target of a restore appears when it is complete, by one rename, and never before (S-11).
2. Whatever refuses a restore early, refuses before anything is written (S-12).
3. A restored node shares no id, and no key for writing, with the node that the snapshot was taken of.
"""

import contextlib
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from keystore.crypto.secret import SecretKey
from keystore.errors import (
    InputError,
    NodeExistsError,
    NodeIOError,
    PathMissingError,
    SnapshotDamagedError,
    StoreDamagedError,
    StoreFullError,
    WrongKeyError,
    cause_of,
)
from keystore.format.manifest import ManifestHead, StoreEntry
from keystore.keys.files import Files
from keystore.keys.hierarchy import Database, DatabaseKeys, DataKey, Keystore, StoreRecord, generate_id
from keystore.keys.master import MasterKey, generate_master
from keystore.keys.volume import VolumeKey
from keystore.kms.protocol import KmsConnector
from keystore.node.anchors import Anchors
from keystore.node.descriptors import require_descriptors
from keystore.node.directory import Node
from keystore.node.known_nodes import KnownNode, KnownNodes
from keystore.node.layout import Layout
from keystore.node.opening import write_first
from keystore.node.places import require_outside
from keystore.node.volume import new_volume, with_volume
from keystore.pages.blockfile import OsBlockFile
from keystore.pages.pin import Pin
from keystore.pages.store import PageStore
from keystore.progress import Progress, untold
from keystore.snapshots.create import CreatedSnapshot, create_snapshot
from keystore.snapshots.opened import OpenedSnapshot, open_snapshot
from keystore.snapshots.source import NodeKeys, NodeSource
from keystore.snapshots.target import LocalTarget, SnapshotTarget

FIRST_GENERATION = 1


@dataclass(frozen=True)
class RestoredNode:
    """What `restore` made.

    Attributes:
        snapshot_key_id: the key that opened the snapshot.
        key_id: the key that the new node is under.
    """

    snapshot_id: bytes
    snapshot_key_id: str
    node_id: bytes
    key_id: str
    stores: int
    pages: int
    logical_bytes: int


def snapshot(
    node: Node, target: SnapshotTarget, progress: Progress | None = None, *, known_nodes: KnownNodes | None = None
) -> CreatedSnapshot:
    """Take a snapshot of an open node, of one moment of all its stores; durable on return. No KMS is asked.

    Args:
        known_nodes: where a node of a former version, which has had no key for signing, is recorded; by default this
            user's list.

    Raises:
        InputError: the target is inside a node or a snapshot.
        SnapshotError: the target cannot be written; nothing is left there.
        NodeIOError: the system does not let this process have as many files open at once as there are stores.
        StoreError: a store does not open, cannot be read, or has a damaged page; nothing is left in the target.
    """
    if isinstance(target, LocalTarget):
        require_outside(target.path, "snapshot", directory=target.path)

    @contextmanager
    def pin(database: Database, record: StoreRecord) -> Iterator[Pin]:
        with node.using_store(database.name, record.name) as store, store.pin() as pinned:
            yield pinned

    @contextmanager
    def held() -> Iterator[NodeKeys]:
        with node.held() as custody:
            yield custody.node_keys()

    with node.held() as custody:
        if custody.make_identity_durable():
            signing, known = custody.keystore.signing, known_nodes or KnownNodes.default()
            known.record(KnownNode(node.node_id, signing.public, node.name))
    require_descriptors(sum(len(database.stores) for database in node.databases.values()), f"a snapshot of {node.name}")
    return create_snapshot(target, NodeSource(node.name, held, pin), progress)


def restore(
    target: SnapshotTarget,
    snapshot_id: bytes,
    directory: str | os.PathLike[str],
    connect: KmsConnector,
    *,
    key: str | None = None,
    volume_key: str | None = None,
    connect_new: KmsConnector | None = None,
    known_nodes: KnownNodes | None = None,
    progress: Progress | None = None,
    now_ns: Callable[[], int] = time.time_ns,
) -> RestoredNode:
    """Make a new node at `directory` from a snapshot; complete and durable on return, or not there.

    Args:
        key: URI of the CMK of the new node; by default the snapshot's.
        volume_key: URI of the platform key of the new node's volume layer; by default the snapshot's, if it has one.
        connect_new: gives the client for a key that is another than the snapshot's; by default `connect`.
        known_nodes: where the new node is recorded; by default this user's list.

    Raises:
        PathMissingError, InputError: `directory` cannot be there.
        NodeExistsError: something is at `directory`.
        KmsError: the key of the snapshot's day, or the new one, cannot be used; the type says why.
        SnapshotMissingError, SnapshotDamagedError, SnapshotError: the snapshot cannot be used.
    """
    destination = Path(directory)
    _require_free(destination)
    _require_place(destination, target)
    with open_snapshot(target, snapshot_id, connect) as snapshot:
        key_id = key or snapshot.head.wrapped.key_id
        node_id = generate_id()
        connect_key = _choosing(snapshot.head, connect, connect_new or connect)
        with contextlib.closing(connect_key(key_id)) as kms:
            master = generate_master(kms, node_id, FIRST_GENERATION)
        with (
            master,
            _new_volume(snapshot.head, volume_key, connect_key) as volume,
            _building(destination) as building,
        ):
            builder = _Builder(building, snapshot, master, volume, known_nodes or KnownNodes.default(), now_ns())
            pages = builder.build(progress or untold)
        return RestoredNode(
            snapshot_id,
            snapshot.head.wrapped.key_id,
            node_id,
            key_id,
            len(snapshot.body.stores),
            pages,
            sum(store.byte_length for store in snapshot.body.stores),
        )


def _choosing(head: ManifestHead, connect: KmsConnector, connect_new: KmsConnector) -> KmsConnector:
    """Return a connector that reaches the keys of the snapshot by `connect` and all others by `connect_new`."""
    known = {head.wrapped.key_id, head.volume.wrapped.key_id if head.volume else None}
    return lambda key_id: connect(key_id) if key_id in known else connect_new(key_id)


@contextmanager
def _new_volume(head: ManifestHead, key_uri: str | None, connect: KmsConnector) -> Iterator[VolumeKey | None]:
    """Give a fresh volume key for the new node, and wipe it; None where it gets no volume layer."""
    volume = new_volume(key_uri or (head.volume.wrapped.key_id if head.volume else None), connect)
    try:
        yield volume
    finally:
        if volume is not None:
            volume.wipe()


def _require_free(destination: Path) -> None:
    if destination.exists() or destination.is_symlink():
        raise NodeExistsError(
            f"{destination} exists and is unchanged. A restore makes a new node; choose a path where nothing is."
        )


def _require_place(destination: Path, target: SnapshotTarget) -> None:
    parent = Path(os.path.realpath(destination)).parent
    require_outside(destination, "node")
    if isinstance(target, LocalTarget) and parent.is_relative_to(os.path.realpath(target.path)):
        raise InputError(
            f"{destination} is inside {target}, where snapshots are. No node was made; choose another place."
        )
    if not parent.exists():
        raise PathMissingError.parent_of(destination)


@contextmanager
def _building(destination: Path) -> Iterator[Path]:
    """Give a directory beside `destination` that takes its place when the block ends well, and is removed otherwise.

    CRASH: leaves the directory, under a name that nothing opens as a node by mistake.
    """
    files, parent, process = Files(), destination.absolute().parent, os.getpid()
    building = parent / f".{destination.name}.restoring-{secrets.token_hex(4)}"
    try:
        building.mkdir(mode=0o700)
        yield building
        _sync_tree(files, building)
        _require_free(destination)
        files.rename(building, destination)
        files.sync_directory(parent)
    except BaseException as error:
        if os.getpid() == process:  # a forked child leaves the parent's work alone
            shutil.rmtree(building, ignore_errors=True)
        if isinstance(error, StoreFullError):
            raise StoreFullError(
                f"no space for {destination} on its device. Nothing was restored; make space, and restore again."
            ) from error
        if isinstance(error, OSError):
            raise NodeIOError(
                f"{destination} could not be restored: {error.strerror or error}. Nothing was left there; make space "
                "or give write access, and restore again."
            ) from error
        raise


def _sync_tree(files: Files, root: Path) -> None:
    for directory, _, _ in os.walk(root):
        files.sync_directory(Path(directory))


class _Builder:
    """Builds one node directory from one snapshot."""

    def __init__(
        self,
        root: Path,
        snapshot: OpenedSnapshot,
        master: MasterKey,
        volume: VolumeKey | None,
        known_nodes: KnownNodes,
        now_ns: int,
    ) -> None:
        self._layout, self._snapshot, self._master, self._now_ns = Layout(root), snapshot, master, now_ns
        self._volume, self._known_nodes = volume, known_nodes
        self._files = Files()

    def build(self, progress: Progress) -> int:
        """Write keystore file, anchors and stores; return the number of pages."""
        entries = self._snapshot.body.stores
        keystore = self._keystore([generate_id() for _ in entries])
        try:
            node = KnownNode(self._master.node_id, keystore.signing.public, keystore.node_name)
            self._known_nodes.record(node)
            write_first(self._layout, self._files, keystore, self._master, self._now_ns, self._volume)
            anchors = Anchors.open(
                self._files, self._layout.anchors, keystore.anchor_key, self._master.node_id, stores=()
            )
            with contextlib.closing(anchors):
                pages = self._fill(keystore, anchors, _Advance(progress, entries))
                anchors.sync()
            return pages
        finally:
            keystore.wipe()

    def _keystore(self, store_ids: Sequence[bytes]) -> Keystore:
        """Return the contents of the new keystore file: the old data keys to read with, a new one to write with."""
        body = self._snapshot.body
        volume_id = self._volume.record.volume_id if self._volume else None
        keystore = Keystore.generate(body.node_name, self._now_ns, volume_id)
        for place, entry in enumerate(body.databases):
            stores = {
                store.name: StoreRecord(store_id, store.name, store.page_size, store.created_ns)
                for store_id, store in zip(store_ids, body.stores, strict=True)
                if store.database == place
            }
            former = self._snapshot.data_keys(entry)
            last = max((data_key.generation for data_key in former), default=0)
            fresh = DataKey(last + 1, SecretKey.generate(), self._now_ns)
            database = Database(generate_id(), entry.name, entry.created_ns, (*former, fresh), MappingProxyType(stores))
            keystore = keystore.with_database(database)
        return keystore

    def _fill(self, keystore: Keystore, anchors: Anchors, advance: "_Advance") -> int:
        pages = 0
        for entry in self._snapshot.body.stores:
            database = keystore.database(self._snapshot.body.databases[entry.database].name)
            self._files.make_directory(self._layout.database(database.database_id))
            pages += self._restore_store(database, database.store(entry.name), entry, anchors, advance)
        return pages

    def _restore_store(
        self, database: Database, record: StoreRecord, entry: StoreEntry, anchors: Anchors, advance: "_Advance"
    ) -> int:
        name, pages = f"{database.name}/{entry.name}", 0
        path = self._layout.store(database.database_id, record.store_id)
        with PageStore.create(
            with_volume(OsBlockFile.create(path), self._volume, "store", record.store_id),
            name=name,
            keys=DatabaseKeys(lambda: database),
            page_size=entry.page_size,
            anchor=anchors.add(record.store_id),
            store_id=record.store_id,
        ) as store:
            try:
                for batch in self._snapshot.batches(entry):
                    used = set(batch.entries["session"].tolist())
                    store.adopt([session for session in entry.sessions if session.number in used], batch)
                    pages += len(batch.page_nos)
                    advance(len(batch.ciphertext))
            except (StoreDamagedError, WrongKeyError) as error:
                raise SnapshotDamagedError(
                    f"snapshot {self._snapshot.name}: in a pack, {cause_of(error)}. Nothing was restored; use another "
                    "snapshot."
                ) from error
            store.commit(page_count=entry.page_count, byte_length=entry.byte_length)
        return pages


class _Advance:
    """Adds up the bytes of batches and passes them on."""

    def __init__(self, progress: Progress, entries: Sequence[StoreEntry]) -> None:
        self._progress, self._done = progress, 0
        self._total = sum(pack.pages * entry.page_size for entry in entries for pack in entry.packs)

    def __call__(self, count: int) -> None:
        self._done += count
        self._progress(self._done, self._total)
