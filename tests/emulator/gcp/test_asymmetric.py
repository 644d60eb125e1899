"""Key pairs through Google's client: what is signed here verifies elsewhere, what is encrypted elsewhere opens here."""

import hashlib
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, mldsa, padding
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.serialization import load_der_public_key, load_pem_public_key
from google.api_core import exceptions
from google.cloud import kms

from kms_emulator.wire.gcp.crc32c import crc32c
from tests.emulator.gcp.keys import RING, Client, make, switch

MESSAGE = b"a message"
PSS = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.DIGEST_LENGTH)
SIGNING: list[tuple[str, Any, list[Any]]] = [
    ("RSA_SIGN_PSS_2048_SHA256", hashes.SHA256(), [PSS]),
    ("RSA_SIGN_PKCS1_2048_SHA256", hashes.SHA256(), [padding.PKCS1v15()]),
    ("EC_SIGN_P256_SHA256", hashes.SHA256(), []),
    ("EC_SIGN_P384_SHA384", hashes.SHA384(), []),
    ("EC_SIGN_SECP256K1_SHA256", hashes.SHA256(), []),
]


def public_key(client: Client, version: str) -> Any:
    answer = client.get_public_key(name=version)
    assert (answer.name, answer.pem_crc32c) == (version, crc32c(answer.pem.encode()))
    assert answer.public_key.crc32c_checksum == answer.pem_crc32c
    return load_pem_public_key(answer.pem.encode())


@pytest.mark.parametrize(("algorithm", "digest", "pads"), SIGNING, ids=[row[0] for row in SIGNING])
def test_signatures_of_digests_and_data_verify(client: Client, algorithm: str, digest: Any, pads: list[Any]) -> None:
    version = make(client, "ASYMMETRIC_SIGN", algorithm)
    hashed = hashlib.new(digest.name, MESSAGE).digest()
    signed = client.asymmetric_sign(
        request={"name": version, "digest": {digest.name: hashed}, "digest_crc32c": crc32c(hashed)}
    )
    assert (signed.name, signed.verified_digest_crc32c, signed.verified_data_crc32c) == (version, True, False)
    assert signed.signature_crc32c == crc32c(signed.signature)
    data = client.asymmetric_sign(request={"name": version, "data": MESSAGE, "data_crc32c": crc32c(MESSAGE)})
    assert data.verified_data_crc32c
    public = public_key(client, version)
    for signature in (signed.signature, data.signature):
        scheme = [ec.ECDSA(Prehashed(digest))] if algorithm.startswith("EC") else [*pads, Prehashed(digest)]
        public.verify(signature, hashed, *scheme)


def test_ed25519_signs_data_only(client: Client) -> None:
    version = make(client, "ASYMMETRIC_SIGN", "EC_SIGN_ED25519")
    public_key(client, version).verify(
        client.asymmetric_sign(request={"name": version, "data": MESSAGE}).signature, MESSAGE
    )
    with pytest.raises(exceptions.InvalidArgument, match="takes data"):
        client.asymmetric_sign(name=version, digest=kms.Digest(sha256=bytes(32)))


def test_ml_dsa_gives_its_public_key_as_nist_does(client: Client) -> None:
    version = make(client, "ASYMMETRIC_SIGN", "PQ_SIGN_ML_DSA_65")
    answer = client.get_public_key(name=version)
    assert (answer.pem, answer.public_key_format) == ("", kms.PublicKey.PublicKeyFormat.NIST_PQC)
    assert answer.public_key.crc32c_checksum == crc32c(answer.public_key.data)
    signature = client.asymmetric_sign(request={"name": version, "data": MESSAGE}).signature
    mldsa.MLDSA65PublicKey.from_public_bytes(answer.public_key.data).verify(signature, MESSAGE)
    with pytest.raises(exceptions.InvalidArgument, match="PEM is not supported"):
        client.get_public_key(request={"name": version, "public_key_format": 1})


@pytest.mark.parametrize("algorithm", ["RSA_DECRYPT_OAEP_2048_SHA256", "RSA_DECRYPT_OAEP_2048_SHA1"])
def test_what_the_public_key_encrypted_is_decrypted(client: Client, algorithm: str) -> None:
    version = make(client, "ASYMMETRIC_DECRYPT", algorithm)
    digest = hashes.SHA1() if algorithm.endswith("SHA1") else hashes.SHA256()
    der = client.get_public_key(request={"name": version, "public_key_format": 2})
    assert (der.pem, der.public_key.crc32c_checksum) == ("", crc32c(der.public_key.data))
    public: Any = load_der_public_key(der.public_key.data)
    sealed = public.encrypt(MESSAGE, padding.OAEP(padding.MGF1(digest), digest, None))
    opened = client.asymmetric_decrypt(
        request={"name": version, "ciphertext": sealed, "ciphertext_crc32c": crc32c(sealed)}
    )
    assert (opened.plaintext, opened.plaintext_crc32c) == (MESSAGE, crc32c(MESSAGE))
    assert opened.verified_ciphertext_crc32c
    with pytest.raises(exceptions.InvalidArgument, match="Decryption failed"):
        client.asymmetric_decrypt(name=version, ciphertext=sealed[:-1])
    with pytest.raises(exceptions.InvalidArgument, match="ciphertext_crc32c"):
        client.asymmetric_decrypt(request={"name": version, "ciphertext": sealed, "ciphertext_crc32c": 1})


def test_what_cannot_be_signed(client: Client) -> None:
    version = make(client, "ASYMMETRIC_SIGN", "EC_SIGN_P256_SHA256")
    with pytest.raises(exceptions.InvalidArgument, match="takes sha256"):
        client.asymmetric_sign(name=version, digest=kms.Digest(sha384=bytes(48)))
    with pytest.raises(exceptions.InvalidArgument, match="31 bytes"):
        client.asymmetric_sign(name=version, digest=kms.Digest(sha256=bytes(31)))
    with pytest.raises(exceptions.InvalidArgument, match="Exactly one"):
        client.asymmetric_sign(name=version, digest=kms.Digest())
    with pytest.raises(exceptions.InvalidArgument, match="Exactly one"):
        client.asymmetric_sign(request={"name": version, "digest": {"sha256": bytes(32)}, "data": b"x"})
    with pytest.raises(exceptions.InvalidArgument, match="digest_crc32c"):
        client.asymmetric_sign(request={"name": version, "digest": {"sha256": bytes(32)}, "digest_crc32c": 5})


def test_key_is_for_one_purpose(client: Client) -> None:
    version = make(client, "ASYMMETRIC_SIGN", "EC_SIGN_P256_SHA256")
    key = version.partition("/cryptoKeyVersions/")[0]
    calls: list[Callable[[], Any]] = [
        lambda: client.encrypt(name=key, plaintext=b"x"),
        lambda: client.decrypt(name=key, ciphertext=b"x"),
        lambda: client.asymmetric_decrypt(name=version, ciphertext=b"x"),
        lambda: client.mac_sign(name=version, data=b"x"),
        lambda: client.raw_encrypt(request={"name": version, "plaintext": b"x"}),
        lambda: client.update_crypto_key_primary_version(name=key, crypto_key_version_id="1"),
    ]
    for call in calls:
        with pytest.raises(exceptions.FailedPrecondition, match="EC_SIGN_P256_SHA256 may not be used for"):
            call()
    symmetric = make(client, "ENCRYPT_DECRYPT", "GOOGLE_SYMMETRIC_ENCRYPTION", "s")
    with pytest.raises(exceptions.FailedPrecondition, match="no public key"):
        client.get_public_key(name=symmetric)


def test_versions_live_as_those_of_symmetric_keys_do(client: Client) -> None:
    first = make(client, "ASYMMETRIC_SIGN", "EC_SIGN_P256_SHA256")
    key = first.partition("/cryptoKeyVersions/")[0]
    assert not client.get_crypto_key(name=key).primary.name
    second = client.create_crypto_key_version(parent=key, crypto_key_version={}).name
    assert client.get_public_key(name=first).pem != client.get_public_key(name=second).pem
    switch(client, first, "DISABLED")
    for call in (
        client.get_public_key,
        lambda name: client.asymmetric_sign(name=name, digest=kms.Digest(sha256=bytes(32))),
    ):
        with pytest.raises(exceptions.FailedPrecondition, match="current state is: DISABLED"):
            call(name=first)
    assert client.get_public_key(name=second).algorithm.name == "EC_SIGN_P256_SHA256"


@pytest.mark.parametrize(
    ("purpose", "algorithm", "error"),
    [
        ("ASYMMETRIC_SIGN", "RSA_DECRYPT_OAEP_2048_SHA256", exceptions.InvalidArgument),
        ("ASYMMETRIC_SIGN", "CRYPTO_KEY_VERSION_ALGORITHM_UNSPECIFIED", exceptions.InvalidArgument),
        ("MAC", "AES_256_GCM", exceptions.InvalidArgument),
        ("ENCRYPT_DECRYPT", "AES_256_GCM", exceptions.InvalidArgument),
        ("ASYMMETRIC_SIGN", "RSA_SIGN_RAW_PKCS1_2048", exceptions.MethodNotImplemented),
        ("ASYMMETRIC_SIGN", "PQ_SIGN_SLH_DSA_SHA2_128S", exceptions.MethodNotImplemented),
        ("KEY_ENCAPSULATION", "ML_KEM_768", exceptions.MethodNotImplemented),
    ],
)
def test_purpose_and_algorithm_fit(client: Client, purpose: str, algorithm: str, error: type[Exception]) -> None:
    with pytest.raises(error, match=algorithm if "KEM" not in algorithm else purpose):
        make(client, purpose, algorithm)
    assert list(client.list_crypto_keys(parent=RING)) == []


def test_numbers_that_no_enum_has_are_refused(client: Client) -> None:
    for settings in ({"purpose": 99}, {"purpose": 5, "version_template": {"algorithm": 999}}):
        with pytest.raises((exceptions.InvalidArgument, exceptions.MethodNotImplemented), match="99"):
            client.create_crypto_key(parent=RING, crypto_key_id="k", crypto_key=settings)
