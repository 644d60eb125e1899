"""NIST CAVP vectors for AES-256-GCM (CAVS 14.0), through blocks and through pages."""

import numpy as np
import pytest

from keystore.crypto.kernel import KERNEL, TagMismatchError, open_block, seal_block
from keystore.crypto.secret import SecretKey
from tests.crypto.cavp import GcmCase, gcm_cases

FILES = {"gcmEncryptExtIV256.rsp": 375, "gcmDecrypt256.rsp": 375}
"""Cases with a 96-bit nonce and a 128-bit tag in each file; a reader that finds fewer has a mistake."""


@pytest.mark.parametrize("file", FILES)
def test_blocks_agree_with_the_vectors(file: str) -> None:
    cases = gcm_cases(file)
    assert len(cases) == FILES[file]
    for case in cases:
        key = SecretKey(case.key)
        if case.plaintext is None:
            with pytest.raises(TagMismatchError):
                open_block(key, case.nonce, case.ciphertext, case.tag, case.aad)
        else:
            assert seal_block(key, case.nonce, case.plaintext, case.aad) == case.ciphertext + case.tag
            assert open_block(key, case.nonce, case.ciphertext, case.tag, case.aad) == case.plaintext


@pytest.mark.parametrize("file", FILES)
def test_pages_agree_with_the_vectors(file: str) -> None:
    """Each vector with any text at all is a batch of three equal pages; the library promises nothing about order."""
    cases = [case for case in gcm_cases(file) if case.ciphertext]
    assert len(cases) == FILES[file] * 4 // 5  # one fifth has no text
    for case in cases:
        _check_pages(case, pages=3)


def _check_pages(case: GcmCase, pages: int) -> None:
    key, size = SecretKey(case.key), len(case.ciphertext)
    nonces, aads, tags = (_rows(value, pages) for value in (case.nonce, case.aad, case.tag))
    out = bytearray(pages * size)
    if case.plaintext is None:
        with pytest.raises(TagMismatchError) as caught:
            KERNEL.open_pages(key, case.ciphertext * pages, size, nonces, aads, tags, out)
        assert caught.value.index == 0
        assert out == bytes(pages * size)
        return
    KERNEL.open_pages(key, case.ciphertext * pages, size, nonces, aads, tags, out)
    assert out == case.plaintext * pages
    sealed, sealed_tags = bytearray(pages * size + 16), np.zeros_like(tags)
    KERNEL.seal_pages(key, case.plaintext * pages, size, nonces, aads, sealed, sealed_tags)
    assert sealed[:-16] == case.ciphertext * pages
    assert (sealed_tags == tags).all()


def _rows(value: bytes, count: int) -> np.ndarray[tuple[int, int], np.dtype[np.uint8]]:
    return np.frombuffer(value * count, np.uint8).reshape(count, len(value))
