"""Opens pages in batches: adjacent slots in one read, one call of the kernel for each run of pages of one session."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from keystore.crypto.kernel import KERNEL, TAG_BYTES, TagMismatchError
from keystore.errors import InputError
from keystore.format import layout
from keystore.format.entry import EntryArray, U64Array, encode_aads
from keystore.pages.guarded import GuardedFile
from keystore.pages.sessions import Session, SessionTable

READ_BYTES = 1 << 20
"""Bytes of pages opened in one step."""

Places: TypeAlias = npt.NDArray[np.intp]
"""Places within a batch, ascending."""


class UnreadableError(Exception):
    """A page could not be opened; `index` is its place in the batch, the text says why.

    Where the caller gave the buffer, it has the first `opened` pages of the batch.
    """

    def __init__(self, index: int, found: str, opened: int = 0) -> None:
        self.index, self.opened = index, opened
        super().__init__(found)


@dataclass(frozen=True)
class Batch:
    """Pages as they stand in the file, in the order of `page_nos`; `entries` is an array of `entry.ENTRY`."""

    page_nos: U64Array
    entries: EntryArray
    ciphertext: memoryview


def room_of(buffer: bytearray | memoryview) -> memoryview:
    """Return a caller's buffer as bytes that can be written.

    Raises:
        InputError: it is read-only, or not in one piece.
    """
    view = memoryview(buffer)
    if view.readonly or not view.c_contiguous:
        found = "is read-only" if view.readonly else "is not in one piece"
        raise InputError(f"the buffer to read into {found}; nothing was read")
    return view.cast("B")


def read_batch(
    file: GuardedFile, page_size: int, page_nos: U64Array, entries: EntryArray, buffer: memoryview | None = None
) -> Batch:
    """Read the pages from their slots, into the first bytes of `buffer` where one is given.

    Raises:
        UnreadableError: the file ends before the end of a slot.
    """
    length = len(entries) * page_size
    ciphertext = memoryview(bytearray(length)) if buffer is None else buffer[:length]
    slots = entries["slot"].astype(np.int64)
    order = np.argsort(slots, kind="stable")
    in_order = bool(np.all(order == np.arange(len(order))))
    breaks = np.flatnonzero(np.diff(slots[order]) != 1) + 1
    for run in np.split(order, breaks) if len(order) else ():
        first, length, indexes = int(run[0]), len(run) * page_size, run.tolist()
        offset = int(entries["slot"][first]) * page_size
        if in_order:
            _read(file, page_size, offset, ciphertext[first * page_size : first * page_size + length], indexes)
            continue
        part = memoryview(bytearray(length))
        _read(file, page_size, offset, part, indexes)
        for at, index in enumerate(indexes):
            ciphertext[index * page_size : (index + 1) * page_size] = part[at * page_size : (at + 1) * page_size]
    return Batch(page_nos, entries, ciphertext)


def _read(file: GuardedFile, page_size: int, offset: int, buffer: memoryview, indexes: list[int]) -> None:
    """Read the adjacent slots of the pages at `indexes`: at once, and one by one where the file ends among them."""
    try:
        file.read(offset, buffer)
        return
    except EOFError:
        pass
    for at, index in enumerate(indexes):
        start = at * page_size
        try:
            file.read(offset + start, buffer[start : start + page_size])
        except EOFError:
            raise UnreadableError(index, "the file ends before its slot") from None


def open_batch(sessions: SessionTable, page_size: int, batch: Batch) -> bytearray:
    """Open the pages of a batch; the result has them in the batch's order. The caller wipes it where that matters.

    Raises: as `open_into`; nothing is returned.
    """
    out = bytearray(len(batch.entries) * page_size)
    open_into(sessions, page_size, batch, memoryview(out))
    return out


def open_into(
    sessions: SessionTable, page_size: int, batch: Batch, out: memoryview, *, lent: memoryview | None = None
) -> None:
    """Open the pages of a batch into `out`, of as many bytes, in the batch's order; after an error it is zeros.

    `lent` begins with the batch's ciphertext, has 16 bytes more, and is lent as `PageKernel.open_pages` says.

    Raises:
        UnreadableError: with the first page that did not open.
        WrongKeyError: the data key of a session is missing or another one.
    """
    try:
        for session, start, stop in session_runs(sessions, batch):
            open_run(session, page_size, batch, start, stop, out[start * page_size : stop * page_size], lent=lent)
    except BaseException:
        out[:] = bytes(len(out))
        raise


def session_runs(sessions: SessionTable, batch: Batch) -> Iterator[tuple[Session, int, int]]:
    """Yield ``(session, start, stop)`` of each run of pages of one session, in the batch's order.

    Raises:
        UnreadableError: a page names a session that is unknown.
        WrongKeyError: the data key of a session is missing or another one.
    """
    numbers = batch.entries["session"]
    for start, stop in pairwise([0, *(np.flatnonzero(np.diff(numbers)) + 1).tolist(), len(numbers)]):
        if start < stop:
            number = int(numbers[start])
            try:
                session = sessions.get(number)
            except KeyError:
                raise UnreadableError(start, f"it names session {number}, which is unknown") from None
            yield session, start, stop


def open_run(
    session: Session,
    page_size: int,
    batch: Batch,
    start: int,
    stop: int,
    out: memoryview,
    *,
    lent: memoryview | None = None,
) -> None:
    """Open the pages from `start` to `stop`, all of one session, into `out`; `lent` as there.

    Where `out` has room for fewer, as many at a time as it has room for, each time over those before.

    Raises:
        UnreadableError: with the first page that did not open.
    """
    entries = batch.entries[start:stop]
    aads = encode_aads(layout.TREE_PAGES, 0, session.record.origin, batch.page_nos[start:stop])
    nonces, tags = np.ascontiguousarray(entries["nonce"]), np.ascontiguousarray(entries["tag"])
    whole, spare = (batch.ciphertext, 0) if lent is None else (lent, TAG_BYTES)
    room = len(out) // page_size
    for at in range(0, stop - start, room):
        end = min(at + room, stop - start)
        part, target = slice(at, end), out[: (end - at) * page_size]
        source = whole[(start + at) * page_size : (start + end) * page_size + spare]
        try:
            KERNEL.open_pages(
                session.page_key, source, page_size, nonces[part], aads[part], tags[part], target, lent=spare > 0
            )
        except TagMismatchError as error:
            found = f"the tag of slot {entries['slot'][at + error.index]} does not match"
            raise UnreadableError(start + at + error.index, found) from None
