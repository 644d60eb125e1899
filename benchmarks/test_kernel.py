"""The page kernel beside the library it stands on, called once for each page with nothing around it.

`extra_info` has MiB/s of both and their ratio: 1.0 would mean that the kernel costs nothing.
"""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from keystore.crypto.kernel import KERNEL, TAG_BYTES
from keystore.crypto.secret import SecretKey

PAGE_SIZES_BYTES = (4096, 8192, 16384, 32768, 65536)
BATCH_BYTES = 1 << 20
"""What a commit seals in one call."""
ROUNDS = 50


class Batch:
    """One batch of pages, with every buffer that sealing and opening need."""

    def __init__(self, page_size: int) -> None:
        self.page_size, self.count = page_size, BATCH_BYTES // page_size
        random = np.random.default_rng(1)
        self.key = SecretKey(random.bytes(32))
        self.plaintext = random.bytes(BATCH_BYTES)
        self.nonces = random.integers(0, 256, (self.count, 12), np.uint8)
        self.aads = random.integers(0, 256, (self.count, 40), np.uint8)
        self.tags = np.zeros((self.count, TAG_BYTES), np.uint8)
        self.sealed = bytearray(BATCH_BYTES + TAG_BYTES)
        self.opened = bytearray(BATCH_BYTES)

    def seal(self) -> None:
        KERNEL.seal_pages(self.key, self.plaintext, self.page_size, self.nonces, self.aads, self.sealed, self.tags)

    def open(self) -> None:
        ciphertext = memoryview(self.sealed)[:BATCH_BYTES]
        KERNEL.open_pages(self.key, ciphertext, self.page_size, self.nonces, self.aads, self.tags, self.opened)

    def bare(self) -> tuple[Callable[[], None], Callable[[], None]]:
        """Return loops that call the library for each page, ciphertext and tag together."""
        aead, size = AESGCM(self.key.view()), self.page_size
        nonces, aads = [row.tobytes() for row in self.nonces], [row.tobytes() for row in self.aads]
        pages = [self.plaintext[i * size : (i + 1) * size] for i in range(self.count)]
        sealed = [bytearray(size + TAG_BYTES) for _ in pages]
        page = bytearray(size)

        def seal() -> None:
            for nonce, aad, plain, out in zip(nonces, aads, pages, sealed, strict=True):
                aead.encrypt_into(nonce, plain, aad, out)

        def open_() -> None:
            for nonce, aad, data in zip(nonces, aads, sealed, strict=True):
                aead.decrypt_into(nonce, data, aad, page)

        seal()
        return seal, open_


def best_s(call: Callable[[], None]) -> float:
    """Return the shortest of many runs, in seconds."""
    times = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return min(times)


@pytest.mark.parametrize("page_size", PAGE_SIZES_BYTES)
@pytest.mark.parametrize("what", ["seal", "open"])
def test_kernel_beside_the_bare_library(benchmark: Any, what: str, page_size: int) -> None:
    batch = Batch(page_size)
    batch.seal()
    ours, bare = (batch.seal, batch.bare()[0]) if what == "seal" else (batch.open, batch.bare()[1])
    bare_s = best_s(bare)
    benchmark.pedantic(ours, rounds=ROUNDS, warmup_rounds=3)
    ours_s = benchmark.stats.stats.min
    benchmark.extra_info |= {
        "kernel": KERNEL.name,
        "mib_per_s": round(BATCH_BYTES / ours_s / (1 << 20)),
        "bare_mib_per_s": round(BATCH_BYTES / bare_s / (1 << 20)),
        "ratio": round(bare_s / ours_s, 3),
    }
