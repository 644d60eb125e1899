"""Azure's words for faults, and the key that a request means, found without judging it."""

from collections.abc import Iterator
from typing import Any

import grpc
from google.protobuf.message import Message

from kms_emulator.model.faults import Fault, FaultKind
from kms_emulator.model.registry import Registry
from kms_emulator.wire.azure.errors import forbidden
from kms_emulator.wire.call import Call, CloudError


def fault_error(fault: Fault, call: Call) -> CloudError:
    """Return what Key Vault answers."""
    if fault.kind is FaultKind.UNAVAILABLE:
        text = "The service is temporarily unavailable."
        return CloudError("ServiceUnavailable", text, grpc.StatusCode.UNAVAILABLE, http_status=503)
    if fault.kind is FaultKind.THROTTLE:
        text = "Request was not processed because too many requests were received."
        return CloudError(
            "Throttled",
            text,
            grpc.StatusCode.RESOURCE_EXHAUSTED,
            "VaultRequestTypeLimitReached",
            http_status=429,
            retry_after_s=fault.retry_after_s,
        )
    if fault.kind is FaultKind.EXPIRED_CREDENTIALS:
        text = "AKV10000: Request is missing a valid Bearer or PoP token: the token is expired."
        return CloudError("Unauthorized", text, grpc.StatusCode.UNAUTHENTICATED, http_status=401)
    if fault.kind is FaultKind.ADDRESSES:
        text = "Client address is not authorized and caller is not a trusted service."
        return forbidden(f"{text}\nClient address: {call.caller.address}", "ForbiddenByFirewall")
    return CloudError(fault.code, fault.message, _STATUS.get(fault.code, grpc.StatusCode.INVALID_ARGUMENT))


_STATUS = {
    "Conflict": grpc.StatusCode.ALREADY_EXISTS,
    "Forbidden": grpc.StatusCode.PERMISSION_DENIED,
    "InternalServerError": grpc.StatusCode.UNAVAILABLE,
    "KeyNotFound": grpc.StatusCode.NOT_FOUND,
    "ServiceUnavailable": grpc.StatusCode.UNAVAILABLE,
    "Throttled": grpc.StatusCode.RESOURCE_EXHAUSTED,
    "Unauthorized": grpc.StatusCode.UNAUTHENTICATED,
}


def key_names(_: Registry, request: Message) -> Iterator[str]:
    """Yield the key id of the request, without and with its version, as it was written."""
    fields: Any = request
    name, version = getattr(fields, "name", ""), getattr(fields, "version", "")
    if not name:
        return
    base = f"https://{fields.vault}.vault.azure.net/keys/{name}"
    yield base
    if version:
        yield f"{base}/{version}"
