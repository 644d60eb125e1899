"""Google operations on MAC keys."""

from keystore_api.google_kms.v1 import resources_pb2
from keystore_api.google_kms.v1 import service_pb2 as pb

from kms_emulator.model.errors import SignatureError
from kms_emulator.wire.call import Call
from kms_emulator.wire.gcp.checksums import check_length, checksum, verify
from kms_emulator.wire.gcp.usable import find_usable

_MAC = resources_pb2.CryptoKey.MAC


def mac_sign(call: Call, request: pb.MacSignRequest) -> pb.MacSignResponse:
    """Return the MAC of data."""
    used = find_usable(call, request.name, _MAC)
    check_length("data", request.data)
    verified = verify(request, "data")
    mac = used.material.mac(request.data)
    return pb.MacSignResponse(
        name=request.name,
        mac=mac,
        mac_crc32c=checksum(mac),
        verified_data_crc32c=verified,
        protection_level=used.level,
    )


def mac_verify(call: Call, request: pb.MacVerifyRequest) -> pb.MacVerifyResponse:
    """Tell whether a MAC is the data's; a wrong one is an answer, not an error."""
    used = find_usable(call, request.name, _MAC)
    check_length("data", request.data)
    verified_data, verified_mac = verify(request, "data"), verify(request, "mac")
    try:
        used.material.check_mac(request.data, request.mac)
        success = True
    except SignatureError:
        success = False
    return pb.MacVerifyResponse(
        name=request.name,
        success=success,
        verified_data_crc32c=verified_data,
        verified_mac_crc32c=verified_mac,
        verified_success_integrity=success,
        protection_level=used.level,
    )
