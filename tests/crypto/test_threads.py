"""The native kernel on several threads: every page in its place, the first failure named, and forks."""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from cmk_keystore_native import THREADS_MAX, BareLoop, PageKey

from keystore.bench.kernels import Batch
from keystore.crypto.kernel import choose
from keystore.crypto.native import NativeKernel
from keystore.crypto.protocols import TagMismatchError

PORTABLE = choose("portable")
SIZES = [(4096, 1 << 20), (16384, 80 << 14), (1 << 17, 3 << 17), (1000, 999_000)]


@dataclass
class Sealed:
    """A batch that the portable kernel has sealed."""

    batch: Batch
    ciphertext: bytearray

    @classmethod
    def make(cls, page_bytes: int, total_bytes: int) -> "Sealed":
        batch = Batch(page_bytes, total_bytes)
        batch.seal(PORTABLE)()
        return cls(batch, bytearray(batch.sealed[:total_bytes]))

    def open(self, threads: int) -> bytearray:
        batch, out = self.batch, bytearray(b"\xaa" * self.batch.total_bytes)
        self.open_into(out, threads)
        assert len(out) == batch.total_bytes
        return out

    def open_into(self, out: bytearray, threads: int) -> None:
        batch = self.batch
        NativeKernel(PORTABLE, threads).open_pages(
            batch.key, self.ciphertext, batch.page_bytes, batch.nonces, batch.aads, batch.tags, out
        )


@pytest.mark.parametrize("threads", [1, 2, 3, THREADS_MAX + 1])
@pytest.mark.parametrize(("page_bytes", "total_bytes"), SIZES)
def test_seals_and_opens_as_the_portable_kernel_does(page_bytes: int, total_bytes: int, threads: int) -> None:
    sealed = Sealed.make(page_bytes, total_bytes)
    batch, expected_tags = sealed.batch, sealed.batch.tags.copy()
    batch.sealed[:], batch.tags[:] = bytes(len(batch.sealed)), 0
    batch.seal(NativeKernel(PORTABLE, threads))()
    assert batch.sealed[:total_bytes] == sealed.ciphertext
    assert np.array_equal(batch.tags, expected_tags)
    assert sealed.open(threads) == batch.plain


@pytest.mark.parametrize("threads", [2, 3])
@pytest.mark.parametrize("wrong", [(0,), (63,), (255,), (7, 8), (200, 3), (130, 129, 255)])
def test_the_first_page_that_fails_is_named_and_nothing_behind_it_is_left(wrong: tuple[int, ...], threads: int) -> None:
    sealed, first = Sealed.make(4096, 1 << 20), min(wrong)
    for page in wrong:
        sealed.ciphertext[page * 4096 + 17] ^= 1
    out = bytearray(b"\xaa" * (1 << 20))
    with pytest.raises(TagMismatchError) as caught:
        sealed.open_into(out, threads)
    assert caught.value.index == first
    assert out == sealed.batch.plain[: first * 4096] + bytes((256 - first) * 4096)


def test_many_callers_share_the_threads() -> None:
    batches = [Sealed.make(4096, 1 << 19) for _ in range(4)]
    with ThreadPoolExecutor(4) as callers:
        opened = list(callers.map(lambda sealed: sealed.open(3), batches * 16))
    assert opened == [sealed.batch.plain for sealed in batches * 16]


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_has_threads_of_its_own_and_no_more_than_processors() -> None:
    sealed = Sealed.make(4096, 1 << 20)
    assert sealed.open(2) == sealed.batch.plain
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        counts = [thread_count()]
        for threads in (2, 2, 5, THREADS_MAX):
            counts.append(thread_count() if sealed.open(threads) == sealed.batch.plain else -1)
        os.write(writer, " ".join(map(str, counts)).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        counts = [int(count) for count in pipe.read().split()]
    os.waitpid(pid, 0)
    helpers_max = max(1, min(len(os.sched_getaffinity(0)), THREADS_MAX) - 1)
    assert counts == [1, 2, 2, 1 + min(helpers_max, 4), 1 + helpers_max]
    assert sealed.open(2) == sealed.batch.plain


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_the_bare_loop_does_the_same_work(threads: int) -> None:
    sealed = Sealed.make(4096, 10 << 12)
    batch, out = sealed.batch, bytearray(10 << 12)
    loop, tags = BareLoop(PageKey(batch.key.view()), 4096), np.zeros_like(batch.tags)
    assert loop.seal(batch.plain, out, tags, threads, 2) > 0
    assert out == sealed.ciphertext
    assert np.array_equal(tags, batch.tags)
    assert loop.open(out, batch.opened, tags, threads, 2) > 0
    assert batch.opened == batch.plain


def test_the_bare_loop_wants_whole_pages() -> None:
    loop, tags = BareLoop(PageKey(bytes(32)), 4096), np.zeros((2, 16), np.uint8)
    for length, threads, times in ((0, 1, 1), (8191, 1, 1), (8192, 0, 1), (8192, 1, 0)):
        with pytest.raises(ValueError, match="whole pages"):
            loop.seal(bytes(length), bytearray(8192), tags, threads, times)
    with pytest.raises(ValueError, match="tags has 32 bytes; 16 are needed"):
        loop.open(bytes(4096), bytearray(4096), tags, 1, 1)


def thread_count() -> int:
    return sum(1 for _ in Path("/proc/self/task").iterdir())
