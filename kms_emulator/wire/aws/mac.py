"""AWS operations on HMAC keys."""

from keystore_api.aws_kms.v1 import aws_kms_pb2 as pb

from kms_emulator.model.errors import SignatureError
from kms_emulator.model.keys import Key, KeyUsage
from kms_emulator.model.material import Material
from kms_emulator.wire.aws import names
from kms_emulator.wire.aws.errors import aws_error
from kms_emulator.wire.aws.lookup import find_key
from kms_emulator.wire.aws.specs import check_algorithm
from kms_emulator.wire.aws.usable import check_dry_run, check_usable
from kms_emulator.wire.call import Call


def generate_mac(call: Call, request: pb.GenerateMacRequest) -> pb.GenerateMacResponse:
    """Return the HMAC of a message."""
    key, material = _usable(call, request)
    check_dry_run(request.dry_run)
    return pb.GenerateMacResponse(
        mac=material.mac(request.message), mac_algorithm=request.mac_algorithm, key_id=names.key_arn(key)
    )


def verify_mac(call: Call, request: pb.VerifyMacRequest) -> pb.VerifyMacResponse:
    """Verify an HMAC; a bad one is an error, not an answer."""
    key, material = _usable(call, request)
    try:
        material.check_mac(request.message, request.mac)
    except SignatureError:
        raise aws_error("KMSInvalidMacException") from None
    check_dry_run(request.dry_run)
    return pb.VerifyMacResponse(key_id=names.key_arn(key), mac_valid=True, mac_algorithm=request.mac_algorithm)


def _usable(call: Call, request: pb.GenerateMacRequest | pb.VerifyMacRequest) -> tuple[Key, Material]:
    key = find_key(call, request.region, request.key_id)
    version = check_usable(call, key, KeyUsage.MAC)
    check_algorithm(key, request.mac_algorithm)
    return key, call.registry.usable(key, version.number)
