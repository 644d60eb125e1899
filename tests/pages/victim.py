"""A real store file to attack, and where each of its parts stands."""

import shutil
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Final

from keystore.format import layout
from keystore.format.entry import entry_slot
from keystore.pages.blockfile import OsBlockFile
from keystore.pages.chain import Scan, Scanner
from keystore.pages.guarded import GuardedFile
from keystore.pages.recovery import _load
from keystore.pages.sessions import SessionTable
from keystore.pages.store import PageStore
from keystore.pages.tree import Tree
from tests.pages.stores import MemoryAnchor, StaticKeys, each_commit_marked

PAGE_BYTES: Final = 4096
NAME: Final = "victim"
PAGES: Final = (0, 1, 2, 3, 5, 7, 150, 300)

PRELUDE_FIELDS: Final = {
    "magic": (0, 8),
    "version": (8, 1),
    "suite": (9, 1),
    "type": (10, 1),
    "page size": (11, 1),
    "body bytes": (12, 4),
    "store id": (16, 16),
    "epoch": (32, 8),
    "sequence": (40, 8),
    "generation": (48, 4),
    "runs": (52, 4),
    "checkpoint": (56, 8),
    "salt": (64, 32),
    "commitment": (96, 16),
    "nonce": (112, 12),
    "zeros": (124, 4),
    "tag": (128, 16),
}
"""Offset and bytes of each clear field of a sealed block (docs/FORMAT.md, section 5)."""

HEADER_FIELDS: Final = {
    "time": (144, 8),
    "pages": (152, 8),
    "bytes": (160, 8),
    "slots": (168, 8),
    "next place": (176, 8),
    "later place": (184, 8),
    "last tag": (192, 16),
    "session": (208, 4),
    "sessions": (212, 4),
    "slots in use": (216, 8),
    "root of pages": (224, 40),
    "root of sessions": (264, 40),
    "root of slots": (304, 40),
}
RECORD_FIELDS: Final = {
    "time": (144, 8),
    "pages": (152, 8),
    "bytes": (160, 8),
    "next place": (168, 8),
    "later place": (176, 8),
    "tag before": (184, 16),
    "session": (200, 4),
    "flags": (204, 4),
    "sessions": (208, 4),
    "entries": (212, 4),
    "page number": (216, 8),
    "entry": (224, 40),
}
WATERMARK_FIELDS: Final = {"tag of the record": (144, 16)}


@dataclass(frozen=True)
class Place:
    """Some bytes of the file."""

    offset: int
    length: int


WATERMARK: Final = Place(layout.WATERMARK_OFFSET, layout.WATERMARK_BYTES)


@dataclass(frozen=True)
class Map:
    """Where the parts of a file stand, found by decoding it."""

    newest: int
    """Offset of the newest header."""
    records: list[Place]
    pages: dict[int, Place]
    nodes: list[Place]
    sessions: list[Place]
    slot_map: list[Place]
    next_record: Place


@dataclass
class Victim:
    """A store file, the truth about it, and what its owner has to open it with."""

    path: Path
    keys: StaticKeys
    anchor: MemoryAnchor
    store_id: bytes
    contents: dict[int, bytes]
    page_count: int
    sequence: int = 0
    older_pages: dict[int, bytes] = field(default_factory=dict)
    """Earlier ciphertext of some pages."""
    watermarks: list[bytes] = field(default_factory=list)
    """The watermark as it stood after each of the last three commits."""

    def copy(self, path: Path) -> "Victim":
        shutil.copyfile(self.path, path)
        anchor = MemoryAnchor()
        anchor.state = self.anchor.state
        return replace(self, path=path, anchor=anchor)

    def bytes_at(self, place: Place) -> bytes:
        with self.path.open("rb") as file:
            file.seek(place.offset)
            return file.read(place.length)

    def put(self, offset: int, data: bytes) -> None:
        with self.path.open("r+b") as file:
            file.seek(offset)
            file.write(data)

    def flip(self, offset: int, bit: int = 0) -> None:
        self.put(offset, bytes([self.bytes_at(Place(offset, 1))[0] ^ 1 << bit]))

    def open(self) -> PageStore:
        return PageStore.open(self.path, name=NAME, keys=self.keys, anchor=self.anchor, store_id=self.store_id)

    def map(self) -> Map:
        """Find every part of the file, without changing it."""
        file = GuardedFile(NAME, OsBlockFile.open(self.path))
        scanner = Scanner(NAME, file, SessionTable(NAME, self.store_id, self.keys))
        try:
            scan = scanner.scan(self.store_id)
            return _map(file, scan, SessionTable(NAME, self.store_id, self.keys))
        finally:
            scanner.wipe()
            file.close()


def _map(file: GuardedFile, scan: Scan, sessions: SessionTable) -> Map:
    state = _load(NAME, file, None, scan, sessions)
    places = [scan.body.next_place, *(link.body.next_place for link in scan.links)]
    pages = {number: state.pages.tree.entry(0, number) for number in PAGES}
    for link in scan.links:
        pages.update({int(change["page"]): change["entry"].tobytes() for change in link.body.changes})
    found = Map(
        newest=layout.HEADER_OFFSETS[scan.header.checkpoint % 2],
        records=[Place(place * layout.BLOCK_BYTES, layout.BLOCK_BYTES) for place in places[:-1]],
        pages={number: _slot(entry) for number, entry in pages.items() if entry_slot(entry)},
        nodes=_nodes(state.pages.tree, range(state.pages.tree.height, 0, -1)),
        sessions=_nodes(state.sessions_tree, (0,)),
        slot_map=_nodes(state.slots_tree, (0,)),
        next_record=Place(places[-1] * layout.BLOCK_BYTES, layout.BLOCK_BYTES),
    )
    sessions.wipe()
    return found


def _nodes(tree: Tree, levels: Iterable[int]) -> list[Place]:
    return [_slot(entry) for level in levels for _, entry in tree.nodes(level)]


def _slot(entry: bytes) -> Place:
    return Place(entry_slot(entry) * PAGE_BYTES, PAGE_BYTES)


def make(path: Path, *, keys: StaticKeys | None = None, closed: bool = True) -> Victim:
    """Make a store with a map of two levels, three sessions, holes, replaced pages; `closed`, or killed with a tail."""
    random, keys, anchor = Random(1), keys or StaticKeys(), MemoryAnchor()
    contents = {number: random.randbytes(PAGE_BYTES) for number in PAGES}
    live = path.with_suffix(".live")
    store = PageStore.create(live, name=NAME, keys=keys, page_size=PAGE_BYTES, anchor=anchor)
    victim = Victim(live, keys, anchor, store.store_id, contents, max(PAGES) + 1)
    store.commit({number: random.randbytes(PAGE_BYTES) for number in PAGES})
    store.close()
    older = victim.map().pages
    victim.older_pages = {number: victim.bytes_at(place) for number, place in older.items()}
    keys.rotate()
    with victim.open() as store:
        store.commit({number: contents[number] for number in PAGES[:4]} | {4: bytes(PAGE_BYTES)})
        store.commit({4: None})
        store.checkpoint()
        store.commit({number: contents[number] for number in PAGES[4:]})
    store = victim.open()
    with each_commit_marked():
        for number in (5, 150, 7):
            store.commit({number: contents[number]})
            victim.watermarks.append(victim.bytes_at(WATERMARK))
    if closed:
        store.close()
    victim.sequence = store.sequence
    killed = victim.copy(path)
    store.close()
    return killed
