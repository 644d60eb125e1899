"""AWS operations that make random bytes: alone, or as data keys under a KMS key."""

from collections.abc import Mapping
from typing import Protocol

from keystore_api.aws_kms.v1 import aws_kms_pb2 as pb

from kms_emulator.wire.aws import names
from kms_emulator.wire.aws.cipher import Encrypted, seal
from kms_emulator.wire.aws.errors import aws_error, validation
from kms_emulator.wire.aws.lookup import find_key, region
from kms_emulator.wire.aws.specs import not_emulated
from kms_emulator.wire.aws.usable import check_attestation
from kms_emulator.wire.call import Call

_DATA_KEY_BYTES = {"AES_128": 16, "AES_256": 32}


class DataKeyRequest(Protocol):
    """What both requests for a data key have."""

    region: str
    key_id: str
    key_spec: str
    number_of_bytes: int
    dry_run: bool

    @property
    def encryption_context(self) -> Mapping[str, str]: ...


def generate_data_key(call: Call, request: pb.GenerateDataKeyRequest) -> pb.GenerateDataKeyResponse:
    """Return random bytes, and the same bytes encrypted under a key."""
    check_attestation(request.HasField("recipient"))
    plaintext, made = _data_key(call, request)
    return pb.GenerateDataKeyResponse(
        ciphertext_blob=made.ciphertext,
        plaintext=plaintext,
        key_id=names.key_arn(made.key),
        key_material_id=made.material,
    )


def generate_data_key_without_plaintext(
    call: Call, request: pb.GenerateDataKeyWithoutPlaintextRequest
) -> pb.GenerateDataKeyWithoutPlaintextResponse:
    """Return random bytes encrypted under a key, and nothing else."""
    _, made = _data_key(call, request)
    return pb.GenerateDataKeyWithoutPlaintextResponse(
        ciphertext_blob=made.ciphertext, key_id=names.key_arn(made.key), key_material_id=made.material
    )


def generate_random(call: Call, request: pb.GenerateRandomRequest) -> pb.GenerateRandomResponse:
    """Return random bytes."""
    region(request.region)
    check_attestation(request.HasField("recipient"))
    if request.custom_key_store_id:
        raise not_emulated("A custom key store")
    if not request.number_of_bytes:
        raise validation("numberOfBytes", "not be null")
    call.plaintext_bytes = request.number_of_bytes
    return pb.GenerateRandomResponse(plaintext=call.registry.new_bytes(request.number_of_bytes))


def _data_key(call: Call, request: DataKeyRequest) -> tuple[bytes, Encrypted]:
    if bool(request.number_of_bytes) == bool(request.key_spec):
        raise aws_error("ValidationException", "Please specify either number of bytes or key spec.")
    length = request.number_of_bytes or _DATA_KEY_BYTES[request.key_spec]
    key = find_key(call, request.region, request.key_id)
    plaintext = call.registry.new_bytes(length)
    return plaintext, seal(call, key, plaintext, request.encryption_context, dry_run=request.dry_run)
