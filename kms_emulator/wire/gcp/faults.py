"""Google's words for faults, and the key that a request means, found without judging it."""

from collections.abc import Iterator

import grpc
from google.protobuf.message import Message

from kms_emulator.model.faults import Fault, FaultKind
from kms_emulator.model.registry import Registry
from kms_emulator.wire.call import Call, CloudError
from kms_emulator.wire.gcp.authorize import resource_of
from kms_emulator.wire.gcp.errors import UNAUTHENTICATED_TEXT, google_error

_WORDS = {
    FaultKind.UNAVAILABLE: (grpc.StatusCode.UNAVAILABLE, "The service is currently unavailable."),
    FaultKind.THROTTLE: (
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        "Quota exceeded for quota metric 'Cryptographic requests' and limit 'Cryptographic requests per minute' of "
        "service 'cloudkms.googleapis.com'.",
    ),
    FaultKind.EXPIRED_CREDENTIALS: (grpc.StatusCode.UNAUTHENTICATED, UNAUTHENTICATED_TEXT),
    FaultKind.ADDRESSES: (
        grpc.StatusCode.PERMISSION_DENIED,
        "Request is prohibited by organization's policy. vpcServiceControlsUniqueIdentifier: emulated.",
    ),
}
_CODES = {status.name: status for status in grpc.StatusCode}


def fault_error(fault: Fault, _: Call) -> CloudError:
    """Return what Cloud KMS answers; a code that gRPC does not have becomes UNKNOWN."""
    if fault.kind in _WORDS:
        return google_error(*_WORDS[fault.kind])
    return google_error(_CODES.get(fault.code, grpc.StatusCode.UNKNOWN), fault.message)


def key_names(_: Registry, request: Message) -> Iterator[str]:
    """Yield the key's name, and the version's if the request has one."""
    name = resource_of(request)
    if "/cryptoKeys/" in name:
        yield name
        yield name.partition("/cryptoKeyVersions/")[0]
