"""Errors of `keystore.errors` on the wire: a gRPC status for everybody, and the class itself for our own clients.

The class's name stands in the trailing metadata `x-keystore-error`. Where a class is not made from its message alone,
what it is made from is there too, as JSON. A class that a client does not know, being older, is an `AgentError`.
"""

import json
from collections.abc import Callable
from typing import Any, NoReturn
from urllib.parse import quote

import grpc

from keystore import errors
from keystore.errors import (
    AgentError,
    ApiError,
    CertificateError,
    CommitUnknownError,
    ConversionUnfinishedError,
    GenerationError,
    InputError,
    KeyNotFoundError,
    KeystoreError,
    KmsInvalidError,
    KmsUnreachableError,
    LogGapError,
    NameTakenError,
    NameUnknownError,
    NodeClosedError,
    NodeExistsError,
    NodeLockedError,
    NodeUnreachableError,
    OutsideAnchorUnreachableError,
    PathMissingError,
    PathTakenError,
    PlaceMissingError,
    PlaceUnreachableError,
    RoleError,
    SnapshotDamagedError,
    SnapshotMissingError,
    StoreDamagedError,
    StoreFullError,
    StoreLockedError,
    TopologyError,
)

NAME_METADATA, ARGUMENTS_METADATA = "x-keystore-error", "x-keystore-error-arguments-bin"

MESSAGE_BYTES_MAX = 3000
"""LIMIT: bytes of a message as HTTP/2 writes it; all metadata must stay below the 8 KiB that gRPC clients take."""
ARGUMENTS_BYTES_MAX = 2000
"""LIMIT: bytes of what a class is made from; beyond it the client gets the class above."""

_STATUSES: tuple[tuple[tuple[type[KeystoreError], ...], grpc.StatusCode], ...] = (
    ((KmsUnreachableError, OutsideAnchorUnreachableError, PlaceUnreachableError), grpc.StatusCode.UNAVAILABLE),
    ((NodeUnreachableError, NodeClosedError), grpc.StatusCode.UNAVAILABLE),
    ((PathMissingError, NameUnknownError, SnapshotMissingError, PlaceMissingError), grpc.StatusCode.NOT_FOUND),
    ((PathTakenError, NameTakenError, NodeExistsError), grpc.StatusCode.ALREADY_EXISTS),
    ((InputError,), grpc.StatusCode.INVALID_ARGUMENT),
    ((CertificateError,), grpc.StatusCode.UNAUTHENTICATED),
    ((RoleError,), grpc.StatusCode.PERMISSION_DENIED),
    ((GenerationError, TopologyError, KmsInvalidError, KeyNotFoundError), grpc.StatusCode.FAILED_PRECONDITION),
    ((StoreLockedError, NodeLockedError, ConversionUnfinishedError), grpc.StatusCode.ABORTED),
    ((StoreFullError,), grpc.StatusCode.RESOURCE_EXHAUSTED),
    ((StoreDamagedError, SnapshotDamagedError, CommitUnknownError), grpc.StatusCode.DATA_LOSS),
)

_MAKERS: dict[type[KeystoreError], Callable[[list[Any]], KeystoreError]] = {
    StoreDamagedError: lambda parts: _damaged(*parts),
    LogGapError: lambda parts: LogGapError(*parts),
}
"""Classes that are not made from their message alone."""


_UNTRUSTED = ("handshake failed", "verification check failed", "verify_failed")
"""What gRPC says of a connection whose other side showed no certificate that we take, in lower case."""


def abort(context: grpc.ServicerContext, error: KeystoreError) -> NoReturn:
    """End a call with an error; raises what gRPC ends a call with."""
    metadata: list[tuple[str, str | bytes]] = [(NAME_METADATA, type(error).__name__)]
    if type(error) in _MAKERS:
        arguments = json.dumps(error.__reduce__()[1], default=_plain).encode()
        if len(arguments) > ARGUMENTS_BYTES_MAX:
            metadata = [(NAME_METADATA, type(error).__mro__[1].__name__)]
        else:
            metadata.append((ARGUMENTS_METADATA, arguments))
    context.set_trailing_metadata(tuple(metadata))
    context.abort(status_of(error), _cut(str(error)))


def status_of(error: KeystoreError) -> grpc.StatusCode:
    """Return the status for an error."""
    return next((status for kinds, status in _STATUSES if isinstance(error, kinds)), grpc.StatusCode.UNKNOWN)


def received(error: grpc.RpcError, who: str) -> KeystoreError:
    """Return the error that a call to `who` ended with."""
    if not isinstance(error, grpc.Call):
        return AgentError(f"{who}: {error}. Look at its log.")
    found = dict(error.trailing_metadata() or ())
    message, name = error.details() or "", str(found.get(NAME_METADATA, ""))
    if not name:
        return _of_the_way(error.code(), message, who)
    kind = getattr(errors, name, None)
    if not (isinstance(kind, type) and issubclass(kind, KeystoreError)) or issubclass(kind, ApiError):
        return AgentError(message)  # what the API answers is for its own process to say
    if kind in _MAKERS:
        arguments = found.get(ARGUMENTS_METADATA, b"[]")
        return _MAKERS[kind](json.loads(arguments))
    return kind(message)


def _of_the_way(code: grpc.StatusCode, details: str, who: str) -> KeystoreError:
    """Return the error for a status that no process of ours set."""
    if any(text in details.lower() for text in _UNTRUSTED):
        return CertificateError(
            f"{who} showed no certificate that is valid for it ({_last(details)}). Nothing was sent; look at the "
            "certificates and authorities on both sides."
        )
    if code is grpc.StatusCode.UNIMPLEMENTED:
        return AgentError(f"{who} does not know this call. Nothing was changed; it is of another version, or no node.")
    if code in (grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN):
        return AgentError(f"{who} failed ({details}). Look at its log.")
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED:
        return AgentError(f"{who} refused the call ({details}). Nothing was changed; ask for less at once.")
    why = "no answer in time" if code is grpc.StatusCode.DEADLINE_EXCEEDED else _last(details) or code.name
    return NodeUnreachableError(
        f"{who} does not answer: {why}. What was asked for may have been done; see whether the process runs, then try "
        "again."
    )


def _cut(message: str) -> str:
    """Return a message, or its beginning, with at most `MESSAGE_BYTES_MAX` bytes when every other byte is escaped."""
    while (length := len(quote(message))) > MESSAGE_BYTES_MAX:
        message = message[: len(message) * MESSAGE_BYTES_MAX // length - 1] + "…"
    return message


def _last(details: str) -> str:
    """Return the end of what gRPC says: the reason, without the addresses before it."""
    return details.rpartition("last error: ")[2].rstrip(". ")


def _plain(value: object) -> object:
    if isinstance(value, range):
        return [value.start, value.stop]
    raise TypeError(f"no JSON for {type(value).__name__}")


def _damaged(store: str, part: str, number: int | None, found: str, pages: list[int] | None) -> StoreDamagedError:
    return StoreDamagedError(store, part, number, found, None if pages is None else range(*pages))
