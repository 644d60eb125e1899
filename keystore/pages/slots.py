"""Which slots are in use, which are held back, and which are free (F-17).

Leaves to others: reading blocks of the slot map and counting in those not read (`slot_index`), and growing the file.

Invariants:
1. `used` is exactly what the next header will reach: pages, nodes, session table, slot map, places of coming records.
2. A slot that was killed stays held until two more headers are durable, and while a pin or a read point may reach it;
   then it is free.
3. `begin` and `rollback` bracket a change: after a rollback every bit is as it was.
4. A staged slot is nobody else's, and no header says that it is used, until a commit enters it.
"""

from collections.abc import Collection, Sequence
from enum import Enum, auto

from keystore.format import layout
from keystore.pages import slot_bits
from keystore.pages.slot_index import SlotIndex

Bits = dict[int, bytearray]
"""Bitmaps of one kind, by block of the slot map; a block that is absent has no bit set."""

SEARCH_BYTES = 512
"""How much of a bitmap one step of a search looks at: 4096 slots."""


class _Act(Enum):
    """What was done to slots, for `rollback`."""

    TAKEN = auto()
    KILLED = auto()
    ENTERED = auto()


class SlotMap:
    """The slots of one store, as of its latest commit."""

    def __init__(self, page_size: int, slot_count: int, used_count: int, index: SlotIndex) -> None:
        self._page_size = page_size
        self._per_block = layout.slots_per_block(page_size)
        self._index = index
        self._used: Bits = {}
        self._busy: Bits = {}
        self._busy_in: dict[int, int] = {}
        """Busy slots of each block that was loaded; in the others busy is what the index says is used."""
        self._held: list[Bits] = [{}, {}]
        self._pinned: list[tuple[int, Bits]] = []
        """What no header reaches, by the last period in which some of it was killed; see `header_durable`."""
        self._cursor = self._first = layout.first_slot(page_size)
        self._run_end = 0
        """Slots from the cursor to here are free."""
        self._undo: list[tuple[_Act, tuple[int, ...]]] | None = None
        self.slot_count = slot_count
        self.used_count = used_count
        self.busy_count = used_count
        self.dirty: set[int] = set()
        self.killed_count = 0
        """Slots that were killed since the last header."""
        self.ceiling: int | None = None
        """While the end of the file is being emptied: slots from here on are taken last."""

    @property
    def free_count(self) -> int:
        """Slots that could be taken now without growing the file."""
        return self.slot_count - self._first - self.busy_count

    @property
    def is_loaded(self) -> bool:
        """Whether all blocks of the map are in memory, so that no change has to read any."""
        return len(self._used) == layout.slot_blocks(self.slot_count, self._page_size)

    @property
    def end(self) -> int:
        """The slot after the last one that is in use or held."""
        for block in range(layout.slot_blocks(self.slot_count, self._page_size) - 1, -1, -1):
            if block in self._busy_in or self._index.used(block):
                self._block(block)
                last = slot_bits.last_set(self._busy[block])
                if last >= 0:
                    return block * self._per_block + last + 1
        return self._first

    # -- changes ------------------------------------------------------------------------------------------------------

    def take(self, count: int) -> list[int] | None:
        """Take `count` free slots, adjacent where possible, or None (and nothing taken) if there are not as many."""
        taken = self._choose(count)
        if taken is not None:
            self._mark(taken)
        return taken

    def stage(self, count: int) -> list[int] | None:
        """As `take`, for pages that no commit names yet; not a part of the change that `begin` began."""
        taken = self._choose(count)
        if taken is not None:
            self._keep_busy(taken)
        return taken

    def enter(self, slots: Sequence[int]) -> None:
        """Let staged slots be in use, because the coming commit names them."""
        for block, first, part in self._by_block(slots):
            slot_bits.set_bits(self._block(block), part, first)
            self.dirty.add(block)
        self.used_count += len(slots)
        self._note(_Act.ENTERED, slots)

    def unstage(self, slots: Sequence[int]) -> None:
        """Give staged slots back, which no commit will name."""
        self._give_back(slots)

    def _choose(self, count: int) -> list[int] | None:
        if count > self.free_count:
            return None
        low = self.slot_count if self.ceiling is None else min(self.ceiling, self.slot_count)
        if self._cursor + count <= min(self._run_end, low):
            taken = list(range(self._cursor, self._cursor + count))
        else:
            self._run_end = 0
            taken = self._find(self._cursor, low, count)
            taken += self._find(self._first, min(self._cursor, low), count - len(taken))
            taken += self._find(low, self.slot_count, count - len(taken))
        self._cursor = taken[-1] + 1 if taken else self._cursor
        return taken

    def mark(self, slots: Sequence[int]) -> None:
        """Set the bits of `slots`, which must be free: they are in use from now on."""
        self._run_end = 0
        self._mark(slots)

    def untake(self, slots: list[int]) -> None:
        """Give back the slots of the latest `take`, which nothing names yet."""
        if self._undo is None or self._undo.pop() != (_Act.TAKEN, tuple(slots)):
            raise AssertionError("only the latest take can be given back")
        self._clear(slots)

    def kill(self, slots: Sequence[int]) -> None:
        """Note that nothing of the coming state names `slots` any more; they are held, not free."""
        for block, first, part in self._by_block(slots):
            slot_bits.clear_bits(self._block(block), part, first)
            slot_bits.set_bits(self._hold_block(self._held[0], block), part, first)
            self.dirty.add(block)
        self.used_count -= len(slots)
        self.killed_count += len(slots)
        self._note(_Act.KILLED, slots)

    def load_for(self, slots: Sequence[int]) -> None:
        """Read the blocks of the map that `kill` of these slots will touch, so that it cannot fail."""
        for block, _, _ in self._by_block(slots):
            self._block(block)

    def begin(self) -> None:
        """Start to remember changes, for `rollback`."""
        self._undo = []

    def accept(self) -> None:
        self._undo = None

    def rollback(self) -> None:
        """Take back every change since `begin`. Slots taken meanwhile are free at once: nothing durable names them."""
        changes, self._undo = self._undo or [], None
        for act, slots in reversed(changes):
            if act is _Act.TAKEN:
                self._clear(slots)
                continue
            for block, first, part in self._by_block(slots):
                if act is _Act.ENTERED:
                    slot_bits.clear_bits(self._used[block], part, first)
                else:
                    slot_bits.set_bits(self._used[block], part, first)
                    slot_bits.clear_bits(self._held[0][block], part, first)
            self.used_count += -len(slots) if act is _Act.ENTERED else len(slots)
            self.killed_count -= len(slots) if act is _Act.KILLED else 0

    def header_durable(self, period: int, since: Collection[int]) -> None:
        """A new header is durable in place of the oldest: free what only that one reached.

        Args:
            period: number of the header before the one that was replaced: what only that reached was killed after it.
            since: for each pin and read point, the header at which it began: it may reach what was killed later.
        """
        expired = self._held[1]
        self._held = [{}, self._held[0]]
        self.killed_count = 0
        if expired:
            self._keep(period, expired, since)
        self.release(since)

    def release(self, since: Collection[int]) -> None:
        """Free what no header reaches, and none of the pins and read points `since` either."""
        oldest = min(since, default=None)
        while self._pinned and (oldest is None or oldest > self._pinned[0][0]):
            self._free(self._pinned.pop(0)[1])

    def _keep(self, period: int, expired: Bits, since: Collection[int]) -> None:
        """Add to what pins and read points may reach; what is freed at the same moment is kept in one."""
        last, bits = self._pinned.pop() if self._pinned else (period, Bits())
        if any(last < begun <= period for begun in since):
            self._pinned.append((last, bits))
            bits = {}
        for block, more in expired.items():
            slot_bits.set_all(self._hold_block(bits, block), more)
        self._pinned.append((period, bits))

    def touch(self, block: int) -> None:
        """Have the next checkpoint write a block, changed or not."""
        self._block(block)
        self.dirty.add(block)

    def search_from(self, slot: int) -> None:
        """Start the next search at `slot`."""
        self._cursor, self._run_end = slot, 0

    def shrink(self, slot_count: int) -> None:
        """Use no slot from `slot_count` on any more; none of them may be in use or held."""
        if self.end > slot_count:
            raise AssertionError(f"slot {self.end - 1} is busy, and the file should end at {slot_count}")
        last = layout.slot_blocks(slot_count, self._page_size) - 1
        self._block(last)
        self.dirty.add(last)  # so that the node above the new end always has a block below it
        self.resize(slot_count)
        self.search_from(min(self._cursor, slot_count))

    def resize(self, slot_count: int) -> None:
        """The file now has `slot_count` slots; those that it lost were free."""
        blocks = layout.slot_blocks(slot_count, self._page_size)
        gone = {block for block in self._busy_in if block >= blocks}
        self.dirty -= gone
        for block in gone:
            del self._busy_in[block]
            for bits in (self._used, self._busy, *(held for _, held in self._pinned), *self._held):
                bits.pop(block, None)
        self.slot_count = slot_count

    # -- content ------------------------------------------------------------------------------------------------------

    def block_bytes(self, block: int) -> bytes:
        """Return a block of the slot map as the next header should reach it."""
        return bytes(self._block(block))

    def used_in(self, block: int) -> int:
        """Return how many slots of a block the next header should reach."""
        return slot_bits.count(self._block(block))

    def is_free(self, slot: int) -> bool:
        """Tell whether `slot` could be taken: no state that still counts names it."""
        block, within = divmod(slot, self._per_block)
        self._block(block)
        return not self._busy[block][within >> 3] >> (within & 7) & 1

    # -- private ------------------------------------------------------------------------------------------------------

    def _by_block(self, slots: Sequence[int]) -> Sequence[tuple[int, int, Sequence[int]]]:
        """Return each block of the slot map that `slots` lie in, its first slot, and those that do."""
        if not slots:
            return ()
        block = slots[0] // self._per_block
        if len(slots) == 1 or block == min(slots) // self._per_block == max(slots) // self._per_block:
            return ((block, block * self._per_block, slots),)
        parts: dict[int, list[int]] = {}
        for slot in slots:
            parts.setdefault(slot // self._per_block, []).append(slot)
        return [(block, block * self._per_block, part) for block, part in parts.items()]

    def _block(self, block: int) -> bytearray:
        bits = self._used.get(block)
        if bits is None:
            bits = bytearray(self._index.load(block) or self._page_size)
            self._used[block] = bits
            self._busy[block] = bits.copy()
            self._busy_in[block] = slot_bits.count(bits)
        return bits

    def _note(self, act: _Act, slots: Sequence[int]) -> None:
        if self._undo is not None:
            self._undo.append((act, tuple(slots)))

    def _mark(self, slots: Sequence[int]) -> None:
        for block, first, part in self._by_block(slots):
            slot_bits.set_bits(self._block(block), part, first)
            slot_bits.set_bits(self._busy[block], part, first)
            self._busy_in[block] += len(part)
            self.dirty.add(block)
        self.used_count += len(slots)
        self.busy_count += len(slots)
        self._note(_Act.TAKEN, slots)

    def _clear(self, slots: Sequence[int]) -> None:
        for block, first, part in self._by_block(slots):
            slot_bits.clear_bits(self._used[block], part, first)
        self.used_count -= len(slots)
        self._give_back(slots)

    def _keep_busy(self, slots: Sequence[int]) -> None:
        for block, first, part in self._by_block(slots):
            self._block(block)
            slot_bits.set_bits(self._busy[block], part, first)
            self._busy_in[block] += len(part)
        self.busy_count += len(slots)

    def _give_back(self, slots: Sequence[int]) -> None:
        for block, first, part in self._by_block(slots):
            slot_bits.clear_bits(self._busy[block], part, first)
            self._busy_in[block] -= len(part)
        self.busy_count -= len(slots)

    def _hold_block(self, bits: Bits, block: int) -> bytearray:
        if block not in bits:
            bits[block] = bytearray(self._page_size)
        return bits[block]

    def _free(self, expired: Bits) -> None:
        for block, bits in expired.items():
            slot_bits.clear_all(self._busy[block], bits)
            freed = slot_bits.count(bits)
            self._busy_in[block] -= freed
            self.busy_count -= freed

    def _find(self, start: int, end: int, count: int) -> list[int]:
        """Return up to `count` free slots from `start` to `end`, ascending; reads no block that has none."""
        found: list[int] = []
        at = start
        while len(found) < count and at < end:
            block = at // self._per_block
            if not self._has_room(block):
                at = self._next_with_room(block + 1) * self._per_block
                continue
            at = self._search(at, end, count, found)
        return found

    def _has_room(self, block: int) -> bool:
        busy = self._busy_in.get(block)
        if busy is None:
            busy = self._index.used(block)
        return busy < self._index.capacity(block, 1, self.slot_count)

    def _next_with_room(self, start: int) -> int:
        """Return the first block from `start` on that has a free slot, or the number of blocks."""
        loaded = min(
            (block for block in self._busy_in if block >= start and self._has_room(block)),
            default=layout.slot_blocks(self.slot_count, self._page_size),
        )
        for block in self._index.with_room(start, self.slot_count):
            if block >= loaded:
                break
            if block not in self._busy_in:
                return block
        return loaded

    def _search(self, start: int, end: int, count: int, found: list[int]) -> int:
        """Add free slots from `start` on to `found`, up to `count`, in one window; return where to go on."""
        block, within = divmod(start, self._per_block)
        first = block * self._per_block
        stop = min(end - first, self._per_block, within + 8 * SEARCH_BYTES)
        self._block(block)
        for run, run_end in slot_bits.clear_runs(self._busy[block], within, stop):
            taken = range(first + run, first + min(run_end, run + count - len(found)))
            found.extend(taken)
            if len(found) == count:
                self._run_end = first + run_end
                break
        return first + stop
