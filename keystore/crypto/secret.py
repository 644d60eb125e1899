"""One type for key bytes: hidden from `repr`, pickles and comparisons, and wiped when done.

Leaves to others: what a key is for. Python may have copied the bytes before they came here, and the libraries keep
expanded keys of their own; docs/THREAT_MODEL.md states that limit.
"""

import hmac
import secrets
from typing import NoReturn, Self


class SecretKey:
    """Owns `length` key bytes in memory of its own; a context manager that wipes them.

    Raises:
        ValueError: on use after `wipe`.
    """

    __slots__ = ("_bytes", "_wiped")

    def __init__(self, key: bytes | bytearray | memoryview) -> None:
        """Copy `key`; the caller's copy stays the caller's to wipe."""
        self._bytes = bytearray(key)
        self._wiped = False

    @classmethod
    def generate(cls, length: int = 32) -> Self:
        """Take `length` bytes from the operating system's generator."""
        return cls(secrets.token_bytes(length))

    def view(self) -> memoryview:
        """Return the bytes, read-only and uncopied. Do not keep it longer than the call it is for."""
        self.check()
        return memoryview(self._bytes).toreadonly()

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
