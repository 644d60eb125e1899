"""A page store: numbered pages of one size in one encrypted file, changed by atomic, durable commits.

    with PageStore.create(path, name="orders", keys=keys) as store:
        store.commit({0: first, 7: second})
        assert store.read(7) == second

Threads may share a store: many readers, one writer at a time. One process has it open at a time.

Leaves to others: where data keys come from (`keystore.keys`), and files of any length on it (`keystore.pages.file`).

Invariants (docs/FORMAT.md):
1. A commit that returned survives kill -9 and power loss; one that did not is whole or absent.
2. What `read` returns is what was committed last, or an error.
3. After `close`, and in a forked child, this object holds no key and no page.
"""

import contextlib
import os
import secrets
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import RLock
from typing import Self

import numpy as np

from keystore.errors import (
    InputError,
    KeystoreError,
    PageRangeError,
    StoreClosedError,
    StoreDamagedError,
    StoreForkedError,
    StoreIOError,
)
from keystore.format import layout
from keystore.format.entry import HOLE, EntryArray, entries_from_bytes
from keystore.format.record import CHANGE, SessionRecord
from keystore.pages.arena import Arena
from keystore.pages.blockfile import OsBlockFile
from keystore.pages.checkpoint import write_checkpoint
from keystore.pages.commit import Change, adopt, check_change, commit
from keystore.pages.creation import new_state
from keystore.pages.guarded import GuardedFile
from keystore.pages.pagemap import PageMap
from keystore.pages.pin import Pin
from keystore.pages.protocols import Anchor, BlockFile, Buffer, DataKeys
from keystore.pages.reading import READ_BYTES, Batch, UnreadableError, open_batch, read_batch
from keystore.pages.recovery import recover
from keystore.pages.state import StoreState
from keystore.pages.verify import Progress, Verifier, VerifyReport

CACHE_BYTES = 16 << 20
"""LIMIT: bytes of opened pages kept in memory, unless the caller says otherwise."""
CHECKPOINT_RECORDS = 4096
CHECKPOINT_RECORD_BYTES = 32 << 20
CHECKPOINT_PAGES = 1 << 16
"""LIMIT: records, bytes of records, changed pages between two checkpoints: bounds memory, and the work of recovery."""
READ_TRIES = 8
"""LIMIT: how often a reader follows a page that a writer moves under it."""

_OPEN: "weakref.WeakSet[PageStore]" = weakref.WeakSet()


class PageStore:
    """One open store. Made by `create` and `open`; a context manager that closes it."""

    def __init__(self, state: StoreState, notes: list[str], cache_bytes: int) -> None:
        self._state = state
        self._notes = notes
        self._lock = RLock()
        self._arena = Arena(state.page_size, cache_bytes)
        self._closed = False
        self._forked = False
        self._damage: StoreDamagedError | None = None
        _OPEN.add(self)

    # -- making -------------------------------------------------------------------------------------------------------

    @classmethod
    def create(
        cls,
        file: str | os.PathLike[str] | BlockFile,
        *,
        name: str,
        keys: DataKeys,
        page_size: int = 16384,
        anchor: Anchor | None = None,
        store_id: bytes | None = None,
        cache_bytes: int = CACHE_BYTES,
    ) -> Self:
        """Create an empty store and open it; durable on return, but for its name in the directory.

        Raises:
            InputError: `page_size` is not 4, 8, 16, 32 or 64 KiB.
            StoreExistsError: something is there; it is unchanged.
            StoreFullError, StoreIOError: a file made here is removed again.
        """
        if page_size not in layout.PAGE_SIZES_BYTES:
            raise InputError(f"a page size of {page_size} bytes; it is one of {layout.PAGE_SIZES_BYTES}")
        made = OsBlockFile.create(file) if isinstance(file, str | os.PathLike) else None
        guarded = GuardedFile(name, made or _as_block_file(file))
        try:
            state = new_state(name, guarded, keys, page_size, anchor, store_id or secrets.token_bytes(16))
        except BaseException:
            guarded.close()
            if made is not None:
                made.path.unlink(missing_ok=True)
            raise
        return cls(state, [], cache_bytes)

    @classmethod
    def open(
        cls,
        file: str | os.PathLike[str] | BlockFile,
        *,
        name: str,
        keys: DataKeys,
        anchor: Anchor | None = None,
        store_id: bytes | None = None,
        cache_bytes: int = CACHE_BYTES,
    ) -> Self:
        """Open a store and recover it to its newest proven state.

        Args:
            store_id: the id that the file must have, where the caller knows it.

        Raises:
            StoreMissingError, StoreLockedError, NotAStoreError, WrongKeyError, StoreDamagedError, StoreRolledBackError,
            StoreDivergedError: nothing was written.
            StoreFullError, StoreIOError, CommitUnknownError: every commit is as it was; another try can help.
        """
        opened = OsBlockFile.open(file) if isinstance(file, str | os.PathLike) else _as_block_file(file)
        guarded = GuardedFile(name, opened)
        try:
            state, notes = recover(name, guarded, keys, anchor, store_id)
        except BaseException:
            guarded.close()
            raise
        return cls(state, notes, cache_bytes)

    # -- what it is ---------------------------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        return self._state.name

    @property
    def store_id(self) -> bytes:
        return self._state.store_id

    @property
    def page_size(self) -> int:
        """Bytes of a page."""
        return self._state.page_size

    @property
    def page_count(self) -> int:
        """Number of the last page plus one; pages never written below it are holes."""
        return self._state.page_count

    @property
    def byte_length(self) -> int:
        """The length that the user of this store keeps in it; 0 unless set by `commit`."""
        return self._state.byte_length

    @property
    def sequence(self) -> int:
        """Number of the latest commit."""
        return self._state.sequence

    @property
    def epoch(self) -> int:
        """Number of this opening."""
        return self._state.epoch

    @property
    def notes(self) -> list[str]:
        """What opening found invalid and mended without loss (F-21)."""
        return list(self._notes)

    # -- reading ------------------------------------------------------------------------------------------------------

    def read(self, page_no: int) -> bytes:
        """Return a page; a hole reads as zeros.

        Raises:
            PageRangeError: `page_no` is not below `page_count`.
            StoreDamagedError: the page, or the map above it, is not what was written.
        """
        page = bytearray(self.page_size)
        self.read_into(page_no, page)
        return bytes(page)

    def read_into(self, page_no: int, buffer: bytearray | memoryview) -> None:
        """Read a page into `buffer`, of exactly `page_size` bytes; errors as `read`."""
        view = memoryview(buffer).cast("B")
        if len(view) != self.page_size:
            raise InputError(f"a buffer of {len(view)} bytes; pages have {self.page_size}")
        entry = self._entry(page_no)
        for _ in range(READ_TRIES):
            if entry == HOLE:
                view[:] = bytes(len(view))
                return
            if self._arena.read_into(entry, view):
                return
            try:
                view[:] = self._open_pages([page_no], entries_from_bytes(entry))
                self._arena.put(entry, view)
                return
            except UnreadableError as error:
                before, entry = entry, self._entry(page_no)
                if entry == before:
                    raise self._latch(StoreDamagedError(self.name, "page", page_no, str(error))) from None
        raise StoreDamagedError(self.name, "page", page_no, f"it moved {READ_TRIES} times while it was read")

    def read_many(self, page_nos: Sequence[int]) -> list[bytes]:
        """Return several pages, in the order asked for; adjacent ones are read together. Errors as `read`."""
        pages: list[bytes] = []
        step = max(1, READ_BYTES // self.page_size)
        for at in range(0, len(page_nos), step):
            pages += self._read_step(page_nos[at : at + step])
        return pages

    def _read_step(self, page_nos: Sequence[int]) -> list[bytes]:
        with self._lock:
            entries = [self._entry(page_no) for page_no in page_nos]
        there = [at for at, entry in enumerate(entries) if entry != HOLE]
        pages = [bytes(self.page_size)] * len(page_nos)
        try:
            joined = entries_from_bytes(b"".join(entries[at] for at in there))
            plain = memoryview(self._open_pages([page_nos[at] for at in there], joined))
        except UnreadableError:
            return [self.read(page_no) for page_no in page_nos]
        for index, at in enumerate(there):
            pages[at] = bytes(plain[index * self.page_size : (index + 1) * self.page_size])
        return pages

    @contextmanager
    def view(self, page_no: int) -> Iterator[memoryview]:
        """Lend a read-only view of a page, valid inside the `with` block. Errors as `read`."""
        entry, page = self._entry(page_no), self.read(page_no)
        with contextlib.nullcontext(memoryview(page)) if entry == HOLE else self._arena.view(entry, page) as view:
            yield view

    def _entry(self, page_no: int) -> bytes:
        with self._lock:
            self._check()
            if not 0 <= page_no < self._state.page_count:
                raise PageRangeError(f"store {self.name}: page {page_no} of {self._state.page_count}; nothing was read")
            try:
                return self._state.pages.entry(page_no)
            except StoreDamagedError as error:
                raise self._latch(error) from None

    def _open_pages(self, page_nos: list[int], entries: EntryArray) -> bytearray:
        state = self._state
        try:
            batch = read_batch(state.file, state.page_size, np.array(page_nos, dtype=np.uint64), entries)
            return open_batch(state.sessions, state.page_size, batch)
        except (ValueError, StoreIOError):
            self._check()  # a key that was wiped, a file that was closed: the reason is that the store was closed
            raise

    def _latch(self, damage: StoreDamagedError) -> StoreDamagedError:
        """Note damage (F-20): other parts stay readable, and nothing is written any more."""
        self._damage = self._damage or damage
        return damage

    # -- writing ------------------------------------------------------------------------------------------------------

    def commit(
        self,
        pages: Mapping[int, Buffer | None] | None = None,
        *,
        page_count: int | None = None,
        byte_length: int | None = None,
    ) -> int:
        """Change pages, and the ends, in one atomic step that is durable on return.

        Args:
            pages: new content by page number, each of `page_size` bytes; None makes a hole.
            page_count: new number of pages; those beyond are gone. By default it only grows.
            byte_length: the user's own length.

        Returns:
            The sequence of this commit, or of the latest one if there was nothing to change.

        Raises:
            PageRangeError, InputError, StoreFullError, StoreIOError, StoreDamagedError: nothing changed.
            CommitUnknownError: whether it is durable is unknown; close the store and open it again.
        """
        with self._lock:
            self._check_writable()
            state = self._state
            change = check_change(state, pages or {}, page_count, byte_length)
            same_ends = (change.page_count, change.byte_length) == (state.page_count, state.byte_length)
            if not change.pages and not change.holes and same_ends:
                return state.sequence
            self._checkpoint_if_due()
            return commit(state, change)

    def adopt(self, sessions: Sequence[SessionRecord], batch: Batch) -> int:
        """Commit pages sealed in another store under data keys that this one has; their ciphertext stays as it is.

        Each page is opened first, so what is adopted is what was sealed. Durable on return.

        Raises:
            StoreDamagedError: a page does not open; nothing changed.
            WrongKeyError: a data key is missing here, or another one.
        """
        with self._lock:
            self._check_writable()
            state = self._state
            known = {origin.number: state.sessions.adopt(origin) for origin in sessions}
            entries = np.zeros(len(batch.entries), dtype=CHANGE)
            entries["page"], entries["entry"] = batch.page_nos, batch.entries
            try:
                entries["entry"]["session"] = [known[n].number for n in batch.entries["session"].tolist()]
                plain = open_batch(
                    state.sessions, state.page_size, Batch(batch.page_nos, entries["entry"], batch.ciphertext)
                )
            except KeyError as error:
                raise StoreDamagedError(
                    self.name, "page", None, f"it names session {error}, which is unknown"
                ) from None
            except UnreadableError as error:
                number = int(batch.page_nos[error.index])
                raise StoreDamagedError(self.name, "page", number, "its tag does not match") from None
            plain[:] = bytes(len(plain))
            self._checkpoint_if_due()
            end = max(state.page_count, int(batch.page_nos.max(initial=0)) + 1)
            change = Change([], [], end, state.byte_length)
            return adopt(state, change, list(known.values()), entries, batch.ciphertext)

    def checkpoint(self) -> None:
        """Fold the commits since the last checkpoint into the map; does nothing where there are none.

        Raises:
            StoreFullError, StoreIOError, StoreDamagedError: nothing changed, every commit is safe.
        """
        with self._lock:
            self._check()
            self._checkpoint()

    def _checkpoint_if_due(self) -> None:
        state = self._state
        if (
            state.records >= CHECKPOINT_RECORDS
            or state.record_bytes >= CHECKPOINT_RECORD_BYTES
            or len(state.pages.recent) >= CHECKPOINT_PAGES
        ):
            self._checkpoint()

    def _checkpoint(self) -> None:
        state = self._state
        if state.records:
            self._check_writable()
            write_checkpoint(state, state.sessions.for_seals(2 * len(state.pages.recent) + 1024))

    # -- keeping and checking -----------------------------------------------------------------------------------------

    def pin(self) -> Pin:
        """Keep the present state whole until the pin is released. LIMIT: only while this object is open."""
        with self._lock:
            self._check()
            self._checkpoint()
            state = self._state
            state.pins += 1
            return Pin(
                state.file,
                PageMap(state.pages.tree),
                store_name=state.name,
                store_id=state.store_id,
                page_size=state.page_size,
                page_count=state.page_count,
                byte_length=state.byte_length,
                sequence=state.sequence,
                time_ns=state.time_ns,
                sessions=[record for record, _ in state.sessions.rows()],
                check=self._check_opens,
                release=self._unpin,
            )

    def _check_opens(self, batch: Batch) -> None:
        self._check()
        plain = open_batch(self._state.sessions, self.page_size, batch)
        plain[:] = bytes(len(plain))

    def _unpin(self) -> None:
        with self._lock:
            self._state.pins -= 1
            if not self._state.pins:
                self._state.space.slots.release_pinned()

    def verify(self, progress: Progress | None = None) -> VerifyReport:
        """Read and check everything the store reaches, from the disk; writers wait meanwhile.

        Damage is in the report, not raised.
        """
        with self._lock:
            self._check()
            with contextlib.suppress(StoreDamagedError):
                self._checkpoint()
            report = Verifier(self._state, progress).run()
            report.notes = self.notes
            if report.damaged:
                self._latch(report.damaged[0])
            return report

    # -- ending -------------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Checkpoint, wipe every key and page, close the file; may be called twice.

        Raises:
            StoreFullError, StoreIOError, CommitUnknownError: the checkpoint failed. The store is closed all the same
            and every commit is safe: the next opening takes it from the records.
        """
        with self._lock:
            if self._closed or self._forked:
                return
            with contextlib.ExitStack() as ending:
                ending.callback(_OPEN.discard, self)
                ending.callback(self._state.file.close)
                ending.callback(self._forget)
                ending.callback(setattr, self, "_closed", True)
                if self._state.file.poison is None and self._damage is None:
                    with contextlib.suppress(StoreDamagedError):  # the records have every commit, for the next opening
                        self._checkpoint()

    def _forget(self) -> None:
        with contextlib.ExitStack() as ending:
            ending.callback(self._arena.wipe)
            ending.callback(self._state.blocks.forget_all)
            ending.callback(self._state.sessions.wipe)

    def _after_fork_in_child(self) -> None:
        self._forked = True
        self._lock = RLock()
        self._arena.after_fork_in_child()
        self._state.sessions.after_fork_in_child()
        self._forget()
        self._state.file.close()

    def _check(self) -> None:
        if self._forked:
            raise StoreForkedError(
                f"store {self.name} was opened before this process forked; it is still open in the parent. Open stores "
                "after the fork"
            )
        if self._closed:
            raise StoreClosedError(f"store {self.name} is closed; open it again")

    def _check_writable(self) -> None:
        self._check()
        if self._damage is not None:
            raise self._damage

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        if error is None:
            self.close()
            return
        with contextlib.suppress(KeystoreError):
            self.close()

    def __repr__(self) -> str:
        return f"<PageStore {self.name!r} at commit {self.sequence}>"


def _as_block_file(file: str | os.PathLike[str] | BlockFile) -> BlockFile:
    if isinstance(file, str | os.PathLike):
        raise InputError(f"{Path(file)} is a path, not a BlockFile")
    return file


def _after_fork_in_child() -> None:
    for store in list(_OPEN):
        store._after_fork_in_child()


os.register_at_fork(after_in_child=_after_fork_in_child)
