"""Ed25519 by its published vectors, and what a signature is not of."""

import pickle

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from keystore.crypto.secret import SecretKey
from keystore.crypto.signing import SignatureError, SigningKey, verify

# RFC 8032, section 7.1, tests 1 to 3: seed, public key, message, signature.
VECTORS = (
    (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
        "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
        "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
    (
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
        "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ),
)


def key_of(seed: bytes) -> SigningKey:
    return SigningKey(SecretKey(seed))


@pytest.mark.parametrize(("seed", "public", "message", "signature"), VECTORS)
def test_published_vectors(seed: str, public: str, message: str, signature: str) -> None:
    key = key_of(bytes.fromhex(seed))
    assert key.public.hex() == public
    assert key.sign(bytes.fromhex(message)).hex() == signature
    verify(bytes.fromhex(public), bytes.fromhex(message), bytes.fromhex(signature))


@given(st.binary(min_size=32, max_size=32), st.binary(max_size=300))
def test_another_library_signs_the_same(seed: bytes, message: bytes) -> None:
    assert key_of(seed).sign(memoryview(message)) == Ed25519PrivateKey.from_private_bytes(seed).sign(message)


def test_every_changed_bit_is_found() -> None:
    key, message = SigningKey.generate(), b"a manifest"
    parts = key.public, message, key.sign(message)
    verify(*parts)
    for place, part in enumerate(parts):
        for bit in range(8 * len(part)):
            changed = bytearray(part)
            changed[bit // 8] ^= 1 << bit % 8
            with pytest.raises(SignatureError):
                verify(*(bytes(changed) if place == other else each for other, each in enumerate(parts)))


@pytest.mark.parametrize(("public", "signature"), [(31, 64), (33, 64), (32, 0), (32, 63), (32, 65)])
def test_what_has_another_length_is_no_signature(public: int, signature: int) -> None:
    with pytest.raises(SignatureError, match="bytes"):
        verify(bytes(public), b"", bytes(signature))


def test_a_key_of_small_order_signs_nothing() -> None:
    """Under the neutral element a signature of zeros would fit every message."""
    neutral = b"\x01" + bytes(31)
    with pytest.raises(SignatureError):
        verify(neutral, b"anything", neutral + bytes(32))


def test_a_wiped_key_signs_no_more_and_shows_nothing() -> None:
    key = SigningKey.generate()
    seed = bytes(key.seed.view())
    assert seed.hex() not in repr(key)
    with pytest.raises(TypeError):
        pickle.dumps(key)
    key.wipe()
    assert key.wiped
    with pytest.raises(ValueError, match="wiped"):
        key.sign(b"")


def test_only_a_seed_of_32_bytes_is_one() -> None:
    with pytest.raises(ValueError, match="32"):
        key_of(bytes(31))


def test_each_generated_key_is_another() -> None:
    one, two = SigningKey.generate(), SigningKey.generate()
    assert one != two
    assert len({one, two}) == 2
