"""Writes an empty store into an empty file."""

import secrets

from keystore.format import layout
from keystore.format.entry import HOLE
from keystore.pages import log
from keystore.pages.blocks import Blocks
from keystore.pages.checkpoint import write_checkpoint, write_header
from keystore.pages.guarded import GuardedFile
from keystore.pages.pagemap import PageMap
from keystore.pages.protocols import Anchor, DataKeys
from keystore.pages.sessions import SessionTable
from keystore.pages.slot_index import SlotIndex
from keystore.pages.slots import SlotMap
from keystore.pages.space import Space
from keystore.pages.state import StoreState
from keystore.pages.tree import Tree
from keystore.pages.witness import Witness


def new_state(
    name: str,
    file: GuardedFile,
    keys: DataKeys,
    page_size: int,
    anchor: Anchor | None,
    store_id: bytes,
    witness: Witness | None = None,
) -> StoreState:
    """Write the watermark, then both header copies; return the state of the open store.

    CRASH: a store is whole once its file has the name it is opened by; the caller removes a half-made one.
    """
    sessions = SessionTable(name, store_id, keys)
    blocks = Blocks(name, file, page_size, sessions)
    file.extend(layout.first_slot(page_size) * page_size)
    slots = SlotMap(page_size, layout.first_slot(page_size), 0, SlotIndex(page_size, lambda: state.slots_tree))
    state = StoreState(
        name=name,
        store_id=store_id,
        page_size=page_size,
        file=file,
        anchor=anchor,
        sessions=sessions,
        blocks=blocks,
        pages=PageMap(Tree(blocks, layout.TREE_PAGES, HOLE, 0)),
        slots_tree=Tree(blocks, layout.TREE_SLOTS, bytes(layout.SLOT_ROW_BYTES), 0),
        sessions_tree=Tree(blocks, layout.TREE_SESSIONS, HOLE, 0),
        space=Space(name, file, page_size, slots),
        epoch=1,
        header_epoch=1,
        sequence=0,
        checkpoint=0,
        last_tag=secrets.token_bytes(16),
        witness=witness,
    )
    try:
        session = sessions.begin()
        log.write_watermark(state, session)
        write_checkpoint(state, session, fresh_places=True)
        write_header(state, session)
        if witness is not None:
            witness.opened(state.moment)
    except BaseException:
        sessions.wipe()
        raise
    return state
