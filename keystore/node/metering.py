"""Counts what is sealed under each data key, and changes the key of a database that has reached its limit.

A data key seals nothing itself: it derives session keys, and no session seals more than 2^20 pages or blocks
(`keystore.pages.sessions`). So the limit bounds the sum over all sessions, and what one lost key lays open.

The count is kept in the keystore file. That is written for it only where much has come together, so a crash loses less
than `SAVE_SEALS` of it and an orderly end less than `CLOSE_SEALS`: the limit is a good deal below where it would have
to be exact.
"""

import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress

from keystore.errors import KeystoreError
from keystore.keys.hierarchy import DatabaseKeys, Keystore
from keystore.node.custody import Custody

SEALS_MAX = 1 << 32
"""LIMIT: seals under one data key. NIST SP 800-38D, 8.3, allows 2^32 for a single AES-GCM key with random nonces; here
they are spread over keys of 2^20 seals each. The advantages of those add up: 2^12 full sessions of 64 KiB pages, each
below 2^-64 (2^32 AES blocks), stay below 2^-52. It is 16 TiB in pages of 4 KiB. ZFS changes its derived key after
4·10^8 blocks, and never the key above it."""
SAVE_SEALS = 1 << 22
"""LIMIT: seals that may be counted in memory alone."""
CLOSE_SEALS = 1 << 16
"""LIMIT: seals that an orderly end may leave uncounted."""


class SealMeter:
    """The counts of an open node. Threads may share it."""

    def __init__(self, custody: Custody, now_ns: Callable[[], int]) -> None:
        self._custody, self._now_ns = custody, now_ns
        self._lock = threading.Lock()
        self._pending: Counter[tuple[str, int]] = Counter()

    def keys(self, database: str) -> "MeteredKeys":
        """Return the data keys of a database as page stores ask for them, new generations as they come."""
        return MeteredKeys(self, self._custody, database)

    def add(self, database: str, generation: int, seals: int) -> None:
        """Note `seals` more; write them down, and change the data key, where that is due.

        What cannot be written now is tried again with the next session; no commit fails for it.
        """
        with self._lock:
            self._pending[database, generation] += seals
            pending = self._pending[database, generation]
        if pending >= SAVE_SEALS or self._is_over(database, generation, pending):
            self._save()

    def close(self) -> None:
        """Write down what is worth a writing of the keystore file."""
        with self._lock:
            pending = self._pending.total()
        if pending >= CLOSE_SEALS:
            self._save()

    def _is_over(self, database: str, generation: int, pending: int) -> bool:
        known = self._custody.keystore.databases.get(database)
        return (
            any(key.generation == generation and key.seals + pending >= SEALS_MAX for key in known.data_keys)
            if known
            else False
        )

    def _save(self) -> None:
        taken: Counter[tuple[str, int]] = Counter()

        def add(keystore: Keystore) -> Keystore:
            with self._lock:
                taken.update(self._pending)
                self._pending.clear()
            for (name, generation), seals in taken.items():
                database = keystore.databases.get(name)
                if database is None or not database.data_keys:
                    continue
                database = database.with_seals(generation, seals)
                if database.current.seals >= SEALS_MAX:
                    database = database.with_new_generation(self._now_ns())
                keystore = keystore.with_database(database)
            return keystore

        try:
            with suppress(KeystoreError):
                self._custody.change(add)
                taken.clear()
        finally:
            with self._lock:
                self._pending.update(taken)


class MeteredKeys(DatabaseKeys):
    """The data keys of one database, whose use is counted."""

    def __init__(self, meter: SealMeter, custody: Custody, database: str) -> None:
        super().__init__(lambda: custody.keystore.database(database))
        self._meter, self._name = meter, database

    def note_seals(self, generation: int, seals: int) -> None:
        self._meter.add(self._name, generation, seals)
