"""An import as a caller does it: an import job, and key material wrapped under its key outside the emulator."""

import os
from typing import Any

from cryptography.hazmat.primitives import hashes, keywrap
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from google.cloud import kms

from tests.emulator.gcp.keys import RING, Algorithm, Client, Purpose

Method: Any = kms.ImportJob.ImportMethod
Job: Any = kms.ImportJob.ImportJobState
Level: Any = kms.ProtectionLevel
SHA256 = "RSA_OAEP_3072_SHA256_AES_256"
SYMMETRIC = "GOOGLE_SYMMETRIC_ENCRYPTION"


def make_job(client: Client, job_id: str = "job", method: str = SHA256, level: str = "SOFTWARE") -> Any:
    """Make an import job."""
    described = {"import_method": Method[method], "protection_level": Level[level]}
    return client.create_import_job(parent=RING, import_job_id=job_id, import_job=described)


def wrap(job: Any, material: bytes) -> bytes:
    """Wrap material as Google's documentation says, for the method of the job."""
    method = Method(job.import_method).name
    public = load_pem_public_key(job.public_key.pem.encode())
    assert isinstance(public, rsa.RSAPublicKey)
    assert f"_{public.key_size}_" in method
    digest: hashes.HashAlgorithm = hashes.SHA1() if "_SHA1_" in method else hashes.SHA256()
    pad = padding.OAEP(padding.MGF1(digest), digest, None)
    if not method.endswith("_AES_256"):
        return public.encrypt(material, pad)
    between = os.urandom(32)
    return public.encrypt(between, pad) + keywrap.aes_key_wrap_with_padding(between, material)


def make_importable(client: Client, purpose: str = "ENCRYPT_DECRYPT", algorithm: str = SYMMETRIC) -> str:
    """Make a key for imported versions only; return its name."""
    described = {
        "purpose": Purpose[purpose],
        "version_template": {"algorithm": Algorithm[algorithm]},
        "import_only": True,
    }
    request = {"parent": RING, "crypto_key_id": "k", "crypto_key": described, "skip_initial_version_creation": True}
    return str(client.create_crypto_key(request=request).name)


def import_material(
    client: Client, key: str, job: Any, wrapped: bytes, algorithm: str = SYMMETRIC, **fields: Any
) -> Any:
    """Import into a new version of a key, or the version that a field names."""
    request = {"parent": key, "algorithm": Algorithm[algorithm], "import_job": job.name, "wrapped_key": wrapped}
    return client.import_crypto_key_version(request=request | fields)
