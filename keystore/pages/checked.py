"""Opens sealed pages to see that they open, and keeps nothing of what they say.

For who copies pages as they are: a snapshot, a restore that adopts them. They are opened a piece at a time into one
scratch that stays in the processor's cache, and that is wiped before `check` returns.
"""

from itertools import pairwise

import numpy as np

from keystore.crypto.kernel import KERNEL, TagMismatchError
from keystore.format import layout
from keystore.format.entry import encode_aads
from keystore.pages.reading import Batch, UnreadableError
from keystore.pages.sessions import Session, SessionTable

SCRATCH_BYTES = 256 << 10
"""LIMIT: bytes of plaintext held at once."""
_ZEROS = bytes(SCRATCH_BYTES)


class Checker:
    """Checks pages of one size; for one thread to use."""

    def __init__(self, page_size: int) -> None:
        self._page_size = page_size
        self._scratch = memoryview(bytearray(SCRATCH_BYTES))

    def check(self, sessions: SessionTable, batch: Batch) -> None:
        """Open every page of a batch.

        Raises:
            UnreadableError: with the first page that did not open.
            WrongKeyError: the data key of a session is missing or another one.
        """
        numbers = batch.entries["session"]
        starts = [0, *(np.flatnonzero(np.diff(numbers)) + 1).tolist(), len(numbers)]
        try:
            for start, stop in pairwise(starts):
                if start < stop:
                    self._check_run(_session(sessions, int(numbers[start]), start), batch, start, stop)
        finally:
            self._scratch[:] = _ZEROS

    def _check_run(self, session: Session, batch: Batch, start: int, stop: int) -> None:
        """Open the pages from `start` to `stop`, all of one session."""
        size, entries = self._page_size, batch.entries[start:stop]
        nonces, tags = np.ascontiguousarray(entries["nonce"]), np.ascontiguousarray(entries["tag"])
        aads = encode_aads(layout.TREE_PAGES, 0, session.record.origin, batch.page_nos[start:stop])
        step = SCRATCH_BYTES // size
        for at in range(0, stop - start, step):
            part = slice(at, min(at + step, stop - start))
            source = batch.ciphertext[(start + part.start) * size : (start + part.stop) * size]
            key, out = session.page_key, self._scratch[: len(source)]
            try:
                KERNEL.open_pages(key, source, size, nonces[part], aads[part], tags[part], out)
            except TagMismatchError as error:
                index = start + at + error.index
                raise UnreadableError(index, f"the tag of slot {batch.entries['slot'][index]} does not match") from None


def _session(sessions: SessionTable, number: int, index: int) -> Session:
    try:
        return sessions.get(number)
    except KeyError:
        raise UnreadableError(index, f"it names session {number}, which is unknown") from None
