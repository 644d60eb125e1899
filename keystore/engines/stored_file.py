"""The open files of a file system on a node, by what they are open for.

Invariants:
1. A file that is written anew is a store of its own, which nobody knows before `close`; that puts it in the place of
   its name in one step. So a crash, an error in a `with` block, or a file that was never closed leaves the former
   content whole.
2. A file that is changed in place has one writer. Each of its flushes is one atomic commit, as of every
   `EncryptedFile`.
3. Who reads a file keeps the store that he opened, also when another takes its name; he sees changes in place as they
   are committed.
"""

import os
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, NoReturn

from keystore.errors import FileModeError, FileTakenError, KeystoreError, NameTakenError
from keystore.node.replacing import Replacement
from keystore.pages.file import EncryptedFile
from keystore.pages.store import PageStore

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

LINE_BYTES = 4096
"""Bytes that are looked at for the end of a line."""


class ReadFile(EncryptedFile):
    """A file that is open for reading, by one thread or several; `lent` ends the use of its store.

    A thread that seeks reads from there on, whatever others do meanwhile: DuckDB's threads share a file and take turns
    with `seek` and `read` without a lock. One that never sought goes on where any thread read last, as with any file.
    """

    def __init__(self, store: PageStore, lent: ExitStack) -> None:
        super().__init__(store)
        self._lent, self._own, self._round = lent, threading.local(), 0

    def tell(self) -> int:
        self._check()
        return self._start()[0]

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        if whence == os.SEEK_CUR:
            offset, whence = offset + self.tell(), os.SEEK_SET
        to = super().seek(offset, whence)
        self._own.place = (self._round, to)
        return to

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        self._check()
        view = memoryview(buffer).cast("B")
        start, own = self._start()
        size = self._read_at(start, view)
        self._move(start + size, own=own)
        return size

    def readline(self, size: int | None = -1, /) -> bytes:
        """Return the rest of the line, as much as `size` of it."""
        self._check()
        line, most = bytearray(), sys.maxsize if size is None or size < 0 else size
        start, own = self._start()
        while len(line) < most:
            piece = bytearray(min(LINE_BYTES, most - len(line)))
            count = self._read_at(start + len(line), memoryview(piece))
            end = piece.find(b"\n", 0, count) + 1
            line += piece[: end or count]
            if end or count < len(piece):
                break
        self._move(start + len(line), own=own)
        return bytes(line)

    def _start(self) -> tuple[int, bool]:
        """Return where this thread reads next, and whether it sought."""
        turn, place = getattr(self._own, "place", (-1, 0))
        return (place, True) if turn == self._round else (self._position, False)

    def _move(self, to: int, *, own: bool) -> None:
        self._position = to
        if own:
            self._own.place = (self._round, to)
        else:
            self._round += 1  # a thread went on where another had stopped: they pass the file on to each other

    def writable(self) -> bool:
        return False

    def write(self, data: "ReadableBuffer", /) -> NoReturn:
        self._refuse()

    def truncate(self, size: int | None = None, /) -> NoReturn:
        self._refuse()

    def close(self) -> None:
        try:
            super().close()
        finally:
            self._lent.close()

    def _refuse(self) -> NoReturn:
        raise FileModeError(f"file {self.name} is open for reading. Nothing was changed; open it for writing.")


class ChangedFile(EncryptedFile):
    """A file that is changed in place. Closing it closes its store, which belongs to it."""

    def close(self) -> None:
        if self.closed:
            return
        try:
            super().close()
        finally:
            self._store.close()

    def commit(self) -> None:
        """Be part of a transaction of `fsspec`: what was flushed is durable already."""

    def discard(self) -> None:
        """Be part of a transaction of `fsspec`: what was not flushed is gone."""
        self.abandon()


class NewFile(EncryptedFile):
    """A file that is written anew, and takes the place of its name when it is closed.

    Args:
        replacement: has the store; it is this file's to end.
        filling: ends the making of the store.
        replace: whether there may be a file of that name then.
        at_once: whether it comes into its place when it is closed, and not when it is told to `commit`.
    """

    def __init__(
        self, store: PageStore, name: str, replacement: Replacement, filling: ExitStack, *, replace: bool, at_once: bool
    ) -> None:
        super().__init__(store)
        self._path, self._replacement, self._filling, self._replace = name, replacement, filling, replace
        self._at_once, self._good = at_once, True

    @property
    def name(self) -> str:
        return self._path

    def close(self) -> None:
        """Put the file into its place; durable on return. After an error what had the name is as it was.

        Raises:
            FileTakenError: something has the name that the file was to be the first of.
            StoreLockedError: what has the name is being changed in place.
            StoreFullError, StoreIOError, CommitUnknownError, KeyFileWriteError: as `PageStore.commit` and
            `Replacement.put_in_place`.
        """
        if self.closed:
            return
        ended: Callable[[], None] = self._replacement.close
        try:
            super().close()
            self._filling.close()
            if self._good and not self._at_once:
                ended = _nothing  # `commit` or `discard` comes
            elif self._good:
                self._put_in_place()
        finally:
            self._filling.close()
            ended()

    def commit(self) -> None:
        """Put the file into its place where `close` was not to do that; errors as `close`."""
        self.close()
        try:
            self._put_in_place()
        finally:
            self._replacement.close()

    def discard(self) -> None:
        """Forget the file; what has its name stays as it is."""
        self._good = False
        if not self.closed:
            self._forget()
            self.close()
        self._replacement.close()

    def _put_in_place(self) -> None:
        try:
            self._replacement.put_in_place(replace=self._replace)
        except NameTakenError as error:
            raise FileTakenError(str(error)) from None

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self.close()
        else:
            self.discard()

    def __del__(self) -> None:
        if hasattr(self, "_good") and not self.closed:
            with suppress(KeystoreError):  # half a file must not take the place of a whole one
                self.discard()


def _nothing() -> None:
    """Do nothing."""
