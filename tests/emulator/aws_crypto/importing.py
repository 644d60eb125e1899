"""The two steps of an import, as a caller does them: wrapped with `cryptography`, outside the emulator."""

import os
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.keywrap import aes_key_wrap_with_padding

if TYPE_CHECKING:
    from mypy_boto3_kms import KMSClient
    from mypy_boto3_kms.type_defs import GetParametersForImportResponseTypeDef

OAEP_SHA256, AES_SHA256 = "RSAES_OAEP_SHA_256", "RSA_AES_KEY_WRAP_SHA_256"
HASHES: dict[str, hashes.HashAlgorithm] = {"_256": hashes.SHA256(), "HA_1": hashes.SHA1()}


def parameters(
    kms: "KMSClient", key_id: str, algorithm: str = OAEP_SHA256, spec: str = "RSA_2048"
) -> "GetParametersForImportResponseTypeDef":
    """Do the first step."""
    options: Any = {"WrappingAlgorithm": algorithm, "WrappingKeySpec": spec}
    return kms.get_parameters_for_import(KeyId=key_id, **options)


def wrap(public_der: bytes, material: bytes, algorithm: str = OAEP_SHA256) -> bytes:
    """Wrap material as AWS's documentation says."""
    public = serialization.load_der_public_key(public_der)
    assert isinstance(public, rsa.RSAPublicKey)
    digest = HASHES[algorithm[-4:]]
    pad = padding.OAEP(padding.MGF1(digest), digest, None)
    if not algorithm.startswith("RSA_AES"):
        return public.encrypt(material, pad)
    between = os.urandom(32)
    return public.encrypt(between, pad) + aes_key_wrap_with_padding(between, material)


def import_material(
    kms: "KMSClient", key_id: str, material: bytes, algorithm: str = OAEP_SHA256, **options: Any
) -> dict[str, Any]:
    """Do both steps; the material stays for good unless the options say otherwise."""
    offered = parameters(kms, key_id, algorithm)
    given = {"ExpirationModel": "KEY_MATERIAL_DOES_NOT_EXPIRE"} | options
    return dict(
        kms.import_key_material(
            KeyId=key_id,
            ImportToken=offered["ImportToken"],
            EncryptedKeyMaterial=wrap(offered["PublicKey"], material, algorithm),
            **given,
        )
    )
