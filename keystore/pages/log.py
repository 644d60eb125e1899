"""Writes commit records and the watermark, and announces where the next records will stand (docs/FORMAT.md, section 6).

Invariant: a place is announced once. After an opening, fresh places are announced, so that a record that was rejected
stands where nobody will look again.
"""

import time

from keystore.format import block, layout
from keystore.pages.sealed import overflow_bytes, seal_whole
from keystore.pages.sessions import Session, nonce_of
from keystore.pages.state import StoreState

WATERMARK_S = 0.02
"""LIMIT: seconds after a commit wrote the watermark in which others leave it as it is (F-26). It costs a commit a third
place to write, and its seal; commits one after another pay that once in a hundred."""


def new_place(state: StoreState, *, use_reserve: bool = False) -> int:
    """Take the place after `later_place` if its slot has room, else the first place of a new slot."""
    per_slot = state.page_size // layout.BLOCK_BYTES
    following = state.later_place + 1
    if state.later_place and following % per_slot:
        return following
    take = state.space.take_for_checkpoint if use_reserve else state.space.take
    slot = take(1)[0]
    state.log_slots.append(slot)
    return slot * per_slot


def announce_fresh_places(state: StoreState) -> None:
    """Give up the announced places and announce two in a slot that held no record of this chain."""
    state.next_place = state.later_place = 0
    state.next_place = new_place(state, use_reserve=True)
    state.later_place = state.next_place
    state.later_place = new_place(state, use_reserve=True)


def drop_passed_slots(state: StoreState) -> None:
    """Kill the slots of records that a coming header will have folded in."""
    per_slot = state.page_size // layout.BLOCK_BYTES
    coming = {state.next_place // per_slot, state.later_place // per_slot}
    state.space.slots.kill([slot for slot in state.log_slots if slot not in coming])
    state.log_slots = [slot for slot in state.log_slots if slot in coming]


def take_runs(state: StoreState, body_bytes: int, *, use_reserve: bool) -> list[tuple[int, int]]:
    """Take slots for what of a record does not fit in its first block; runs of adjacent slots."""
    if body_bytes <= block.INLINE_BYTES_MAX:
        return []
    needed = -(-overflow_bytes(body_bytes, block.RUNS_MAX) // state.page_size)
    slots = state.space.take_for_checkpoint(needed) if use_reserve else state.space.take(needed)
    if len(adjacent_runs(slots)) > block.RUNS_MAX:
        state.space.slots.untake(slots)
        slots = state.space.take_adjacent(needed)
    state.log_slots += slots
    return adjacent_runs(slots)


def adjacent_runs(slots: list[int]) -> list[tuple[int, int]]:
    """Group ascending neighbours: ``[5, 6, 7, 2] -> [(5, 3), (2, 1)]``."""
    if slots and slots[-1] - slots[0] == len(slots) - 1 and slots == list(range(slots[0], slots[-1] + 1)):
        return [(slots[0], len(slots))]
    runs: list[tuple[int, int]] = []
    for slot in slots:
        if runs and slot == sum(runs[-1]):
            runs[-1] = (runs[-1][0], runs[-1][1] + 1)
        else:
            runs.append((slot, 1))
    return runs


def seal_record(state: StoreState, body: bytes, session: Session, nonce: bytes, runs: list[tuple[int, int]]) -> bytes:
    """Return the whole record, its first 4096 bytes and then what goes into the runs."""
    prelude = state.prelude(block.RECORD, session, state.sequence + 1, len(body), nonce, runs=len(runs))
    return seal_whole(prelude, body, session, runs)


def write_record(state: StoreState, place: int, record: bytes, runs: list[tuple[int, int]]) -> None:
    """Write a sealed record to its place and its runs; not durable before the next sync."""
    at = layout.BLOCK_BYTES
    for slot, count in runs:
        part = record[at : at + count * state.page_size]
        state.file.write(slot * state.page_size, part)
        at += len(part)
    state.file.write(place * layout.BLOCK_BYTES, record[: layout.BLOCK_BYTES].ljust(layout.BLOCK_BYTES, b"\0"))


def write_watermark_if_due(state: StoreState, session: Session, drawn: bytes, counter: int) -> None:
    """Write the watermark after a commit, unless another commit did so just before (F-26); its nonce is of these."""
    now_s = time.monotonic()
    if now_s - state.watermark_s >= WATERMARK_S:
        state.watermark_s = now_s
        write_watermark(state, session, nonce_of(drawn, counter))


def write_watermark(state: StoreState, session: Session, nonce: bytes | None = None) -> None:
    """Write down that the present sequence was acknowledged; no sync."""
    tag = state.last_tag
    prelude = state.prelude(block.WATERMARK, session, state.sequence, len(tag), nonce or session.nonce())
    sealed = seal_whole(prelude, tag, session)
    state.file.write(layout.WATERMARK_OFFSET, sealed.ljust(layout.WATERMARK_BYTES, b"\0"))
    state.watermark = state.sequence
