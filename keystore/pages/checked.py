"""Opens sealed pages to see that they open, and keeps nothing of what they say.

For who copies pages as they are: a snapshot, a restore that adopts them. They are opened a piece at a time into one
scratch that stays in the processor's cache, and that is wiped before `check` returns.
"""

from keystore.pages.reading import Batch, open_run, session_runs
from keystore.pages.sessions import SessionTable

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
        try:
            for session, start, stop in session_runs(sessions, batch):
                open_run(session, self._page_size, batch, start, stop, self._scratch)
        finally:
            self._scratch[:] = _ZEROS
