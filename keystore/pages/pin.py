"""A pinned state of a store: kept whole, and readable as it stands on the disk, while the store goes on."""

from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Self

import numpy as np

from keystore.errors import StoreDamagedError
from keystore.format import layout
from keystore.format.entry import EntryArray, U64Array, rows_from_bytes
from keystore.format.record import SessionRecord
from keystore.pages.checked import Checker
from keystore.pages.life import Life
from keystore.pages.pagemap import PageMap
from keystore.pages.reading import Batch, UnreadableError, read_batch
from keystore.pages.state import StoreState


def unpin(state: StoreState, life: Life) -> None:
    """Give one pin of a store up; with the last one the slots that pins kept may be used again."""
    with life.lock:
        state.pins -= 1
        state.space.slots.release(state.held_since())


class Pin:
    """Made by `PageStore.pin`; a context manager. Slots it reaches are not used again before it is released."""

    def __init__(self, state: StoreState, life: Life, release: Callable[[], None]) -> None:
        """Pin `state`, right after a checkpoint; `release` gives its slots back."""
        self._file, self._pages, self._keys = state.file, PageMap(state.pages.tree), state.sessions
        self._life, self._release = life, release
        self._checker = Checker(state.page_size)
        self._sessions = [record for record, _ in state.sessions.rows()]
        self.store_name, self.store_id, self.page_size = state.name, state.store_id, state.page_size
        self.page_count, self.byte_length = state.page_count, state.byte_length
        self.sequence, self.last_tag, self.time_ns = state.sequence, state.last_tag, state.time_ns

    @property
    def root(self) -> bytes:
        """The entry that the page map begins with: of a node of level `height`, or of the only page; or a hole."""
        return self._pages.tree.root

    @property
    def height(self) -> int:
        return self._pages.tree.height

    def children(self, level: int, number: int, entry: bytes) -> EntryArray:
        """Return the entries in a node of the page map, holes too; errors as `sealed`."""
        self._life.check()
        with self._life.unless_closed():
            return rows_from_bytes(
                self._pages.tree.blocks.read(layout.TREE_PAGES, level, number, entry), layout.TREE_PAGES
            )

    def sessions(self) -> list[SessionRecord]:
        """Return the sessions that its pages name."""
        return list(self._sessions)

    def sealed(self, pages_per_batch: int = 256) -> Iterator[Batch]:
        """Yield all pages that are not holes, ascending, as ciphertext. Each was opened before, to see that it can be.

        Raises:
            StoreDamagedError: a page or a node of the map is damaged; the batch that it belongs to is not yielded.
            StoreClosedError: the store was closed meanwhile.
        """
        for page_nos, entries in self.leaves():
            for at in range(0, len(page_nos), pages_per_batch):
                yield self.read(page_nos[at : at + pages_per_batch], entries[at : at + pages_per_batch])

    def leaves(self) -> Iterator[tuple[U64Array, EntryArray]]:
        """Yield numbers and entries of all pages that are not holes, ascending; no page is read. Errors as `sealed`."""
        leaves = self._pages.batches(self.page_count)
        while True:
            self._life.check()
            with self._life.unless_closed():
                leaf = next(leaves, None)
            if leaf is None:
                return
            yield leaf

    def read(self, page_nos: U64Array, entries: EntryArray, buffer: memoryview | None = None) -> Batch:
        """Return pages as ciphertext, in `buffer` where one is given, each opened before; errors as `sealed`."""
        self._life.check()
        try:
            with self._life.unless_closed():
                batch = read_batch(self._file, self.page_size, page_nos, np.ascontiguousarray(entries), buffer)
                self._checker.check(self._keys, batch)
                return batch
        except UnreadableError as error:
            self._life.check()
            raise StoreDamagedError(self.store_name, "page", int(page_nos[error.index]), str(error)) from None

    def release(self) -> None:
        """Let the store use the slots again; may be called twice."""
        release, self._release = self._release, lambda: None
        release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        self.release()
