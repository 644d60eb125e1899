"""Pages of one coming commit that are written before it: sealed, in slots that no state names, for their writer alone.

For a writer whose change is larger than its memory, or not known to come at all. What is staged becomes a commit as a
whole, by `publish`, or was never there: after `discard`, and after a crash, its slots are free.

Invariants:
1. Nothing that is staged is reached by a header, a record or a reader, before the record that publishes it.
2. What is staged under a former data key is sealed anew before it is published: generations never fall (F-24).
3. A page has one slot, which is written again where the page is; its nonce is fresh each time (F-8).

Leaves to others: that one writer at a time builds on the latest commit (the caller's).
"""

from collections.abc import Iterable

from keystore.errors import InputError, KeystoreError
from keystore.format import layout
from keystore.format.entry import entry_session, entry_slot
from keystore.pages.commit import COMMIT_PAGES_MAX, Change, check_change, commit, commit_staged
from keystore.pages.life import Life
from keystore.pages.protocols import Buffer
from keystore.pages.reader import Reader
from keystore.pages.scratch import BATCH_BYTES
from keystore.pages.sealing import seal_into
from keystore.pages.state import StoreState
from keystore.pages.writer import Writer


class Stage:
    """Made by `PageStore.stage`; used by one thread at a time, and again after `publish` and `discard`.

    Attributes:
        page_count: pages of the store with what is staged.
    """

    def __init__(self, state: StoreState, life: Life, reader: Reader, writer: Writer) -> None:
        self._state, self._life, self._reader, self._writer = state, life, reader, writer
        self._batch_pages = max(1, BATCH_BYTES // state.page_size)
        self._pending: dict[int, bytes] = {}
        """In clear, and newer than what is in `_entries`. LIMIT: `BATCH_BYTES`."""
        self._entries: dict[int, bytes] = {}
        self._begin()

    def _begin(self) -> None:
        state = self._state
        self.page_count = self._floor = state.page_count
        """`_floor` is the lowest end that there was: what the store has from there on is cut off."""
        self.changed = False

    def write(self, page_no: int, page: Buffer) -> None:
        """Stage a page, of `page_size` bytes; it may grow the store.

        Raises:
            PageRangeError, InputError: nothing changed. LIMIT: what one commit takes, 2^18 pages.
            StoreFullError, StoreIOError, StoreDamagedError: this page may or may not be staged; all others are.
        """
        state = self._state
        if type(page) is not bytes or len(page) != state.page_size or not 0 <= page_no < self.page_count:
            check_change(state, (self.page_count, 0), {page_no: page}, None, None)
        if (
            len(self._entries) + len(self._pending) >= COMMIT_PAGES_MAX
            and len({*self._entries, *self._pending, page_no}) > COMMIT_PAGES_MAX
        ):
            raise InputError(
                f"store {state.name}: more than {COMMIT_PAGES_MAX} pages in one commit, which is "
                f"{COMMIT_PAGES_MAX * state.page_size >> 20} MiB; nothing of it is committed. Change less at once"
            )
        self._pending[page_no] = bytes(page)
        self.page_count = max(self.page_count, page_no + 1)
        self.changed = True
        if len(self._pending) >= self._batch_pages:
            self._seal_pending()

    def cut(self, page_count: int) -> None:
        """Let the store end at `page_count`; what is beyond reads as zeros, should it grow again."""
        self.changed = self.changed or page_count != self.page_count
        self.page_count, self._floor = page_count, min(self._floor, page_count)
        for page_no in [number for number in self._pending if number >= page_count]:
            del self._pending[page_no]
        self._drop([number for number in self._entries if number >= page_count])

    def read(self, page_no: int) -> bytes | None:
        """Return a page as it is staged, zeros where it was cut off; None where it is as the store has it."""
        page = self._pending.get(page_no)
        if page is not None:
            return page
        entry = self._entries.get(page_no)
        if entry is not None:
            return self._reader.open(page_no, entry)
        return bytes(self._state.page_size) if page_no >= self._floor else None

    def publish(self, byte_length: int) -> int:
        """Commit all of it in one atomic step that is durable on return; return the sequence.

        It takes one sync up to 8 MiB of pages, and two beyond. Errors as `PageStore.commit`; what is staged stays so.
        """
        state = self._state
        with self._life.lock:
            self._life.check_writable()
            state.file.check()
            self._writer.checkpoint_if_due()
            pages: dict[int, Buffer | None] = {**self._holes(), **self._pending}
            check_change(state, (state.page_count, 0), pages, self.page_count, byte_length)
            if self._entries:
                self._renew()
                self._seal_pending()
            before = state.sequence
            try:
                if self._entries:
                    change = Change.of(self._holes(), self.page_count, byte_length)
                    return commit_staged(state, change, self._entries)
                return commit(state, Change.of(pages, self.page_count, byte_length))
            finally:
                if state.sequence != before:
                    # CRASH: also after a signal behind the commit: its slots are in use, and must not be given back or
                    # written again. There is no call before this, so no signal either.
                    entries, self._entries, self._pending = self._entries, {}, {}
                    state.stages -= 1 if entries else 0
                    self._begin()

    def discard(self) -> None:
        """Give up what is staged; the store is as it was. May be called at any time, also when the store is closed."""
        with self._life.lock:
            slots = [entry_slot(entry) for entry in self._entries.values()]
            if slots and not (self._life.closed or self._life.forked):
                self._state.space.slots.unstage(slots)
            self._state.stages -= 1 if slots else 0
            self._entries, self._pending = {}, {}
            self._begin()

    def _holes(self) -> dict[int, Buffer | None]:
        """Return the pages that were cut off and are within the store again."""
        gone = range(self._floor, min(self._state.page_count, self.page_count))
        return {number: None for number in gone if number not in self._entries and number not in self._pending}

    def _drop(self, page_nos: Iterable[int]) -> None:
        dropped = [self._entries.pop(number) for number in page_nos]
        if dropped:
            with self._life.lock:
                self._state.space.slots.unstage([entry_slot(entry) for entry in dropped])
                self._state.stages -= not self._entries

    def _seal_pending(self) -> None:
        """Seal what is pending into slots."""
        state, page_nos = self._state, sorted(self._pending)
        if not page_nos:
            return
        with self._life.lock:
            self._life.check_writable()
            fresh = [number for number in page_nos if number not in self._entries]
            taken = state.space.stage(len(fresh))
            places = dict(zip(fresh, taken, strict=True))
            slots = [places[no] if no in places else entry_slot(self._entries[no]) for no in page_nos]
            session = state.sessions.for_seals(len(page_nos))
            try:
                drawn, counter = session.draw(len(page_nos))
                pages = [self._pending[number] for number in page_nos]
                rows = seal_into(state, session, drawn, counter, page_nos, pages, slots, lambda _: None)
            except KeystoreError:
                state.space.slots.unstage(taken)
                raise
            state.stages += not self._entries
            row_bytes = layout.ENTRY_BYTES + 8
            for index, number in enumerate(page_nos):
                self._entries[number] = rows[index * row_bytes + 8 : (index + 1) * row_bytes]
            self._pending.clear()

    def _renew(self) -> None:
        """Make pending again what was sealed under a former data key."""
        state = self._state
        current = state.sessions.for_seals(2).record.generation
        former = [
            number
            for number, entry in self._entries.items()
            if state.sessions.record(entry_session(entry)).generation != current and number not in self._pending
        ]
        for number in former:
            self._pending[number] = self._reader.open(number, self._entries[number])
            if len(self._pending) >= self._batch_pages:
                self._seal_pending()
