"""AWS's words for faults, and the keys that a request means, found without judging it."""

from collections.abc import Iterator
from typing import Any

import grpc
from google.protobuf.message import Message

from kms_emulator.model.errors import ModelError
from kms_emulator.model.faults import Fault, FaultKind
from kms_emulator.model.keys import Key
from kms_emulator.model.registry import Registry
from kms_emulator.wire.aws import names
from kms_emulator.wire.aws.errors import aws_error
from kms_emulator.wire.call import Call, CloudError

_KEY_FIELDS = ("key_id", "source_key_id", "destination_key_id", "target_key_id", "alias_name")
_CIPHERTEXT_FIELDS = ("ciphertext_blob",)
_SERVER_STATUS = 500
_SERVER_CODES = {
    "DependencyTimeoutException": _SERVER_STATUS,
    "InternalFailure": _SERVER_STATUS,
    "KMSInternalException": _SERVER_STATUS,
    "KeyUnavailableException": _SERVER_STATUS,
    "ServiceUnavailable": 503,
    "ServiceUnavailableException": 503,
}
"""Codes that are the service's own fault, with their HTTP status (AWS KMS API reference, "Common errors")."""


def fault_error(fault: Fault, call: Call, service: str = "kms") -> CloudError:
    """Return what AWS answers."""
    if fault.kind is FaultKind.UNAVAILABLE:
        text = "The request has failed due to a temporary failure of the server."
        return _error("ServiceUnavailable", text, grpc.StatusCode.UNAVAILABLE)
    if fault.kind is FaultKind.THROTTLE:
        text = "You have exceeded the rate at which you may call KMS. Reduce the frequency of your calls."
        return _error("ThrottlingException", text, grpc.StatusCode.RESOURCE_EXHAUSTED)
    if fault.kind is FaultKind.EXPIRED_CREDENTIALS:
        text = "The security token included in the request is expired"
        return _error("ExpiredTokenException", text, grpc.StatusCode.UNAUTHENTICATED)
    if fault.kind is FaultKind.ADDRESSES:
        who = f"User: {call.caller.arn or 'anonymous'} is not authorized to perform: {service}:{call.operation}"
        return aws_error("AccessDeniedException", f"{who} with an explicit deny in a VPC endpoint policy")
    if fault.code in _SERVER_CODES:
        return _error(fault.code, fault.message, grpc.StatusCode.UNAVAILABLE)
    return aws_error(fault.code, fault.message)


def _error(code: str, message: str, status: grpc.StatusCode) -> CloudError:
    return CloudError(code, message, status, http_status=_SERVER_CODES.get(code, 400))


def key_names(registry: Registry, request: Message) -> Iterator[str]:
    """Yield what the request calls its keys, and of those that exist the ARN and the ARNs of all aliases."""
    fields: Any = request
    place = getattr(fields, "region", "") or names.DEFAULT_REGION
    for field in _KEY_FIELDS:
        identifier = getattr(fields, field, "")
        if identifier:
            yield identifier
            yield from _all_names(registry, _behind(registry, place, identifier))
    for field in _CIPHERTEXT_FIELDS:
        ciphertext = getattr(fields, field, b"")
        if ciphertext:
            yield from _all_names(registry, _in_ciphertext(registry, place, ciphertext))


def _behind(registry: Registry, place: str, identifier: str) -> Key | None:
    resource = identifier.rpartition(":")[2].removeprefix("key/")
    if identifier.startswith("arn:"):
        place = [*identifier.split(":"), "", "", ""][3]
    name = names.key_name(place, resource)
    alias = registry.alias(names.REALM, name)
    try:
        return registry.by_uid(alias.target) if alias else registry.key(names.REALM, name)
    except ModelError:
        return None


def _in_ciphertext(registry: Registry, place: str, ciphertext: bytes) -> Key | None:
    try:
        return registry.named_in(names.REALM, ciphertext, f"{place}/")[0]
    except ModelError:
        return None


def _all_names(registry: Registry, key: Key | None) -> Iterator[str]:
    if key is None:
        return
    yield names.key_arn(key)
    aliases = registry.aliases(names.REALM, f"{names.region_of(key.name)}/")
    yield from (names.alias_arn(alias) for alias in aliases if alias.target == key.uid)
