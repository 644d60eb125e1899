"""Shared secrets: by ECDH with a peer outside, and by encapsulation."""

from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from tests.emulator.aws_crypto.keys import create, public
from tests.emulator.aws_http.clients import refused

if TYPE_CHECKING:
    from mypy_boto3_kms import KMSClient

CURVES: dict[str, type[ec.EllipticCurve]] = {
    "ECC_NIST_P256": ec.SECP256R1,
    "ECC_NIST_P384": ec.SECP384R1,
    "ECC_NIST_P521": ec.SECP521R1,
}
SECRET_BYTES = {"ECC_NIST_P256": 32, "ECC_NIST_P384": 48, "ECC_NIST_P521": 66}


def spki(key: Any) -> bytes:
    found: bytes = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return found


@pytest.mark.parametrize("spec", CURVES)
def test_both_sides_derive_the_same_secret(kms: "KMSClient", spec: str) -> None:
    key_id = create(kms, spec, "KEY_AGREEMENT")
    peer = ec.generate_private_key(CURVES[spec]())
    derived = kms.derive_shared_secret(KeyId=key_id, KeyAgreementAlgorithm="ECDH", PublicKey=spki(peer.public_key()))
    assert derived["SharedSecret"] == peer.exchange(ec.ECDH(), public(kms, key_id))
    assert len(derived["SharedSecret"]) == SECRET_BYTES[spec]
    assert (derived["KeyId"], derived["KeyOrigin"], derived["KeyAgreementAlgorithm"]) == (key_id, "AWS_KMS", "ECDH")


def test_two_keys_of_the_emulator_agree(kms: "KMSClient") -> None:
    ours, theirs = (create(kms, "ECC_NIST_P256", "KEY_AGREEMENT") for _ in range(2))
    secrets = {
        kms.derive_shared_secret(
            KeyId=key_id, KeyAgreementAlgorithm="ECDH", PublicKey=kms.get_public_key(KeyId=peer)["PublicKey"]
        )["SharedSecret"]
        for key_id, peer in ((ours, theirs), (theirs, ours))
    }
    assert len(secrets) == 1


def test_peer_must_be_a_public_key_on_the_same_curve(kms: "KMSClient") -> None:
    key_id = create(kms, "ECC_NIST_P256", "KEY_AGREEMENT")
    good = spki(ec.generate_private_key(ec.SECP256R1()).public_key())
    wrong = (
        b"x",
        good[:-1],
        good[:-1] + bytes([good[-1] ^ 1]),  # not a point of the curve
        spki(ec.generate_private_key(ec.SECP384R1()).public_key()),
        spki(ed25519.Ed25519PrivateKey.generate().public_key()),
    )
    for peer in wrong:
        with refused("ValidationException", "The public key is not a valid public key for key spec ECC_NIST_P256."):
            kms.derive_shared_secret(KeyId=key_id, KeyAgreementAlgorithm="ECDH", PublicKey=peer)
    with refused("DryRunOperationException"):
        kms.derive_shared_secret(KeyId=key_id, KeyAgreementAlgorithm="ECDH", PublicKey=good, DryRun=True)


def test_signing_key_does_not_agree(kms: "KMSClient") -> None:
    key_id = create(kms, "ECC_NIST_P256", "SIGN_VERIFY")
    text = f"{key_id} key usage is SIGN_VERIFY which is not valid for DeriveSharedSecret."
    peer = spki(ec.generate_private_key(ec.SECP256R1()).public_key())
    with refused("InvalidKeyUsageException", text):
        kms.derive_shared_secret(KeyId=key_id, KeyAgreementAlgorithm="ECDH", PublicKey=peer)
    agreeing = create(kms, "ECC_NIST_P256", "KEY_AGREEMENT")
    with refused("InvalidKeyUsageException", f"{agreeing} key usage is KEY_AGREEMENT which is not valid for Sign."):
        kms.sign(KeyId=agreeing, Message=b"x", SigningAlgorithm="ECDSA_SHA_256")


@pytest.mark.parametrize("spec", ["ML_KEM_768", "ML_KEM_1024"])
def test_encapsulated_secret_comes_back(kms: "KMSClient", spec: str) -> None:
    key_id = create(kms, spec, "ENCAPSULATE_DECAPSULATE")
    options: Any = {"KeyId": key_id, "EncapsulationAlgorithm": "ML_KEM"}
    made = kms.encapsulate(**options)
    secret, blob = made["SharedSecret"], made["SharedSecretCiphertextBlob"]
    assert kms.decapsulate(SharedSecretCiphertextBlob=blob, **options)["SharedSecret"] == secret
    outside_secret, outside_blob = public(kms, key_id).encapsulate()
    assert kms.decapsulate(SharedSecretCiphertextBlob=outside_blob, **options)["SharedSecret"] == outside_secret
    # FIPS 203 rejects implicitly: a changed encapsulation gives another secret. One of another length is none.
    changed = bytes([blob[0] ^ 1]) + blob[1:]
    assert kms.decapsulate(SharedSecretCiphertextBlob=changed, **options)["SharedSecret"] != secret
    with refused("InvalidCiphertextException", ""):
        kms.decapsulate(SharedSecretCiphertextBlob=blob[:-1], **options)
    with refused("DryRunOperationException"):
        kms.encapsulate(DryRun=True, **options)
