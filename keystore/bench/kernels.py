"""The page kernels beside the library that each stands on: its bare loop, which builds the same nonces and data.

Beside them too: one call for each page through `cryptography`, and a plain copy of the same bytes in memory.

Data is in the processor's cache: a turn is several calls over the same memory, so that what others left there in their
turns weighs little, and the native kernel and its bare loop work on the very same buffers.
"""

from collections.abc import Iterator
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from keystore.bench.result import Result
from keystore.bench.timing import Timed, Turns, in_turns, timed
from keystore.crypto.kernel import TAG_BYTES, PageKernel, choose
from keystore.crypto.secret import SecretKey

PAGE_SIZES_BYTES = (4096, 8192, 16384, 32768, 65536)
PAGE_SIZES_QUICK_BYTES = (4096, 16384)
BATCH_BYTES = 1 << 20
"""What is sealed in one call on one thread; it stays in the processor's cache."""
THREADS = 2
BATCH_OF_THREADS_BYTES = THREADS * BATCH_BYTES
"""As much for each thread as one thread has."""
CALLS_A_TURN = 16
NATIVE_MIN = 0, 3
AAD_BYTES = 40


class Batch:
    """Pages, and every buffer that sealing and opening them need."""

    def __init__(self, page_bytes: int, total_bytes: int) -> None:
        self.page_bytes, self.total_bytes, self.count = page_bytes, total_bytes, total_bytes // page_bytes
        random = np.random.default_rng(1)
        self.key = SecretKey(random.bytes(32))
        self.plain = random.bytes(total_bytes)
        self.nonces = np.zeros((self.count, 12), np.uint8)
        self.nonces[:, 8:] = np.arange(self.count, dtype="<u4").reshape(-1, 1).view(np.uint8)
        self.aads = np.zeros((self.count, AAD_BYTES), np.uint8)
        self.aads[:, 32:] = np.arange(self.count, dtype="<u8").reshape(-1, 1).view(np.uint8)
        self.tags = np.zeros((self.count, TAG_BYTES), np.uint8)
        self.sealed, self.opened = bytearray(total_bytes + TAG_BYTES), bytearray(total_bytes)

    def seal(self, kernel: PageKernel) -> Timed:
        return timed(
            lambda: kernel.seal_pages(
                self.key, self.plain, self.page_bytes, self.nonces, self.aads, self.sealed, self.tags
            )
        )

    def open(self, kernel: PageKernel) -> Timed:
        lent = kernel.name == "portable"  # a store reads into memory of its own, so it can lend it
        ciphertext = memoryview(self.sealed)[: self.total_bytes + (TAG_BYTES if lent else 0)]
        return timed(
            lambda: kernel.open_pages(
                self.key, ciphertext, self.page_bytes, self.nonces, self.aads, self.tags, self.opened, lent=lent
            )
        )

    def work(self, what: str, kernel: PageKernel) -> Timed:
        """Return sealing or opening, with sealed pages there to open."""
        self.seal(kernel)()
        return self.seal(kernel) if what == "seal" else self.open(kernel)

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

    def bare_native(self, what: str, threads: int) -> Timed:
        """Return the loop over aws-lc-rs, on the same memory: a turn of as many calls as the others have."""
        from cmk_keystore_native import BareLoop, PageKey

        loop, ciphertext = BareLoop(PageKey(self.key.view()), self.page_bytes), memoryview(self.sealed)[:-TAG_BYTES]
        if what == "seal":
            return lambda: loop.seal(self.plain, self.sealed, self.tags, threads, CALLS_A_TURN)
        return lambda: loop.open(ciphertext, self.opened, self.tags, threads, CALLS_A_TURN)

    def copy(self) -> Timed:
        source, target = np.frombuffer(self.plain, np.uint8), np.zeros(self.total_bytes, np.uint8)
        return timed(lambda: np.copyto(target, source))


def measure(*, quick: bool, budget_s: float) -> Iterator[Result]:
    """Yield seal and open of each kernel that is there, by page size; the native one also on two threads."""
    sizes = PAGE_SIZES_QUICK_BYTES if quick else PAGE_SIZES_BYTES
    for page_bytes in sizes:
        for what in ("seal", "open"):
            yield from _portable(what, page_bytes, budget_s)
    if has_native():
        for page_bytes in sizes:
            for what in ("seal", "open"):
                yield from _native(what, page_bytes, budget_s)
                yield from _threads(what, page_bytes, budget_s)


def has_native() -> bool:
    """Tell whether the native kernel is installed, and with a bare loop beside it as this module needs it."""
    try:
        return tuple(map(int, version("cmk-keystore-native").split(".")[:2])) >= NATIVE_MIN
    except PackageNotFoundError:
        return False


def _portable(what: str, page_bytes: int, budget_s: float) -> Iterator[Result]:
    batch = Batch(page_bytes, BATCH_BYTES)
    library = batch.bare()[what == "open"]
    calls = {"ours": batch.work(what, choose("portable")), "primitive": library, "memcpy": batch.copy()}
    turns = in_turns({name: _several(call) for name, call in calls.items()}, budget_s)
    yield _result(f"kernel {what}", "portable", 1, batch, turns)
    yield _speed(f"one call a page, {what}", "cryptography", batch, turns, "primitive")


def _native(what: str, page_bytes: int, budget_s: float) -> Iterator[Result]:
    from keystore.crypto.native import NativeKernel

    batch = Batch(page_bytes, BATCH_BYTES)
    calls = {
        "ours": _several(batch.work(what, NativeKernel(choose("portable"), 1))),
        "primitive": batch.bare_native(what, 1),
        "library": _several(batch.bare()[what == "open"]),
        "memcpy": _several(batch.copy()),
    }
    turns = in_turns(calls, budget_s)
    yield _result(f"kernel {what}", "native", 1, batch, turns)
    yield _speed(f"bare loop, {what}", "aws-lc-rs", batch, turns, "primitive")
    if what == "seal":
        yield _speed("copy in memory", "memcpy", batch, turns, "memcpy")


def _threads(what: str, page_bytes: int, budget_s: float) -> Iterator[Result]:
    """Yield the kernel on two threads, beside the same calls on one thread and the bare loop on two.

    On two threads the bare loop shows what the machine gives at all: each does its half again and again, without
    handing anything over or waiting for the other.
    """
    from keystore.crypto.native import NativeKernel

    batch = Batch(page_bytes, BATCH_OF_THREADS_BYTES)
    calls = {
        "ours": _several(batch.work(what, NativeKernel(choose("portable"), THREADS))),
        "primitive": batch.bare_native(what, THREADS),
        "one": _several(batch.work(what, NativeKernel(choose("portable"), 1))),
        "primitive of one": batch.bare_native(what, 1),
    }
    turns = in_turns(calls, budget_s)
    yield _result(f"kernel {what}", "native", THREADS, batch, turns)
    bare = _speed(f"bare loop, {what}", "aws-lc-rs", batch, turns, "primitive")
    yield replace(bare, threads=THREADS, of_one=turns.ratio("primitive", "primitive of one"))


def _several(call: Timed) -> Timed:
    """Return a turn of several calls; it tells what one of them took."""
    return lambda: sum(call() for _ in range(CALLS_A_TURN)) / CALLS_A_TURN


def _result(name: str, kernel: str, threads: int, batch: Batch, turns: Turns) -> Result:
    seconds = turns.median_s("ours")
    ratios: dict[str, Any] = {
        f"of_{other}": turns.ratio("ours", other)
        for other in ("primitive", "library", "memcpy", "one")
        if other in turns.seconds
    }
    return Result(
        name, kernel, batch.page_bytes, threads, seconds, batch.total_bytes / seconds / 1e9,
        cpu_s_per_gb=turns.cpu_s_per_gb("ours", batch.total_bytes * CALLS_A_TURN), **ratios,
    )  # fmt: skip


def _speed(name: str, kernel: str, batch: Batch, turns: Turns, which: str) -> Result:
    seconds = turns.median_s(which)
    cpu = turns.cpu_s_per_gb(which, batch.total_bytes * CALLS_A_TURN)
    return Result(name, kernel, batch.page_bytes, 1, seconds, batch.total_bytes / seconds / 1e9, cpu_s_per_gb=cpu)
