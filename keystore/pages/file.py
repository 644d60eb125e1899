"""An ordinary random-access binary file on a page store.

    with EncryptedFile(store) as file:
        file.write(b"...")
        file.seek(0)

Bytes never written read as zeros and take no space (holes). What was written is durable after `flush`, each flush one
atomic commit; between two flushes a crash keeps the state of the former, unless more than `DIRTY_BYTES_MAX` were
written in between, which are then committed as they come.

Leaves to others: several writers on one file. One object at a time writes; the store guards its own threads.
"""

import io
import os
from typing import TYPE_CHECKING

from keystore.errors import InputError
from keystore.pages.store import PageStore

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

DIRTY_BYTES_MAX = 4 << 20
"""LIMIT: written bytes held in memory before they are committed."""


class EncryptedFile(io.RawIOBase):
    """A binary file of `store.byte_length` bytes on `store`. Closing it flushes it; the store stays open."""

    def __init__(self, store: PageStore) -> None:
        super().__init__()
        self._store = store
        self._position = 0
        self._length = store.byte_length
        self._dirty: dict[int, bytearray] = {}

    @property
    def name(self) -> str:
        return self._store.name

    @property
    def size(self) -> int:
        """Bytes of the file, with what is not flushed yet."""
        return self._length

    def readable(self) -> bool:
        self._check()
        return True

    def writable(self) -> bool:
        self._check()
        return True

    def seekable(self) -> bool:
        self._check()
        return True

    def tell(self) -> int:
        self._check()
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Move the position; it may lie beyond the end."""
        self._check()
        starts = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._length}
        if whence not in starts or starts[whence] + offset < 0:
            raise InputError(f"file {self.name}: cannot seek to {offset} (whence {whence}); the position is unchanged")
        self._position = starts[whence] + offset
        return self._position

    # -- reading ------------------------------------------------------------------------------------------------------

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        """Fill `buffer` from the position, as far as the file goes; return bytes read. Errors as `PageStore.read`."""
        self._check()
        size = self._read_at(self._position, memoryview(buffer).cast("B"))
        self._position += size
        return size

    def _read_at(self, start: int, view: memoryview) -> int:
        """Fill `view` with what stands from `start` on, as far as the file goes; return bytes read."""
        page_size, size = self._store.page_size, max(0, min(len(view), self._length - start))
        first, last = start // page_size, -(-(start + size) // page_size)
        step = max(1, (1 << 20) // page_size)
        for at in range(first, last, step):
            numbers = range(at, min(at + step, last))
            for page_no, page in zip(numbers, self._pages(numbers), strict=True):
                begin, end = max(start, page_no * page_size), min(start + size, (page_no + 1) * page_size)
                within = slice(begin - page_no * page_size, end - page_no * page_size)
                view[begin - start : end - start] = memoryview(page)[within]
        return size

    def _pages(self, numbers: range) -> list[bytes | bytearray]:
        clean = [page_no for page_no in numbers if page_no not in self._dirty and page_no < self._store.page_count]
        stored = [self._store.read(clean[0])] if len(clean) == 1 else self._store.read_many(clean)
        pages: dict[int, bytes | bytearray] = dict(zip(clean, stored, strict=True))
        zeros = bytes(self._store.page_size)
        return [self._dirty.get(page_no) or pages.get(page_no, zeros) for page_no in numbers]

    # -- writing ------------------------------------------------------------------------------------------------------

    def write(self, data: "ReadableBuffer", /) -> int:
        """Write all of `data` at the position; a gap behind the old end is a hole. Errors as `PageStore.commit`."""
        self._check()
        view = memoryview(data).cast("B")
        page_size, done = self._store.page_size, 0
        while done < len(view):
            page_no, within = divmod(self._position, page_size)
            count = min(page_size - within, len(view) - done)
            page = self._page_to_change(page_no, whole=count == page_size)
            page[within : within + count] = view[done : done + count]
            self._position += count
            self._length = max(self._length, self._position)
            done += count
            if len(self._dirty) * page_size >= DIRTY_BYTES_MAX:
                self.flush()
        return done

    def _page_to_change(self, page_no: int, *, whole: bool) -> bytearray:
        page = self._dirty.get(page_no)
        if page is None:
            known = not whole and page_no < self._store.page_count
            page = bytearray(self._store.read(page_no) if known else self._store.page_size)
            self._dirty[page_no] = page
        return page

    def truncate(self, size: int | None = None, /) -> int:
        """Cut or lengthen the file to `size` (default: the position), durably; the position stays."""
        self._check()
        size = self._position if size is None else size
        if size < 0:
            raise InputError(f"file {self.name}: a length of {size}; nothing was changed")
        self.flush()
        page_size = self._store.page_size
        tail: dict[int, bytes] = {}
        if size < self._length and size % page_size:
            page = self._store.read(size // page_size)
            tail = {size // page_size: page[: size % page_size].ljust(page_size, b"\0")}
        count = -(-size // page_size)
        if count < self._store.page_count:
            self._store.cut(count, byte_length=size, last=tail)
        else:
            self._store.commit(tail, page_count=count, byte_length=size)
        self._length = size
        return size

    def flush(self) -> None:
        """Make everything written durable in one commit. After an error what was not committed is kept for a retry."""
        if self.closed:
            return
        if self._dirty:
            count = max(self._store.page_count, -(-self._length // self._store.page_size))
            self._length = max(self._length, self._store.byte_length)
            self._store.commit(self._dirty, page_count=count, byte_length=self._length)
            self._forget()

    def abandon(self) -> None:
        """Close without a commit: what was written since the last flush is gone."""
        self._forget()
        self._length = self._store.byte_length
        self.close()

    def close(self) -> None:
        """Flush and close; the file is closed even when the flush fails."""
        if self.closed:
            return
        try:
            self.flush()
        finally:
            self._forget()
            super().close()

    def _forget(self) -> None:
        for page in self._dirty.values():
            page[:] = bytes(len(page))
        self._dirty.clear()

    def _check(self) -> None:
        if self.closed:
            raise ValueError("I/O operation on closed file")
