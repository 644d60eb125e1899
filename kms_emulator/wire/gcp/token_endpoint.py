"""`POST /token`: an access token for a token that a service account signed (RFC 7523), as Google's OAuth 2.0 gives it.

The scope that is asked for is not judged: clients name it after the endpoint they were pointed at.
"""

import base64
import urllib.parse
from dataclasses import replace

import grpc

from kms_emulator.core import Core
from kms_emulator.model.identities import Credential
from kms_emulator.wire.call import Call, Caller, CloudError, NoAnswerError
from kms_emulator.wire.faults import meet_faults
from kms_emulator.wire.gcp import names
from kms_emulator.wire.gcp.authenticate import find_signer, session_id
from kms_emulator.wire.gcp.faults import fault_error
from kms_emulator.wire.gcp.tokens import LIFETIME_MAX_S, TokenError, read_token
from kms_emulator.wire.gcp.transcoding import STATUSES
from kms_emulator.wire.http.message import HttpRequest, HttpResponse, json_response
from kms_emulator.wire.perform import internal_error, note
from kms_emulator.wire.times import SECOND_NS

PATH = "/token"
OPERATION = "GetToken"
GRANT_TYPE = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_PREFIX, _RANDOM_BYTES = "ya29.", 48
_OWN_CODES = frozenset({"invalid_grant", "invalid_request", "unsupported_grant_type"})


class TokenEndpoint:
    """Answers requests for access tokens of one core."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def handle(self, request: HttpRequest) -> HttpResponse:
        """Answer one request."""
        call = Call(self._core, names.REALM, OPERATION, Caller(address=request.address))
        try:
            call.tick()
            await meet_faults(call, tuple, fault_error)
            token = _grant(call, request)
        except NoAnswerError as error:
            note(call, error.outcome)
            raise
        except CloudError as error:
            note(call, error.code)
            return _error(error)
        except Exception as error:
            failed = internal_error(f"{call.provider} {call.operation}", error)
            note(call, failed.code)
            return _error(failed)
        note(call, "OK")
        return json_response({"access_token": token, "expires_in": LIFETIME_MAX_S - 1, "token_type": "Bearer"})


def _grant(call: Call, request: HttpRequest) -> str:
    """Return an access token; one for an account that nobody knows is remembered by nobody either."""
    form = dict(urllib.parse.parse_qsl(request.body.decode("latin-1"))) if request.method == "POST" else {}
    if form.get("grant_type") != GRANT_TYPE:
        raise _refusal("unsupported_grant_type", f"Invalid grant_type: only {GRANT_TYPE} is served.")
    try:
        asked = read_token(form.get("assertion", ""))
        signer = find_signer(call.core, asked)
    except TokenError as error:
        raise _refusal("invalid_grant", str(error)) from None
    if signer is None and call.core.strict_auth:
        raise _refusal("invalid_grant", "Invalid grant: account not found")
    random = call.registry.new_bytes(_RANDOM_BYTES)
    token = _PREFIX + base64.urlsafe_b64encode(random).decode()
    if signer is not None:
        call.caller = Caller(signer.account, signer.principal, signer.id, call.caller.address)
        call.core.identities.issue(_session(signer, token, call.now_ns))
    return token


def _session(signer: Credential, token: str, now_ns: int) -> Credential:
    """Return the credential that an access token is."""
    expires_ns = now_ns + LIFETIME_MAX_S * SECOND_NS
    return replace(signer, id=session_id(token), secret="", token=token, created_ns=now_ns, expires_ns=expires_ns)


def _refusal(code: str, text: str) -> CloudError:
    return CloudError(code, text, grpc.StatusCode.INVALID_ARGUMENT, http_status=400)


def _error(error: CloudError) -> HttpResponse:
    """Return an error in OAuth's form (RFC 6749, 5.2); what is not one of its errors is in lower case there."""
    status = error.http_status or STATUSES.get(error.status, 500)
    code = error.code if error.code in _OWN_CODES else error.code.lower()
    return json_response({"error": code, "error_description": error.message}, status)
