"""AWS operations that encrypt and decrypt. The ciphertext names its key and material; the context binds it."""

from keystore_api.aws_kms.v1 import aws_kms_pb2 as pb

from kms_emulator.wire.aws import names
from kms_emulator.wire.aws.cipher import Ciphertext, seal, unseal
from kms_emulator.wire.aws.errors import validation
from kms_emulator.wire.aws.lookup import find_key
from kms_emulator.wire.aws.usable import check_attestation
from kms_emulator.wire.call import Call

PLAINTEXT_BYTES_MAX = 4096
CIPHERTEXT_BYTES_MAX = 6144


def encrypt(call: Call, request: pb.EncryptRequest) -> pb.EncryptResponse:
    """Encrypt up to 4096 bytes under a key's current material, or what fits under an RSA key."""
    _check_length("plaintext", request.plaintext, PLAINTEXT_BYTES_MAX)
    key = find_key(call, request.region, request.key_id)
    algorithm, dry_run = request.encryption_algorithm, request.dry_run
    made = seal(call, key, request.plaintext, request.encryption_context, algorithm, dry_run=dry_run)
    return pb.EncryptResponse(
        ciphertext_blob=made.ciphertext, key_id=names.key_arn(key), encryption_algorithm=made.algorithm
    )


def decrypt(call: Call, request: pb.DecryptRequest) -> pb.DecryptResponse:
    """Decrypt with the material that the ciphertext names, or with the RSA key that the caller names."""
    check_attestation(request.HasField("recipient"))
    _check_length("ciphertextBlob", request.ciphertext_blob, CIPHERTEXT_BYTES_MAX)
    sealed = Ciphertext(
        request.ciphertext_blob, request.encryption_context, request.key_id, request.encryption_algorithm
    )
    opened = unseal(call, request.region, sealed, dry_run=request.dry_run)
    return pb.DecryptResponse(
        key_id=names.key_arn(opened.key),
        plaintext=opened.plaintext,
        encryption_algorithm=opened.algorithm,
        key_material_id=opened.material or None,
    )


def re_encrypt(call: Call, request: pb.ReEncryptRequest) -> pb.ReEncryptResponse:
    """Decrypt, and encrypt under another key; the caller never sees the plaintext."""
    _check_length("ciphertextBlob", request.ciphertext_blob, CIPHERTEXT_BYTES_MAX)
    sealed = Ciphertext(
        request.ciphertext_blob,
        request.source_encryption_context,
        request.source_key_id,
        request.source_encryption_algorithm,
    )
    opened = unseal(call, request.region, sealed)
    key = find_key(call, request.region, request.destination_key_id, action="ReEncryptTo")
    context, algorithm = request.destination_encryption_context, request.destination_encryption_algorithm
    made = seal(call, key, opened.plaintext, context, algorithm, dry_run=request.dry_run)
    return pb.ReEncryptResponse(
        ciphertext_blob=made.ciphertext,
        source_key_id=names.key_arn(opened.key),
        key_id=names.key_arn(key),
        source_encryption_algorithm=opened.algorithm,
        destination_encryption_algorithm=made.algorithm,
        source_key_material_id=opened.material or None,
        destination_key_material_id=made.material or None,
    )


def _check_length(field: str, value: bytes, length_max: int) -> None:
    if not value:
        raise validation(field, "have length greater than or equal to 1")
    if len(value) > length_max:
        raise validation(field, f"have length less than or equal to {length_max}")
