"""The page stores of a node: made, opened, dropped and checked, each under its database's keys and its own anchor.

Invariants:
1. A store enters the catalogue when it is complete and durable, and its file gets its final name after that. The
   other way round when it is dropped. So whatever a crash leaves, the catalogue says what becomes of it
   (`keystore.node.leftovers`).
2. A store is opened with the id that the catalogue has, so a file put in the place of another is told.
"""

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from weakref import WeakValueDictionary

from keystore.errors import KeystoreError, NameTakenError, NodeIOError, StoreLockedError, StoreMissingError
from keystore.keys.files import Files
from keystore.keys.hierarchy import Database, DatabaseKeys, StoreRecord, generate_database, generate_id, require_name
from keystore.node.custody import Custody
from keystore.node.layout import Layout
from keystore.node.reports import FileInfo, StoreCheck
from keystore.pages.store import PageStore

Progress = Callable[[int, int], None]


class Stores:
    """The stores of an open node."""

    def __init__(self, layout: Layout, files: Files, custody: Custody, now_ns: Callable[[], int]) -> None:
        self._layout, self._files, self._custody, self._now_ns = layout, files, custody, now_ns
        self._lock = threading.RLock()
        self._keys: dict[bytes, DatabaseKeys] = {}
        self._opened: WeakValueDictionary[bytes, PageStore] = WeakValueDictionary()

    def database(self, name: str) -> Database:
        """Return a database, made with a data key of its own where there is none; durable on return."""
        with self._lock:
            if name not in self._custody.keystore.databases:
                self.put_database(generate_database(name, self._now_ns()))
            return self._custody.keystore.databases[name]

    def put_database(self, database: Database) -> None:
        """Put `database` into the catalogue, or in the place of the one of its name; durable on return."""
        with self._lock:
            self._custody.replace(self._custody.keystore.with_database(database))
            self.keys(database).follow(database)

    def keys(self, database: Database) -> DatabaseKeys:
        """Return the data keys of a database, as page stores ask for them."""
        return self._keys.setdefault(database.database_id, DatabaseKeys(database))

    @contextmanager
    def new(self, database_name: str, name: str, page_size: int) -> Iterator[PageStore]:
        """Lend an empty store that enters the catalogue when the block ends well, and otherwise never was.

        Raises:
            NameTakenError: the database has a file of that name; nothing was changed.
        """
        require_name(name, "file", path=True)
        database = self.database(database_name)
        if name in database.stores:
            raise NameTakenError(f"database {database_name!r} has a file {name!r} already. Nothing was changed.")
        record = StoreRecord(generate_id(), name, page_size, self._now_ns())
        path = self._layout.incoming(database.database_id, record.store_id)
        try:
            with self._create(database, record, path) as store:
                yield store
            self._sync_directory(path.parent)
            self._enter(database_name, record)
        except BaseException:
            self._discard(database_name, record, path)
            raise
        self._rename(path, self._layout.store(database.database_id, record.store_id))

    def open(self, database_name: str, name: str) -> PageStore:
        """Open a store; the caller closes it.

        Raises:
            NameUnknownError: there is no such file.
            AnchorsMissingError, AnchorsDamagedError: nobody knows how old it is.
            StoreError: as `PageStore.open`.
        """
        database = self._custody.keystore.database(database_name)
        record = database.store(name)
        path = self._layout.store(database.database_id, record.store_id)
        if not os.path.lexists(path):
            raise StoreMissingError(
                f"store {database_name}/{name} is missing: there is no {path}. A missing file is never a fresh start; "
                "bring the file back, or restore it from a snapshot."
            )
        store = PageStore.open(
            path,
            name=f"{database_name}/{name}",
            keys=self.keys(database),
            anchor=self._custody.anchors.of(record.store_id),
            store_id=record.store_id,
        )
        self._opened[record.store_id] = store
        return store

    @contextmanager
    def using(self, database_name: str, name: str) -> Iterator[PageStore]:
        """Lend a store: the one that is open in this node already, or one that is closed again afterwards."""
        record = self._custody.keystore.database(database_name).store(name)
        try:
            store = self.open(database_name, name)
        except StoreLockedError:
            opened = self._opened.get(record.store_id)
            if opened is None:
                raise
            yield opened
            return
        with store:
            yield store

    def drop(self, database_name: str, name: str) -> None:
        """Take a file out of the catalogue and remove its store; durable on return.

        Raises:
            StoreLockedError: it is open.
        """
        with self._lock:
            database = self._custody.keystore.database(database_name)
            record = database.store(name)
            self._require_not_open(database_name, name)
            path = self._layout.store(database.database_id, record.store_id)
            incoming = self._layout.incoming(database.database_id, record.store_id)
            if path.exists():
                self._rename(path, incoming)
            self.put_database(database.without_store(name))
            self._discard(database_name, record, incoming)

    def info(self, database: Database, record: StoreRecord) -> FileInfo:
        """Describe a file; a store that does not open is described with its problem."""
        is_there = self._layout.store(database.database_id, record.store_id).is_file()
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
            self.stored_bytes(database, record) if is_there else None,
            problem,
        )

    def stored_bytes(self, database: Database, record: StoreRecord) -> int:
        """Return what a store takes on disk; 0 where it is missing."""
        path = self._layout.store(database.database_id, record.store_id)
        return path.stat().st_blocks * 512 if path.is_file() else 0

    def check(self, database: Database, record: StoreRecord, progress: Progress | None) -> StoreCheck:
        """Read and verify everything in a store."""
        try:
            with self.using(database.name, record.name) as store:
                report = store.verify(progress)
                return StoreCheck(database.name, record.name, report.pages, tuple(report.damaged), tuple(report.notes))
        except KeystoreError as error:
            return StoreCheck(database.name, record.name, 0, (error,))

    def close(self) -> None:
        """Close every store that is still open."""
        for store in list(self._opened.values()):
            store.close()

    @contextmanager
    def _create(self, database: Database, record: StoreRecord, path: Path) -> Iterator[PageStore]:
        try:
            self._files.make_directory(path.parent)
            self._files.sync_directory(path.parent.parent)
        except OSError as error:
            raise NodeIOError(f"{path.parent} cannot be made: {error.strerror}. Nothing was changed.") from error
        anchor = self._custody.anchors.add(record.store_id)
        with PageStore.create(
            path,
            name=f"{database.name}/{record.name}",
            keys=self.keys(database),
            page_size=record.page_size,
            anchor=anchor,
            store_id=record.store_id,
        ) as store:
            yield store

    def _require_not_open(self, database_name: str, name: str) -> None:
        try:
            self.open(database_name, name).close()
        except StoreLockedError:
            raise
        except KeystoreError:
            return  # a damaged store can be dropped as well

    def _enter(self, database_name: str, record: StoreRecord) -> None:
        with self._lock:
            self.put_database(self._custody.keystore.database(database_name).with_store(record))

    def _discard(self, database_name: str, record: StoreRecord, path: Path) -> None:
        """Remove a store that is not in the catalogue; keeps it where that is unknown, for the next open to decide."""
        known = record.name in self._custody.keystore.database(database_name).stores
        if self._custody.unsure or (known and self._is_entered(database_name, record)):
            return
        with contextlib.suppress(OSError):
            self._files.remove(path)
            self._files.sync_directory(path.parent)
        with contextlib.suppress(KeystoreError, KeyError):
            self._custody.anchors.remove(record.store_id)

    def _is_entered(self, database_name: str, record: StoreRecord) -> bool:
        entered = self._custody.keystore.database(database_name).store(record.name)
        return entered.store_id == record.store_id

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
