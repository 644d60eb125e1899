"""Sessions of a store: their keys, their limits, and how many entries name each (docs/FORMAT.md, section 3).

Invariants:
1. A (key, nonce) pair is used once: a session's salt is fresh at every opening, its counter never goes back, and the
   counter lives in this object alone, so a copy of the file begins with other keys (F-7, F-8).
2. A key is used only after its commitment was compared (F-10).
"""

import secrets
import time
from dataclasses import dataclass, field
from threading import Lock

import numpy as np

from keystore.crypto.derive import commitments_equal, derive_committed
from keystore.crypto.kernel import KERNEL
from keystore.crypto.secret import SecretKey
from keystore.errors import WrongKeyError
from keystore.format import layout
from keystore.format.block import Prelude
from keystore.format.entry import FEW, U8Array, encode_aad, rows_of
from keystore.format.record import SessionRecord
from keystore.pages.protocols import DataKeys

SEALS_MAX = 1 << 20
"""LIMIT: seals of one session. 2^20 pages of 64 KiB are 2^32 AES blocks: a distinguishing advantage below 2^-64."""
SESSION_S_MAX = 3600.0
"""LIMIT: seconds of one session; bounds what two copies of one running machine share."""
PURPOSE = "page store session 1"


def nonce_of(drawn: bytes, counter: int) -> bytes:
    """Return the nonce of one of the seals that `Session.draw` gave out (F-8)."""
    return drawn + counter.to_bytes(4, "little")


@dataclass
class Session:
    """One session with its keys."""

    record: SessionRecord
    page_key: SecretKey
    metadata_key: SecretKey
    page_aad: bytes
    """The associated data of its pages, with page number 0 (F-11)."""
    seals: int = 0
    reported: int = 0
    started_s: float = field(default_factory=time.monotonic)

    def draw(self, count: int) -> tuple[bytes, int]:
        """Take `count` fresh nonces; return the 8 bytes that all begin with, and the counter of the first.

        SAFETY: 8 bytes from the operating system at every call, then the counter, which is never taken back.
        """
        first = self.seals
        if first + count > 1 << 32:
            raise AssertionError("the seal counter of a session would wrap")  # numpy would wrap it without a word
        drawn = secrets.token_bytes(8)
        self.seals = first + count
        return drawn, first

    def nonces(self, count: int) -> U8Array:
        """Take `count` fresh nonces: shape (count, 12)."""
        drawn, first = self.draw(count)
        if count <= FEW:
            return rows_of(b"".join([nonce_of(drawn, at) for at in range(first, first + count)]), 12)
        rows = np.empty((count, 12), dtype=np.uint8)
        rows[:, :8] = np.frombuffer(drawn, dtype=np.uint8)
        rows[:, 8:] = np.arange(first, first + count, dtype="<u4").view(np.uint8).reshape(count, 4)
        return rows

    def nonce(self) -> bytes:
        """Take one fresh nonce."""
        return nonce_of(*self.draw(1))

    def close(self) -> None:
        """Wipe the keys."""
        for key in (self.page_key, self.metadata_key):
            key.wipe()
            KERNEL.forget(key)  # after the wipe, so that no thread can bring it back between the two


class SessionTable:
    """All sessions of one open store, by number; keys are derived when first asked for."""

    def __init__(self, store_name: str, store_id: bytes, keys: DataKeys) -> None:
        self._name, self._store_id, self._keys = store_name, store_id, keys
        self._rows: dict[int, SessionRecord] = {}
        self._references: dict[int, int] = {}
        self._open: dict[int, Session] = {}
        self._lock = Lock()
        self._wiped = False
        self.current: Session | None = None
        self.next_number = 1

    def begin(self) -> Session:
        """Begin a session under the current data key, with a fresh salt, and make it the current one."""
        self.report_seals()
        generation, data_key = self._keys.current()
        salt = secrets.token_bytes(32)
        number = self.next_number
        session = self._derive(SessionRecord(number, generation, self._store_id, salt, bytes(16)), data_key)
        self._insert(session.record)
        self._open[number] = session
        self.current = session
        return session

    @property
    def generation(self) -> int:
        """The generation that the next session would be under."""
        return self._keys.current()[0]

    def for_seals(self, count: int) -> Session:
        """Return the current session, or a new one if `count` more seals, or the time, would pass its limit."""
        now = self.current
        if now is None or now.record.generation != self._keys.current()[0]:
            return self.begin()
        if now.seals and (now.seals + count > SEALS_MAX or time.monotonic() - now.started_s > SESSION_S_MAX):
            return self.begin()
        return now

    def adopt(self, origin: SessionRecord) -> SessionRecord:
        """Give a session that came from elsewhere a number of this store; its keys and origin stay.

        The same session gets the same number every time.
        """
        for known in self._rows.values():
            if (known.salt, known.origin) == (origin.salt, origin.origin):
                return known
        record = SessionRecord(self.next_number, origin.generation, origin.origin, origin.salt, origin.commitment)
        self._insert(record)
        return record

    def load(self, record: SessionRecord, references: int = 0) -> None:
        """Take over a session read from the file; one that is known keeps its count."""
        self._rows[record.number] = record
        self._references[record.number] = references or self._references.get(record.number, 0)
        self.next_number = max(self.next_number, record.number + 1)

    def load_prelude(self, prelude: Prelude, number: int) -> None:
        """Take over the session that a sealed block describes in the clear."""
        self.load(self.record_of(prelude, number))

    @staticmethod
    def record_of(prelude: Prelude, number: int = 0) -> SessionRecord:
        """Return what the clear part of a sealed block says of its session."""
        return SessionRecord(number, prelude.generation, prelude.store_id, prelude.salt, prelude.commitment)

    def get(self, number: int) -> Session:
        """Return a session with its keys.

        Raises:
            KeyError: no entry of this number.
            WrongKeyError: the data key is unknown here or is another one.
        """
        session = self._open.get(number)
        if session is None:
            with self._lock:
                if self._wiped:
                    raise ValueError("the keys of this store were wiped; open it again")
                session = self._open.get(number)
                if session is None:
                    session = self._open[number] = self.derive(self._rows[number])
        return session

    def record(self, number: int) -> SessionRecord:
        """Return what is stored of a session."""
        return self._rows[number]

    def derive(self, record: SessionRecord) -> Session:
        """Derive the keys of `record` and check its commitment."""
        try:
            data_key = self._keys.by_generation(record.generation)
        except KeyError:
            raise WrongKeyError(
                f"store {self._name}: sealed under data key generation {record.generation}, which this keystore does "
                "not have. Nothing was written; open it with the keystore file that belongs to it"
            ) from None
        session = self._derive(record, data_key)
        if not commitments_equal(session.record.commitment, record.commitment):
            session.close()
            raise WrongKeyError(
                f"store {self._name}: data key generation {record.generation} is not the one that sealed it. "
                "Nothing was written; open it with the keystore file that belongs to it"
            )
        return session

    @staticmethod
    def _derive(record: SessionRecord, data_key: SecretKey) -> Session:
        context = (record.origin, record.generation.to_bytes(4, "little"), bytes([layout.SUITE]))
        (page_key, metadata_key), commitment = derive_committed(data_key, record.salt, PURPOSE, *context, keys=2)
        known = SessionRecord(record.number, record.generation, record.origin, record.salt, commitment)
        return Session(known, page_key, metadata_key, encode_aad(layout.TREE_PAGES, 0, record.origin, 0))

    def _insert(self, record: SessionRecord) -> None:
        self._rows[record.number] = record
        self._references[record.number] = 0
        self.next_number = record.number + 1

    def count(self, number: int, change: int) -> None:
        """Note that `change` more (or fewer) entries name session `number`."""
        references = self._references[number] + change
        if references < 0:
            raise AssertionError(f"session {number} would be named by {references} entries")
        self._references[number] = references

    def __len__(self) -> int:
        """Return how many sessions are known, unused ones too."""
        return len(self._rows)

    def rows(self) -> list[tuple[SessionRecord, int]]:
        """Return the sessions that entries name, and the current one, with their counts; ascending.

        The others stay in memory until close, for readers of older states (F-13).
        """
        now = self.current.record.number if self.current else 0
        return [
            (self._rows[number], self._references[number])
            for number in sorted(self._rows)
            if self._references[number] or number == now
        ]

    def all_rows(self) -> list[tuple[SessionRecord, int]]:
        """Return every session with its count, also those that lost their last entry in this checkpoint; ascending."""
        return [(self._rows[number], self._references[number]) for number in sorted(self._rows)]

    def report_seals(self) -> None:
        """Tell the data keys what the current session has sealed; a new generation may come of it."""
        now = self.current
        if now is not None and now.seals > now.reported:
            seals, now.reported = now.seals - now.reported, now.seals
            self._keys.note_seals(now.record.generation, seals)

    def forget(self, generation: int) -> None:
        """Wipe the keys of all sessions under a data key that was destroyed."""
        with self._lock:
            for number in [n for n, session in self._open.items() if session.record.generation == generation]:
                self._open.pop(number).close()

    def wipe(self) -> None:
        """Wipe every key; no other will be derived."""
        with self._lock:
            self._wiped = True
            for session in self._open.values():
                session.close()
            self._open.clear()
            self.current = None

    def after_fork_in_child(self) -> None:
        """Another thread may have held the lock at the fork; its copy here would stay locked for ever."""
        self._lock = Lock()
