"""Constants and geometry of a page store file (docs/FORMAT.md, sections 2 and 4)."""

MAGIC = b"CMKPAGES"
VERSION = 2
SEAL_VERSION = 1
"""Version of how a block is sealed. A snapshot holds pages as they are, so they outlive the version of a store file."""
SUITE = 1
"""AES-256-GCM, HKDF-SHA256."""

BLOCK_BYTES = 4096
"""Size of a header copy and of the first part of a record; places of records are counted in it."""
HEADER_OFFSETS = (0, 4096)
WATERMARK_OFFSET = 8192
WATERMARK_BYTES = 512
RESERVED_BYTES = 12288

PAGE_SIZES_BYTES = (4096, 8192, 16384, 32768, 65536)

ENTRY_BYTES = 40
SLOT_ROW_BYTES = 48
"""A row of a node of the slot map: an entry, and how many slots are used below it."""
SESSION_ROW_BYTES = 80

TREE_PAGES = 16
TREE_SESSIONS = 17
TREE_SLOTS = 18
TREE_NAMES = {TREE_PAGES: "map node", TREE_SESSIONS: "session table", TREE_SLOTS: "slot map"}

PAGES_MAX = 1 << 40
"""LIMIT: pages of one store, 4 PiB of the smallest pages; keeps every product of numbers below 2^63."""


def first_slot(page_size: int) -> int:
    """Return the number of the first slot: the reserved bytes, rounded up."""
    return -(-RESERVED_BYTES // page_size)


def row_bytes(tree: int) -> int:
    """Return the bytes of a row of a node: an entry, and what the tree keeps beside it."""
    return SLOT_ROW_BYTES if tree == TREE_SLOTS else ENTRY_BYTES


def fanout(page_size: int, tree: int = TREE_PAGES) -> int:
    """Return how many rows a node of `tree` holds."""
    return page_size // row_bytes(tree)


def height(blocks: int, page_size: int, tree: int = TREE_PAGES) -> int:
    """Return the level of the root of a tree with `blocks` blocks of level 0 (0 for one block or none)."""
    level, reach = 0, 1
    while reach < blocks:
        level, reach = level + 1, reach * fanout(page_size, tree)
    return level


def sessions_per_block(page_size: int) -> int:
    return page_size // SESSION_ROW_BYTES


def slot_blocks(slot_count: int, page_size: int) -> int:
    """Return how many blocks the slot map of `slot_count` slots has."""
    return -(-slot_count // slots_per_block(page_size))


def slots_per_block(page_size: int) -> int:
    return page_size * 8
