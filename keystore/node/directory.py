"""A node: one data directory with its keystore file, anchors, databases and page stores.

    with Node.init("/data/node-1", "aws://us-east-1/alias/cmk", connector()) as node:
        node.import_file("orders", "2024.db", "/tmp/2024.db")
        node.rotate_master()

Leaves to others: the KMS (a connector comes in), snapshots (`keystore.node.snapshotting`), and everything inside a
store.

Invariants:
1. One process, and one object in it, per directory at a time (a lock on the directory).
2. The KMS is asked at init, at open, and for a new master key. It never sees data.
3. A file enters the catalogue only when its store is complete and durable. A crash or a signal in the middle leaves a
   store that nobody knows; it is removed at once, or by the next open.
4. A change of the master key writes the keystore file and the anchors, and no data file.
5. Plaintext keys are wiped on close, and in a forked child.
"""

import os
import time
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Self

from keystore.errors import KeystoreError, NodeClosedError, StoreFullError
from keystore.keys.files import Files
from keystore.keys.hierarchy import Database, DatabaseKeys, require_name
from keystore.keys.master import MasterKey, generate_master
from keystore.kms.protocol import KmsConnector, reference_of
from keystore.kms.uri import parse
from keystore.node.converting import KEEP, Conversion, Converter, VolumeChoice
from keystore.node.custody import Custody
from keystore.node.key_life import KeyLife
from keystore.node.known_nodes import KnownNodes
from keystore.node.layout import Layout
from keystore.node.lock import DirectoryLock
from keystore.node.log_keeping import NodeLog
from keystore.node.opening import Clock, initialize, new_directory, open_custody
from keystore.node.outside import OutsideInfo
from keystore.node.outside_attaching import attach, detach, outside_info
from keystore.node.outside_choice import OutsideChoice, as_place
from keystore.node.outside_places import newest
from keystore.node.renaming import rename_file
from keystore.node.replacing import Replacement
from keystore.node.reports import DatabaseInfo, FileInfo, MasterInfo, NodeCheck, Rotation, Transfer
from keystore.node.shredding import Shredder, ShredReceipt
from keystore.node.stores import Stores
from keystore.node.transfer import Source, copy_in, copy_out, reading, writing
from keystore.node.upkeep import Upkeep
from keystore.node.volume import VolumeInfo, new_volume, rewrap_volume, volume_info
from keystore.objects.place import Place
from keystore.pages.pace import Pace
from keystore.pages.store import PageStore
from keystore.progress import Progress

PAGE_SIZE = 16384
"""Bytes of a page where the caller names none."""

_OPEN: "weakref.WeakSet[Node]" = weakref.WeakSet()


class Node:
    """An open node. Made by `init` and `open`; a context manager that closes it.

    Attributes:
        directory: where it lies.
        node_id: 16 random bytes, the same for ever; part of what the KMS binds.
        key_life: what needs its data keys, and how they end.
        upkeep: what its stores take, and giving space back.
        log: its point-in-time log.
    """

    def __init__(
        self,
        layout: Layout,
        files: Files,
        lock: DirectoryLock,
        custody: Custody,
        connector: KmsConnector,
        now_ns: Clock,
    ) -> None:
        self._layout, self._files, self._lock = layout, files, lock
        self._custody, self._connector = custody, connector
        self._stores = Stores(layout, files, custody, lock, now_ns)
        self._now_ns = now_ns
        self.key_life = KeyLife(custody, self._stores, now_ns)
        self._converter = Converter(layout, files, custody, self._stores, self.key_life, now_ns)
        self.upkeep = Upkeep(custody, self._stores, now_ns)
        self._shredder = Shredder(layout, files, custody, self._stores, connector, now_ns)
        self.log = NodeLog(custody, self._stores, now_ns)
        self._closed = False
        _OPEN.add(self)
        self.directory, self.node_id = layout.root, custody.master.node_id

    # -- making and opening -------------------------------------------------------------------------------------------

    @classmethod
    def init(
        cls,
        directory: str | os.PathLike[str],
        key_uri: str,
        connector: KmsConnector,
        *,
        name: str | None = None,
        volume_key: str | None = None,
        outside_anchor: str | Place | None = None,
        known_nodes: KnownNodes | None = None,
        files: Files | None = None,
        now_ns: Clock = time.time_ns,
    ) -> Self:
        """Make a new node under a customer master key, and open it; durable on return.

        Args:
            directory: does not exist yet (its parent does), or is empty; it becomes its owner's only.
            connector: is asked for `key_uri` once, and once for `volume_key`.
            name: for people; default the directory's name.
            volume_key: URI of the platform key of a volume layer: all stores are encrypted a second time under it.
                Without one the node has no such layer; `convert` can give it one later.
            outside_anchor: where to attach one, as `attach_outside_anchor`.
            known_nodes: where to record the key that signs the node's snapshots; by default this user's list.

        Raises:
            KeyUriError, InputError, NodeExistsError: nothing was changed.
            KmsError, KeyFileWriteError, KnownNodesError, OutsideAnchorUnreachableError: there is no node, what was
            made of it is removed, and init may be run again.
        """
        layout = Layout(Path(directory).absolute())
        name = name or layout.root.name
        require_name(name, "node")
        files, known = files or Files(), known_nodes or KnownNodes.default()
        volume_uri = None if volume_key is None else parse(volume_key).text
        place = None if outside_anchor is None else as_place(outside_anchor)
        if place is not None:
            newest(place, bytes(16))  # it answers, or nothing is made
        with closing(connector(parse(key_uri).text)) as kms, new_directory(layout) as lock:
            volume = new_volume(volume_uri, connector)
            custody = initialize(layout, files, kms, name, now_ns, known, volume)
            node = cls(layout, files, lock, custody, connector, now_ns)
            if place is not None:
                with node._unmade_by_error():
                    node.attach_outside_anchor(place)
        return node

    @classmethod
    def open(
        cls,
        directory: str | os.PathLike[str],
        connector: KmsConnector,
        *,
        outside_anchor: str | Place | None = None,
        ignore_outside_anchor: bool = False,
        files: Files | None = None,
        now_ns: Clock = time.time_ns,
    ) -> Self:
        """Open a node: have its KMS unwrap the master key, and finish what a crash interrupted.

        Args:
            outside_anchor: where it must be; then a directory that names none is refused, such as a forged one or a
                copy from before it was attached. By default where the node itself says.
            ignore_outside_anchor: neither ask it nor state anything to it; for when its place is lost.

        Raises:
            NodeMissingError, NodeLockedError, KeyFileError, KmsError, WrongKeyError, VolumeKeyError,
            AnchorsMissingError, AnchorsDamagedError, OutsideAnchorError: nothing was changed.
        """
        choice = OutsideChoice(outside_anchor, ignore_outside_anchor)
        layout, files = Layout(Path(directory).absolute()), files or Files()
        lock = DirectoryLock(layout.root)
        try:
            custody = open_custody(layout, files, connector, now_ns, choice)
        except BaseException:
            lock.release()
            raise
        return cls(layout, files, lock, custody, connector, now_ns)

    def close(self) -> None:
        """Close every store, wipe every key, give up the lock. May be called twice.

        Raises:
            StoreError: as `PageStore.close`; the node is closed all the same.
            OutsideAnchorUnreachableError: all is safe inside, and the outside anchor is behind; it catches up later.
            LogBehindError, LogConflictError: all is safe inside, and commits are not in the log.
        """
        if self._closed:
            return
        self._closed = True
        with ExitStack() as stack:
            stack.callback(self._lock.release)
            stack.callback(self._custody.close)
            stack.callback(self._custody.finish_outside)
            stack.callback(self.log.close)
            stack.callback(self._stores.close)

    # -- what it is ---------------------------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        return self._open().keystore.node_name

    @property
    def master(self) -> MasterKey:
        """The master key in force; the node wipes it."""
        return self._open().master

    @property
    def master_info(self) -> MasterInfo:
        with self.held() as custody:
            return MasterInfo.of(custody.master)

    @property
    def credential(self) -> str:
        """What the credentials are called that this node asks its KMS with; empty for those that nobody named."""
        return reference_of(self._connector, self.master_info.key_id)

    @property
    def signing_public(self) -> bytes:
        """The public key of what signs this node's snapshots, the same for ever."""
        with self.held() as custody:
            custody.make_identity_durable()
            return custody.keystore.signing.public

    @property
    def volume_info(self) -> VolumeInfo | None:
        """The volume layer, or None where the node has none."""
        with self.held() as custody:
            return volume_info(custody.volume.record) if custody.volume else None

    @property
    def is_converting(self) -> bool:
        """Whether a conversion has begun and is not at its end."""
        return self._open().keystore.is_converting

    @property
    def databases(self) -> Mapping[str, Database]:
        """The databases by name, with their keys and catalogues, as they are now; the node wipes the keys."""
        return self._open().keystore.databases

    def list_databases(self) -> list[DatabaseInfo]:
        """Describe the databases and the generations of their data keys."""
        with self.held() as custody:
            return [DatabaseInfo.of(database) for database in custody.keystore.databases.values()]

    def held(self) -> AbstractContextManager[Custody]:
        """Keep the master key and the databases as they are inside the block; changes wait."""
        return self._open().held()

    def list_files(self, database: str | None = None) -> list[FileInfo]:
        """Describe the files, of one database or all, with their sizes.

        Each store is opened; one that does not open is in the list with its problem.
        """
        return [self._stores.info(entry, record) for entry, record in self._open().keystore.stores(database)]

    # -- stores and files ---------------------------------------------------------------------------------------------

    def new_store(self, database: str, name: str, page_size: int = PAGE_SIZE) -> AbstractContextManager[PageStore]:
        """Lend an empty store that enters the catalogue when the block ends well, and otherwise never was.

        The database is made where there is none.

        Raises:
            NameTakenError: the database has a file of that name; nothing was changed.
        """
        self._open()
        return self._stores.new(database, name, page_size)

    def create_store(self, database: str, name: str, page_size: int = PAGE_SIZE) -> PageStore:
        """Make an empty store and open it; errors as `new_store`.

        Raises:
            StoreFullError: it was made, or not, as the text says; there is no space to open it.
        """
        with self.new_store(database, name, page_size):
            pass
        try:
            return self.open_store(database, name)
        except StoreFullError as error:
            raise StoreFullError(
                f"store {database}/{name} was made and is empty, but its device has no space to open it. Make space, "
                "then open it"
            ) from error

    def open_store(self, database: str, name: str) -> PageStore:
        """Open a store; the caller closes it, or the node does at its end.

        Raises:
            NameUnknownError: there is no such file.
            AnchorsMissingError, AnchorsDamagedError: nobody knows how old it is.
            StoreError: as `PageStore.open`: missing, locked, damaged, rolled back, another store, …
        """
        self._open()
        return self._stores.open(database, name)

    def using_store(self, database: str, name: str) -> AbstractContextManager[PageStore]:
        """Lend a store: the one that is open in this node already, or one that is closed again afterwards."""
        self._open()
        return self._stores.using(database, name)

    def keep_stores_open(self, count: int) -> None:
        """Let up to `count` stores that were lent, and that nobody uses now, stay open for who comes next.

        For a node that serves: each opening of a store is a recovery. Such stores stand in nobody's way: they are
        closed when one is dropped or replaced, and with the node.
        """
        self._open()
        self._stores.keep_open(count)

    def replacement(self) -> Replacement:
        """Begin to put new stores in the place of files, all at once; see `Replacement`."""
        return Replacement(self._open(), self._stores, self._connector)

    def data_keys(self, database: str) -> DatabaseKeys:
        """Return the data keys of a database as page stores ask for them."""
        self._open().keystore.database(database)
        return self._stores.keys(database)

    def import_file(
        self,
        database: str,
        name: str,
        source: Source,
        *,
        page_size: int = PAGE_SIZE,
        progress: Progress | None = None,
    ) -> Transfer:
        """Stream a file into a new store, in bounded memory; durable on return.

        Args:
            source: a path, or a binary file that is open for reading.

        Raises:
            PathMissingError, InputError, NameTakenError: nothing was changed.
            StoreFullError, NodeIOError: nothing was imported, and what was written of it is removed.
        """
        self._open()
        try:
            with reading(source) as file, self._stores.new(database, name, page_size) as store:
                byte_length, sha256 = copy_in(store, file, progress)
        except StoreFullError as error:
            raise StoreFullError(
                f"no space for {database}/{name} on the device of {self.directory}. Nothing was imported; make space, "
                "and import it again."
            ) from error
        return Transfer(database, name, byte_length, sha256)

    def export_file(
        self,
        database: str,
        name: str,
        target: str | os.PathLike[str] | BinaryIO,
        *,
        overwrite: bool = False,
        progress: Progress | None = None,
    ) -> Transfer:
        """Stream a file out, in clear.

        Args:
            target: a path, which is there whole or not at all; or a binary file that is open for writing.
            overwrite: replace a regular file, and keep its mode. A symbolic link is followed.

        Raises:
            PathTakenError: the path is taken, or is no regular file; it is unchanged.
            PathMissingError, InputError: there can be no file there; nothing was changed.
            StoreDamagedError: a page is damaged; nothing is left at the path.
        """
        self._open()
        with ExitStack() as stack:
            store = stack.enter_context(self._stores.using(database, name))
            if isinstance(target, str | os.PathLike):
                target = stack.enter_context(writing(Path(target), overwrite=overwrite))
            byte_length, sha256 = copy_out(store, target, progress)
        return Transfer(database, name, byte_length, sha256)

    def drop_file(self, database: str, name: str, *, while_read: bool = False) -> None:
        """Take a file out of the catalogue and remove its store; durable on return.

        Args:
            while_read: also where it is open for reading; who has it keeps it until he closes it.

        Raises:
            NameUnknownError: there is no such file.
            StoreLockedError: it is open.
        """
        self._open()
        self._stores.drop(database, name, while_read=while_read)

    def rename_file(self, database: str, old: str, new: str, *, replace: bool = False) -> None:
        """Give a file another name in its database, in one step that is durable on return; see `rename_file`."""
        clock = self.log.record_time_ns  # by which the log knows that it was renamed, where nobody could tell it
        rename_file(self._open(), self._stores, clock, database, old, new, replace=replace)

    def verify(
        self, progress: Progress | None = None, *, pace: Pace | None = None, resume: Path | None = None
    ) -> NodeCheck:
        """Read and check everything in every store, and look for files that do not belong there.

        Args:
            progress: is told bytes done and bytes in all, as the stores take them on disk.
            pace: holds it back.
            resume: a file that keeps how far it came: one that is there already says where to go on. It is removed
                when everything was read.

        Raises:
            InputError: `resume` is something else, was changed, or is of another node, or inside one.
            NodeIOError: it cannot be written.
        """
        self._open()
        return self.upkeep.verify(progress, pace, resume)

    # -- outside anchor -----------------------------------------------------------------------------------------------

    @property
    def outside_anchor(self) -> OutsideInfo | None:
        """What is known of the outside anchor; None where the node has none."""
        return outside_info(self._open())

    def attach_outside_anchor(
        self, place: str | Place, *, each_commit: bool = False, replace: bool = False
    ) -> OutsideInfo:
        """State how far this node has come to a place that its disks' attacker cannot reach, now and from now on.

        Durable on return. What is here now is taken for the truth: it was not compared with anything outside.

        Args:
            place: an absolute path of a directory that is there, or a URL of an object store.
            each_commit: state every commit, and not only what is synced: one object for each commit.
            replace: go on also where the place has statements of this node that this directory is behind.

        Raises:
            InputError: it is no place. OutsideAnchorError, KeyFileStaleError: it cannot be used. Nothing was changed.
            KeyFileWriteError: the node could not be told; nothing was changed.
        """
        return attach(self._open(), place, each_commit=each_commit, replace=replace)

    def detach_outside_anchor(self) -> None:
        """Forget the outside anchor; what it has stays there. Durable on return; errors as `change_cmk`."""
        detach(self._open())

    # -- keys ---------------------------------------------------------------------------------------------------------

    def rotate_master(self) -> Rotation:
        """Make a new master key under the same customer master key; no data file is touched. Durable on return.

        Raises:
            KmsError: as the KMS refused; the former master key stays.
            KeyFileWriteError: no space or no write access; the former master key stays.
        """
        return self._change_master(None, self._connector)

    def change_cmk(self, key_uri: str, connector: KmsConnector | None = None) -> Rotation:
        """Make a new master key under another customer master key, of any provider; errors as `rotate_master`.

        The former one is not needed again for this node, but for every snapshot taken until now.

        Args:
            connector: gives the client for the new key; by default the one that this node was opened with.
        """
        return self._change_master(parse(key_uri).text, connector or self._connector)

    def convert(
        self,
        key_uri: str,
        volume_key: VolumeChoice = KEEP,
        connector: KmsConnector | None = None,
        *,
        progress: Progress | None = None,
        pace: Pace | None = None,
    ) -> Conversion:
        """Put the node under another customer master key and new data keys, and give it a volume layer or take it.

        Readers and writers of open stores go on throughout; contents stay. Durable in steps: after a kill or an error
        the same call goes on. Where all of it was done before, nothing is.

        Args:
            key_uri: of any provider; the former one is not needed again for this node, but for snapshots.
            volume_key: URI of the platform key of the volume layer, None for no layer; by default as it is now.
            connector: gives the clients for the new keys; by default the one that this node was opened with.
            progress: is told bytes done and in all, as the stores take them on disk.
            pace: holds it back.

        Raises:
            KmsError, KeyFileWriteError, InputError: it has not begun; nothing was changed, but that a volume key that
                was there may be under its new platform key already.
            ConversionUnfinishedError: it is not at its end; the message says why. Convert again.
            NodeIOError: open the node again, and convert again.
        """
        self._open()
        return self._converter.convert(
            key_uri, volume_key, self._connector, connector or self._connector, progress, pace
        )

    def new_data_key(self, database: str) -> DatabaseInfo:
        """Give a database a new generation of its data key: new sessions use it, old pages stay readable.

        A store that is open takes it with its next session.
        """
        self._open()
        changed = self._stores.change_database(
            database, lambda former: former.unshredded().with_new_generation(self._now_ns())
        )
        with self.held():
            return DatabaseInfo.of(changed)

    def rewrap_volume(self, key_uri: str, connector: KmsConnector | None = None) -> VolumeInfo:
        """Wrap the volume key under another platform key. No store is touched; durable on return.

        The former one is not needed again for this node, but for every snapshot taken until now.

        Args:
            connector: gives the client for the new key; by default the one that this node was opened with.

        Raises:
            InputError: the node has no volume layer.
            KmsError, WrongKeyError, VolumeKeyError, NodeIOError: the former wrapping stays.
        """
        return rewrap_volume(
            self._layout, self._files, self._open(), key_uri, self._connector, connector or self._connector
        )

    def shred(self, database: str, snapshots: Sequence[str | os.PathLike[str] | Place] = ()) -> ShredReceipt:
        """Destroy all data keys of a database for good, and remove its files; see `Shredder.shred`."""
        self._open()
        return self._shredder.shred(database, snapshots)

    def _change_master(self, key_uri: str | None, connector: KmsConnector) -> Rotation:
        """Rotate to a key under `key_uri`, by default the one that the master key is under when its turn has come."""
        custody, made = self._open(), []

        def make_next(former: MasterKey) -> MasterKey:
            with custody.held():
                old = MasterInfo.of(former)
            with closing(connector(key_uri or former.wrapped.key_id)) as kms:
                new = generate_master(kms, former.node_id, former.generation + 1)
            made.append(Rotation(old, MasterInfo.of(new)))
            return new

        custody.change_master(make_next)
        return made[0]

    @contextmanager
    def _unmade_by_error(self) -> Iterator[None]:
        """Undo the making of a node that is empty yet. CRASH: leaves a node without what the block was to add."""
        try:
            yield
        except BaseException:
            self._layout.keystore.unlink()  # without it there is no node, and who made the directory removes it
            with suppress(KeystoreError):
                self.close()
            raise

    def _after_fork_in_child(self) -> None:
        if not self._closed:
            self._closed = True
            self.log.after_fork_in_child()
            self._custody.after_fork_in_child()
            self._lock.release()  # the child's copy of it: the parent keeps the lock

    def _open(self) -> Custody:
        if self._closed:
            raise NodeClosedError(f"node {self.directory} is closed, or was opened before a fork; open it again")
        return self._custody

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Node {str(self.directory)!r}{' closed' if self._closed else ''}>"


def _after_fork_in_child() -> None:
    for node in list(_OPEN):
        node._after_fork_in_child()


os.register_at_fork(after_in_child=_after_fork_in_child)
