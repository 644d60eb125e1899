"""The page kernel against a plain loop over the library, and everything it must refuse."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from keystore.crypto.kernel import (
    CONTEXTS_MAX,
    KERNEL,
    AeadContexts,
    PortableKernel,
    TagMismatchError,
    U8Array,
    open_block,
    open_page,
    seal_block,
)
from keystore.crypto.secret import SecretKey


@dataclass
class Batch:
    """The arguments of one call, with distinct nonces and associated data."""

    key: SecretKey
    page_size: int
    plaintext: bytes
    nonces: U8Array
    aads: U8Array

    @classmethod
    def make(cls, count: int, page_size: int = 4096, aad_bytes: int = 40, seed: int = 1) -> "Batch":
        random = np.random.default_rng(seed)
        nonces = random.integers(0, 256, (count, 12), np.uint8)
        nonces[:, 0], nonces[:, 1] = np.arange(count) % 256, np.arange(count) // 256
        aads = random.integers(0, 256, (count, aad_bytes), np.uint8)
        return cls(SecretKey(random.bytes(32)), page_size, random.bytes(count * page_size), nonces, aads)

    @property
    def count(self) -> int:
        return len(self.nonces)

    def seal(self) -> tuple[bytearray, U8Array]:
        out, tags = bytearray(len(self.plaintext) + 16), np.zeros((self.count, 16), np.uint8)
        KERNEL.seal_pages(self.key, self.plaintext, self.page_size, self.nonces, self.aads, out, tags)
        return out[: len(self.plaintext)], tags

    def open(self, ciphertext: Any, tags: U8Array) -> bytearray:
        out = bytearray(b"\xaa" * len(self.plaintext))
        self.open_into(ciphertext, tags, out)
        return out

    def open_into(self, ciphertext: Any, tags: U8Array, out: Any) -> None:
        KERNEL.open_pages(self.key, ciphertext, self.page_size, self.nonces, self.aads, tags, out)

    def page(self, i: int) -> bytes:
        return self.plaintext[i * self.page_size : (i + 1) * self.page_size]


@given(st.integers(0, 9), st.integers(1, 300), st.integers(0, 50), st.integers(0, 2**32))
def test_seals_as_the_library_does_page_by_page(count: int, page_size: int, aad_bytes: int, seed: int) -> None:
    batch = Batch.make(count, page_size, aad_bytes, seed)
    ciphertext, tags = batch.seal()
    aead = AESGCM(batch.key.view())
    for i in range(count):
        expected = aead.encrypt(batch.nonces[i].tobytes(), batch.page(i), batch.aads[i].tobytes())
        assert ciphertext[i * page_size : (i + 1) * page_size] + tags[i].tobytes() == expected
    assert batch.open(ciphertext, tags) == batch.plaintext


@pytest.mark.parametrize("count", [1, 2, 300])
@pytest.mark.parametrize("page_size", [4096, 65536])
def test_round_trip_of_real_page_sizes(count: int, page_size: int) -> None:
    batch = Batch.make(count, page_size)
    assert batch.open(*batch.seal()) == batch.plaintext


def test_buffers_may_be_longer_and_of_any_bytes_like_type() -> None:
    batch = Batch.make(3, 64)
    ciphertext, tags = batch.seal()
    for convert in (bytes, bytearray, memoryview, lambda b: np.frombuffer(b, np.uint8).reshape(3, 64)):
        out = np.zeros(500, np.uint8)
        batch.open_into(convert(ciphertext), tags, out)
        assert out.tobytes() == batch.plaintext + bytes(500 - 192)


@given(st.data())
def test_a_changed_bit_anywhere_is_refused_and_leaves_no_plaintext(data: st.DataObject) -> None:
    batch = Batch.make(4, 48, seed=data.draw(st.integers(0, 99)))
    ciphertext, tags = batch.seal()
    arrays = {
        "ciphertext": np.frombuffer(ciphertext, np.uint8).reshape(4, 48),
        "tags": tags,
        "nonces": batch.nonces,
        "aads": batch.aads,
    }
    target = arrays[data.draw(st.sampled_from(sorted(arrays)))]
    page = data.draw(st.integers(0, 3))
    target[page, data.draw(st.integers(0, target.shape[1] - 1))] ^= 1 << data.draw(st.integers(0, 7))
    out = bytearray(b"\xaa" * 192)
    with pytest.raises(TagMismatchError) as caught:
        batch.open_into(ciphertext, tags, out)
    assert caught.value.index == page
    begun, later = out[: (page + 1) * 48], out[(page + 1) * 48 :]
    assert begun == batch.plaintext[: page * 48] + bytes(48)
    assert later in (bytes(len(later)), b"\xaa" * len(later))


@pytest.mark.parametrize("count", [0, 1, 2, 256, 257, 515])
@pytest.mark.parametrize("page_size", [1, 15, 16, 100])
def test_a_lent_ciphertext_is_opened_and_comes_back_as_it_was(count: int, page_size: int) -> None:
    batch = Batch.make(count, page_size)
    ciphertext, tags = batch.seal()
    lent, out = bytearray(ciphertext) + bytes(16), bytearray(len(ciphertext))
    open_lent(batch, lent, tags, out)
    assert out == batch.plaintext
    assert lent[:-16] == ciphertext


@given(st.sets(st.integers(0, 299), min_size=1, max_size=5))
def test_of_a_lent_ciphertext_too_the_first_page_that_fails_is_named(wrong: set[int]) -> None:
    batch, first = Batch.make(300, 32), min(wrong)
    ciphertext, tags = batch.seal()
    lent, out = bytearray(ciphertext) + bytes(16), bytearray(b"\xaa" * len(ciphertext))
    for page in wrong:
        lent[page * 32] ^= 1
    before = lent[:-16]
    with pytest.raises(TagMismatchError) as caught:
        open_lent(batch, lent, tags, out)
    assert caught.value.index == first
    begun, later = out[: (first + 1) * 32], out[(first + 1) * 32 :]
    assert begun == batch.plaintext[: first * 32] + bytes(32)
    assert later in (bytes(len(later)), b"\xaa" * len(later))
    assert lent[:-16] == before


def test_what_is_lent_has_the_spare_bytes_and_can_be_written() -> None:
    batch = Batch.make(3, 64)
    ciphertext, tags = batch.seal()
    out = bytearray(192)
    with pytest.raises(ValueError, match="ciphertext is read-only"):
        open_lent(batch, memoryview(ciphertext + bytes(16)).toreadonly(), tags, out)
    for lent in (ciphertext, ciphertext + bytes(15), ciphertext + bytes(17)):
        with pytest.raises(ValueError, match="ciphertext has"):
            open_lent(batch, lent, tags, out)
    assert out == bytes(192)


def open_lent(batch: Batch, ciphertext: bytearray | memoryview, tags: U8Array, out: bytearray) -> None:
    KERNEL.open_pages(batch.key, ciphertext, batch.page_size, batch.nonces, batch.aads, tags, out, lent=True)


def test_pages_in_another_order_are_refused() -> None:
    batch = Batch.make(3, 64)
    ciphertext, tags = batch.seal()
    swapped = ciphertext[64:128] + ciphertext[:64] + ciphertext[128:]
    for moved_tags in (tags, tags[[1, 0, 2]]):
        with pytest.raises(TagMismatchError) as caught:
            batch.open(swapped, np.ascontiguousarray(moved_tags))
        assert caught.value.index == 0


def test_another_key_is_refused() -> None:
    batch = Batch.make(2, 64)
    ciphertext, tags = batch.seal()
    batch.key = SecretKey.generate()
    with pytest.raises(TagMismatchError):
        batch.open(ciphertext, tags)


def seal_args() -> dict[str, Any]:
    batch = Batch.make(3, 64)
    return {
        "key": batch.key,
        "plaintext": batch.plaintext,
        "page_size": 64,
        "nonces": batch.nonces,
        "aads": batch.aads,
        "out": bytearray(3 * 64 + 16),
        "tags": np.zeros((3, 16), np.uint8),
    }


def open_args() -> dict[str, Any]:
    batch = Batch.make(3, 64)
    ciphertext, tags = batch.seal()
    args = seal_args() | {"ciphertext": ciphertext, "tags": tags, "out": bytearray(3 * 64)}
    del args["plaintext"]
    return args


def _wiped() -> SecretKey:
    key = SecretKey.generate()
    key.wipe()
    return key


BAD_ARRAYS: dict[str, list[Callable[[], Any]]] = {
    "key": [lambda: SecretKey.generate(16), lambda: SecretKey.generate(31), _wiped],
    "page_size": [lambda: 0, lambda: -64, lambda: 63, lambda: 65],
    "nonces": [
        lambda: np.zeros((3, 11), np.uint8),
        lambda: np.zeros((2, 12), np.uint8),
        lambda: np.zeros(36, np.uint8),
        lambda: np.zeros((3, 12), np.int8),
        lambda: np.zeros((6, 12), np.uint8)[::2],
    ],
    "aads": [
        lambda: np.zeros((4, 40), np.uint8),
        lambda: np.zeros((3, 40), np.uint16),
        lambda: np.zeros((40, 3), np.uint8).T,
    ],
    "tags": [lambda: np.zeros((3, 12), np.uint8), lambda: np.zeros((2, 16), np.uint8)],
    "out": [lambda: bytearray(3 * 64 - 1), lambda: bytes(300), lambda: np.zeros(600, np.uint8)[::2]],
    "plaintext": [lambda: bytes(191), lambda: bytes(193), lambda: memoryview(bytes(384))[::2]],
    "ciphertext": [lambda: bytes(191), lambda: bytes(193), lambda: np.zeros(192, np.int64)],
}


@pytest.mark.parametrize("args_of", [seal_args, open_args])
@pytest.mark.parametrize(("field", "number"), [(f, i) for f, values in BAD_ARRAYS.items() for i in range(len(values))])
def test_wrong_arguments_are_refused_before_the_first_byte(
    args_of: Callable[[], dict[str, Any]], field: str, number: int
) -> None:
    args = args_of()
    if field not in args:
        field = {"plaintext": "ciphertext", "ciphertext": "plaintext"}[field]
    args[field] = BAD_ARRAYS.get(field, [])[number % len(BAD_ARRAYS[field])]()
    out_before, tags_before = bytes(args["out"]), args["tags"].tobytes()
    call = KERNEL.seal_pages if args_of is seal_args else KERNEL.open_pages
    with pytest.raises(ValueError):
        call(**args)
    assert bytes(args["out"]) == out_before
    assert args["tags"].tobytes() == tags_before


def test_sealing_needs_the_spare_bytes_and_writable_tags() -> None:
    with pytest.raises(ValueError, match="out has 207 bytes; at least 208"):
        KERNEL.seal_pages(**(seal_args() | {"out": bytearray(207)}))
    tags = np.zeros((3, 16), np.uint8)
    tags.flags.writeable = False
    with pytest.raises(ValueError, match="tags is read-only"):
        KERNEL.seal_pages(**(seal_args() | {"tags": tags}))


def test_overlapping_buffers_are_refused() -> None:
    memory = bytearray(500)
    with pytest.raises(ValueError, match="out overlaps plaintext"):
        KERNEL.seal_pages(**(seal_args() | {"plaintext": memoryview(memory)[:192], "out": memory}))
    with pytest.raises(ValueError, match="out overlaps ciphertext"):
        KERNEL.open_pages(**(open_args() | {"ciphertext": memoryview(memory)[:192], "out": memory}))
    assert memory == bytes(500)


@given(st.binary(max_size=300), st.binary(max_size=60))
def test_blocks_of_any_length(plaintext: bytes, aad: bytes) -> None:
    key, nonce = SecretKey(bytes(range(32))), bytes(12)
    sealed = seal_block(key, nonce, plaintext, aad)
    assert sealed == AESGCM(key.view()).encrypt(nonce, plaintext, aad)
    assert open_block(key, nonce, sealed[:-16], sealed[-16:], aad) == plaintext
    with pytest.raises(TagMismatchError):
        open_block(key, nonce, sealed[:-16], sealed[-16:], aad + b"\0")


def test_blocks_refuse_wrong_lengths() -> None:
    key = SecretKey.generate()
    with pytest.raises(ValueError, match="nonce has 13 bytes"):
        seal_block(key, bytes(13), b"", b"")
    with pytest.raises(ValueError, match="tag has 15 bytes"):
        open_block(key, bytes(12), b"", bytes(15), b"")


def test_contexts_are_bounded_and_the_oldest_goes() -> None:
    contexts = AeadContexts(AESGCM)
    keys = [SecretKey.generate() for _ in range(CONTEXTS_MAX + 1)]
    first = [contexts.get(key) for key in keys[:-1]]
    assert contexts.get(keys[0]) is first[0]
    contexts.get(keys[-1])
    assert len(contexts) == CONTEXTS_MAX
    assert contexts.get(keys[0]) is first[0]
    assert contexts.get(keys[1]) is not first[1]


def test_a_forgotten_or_wiped_key_has_no_context() -> None:
    contexts = AeadContexts(AESGCM)
    kernel = PortableKernel(contexts)
    kept, forgotten, wiped = (SecretKey.generate() for _ in range(3))
    for key in (kept, forgotten, wiped):
        contexts.get(key)
    kernel.forget(forgotten)
    kernel.forget(forgotten)
    assert len(contexts) == 2
    wiped.wipe()
    with pytest.raises(ValueError, match="wiped"):
        contexts.get(wiped)
    assert len(contexts) == 1


def test_the_key_that_was_asked_for_last_is_forgotten_and_wiped_as_any_other() -> None:
    contexts = AeadContexts(AESGCM)
    key, other = SecretKey.generate(), SecretKey.generate()
    first = contexts.get(key)
    assert contexts.get(key) is first
    contexts.forget(key)
    assert contexts.get(key) is not first
    second = contexts.get(other)
    key.wipe()
    assert contexts.get(other) is second
    other.wipe()
    with pytest.raises(ValueError, match="wiped"):
        contexts.get(other)


def test_equal_keys_in_two_objects_are_two_contexts() -> None:
    contexts = AeadContexts(AESGCM)
    a, b = SecretKey(bytes(32)), SecretKey(bytes(32))
    assert contexts.get(a) is not contexts.get(b)
    contexts.forget(a)
    assert len(contexts) == 1


def test_a_forked_child_has_no_context() -> None:
    contexts = AeadContexts(AESGCM)
    contexts.get(SecretKey.generate())
    pid = os.fork()
    if pid == 0:
        os._exit(len(contexts))
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert len(contexts) == 1


def test_threads_share_the_kernel() -> None:
    """More keys than contexts, from eight threads: contexts come and go while others are in use."""
    batches = [Batch.make(5, 512, seed=seed) for seed in range(CONTEXTS_MAX + 8)]
    with ThreadPoolExecutor(8) as pool:
        opened = list(pool.map(lambda batch: batch.open(*batch.seal()), batches * 3))
    assert opened == [batch.plaintext for batch in batches * 3]


def test_a_batch_of_copies_is_equal_to_one_at_a_time() -> None:
    """A tag must not be lost to the page after it: a page may be sealed with its tag where the next one begins."""
    batch = Batch.make(64, 16)
    _, tags = batch.seal()
    for i in range(batch.count):
        one = replace(batch, plaintext=batch.page(i), nonces=batch.nonces[i : i + 1], aads=batch.aads[i : i + 1])
        assert (one.seal()[1][0] == tags[i]).all()


def test_one_page_opens_as_a_batch_of_one_does() -> None:
    key, nonce, aad, page = SecretKey.generate(), bytes(range(12)), bytes(40), bytes(range(256)) * 16
    sealed = bytearray(seal_block(key, nonce, page, aad))
    assert open_page(key, nonce, sealed, aad) == page
    for at in (0, 4095, 4096, 4111):
        changed = bytearray(sealed)
        changed[at] ^= 1
        with pytest.raises(TagMismatchError) as caught:
            open_page(key, nonce, changed, aad)
        assert caught.value.index == 0
    with pytest.raises(ValueError, match="the nonce has 11 bytes; 12 are needed"):
        open_page(key, nonce[:11], sealed, aad)
    key.wipe()
    with pytest.raises(ValueError, match="wiped"):
        open_page(key, nonce, sealed, aad)
