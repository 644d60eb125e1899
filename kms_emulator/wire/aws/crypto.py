"""AWS operations that encrypt and decrypt. The ciphertext names its key and material; the context binds it."""

from keystore_api.aws_kms.v1 import aws_kms_pb2 as pb

from kms_emulator.model.keys import KeyUsage
from kms_emulator.wire.aws import names
from kms_emulator.wire.aws.cipher import Ciphertext, Encrypted, seal, unseal
from kms_emulator.wire.aws.errors import aws_error
from kms_emulator.wire.aws.lookup import find_key
from kms_emulator.wire.aws.specs import SYMMETRIC, check_algorithm
from kms_emulator.wire.aws.usable import check_attestation, check_dry_run, check_usable
from kms_emulator.wire.call import Call


def encrypt(call: Call, request: pb.EncryptRequest) -> pb.EncryptResponse:
    """Encrypt up to 4096 bytes under a key's current material, or what fits under an RSA key."""
    key = find_key(call, request.region, request.key_id)
    algorithm, dry_run = request.encryption_algorithm, request.dry_run
    made = seal(call, key, request.plaintext, request.encryption_context, algorithm, dry_run=dry_run)
    return pb.EncryptResponse(
        ciphertext_blob=made.ciphertext, key_id=names.key_arn(key), encryption_algorithm=made.algorithm
    )


def decrypt(call: Call, request: pb.DecryptRequest) -> pb.DecryptResponse:
    """Decrypt with the material that the ciphertext names, or with the RSA key that the caller names."""
    check_attestation(request.HasField("recipient"))
    sealed = Ciphertext(
        request.ciphertext_blob, request.encryption_context, request.key_id, request.encryption_algorithm
    )
    if _ignores_ciphertext(request):
        _check_openable(call, request.region, sealed)
        check_dry_run(True)
    opened = unseal(call, request.region, sealed, dry_run=request.dry_run)
    return pb.DecryptResponse(
        key_id=names.key_arn(opened.key),
        plaintext=opened.plaintext,
        encryption_algorithm=opened.algorithm,
        key_material_id=opened.material or None,
    )


def re_encrypt(call: Call, request: pb.ReEncryptRequest) -> pb.ReEncryptResponse:
    """Decrypt, and encrypt under another key; the caller never sees the plaintext."""
    sealed = Ciphertext(
        request.ciphertext_blob,
        request.source_encryption_context,
        request.source_key_id,
        request.source_encryption_algorithm,
    )
    if _ignores_ciphertext(request):
        _check_openable(call, request.region, sealed)
        _sealed_again(call, request, b"\0")
    opened = unseal(call, request.region, sealed)
    made = _sealed_again(call, request, opened.plaintext)
    return pb.ReEncryptResponse(
        ciphertext_blob=made.ciphertext,
        source_key_id=names.key_arn(opened.key),
        key_id=names.key_arn(made.key),
        source_encryption_algorithm=opened.algorithm,
        destination_encryption_algorithm=made.algorithm,
        source_key_material_id=opened.material or None,
        destination_key_material_id=made.material or None,
    )


def _sealed_again(call: Call, request: pb.ReEncryptRequest, plaintext: bytes) -> Encrypted:
    key = find_key(call, request.region, request.destination_key_id, action="ReEncryptTo")
    context, algorithm = request.destination_encryption_context, request.destination_encryption_algorithm
    return seal(call, key, plaintext, context, algorithm, dry_run=request.dry_run)


def _ignores_ciphertext(request: pb.DecryptRequest | pb.ReEncryptRequest) -> bool:
    """Tell whether a dry run is asked for that looks at no ciphertext; without that, there must be one."""
    if request.dry_run_modifiers:
        if not request.dry_run:
            raise aws_error("ValidationException", "DryRunModifiers can only be specified when DryRun is true.")
        return True
    if not request.HasField("ciphertext_blob"):
        text = "Value null at 'ciphertextBlob' failed to satisfy constraint: Member must not be null"
        raise aws_error("ValidationException", f"1 validation error detected: {text}")
    return False


def _check_openable(call: Call, requested_region: str, sealed: Ciphertext) -> None:
    """Check all that decrypting asks of the key that the caller names; there is no ciphertext to name one."""
    if not sealed.identifier:
        text = "A key ID is required when DryRunModifiers is IGNORE_CIPHERTEXT."
        raise aws_error("ValidationException", text)
    action = "ReEncryptFrom" if call.operation == "ReEncrypt" else ""
    key = find_key(call, requested_region, sealed.identifier, action=action)
    check_usable(call, key, KeyUsage.ENCRYPT)
    check_algorithm(key, sealed.algorithm or SYMMETRIC)
