"""Google's JSON: a request out of path, query and body, and an answer or error as JSON (protobuf's JSON mapping)."""

import json
import urllib.parse
from collections.abc import Mapping
from typing import Any

import grpc
from google.protobuf import json_format
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError, Message
from keystore_api.google_rpc.v1 import status_pb2

from kms_emulator.wire.call import CloudError
from kms_emulator.wire.gcp.errors import invalid
from kms_emulator.wire.gcp.rules import Rule

STATUSES: Mapping[grpc.StatusCode, int] = {
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.FAILED_PRECONDITION: 400,
    grpc.StatusCode.OUT_OF_RANGE: 400,
    grpc.StatusCode.UNAUTHENTICATED: 401,
    grpc.StatusCode.PERMISSION_DENIED: 403,
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.ALREADY_EXISTS: 409,
    grpc.StatusCode.ABORTED: 409,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 429,
    grpc.StatusCode.CANCELLED: 499,
    grpc.StatusCode.UNIMPLEMENTED: 501,
    grpc.StatusCode.UNAVAILABLE: 503,
    grpc.StatusCode.DEADLINE_EXCEEDED: 504,
}
"""HTTP status of each code (google/rpc/code.proto); 500 for the others."""

_SYSTEM_PARAMETERS = frozenset(
    ("$alt", "alt", "$.xgafv", "access_token", "callback", "fields", "key", "oauth_token", "prettyPrint", "quotaUser")
)
_DETAILS: Mapping[str, type[Message]] = {
    "ErrorInfo": status_pb2.ErrorInfo,
    "PreconditionFailure": status_pb2.PreconditionFailure,
}


def read_request(rule: Rule, name: str, query: str, body: bytes) -> Message:
    """Return the request's message; INVALID_ARGUMENT if it is not one."""
    message: Message = rule.adapter.operations[rule.operation].request()
    try:
        if rule.body:
            _read_body(message, rule.body, body)
        _read_query(message, query)
    except (json_format.ParseError, ValueError, RecursionError) as error:
        raise invalid(f"Invalid JSON payload received. {error}") from None
    holder, _, field = rule.field.rpartition(".")
    setattr(getattr(message, holder) if holder else message, field, name)
    return message


def write_answer(answer: Message, query: str) -> dict[str, Any]:
    """Return the JSON of an answer, with enums as the caller wants them."""
    asked = [value for name, value in urllib.parse.parse_qsl(query) if name in ("$alt", "alt")]
    numbers = any("enum-encoding=int" in value for value in asked)
    found: dict[str, Any] = json_format.MessageToDict(answer, use_integers_for_enums=numbers)
    return found


def write_error(error: CloudError) -> tuple[int, dict[str, Any]]:
    """Return the HTTP status of an error, and its JSON."""
    status = STATUSES.get(error.status, 500)
    found: dict[str, Any] = {"code": status, "message": error.message, "status": error.status.name}
    if error.details:
        packed = status_pb2.Status.FromString(error.details).details
        found["details"] = [_detail(item.type_url, item.value) for item in packed]
    return status, {"error": found}


def _detail(type_url: str, value: bytes) -> dict[str, Any]:
    try:
        message = _DETAILS[type_url.rpartition(".")[2]].FromString(value)
    except (KeyError, DecodeError) as error:
        raise ValueError(f"a detail {type_url} that nothing here writes") from error
    return {"@type": type_url, **json_format.MessageToDict(message)}


def _read_body(message: Message, field: str, body: bytes) -> None:
    value = json.loads(body) if body.strip() else {}
    if not isinstance(value, dict):
        raise ValueError("The body must be a JSON object.")
    target = message
    if field != "*":
        target = getattr(message, field)
        target.SetInParent()
    json_format.ParseDict(value, target)


def _read_query(message: Message, query: str) -> None:
    """Set the fields that parameters name, by path, in either spelling."""
    for name, value in urllib.parse.parse_qsl(query, keep_blank_values=True):
        if name in _SYSTEM_PARAMETERS:
            continue
        fields = _path(message.DESCRIPTOR, name)
        nested: Any = _value(fields[-1], value)
        for field in reversed(fields):
            nested = {field.name: nested}
        json_format.ParseDict(nested, message)


def _path(descriptor: Any, name: str) -> list[FieldDescriptor]:
    found: list[FieldDescriptor] = []
    for part in name.split("."):
        inner = found[-1].message_type if found else descriptor
        field = None
        if inner is not None:
            field = inner.fields_by_name.get(part) or inner.fields_by_camelcase_name.get(part)
        if field is None:
            raise ValueError(f'Unknown name "{name}": Cannot bind query parameter.')
        found.append(field)
    return found


def _value(field: FieldDescriptor, text: str) -> Any:
    if field.type == FieldDescriptor.TYPE_BOOL and text in ("true", "false"):
        return text == "true"
    return [text] if field.is_repeated else text
