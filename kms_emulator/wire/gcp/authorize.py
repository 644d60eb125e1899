"""Whether the caller may do what is asked: a known service account needs the permission, anybody else does not."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from google.protobuf.message import Message

from kms_emulator.wire.call import Call, Operation
from kms_emulator.wire.gcp import names
from kms_emulator.wire.gcp.errors import permission_denied
from kms_emulator.wire.gcp.policies import permissions

Request = TypeVar("Request", bound=Message)
_PATTERNS = (
    names.KEY_PATTERN,
    names.VERSION_PATTERN,
    names.IMPORT_JOB_PATTERN,
    names.RING_PATTERN,
    names.LOCATION_PATTERN,
)


def permitted(
    permission: str, request: type[Request], run: Callable[[Call, Request], Message | Awaitable[Message]]
) -> Operation[Any]:
    """Return the operation, refused to a service account that lacks the permission."""

    def checked(call: Call, asked: Request) -> Message | Awaitable[Message]:
        authorize(call, permission, resource_of(asked))
        return run(call, asked)

    return Operation(request, checked)


def authorize(call: Call, permission: str, resource: str) -> None:
    """Return if the caller may.

    A name that is none is let through: what then looks for the resource says what is wrong with it.

    Raises:
        CloudError: PERMISSION_DENIED, also where the resource does not exist: whoever may not look is not told.
    """
    if not call.caller.known or not any(pattern.fullmatch(resource) for pattern in _PATTERNS):
        return
    if permission not in permissions(call.core, call.caller.arn, resource):
        call.key = resource
        raise permission_denied(permission, resource)


def resource_of(request: Message) -> str:
    """Return the name of the resource that a request is about."""
    fields: Any = request
    changed = getattr(fields, "crypto_key", None) or getattr(fields, "crypto_key_version", None)
    for name in ("name", "parent", "location", "resource"):
        if getattr(fields, name, ""):
            return str(getattr(fields, name))
    return str(getattr(changed, "name", ""))
