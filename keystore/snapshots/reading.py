"""Reads packs and the maps in them: the map of one store of one snapshot, and its pages as ciphertext.

Leaves to others: opening pages (whoever adopts them).

Invariants:
1. A node is believed only if it opens under the key of its pack, for its level, number, pack and offset (S-20).
2. Memory is bounded: a node says how long its children are, and that is checked before they are read.
"""

from collections import OrderedDict
from collections.abc import Collection, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import dataclass
from itertools import cycle
from typing import Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from keystore.crypto.secret import SecretKey
from keystore.crypto.wrap import OVERHEAD_BYTES
from keystore.errors import ObjectDamagedError, ObjectMissingError
from keystore.format import layout
from keystore.format.cursor import NotDecodableError
from keystore.format.entry import EntryArray, U64Array
from keystore.format.manifest import ManifestHead, PackObject
from keystore.format.pack import (
    HEADER_BYTES,
    NODE_ROW,
    PAGE_ROW,
    PackHeader,
    decode_node,
    entries_of,
    node_bytes_max,
    pages_per_batch,
)
from keystore.format.snapshot_map import StoreEntry, StorePack
from keystore.keys.volume import VolumeKey
from keystore.objects.place import ObjectReader
from keystore.pages.reading import Batch
from keystore.snapshots.damage import damage, damaged
from keystore.snapshots.keys import open_node, unwrap_pack_key, wrap_pack_key
from keystore.snapshots.names import pack_name
from keystore.snapshots.volume import VolumePackReader

OPEN_PACKS_MAX = 32
"""LIMIT: packs open at once; each may hold a descriptor."""
NODES_AHEAD = 32
"""LIMIT: nodes read with one call; the largest have 79 KB."""

Indexes: TypeAlias = npt.NDArray[np.intp]
NodeAt: TypeAlias = tuple[int, int, bytes]
"""Level and number of a node, and the row (`pack.NODE_ROW`) that names it."""


class PackSource(Protocol):
    """What of a `Place` is needed here."""

    def open(self, name: str) -> AbstractContextManager[ObjectReader]: ...


class PackReader(Protocol):
    """What of an `ObjectReader` is needed here."""

    def read_at(self, offset: int, buffer: memoryview) -> None: ...

    def read_ranges(self, ranges: Sequence[tuple[int, int]]) -> list[bytes]: ...


@dataclass(frozen=True)
class KeyedPack:
    """A pack as a manifest names it for one store; `wrapped_key` is its key under the map key of that manifest."""

    number: int
    object: PackObject
    wrapped_key: bytes


@dataclass(frozen=True)
class _OpenPack:
    reader: PackReader
    stack: ExitStack


class Buffer:
    """Memory that is used again, and grows to what was asked for."""

    def __init__(self) -> None:
        self._memory = memoryview(bytearray())

    def view(self, byte_count: int) -> memoryview:
        if len(self._memory) < byte_count:
            self._memory = memoryview(bytearray(byte_count))
        return self._memory[:byte_count]


class Packs:
    """The packs of one snapshot, opened when first read; a context manager."""

    def __init__(self, place: PackSource, head: ManifestHead, volume: VolumeKey | None) -> None:
        """`volume` stays the caller's."""
        self._place, self._head, self._volume = place, head, volume
        self._open: OrderedDict[bytes, _OpenPack] = OrderedDict()

    @property
    def where(self) -> str:
        return f"snapshot {self._head.snapshot_id.hex()}"

    def object(self, pack: StorePack) -> PackObject:
        return self._head.packs[pack.place]

    def reader(self, pack: PackObject, store: StoreEntry) -> PackReader:
        """Return a reader of a pack, whose header was checked.

        Raises:
            SnapshotDamagedError: the pack is missing, has another length, or is another one.
        """
        opened = self._open.get(pack.pack_id)
        if opened is None:
            while len(self._open) >= OPEN_PACKS_MAX:
                self._open.popitem(last=False)[1].stack.close()
            opened = self._open[pack.pack_id] = self._begin(pack, store)
        self._open.move_to_end(pack.pack_id)
        return opened.reader

    def _begin(self, pack: PackObject, store: StoreEntry) -> _OpenPack:
        where = f"{self.where}: store {store.name}: pack {pack.pack_id.hex()}"
        stack = ExitStack()
        try:
            source = stack.enter_context(self._place.open(pack_name(pack.pack_id)))
        except ObjectMissingError:
            raise damaged(where, "it is missing") from None
        with stack:
            if source.byte_length != pack.byte_length:
                raise damaged(where, f"it has {source.byte_length} bytes, the manifest says {pack.byte_length}")
            reader: PackReader = self._without_volume(source, pack.pack_id, stack)
            (header,) = reader.read_ranges([(0, HEADER_BYTES)])
            with damage(where):
                if PackHeader.decode(header) != PackHeader(store.page_size, pack.pack_id, store.store_id):
                    raise NotDecodableError("it belongs to another snapshot or store")
            return _OpenPack(reader, stack.pop_all())

    def _without_volume(self, source: ObjectReader, pack_id: bytes, stack: ExitStack) -> PackReader:
        if self._volume is None:
            return source
        return stack.enter_context(closing(VolumePackReader(source, self._volume.file_key("pack", pack_id))))

    def close(self) -> None:
        while self._open:
            self._open.popitem()[1].stack.close()


class MapReader:
    """The map of one store; owns the keys of its packs until closed."""

    def __init__(self, packs: Packs, store: StoreEntry, map_key: SecretKey) -> None:
        self._packs, self.store = packs, store
        self._fanout = layout.fanout(store.page_size)
        self._where = f"{packs.where}: store {store.name}"
        self._numbered = {pack.number: packs.object(pack) for pack in store.packs}
        self._keys: dict[int, SecretKey] = {}
        try:
            for pack in store.packs:
                self._keys[pack.number] = self._unwrap(pack, map_key)
        except BaseException:
            self.close()
            raise

    def nodes(self, wanted: Sequence[NodeAt]) -> list[EntryArray]:
        """Return the rows of nodes, in the order asked for; at most `NODES_AHEAD`.

        Raises:
            SnapshotDamagedError: one is not what was written.
        """
        rows = np.frombuffer(b"".join(row for _, _, row in wanted), dtype=NODE_ROW)
        sealed: list[bytes] = [b""] * len(wanted)
        for number in np.unique(rows["pack"]).tolist():
            chosen = np.flatnonzero(rows["pack"] == number).tolist()
            ranges = [(int(rows["offset"][at]), int(rows["length"][at])) for at in chosen]
            with damage(self._where):
                for offset, length in ranges:
                    self._require_inside(number, offset, length, node_bytes_max(self.store.page_size) + OVERHEAD_BYTES)
            with self._reading(number) as reader:
                for at, data in zip(chosen, reader.read_ranges(ranges), strict=True):
                    sealed[at] = data
        return [self._open(at, data) for at, data in zip(wanted, sealed, strict=True)]

    def leaves(self, wanted: U64Array | None = None) -> Iterator[tuple[int, EntryArray]]:
        """Yield (number of its first page, rows) of each leaf, ascending; of those with `wanted` pages, if given.

        Raises:
            SnapshotDamagedError: a node is not what was written.
        """
        root = np.frombuffer(self.store.root, dtype=NODE_ROW)
        if not root["session"][0] or (wanted is not None and not len(wanted)):
            return
        if self.store.height == 0:
            yield 0, as_page_rows(root)
            return
        (rows,) = self.nodes([(self.store.height, 0, self.store.root)])
        yield from self._below(self.store.height, 0, rows, wanted)

    def batches(self, wanted: U64Array | None = None) -> Iterator[Batch]:
        """Yield pages, ascending, as ciphertext in batches of at most 4 MiB; all, or those `wanted` that are there.

        A batch stands in a buffer that the next but one overwrites.
        """
        pages_max = pages_per_batch(self.store.page_size)
        buffers = cycle([Buffer(), Buffer()])
        waiting: list[tuple[U64Array, EntryArray]] = []
        count = 0
        for first, rows in self.leaves(wanted):
            there = np.flatnonzero(rows["session"])
            page_nos = (there + first).astype(np.uint64)
            if len(page_nos) and int(page_nos[-1]) >= self.store.page_count:
                raise damaged(self._where, "it has a page beyond its last")
            if wanted is not None:
                chosen = np.isin(page_nos, wanted)
                page_nos, there = page_nos[chosen], there[chosen]
            for at in range(0, len(page_nos), pages_max):
                part = page_nos[at : at + pages_max]
                if count + len(part) > pages_max:
                    yield self._batch(waiting, next(buffers))
                    waiting, count = [], 0
                waiting.append((part, rows[there[at : at + pages_max]]))
                count += len(part)
        if count:
            yield self._batch(waiting, next(buffers))

    def packs(self, map_key: SecretKey, numbers: Collection[int]) -> list[KeyedPack]:
        """Return those packs of the store that have these numbers, their keys wrapped under another map key."""
        return [
            KeyedPack(number, pack, wrap_pack_key(map_key, self._keys[number], pack.pack_id, self.store.store_id))
            for number, pack in self._numbered.items()
            if number in numbers
        ]

    def close(self) -> None:
        for key in self._keys.values():
            key.wipe()

    def _below(
        self, level: int, number: int, rows: EntryArray, wanted: U64Array | None
    ) -> Iterator[tuple[int, EntryArray]]:
        if level == 1:
            yield number * self._fanout, rows
            return
        children = np.flatnonzero(rows["session"])
        if wanted is not None:
            reach = np.uint64(self._fanout ** (level - 1))
            children = children[np.isin((children + number * self._fanout).astype(np.uint64), wanted // reach)]
        for at in range(0, len(children), NODES_AHEAD):
            ahead = children[at : at + NODES_AHEAD].tolist()
            below = [number * self._fanout + child for child in ahead]
            nodes = self.nodes(
                [(level - 1, child_no, rows[child].tobytes()) for child_no, child in zip(below, ahead, strict=True)]
            )
            for child_no, node in zip(below, nodes, strict=True):
                yield from self._below(level - 1, child_no, node, wanted)

    def _batch(self, parts: list[tuple[U64Array, EntryArray]], buffer: Buffer) -> Batch:
        page_nos = np.concatenate([numbers for numbers, _ in parts])
        rows = np.concatenate([part for _, part in parts])
        size = self.store.page_size
        view = buffer.view(len(rows) * size)
        for number in np.unique(rows["pack"]).tolist():
            self._fill(view, rows, np.flatnonzero(rows["pack"] == number), int(number))
        return Batch(page_nos, entries_of(rows), view)

    def _fill(self, view: memoryview, rows: EntryArray, chosen: Indexes, number: int) -> None:
        """Read the pages `chosen` from the pack `number`; neighbours there and here are read together."""
        size, offsets = self.store.page_size, rows["offset"][chosen].astype(np.int64)
        breaks = np.flatnonzero((np.diff(offsets) != size) | (np.diff(chosen) != 1)) + 1
        runs = [(int(run[0]), len(run) * size) for run in np.split(chosen, breaks)]
        ranges = [(int(rows["offset"][at]), length) for at, length in runs]
        with damage(self._where):
            for offset, length in ranges:
                self._require_inside(number, offset, length, len(view))
        parts = [view[at * size : at * size + length] for at, length in runs]
        with self._reading(number) as reader:
            if len(parts) == 1:
                reader.read_at(ranges[0][0], parts[0])
                return
            for part, data in zip(parts, reader.read_ranges(ranges), strict=True):
                part[:] = data

    @contextmanager
    def _reading(self, number: int) -> Iterator[PackReader]:
        pack = self._numbered[number]
        try:
            yield self._packs.reader(pack, self.store)
        except (ObjectDamagedError, ObjectMissingError) as error:
            raise damaged(f"{self._where}: pack {pack.pack_id.hex()}", str(error)) from None

    def _require_inside(self, number: int, offset: int, length: int, bytes_max: int) -> None:
        if number not in self._numbered:
            raise NotDecodableError(f"its map names pack {number}, which the manifest does not")
        if length > bytes_max or offset + length > self._numbered[number].byte_length:
            raise NotDecodableError(f"its map names {length} bytes at {offset} of pack {number}, which has not as many")

    def _open(self, at: NodeAt, sealed: bytes) -> EntryArray:
        level, number, row = at
        (named,) = np.frombuffer(row, dtype=NODE_ROW)
        pack_no = int(named["pack"])
        pack_id = self._numbered[pack_no].pack_id
        with damage(f"{self._where}: pack {pack_id.hex()}: node {number} of level {level} of its map"):
            content = open_node(self._keys[pack_no], sealed, pack_id, level, number, int(named["offset"]))
            return decode_node(content, level, self.store.page_size)

    def _unwrap(self, pack: StorePack, map_key: SecretKey) -> SecretKey:
        pack_id = self._numbered[pack.number].pack_id
        with damage(f"{self._where}: pack {pack_id.hex()}"):
            return unwrap_pack_key(map_key, pack.wrapped_key, pack_id, self.store.store_id)


def as_page_rows(rows: EntryArray) -> EntryArray:
    """Return rows of `NODE_ROW` as such of `PAGE_ROW`: the root of a map without nodes is the row of its page."""
    pages = np.zeros(len(rows), dtype=PAGE_ROW)
    for name in PAGE_ROW.names or ():
        pages[name] = rows[name]
    return pages
