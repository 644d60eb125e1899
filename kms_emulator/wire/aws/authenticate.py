"""Who calls: finds the access key of a signed request, verifies the signature, and returns the caller.

A known access key is always verified. An unknown one is taken for the account's root and held to no policy, unless
the server runs with strict authentication; what was known once and is revoked or over is never taken for unknown.

The age of a signature is measured against the host's clock, not the virtual one: SDKs sign with the time of their
machine, and must not be locked out by a test that moves the emulator's time. Sessions end on the virtual clock.
"""

import hmac

import grpc

from kms_emulator.core import Core
from kms_emulator.model.identities import Credential
from kms_emulator.wire.aws import names, sigv4
from kms_emulator.wire.aws.sigv4 import Authorization, IncompleteError
from kms_emulator.wire.call import Caller, CloudError
from kms_emulator.wire.http.message import HttpRequest

SKEW_MAX_S = 300
"""How old or early a signature may be (AWS KMS: five minutes)."""

SIGNED_PREFIX, TOKEN_HEADER = "x-amz-", "x-amz-security-token"
"""Headers that must be signed if they are sent, and the one that AWS lets clients add afterwards: it is compared with
the session's own (IAM user guide, "Create a signed AWS API request")."""

_WRONG_SIGNATURE = (
    "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key "
    "and signing method. Consult the service documentation for details."
)
_INVALID_TOKEN = "The security token included in the request is invalid."


def authenticate(request: HttpRequest, core: Core, service: str = "kms") -> Caller:
    """Return who calls.

    Raises:
        CloudError: UnrecognizedClientException, InvalidSignatureException, MissingAuthenticationTokenException,
            IncompleteSignatureException or ExpiredTokenException.
    """
    named = sigv4.signed_with(request)
    if not core.strict_auth and core.identities.credential(named) is None:
        return Caller(access_key_id=named, address=request.address)
    try:
        authorization = sigv4.read_authorization(request)
    except IncompleteError as error:
        raise refusal("IncompleteSignatureException", str(error)) from None
    if authorization is None:
        raise refusal("MissingAuthenticationTokenException", "Request is missing Authentication Token")
    credential = core.identities.credential(authorization.access_key_id)
    if credential is None or (core.strict_auth and not credential.bound):
        # A session that an unknown caller was given while the server took anybody is held to no policy.
        raise refusal("UnrecognizedClientException", _INVALID_TOKEN)
    _check_credential(credential, authorization, core.now_ns())
    _check_scope(authorization, service)
    _check_age(authorization, core.clock.host_ns() // 1_000_000_000)
    _check_signed_headers(request, authorization)
    _check_signature(request, credential, authorization)
    return caller_of(credential, request.address)


def caller_of(credential: Credential, address: str = "") -> Caller:
    """Return the caller that a credential proves; a session that is held to no policy has no name here."""
    arn = credential.principal if credential.bound else ""
    return Caller(credential.account, arn, credential.id, address)


def refusal(code: str, message: str) -> CloudError:
    """Return the answer to a request whose caller is not established."""
    return CloudError(code, message, grpc.StatusCode.UNAUTHENTICATED, http_status=400)


def _check_credential(credential: Credential, authorization: Authorization, now_ns: int) -> None:
    token = authorization.token.encode()
    if not credential.active or not hmac.compare_digest(credential.token.encode(), token):
        raise refusal("UnrecognizedClientException", _INVALID_TOKEN)
    if credential.expired(now_ns):
        raise refusal("ExpiredTokenException", "The security token included in the request is expired")


def _check_scope(authorization: Authorization, service: str) -> None:
    if authorization.service != service:
        raise _bad_signature(f"Credential should be scoped to correct service: '{service}'.")
    if not names.REGION_PATTERN.fullmatch(authorization.region):
        raise _bad_signature("Credential should be scoped to a valid region.")
    if not authorization.time.startswith(authorization.date):
        raise _bad_signature(
            f"Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: "
            f"'{authorization.date}' != '{authorization.time[:8]}', from '{authorization.time}'."
        )


def _check_age(authorization: Authorization, now_s: int) -> None:
    signed_s = sigv4.seconds_of(authorization.time)
    if signed_s is None:
        text = f"Date must be in ISO-8601 'basic format'. Got '{authorization.time}'. See http://en.wikipedia.org/wiki/ISO_8601"
        raise refusal("IncompleteSignatureException", text)
    now = sigv4.time_of(now_s)
    valid_s = SKEW_MAX_S if authorization.valid_s is None else authorization.valid_s
    if signed_s < now_s - valid_s:
        limit = sigv4.time_of(now_s - valid_s)
        span = f"{valid_s // 60} min." if authorization.valid_s is None else f"{valid_s} s"
        raise _bad_signature(f"Signature expired: {authorization.time} is now earlier than {limit} ({now} - {span})")
    if signed_s > now_s + SKEW_MAX_S:
        limit = sigv4.time_of(now_s + SKEW_MAX_S)
        span = f"{SKEW_MAX_S // 60} min."
        raise _bad_signature(
            f"Signature not yet current: {authorization.time} is still later than {limit} ({now} + {span})"
        )


def _check_signed_headers(request: HttpRequest, authorization: Authorization) -> None:
    """Refuse a request that could be changed and stay signed: what it asks for is in its `x-amz-` headers."""
    signed = authorization.signed_headers
    if "host" not in signed:
        raise _unsigned("'Host' or ':authority'")
    if authorization.valid_s is None and "x-amz-date" not in signed and "date" not in signed:
        raise _unsigned("'X-Amz-Date' or 'Date'")
    for name in request.headers:
        if name.startswith(SIGNED_PREFIX) and name not in signed and name != TOKEN_HEADER:
            raise _unsigned(f"'{name.title()}'")


def _check_signature(request: HttpRequest, credential: Credential, authorization: Authorization) -> None:
    canonical = sigv4.canonical_request(request, authorization)
    text = sigv4.string_to_sign(canonical, authorization)
    expected = sigv4.sign(credential.secret, text, authorization)
    if not hmac.compare_digest(expected.encode(), authorization.signature.encode()):
        raise _bad_signature(
            f"{_WRONG_SIGNATURE}\n\nThe Canonical String for this request should have been\n'{canonical}'\n\n"
            f"The String-to-Sign should have been\n'{text}'\n"
        )


def _unsigned(names: str) -> CloudError:
    return _bad_signature(f"{names} must be a 'SignedHeader' in the AWS Authorization.")


def _bad_signature(message: str) -> CloudError:
    return refusal("InvalidSignatureException", message)
