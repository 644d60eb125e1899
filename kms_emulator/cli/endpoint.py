"""Where the server is: --endpoint, else the environment, else the default port on this machine."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import grpc
import rich_click as click

from kms_emulator.cli.exits import EXISTS, FAILED, NOT_FOUND, UNREACHABLE, USAGE, WRONG_STATE, CommandError
from kms_emulator.wire.call import LOOKING_KEY

ENVIRONMENT_NAME = "KMS_EMULATOR_ENDPOINT"
HOST_DEFAULT, PORT_DEFAULT = "127.0.0.1", 4710
ENDPOINT_DEFAULT = f"{HOST_DEFAULT}:{PORT_DEFAULT}"
PORT_MAX = 65535
TIMEOUT_S = 10.0
"""LIMIT: seconds for one call; making an RSA-4096 key takes a few of them on a slow machine."""

_EXIT_CODES = {
    grpc.StatusCode.NOT_FOUND: NOT_FOUND,
    grpc.StatusCode.FAILED_PRECONDITION: WRONG_STATE,
    grpc.StatusCode.ALREADY_EXISTS: EXISTS,
    grpc.StatusCode.INVALID_ARGUMENT: USAGE,
    grpc.StatusCode.UNAVAILABLE: UNREACHABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED: UNREACHABLE,
}


def default_http_port(port: int) -> int:
    """Return the port on which HTTP is served unless another is named: the one after gRPC's, or any if that is any."""
    return (port + 1) % (PORT_MAX + 1) if port else 0


def default_https_port(http_port: int) -> int:
    """Return the port on which HTTPS is served unless another is named: the one after HTTP's, or any if that is any."""
    return default_http_port(http_port)


def default_grpc_tls_port(https_port: int) -> int:
    """Return the port on which gRPC is served over TLS unless another is named: the one after HTTPS's, or any."""
    return default_http_port(https_port)


endpoint_option = click.option(
    "--endpoint",
    metavar="HOST:PORT",
    envvar=ENVIRONMENT_NAME,
    default=ENDPOINT_DEFAULT,
    show_default=True,
    show_envvar=True,
    help="Where the emulator serves.",
)


@contextmanager
def connected(endpoint: str) -> Iterator[grpc.Channel]:
    """Yield a channel; what the server refuses, or that there is none, becomes a CommandError."""
    host, _, port = endpoint.rpartition(":")
    if not host or not port.isdecimal():
        raise CommandError(f"endpoint {endpoint!r} is not HOST:PORT, such as {ENDPOINT_DEFAULT}", USAGE)
    options = (("grpc.enable_http_proxy", 0),)
    with grpc.insecure_channel(endpoint, options=options) as channel:
        try:
            yield channel
        except grpc.RpcError as error:
            raise _explained(endpoint, error) from None


def unlogged(channel: grpc.Channel) -> grpc.Channel:
    """Return the channel for calls that only look, for a person: they are not logged, and meet no fault."""
    return grpc.intercept_channel(channel, _Looking())


class _Looking(grpc.UnaryUnaryClientInterceptor):
    """Marks every call as one that only looks."""

    def intercept_unary_unary(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        return continuation(_Details(client_call_details), request)


class _Details(grpc.ClientCallDetails):
    """The details of a call, marked."""

    def __init__(self, given: Any) -> None:
        self.method, self.timeout, self.credentials = given.method, given.timeout, given.credentials
        self.wait_for_ready, self.compression = given.wait_for_ready, given.compression
        self.metadata = (*(given.metadata or ()), (LOOKING_KEY, "1"))


def _explained(endpoint: str, error: grpc.RpcError) -> CommandError:
    if not isinstance(error, grpc.Call):
        return CommandError(f"the call to {endpoint} failed: {error!r}", FAILED)
    code = _EXIT_CODES.get(error.code(), FAILED)
    if code == UNREACHABLE:
        text = (
            f"no emulator answers at {endpoint}. Start one with: kms-emulator serve. "
            f"If it serves elsewhere, name that with --endpoint or {ENVIRONMENT_NAME}."
        )
        return CommandError(text, code)
    trailing = dict(error.trailing_metadata() or ())
    cloud_code = str(trailing.get("x-kms-inner-error-code") or trailing.get("x-kms-error-code") or "")
    if cloud_code in ("KeyDisabled", "KeyExpired", "KeyNotYetValid"):
        code = WRONG_STATE
    message = error.details() or error.code().name
    return CommandError(f"{cloud_code}: {message}" if cloud_code else message, code, cloud_code)
