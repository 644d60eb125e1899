"""AWS operations that encrypt and decrypt. The ciphertext names its key and material; the context binds it."""

from collections.abc import Mapping

from keystore_api.aws_kms.v1 import aws_kms_pb2 as pb

from kms_emulator.model import lifecycle
from kms_emulator.model.context import encode_map
from kms_emulator.model.errors import KeyMissingError
from kms_emulator.model.keys import Key, Version
from kms_emulator.wire.aws import names
from kms_emulator.wire.aws.errors import aws_error, validation
from kms_emulator.wire.aws.keys import ALGORITHM, material_id
from kms_emulator.wire.aws.lookup import find_key, region
from kms_emulator.wire.call import Call

PLAINTEXT_BYTES_MAX = 4096
CIPHERTEXT_BYTES_MAX = 6144
DATA_KEY_BYTES_MAX = 1024
_DATA_KEY_BYTES = {"AES_128": 16, "AES_256": 32}


def encrypt(call: Call, request: pb.EncryptRequest) -> pb.EncryptResponse:
    """Encrypt up to 4096 bytes under a key's current material."""
    _check_length("plaintext", request.plaintext, PLAINTEXT_BYTES_MAX)
    _check_algorithm(request.encryption_algorithm)
    key = find_key(call, request.region, request.key_id)
    ciphertext = _seal(call, key, request.plaintext, request.encryption_context, dry_run=request.dry_run)
    return pb.EncryptResponse(ciphertext_blob=ciphertext, key_id=names.key_arn(key), encryption_algorithm=ALGORITHM)


def decrypt(call: Call, request: pb.DecryptRequest) -> pb.DecryptResponse:
    """Decrypt with the material that the ciphertext names."""
    _check_algorithm(request.encryption_algorithm)
    key, version, plaintext = _open(
        call,
        request.region,
        request.key_id,
        request.ciphertext_blob,
        request.encryption_context,
        dry_run=request.dry_run,
    )
    return pb.DecryptResponse(
        key_id=names.key_arn(key),
        plaintext=plaintext,
        encryption_algorithm=ALGORITHM,
        key_material_id=material_id(key, version),
    )


def re_encrypt(call: Call, request: pb.ReEncryptRequest) -> pb.ReEncryptResponse:
    """Decrypt, and encrypt under another key; the caller never sees the plaintext."""
    source, version, plaintext = _open(
        call, request.region, request.source_key_id, request.ciphertext_blob, request.source_encryption_context
    )
    key = find_key(call, request.region, request.destination_key_id)
    ciphertext = _seal(call, key, plaintext, request.destination_encryption_context, dry_run=request.dry_run)
    return pb.ReEncryptResponse(
        ciphertext_blob=ciphertext,
        source_key_id=names.key_arn(source),
        key_id=names.key_arn(key),
        source_key_material_id=material_id(source, version),
        destination_key_material_id=material_id(key, key.versions[-1]),
    )


def generate_data_key(call: Call, request: pb.GenerateDataKeyRequest) -> pb.GenerateDataKeyResponse:
    """Return random bytes, and the same bytes encrypted under a key."""
    plaintext = call.registry.new_bytes(_data_key_bytes(request))
    key = find_key(call, request.region, request.key_id)
    ciphertext = _seal(call, key, plaintext, request.encryption_context, dry_run=request.dry_run)
    return pb.GenerateDataKeyResponse(
        ciphertext_blob=ciphertext,
        plaintext=plaintext,
        key_id=names.key_arn(key),
        key_material_id=material_id(key, key.versions[-1]),
    )


def _seal(call: Call, key: Key, plaintext: bytes, context: Mapping[str, str], *, dry_run: bool) -> bytes:
    version = key.versions[-1]
    call.key_version, call.plaintext_bytes = material_id(key, version), len(plaintext)
    lifecycle.check_usable(key, version.number)
    _check_dry_run(dry_run)
    ciphertext = call.registry.seal(key, version.number, plaintext, encode_map(context))
    call.ciphertext_bytes = len(ciphertext)
    return ciphertext


def _open(
    call: Call,
    requested_region: str,
    identifier: str,
    ciphertext: bytes,
    context: Mapping[str, str],
    *,
    dry_run: bool = False,
) -> tuple[Key, Version, bytes]:
    _check_length("ciphertextBlob", ciphertext, CIPHERTEXT_BYTES_MAX)
    call.ciphertext_bytes = len(ciphertext)
    expected = find_key(call, requested_region, identifier) if identifier else None
    key, version = _named_key(call, region(requested_region), ciphertext)
    if expected is not None and expected.uid != key.uid:
        text = "The key ID in the request does not identify a CMK that can perform this operation."
        raise aws_error("IncorrectKeyException", text)
    call.key, call.key_version = names.key_arn(key), material_id(key, version)
    lifecycle.check_usable(key, version.number)
    plaintext = call.registry.open(key, version.number, ciphertext, encode_map(context))
    call.plaintext_bytes = len(plaintext)
    _check_dry_run(dry_run)
    return key, version, plaintext


def _named_key(call: Call, place: str, ciphertext: bytes) -> tuple[Key, Version]:
    """Return what the ciphertext names. A key that is gone or elsewhere is answered like one that is forbidden."""
    try:
        key, version = call.registry.named_in(names.REALM, ciphertext)
    except KeyMissingError:
        raise _unknown_key() from None
    if names.region_of(key.name) != place:
        raise _unknown_key()
    return key, version


def _unknown_key() -> Exception:
    text = (
        "The ciphertext refers to a customer master key that does not exist, does not exist in this region, "
        "or you are not allowed to access."
    )
    return aws_error("AccessDeniedException", text)


def _check_length(field: str, value: bytes, length_max: int) -> None:
    if not value:
        raise validation(field, "have length greater than or equal to 1")
    if len(value) > length_max:
        raise validation(field, f"have length less than or equal to {length_max}")


def _check_algorithm(algorithm: str) -> None:
    if algorithm not in ("", ALGORITHM):
        raise aws_error("InvalidKeyUsageException", f"Algorithm {algorithm} and key spec {ALGORITHM} do not match.")


def _check_dry_run(dry_run: bool) -> None:
    if dry_run:
        text = "The request would have succeeded, but the DryRun option is set."
        raise aws_error("DryRunOperationException", text)


def _data_key_bytes(request: pb.GenerateDataKeyRequest) -> int:
    if bool(request.number_of_bytes) == bool(request.key_spec):
        text = "Please specify either number of bytes or key spec."
        raise aws_error("ValidationException", text)
    if request.key_spec and request.key_spec not in _DATA_KEY_BYTES:
        raise validation("keySpec", "satisfy enum value set: [AES_256, AES_128]")
    length = request.number_of_bytes or _DATA_KEY_BYTES[request.key_spec]
    if not 1 <= length <= DATA_KEY_BYTES_MAX:
        raise validation("numberOfBytes", f"have value between 1 and {DATA_KEY_BYTES_MAX}")
    return length
