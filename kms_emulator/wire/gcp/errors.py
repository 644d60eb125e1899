"""Google's errors: canonical codes, which are gRPC's, with details where a client could act on them."""

import grpc
from google.protobuf.any_pb2 import Any
from google.protobuf.message import Message
from keystore_api.google_rpc.v1 import status_pb2

from kms_emulator.model.errors import (
    CiphertextError,
    KeyInUseError,
    KeyMissingError,
    ModelError,
    NameTakenError,
    VersionMissingError,
    VersionStateError,
)
from kms_emulator.model.keys import Key, Version, VersionState
from kms_emulator.wire.call import Call, CloudError
from kms_emulator.wire.gcp.names import version_name

STATE_NAMES = {
    VersionState.ENABLED: "ENABLED",
    VersionState.DISABLED: "DISABLED",
    VersionState.DESTROY_SCHEDULED: "DESTROY_SCHEDULED",
    VersionState.DESTROYED: "DESTROYED",
    VersionState.MISSING: "IMPORT_FAILED",
}
_DETAIL_TYPES = "type.googleapis.com/google.rpc."
DOMAIN = "cloudkms.googleapis.com"
UNAUTHENTICATED_TEXT = (
    "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other valid "
    "authentication credential."
)


def google_error(status: grpc.StatusCode, message: str) -> CloudError:
    """Return an error of that code."""
    return CloudError(status.name, message, status)


def invalid(message: str) -> CloudError:
    """Return INVALID_ARGUMENT."""
    return google_error(grpc.StatusCode.INVALID_ARGUMENT, message)


def not_found(kind: str, name: str) -> CloudError:
    """Return NOT_FOUND."""
    return google_error(grpc.StatusCode.NOT_FOUND, f"{kind} {name} not found.")


def already_exists(kind: str, name: str) -> CloudError:
    """Return ALREADY_EXISTS."""
    return google_error(grpc.StatusCode.ALREADY_EXISTS, f"{kind} {name} already exists.")


def not_emulated(what: str) -> CloudError:
    """Return UNIMPLEMENTED, for what Google's service has and this one does not."""
    return google_error(grpc.StatusCode.UNIMPLEMENTED, f"{what} is not emulated.")


def failed_precondition(message: str) -> CloudError:
    """Return FAILED_PRECONDITION."""
    return google_error(grpc.StatusCode.FAILED_PRECONDITION, message)


def wrong_state(key: Key, version: Version, expected: str = "enabled") -> CloudError:
    """Return FAILED_PRECONDITION with a violation whose type names the state, such as KEY_DISABLED."""
    name, state = version_name(key, version), STATE_NAMES[version.state]
    message = f"{name} is not {expected}, current state is: {state}."
    status = grpc.StatusCode.FAILED_PRECONDITION
    kind = f"KEY_{state}"
    violation = status_pb2.PreconditionFailure.Violation(type=kind, subject=name)
    detail = status_pb2.PreconditionFailure(violations=[violation])
    return CloudError(status.name, message, status, kind, _details(status, message, detail))


def in_use(error: KeyInUseError) -> CloudError:
    """Return FAILED_PRECONDITION with the violation KEY_IN_USE, for what the guard keeps; Google has none."""
    name = version_name(error.key, error.version) if error.version else error.key.name
    message = f"{name} is in use by {error.named}; it cannot be disabled or destroyed."
    status = grpc.StatusCode.FAILED_PRECONDITION
    violation = status_pb2.PreconditionFailure.Violation(type="KEY_IN_USE", subject=name, description=error.named)
    detail = status_pb2.PreconditionFailure(violations=[violation])
    return CloudError(status.name, message, status, "KEY_IN_USE", _details(status, message, detail))


def permission_denied(permission: str, resource: str) -> CloudError:
    """Return PERMISSION_DENIED; it says what is missing, for people and for programs."""
    message = f"Permission '{permission}' denied on resource '{resource}' (or it may not exist)."
    named = {"permission": permission, "resource": resource}
    return _informed(grpc.StatusCode.PERMISSION_DENIED, message, "IAM_PERMISSION_DENIED", named)


def unauthenticated(reason: str) -> CloudError:
    """Return UNAUTHENTICATED, with a reason for programs."""
    return _informed(grpc.StatusCode.UNAUTHENTICATED, UNAUTHENTICATED_TEXT, reason, {"service": DOMAIN})


def concurrent_change() -> CloudError:
    """Return ABORTED: somebody else changed the policy since it was read."""
    text = "There were concurrent policy changes. Please retry the whole read-modify-write with exponential backoff."
    return google_error(grpc.StatusCode.ABORTED, text)


def _informed(status: grpc.StatusCode, message: str, reason: str, metadata: dict[str, str]) -> CloudError:
    detail = status_pb2.ErrorInfo(reason=reason, domain=DOMAIN, metadata=metadata)
    return CloudError(status.name, message, status, reason, _details(status, message, detail))


def _details(status: grpc.StatusCode, message: str, detail: Message) -> bytes:
    """Return an encoded google.rpc.Status with one detail, under that detail's real name."""
    number: int = status.value[0]
    packed = Any(type_url=_DETAIL_TYPES + detail.DESCRIPTOR.name, value=detail.SerializeToString(deterministic=True))
    return status_pb2.Status(code=number, message=message, details=[packed]).SerializeToString()


def translate(error: ModelError, call: Call) -> CloudError:
    """Return Google's words for what the model refused."""
    if isinstance(error, KeyInUseError):
        return in_use(error)
    if isinstance(error, VersionStateError):
        return wrong_state(error.key, error.version)
    if isinstance(error, CiphertextError):
        return invalid("Decryption failed: the ciphertext is invalid.")
    if isinstance(error, KeyMissingError):
        return not_found("CryptoKey", call.key)
    if isinstance(error, VersionMissingError):
        return not_found("CryptoKeyVersion", call.key)
    if isinstance(error, NameTakenError):
        return already_exists("CryptoKey", call.key)
    return invalid(str(error))
