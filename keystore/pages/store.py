"""A page store: numbered pages of one size in one encrypted file, changed by atomic, durable commits.

    with PageStore.create(path, name="orders", keys=keys) as store:
        store.commit({0: first, 7: second})
        assert store.read(7) == second

Threads may share a store: many readers and many writers. Readers see a commit once it is durable and never wait for
the disk that a writer waits for; writers that come together share a record and a sync. One process has it open at a
time.

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
from collections.abc import Collection, Generator, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from threading import RLock
from typing import Self

from keystore.errors import InputError, KeystoreError, StoreDamagedError
from keystore.format import layout
from keystore.format.record import SessionRecord
from keystore.pages.blockfile import OsBlockFile
from keystore.pages.compact import Compactor, CompactReport
from keystore.pages.creation import new_state
from keystore.pages.fill import Fill
from keystore.pages.generations import KeyReferences, key_references
from keystore.pages.generations import settle as settle_state
from keystore.pages.guarded import GuardedFile
from keystore.pages.life import Life
from keystore.pages.opening import Opener
from keystore.pages.pace import Pace
from keystore.pages.pin import Pin, unpin
from keystore.pages.protocols import Anchor, BlockFile, Buffer, DataKeys
from keystore.pages.ranges import RangeReader
from keystore.pages.read_point import ReadPoint
from keystore.pages.reader import Reader
from keystore.pages.reading import Batch
from keystore.pages.recovery import recover
from keystore.pages.repair import PageVersion, Repairer
from keystore.pages.reseal import Resealed, Resealer
from keystore.pages.scan import Scans
from keystore.pages.stage import Stage
from keystore.pages.state import StoreState
from keystore.pages.stats import StoreStats, store_stats
from keystore.pages.verify import Save, Verifier, VerifyReport
from keystore.pages.witness import Witness
from keystore.pages.writer import Writer
from keystore.progress import Progress, untold

CACHE_BYTES = 16 << 20
"""LIMIT: bytes of opened pages kept in memory, unless the caller says otherwise."""

_OPEN: "weakref.WeakSet[PageStore]" = weakref.WeakSet()


class PageStore:
    """One open store. Made by `create` and `open`; a context manager that closes it."""

    def __init__(self, state: StoreState, notes: list[str], cache_bytes: int) -> None:
        self._state = state
        self._notes = notes
        self._life = Life(state.name)
        self._opener = Opener(state, self._life)
        self._reader = Reader(state, self._life, self._opener, cache_bytes)
        self._ranges = RangeReader(state, self._life, self._opener)
        self._scans = Scans(state, self._ranges, self._opener)
        self._writer = Writer(state, self._life)
        self._repairer = Repairer(state, self._life, self._writer)
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
        witness: Witness | None = None,
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
            state = new_state(name, guarded, keys, page_size, anchor, store_id or secrets.token_bytes(16), witness)
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
        witness: Witness | None = None,
    ) -> Self:
        """Open a store and recover it to its newest proven state.

        Args:
            store_id: the id that the file must have, where the caller knows it.
            witness: is told of every commit, of those too that the record chain still has and it does not know.

        Raises:
            StoreMissingError, StoreLockedError, NotAStoreError, WrongKeyError, StoreDamagedError, StoreRolledBackError,
            StoreDivergedError: nothing was written.
            StoreFullError, StoreIOError, CommitUnknownError: every commit is as it was; another try can help.
        """
        opened = OsBlockFile.open(file) if isinstance(file, str | os.PathLike) else _as_block_file(file)
        guarded = GuardedFile(name, opened)
        try:
            state, notes = recover(name, guarded, keys, anchor, store_id, witness)
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
    def changed_ns(self) -> int:
        """Not earlier than the latest commit, in ns since 1970; an opening and a checkpoint move it too."""
        return self._state.time_ns

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
        return self._reader.read(page_no)

    def read_into(self, page_no: int, buffer: bytearray | memoryview) -> None:
        """Read a page into `buffer`, of exactly `page_size` bytes; errors as `read`."""
        self._reader.read_into(page_no, buffer)

    def read_many(self, page_nos: Sequence[int]) -> list[bytes]:
        """Return several pages of one commit, in the order asked for; adjacent ones are read together.

        Errors as `read`.
        """
        return self._ranges.read_many(page_nos)

    def read_range_into(self, first: int, buffer: bytearray | memoryview) -> None:
        """Fill `buffer`, of whole pages, with the pages from `first` on, all of one commit; holes are zeros.

        After an error the buffer holds some of them, or zeros, or what it held. Errors as `read`.

        Raises:
            InputError: `buffer` is not a multiple of `page_size` bytes; nothing was read.
        """
        self._ranges.read_into(first, buffer)

    def scan(
        self, first: int = 0, count: int | None = None, *, threads: int | None = None
    ) -> Generator[memoryview, None, None]:
        """Yield the pages from `first` on in order, all or `count` of them, about a mebibyte at a time.

        A piece is valid until the next one is asked for, or the scan or the store is closed: what it showed is
        overwritten then. Each is of one commit, the latest at some moment since the piece before it was asked for; a
        cut that a scan meets ends it with PageRangeError. Errors as `read`.

        Args:
            threads: how many read and open, the caller's among them; with two and more the next piece is read while
                one is lent. By default as many as KEYSTORE_THREADS says. The portable kernel has one.
        """
        return self._scans.begin(first, count, threads)

    def view(self, page_no: int) -> AbstractContextManager[memoryview]:
        """Lend a read-only view of a page, valid inside the `with` block. Errors as `read`.

        Where the store is closed inside the block, the view is released and the block ends with StoreClosedError.
        """
        return self._reader.view(page_no)

    def read_point(self) -> ReadPoint:
        """Begin to read the pages as the latest commit left them, whatever is committed meanwhile; it is released.

        Nothing is read or written, and no disk is waited for.
        """
        return ReadPoint(self._state, self._life, self._reader, self._opener)

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
            page_count: new number of pages; those beyond are gone. By default it only grows. Where more than 2^18 are
                to go, see `cut`.
            byte_length: the user's own length.

        Returns:
            The sequence of this commit, or of the latest one if there was nothing to change. Threads that commit
            together may get the same one: then they are in one record, in the order in which they came.

        Raises:
            PageRangeError, InputError, StoreFullError, StoreIOError, StoreDamagedError: nothing changed.
            CommitUnknownError: whether it is durable is unknown; close the store and open it again.
        """
        return self._writer.commit(pages, page_count=page_count, byte_length=byte_length)

    def stage(self) -> Stage:
        """Begin a change that is written page by page, in bounded memory, and then published as one commit, or not.

        The caller sees to it that nobody else changes the same pages meanwhile: what is published last counts.
        """
        with self._life.lock:
            self._life.check_writable()
            return Stage(self._state, self._life, self._reader, self._writer)

    def cut(self, page_count: int, *, byte_length: int, last: Mapping[int, Buffer | None] | None = None) -> int:
        """Make a store of any size shorter, in bounded memory; durable on return. Errors as `commit`.

        A cut of more pages than one commit takes is done in several, from the end on. Cut off in between, the store
        ends at one of them, with the former `byte_length`; pages below the new end are as they were.

        Args:
            last: pages to change with the last of these commits.
        """
        return self._writer.cut(page_count, byte_length, last or {})

    def adopt(self, sessions: Sequence[SessionRecord], batch: Batch) -> int:
        """Commit pages sealed in another store under data keys that this one has; their ciphertext stays as it is.

        Each page is opened first, so what is adopted is what was sealed. Durable on return.

        Raises:
            StoreDamagedError: a page does not open; nothing changed.
            WrongKeyError: a data key is missing here, or another one.
        """
        return self._writer.adopt(sessions, batch)

    def fill(self, chunks: Iterable[Buffer], *, room: int = 0) -> int:
        """Put pages into this store, which is empty, from page 0 on; durable on return.

        For a store that nobody knows yet: unlike `commit` it is not one step, and what came is there after an error,
        or a part of it. `page_count` is at least as large as it has to be; set both ends with a `commit`.

        Args:
            chunks: whole pages, a mebibyte or so at a time; each may be reused when the next is asked for.
            room: how many pages will come, as far as is known: the file then grows once.

        Returns:
            How many came.

        Raises:
            InputError: this store has pages, or a chunk is no whole number of them.
            StoreFullError, StoreIOError, CommitUnknownError: as `commit`.
        """
        return Fill(self._state, self._life, self._writer).seal(chunks, room)

    def fill_sealed(
        self, sessions: Sequence[SessionRecord], batches: Iterable[Batch], *, page_count: int, room: int = 0
    ) -> int:
        """Put pages sealed in another store into this one, which is empty, as `fill`; their ciphertext stays as it is.

        Args:
            sessions: those that the entries name; this store has their data keys.
            batches: pages in ascending order, each below `page_count`; a batch is valid until the next.
            room: as for `fill`.

        Raises:
            InputError, PageRangeError: this store has pages, or they do not come in order.
            StoreDamagedError: a page does not open; it is not taken.
            WrongKeyError: a data key is missing here, or another one.
            StoreFullError, StoreIOError, CommitUnknownError: as `commit`.
        """
        return Fill(self._state, self._life, self._writer).adopt(sessions, batches, page_count, room)

    def checkpoint(self) -> None:
        """Fold the commits since the last checkpoint into the map; does nothing where there are none.

        Raises:
            StoreFullError, StoreIOError, StoreDamagedError: nothing changed, every commit is safe.
        """
        self._writer.checkpoint()

    # -- keeping and checking -----------------------------------------------------------------------------------------

    def pin(self) -> Pin:
        """Keep the present state whole until the pin is released. LIMIT: only while this object is open."""
        with self._life.lock:
            self._life.check()
            self._writer.checkpoint_now()
            self._state.pins += 1
            return Pin(self._state, self._life, partial(unpin, self._state, self._life))

    def reseal(
        self,
        generations: Collection[int] | None = None,
        *,
        progress: Progress | None = None,
        pace: Pace | None = None,
    ) -> Resealed:
        """Seal what stands under former data keys anew under the current one; readers and writers go on meanwhile.

        Contents stay, the sequence moves. Durable in steps: who starts again after a kill goes on where it was.

        Args:
            generations: only what stands under these.
            progress: is told bytes done and in all, blocks of the map included.
            pace: holds it back.

        Raises:
            InputError: `generations` has the current one.
            StoreDamagedError: a page does not open; it is named, and those before it are done.
            StoreFullError, StoreIOError, CommitUnknownError: as `commit`; what was done stays done.
        """
        resealer = Resealer(self._state, self._life, self._writer, generations)
        return resealer.run(progress or untold, pace or Pace())

    def key_references(self, *, settle: bool = False) -> list[KeyReferences]:
        """Tell which generations of the data key this store needs, and how much of it; no page is read.

        Args:
            settle: first write what makes the answer hold for the file as well, after any crash (`settle`).
        """
        with self._life.lock:
            if settle:
                self._life.check_writable()
                settle_state(self._state)
            self._life.check()
            return key_references(self._state)

    def forget_data_key(self, generation: int) -> None:
        """Wipe what was derived of a data key that was destroyed."""
        self._state.sessions.forget(generation)
        self._opener.forget()

    def watch(self, witness: Witness | None) -> None:
        """Tell `witness` of every commit from now on, and the former one of none; None: nobody."""
        with self._life.lock:
            self._life.check()
            self._end_witness()
            self._state.witness = witness
            if witness is not None:
                witness.opened(self._state.moment)

    def stats(self) -> StoreStats:
        """Tell what the store takes on the disk, and what was written since it was opened; nothing is read."""
        with self._life.lock:
            self._life.check()
            return store_stats(self._state)

    def compact(self, *, progress: Progress | None = None, pace: Pace | None = None) -> CompactReport:
        """Give space at the end of the file back. Readers go on; writers wait for one batch at a time.

        Args:
            progress: is told pages looked at and in all.
            pace: holds it back.

        Raises:
            InputError: it is being compacted already.
            StoreDamagedError: a page to be moved does not open; nothing was lost, and the store takes no more commits.
            StoreFullError, StoreIOError, CommitUnknownError: every commit is safe; the file may be longer than needed.
        """
        return Compactor(self._state, self._life, self._writer, progress or untold, pace or Pace()).run()

    def verify(
        self,
        progress: Progress | None = None,
        *,
        pace: Pace | None = None,
        start: int = 0,
        suspects: Collection[int] = (),
        save: Save | None = None,
        from_disk: bool = False,
    ) -> VerifyReport:
        """Read and check everything the store reaches; readers and writers go on meanwhile.

        Damage is in the report, not raised, and stops all writing; a whole pass that finds none lets writers go on.

        Args:
            progress: is told pages passed and in all.
            pace: holds it back.
            start: check the pages from here on; headers and map are always checked.
            suspects: pages below `start` to check as well.
            save: is told, after every batch, where to go on and which pages are damaged.
            from_disk: have the system forget what it has of the file first, so that the disk itself answers.
        """
        made = (self._state, self._life, self._writer, self._opener)
        verifier = Verifier(*made, progress=progress, pace=pace, save=save, from_disk=from_disk)
        report = verifier.run(start, suspects)
        report.notes = self.notes
        with self._life.lock:
            if report.damaged:
                self._life.latch(report.damaged[0])
            elif start == 0:
                self._life.damage = None
        return report

    def versions(self, page_nos: Collection[int]) -> dict[int, PageVersion]:
        """Return which versions of pages the map names, damaged ones too; holes are left out.

        Raises:
            StoreDamagedError: a node of the map is damaged.
        """
        return self._repairer.versions(page_nos)

    def put_back(self, sessions: Sequence[SessionRecord], batch: Batch) -> list[int]:
        """Put sealed pages in the place of damaged ones, in one commit; pages that open are left as they are.

        Each page is opened first. A store that damage stopped stays so until `verify` finds none.

        Args:
            sessions: those that the entries of `batch` name.

        Returns:
            The numbers of the pages that were put back.

        Raises:
            StoreDamagedError, WrongKeyError: a page of `batch` does not open, or a node of the map is damaged; nothing
            changed.
        """
        return self._repairer.put_back(sessions, batch)

    # -- ending -------------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Checkpoint, wipe every key and page, close the file; may be called twice.

        Raises:
            StoreFullError, StoreIOError, CommitUnknownError: the checkpoint failed. The store is closed all the same
            and every commit is safe: the next opening takes it from the records.
        """
        with self._life.lock:
            if self._life.closed or self._life.forked:
                return
            with contextlib.ExitStack() as ending:
                ending.callback(_OPEN.discard, self)
                ending.callback(self._state.file.close)
                ending.callback(self._forget)
                ending.callback(self._end_witness)
                ending.callback(self._state.sessions.report_seals)
                ending.callback(setattr, self._life, "closed", True)
                if self._state.file.poison is None and self._life.damage is None:
                    with contextlib.suppress(StoreDamagedError):  # the records have every commit, for the next opening
                        self._writer.checkpoint_now()

    def _end_witness(self) -> None:
        witness, self._state.witness = self._state.witness, None
        if witness is not None:
            witness.closed(self._state.moment, settled=self._state.file.poison is None and not self._state.torn)

    def _forget(self) -> None:
        with contextlib.ExitStack() as ending:
            ending.enter_context(self._state.map_lock)  # whoever looks something up has done so
            ending.callback(self._reader.wipe)
            ending.callback(self._scans.wipe)
            ending.callback(self._opener.close)
            ending.callback(self._state.blocks.forget_all)
            ending.callback(self._state.sessions.wipe)

    def _after_fork_in_child(self) -> None:
        self._life.after_fork_in_child()
        self._state.map_lock = RLock()
        self._writer.after_fork_in_child()
        self._reader.after_fork_in_child()
        self._opener.after_fork_in_child()
        self._state.sessions.after_fork_in_child()
        self._forget()
        self._state.file.close()

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
