"""Entra's side of things: tokens for applications that show a secret, and what clients look up before they ask.

An application that nobody made gets a token that is nobody's, unless the emulator is strict. One that was made must
show a secret of its own that has not expired.
"""

import re
import urllib.parse
import uuid
from collections.abc import Mapping

from kms_emulator.core import Core
from kms_emulator.wire.azure import applications, tokens
from kms_emulator.wire.azure.applications import Application
from kms_emulator.wire.azure.hosts import Host, host_of
from kms_emulator.wire.http.message import HttpRequest, HttpResponse, json_response
from kms_emulator.wire.times import SECOND_NS

LIFETIME_S = 3599
"""How long a token is good; Entra gives applications an hour."""

_TENANT = r"/(?P<tenant>[A-Za-z0-9][A-Za-z0-9.-]{0,127})"
_TOKEN = re.compile(rf"{_TENANT}/oauth2(?:/v2\.0)?/token", re.IGNORECASE)
_CONFIGURATION = re.compile(rf"{_TENANT}(?P<v2>/v2\.0)?/\.well-known/openid-configuration", re.IGNORECASE)
_KEYS = re.compile(rf"{_TENANT}/discovery(?:/v2\.0)?/keys", re.IGNORECASE)
_INSTANCE = "/common/discovery/instance"


class LoginError(Exception):
    """Entra's refusal of a token: its OAuth code, its number and its text."""

    def __init__(self, code: str, number: int, text: str, status: int = 400) -> None:
        self.code, self.number, self.text, self.status = code, number, text, status
        super().__init__(text)


async def answer(core: Core, request: HttpRequest) -> HttpResponse | None:
    """Answer a request that is Entra's; None for any other."""
    host = host_of(core, request)
    if found := _TOKEN.fullmatch(request.path):
        try:
            return await _token(core, request, found["tenant"].lower())
        except LoginError as error:
            return _refusal(error)
    if found := _CONFIGURATION.fullmatch(request.path):
        return json_response(_configuration(host, found["tenant"], found["v2"] or ""))
    if _KEYS.fullmatch(request.path):
        return json_response(await tokens.public_keys(core))
    if request.path == _INSTANCE:
        return json_response(_instance(host, request))
    return None


async def _token(core: Core, request: HttpRequest, tenant: str) -> HttpResponse:
    form = _form(request)
    if form.get("grant_type") != "client_credentials":
        raise LoginError("unsupported_grant_type", 70003, "The app requested an unsupported grant type.")
    audience = form.get("resource") or form.get("scope", "").removesuffix("/.default")
    if not audience:
        raise LoginError("invalid_scope", 70011, "The provided value for the input parameter 'scope' is not valid.")
    client_id = form.get("client_id", "").lower()
    application = applications.find(core, tenant, client_id)
    if application is not None:
        _check_secret(core, application, form.get("client_secret", ""))
    elif core.strict_auth or not client_id or applications.was_removed(core, Application(tenant, client_id)):
        text = f"Application with identifier '{client_id}' was not found in the directory '{tenant}'."
        raise LoginError("unauthorized_client", 700016, text)
    token = await tokens.issue(core, application or Application(tenant, client_id), audience.rstrip("/"), LIFETIME_S)
    return json_response(
        {
            "token_type": "Bearer",
            "expires_in": LIFETIME_S,
            "ext_expires_in": LIFETIME_S,
            "expires_on": str(core.now_ns() // SECOND_NS + LIFETIME_S),
            "access_token": token,
        }
    )


def _form(request: HttpRequest) -> Mapping[str, str]:
    if request.method != "POST":
        raise LoginError("invalid_request", 900561, "The endpoint only accepts POST requests.", 405)
    return dict(urllib.parse.parse_qsl(request.body.decode("utf-8", "replace"), keep_blank_values=True))


def _check_secret(core: Core, application: Application, secret: str) -> None:
    found = applications.secret_matching(core, application, secret)
    if found is None:
        text = f"Invalid client secret provided for app '{application.client_id}'."
        raise LoginError("invalid_client", 7000215, text, 401)
    if found.expired(core.now_ns()):
        text = f"The provided client secret keys for app '{application.client_id}' are expired."
        raise LoginError("invalid_client", 7000222, text, 401)


def _refusal(error: LoginError) -> HttpResponse:
    described = {
        "error": error.code,
        "error_description": f"AADSTS{error.number}: {error.text}",
        "error_codes": [error.number],
        "correlation_id": str(uuid.uuid4()),
    }
    return json_response(described, error.status)


def _configuration(host: Host, tenant: str, v2: str) -> dict[str, object]:
    base = f"{host.url}/{tenant}"
    return {
        "issuer": f"{base}{v2 or '/'}",
        "token_endpoint": f"{base}/oauth2{v2}/token",
        "authorization_endpoint": f"{base}/oauth2{v2}/authorize",
        "jwks_uri": f"{base}/discovery{v2}/keys",
        "token_endpoint_auth_methods_supported": ["client_secret_post"],
        "response_types_supported": ["token"],
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": ["RS256"],
    }


def _instance(host: Host, request: HttpRequest) -> dict[str, object]:
    """Return that this host is an authority."""
    asked = dict(urllib.parse.parse_qsl(request.query)).get("authorization_endpoint", "")
    tenant = next((part for part in urllib.parse.urlsplit(asked).path.split("/") if part), "common")
    return {
        "tenant_discovery_endpoint": f"{host.url}/{tenant}/v2.0/.well-known/openid-configuration",
        "api-version": "1.1",
        "metadata": [{"preferred_network": host.text, "preferred_cache": host.text, "aliases": [host.text]}],
    }
