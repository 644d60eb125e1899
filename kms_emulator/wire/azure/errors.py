"""Azure's errors: code, inner code, message, and the gRPC status that comes closest to the HTTP one."""

import grpc

from kms_emulator.model.errors import (
    CiphertextError,
    KeyInUseError,
    KeyMissingError,
    KeyStateError,
    LengthError,
    ModelError,
    NameTakenError,
    VersionMissingError,
    VersionStateError,
)
from kms_emulator.wire.call import Call, CloudError


def key_not_found(identifier: str) -> CloudError:
    """Return 404: also for a deleted key that could be recovered."""
    text = (
        f"A key with (name/id) {identifier} was not found in this key vault. If you recently deleted this key you may "
        "be able to recover it using the correct recovery command."
    )
    return CloudError("KeyNotFound", text, grpc.StatusCode.NOT_FOUND)


def bad_parameter(message: str) -> CloudError:
    """Return 400."""
    return CloudError("BadParameter", message, grpc.StatusCode.INVALID_ARGUMENT)


def forbidden(message: str, inner_code: str = "") -> CloudError:
    """Return 403."""
    return CloudError("Forbidden", message, grpc.StatusCode.PERMISSION_DENIED, inner_code)


def disabled(operation: str) -> CloudError:
    """Return 403 for a disabled version."""
    return forbidden(f"Operation {operation} is not allowed on a disabled key.", "KeyDisabled")


def name_deleted(name: str) -> CloudError:
    """Return 409 for a name that a deleted key still holds."""
    text = (
        f"Key {name} is currently in a deleted but recoverable state, and its name cannot be reused; in this state, "
        "the key can only be recovered or purged."
    )
    return CloudError("Conflict", text, grpc.StatusCode.ALREADY_EXISTS, "ObjectIsDeletedButRecoverable")


def name_taken(name: str) -> CloudError:
    """Return 409 for a name that a live key has."""
    text = f"There was a conflict restoring the key '{name}': a key of that name exists."
    return CloudError("Conflict", text, grpc.StatusCode.ALREADY_EXISTS)


def in_use(error: KeyInUseError) -> CloudError:
    """Return 409 for a key that the guard keeps; no vault has one."""
    text = f"Key {error.key.name.partition('/')[2]} is in use by {error.named}; it cannot be disabled or deleted."
    return CloudError("Conflict", text, grpc.StatusCode.FAILED_PRECONDITION, "KeyInUse", http_status=409)


def translate(error: ModelError, call: Call) -> CloudError:
    """Return Azure's words for what the model refused."""
    if isinstance(error, KeyMissingError | VersionMissingError | KeyStateError):
        return key_not_found(call.key)
    if isinstance(error, KeyInUseError):
        return in_use(error)
    if isinstance(error, VersionStateError):
        return disabled("crypto")
    if isinstance(error, CiphertextError | LengthError):
        return bad_parameter("The parameter is incorrect.")
    if isinstance(error, NameTakenError):
        return name_deleted(call.key)
    return bad_parameter(str(error))
