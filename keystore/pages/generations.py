"""Which generations of the data key a store still needs, and how it stops to need one.

What stands under a data key: pages and blocks of the trees, which the session table counts; commit records; the two
header copies, and what the older of them reaches; the watermark. `settle` leaves nothing but the counted ones. In
memory a pin, a read point or a stage may need what no header reaches.

Invariant: generations of what is written never fall. So a former one that nothing needs is never needed again.
"""

from collections import Counter
from dataclasses import dataclass

from keystore.pages import log
from keystore.pages.checkpoint import write_checkpoint, write_header
from keystore.pages.state import StoreState


@dataclass(frozen=True)
class KeyReferences:
    """What of one store stands under one generation.

    Attributes:
        entries: pages, and blocks of the trees, as the session table counts them.
        pins: pins, read points and stages that may reach more.
    """

    generation: int
    entries: int
    pins: int


def key_references(state: StoreState) -> list[KeyReferences]:
    """Return what the store needs, by generation; nothing is read. The caller has the lock.

    A pin counts for every generation that this store has met since it was opened: nobody knows which it needs; a read
    point counts unless `settle` has found nothing of a generation before it began.
    """
    entries: Counter[int] = Counter()
    for record, count in state.sessions.all_rows():
        entries[record.generation] += count
    return [
        KeyReferences(generation, entries[generation], users)
        for generation in sorted(entries)
        if (users := state.users(generation)) or entries[generation]
    ]


def settle(state: StoreState) -> None:
    """Checkpoint, and bring both header copies and the watermark to the same state, durably; the caller has the lock.

    From now on what `key_references` counts is all that a recovery, from either header, can need. CRASH: as at an
    opening, which does the same (docs/FORMAT.md, section 8).

    Raises:
        StoreFullError, StoreIOError, StoreDamagedError: nothing changed, every commit is safe.
        CommitUnknownError: the store is poisoned, and every commit is safe.
    """
    session = state.checkpoint_session()
    write_checkpoint(state, session)
    with state.file.changing("a header", lambda: None) as under_way:
        under_way.no_return()
        write_header(state, session)
        log.write_watermark(state, session)
        state.file.sync()
    counts = Counter[int]()
    for record, count in state.sessions.all_rows():
        counts[record.generation] += count
    state.free_of = {each: state.free_of.get(each, state.checkpoint) for each, count in counts.items() if not count}
