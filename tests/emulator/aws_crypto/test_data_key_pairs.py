"""Data key pairs: three forms of one pair that belong together."""

from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives import serialization

from tests.emulator.aws_crypto.keys import create
from tests.emulator.aws_http.clients import refused

if TYPE_CHECKING:
    from mypy_boto3_kms import KMSClient

SPECS = [
    "RSA_2048",
    "RSA_3072",
    "ECC_NIST_P256",
    "ECC_NIST_P384",
    "ECC_NIST_P521",
    "ECC_SECG_P256K1",
    "ECC_NIST_EDWARDS25519",
    "ML_KEM_768",
    "ML_KEM_1024",
]
CONTEXT = {"purpose": "signing"}


def spki_of(private_der: bytes) -> bytes:
    private: Any = serialization.load_der_private_key(private_der, None)
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    found: bytes = private.public_key().public_bytes(serialization.Encoding.DER, form)
    return found


@pytest.mark.parametrize("spec", SPECS)
def test_pair_belongs_together(kms: "KMSClient", spec: Any) -> None:
    key_id = create(kms)
    made = kms.generate_data_key_pair(KeyId=key_id, KeyPairSpec=spec, EncryptionContext=CONTEXT)
    assert spki_of(made["PrivateKeyPlaintext"]) == made["PublicKey"]
    assert (made["KeyId"], made["KeyPairSpec"]) == (key_id, spec)
    opened = kms.decrypt(CiphertextBlob=made["PrivateKeyCiphertextBlob"], EncryptionContext=CONTEXT)
    assert opened["Plaintext"] == made["PrivateKeyPlaintext"]
    assert opened["KeyMaterialId"] == made["KeyMaterialId"]
    with refused("InvalidCiphertextException"):
        kms.decrypt(CiphertextBlob=made["PrivateKeyCiphertextBlob"])


def test_without_plaintext(kms: "KMSClient") -> None:
    made = kms.generate_data_key_pair_without_plaintext(KeyId=create(kms), KeyPairSpec="ECC_NIST_P256")
    assert "PrivateKeyPlaintext" not in made
    opened = kms.decrypt(CiphertextBlob=made["PrivateKeyCiphertextBlob"])
    assert spki_of(opened["Plaintext"]) == made["PublicKey"]


def test_key_must_be_symmetric_and_usable(kms: "KMSClient") -> None:
    signing = create(kms, "ECC_NIST_P256", "SIGN_VERIFY")
    text = f"{signing} key usage is SIGN_VERIFY which is not valid for GenerateDataKeyPair."
    with refused("InvalidKeyUsageException", text):
        kms.generate_data_key_pair(KeyId=signing, KeyPairSpec="ECC_NIST_P256")
    key_id = create(kms)
    kms.disable_key(KeyId=key_id)
    for make in (kms.generate_data_key_pair, kms.generate_data_key_pair_without_plaintext):
        with refused("DisabledException", f"{key_id} is disabled."):
            make(KeyId=key_id, KeyPairSpec="ECC_NIST_P256")
    kms.enable_key(KeyId=key_id)
    with refused("DryRunOperationException"):
        kms.generate_data_key_pair(KeyId=key_id, KeyPairSpec="RSA_4096", DryRun=True)
    for spec in ("SM2", "ML_KEM_512"):
        unserved: Any = spec
        with refused("UnsupportedOperationException", f"KeySpec {spec} is not emulated."):
            kms.generate_data_key_pair(KeyId=key_id, KeyPairSpec=unserved)
