"""What a commit record changes in memory: the same steps for a commit that just became durable and for one replayed.

`find_replaced` reads and may fail; `apply_record` reads nothing and cannot.
"""

from itertools import islice
from typing import NamedTuple

from keystore.errors import InputError
from keystore.format import layout
from keystore.format.entry import HOLE, places_of
from keystore.format.record import RecordBody
from keystore.pages.state import StoreState


class Replaced(NamedTuple):
    """What the coming commit takes out of the map."""

    slots: list[int]
    sessions: dict[int, int]
    """How many entries of each session go."""
    cut: list[int]
    """Pages beyond the new end, which become holes."""
    former: list[tuple[int, bytes]]
    """All of these pages, and what they are now."""


def find_replaced(state: StoreState, page_nos: list[int], page_count: int, *, cut_max: int | None = None) -> Replaced:
    """Look up what pages `page_nos`, and all pages from `page_count` on, are now.

    Raises:
        StoreDamagedError: a node of the map cannot be read; nothing changed.
        InputError: more than `cut_max` pages lie beyond the new end.
    """
    old = state.pages.entries(page_nos)
    stop = None if cut_max is None else cut_max + 1
    beyond = dict(islice(state.pages.existing(page_count), stop)) if page_count < state.page_count else {}
    if cut_max is not None and len(beyond) > cut_max:
        raise InputError(
            f"store {state.name}: more than {cut_max} pages beyond the new end of {page_count}, too many for one "
            "commit. Nothing was changed; `cut` does it in steps"
        )
    slots, sessions = places_of([*old, *beyond.values()] if beyond else old)
    state.space.slots.load_for(slots)
    return Replaced(slots, sessions, list(beyond), [*zip(page_nos, old, strict=True), *beyond.items()])


def apply_record(state: StoreState, sequence: int, body: RecordBody, tag: bytes, replaced: Replaced) -> None:
    """Make a durable record the present state. Its slots are marked already."""
    state.space.slots.kill(replaced.slots)
    for number, count in replaced.sessions.items():
        state.sessions.count(number, -count)
    entries = dict(body.entries())
    for number, count in places_of(list(entries.values()))[1].items():
        state.sessions.count(number, count)
    with state.map_lock:
        state.torn = True
        state.pages.former.note(sequence, replaced.former)
        if replaced.cut:
            state.pages.apply(dict.fromkeys(replaced.cut, HOLE))
        state.pages.apply(entries)
        state.sequence, state.last_tag, state.time_ns = sequence, tag, body.time_ns
        state.page_count, state.byte_length = body.page_count, body.byte_length
        state.torn = False
    state.next_place, state.later_place = body.next_place, body.later_place
    state.records += 1
    state.record_bytes += layout.BLOCK_BYTES + len(body.rows)
