"""What a commit record changes in memory: the same steps for a commit that just became durable and for one replayed.

`find_replaced` reads and may fail; `count_record` and `show_record` read nothing and cannot.
"""

from itertools import chain, islice
from typing import NamedTuple

from keystore.errors import InputError
from keystore.format import layout
from keystore.format.entry import FEW, HOLE, places_of
from keystore.format.record import RecordBody
from keystore.pages.pagemap import Leaves
from keystore.pages.state import StoreState


class Replaced(NamedTuple):
    """What the coming commit takes out of the map."""

    page_nos: list[int]
    leaves: Leaves
    """With these, looking up the entries that `page_nos` have now reads nothing."""
    old: list[bytes] | None
    """These entries, where so many are looked up at once."""
    cut: dict[int, bytes]
    """Pages beyond the new end, which become holes, and their entries."""


class Counted(NamedTuple):
    """What `show_record` needs of a record that was counted."""

    entries: dict[int, bytes]
    """The new ones by page."""
    old: list[bytes]


def find_replaced(state: StoreState, page_nos: list[int], page_count: int, *, cut_max: int | None = None) -> Replaced:
    """Find pages `page_nos`, and all pages from `page_count` on, in the map, and in memory what counting them takes.

    Raises:
        StoreDamagedError: a node of the map cannot be read; nothing changed.
        InputError: more than `cut_max` pages lie beyond the new end.
    """
    cut: dict[int, bytes] = {}
    if page_count < state.page_count:
        cut = dict(islice(state.pages.existing(page_count), None if cut_max is None else cut_max + 1))
    if cut_max is not None and len(cut) > cut_max:
        raise InputError(
            f"store {state.name}: more than {cut_max} pages beyond the new end of {page_count}, too many for one "
            "commit. Nothing was changed; `cut` does it in steps"
        )
    if len(page_nos) <= FEW and state.space.slots.is_loaded:
        return Replaced(page_nos, state.pages.leaves_of(page_nos), None, cut)
    old = state.pages.entries(page_nos)
    state.space.slots.load_for(places_of([*old, *cut.values()])[0])
    return Replaced(page_nos, {}, old, cut)


def count_record(state: StoreState, body: RecordBody, replaced: Replaced) -> Counted:
    """Note what slots and sessions lose and gain by a record; readers see none of it.

    Its slots are marked already. A commit does this while its record is being written.
    """
    old = state.pages.entries(replaced.page_nos, replaced.leaves) if replaced.old is None else replaced.old
    slots, sessions = places_of([*old, *replaced.cut.values()] if replaced.cut else old)
    state.space.slots.kill(slots)
    for number, count in sessions.items():
        state.sessions.count(number, -count)
    entries = dict(body.entries())
    for number, count in places_of(list(entries.values()))[1].items():
        state.sessions.count(number, count)
    return Counted(entries, old)


def show_record(
    state: StoreState, sequence: int, body: RecordBody, tag: bytes, replaced: Replaced, counted: Counted
) -> None:
    """Make a durable record the present state."""
    with state.map_lock:
        state.torn = True
        former = zip(replaced.page_nos, counted.old, strict=True)
        state.pages.former.note(sequence, chain(former, replaced.cut.items()))
        if replaced.cut:
            state.pages.apply(dict.fromkeys(replaced.cut, HOLE))
        state.pages.apply(counted.entries)
        state.sequence, state.last_tag, state.time_ns = sequence, tag, body.time_ns
        state.page_count, state.byte_length = body.page_count, body.byte_length
        state.torn = False
    state.next_place, state.later_place = body.next_place, body.later_place
    state.records += 1
    state.record_bytes += layout.BLOCK_BYTES + len(body.rows)
