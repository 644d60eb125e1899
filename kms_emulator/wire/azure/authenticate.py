"""Who makes a request: the bearer token, and the challenge that a request without one is answered with."""

import grpc

from kms_emulator.core import Core
from kms_emulator.wire.azure.hosts import Host
from kms_emulator.wire.call import Caller, CloudError
from kms_emulator.wire.http.message import HttpRequest

TENANT = "72f7c1de-0000-4000-8000-000000000001"
"""The tenant that vaults belong to."""

MISSING = "AKV10000: Request is missing a Bearer or PoP token."


def authenticate(request: HttpRequest, core: Core) -> Caller:
    """Return the caller of a request.

    Raises:
        CloudError: Unauthorized; its answer carries the challenge.
    """
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise unauthorized(MISSING)
    return Caller(address=request.address)


def challenge(request: HttpRequest) -> str:
    """Return the one WWW-Authenticate header of a 401: where to get a token, and for what."""
    host = Host(request.headers.get("host", ""))
    return f'Bearer authorization="{host.url}/{TENANT}", resource="{host.resource}"'


def unauthorized(message: str) -> CloudError:
    """Return 401."""
    return CloudError("Unauthorized", message, grpc.StatusCode.UNAUTHENTICATED)
