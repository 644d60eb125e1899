"""The way to a KMS over gRPC: endpoint, deadline, and what an error status means for every cloud.

Leaves to the clients: the codes of their own cloud.

Invariants:
1. The channel is plaintext, so it goes to this machine only: any other endpoint is refused before a connection is
   made.
2. A status or code that nobody listed is *unreachable*, never *invalid*: to stop a node, a KMS must say no in a way
   that we know.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import grpc

from keystore.errors import (
    KeyNotFoundError,
    KmsCredentialsError,
    KmsEndpointError,
    KmsError,
    KmsPermissionError,
    KmsUnreachableError,
)
from keystore.kms.endpoints import is_loopback, is_url
from keystore.kms.refusals import NO_ANSWER, describe

TIMEOUT_S = 10.0
"""LIMIT: seconds for one call; a KMS answers in milliseconds, and a start must not hang on one that does not."""

CODE_METADATA = ("x-kms-inner-error-code", "x-kms-error-code")
"""Trailing metadata in which a server names the error as its cloud does; the first says more where there is one."""

_NOBODY = re.compile(r"ipv[46]:(?:%5B)?([^ ]+?:\d+): ", re.IGNORECASE)
"""The address in what gRPC says of a connection that was not made, or was lost."""

_OUR_DEADLINE = "Deadline Exceeded"
"""What gRPC says when nothing came in time; a server's own word for it is another."""

Reply = TypeVar("Reply")

UNREACHABLE_STATUSES = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.UNKNOWN,
        grpc.StatusCode.UNIMPLEMENTED,
        grpc.StatusCode.DATA_LOSS,
    }
)
"""Statuses about the way, the load or the health of a service: they say nothing about the key."""

INVALID_STATUSES: Mapping[grpc.StatusCode, type[KmsError]] = {
    grpc.StatusCode.UNAUTHENTICATED: KmsCredentialsError,
    grpc.StatusCode.PERMISSION_DENIED: KmsPermissionError,
    grpc.StatusCode.NOT_FOUND: KeyNotFoundError,
}
"""Statuses that mean the same at every cloud when no code says more."""


@dataclass(frozen=True)
class Refusal:
    """An error as a server sent it; `code` is the inner code where there is one, else the `outer`."""

    status: grpc.StatusCode
    code: str
    outer: str
    text: str


class CallRefusedError(Exception):
    """A call failed; the client turns it into a `KmsError`. Never leaves `keystore.kms`."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.text)
        self.refusal = refusal


def open_channel(endpoint: str) -> grpc.Channel:
    """Open a plaintext channel to HOST:PORT on this machine; nothing is sent yet.

    Raises:
        KmsEndpointError: not HOST:PORT, or not a loopback address.
    """
    if is_url(endpoint):
        raise KmsEndpointError(
            f"{endpoint!r} is a URL, and these keys are reached by gRPC. Name its HOST:PORT. Nothing was sent."
        )
    host, colon, port = endpoint.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        raise KmsEndpointError(f"{endpoint!r} is not HOST:PORT, such as 127.0.0.1:4710. Nothing was sent.")
    if not is_loopback(host):
        raise KmsEndpointError(
            f"{endpoint!r} is not on this machine. The gRPC clients speak plaintext, which would show keys on a "
            "network; name a loopback address such as 127.0.0.1. Nothing was sent."
        )
    # No proxy: it would carry the secret away from this machine.
    return grpc.insecure_channel(endpoint, options=[("grpc.enable_http_proxy", 0)])


def call(method: Callable[..., Reply], request: Any, timeout_s: float = TIMEOUT_S) -> Reply:
    """Make one unary call with a deadline.

    Raises:
        CallRefusedError: with the status, and the cloud's code where the server sent one.
    """
    try:
        return method(request, timeout=timeout_s)
    except grpc.RpcError as error:
        raise CallRefusedError(_read_refusal(error)) from None


def classify(refusal: Refusal, codes: Mapping[str, type[KmsError]]) -> type[KmsError]:
    """Return the error type for `refusal`; the cloud's own `codes` go first, an unknown one is unreachable."""
    known = codes.get(refusal.code) or codes.get(refusal.outer)
    if known is not None:
        return known
    if refusal.status in UNREACHABLE_STATUSES:
        return KmsUnreachableError
    return INVALID_STATUSES.get(refusal.status, KmsUnreachableError)


def describe_refusal(kind: type[KmsError], key_uri: str, action: str, refusal: Refusal) -> KmsError:
    """Return an error of type `kind` that tells what was asked, what the KMS said and what to do."""
    return describe(kind, key_uri, action, refusal.code or refusal.status.name, refusal.text)


def _read_refusal(error: grpc.RpcError) -> Refusal:
    if not isinstance(error, grpc.Call):
        return Refusal(grpc.StatusCode.UNKNOWN, "", "", str(error))
    codes = {name: _text(value) for name, value in error.trailing_metadata() or ()}
    code, outer = (codes.get(name, "") for name in CODE_METADATA)
    where = _NOBODY.search(error.details() or "")
    if where is not None and error.code() is grpc.StatusCode.UNAVAILABLE and not code and not outer:
        return Refusal(error.code(), NO_ANSWER, NO_ANSWER, f"no KMS answers at {where[1]}")
    if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED and error.details() == _OUR_DEADLINE:
        return Refusal(error.code(), NO_ANSWER, NO_ANSWER, f"the KMS did not answer within {TIMEOUT_S:.0f} s")
    return Refusal(error.code(), code or outer, outer or code, error.details() or "")


def _text(value: str | bytes) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else value
