"""The managed-identity endpoint: whoever runs on the machine gets a token. App Service's form, and the one of machines.

It answers on the port of plain HTTP too: SDKs take an `IDENTITY_ENDPOINT` without TLS.
"""

import urllib.parse

from kms_emulator.core import Core
from kms_emulator.model.vaults import TENANT_DEFAULT
from kms_emulator.wire.azure import tokens
from kms_emulator.wire.azure.applications import MANAGED_CLIENT, Application
from kms_emulator.wire.http.message import HttpRequest, HttpResponse, json_response
from kms_emulator.wire.times import SECOND_NS

TOKEN_PATH = "/msi/token"
MACHINE_PATH = "/metadata/identity/oauth2/token"
PATHS = (TOKEN_PATH, MACHINE_PATH)
LIFETIME_S = 86_400
"""How long a token is good; Azure gives managed identities a day."""


class ManagedIdentityFront:
    """Answers requests for a token of the machine's identity."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def handle(self, request: HttpRequest) -> HttpResponse:
        """Answer one request."""
        machine = request.path == MACHINE_PATH
        if request.method != "GET":
            return _refusal("method_not_allowed", "only GET is served here", 405)
        marker = "metadata" if machine else "x-identity-header"
        if marker not in request.headers:
            return _refusal("invalid_request", f"Required {marker} header not specified")
        query = dict(urllib.parse.parse_qsl(request.query))
        if not query.get("resource"):
            return _refusal("invalid_request", "Required query variable 'resource' is missing")
        application = Application(TENANT_DEFAULT, query.get("client_id", MANAGED_CLIENT).lower())
        expires_s = self._core.now_ns() // SECOND_NS + LIFETIME_S
        found = {
            "access_token": await tokens.issue(self._core, application, query["resource"].rstrip("/"), LIFETIME_S),
            "expires_on": str(expires_s),
            "resource": query["resource"],
            "token_type": "Bearer",
        }
        return json_response(found | {"expires_in": str(LIFETIME_S)} if machine else found)


def _refusal(code: str, text: str, status: int = 400) -> HttpResponse:
    return json_response({"error": code, "error_description": text}, status)
