"""The page stores of a node: made, opened, dropped and checked, each under its database's keys and its own anchor.

Invariants:
1. A store enters the catalogue when it is complete and durable, and its file gets its final name after that. The
   other way round when it is dropped. So whatever a crash leaves, the catalogue says what becomes of it
   (`keystore.node.leftovers`).
2. A store is opened with the id that the catalogue has, so a file put in the place of another is told.
3. Only the process that made a store removes it: a child that was forked meanwhile leaves it alone.

Leaves to others: who uses an open store, and when it is closed (`keystore.node.lending`).
"""

import contextlib
import os
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from keystore.errors import (
    RESTORE_ONE,
    DatabaseShreddedError,
    KeystoreError,
    NameTakenError,
    NameUnknownError,
    NodeIOError,
    StoreLockedError,
    StoreMissingError,
)
from keystore.keys.files import Files
from keystore.keys.hierarchy import (
    Database,
    Keystore,
    StoreRecord,
    generate_database,
    generate_id,
    require_name,
)
from keystore.node.custody import Custody
from keystore.node.layering import found_layered, new_layered
from keystore.node.layout import Layout
from keystore.node.leftovers import unknown_files
from keystore.node.lending import Lending, LentStore, StoreRetiredError
from keystore.node.lock import DirectoryLock
from keystore.node.metering import MeteredKeys, SealMeter
from keystore.node.reports import FileInfo, StoreCheck
from keystore.node.scrub_state import ScrubState
from keystore.pages.blockfile import OsBlockFile
from keystore.pages.movable import MovableFile
from keystore.pages.pace import Pace
from keystore.pages.store import PageStore
from keystore.pages.witness import Witness
from keystore.progress import Progress

REPLACED_MAX = 100
"""LIMIT: how often a file may be replaced while one user of it waits."""


class Stores:
    """The stores of an open node."""

    def __init__(
        self, layout: Layout, files: Files, custody: Custody, lock: DirectoryLock, now_ns: Callable[[], int]
    ) -> None:
        self._layout, self._files, self._custody, self._now_ns = layout, files, custody, now_ns
        self._lending = Lending(lock)
        self._meter = SealMeter(custody, now_ns)
        self._filling: dict[object, str] = {}
        self._filling_lock = threading.RLock()
        self._retired: dict[bytes, bytes] = {}  # stores that only their readers still have, each with its database
        self.witness: Callable[[bytes, StoreRecord], Witness | None] = lambda _, __: None
        """Gives who is told of the commits of a store, by the id of its database."""

    def database(self, name: str) -> Database:
        """Return a database, made with a data key of its own where there is none; durable on return.

        One that was shredded begins anew, with a new generation.
        """

        def add(keystore: Keystore) -> Keystore:
            known = keystore.databases.get(name)
            if known is None:
                return keystore.with_database(generate_database(name, self._now_ns()))
            return keystore.with_database(known.with_new_generation(self._now_ns())) if known.shredded else keystore

        return self._custody.change(add).database(name)

    def change_database(self, name: str, make_next: Callable[[Database], Database]) -> Database:
        """Put what `make_next` makes of a database in its place, and return it; durable on return.

        Raises:
            NameUnknownError: there is no such database.
        """

        def change(keystore: Keystore) -> Keystore:
            return keystore.with_database(make_next(keystore.database(name)))

        return self._custody.change(change).database(name)

    def keep_open(self, count: int) -> None:
        """Let up to `count` stores that nobody uses stay open."""
        self._lending.keep(count)

    def keys(self, database_name: str) -> MeteredKeys:
        """Return the data keys of a database as page stores ask for them, new generations as they come."""
        return self._meter.keys(database_name)

    def filling(self, database_name: str) -> int:
        """Return how many stores of a database are being made, and are in no catalogue yet."""
        with self._filling_lock:
            return list(self._filling.values()).count(database_name)

    def being_filled(self) -> frozenset[object]:
        """Return a mark for each store that is being made, in any database; it stays the same until that ends."""
        with self._filling_lock:
            return frozenset(self._filling)

    def opened(self, database: Database) -> list[LentStore]:
        """Return the stores of a database that are open just now; each stays its user's."""
        return self._lending.opened([*(each.store_id for each in database.stores.values()), *self._left_of(database)])

    def open_now(self) -> list[tuple[bytes, StoreRecord, LentStore]]:
        """Return the stores of the catalogue that are open just now, each with the id of its database."""
        return [
            (database.database_id, record, store)
            for database, record in self._custody.keystore.stores()
            for store in self._lending.opened([record.store_id])
        ]

    @contextmanager
    def reserved(self, database: Database) -> Iterator[None]:
        """Let nobody use any store of a database inside the block.

        Raises:
            StoreLockedError: somebody uses one, or makes one.
        """
        with contextlib.ExitStack() as stack:
            for record in database.stores.values():
                stack.enter_context(self._lending.reserved(record.store_id))
                _require_not_locked(self._layout.store(database.database_id, record.store_id))
            for store_id in self._left_of(database):
                stack.enter_context(self._lending.reserved(store_id))
            if self.filling(database.name):
                raise StoreLockedError(
                    f"a file of database {database.name!r} is being made in this process; nothing was changed. Wait "
                    "until that ends"
                )
            yield

    @contextmanager
    def new(self, database_name: str, name: str, page_size: int) -> Iterator[PageStore]:
        """Lend an empty store that enters the catalogue when the block ends well, and otherwise never was.

        Raises:
            NameTakenError: the database has a file of that name; nothing was changed.
        """
        require_name(name, "file", path=True)
        with self.counted(database_name):
            yield from self._new(database_name, name, page_size)

    @contextmanager
    def counted(self, database_name: str) -> Iterator[None]:
        """Let no data key of a database be destroyed inside the block: a store is being made under them."""
        mark = object()
        with self._filling_lock:
            self._filling[mark] = database_name
        try:
            yield
        finally:
            with self._filling_lock:
                del self._filling[mark]

    def _new(self, database_name: str, name: str, page_size: int) -> Iterator[PageStore]:
        database = self.database(database_name)
        if name in database.stores:
            raise NameTakenError(
                f"database {database_name!r} has a file {name!r} already. Nothing was changed; choose another name, or "
                "remove that file first (keystore rm)."
            )
        record = StoreRecord(generate_id(), name, page_size, self._now_ns())
        process = os.getpid()
        try:
            with self.incoming(database, record) as store:
                yield store
            with self._lending.reserved(record.store_id):  # who sees it in the catalogue waits until it has its name
                self.change_database(database_name, partial(enter, record, database.current.generation))
                self.name_entered(database, record)
        except BaseException:
            if os.getpid() == process:
                self.discard(database, record)
            raise

    @contextmanager
    def incoming(self, database: Database, record: StoreRecord) -> Iterator[PageStore]:
        """Lend an empty store that no catalogue names; its file stays after the block, durable, for `name_entered`."""
        path = self._layout.incoming(database.database_id, record.store_id)
        with self._lending.using(record.store_id, partial(self._create, database, record, path), keep=False) as store:
            yield store
        self._sync_directory(path.parent)

    @contextmanager
    def unused(self, database: Database, record: StoreRecord) -> Iterator[None]:
        """Let nobody use a store inside the block.

        Raises:
            StoreLockedError: somebody does.
        """
        with self._lending.reserved(record.store_id):
            _require_not_locked(self._layout.store(database.database_id, record.store_id))
            yield

    def name_entered(self, database: Database, record: StoreRecord) -> None:
        """Give an incoming store the name of one of the catalogue, if it has not got it."""
        path = self._layout.incoming(database.database_id, record.store_id)
        if os.path.lexists(path):
            self._rename(path, self._layout.store(database.database_id, record.store_id))

    def name_incoming(self, database: Database, record: StoreRecord) -> None:
        """Give a store the name of one that is in no catalogue; what is missing already stays so."""
        path = self._layout.store(database.database_id, record.store_id)
        if os.path.lexists(path):
            self._rename(path, self._layout.incoming(database.database_id, record.store_id))

    def open(self, database_name: str, name: str) -> PageStore:
        """Open a store; the caller closes it.

        Raises:
            NameUnknownError: there is no such file.
            AnchorsMissingError, AnchorsDamagedError: nobody knows how old it is.
            StoreError: as `PageStore.open`.
        """
        return self._found(
            database_name,
            name,
            lambda record: self._lending.own(record.store_id, partial(self._open, database_name, record)),
        )

    @contextmanager
    def using(self, database_name: str, name: str) -> Iterator[LentStore]:
        """Lend a store for a block, together with all others who use it; errors as `open`."""
        with contextlib.ExitStack() as stack:
            yield self._found(
                database_name,
                name,
                lambda record: stack.enter_context(
                    self._lending.using(record.store_id, partial(self._open, database_name, record))
                ),
            )

    def _found(self, database_name: str, name: str, use: Callable[[StoreRecord], LentStore]) -> LentStore:
        """Return what `use` makes of the record of a store; of the next one where that was replaced meanwhile."""
        for _ in range(REPLACED_MAX):
            with contextlib.suppress(StoreRetiredError):
                return use(self._custody.keystore.database(database_name).store(name))
        return use(self._custody.keystore.database(database_name).store(name))

    def _open(self, database_name: str, record: StoreRecord) -> LentStore:
        name, database = record.name, self._custody.keystore.database(database_name)
        if database.store(name).store_id != record.store_id:  # or it was dropped while the caller waited
            raise StoreRetiredError(f"{database_name}/{name} was replaced meanwhile. Nothing was changed.")
        path = self._layout.store(database.database_id, record.store_id)
        if not os.path.lexists(path):
            raise StoreMissingError(
                f"store {database_name}/{name} is missing: there is no {path}. A missing file is never a fresh start; "
                f"bring the file back, or restore {RESTORE_ONE}."
            )
        where = f"{database_name}/{name}"
        file = MovableFile(where, found_layered(self._custody, OsBlockFile.open(path), record))
        store = LentStore.open(
            file,
            name=where,
            keys=self.keys(database_name),
            anchor=self._custody.anchors.of(record.store_id),
            store_id=record.store_id,
            witness=self.witness(database.database_id, record),
        )
        store.movable = file
        return store

    def drop(self, database_name: str, name: str, *, while_read: bool = False) -> None:
        """Take a file out of the catalogue and remove its store; durable on return.

        Args:
            while_read: also where it is open for reading; who has it keeps it until he closes it.

        Raises:
            StoreLockedError: it is open.
            KeyFileWriteError: the catalogue could not be written; the file stays as it was.
        """
        database = self._custody.keystore.database(database_name)
        record = database.store(name)

        def without(database: Database) -> Database:
            if database.store(name) != record:
                raise NameUnknownError(f"{database_name}/{name} was replaced meanwhile. Nothing was changed.")
            return database.without_store(name)

        with self.leaving(database, record, while_read=while_read):
            self.change_database(database_name, without)

    @contextmanager
    def leaving(self, database: Database, record: StoreRecord, *, while_read: bool = False) -> Iterator[None]:
        """Let nobody come to a store inside the block, in which it leaves the catalogue; then remove it.

        Args:
            while_read: also where it is open for reading; its file goes when the last one closes it.

        Raises:
            StoreLockedError: it is open.
        """
        with self._lending.retiring(record.store_id, partial(self._left, database, record), while_read=while_read):
            if not self._lending.opened([record.store_id]):
                _require_not_locked(self._layout.store(database.database_id, record.store_id))
            try:
                self.name_incoming(database, record)
                yield
            except BaseException:
                # Where it is unknown which catalogue is in force, the next open decides.
                if self.is_entered(database.name, record) and not self._custody.unsure:
                    self.name_entered(database, record)
                raise
            self._retired[record.store_id] = database.database_id

    def _left(self, database: Database, record: StoreRecord) -> None:
        self.discard(database, record)
        self._retired.pop(record.store_id, None)

    def _left_of(self, database: Database) -> list[bytes]:
        """Return the stores that left the catalogue of a database and that somebody still reads."""
        return [store_id for store_id, owner in list(self._retired.items()) if owner == database.database_id]

    def info(self, database: Database, record: StoreRecord) -> FileInfo:
        """Describe a file; a store that does not open is described with its problem."""
        byte_length, problem = None, None
        try:
            with self.using(database.name, record.name) as store:
                byte_length = store.byte_length
        except KeystoreError as error:
            problem = error
        return FileInfo(
            database.name,
            record.name,
            record.store_id,
            record.page_size,
            record.created_ns,
            byte_length,
            self._stored_bytes(database, record),
            problem,
        )

    def stored_bytes(self, database: Database, record: StoreRecord) -> int:
        """Return what a store takes on disk; 0 where it is missing."""
        return self._stored_bytes(database, record) or 0

    def _stored_bytes(self, database: Database, record: StoreRecord) -> int | None:
        try:
            status = self._layout.store(database.database_id, record.store_id).stat()
        except OSError:
            return None
        return status.st_blocks * 512 if stat.S_ISREG(status.st_mode) else None

    def check(
        self, database: Database, record: StoreRecord, progress: Progress, pace: Pace | None, scrub: ScrubState
    ) -> StoreCheck:
        """Read and verify everything in a store, or what `scrub` says is left of it."""
        position = scrub.of(record.store_id)
        if position.done and not position.damaged:
            return StoreCheck(database.name, record.name, 0, ())
        try:
            with self.using(database.name, record.name) as store:
                report = store.verify(
                    progress,
                    pace=pace,
                    start=position.next_page,
                    suspects=position.damaged,
                    save=partial(scrub.advance, record.store_id),
                )
                scrub.finish(record.store_id, report.damaged_pages)
                return StoreCheck(database.name, record.name, report.pages, tuple(report.damaged), tuple(report.notes))
        except NodeIOError:  # of `scrub`, not of the store
            raise
        except KeystoreError as error:
            return StoreCheck(database.name, record.name, 0, (error,))

    def unknown_files(self) -> list[Path]:
        """Return what lies among the stores and belongs to nobody; what is made or removed just now is somebody's.

        Raises:
            NodeIOError, NodeClosedError: nobody can look.
        """
        # Looked at twice: the first time a file may have come between the look at the catalogue and that at the disk.
        return sorted(set(self._unknown_files()) & set(self._unknown_files()))

    def _unknown_files(self) -> list[Path]:
        with self._custody.held() as custody:
            found = unknown_files(self._layout, custody.keystore)
        busy = {store_id.hex() for store_id in self._lending.store_ids()}
        return [path for path in found if path.stem not in busy]

    def close(self) -> None:
        """Close every store that is still open, whoever uses it."""
        try:
            self._lending.close()
        finally:
            self._meter.close()

    def _create(self, database: Database, record: StoreRecord, path: Path) -> LentStore:
        try:
            self._files.make_directory(path.parent)
            self._files.sync_directory(path.parent.parent)
        except OSError as error:
            raise NodeIOError(f"{path.parent} cannot be made: {error.strerror}. Nothing was changed.") from error
        anchor = self._custody.anchors.add(record.store_id)
        where = f"{database.name}/{record.name}"
        file = MovableFile(where, new_layered(self._custody, OsBlockFile.create(path), record))
        store = LentStore.create(
            file,
            name=where,
            keys=self.keys(database.name),
            page_size=record.page_size,
            anchor=anchor,
            store_id=record.store_id,
            witness=self.witness(database.database_id, record),
        )
        store.movable = file
        return store

    def discard(self, database: Database, record: StoreRecord) -> None:
        """Remove an incoming store that is not in the catalogue; where that is unknown, the next open decides."""
        if self._custody.unsure or self.is_entered(database.name, record):
            return
        path = self._layout.incoming(database.database_id, record.store_id)
        with contextlib.suppress(OSError):
            self._files.remove(path)
            self._files.sync_directory(path.parent)
        with contextlib.suppress(KeystoreError, KeyError):
            self._custody.anchors.remove(record.store_id)

    def is_entered(self, database_name: str, record: StoreRecord) -> bool:
        """Tell whether the catalogue has this very store."""
        entered = self._custody.keystore.database(database_name).stores
        here = entered.get(record.name)
        if here is not None and here.store_id == record.store_id:
            return True
        return any(each.store_id == record.store_id for each in entered.values())  # it was renamed

    def _rename(self, old: Path, new: Path) -> None:
        # CRASH: before the rename is durable the store lies under its other name; the next open finishes it.
        try:
            self._files.rename(old, new)
            self._files.sync_directory(new.parent)
        except OSError as error:
            raise NodeIOError(
                f"{old} could not be renamed: {error.strerror}. Nothing was lost; open the node again."
            ) from error

    def _sync_directory(self, path: Path) -> None:
        try:
            self._files.sync_directory(path)
        except OSError as error:
            raise NodeIOError(f"{path} could not be synced: {error.strerror}. Nothing was imported.") from error


def enter(record: StoreRecord, oldest: int, database: Database) -> Database:
    """Enter a store that was begun under data key generation `oldest`, which nobody may have destroyed meanwhile."""
    if all(data_key.generation != oldest for data_key in database.data_keys):
        raise DatabaseShreddedError(
            f"database {database.name!r} was shredded while its file {record.name!r} was made. Nothing was kept of it."
        )
    return database.with_store(record)


def _require_not_locked(path: Path) -> None:
    """Refuse where the file of a store is open outside this node; what cannot be opened at all can still be dropped."""
    try:
        OsBlockFile.open(path).close()
    except StoreLockedError:
        raise
    except (KeystoreError, OSError):
        return
