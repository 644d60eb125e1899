"""Opens a store file: recovers it to the newest state it proves (docs/FORMAT.md, section 8).

CRASH: recovery writes only a checkpoint, under the next epoch; cut off at any point it starts again from the same
header and chain, because nothing those reach is overwritten.
"""

from keystore.errors import StoreDamagedError, StoreDivergedError, StoreRolledBackError
from keystore.format import layout
from keystore.format.entry import HOLE, entry_session
from keystore.format.session_table import decode_block
from keystore.pages import log
from keystore.pages.apply import count_record, find_replaced, show_record
from keystore.pages.blocks import Blocks
from keystore.pages.chain import Link, Scan, Scanner
from keystore.pages.checkpoint import write_checkpoint, write_header
from keystore.pages.guarded import GuardedFile
from keystore.pages.handover import hand_over_tail
from keystore.pages.pagemap import PageMap
from keystore.pages.protocols import Anchor, AnchorState, DataKeys, OutsideState, OutsideWitness
from keystore.pages.sessions import SessionTable
from keystore.pages.slot_index import SlotIndex
from keystore.pages.slots import SlotMap
from keystore.pages.space import Space
from keystore.pages.state import StoreState
from keystore.pages.tree import Tree
from keystore.pages.witness import Witness


def recover(
    name: str,
    file: GuardedFile,
    keys: DataKeys,
    anchor: Anchor | None,
    store_id: bytes | None,
    witness: Witness | None = None,
) -> tuple[StoreState, list[str]]:
    """Bring the file to its newest proven state and return it, with notes on what was mended (F-21).

    Raises:
        NotAStoreError, WrongKeyError, StoreDamagedError, StoreRolledBackError, StoreDivergedError: nothing was written.
        StoreFullError, StoreIOError, CommitUnknownError: every commit is as it was; opening can be tried again.
    """
    anchored = anchor.load() if anchor is not None else None
    scan = _scan_twice(name, file, keys, store_id, anchored)
    if anchored is not None:
        _compare_anchor(name, scan, anchored)
    stated = anchor.outside() if isinstance(anchor, OutsideWitness) else None
    if stated is not None:
        _compare_outside(name, scan, stated)
    sessions = SessionTable(name, scan.header.store_id, keys)
    try:
        state = _load(name, file, anchor, scan, sessions)
        for link in scan.links:
            _replay(state, link)
        state.witness = witness
        hand_over_tail(state, scan)
        _settle_length(state, scan.body.slot_count)
        state.watermark = state.sequence  # the former one stays until the header is durable
        state.epoch = scan.header.epoch + 1
        session = sessions.begin()
        write_checkpoint(state, session, fresh_places=True)
        with file.changing("a header", lambda: None):
            write_header(state, session)
        log.write_watermark(state, session)
        # CRASH: the anchor names the new epoch only now that the header is durable, or this crash would look like a
        # rollback.
        state.store_anchor(sync=True)
        if witness is not None:
            witness.opened(state.moment)
    except BaseException:
        sessions.wipe()
        raise
    return state, scan.notes


def _scan_twice(
    name: str, file: GuardedFile, keys: DataKeys, store_id: bytes | None, anchored: AnchorState | None
) -> Scan:
    """Steps 1 to 6: what the page cache shows, then what the disk has."""
    scanner = Scanner(name, file, SessionTable(name, store_id or bytes(16), keys), anchored)
    try:
        touched = scanner.scan(store_id).touched
        file.sync()
        for offset, length in touched:
            file.evict(offset, length)
        return scanner.scan(store_id)
    finally:
        scanner.wipe()


def _compare_anchor(name: str, scan: Scan, anchored: AnchorState) -> None:
    """Step 7."""
    if anchored.sequence > scan.sequence:
        raise StoreRolledBackError(
            f"store {name} was rolled back: it ends at commit {scan.sequence}, and commit {anchored.sequence} was "
            "acknowledged. Nothing was written. Put the newer file back, or restore a snapshot"
        )
    if anchored.epoch > scan.header.epoch:
        raise StoreRolledBackError(
            f"store {name} was rolled back: its last opening is number {scan.header.epoch}, and number "
            f"{anchored.epoch} is anchored. Nothing was written. Put the newer file back, or restore a snapshot"
        )
    known = scan.tag_at(anchored.sequence)
    if known is None:
        raise StoreDivergedError(
            f"store {name} is at commit {scan.sequence}, and its anchor only at {anchored.sequence}: the anchors are "
            "an older copy. Nothing was written. Put the anchors back that belong to this store, or restore a snapshot"
        )
    if known != anchored.tag:
        raise StoreDivergedError(
            f"store {name} has another commit {anchored.sequence} than the one acknowledged: it is another branch of "
            "the store's history. Nothing was written. Put the right file back, or restore a snapshot"
        )


def _compare_outside(name: str, scan: Scan, stated: OutsideState) -> None:
    """Step 7, for an outside anchor. It may be behind the header, if its place could not be reached for some time."""
    state, place = stated.state, stated.place
    if state.sequence > scan.sequence or state.epoch > scan.header.epoch:
        raise StoreRolledBackError(
            f"store {name} was rolled back: it ends at commit {scan.sequence} of opening {scan.header.epoch}, and the "
            f"outside anchor {place} has seen commit {state.sequence} of opening {state.epoch}. Nothing was written. "
            "Put the newer file back, or restore a snapshot"
        )
    if scan.tag_at(state.sequence) not in (None, state.tag):
        raise StoreDivergedError(
            f"store {name} has another commit {state.sequence} than the one that the outside anchor {place} has seen: "
            "it is another branch of the store's history. Nothing was written. Put the right file back, or restore a "
            "snapshot"
        )


def _load(name: str, file: GuardedFile, anchor: Anchor | None, scan: Scan, sessions: SessionTable) -> StoreState:
    header, body = scan.header, scan.body
    page_size = header.page_size
    sessions.load_prelude(header, body.session)
    blocks = Blocks(name, file, page_size, sessions)
    table = Tree(blocks, layout.TREE_SESSIONS, body.sessions_root, _table_height(body.session_count, page_size))
    _load_sessions(name, table, body.session, body.session_count, page_size)
    slots_row = body.slots_root + body.slots_used.to_bytes(8, "little")
    slots_height = layout.height(layout.slot_blocks(body.slot_count, page_size), page_size, layout.TREE_SLOTS)
    slots_tree = Tree(blocks, layout.TREE_SLOTS, slots_row, slots_height)
    pages = Tree(blocks, layout.TREE_PAGES, body.pages_root, layout.height(body.page_count, page_size))
    index = SlotIndex(page_size, lambda: state.slots_tree)
    slots = SlotMap(page_size, file.size() // page_size, body.slots_used, index)
    per_slot = page_size // layout.BLOCK_BYTES
    state = StoreState(
        name=name,
        store_id=header.store_id,
        page_size=page_size,
        file=file,
        anchor=anchor,
        sessions=sessions,
        blocks=blocks,
        pages=PageMap(pages),
        slots_tree=slots_tree,
        sessions_tree=table,
        space=Space(name, file, page_size, slots),
        epoch=header.epoch,
        header_epoch=header.epoch,
        sequence=header.sequence,
        checkpoint=header.checkpoint,
        last_tag=body.last_tag,
        page_count=body.page_count,
        byte_length=body.byte_length,
        time_ns=body.time_ns,
        next_place=body.next_place,
        later_place=body.later_place,
        log_slots=sorted({body.next_place // per_slot, body.later_place // per_slot}),
    )
    return state


def _settle_length(state: StoreState, proven_slots: int) -> None:
    """Make the length that the file shows one that the coming sync writes down (F-2).

    A growth whose sync failed can leave a length in memory that the disk never got, and no later sync would write it.
    Where nothing durable names the last slot, cutting that sets a new length; it takes no space. CRASH: the length is
    old or new, and both reach over everything that is named.
    """
    slots = state.space.slots
    if slots.slot_count > proven_slots and slots.is_free(slots.slot_count - 1):
        state.file.truncate((slots.slot_count - 1) * state.page_size)
        slots.resize(slots.slot_count - 1)


def _table_height(rows: int, page_size: int) -> int:
    return layout.height(-(-rows // layout.sessions_per_block(page_size)), page_size)


def _load_sessions(name: str, table: Tree, header_session: int, count: int, page_size: int) -> None:
    per_block = layout.sessions_per_block(page_size)
    for number in range(-(-count // per_block)):
        entry = table.entry(0, number)
        if entry == HOLE or entry_session(entry) != header_session:
            raise StoreDamagedError(name, "session table", number, "it is not sealed under the header's session")
        content = table.blocks.read(layout.TREE_SESSIONS, 0, number, entry)
        for record, references in decode_block(content, min(per_block, count - number * per_block)):
            table.blocks.sessions.load(record, references)


def _replay(state: StoreState, link: Link) -> None:
    """Step 8, for one record."""
    prelude, body = link.prelude, link.body
    state.sessions.load_prelude(prelude, body.session)
    for record in body.sessions:
        state.sessions.load(record)
    per_slot = state.page_size // layout.BLOCK_BYTES
    log_slots = [slot for first, count in link.runs for slot in range(first, first + count)]
    if body.later_place // per_slot != state.later_place // per_slot:
        log_slots.append(body.later_place // per_slot)
    state.log_slots += log_slots
    changes = body.changes
    replaced = find_replaced(state, changes["page"].tolist(), body.page_count)
    new = changes["entry"]["slot"]
    state.space.slots.mark(log_slots + new[new != 0].tolist())
    counted = count_record(state, body, replaced)
    show_record(state, prelude.sequence, body, link.tag, replaced, counted)
