"""Opens the pages of one store by their entries, in whatever way is fastest where it lies.

Where the kernel reads slots itself and the store is a real file, one call reads and opens; everywhere else pages are
read through the store's file and opened by the kernel (`keystore.pages.reading`). What comes out is the same.

Leaves to others: which entries are current, and what a page that does not open means.

Invariants:
1. The descriptor is not used once `close` returned. Where the file moves, the former one is not used once the move
   ended; what is begun by it is read through the file then.
2. A key is dropped here where it is wiped there: `forget` comes after the wipe, and a key that was wiped between its
   look-up and its admission is dropped again.
"""

import os
from threading import Lock, local

import numpy as np

from keystore.crypto.kernel import KERNEL, TAG_BYTES, TagMismatchError, open_page
from keystore.crypto.protocols import SlotFault, SlotReader, SlotReading
from keystore.errors import KeystoreError, WrongKeyError
from keystore.format import layout
from keystore.format.entry import (
    EntryArray,
    U64Array,
    encode_aad,
    entry_nonce,
    entry_session,
    entry_slot,
    entry_tag,
)
from keystore.pages.life import Life
from keystore.pages.reading import READ_BYTES, Places, UnreadableError, open_into, read_batch
from keystore.pages.state import StoreState

ADMISSIONS_MAX = 64
"""LIMIT: sessions looked up for one call; pages of more are opened through the store's file."""


class Opener:
    """Opens pages of one store; threads may share it.

    Its methods raise, besides what they say, WrongKeyError where a data key is missing, was destroyed or is another
    one, StoreClosedError where the store is closed meanwhile, and StoreIOError.
    """

    def __init__(self, state: StoreState, life: Life) -> None:
        self._state, self._life = state, life
        self._local = local()
        self._changing, self._closed = Lock(), False
        self._slots = self._reader()
        state.file.when_moved(self._reopen)

    @property
    def threads(self) -> int:
        """Over how many threads a large batch is divided, if nobody says otherwise."""
        return 1 if self._slots is None else self._slots.threads

    def page(self, page_no: int, entry: bytes) -> bytes:
        """Return one page, no hole.

        Raises:
            UnreadableError: it does not open.
        """
        slots = self._slots
        if slots is not None:
            try:
                found = slots.read_page(entry, page_no)
                if isinstance(found, bytes):
                    return found
                if self._admitted(found, entry):
                    found = slots.read_page(entry, page_no)
                    if isinstance(found, bytes):
                        return found
            except (ValueError, OSError) as error:
                if slots is self._slots:  # else the file has moved meanwhile
                    raise self._told(error) from error
        return self._page_portably(page_no, entry)

    def page_into(self, page_no: int, entry: bytes, out: memoryview) -> None:
        """As `page`, into `out`, of `page_size` bytes; they are zeros, or what they were, after an error."""
        slots = self._slots
        if slots is not None:
            try:
                found = slots.read_page_into(entry, page_no, out)
                if not found:
                    return
                if self._admitted(found, entry) and not slots.read_page_into(entry, page_no, out):
                    return
            except (ValueError, OSError) as error:
                if slots is self._slots:
                    raise self._told(error) from error
        out[:] = self._page_portably(page_no, entry)

    def pages_into(self, page_nos: U64Array, entries: EntryArray, out: memoryview, threads: int | None = None) -> None:
        """Open pages into `out`, of as many bytes, in their order; holes are zeros.

        Raises:
            UnreadableError: one does not open; of it and those after it `out` has no plaintext, or whole pages.
        """
        self.begin(page_nos, entries, out, threads or self.threads).finish()

    def begin(self, page_nos: U64Array, entries: EntryArray, out: memoryview, threads: int) -> "Opening":
        """Begin with `pages_into` on all threads but the caller's; `Opening.finish` does what is left.

        Raises:
            UnreadableError: a page names a session that is unknown; nothing was begun.
        """
        slots = self._slots
        reading = None if slots is None else self._begin_slots(slots, page_nos, entries, out, threads)
        return Opening(self, page_nos, entries, out, reading, slots)

    def forget(self) -> None:
        """Drop all keys; they are looked up anew."""
        slots = self._slots  # a file that moves may leave none meanwhile
        if slots is not None:
            slots.forget()

    def close(self) -> None:
        """Drop all keys, and wait for who uses the descriptor; later calls fail as on a closed file."""
        with self._changing:
            self._closed = True
            if self._slots is not None:
                self._slots.forget()
                self._slots.close()

    def after_fork_in_child(self) -> None:
        """Drop all keys; who used the descriptor at the fork is not there to be waited for."""
        self.forget()
        self._slots = None
        self._changing = Lock()

    def _reader(self) -> SlotReader | None:
        fd = self._state.file.descriptor()
        return None if fd is None else KERNEL.slot_reader(fd, self._state.page_size)

    def _reopen(self) -> None:
        """Read by the descriptor that the file has now, and wait for who uses the former one."""
        with self._changing:
            if self._closed:
                return
            former, self._slots = self._slots, self._reader()
            if former is not None:
                former.forget()
                former.close()

    def _begin_slots(
        self, slots: SlotReader, page_nos: U64Array, entries: EntryArray, out: memoryview, threads: int
    ) -> SlotReading | None:
        rows = np.ascontiguousarray(entries).view(np.uint8).reshape(-1, layout.ENTRY_BYTES)
        numbers = page_nos.astype("<u8", copy=False).view(np.uint8).reshape(-1, 8)
        try:
            for _ in range(ADMISSIONS_MAX + 1):
                begun = slots.begin(rows, numbers, out, threads)
                if not isinstance(begun, int):
                    return begun
                index = int(np.flatnonzero((entries["session"] == begun) & (entries["slot"] != 0))[0])
                self._admit(begun, index)
        except (ValueError, OSError) as error:
            if slots is self._slots:
                raise self._told(error) from error
        return None

    def _admitted(self, fault: int, entry: bytes) -> bool:
        """Admit the session of a page, if that was all that it lacked."""
        if fault != SlotFault.SESSION_UNKNOWN:
            raise UnreadableError(0, _why(fault, entry))
        self._admit(entry_session(entry), 0)
        return True

    def _admit(self, number: int, index: int) -> None:
        """Have pages of this session opened from now on; the page at `index` is the first that needs it."""
        try:
            session = self._state.sessions.get(number)
        except KeyError:
            raise UnreadableError(index, f"it names session {number}, which is unknown") from None
        slots = self._slots
        if slots is not None:
            slots.admit(number, session.page_key, session.page_aad)

    def _page_portably(self, page_no: int, entry: bytes) -> bytes:
        state, size = self._state, self._state.page_size
        sealed = bytearray(size + TAG_BYTES)
        sealed[size:] = entry_tag(entry)
        try:
            session = state.sessions.get(entry_session(entry))
            state.file.read(entry_slot(entry) * size, memoryview(sealed)[:size])
            aad = encode_aad(layout.TREE_PAGES, 0, session.record.origin, page_no)
            return open_page(session.page_key, entry_nonce(entry), sealed, aad)
        except KeyError:
            raise UnreadableError(0, f"it names session {entry_session(entry)}, which is unknown") from None
        except EOFError:
            raise UnreadableError(0, _why(SlotFault.FILE_ENDS, entry)) from None
        except TagMismatchError:
            raise UnreadableError(0, _why(SlotFault.TAG_MISMATCH, entry)) from None
        except (ValueError, KeystoreError) as error:
            raise self._told(error) from error

    def _portably(self, page_nos: U64Array, entries: EntryArray, out: memoryview) -> None:
        size = self._state.page_size
        step = max(1, READ_BYTES // size)
        for at in range(0, len(entries), step):
            part, target = slice(at, at + step), out[at * size : (at + step) * size]
            there = np.flatnonzero(entries["slot"][part])
            try:
                if len(there) * size == len(target):
                    self._open_step(page_nos[part], entries[part], target)
                else:
                    self._open_some(page_nos[part][there], entries[part][there], there, target)
            except UnreadableError as error:
                raise UnreadableError(at + int(there[error.index]), str(error), at) from None
            except (ValueError, KeystoreError) as error:
                raise self._told(error) from error

    def _open_step(self, page_nos: U64Array, entries: EntryArray, out: memoryview) -> None:
        """Open pages, none of them a hole, by a scratch of this thread that stays, as new memory is slow."""
        scratch: memoryview | None = getattr(self._local, "scratch", None)
        if scratch is None:
            scratch = self._local.scratch = memoryview(bytearray(max(READ_BYTES, self._state.page_size) + TAG_BYTES))
        batch = read_batch(self._state.file, self._state.page_size, page_nos, entries, scratch)
        open_into(self._state.sessions, self._state.page_size, batch, out, lent=scratch[: len(out) + TAG_BYTES])

    def _open_some(self, page_nos: U64Array, entries: EntryArray, places: Places, out: memoryview) -> None:
        """Open pages to their places in `out`; the others are holes, and zeros."""
        size = self._state.page_size
        plain = bytearray(len(entries) * size)
        self._open_step(page_nos, entries, memoryview(plain))
        rows = np.frombuffer(out, dtype=np.uint8).reshape(-1, size)
        rows[:] = 0
        rows[places] = np.frombuffer(plain, dtype=np.uint8).reshape(-1, size)
        plain[:] = bytes(len(plain))

    def _told(self, error: Exception) -> KeystoreError:
        """Return what a failed call means: the store is closed, or a key was wiped, or the disk failed."""
        self._life.check()
        if isinstance(error, KeystoreError):
            return error
        if isinstance(error, OSError):
            refused = OSError(error.errno, os.strerror(error.errno or 0))
            return self._state.file.reading_failed(refused, "pages")
        return WrongKeyError(f"store {self._state.name}: the data key of this page was destroyed")


class Opening:
    """Pages being opened."""

    def __init__(
        self,
        opener: Opener,
        page_nos: U64Array,
        entries: EntryArray,
        out: memoryview,
        reading: SlotReading | None,
        slots: SlotReader | None,
    ) -> None:
        self._opener, self._page_nos, self._entries, self._out = opener, page_nos, entries, out
        self._reading, self._slots = reading, slots

    def finish(self) -> None:
        """Open what is not yet, and wait for the rest; errors as `Opener.pages_into`."""
        if self._reading is None:
            self._opener._portably(self._page_nos, self._entries, self._out)
            return
        try:
            found = self._reading.finish()
        except (ValueError, OSError) as error:
            if self._slots is self._opener._slots:
                raise self._opener._told(error) from error
            self._opener._portably(self._page_nos, self._entries, self._out)  # the file has moved meanwhile
            return
        if found is not None:
            index, fault, opened = found
            raise UnreadableError(index, _why(fault, self._entries[index].tobytes()), opened)

    def stop(self) -> None:
        """Begin no more, and wait: nothing is written to `out` any more."""
        if self._reading is not None:
            self._reading.stop()


def _why(fault: int, entry: bytes) -> str:
    if fault == SlotFault.FILE_ENDS:
        return "the file ends before its slot"
    return f"the tag of slot {entry_slot(entry)} does not match"
