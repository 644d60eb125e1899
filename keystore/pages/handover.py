"""Hands the commits of a store over to its witness: each one after it is durable, and the tail of a killed process.

Invariants:
1. A store without a witness copies nothing and asks nothing.
2. What is handed over is durable, and one record is handed over once, however many threads share it.
3. At an opening, what the record chain has beyond what the witness knows is handed over before a checkpoint folds it
   in; a slot of the chain is not used again before that (F-17).
"""

from contextlib import suppress
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from keystore.errors import StoreError, WrongKeyError
from keystore.format.record import RecordBody, no_changes
from keystore.pages.chain import Link, Scan
from keystore.pages.reading import UnreadableError, open_batch, read_batch
from keystore.pages.state import StoreState
from keystore.pages.witness import Committed, Witness


class Kept:
    """The ciphertext of one commit, copied for the witness as it is written, or not kept at all."""

    def __init__(self, state: StoreState, byte_count: int) -> None:
        self._parts: list[bytes] | None = None
        if state.witness is not None and state.witness.takes(byte_count):
            self._parts = []

    @property
    def wanted(self) -> bool:
        return self._parts is not None

    def add(self, ciphertext: memoryview) -> None:
        """Copy what is being written."""
        if self._parts is not None:
            self._parts.append(bytes(ciphertext))

    def joined(self) -> bytes | None:
        """Return all of it, None where it was not kept."""
        if self._parts is None:
            return None
        return self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)


def hand_over(state: StoreState, body: RecordBody, kept: Kept, *, moved: bool) -> None:
    """Tell of the commit that `state` is at; pages that only `moved` are what they were, and are left out."""
    if state.witness is None:
        return
    with suppress(Exception):  # the commit is durable; the witness finds that one is missing by the tag of the next
        changes, ciphertext = (no_changes(), b"") if moved else (body.changes, kept.joined())
        state.witness.committed(_committed(state, state.sequence, body, state.last_tag, changes, ciphertext))


def hand_over_tail(state: StoreState, scan: Scan) -> None:
    """Tell of the records that were found after the header, as far as they are not known; `state` is at their end."""
    witness = state.witness
    if witness is None or not scan.links:
        return
    known = witness.known(scan.header.sequence, scan.sequence, scan.tag_at)
    for link in scan.links:
        if link.prelude.sequence > known:
            ciphertext, readable = _read(state, witness, link)
            commit = _committed(state, link.prelude.sequence, link.body, link.tag, link.body.changes, ciphertext)
            witness.committed(replace(commit, readable=readable))


def _read(state: StoreState, witness: Witness, link: Link) -> tuple[bytes | None, bool]:
    """Return the pages of a record, each opened to see that it is what was sealed, and whether all are."""
    there = link.body.changes[link.body.changes["entry"]["slot"] != 0]
    if not witness.takes(len(there) * state.page_size):
        return None, True
    entries = np.ascontiguousarray(there["entry"])
    try:
        batch = read_batch(state.file, state.page_size, there["page"].astype(np.uint64), entries)
        plain = open_batch(state.sessions, state.page_size, batch)
    except (UnreadableError, WrongKeyError, StoreError):
        return None, False  # reading that page says so; the log has a gap
    plain[:] = bytes(len(plain))
    return bytes(batch.ciphertext), True


def _committed(
    state: StoreState,
    sequence: int,
    body: RecordBody,
    tag: bytes,
    changes: npt.NDArray[np.void],
    ciphertext: bytes | None,
) -> Committed:
    entries = changes["entry"]
    named = np.unique(entries["session"][entries["slot"] != 0]).tolist()
    return Committed(
        sequence,
        body.time_ns,
        body.previous_tag,
        tag,
        body.page_count,
        body.byte_length,
        changes,
        tuple(state.sessions.record(number) for number in named),
        ciphertext,
    )
