"""One type for key bytes: hidden from `repr`, pickles and comparisons, and wiped when done.

Key bytes lie in memory that is neither swapped out nor dumped, where the system allows that (`keystore.crypto.locked`).

Leaves to others: what a key is for. Python may have copied the bytes before they came here, and the libraries keep
expanded keys of their own; docs/THREAT_MODEL.md states that limit.
"""

import hmac
from collections.abc import Callable
from typing import NoReturn, Self

from keystore.crypto.locked import MEMORY, fill_with_random


class SecretKey:
    """Owns `length` key bytes in memory of its own; a context manager that wipes them.

    Raises:
        ValueError: on use after `wipe`.
    """

    __slots__ = ("_bytes", "_wiped")

    def __init__(self, key: bytes | bytearray | memoryview) -> None:
        """Copy `key`; the caller's copy stays the caller's to wipe."""
        self._bytes = MEMORY.take(memoryview(key).nbytes)
        self._bytes[:] = key
        self._wiped = False

    @classmethod
    def generate(cls, length: int = 32) -> Self:
        """Take `length` bytes from the operating system's generator."""
        return cls.filled(length, fill_with_random)

    @classmethod
    def filled(cls, length: int, fill: Callable[[memoryview], object]) -> Self:
        """Let `fill` write `length` bytes where they stay, so that no copy of them is left anywhere else."""
        key = cls.__new__(cls)
        key._bytes, key._wiped = MEMORY.take(length), False
        fill(key._bytes)
        return key

    def view(self) -> memoryview:
        """Return the bytes, read-only and uncopied. Do not keep it longer than the call it is for."""
        self.check()
        return self._bytes.toreadonly()

    def wipe(self) -> None:
        """Overwrite the bytes with zeros. May be called twice."""
        self._wiped = True
        self._bytes[:] = bytes(len(self._bytes))

    def check(self) -> None:
        """Raise ValueError if the key was wiped.

        SAFETY: another thread may wipe while this one computes with `view`. The mark is set before the first zero is
        written, so who calls this *after* the computation knows that it saw the whole key.
        """
        if self._wiped:
            raise ValueError("this key was wiped; open its owner again")

    @property
    def wiped(self) -> bool:
        return self._wiped

    def __len__(self) -> int:
        return len(self._bytes)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.wipe()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SecretKey):
            return NotImplemented
        return hmac.compare_digest(self._bytes, other._bytes)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<SecretKey of {len(self._bytes)} bytes>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a SecretKey is never pickled or copied")
