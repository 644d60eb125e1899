"""Finds room in the file: takes slots, and grows the file when there are none (F-6).

Invariant: growth is synced on its own before a slot of it is used, so a commit never depends on the file's length.
"""

from keystore.errors import StoreFullError
from keystore.pages.guarded import GuardedFile
from keystore.pages.slots import SlotMap

GROW_BYTES_MIN = 1 << 20
GROW_BYTES_MAX = 64 << 20
"""LIMIT: one step of growth is an eighth of the file, between these two."""
GROW_WRITTEN_BYTES = 128 << 10
"""LIMIT: bytes of a commit up to which the file grows by `GROW_BYTES_MIN`, written with zeros: a small commit then
syncs its own bytes and no table of the file system (docs/adr/0025-small-commits.md). A larger one would lose more by
writing twice than by that."""
RESERVE_SLOTS = 64
"""LIMIT: slots kept free beyond what the coming checkpoint needs: places of records, and the blocks of the slot map
that change while slots are taken for it."""


class Space:
    """Room for one store."""

    def __init__(self, name: str, file: GuardedFile, page_size: int, slots: SlotMap) -> None:
        self._name, self._file, self._page_size, self.slots = name, file, page_size, slots
        self.reserve = RESERVE_SLOTS
        self.reserved_for: tuple[int, ...] = ()
        """What `reserve` was reckoned from."""

    def take(self, count: int) -> list[int]:
        """Take `count` slots and leave the reserve free.

        Raises:
            StoreFullError: the device has no space for them; nothing was taken.
        """
        return self._take(count, self.reserve)

    def take_for_checkpoint(self, count: int) -> list[int]:
        """Take `count` slots; the reserve is for this."""
        return self._take(count, 0)

    def stage(self, count: int) -> list[int]:
        """As `take`, for pages that no commit names yet (`SlotMap.stage`)."""
        self._require(count, self.reserve)
        return self._taken(self.slots.stage(count), count)

    def _take(self, count: int, reserve: int) -> list[int]:
        self._require(count, reserve)
        return self._taken(self.slots.take(count), count)

    def _require(self, count: int, reserve: int) -> None:
        missing = count + reserve - self.slots.free_count
        if missing > 0:
            self._grow(missing, written=count * self._page_size <= GROW_WRITTEN_BYTES)

    def _taken(self, taken: list[int] | None, count: int) -> list[int]:
        if taken is None or len(taken) < count:
            raise StoreFullError(f"store {self._name}: no room for {count} pages; nothing was changed. Open it again")
        return taken

    def make_room(self, count: int) -> None:
        """Grow the file at once to what `count` more slots need; errors as `take`."""
        missing = count + self.reserve - self.slots.free_count
        if missing > 0:
            self._grow(missing)

    def take_adjacent(self, count: int) -> list[int]:
        """Take `count` neighbours from newly grown file."""
        before = self.slots.slot_count
        self._grow(count + self.reserve)
        self.slots.search_from(before)
        ceiling, self.slots.ceiling = self.slots.ceiling, None
        try:
            return self.take(count)
        finally:
            self.slots.ceiling = ceiling

    def _grow(self, missing: int, *, written: bool = False) -> None:
        size = self._file.size()
        step = GROW_BYTES_MIN if written else min(max(size // 8, GROW_BYTES_MIN), GROW_BYTES_MAX)
        wanted = max(missing, -(-step // self._page_size))
        now = size // self._page_size
        try:
            self._file.extend((now + wanted) * self._page_size, written=written)
        except StoreFullError:
            wanted = missing
            self._file.extend((now + missing) * self._page_size, written=written)
        self._file.sync()
        self.slots.resize(now + wanted)
