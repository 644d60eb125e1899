"""Chance, time and growth under the control of a test: a store on a simulated disk repeats itself, and costs little.

Salts and nonces come from a seeded stream, so equal states have equal bytes and a seed brings a failure back. A stream
is named: futures of one image share the stream of their depth, and so the keys of their sessions, which are derived
once; a store and its recovery never share one. The file grows in small steps, so that a life of a few pages grows
often. SAFETY: these keys and nonces repeat; nothing but a crash test may run under it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from random import Random
from typing import Final
from unittest.mock import patch

from keystore.crypto.derive import derive_committed
from keystore.crypto.secret import SecretKey
from keystore.pages.log import WATERMARK_S

GROW_BYTES: Final = 1 << 17
"""One step of growth: 32 pages."""


@dataclass
class Determined:
    """Stands in for the system's randomness and clock."""

    seed: str
    _random: Random = field(default_factory=Random)
    _now_ns: int = 0
    _now_s: float = 0.0

    def begin(self, stream: str) -> None:
        """Draw from the beginning of this stream from now on."""
        self._random = Random(f"{self.seed} {stream}")
        self._now_ns, self._now_s = 0, 0.0

    def token_bytes(self, length: int) -> bytes:
        return self._random.randbytes(length)

    def fill(self, view: memoryview) -> None:
        view[:] = self.token_bytes(len(view))

    def monotonic(self) -> float:
        """Go on by so much that some commits write the watermark, and some are too early for it."""
        self._now_s += WATERMARK_S / 5
        return self._now_s

    def time_ns(self) -> int:
        self._now_ns += 1
        return self._now_ns


@lru_cache(maxsize=1 << 10)
def _derived(key: bytes, salt: bytes, purpose: str, context: tuple[bytes, ...], keys: int) -> tuple[list[bytes], bytes]:
    parts, commitment = derive_committed(SecretKey(key), salt, purpose, *context, keys=keys)
    return [bytes(part.view()) for part in parts], commitment


def _derive_once(
    key: SecretKey, salt: bytes, purpose: str, *context: bytes, keys: int = 1
) -> tuple[tuple[SecretKey, ...], bytes]:
    """As `derive_committed`; each caller gets keys of its own, to wipe."""
    parts, commitment = _derived(bytes(key.view()), salt, purpose, context, keys)
    return tuple(SecretKey(part) for part in parts), commitment


@contextmanager
def determined(seed: str) -> Iterator[Determined]:
    """Let every store in this process draw from seeded streams, beginning with "life"."""
    source = Determined(seed)
    source.begin("life")
    with (
        patch("secrets.token_bytes", source.token_bytes),
        patch("keystore.crypto.secret.fill_with_random", source.fill),
        patch("time.time_ns", source.time_ns),
        patch("time.monotonic", source.monotonic),
        patch("keystore.pages.sessions.derive_committed", _derive_once),
        patch("keystore.pages.space.GROW_BYTES_MIN", GROW_BYTES),
    ):
        yield source
