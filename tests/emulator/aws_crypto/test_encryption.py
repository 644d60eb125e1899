"""RSA keys encrypt and decrypt, within their limits and without a context."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from kms_emulator.core import Core
from tests.emulator.aws_crypto.keys import create, public
from tests.emulator.aws_http.clients import client, refused
from tests.emulator.running import Running

if TYPE_CHECKING:
    from mypy_boto3_kms import KMSClient

OAEP = {"RSAES_OAEP_SHA_1": hashes.SHA1(), "RSAES_OAEP_SHA_256": hashes.SHA256()}
LIMITS = {
    ("RSA_2048", "RSAES_OAEP_SHA_1"): 214,
    ("RSA_2048", "RSAES_OAEP_SHA_256"): 190,
    ("RSA_3072", "RSAES_OAEP_SHA_1"): 342,
    ("RSA_3072", "RSAES_OAEP_SHA_256"): 318,
}
"""Source: AWS KMS developer guide, "Key spec reference"."""


@pytest.fixture(scope="module")
def module_kms() -> Iterator["KMSClient"]:
    running = Running(Core(), http=True)
    assert running.server.url is not None
    yield client(running.server.url)
    running.stop()


@pytest.fixture(scope="module")
def keys(module_kms: "KMSClient") -> dict[str, str]:
    return {spec: create(module_kms, spec, "ENCRYPT_DECRYPT") for spec in ("RSA_2048", "RSA_3072")}


@pytest.mark.parametrize(("spec", "algorithm"), LIMITS)
def test_round_trip_up_to_the_limit(module_kms: "KMSClient", keys: dict[str, str], spec: str, algorithm: str) -> None:
    key_id, most = keys[spec], LIMITS[(spec, algorithm)]
    options: Any = {"KeyId": key_id, "EncryptionAlgorithm": algorithm}
    for length in (1, most):
        sealed = module_kms.encrypt(Plaintext=bytes(length), **options)
        assert (sealed["KeyId"], sealed["EncryptionAlgorithm"]) == (key_id, algorithm)
        opened = module_kms.decrypt(CiphertextBlob=sealed["CiphertextBlob"], **options)
        assert (opened["Plaintext"], opened["EncryptionAlgorithm"]) == (bytes(length), algorithm)
        assert "KeyMaterialId" not in opened
    text = f"Algorithm {algorithm} and key spec {spec} cannot encrypt data larger than {most} bytes."
    with refused("ValidationException", text):
        module_kms.encrypt(Plaintext=bytes(most + 1), **options)


@pytest.mark.parametrize("algorithm", OAEP)
def test_what_the_public_half_encrypted_outside_decrypts(
    module_kms: "KMSClient", keys: dict[str, str], algorithm: str
) -> None:
    digest, options = OAEP[algorithm], {"KeyId": keys["RSA_2048"]}
    pad = padding.OAEP(padding.MGF1(digest), digest, None)
    sealed = public(module_kms, keys["RSA_2048"]).encrypt(b"from outside", pad)
    chosen: Any = {"EncryptionAlgorithm": algorithm, **options}
    assert module_kms.decrypt(CiphertextBlob=sealed, **chosen)["Plaintext"] == b"from outside"
    other: Any = {"EncryptionAlgorithm": next(name for name in OAEP if name != algorithm), **options}
    for wrong, how in ((sealed, other), (sealed[:-1], chosen), (bytes(256), chosen)):
        with refused("InvalidCiphertextException", ""):
            module_kms.decrypt(CiphertextBlob=wrong, **how)


def test_context_and_missing_key_id_are_refused(module_kms: "KMSClient", keys: dict[str, str]) -> None:
    options: Any = {"KeyId": keys["RSA_2048"], "EncryptionAlgorithm": "RSAES_OAEP_SHA_256"}
    sealed = module_kms.encrypt(Plaintext=b"x", **options)["CiphertextBlob"]
    with refused("ValidationException"):
        module_kms.encrypt(Plaintext=b"x", EncryptionContext={"a": "b"}, **options)
    with refused("ValidationException"):
        module_kms.decrypt(CiphertextBlob=sealed, EncryptionContext={"a": "b"}, **options)
    with refused("ValidationException"):
        module_kms.decrypt(CiphertextBlob=sealed, EncryptionAlgorithm="RSAES_OAEP_SHA_256")


def test_default_algorithm_is_not_an_rsa_key_s(module_kms: "KMSClient", keys: dict[str, str]) -> None:
    text = "Algorithm SYMMETRIC_DEFAULT is incompatible with key spec RSA_2048."
    with refused("InvalidKeyUsageException", text):
        module_kms.encrypt(KeyId=keys["RSA_2048"], Plaintext=b"x")
    with refused("InvalidKeyUsageException", text):
        module_kms.decrypt(KeyId=keys["RSA_2048"], CiphertextBlob=b"x" * 256)
    with refused("InvalidKeyUsageException", text):
        module_kms.generate_data_key(KeyId=keys["RSA_2048"], KeySpec="AES_256")
    symmetric = create(module_kms)
    text = "Algorithm RSAES_OAEP_SHA_1 is incompatible with key spec SYMMETRIC_DEFAULT."
    with refused("InvalidKeyUsageException", text):
        module_kms.encrypt(KeyId=symmetric, Plaintext=b"x", EncryptionAlgorithm="RSAES_OAEP_SHA_1")


def test_re_encrypt_between_symmetric_and_rsa(module_kms: "KMSClient", keys: dict[str, str]) -> None:
    symmetric, rsa = create(module_kms), keys["RSA_2048"]
    sealed = module_kms.encrypt(KeyId=symmetric, Plaintext=b"secret", EncryptionContext={"a": "b"})["CiphertextBlob"]
    moved = module_kms.re_encrypt(
        CiphertextBlob=sealed,
        SourceEncryptionContext={"a": "b"},
        DestinationKeyId=rsa,
        DestinationEncryptionAlgorithm="RSAES_OAEP_SHA_256",
    )
    assert (moved["SourceKeyId"], moved["KeyId"]) == (symmetric, rsa)
    algorithms = (moved["SourceEncryptionAlgorithm"], moved["DestinationEncryptionAlgorithm"])
    assert algorithms == ("SYMMETRIC_DEFAULT", "RSAES_OAEP_SHA_256")
    back = module_kms.re_encrypt(
        CiphertextBlob=moved["CiphertextBlob"],
        SourceKeyId=rsa,
        SourceEncryptionAlgorithm="RSAES_OAEP_SHA_256",
        DestinationKeyId=symmetric,
    )
    assert module_kms.decrypt(CiphertextBlob=back["CiphertextBlob"])["Plaintext"] == b"secret"


def test_dry_run(module_kms: "KMSClient", keys: dict[str, str]) -> None:
    options: Any = {"KeyId": keys["RSA_2048"], "EncryptionAlgorithm": "RSAES_OAEP_SHA_256", "DryRun": True}
    with refused("DryRunOperationException"):
        module_kms.encrypt(Plaintext=b"x", **options)
    with refused("InvalidCiphertextException"):
        module_kms.decrypt(CiphertextBlob=bytes(256), **options)
