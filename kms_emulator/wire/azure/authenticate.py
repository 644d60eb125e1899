"""Who makes a request: the bearer token, and the challenge that a request without one is answered with."""

from collections.abc import Mapping
from typing import Any

import grpc

from kms_emulator.core import Core
from kms_emulator.wire.azure import tokens
from kms_emulator.wire.azure.applications import Application, application_of, was_removed
from kms_emulator.wire.azure.hosts import RESOURCE_DEFAULT, host_of
from kms_emulator.wire.call import Caller, CloudError
from kms_emulator.wire.http.message import HttpRequest
from kms_emulator.wire.times import SECOND_NS

MISSING = "AKV10000: Request is missing a Bearer or PoP token."
EXPIRED = "[TokenExpired] Error validating token: 'S2S12086'."
INVALID = "AKV10001: The token is not one that this service trusts."


def authenticate(request: HttpRequest, core: Core) -> Caller:
    """Return the caller of a request: an application of ours whose token is good, or, unless that is refused, nobody.

    Raises:
        CloudError: Unauthorized; its answer carries the challenge.
    """
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise unauthorized(MISSING)
    claims = tokens.read(core, token.strip())
    application = _known(core, claims)
    if claims is None or application is None:
        return Caller(address=request.address)
    host = host_of(core, request)
    if claims["exp"] <= core.now_ns() // SECOND_NS:
        raise unauthorized(EXPIRED)
    if claims["aud"] not in (host.resource, RESOURCE_DEFAULT):
        raise unauthorized(f"AKV10022: Invalid audience. Expected {host.resource}, found: {claims['aud']}.")
    if claims["tid"] != core.vaults.get(host.vault).tenant:
        raise unauthorized(f"AKV10032: Invalid issuer. Expected tenant {core.vaults.get(host.vault).tenant}.")
    return Caller(application.account, application.id, application.client_id, request.address)


def caller_of_management(request: HttpRequest, core: Core) -> Application | None:
    """Return who makes a management request: an application of ours, or, unless that is refused, nobody.

    Raises:
        CloudError: Unauthorized: no token, an expired one, or, if the emulator is strict, one of nobody.
    """
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise unauthorized(MISSING)
    claims = tokens.read(core, token.strip())
    application = _known(core, claims)
    if application is not None and claims is not None and claims["exp"] <= core.now_ns() // SECOND_NS:
        raise unauthorized(EXPIRED)
    return application


def _known(core: Core, claims: Mapping[str, Any] | None) -> Application | None:
    """Return the application of ours that a token was given to, or None for nobody.

    Raises:
        CloudError: Unauthorized, for an application that was removed, and for nobody if the emulator is strict.
    """
    application = application_of(claims) if claims is not None else None
    if application is not None and core.identities.get(application.name) is not None:
        return application
    if core.strict_auth or (application is not None and was_removed(core, application)):
        raise unauthorized(INVALID)
    return None


def challenge(request: HttpRequest, core: Core) -> str:
    """Return the one WWW-Authenticate header of a 401: where to get a token, and for what."""
    host = host_of(core, request)
    tenant = core.vaults.get(host.vault).tenant
    return f'Bearer authorization="{host.url}/{tenant}", resource="{host.resource}"'


def unauthorized(message: str) -> CloudError:
    """Return 401."""
    return CloudError("Unauthorized", message, grpc.StatusCode.UNAUTHENTICATED)
