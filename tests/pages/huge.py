"""Stores of a TiB that need no disk: a file that keeps only what was written, and a page map made on demand."""

import numpy as np

from keystore.crypto.kernel import KERNEL
from keystore.crypto.secret import SecretKey
from keystore.format import layout
from keystore.format.entry import ENTRY, EntryArray, U8Array, encode_aads
from keystore.pages import slot_bits
from keystore.pages.checkpoint import write_checkpoint, write_header
from keystore.pages.pagemap import PageMap
from keystore.pages.protocols import Buffer
from keystore.pages.sessions import Session
from keystore.pages.store import PageStore
from keystore.pages.tree import Tree
from tests.pages.stores import StaticKeys

TIB = 1 << 40
SECTOR = 512
BATCH = 2048
"""Nodes sealed in one call."""


class SparseFile:
    """A `BlockFile` in memory that keeps what was written, a sector at a time; everything else is zeros."""

    def __init__(self) -> None:
        self.sectors: dict[int, bytes] = {}
        self.length = 0

    def size(self) -> int:
        return self.length

    def read(self, offset: int, buffer: memoryview) -> None:
        if offset + len(buffer) > self.length:
            raise EOFError("beyond the end")
        for at in range(0, len(buffer), SECTOR):
            buffer[at : at + SECTOR] = self.sectors.get((offset + at) // SECTOR, bytes(SECTOR))

    def write(self, offset: int, data: Buffer) -> None:
        view = memoryview(data).cast("B")
        assert offset + len(view) <= self.length
        for at in range(0, len(view), SECTOR):
            self.sectors[(offset + at) // SECTOR] = bytes(view[at : at + SECTOR])

    def extend(self, size: int, *, written: bool = False) -> None:
        self.length = max(self.length, size)

    def truncate(self, size: int) -> None:
        self.length = size
        self.sectors = {at: data for at, data in self.sectors.items() if at < size // SECTOR}

    def sync(self) -> None: ...

    def evict(self, offset: int, length: int) -> None: ...

    def close(self) -> None: ...


class FullMap(SparseFile):
    """A file whose page map names a slot for every page of a TiB; the pages themselves were never sealed."""

    def __init__(self, page_size: int) -> None:
        super().__init__()
        self.page_size, self.pages = page_size, TIB // page_size
        self._first = [0]
        """First slot of the blocks of each level; level 0 are the pages."""
        self._tags: list[U8Array] = [np.zeros((0, 16), dtype=np.uint8)]

    def read(self, offset: int, buffer: memoryview) -> None:
        slot = offset // self.page_size
        for level in range(1, len(self._tags)):
            number = slot - self._first[level]
            if 0 <= number < len(self._tags[level]) and offset // SECTOR not in self.sectors:
                assert len(buffer) == self.page_size
                buffer[:] = self._seal(level, number, 1)[0]
                return
        super().read(offset, buffer)

    def build(self, session: Session, first_slot: int) -> tuple[bytes, int]:
        """Seal all nodes and forget them but for their tags; return the entry of the root and its level."""
        self._record, self._first = session.record, [first_slot]
        self._key = SecretKey(bytes(session.metadata_key.view()))  # the store's own is wiped when it is closed
        count, level, after = self.pages, 0, first_slot + self.pages
        while count > 1:
            count, level = -(-count // layout.fanout(self.page_size)), level + 1
            self._first.append(after)
            after += count
            tags = np.empty((count, 16), dtype=np.uint8)
            for number in range(0, count, BATCH):
                tags[number : number + BATCH] = self._seal(level, number, min(BATCH, count - number))[1]
            self._tags.append(tags)
        self.end = after
        return self._entries(level, np.zeros(1, dtype=np.int64)).tobytes(), level

    def _seal(self, level: int, first: int, count: int) -> tuple[memoryview, U8Array]:
        fanout, size = layout.fanout(self.page_size), self.page_size
        below = self.pages if level == 1 else len(self._tags[level - 1])
        rows = np.zeros((count, size), dtype=np.uint8)
        children = np.arange(first * fanout, min((first + count) * fanout, below))
        entries = np.zeros(count * fanout, dtype=ENTRY)
        entries[: len(children)] = self._entries(level - 1, children)
        rows[:, : fanout * layout.ENTRY_BYTES] = entries.view(np.uint8).reshape(count, -1)
        numbers = np.arange(first, first + count, dtype=np.uint64)
        aads = encode_aads(layout.TREE_PAGES, level, self._record.origin, numbers)
        out, tags = bytearray(count * size + 16), np.empty((count, 16), dtype=np.uint8)
        nonces = np.ascontiguousarray(self._entries(level, numbers.astype(np.int64), tagged=False)["nonce"])
        KERNEL.seal_pages(self._key, rows.tobytes(), size, nonces, aads, out, tags)
        return memoryview(out)[: count * size], tags

    def _entries(
        self, level: int, numbers: "np.ndarray[tuple[int], np.dtype[np.int64]]", tagged: bool = True
    ) -> EntryArray:
        entries = np.zeros(len(numbers), dtype=ENTRY)
        entries["slot"] = numbers + self._first[level]
        entries["session"] = self._record.number
        entries["nonce"][:, :4] = numbers.astype("<u4").view(np.uint8).reshape(-1, 4)
        entries["nonce"][:, 11] = level + 1
        if level and tagged:
            entries["tag"] = self._tags[level][numbers]
        return entries


def full_store(page_size: int, keys: StaticKeys, free: range = range(0)) -> FullMap:
    """Return the file of a closed store with every page of a TiB in its map, and no free slot but for `free`."""
    file = FullMap(page_size)
    store = PageStore.create(file, name="full", keys=keys, page_size=page_size)
    state = store._state
    session, slots = state.sessions.for_seals(1), state.space.slots
    root, height = file.build(session, slots.slot_count)
    state.sessions.count(session.record.number, file.end - slots.slot_count)
    file.extend(file.end * page_size)
    _use_all(store, file.end, free)
    state.pages, state.page_count = PageMap(Tree(state.blocks, layout.TREE_PAGES, root, height)), file.pages
    write_checkpoint(state, session)
    write_header(state, session)
    store.close()
    return file


def _use_all(store: PageStore, end: int, free: range) -> None:
    """Mark every slot from the present end on as used; a loop over the slots would take an hour."""
    slots, per_block = store._state.space.slots, layout.slots_per_block(store.page_size)
    first = slots.slot_count
    slots.resize(end)
    for block in range(first // per_block, layout.slot_blocks(end, store.page_size)):
        numbers = np.arange(block * per_block, (block + 1) * per_block)
        chosen = (numbers >= first) & (numbers < end) & ~((numbers >= free.start) & (numbers < free.stop))
        bits = bytearray(np.packbits(chosen, bitorder="little"))
        slot_bits.set_all(slots._block(block), bits)
        slot_bits.set_all(slots._busy[block], bits)
        slots._busy_in[block] += int(chosen.sum())
        slots.used_count += int(chosen.sum())
        slots.busy_count += int(chosen.sum())
        slots.dirty.add(block)
    slots.search_from(first)
