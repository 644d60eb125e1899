"""Randomness that repeats: the same seed gives the same ids, materials and nonces, in the order they are asked for.

Anybody can compute it. It is for tests that compare whole answers, and must never guard anything.
"""

import hashlib
import struct
import threading

SEED_MAX = (1 << 64) - 1

_LABEL = b"kms-emulator repeated randomness\x00"


class RepeatedEntropy:
    """Random bytes of a seed: SHAKE-256 over the seed and the number of the request."""

    def __init__(self, seed: int) -> None:
        if not 0 <= seed <= SEED_MAX:
            raise ValueError(f"a seed is a number from 0 to {SEED_MAX}")
        self.seed, self._asked, self._start = seed, 0, 0
        self._lock = threading.Lock()

    def __call__(self, length: int) -> bytes:
        """Return the next `length` bytes."""
        with self._lock:
            number, self._asked = self._asked, self._asked + 1
        return hashlib.shake_256(_LABEL + struct.pack(">QQ", self.seed, number)).digest(length)

    def mark(self) -> None:
        """Let `restart` come back to here."""
        with self._lock:
            self._start = self._asked

    def restart(self) -> None:
        """Begin again where `mark` was, or at the beginning."""
        with self._lock:
            self._asked = self._start
