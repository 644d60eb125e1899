"""What a decoder is to a fuzzer: bytes go in, and a value or a refusal comes out.

A refusal is one of the error types that the decoder's callers expect. Anything else is a bug: another exception, a
value that does not come back from its own encoding, or memory out of proportion.
"""

import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CORPUS = Path(__file__).parent / "corpus"
GENUINE = "genuine-"
"""Beginning of the names of files that must decode. All others are bytes that once did harm."""

MEMORY_BYTES_MAX = 4 << 20
MEMORY_FACTOR_MAX = 256
"""LIMIT: bytes that decoding may take: a fixed part, and for each byte that was given (a Python object has some 50)."""


@dataclass(frozen=True)
class Target:
    """A decoder.

    Attributes:
        decode: is given any bytes.
        refusals: what it may raise.
        encode: the way back, where there is one: what it makes of a value decodes to the same again.
        mend: makes a checksum right, so that changed bytes come further than that.
    """

    name: str
    decode: Callable[[bytes], Any]
    refusals: tuple[type[Exception], ...]
    encode: Callable[[Any], bytes] | None = None
    mend: Callable[[bytes], bytes] | None = None

    def try_out(self, data: bytes) -> bool:
        """Decode `data`, and what it becomes with a right checksum; tell whether `data` itself was accepted.

        Raises:
            AssertionError: a value does not come back from its encoding.
        """
        accepted = self._try_one(data)
        if self.mend is not None:
            self._try_one(self.mend(data))
        return accepted

    def try_bounded(self, data: bytes) -> bool:
        """As `try_out`; memory is measured too."""
        tracemalloc.start()
        try:
            accepted = self.try_out(data)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak <= MEMORY_BYTES_MAX + MEMORY_FACTOR_MAX * len(data), f"{peak} bytes of memory for {len(data)}"
        return accepted

    def seeds(self) -> list[tuple[str, bytes]]:
        """Return names and contents of the files that are kept for this target."""
        return [(path.name, path.read_bytes()) for path in sorted((CORPUS / self.name).iterdir())]

    def _try_one(self, data: bytes) -> bool:
        try:
            value = self.decode(data)
        except self.refusals:
            return False
        if self.encode is not None:
            encoded = self.encode(value)
            assert self.encode(self.decode(encoded)) == encoded, "it does not come back from its encoding"
        return True
