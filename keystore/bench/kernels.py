"""The page kernels beside the library that each stands on: its bare loop, which builds the same nonces and data."""

from collections.abc import Iterator
from importlib.util import find_spec

import numpy as np
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from keystore.bench.result import Result
from keystore.bench.timing import Timed, beside, timed
from keystore.crypto.kernel import TAG_BYTES, PageKernel, choose
from keystore.crypto.secret import SecretKey

PAGE_SIZES_BYTES = (4096, 8192, 16384, 32768, 65536)
PAGE_SIZES_QUICK_BYTES = (4096, 16384)
BATCH_BYTES = 1 << 20
"""What is sealed in one call on one thread; it stays in the processor's cache."""
BATCH_OF_THREADS_BYTES = 4 << 20


class Batch:
    """Pages, and every buffer that sealing and opening them need."""

    def __init__(self, page_bytes: int, total_bytes: int) -> None:
        self.page_bytes, self.total_bytes, self.count = page_bytes, total_bytes, total_bytes // page_bytes
        random = np.random.default_rng(1)
        self.key = SecretKey(random.bytes(32))
        self.plain = random.bytes(total_bytes)
        self.nonces = np.zeros((self.count, 12), np.uint8)
        self.nonces[:, 8:] = np.arange(self.count, dtype="<u4").reshape(-1, 1).view(np.uint8)
        self.aads = random.integers(0, 256, (self.count, 40), np.uint8)
        self.tags = np.zeros((self.count, TAG_BYTES), np.uint8)
        self.sealed, self.opened = bytearray(total_bytes + TAG_BYTES), bytearray(total_bytes)

    def seal(self, kernel: PageKernel) -> Timed:
        return timed(
            lambda: kernel.seal_pages(
                self.key, self.plain, self.page_bytes, self.nonces, self.aads, self.sealed, self.tags
            )
        )

    def open(self, kernel: PageKernel) -> Timed:
        ciphertext = memoryview(self.sealed)[: self.total_bytes]
        return timed(
            lambda: kernel.open_pages(
                self.key, ciphertext, self.page_bytes, self.nonces, self.aads, self.tags, self.opened
            )
        )

    def bare(self) -> tuple[Timed, Timed]:
        """Return loops that call `cryptography` for each page, ciphertext and tag together, and nothing else."""
        aead, size = AESGCM(self.key.view()), self.page_bytes
        nonces, aads, plain = self.nonces.tobytes(), self.aads.tobytes(), memoryview(self.plain)
        sealed = [bytearray(size + TAG_BYTES) for _ in range(self.count)]
        opened = memoryview(bytearray(self.total_bytes))

        def seal() -> None:
            encrypt_into = aead.encrypt_into
            for i, out in enumerate(sealed):
                page = plain[i * size : i * size + size]
                encrypt_into(nonces[i * 12 : i * 12 + 12], page, aads[i * 40 : i * 40 + 40], out)

        def open_() -> None:
            decrypt_into = aead.decrypt_into
            for i, data in enumerate(sealed):
                page = opened[i * size : i * size + size]
                decrypt_into(nonces[i * 12 : i * 12 + 12], data, aads[i * 40 : i * 40 + 40], page)

        seal()
        return timed(seal), timed(open_)


def measure(*, quick: bool, budget_s: float) -> Iterator[Result]:
    """Yield seal and open of each kernel that is there, by page size; the native one also on two threads."""
    sizes = PAGE_SIZES_QUICK_BYTES if quick else PAGE_SIZES_BYTES
    for page_bytes in sizes:
        yield from _portable(page_bytes, budget_s)
    if has_native():
        for page_bytes in sizes:
            for threads, total_bytes in ((1, BATCH_BYTES), (2, BATCH_OF_THREADS_BYTES)):
                yield from _native(page_bytes, threads, total_bytes, budget_s)


def has_native() -> bool:
    """Tell whether the native kernel is installed."""
    return find_spec("cmk_keystore_native") is not None


def _portable(page_bytes: int, budget_s: float) -> Iterator[Result]:
    batch, kernel = Batch(page_bytes, BATCH_BYTES), choose("portable")
    seal, open_ = batch.bare()
    yield _result("kernel seal", kernel.name, 1, batch, batch.seal(kernel), seal, budget_s)
    yield _result("kernel open", kernel.name, 1, batch, batch.open(kernel), open_, budget_s)


def _native(page_bytes: int, threads: int, total_bytes: int, budget_s: float) -> Iterator[Result]:
    from cmk_keystore_native import BareLoop

    from keystore.crypto.native import NativeKernel

    batch, kernel = Batch(page_bytes, total_bytes), NativeKernel(choose("portable"), threads)
    bare = BareLoop(page_bytes, batch.count)
    yield _result("kernel seal", kernel.name, threads, batch, batch.seal(kernel), bare.seal, budget_s)
    yield _result("kernel open", kernel.name, threads, batch, batch.open(kernel), bare.open, budget_s)


def _result(name: str, kernel: str, threads: int, batch: Batch, ours: Timed, bare: Timed, budget_s: float) -> Result:
    found = beside(ours, bare, budget_s)
    speed = batch.total_bytes / found.ours_s / 1e9
    return Result(name, kernel, batch.page_bytes, threads, found.ours_s, speed, of_primitive=found.ratio)
