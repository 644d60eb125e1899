"""The file that SQLite sees: a database as one connection has it, at its read point and with what it has staged.

SQLite runs with its rollback journal, in the mode `delete`. What it writes is staged (`pages.stage`), and what it syncs
is published as one commit: that takes the place of everything that SQLite does to survive a crash. Its journal stays,
for rollbacks and savepoints of the running process alone, and is in that process (`scratch`).

Invariants:
1. SQLite tells of the end of a transaction by a sync of this file, after all of its writes. Nothing is published before
   that. What no sync followed, though the transaction ended well, is published then.
2. From SHARED to the end of a transaction all reads are of one commit, with the transaction's own writes.
3. The pages of the database are those of the store, one by one, and never of another size.
"""

from typing import Final

import apsw

from keystore.engines.sqlite import pragmas
from keystore.engines.sqlite.database import Database
from keystore.engines.sqlite.failures import told_to_sqlite
from keystore.pages.read_point import ReadPoint
from keystore.pages.stage import Stage

NONE, SHARED, RESERVED = apsw.SQLITE_LOCK_NONE, apsw.SQLITE_LOCK_SHARED, apsw.SQLITE_LOCK_RESERVED

_CHARACTERISTICS: Final = int(
    apsw.SQLITE_IOCAP_POWERSAFE_OVERWRITE | apsw.SQLITE_IOCAP_SAFE_APPEND | apsw.SQLITE_IOCAP_SEQUENTIAL
)
"""The journal is never read after a crash: so SQLite need not sync it, nor count its records in its head."""
_PAGE_SIZE_AT: Final = slice(16, 18)
_VERSIONS_AT: Final = slice(18, 20)
"""Where page 1 says which journal is used: 1 is a rollback journal, 2 is WAL."""
_NO_WAL: Final = b"\1\1"
_CHANGES_AT: Final = slice(24, 28)
_VALID_FOR_AT: Final = slice(92, 96)
"""Where page 1 counts changes, and says of which one its number of pages is."""


class MainFile:
    """A database as one connection has it. One thread at a time, as SQLite uses it."""

    def __init__(self, database: Database) -> None:
        self._database, self._page_size = database, database.page_size
        self._level = NONE
        self._point: ReadPoint | None = None
        self._version = 0
        self._stage: Stage | None = None
        self._published = False
        """Whether this writer has published since it has its right: again only in exclusive mode, or to roll back."""

    # -- content ------------------------------------------------------------------------------------------------------

    @told_to_sqlite
    def xRead(self, amount: int, offset: int) -> bytes:  # noqa: N802
        """Return what there is of `amount` bytes at `offset`, which lie in one page."""
        page_no, at = divmod(offset, self._page_size)
        page = self._page(page_no)
        return page if amount == len(page) else page[at : at + amount]

    def _page(self, page_no: int) -> bytes:
        """Return a page, nothing where it is beyond the end."""
        stage, point = self._stage, self._point
        if stage is not None:
            if page_no >= stage.page_count:
                return b""
            page = stage.read(page_no)
            if page is not None:
                return page
        if point is not None:
            return point.read(page_no) if page_no < point.page_count else b""
        store = self._database.store  # SQLite reads the head of the first page before it locks anything
        return store.read(page_no) if page_no < store.page_count else b""

    @told_to_sqlite
    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802
        """Stage one page."""
        page_no, at = divmod(offset, self._page_size)
        if at or len(data) != self._page_size:
            raise _other_page_size(len(data), self._page_size)
        if page_no == 0:
            data = self._first_page(data)
        self._writing().write(page_no, data)

    @told_to_sqlite
    def xTruncate(self, size: int) -> None:  # noqa: N802
        """Stage the end of the database."""
        page_count, rest = divmod(size, self._page_size)
        if rest:
            raise _other_page_size(rest, self._page_size)
        self._writing().cut(page_count)

    @told_to_sqlite
    def xSync(self, flags: int) -> None:  # noqa: N802
        """Publish what is staged; durable on return."""
        self._publish()

    @told_to_sqlite
    def xFileSize(self) -> int:  # noqa: N802
        if self._stage is not None:
            return self._stage.page_count * self._page_size
        return (self._point or self._database.store).page_count * self._page_size

    # -- locks --------------------------------------------------------------------------------------------------------

    @told_to_sqlite
    def xLock(self, level: int) -> None:  # noqa: N802
        """Begin to read at SHARED, and have the right to write from RESERVED on; readers hold nobody up."""
        if level == SHARED:
            self.xUnlock(NONE)  # SQLite has no lock now; a signal may have kept it from giving the former ones back
        if level >= SHARED and self._point is None:
            self._point, self._version = self._database.begin_reading()
        if level >= RESERVED and self._stage is None:
            self._stage = self._database.reserve(self, self._version)
        self._level = max(self._level, level)

    @told_to_sqlite
    def xUnlock(self, level: int) -> None:  # noqa: N802
        """End a transaction: what was not published never was."""
        self._level = min(self._level, level)
        if level < RESERVED and self._stage is not None:
            stage, self._stage, self._published = self._stage, None, False
            try:
                stage.discard()
            finally:
                self._database.give_up(self)
        if level < SHARED and self._point is not None:
            point, self._point = self._point, None
            point.release()

    def xCheckReservedLock(self) -> bool:  # noqa: N802
        return self._database.is_reserved

    @told_to_sqlite
    def xFileControl(self, operation: int, pointer: int) -> bool:  # noqa: N802
        """Answer pragmas that are not SQLite's to decide here; see to it that a transaction ends published."""
        if operation == apsw.SQLITE_FCNTL_PRAGMA:
            return pragmas.answer(apsw.VFSFcntlPragma(pointer), self._page_size)
        if operation == apsw.SQLITE_FCNTL_COMMIT_PHASETWO:
            self._publish()
        return False

    def xSectorSize(self) -> int:  # noqa: N802
        return 512

    def xDeviceCharacteristics(self) -> int:  # noqa: N802
        return _CHARACTERISTICS

    def xClose(self) -> None:  # noqa: N802
        """Give everything up."""
        self.xUnlock(NONE)

    # -- private ------------------------------------------------------------------------------------------------------

    def _writing(self) -> Stage:
        if self._stage is None:
            raise apsw.IOError("SQLite writes without a lock; nothing was changed")
        return self._stage

    def _publish(self) -> None:
        """Publish, and read from there on: a connection in exclusive mode keeps its lock."""
        if self._stage is None or not self._stage.changed:
            return
        if self._published:
            self._count_change(self._stage)
        self._published = True
        former, (self._point, self._version) = self._point, self._database.publish(self._stage)
        if former is not None:
            former.release()

    def _count_change(self, stage: Stage) -> None:
        """Raise the counter by which other connections see that their caches are old.

        SQLite does so once for as long as it has the lock, because elsewhere nobody reads meanwhile.
        """
        if self._point is None or not self._point.page_count or not stage.page_count:
            return
        last = int.from_bytes(self._point.read(0)[_CHANGES_AT], "big")
        stage.write(0, _with_counter(self._page(0), last + 1))

    def _first_page(self, page: bytes) -> bytes:
        """Return page 1 as it is stored: of a database that was copied from one in WAL mode it says that it is not.

        Then it has another change counter as well, so that the connection which has it in its cache reads it again.
        """
        size = int.from_bytes(page[_PAGE_SIZE_AT], "big")
        if (65536 if size == 1 else size) != self._page_size:
            raise _other_page_size(size, self._page_size)
        if page[_VERSIONS_AT] == _NO_WAL:
            return page
        stored = bytearray(page)
        stored[_VERSIONS_AT] = _NO_WAL
        return _with_counter(stored, int.from_bytes(page[_CHANGES_AT], "big") + 1)


def _with_counter(page: bytes | bytearray, counter: int) -> bytes:
    """Return page 1 with a number of changes; its number of pages is of that one."""
    stored = bytearray(page)
    stored[_CHANGES_AT] = stored[_VALID_FOR_AT] = (counter & 0xFFFFFFFF).to_bytes(4, "big")
    return bytes(stored)


def _other_page_size(found: int, page_size: int) -> apsw.IOError:
    return apsw.IOError(
        f"SQLite wrote pages of another size ({found}); those of this database are those of its store, {page_size} "
        "bytes, and that stays so. Nothing was changed. Make a new database with the other size and copy into it"
    )
