"""AWS's errors: code, message and the gRPC status that comes closest.

Messages are AWS's own, some of them empty; source: recorded answers and the `kms` API reference.
"""

import grpc

from kms_emulator.model.errors import (
    CiphertextError,
    KeyInUseError,
    KeyMissingError,
    KeyStateError,
    MaterialError,
    ModelError,
    NameTakenError,
)
from kms_emulator.model.keys import Key, KeyState
from kms_emulator.wire.aws.names import key_arn
from kms_emulator.wire.call import Call, CloudError

_STATUS = {
    "AccessDeniedException": grpc.StatusCode.PERMISSION_DENIED,
    "AlreadyExistsException": grpc.StatusCode.ALREADY_EXISTS,
    "DisabledException": grpc.StatusCode.FAILED_PRECONDITION,
    "DryRunOperationException": grpc.StatusCode.FAILED_PRECONDITION,
    "KMSInvalidStateException": grpc.StatusCode.FAILED_PRECONDITION,
    "LimitExceededException": grpc.StatusCode.RESOURCE_EXHAUSTED,
    "NotFoundException": grpc.StatusCode.NOT_FOUND,
    "UnsupportedOperationException": grpc.StatusCode.UNIMPLEMENTED,
}
"""Every other code is INVALID_ARGUMENT: something in the request is wrong."""

_PENDING = {
    KeyState.ENABLED: "in a state that does not allow it",
    KeyState.DELETION_SCHEDULED: "pending deletion",
    KeyState.MATERIAL_MISSING: "pending import",
    KeyState.REPLICAS_REMAIN: "pending replica deletion",
}


def aws_error(code: str, message: str = "") -> CloudError:
    """Return an error of that code."""
    return CloudError(code, message, _STATUS.get(code, grpc.StatusCode.INVALID_ARGUMENT))


def validation(field: str, constraint: str) -> CloudError:
    """Return AWS's answer to a field that breaks a constraint."""
    text = f"1 validation error detected: Value at '{field}' failed to satisfy constraint: Member must {constraint}"
    return aws_error("ValidationException", text)


def wrong_state(key: Key) -> CloudError:
    """Return AWS's answer to using a key in its present state."""
    if key.state is KeyState.DISABLED:
        return aws_error("DisabledException", f"{key_arn(key)} is disabled.")
    return aws_error("KMSInvalidStateException", f"{key_arn(key)} is {_PENDING[key.state]}.")


def translate(error: ModelError, call: Call) -> CloudError:
    """Return AWS's words for what the model refused."""
    if isinstance(error, KeyStateError):
        return wrong_state(error.key)
    if isinstance(error, KeyInUseError):
        return aws_error("KMSInvalidStateException", f"{key_arn(error.key)} is in use by {error.named}.")
    if isinstance(error, CiphertextError):
        return aws_error("InvalidCiphertextException")
    if isinstance(error, MaterialError):
        return aws_error("IncorrectKeyMaterialException", str(error))
    if isinstance(error, KeyMissingError):
        return aws_error("NotFoundException", f"Key '{call.key}' does not exist")
    if isinstance(error, NameTakenError):
        return aws_error("AlreadyExistsException", str(error))
    return aws_error("ValidationException", str(error))
