"""The writing side of an open store: commits, adopted pages, and checkpoints when they are due."""

from collections.abc import Mapping, Sequence

import numpy as np

from keystore.errors import KeystoreError, StoreDamagedError
from keystore.format.record import CHANGE, SessionRecord
from keystore.pages.checkpoint import write_checkpoint
from keystore.pages.commit import CUT_PAGES_MAX, Change, adopt, check_change, commit
from keystore.pages.group import Group, Request
from keystore.pages.life import Life
from keystore.pages.line import Line
from keystore.pages.protocols import Buffer
from keystore.pages.reading import Batch, UnreadableError, open_batch
from keystore.pages.state import StoreState

CHECKPOINT_RECORDS = 4096
CHECKPOINT_RECORD_BYTES = 32 << 20
CHECKPOINT_PAGES = 1 << 16
"""LIMIT: records, bytes of records, changed pages between two checkpoints: bounds memory, and the work of recovery."""
CHECKPOINT_DEAD_BYTES = 64 << 20
"""LIMIT: bytes of slots that were killed between two checkpoints, or an eighth of the file where that is more: bounds
what a store takes on the disk beyond its pages, since slots are used again only after checkpoints."""


class Writer:
    """Changes one open store; threads may share it, and take turns."""

    def __init__(self, state: StoreState, life: Life) -> None:
        self._state, self._life = state, life
        self._line = Line()

    def after_fork_in_child(self) -> None:
        """The threads in line do not run here."""
        self._line = Line()

    def commit(
        self,
        pages: Mapping[int, Buffer | None] | None = None,
        *,
        page_count: int | None = None,
        byte_length: int | None = None,
    ) -> int:
        """Change pages, and the ends, in one atomic step; see `PageStore.commit`.

        A thread that has the lock of the store commits alone: what it read under the lock is still so. So does one that
        gets it at once, where nobody is in line.
        """
        changed, life = dict(pages or {}), self._life
        if life.has_lock():
            return self._commit_alone(changed, page_count, byte_length)
        if not self._line:
            try:
                try:
                    if life.lock.acquire(blocking=False):
                        return self._commit_alone(changed, page_count, byte_length)
                finally:
                    life.let_go()
            except BaseException:
                life.let_go()  # a signal may have cut off the first
                raise
        return self._commit_in_line(Request(changed, page_count, byte_length))

    def _commit_in_line(self, request: Request) -> int:
        """Have a request committed, by this thread or by one that is before it."""
        try:
            try:
                if self._line.enter(request):
                    self._lead()
            finally:
                self._line.leave(request)
        except BaseException:
            self._line.leave(request)  # a signal may have cut off the first
            raise
        return request.result()

    def _lead(self) -> None:
        with self._life.lock:
            self._commit_group(self._line.gather(self._state, self._life))

    def _commit_alone(self, pages: dict[int, Buffer | None], page_count: int | None, byte_length: int | None) -> int:
        """Commit one change; the caller has the lock."""
        state = self._state
        self._life.check_writable()
        ends = state.page_count, state.byte_length
        count, length = check_change(state, ends, pages, page_count, byte_length)
        if not pages and (count, length) == ends:
            return state.sequence
        return self._commit(Change.of(pages, count, length))

    def _commit(self, change: Change) -> int:
        """Commit a change that was checked; the caller has the lock."""
        self._state.file.check()
        self.checkpoint_if_due()
        return commit(self._state, change)

    def _commit_group(self, group: Group) -> None:
        """Commit, so that every request of the group is done; the caller has the lock."""
        if not group.requests:
            return
        file = self._state.file
        try:
            sequence = self._commit(group.change())
            for request in group.requests:
                request.finish(sequence)
        except KeystoreError as error:
            first, *others = group.requests
            if others and file.poison is None:  # nothing changed: each for itself, to see whose fault it was
                for request in group.requests:
                    try:
                        request.finish(self._commit_alone(request.pages, request.page_count, request.byte_length))
                    except KeystoreError as refusal:
                        request.finish(refusal)
                return
            first.finish(error)
            for request in others:
                request.finish(file.unknown())
        except BaseException:
            if len(group.requests) > 1:
                file.poison = file.poison or "a commit of several threads was cut off"
            raise

    def cut(self, page_count: int, byte_length: int, last: Mapping[int, Buffer | None]) -> int:
        """Make the store shorter in as many commits as it takes; see `PageStore.cut`."""
        while True:
            with self._life.lock:
                self._life.check_writable()
                self.checkpoint_now()
                point = self._state.pages.cut_point(page_count, CUT_PAGES_MAX)
                if point <= page_count:
                    return self.commit(last, page_count=page_count, byte_length=byte_length)
                self.commit(page_count=point)

    def adopt(self, sessions: Sequence[SessionRecord], batch: Batch) -> int:
        """Commit pages sealed in another store; see `PageStore.adopt`."""
        with self._life.lock:
            self._life.check_writable()
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
                    self._state.name, "page", None, f"it names session {error}, which is unknown"
                ) from None
            except UnreadableError as error:
                number = int(batch.page_nos[error.index])
                raise StoreDamagedError(self._state.name, "page", number, "its tag does not match") from None
            plain[:] = bytes(len(plain))
            self.checkpoint_if_due()
            end = max(state.page_count, int(batch.page_nos.max(initial=0)) + 1)
            change = Change([], [], [], end, state.byte_length)
            return adopt(state, change, list(known.values()), entries, batch.ciphertext)

    def checkpoint(self) -> None:
        """Fold the commits since the last checkpoint into the map; see `PageStore.checkpoint`."""
        with self._life.lock:
            self._life.check()
            self.checkpoint_now()

    def checkpoint_if_due(self) -> None:
        """Checkpoint if a limit was reached; the caller has the lock."""
        state, slots = self._state, self._state.space.slots
        if (
            state.records >= CHECKPOINT_RECORDS
            or state.record_bytes >= CHECKPOINT_RECORD_BYTES
            or len(state.pages.recent) >= CHECKPOINT_PAGES
            or (
                slots.killed_count * state.page_size >= CHECKPOINT_DEAD_BYTES
                and slots.killed_count * 8 >= slots.slot_count
            )
        ):
            self.checkpoint_now()

    def checkpoint_now(self) -> None:
        """Checkpoint if there is anything to fold; the caller has the lock."""
        state = self._state
        if state.records:
            self._life.check_writable()
            write_checkpoint(state, state.checkpoint_session())
