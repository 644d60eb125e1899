"""AWS STS, as far as clients of KMS need it: who am I, and temporary credentials. Query protocol, answers in XML.

Served at the same endpoint: a request is meant for it if it is signed for the service `sts`, or is a form with an
Action. Credentials end on the virtual clock. Its calls meet the faults of the provider, in words of its own.
"""

import re
import urllib.parse
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from xml.sax.saxutils import escape

import grpc

from kms_emulator.core import Core
from kms_emulator.model.faults import Fault, FaultKind
from kms_emulator.model.identities import Credential, Identity, IdentityKind
from kms_emulator.model.policy import AccessRequest, Decision, PolicyError, PolicyKind, parse_policy
from kms_emulator.wire.aws import names, sigv4
from kms_emulator.wire.aws.authenticate import authenticate
from kms_emulator.wire.aws.authorize import standing_of
from kms_emulator.wire.aws.faults import fault_error
from kms_emulator.wire.aws.principals import (
    DEFAULT_ROOT,
    NAME_PATTERN,
    SESSION_KEY_PREFIX,
    account_of,
    is_principal,
    new_access_key_id,
    new_secret,
    session_arn,
)
from kms_emulator.wire.aws.request_values import values_of
from kms_emulator.wire.call import Call, Caller, CloudError, NoAnswerError
from kms_emulator.wire.faults import meet_faults
from kms_emulator.wire.http.message import HttpRequest, HttpResponse
from kms_emulator.wire.perform import internal_error, note

NAMESPACE = "https://sts.amazonaws.com/doc/2011-06-15/"
VERSION = "2011-06-15"
DURATION_S_MIN, DURATION_S_MAX = 900, 43_200
CHAINED_S_MAX = 3600
"""LIMIT: a session that was opened from a session lasts an hour at most."""

TOKEN_DURATION_S, TOKEN_DURATION_S_MAX = 43_200, 129_600
POLICY_CHARACTERS_MAX = 2048
_CODES = {
    "UnrecognizedClientException": ("InvalidClientTokenId", 403),
    "InvalidSignatureException": ("SignatureDoesNotMatch", 403),
    "MissingAuthenticationTokenException": ("MissingAuthenticationToken", 403),
    "IncompleteSignatureException": ("IncompleteSignature", 400),
    "ExpiredTokenException": ("ExpiredToken", 403),
    "AccessDeniedException": ("AccessDenied", 403),
}
"""What STS calls the refusals of `authenticate` and faults, and with which HTTP status."""

Form = Mapping[str, str]
Answer = Mapping[str, "str | Answer"]


def is_meant(request: HttpRequest) -> bool:
    """Tell whether a request is for STS."""
    if "x-amz-target" in request.headers:
        return False
    form = request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded")
    return sigv4.signed_for(request)[1] == "sts" or (form and b"Action=" in request.body) or "Action=" in request.query


async def handle(core: Core, request: HttpRequest) -> HttpResponse:
    """Answer a request for STS."""
    form = _form(request)
    action = form.get("Action", "")
    call = Call(core, names.REALM, action if action in ACTIONS else "", Caller(address=request.address))
    request_id = str(uuid.uuid4())
    try:
        call.caller = authenticate(request, core, "sts")
        call.tick()
        if call.operation:
            await meet_faults(call, tuple, _fault_error)
        result = _run(call, action, form)
    except NoAnswerError as error:
        note(call, error.outcome)
        raise
    except CloudError as error:
        code, status = _CODES.get(error.code, (error.code, error.http_status or 400))
        note(call, code)
        return _error(code, error.message, status, request_id)
    except Exception as error:
        failed = internal_error(f"{call.provider} {call.operation}", error)
        note(call, failed.code)
        return _error("InternalFailure", failed.message, 500, request_id)
    note(call, "OK")
    wrapped = {f"{action}Result": result, "ResponseMetadata": {"RequestId": request_id}}
    return _xml(f'<{action}Response xmlns="{NAMESPACE}">{_elements(wrapped)}</{action}Response>', 200, request_id)


def _fault_error(fault: Fault, call: Call) -> CloudError:
    if fault.kind is FaultKind.THROTTLE:
        return _refusal("Throttling", "Rate exceeded")
    return fault_error(fault, call, "sts")


def _run(call: Call, action: str, form: Form) -> Answer:
    run = ACTIONS.get(action)
    if run is None or form.get("Version", VERSION) != VERSION:
        version = form.get("Version", VERSION)
        raise _refusal("InvalidAction", f"Could not find operation {action} for version {version}")
    return run(call, form)


def _get_caller_identity(call: Call, _: Form) -> Answer:
    credential = call.core.identities.credential(call.caller.access_key_id)
    if credential is not None:
        return {"Arn": credential.principal, "UserId": _user_id(call, credential), "Account": credential.account}
    return {"Arn": DEFAULT_ROOT, "UserId": names.ACCOUNT_ID, "Account": names.ACCOUNT_ID}


def _assume_role(call: Call, form: Form) -> Answer:
    arn, session = form.get("RoleArn", ""), form.get("RoleSessionName", "")
    if not is_principal(arn) or ":role/" not in arn:
        raise _refusal("ValidationError", f"{arn} is invalid")
    if len(session) < 2 or not NAME_PATTERN.fullmatch(session):
        raise _invalid(session, "roleSessionName", "satisfy regular expression pattern: [\\w+=,.@-]{2,64}")
    call.key = arn
    role = call.core.identities.get(arn)
    if call.caller.known:
        _check_trust(call, role, arn, form)
    policy = _session_policy(form)
    duration_s = _duration(form, DURATION_S_MAX, CHAINED_S_MAX)
    if role is not None and duration_s > role.session_max_s:
        raise _refusal(
            "ValidationError", "The requested DurationSeconds exceeds the MaxSessionDuration set for this role."
        )
    if duration_s > CHAINED_S_MAX and _is_session(call):
        text = "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining"
        raise _refusal("ValidationError", text)
    role_id = role.id if role is not None else f"AROA{call.registry.new_bytes(8).hex().upper()}"
    credential = replace(
        _new_credential(call, duration_s),
        identity=arn,
        principal=session_arn(arn, session),
        account=account_of(arn),
        policy=policy,
        user_id=f"{role_id}:{session}",
        bound=role is not None,
    )
    call.core.identities.issue(credential)
    user = {"AssumedRoleId": credential.user_id, "Arn": credential.principal}
    return {"Credentials": _described(credential), "AssumedRoleUser": user}


def _get_session_token(call: Call, form: Form) -> Answer:
    if _is_session(call):
        raise _refusal("AccessDenied", "Cannot call GetSessionToken with session credentials", 403)
    old = call.core.identities.credential(call.caller.access_key_id)
    credential = _new_credential(call, _duration(form, TOKEN_DURATION_S_MAX, TOKEN_DURATION_S))
    if old is None:
        credential = replace(credential, identity=DEFAULT_ROOT, principal=DEFAULT_ROOT, bound=False)
    else:
        credential = replace(
            credential, identity=old.identity, principal=old.principal, account=old.account, user_id=old.user_id
        )
    return {"Credentials": _described(call.core.identities.issue(credential))}


def _check_trust(call: Call, role: Identity | None, arn: str, form: Form) -> None:
    """Refuse a caller that the role does not trust, or whose own policies do not allow it where they must."""
    standing = standing_of(call)
    values = values_of(call, "AssumeRole", None) | standing.values()
    values["sts:rolesessionname"] = (form.get("RoleSessionName", ""),)
    if "ExternalId" in form:
        values["sts:externalid"] = (form["ExternalId"],)
    request = AccessRequest("sts:AssumeRole", arn, standing.names, standing.account_names, values)
    own = standing.judge(request)
    trusted = Decision.SILENT
    if role is not None and role.kind is IdentityKind.ROLE and role.trust:
        trusted = parse_policy(role.trust, PolicyKind.TRUST).decide(request)
    directly = trusted is Decision.ALLOWED and call.caller.account == account_of(arn) and not own.final
    if not directly and (trusted not in (Decision.ALLOWED, Decision.DELEGATED) or own.refused):
        text = f"User: {call.caller.arn} is not authorized to perform: sts:AssumeRole on resource: {arn}"
        raise _refusal("AccessDenied", text, 403)


def _session_policy(form: Form) -> str:
    if any(name.startswith("PolicyArns.") for name in form):
        raise _refusal("ValidationError", "Managed session policies are not emulated; give the policy itself.")
    text = form.get("Policy", "")
    if len(text) > POLICY_CHARACTERS_MAX:
        raise _invalid(text, "policy", f"have length less than or equal to {POLICY_CHARACTERS_MAX}")
    try:
        if text:
            parse_policy(text, PolicyKind.IDENTITY)
    except PolicyError as error:
        raise _refusal("MalformedPolicyDocument", f"The policy is malformed: {error}.") from None
    return text


def _duration(form: Form, longest_s: int, default_s: int) -> int:
    text = form.get("DurationSeconds", str(default_s))
    if not re.fullmatch(r"[0-9]{1,9}", text):
        raise _refusal("ValidationError", "DurationSeconds must be a number of seconds.")
    duration_s = int(text)
    if duration_s < DURATION_S_MIN:
        raise _invalid(text, "durationSeconds", f"have value greater than or equal to {DURATION_S_MIN}")
    if duration_s > longest_s:
        raise _invalid(text, "durationSeconds", f"have value less than or equal to {longest_s}")
    return duration_s


def _new_credential(call: Call, duration_s: int) -> Credential:
    entropy = call.registry.new_bytes
    return Credential(
        id=new_access_key_id(SESSION_KEY_PREFIX, entropy),
        secret=new_secret(entropy),
        identity="",
        principal="",
        account=names.ACCOUNT_ID,
        created_ns=call.now_ns,
        token=new_secret(lambda _: entropy(96)),
        # Whole seconds: the answer gives no finer ones, and a client is to see the end as it will be.
        expires_ns=(call.now_ns // 1_000_000_000 + duration_s) * 1_000_000_000,
    )


def _described(credential: Credential) -> Answer:
    time = sigv4.time_of((credential.expires_ns or 0) // 1_000_000_000)
    return {
        "AccessKeyId": credential.id,
        "SecretAccessKey": credential.secret,
        "SessionToken": credential.token,
        "Expiration": f"{time[:4]}-{time[4:6]}-{time[6:11]}:{time[11:13]}:{time[13:]}",
    }


def _is_session(call: Call) -> bool:
    credential = call.core.identities.credential(call.caller.access_key_id)
    return credential is not None and credential.expires_ns is not None


def _user_id(call: Call, credential: Credential) -> str:
    identity = call.core.identities.get(credential.identity)
    return credential.user_id or (identity.id if identity is not None else credential.account)


ACTIONS: Mapping[str, Callable[[Call, Form], Answer]] = {
    "AssumeRole": _assume_role,
    "GetCallerIdentity": _get_caller_identity,
    "GetSessionToken": _get_session_token,
}


def _form(request: HttpRequest) -> Form:
    try:
        text = request.body.decode()
    except UnicodeDecodeError:
        text = ""
    return dict(urllib.parse.parse_qsl(f"{request.query}&{text}", keep_blank_values=True))


def _refusal(code: str, message: str, http_status: int = 400) -> CloudError:
    return CloudError(code, message, grpc.StatusCode.INVALID_ARGUMENT, http_status=http_status)


def _invalid(value: str, field: str, constraint: str) -> CloudError:
    text = f"1 validation error detected: Value '{value}' at '{field}' failed to satisfy constraint: "
    return _refusal("ValidationError", f"{text}Member must {constraint}")


def _elements(answer: Answer) -> str:
    def parts() -> Iterator[str]:
        for name, value in answer.items():
            yield f"<{name}>{escape(value) if isinstance(value, str) else _elements(value)}</{name}>"

    return "".join(parts())


def _error(code: str, message: str, status: int, request_id: str) -> HttpResponse:
    described: Answer = {"Type": "Receiver" if status >= 500 else "Sender", "Code": code, "Message": message}
    body = _elements({"Error": described, "RequestId": request_id})
    return _xml(f'<ErrorResponse xmlns="{NAMESPACE}">{body}</ErrorResponse>', status, request_id)


def _xml(text: str, status: int, request_id: str) -> HttpResponse:
    # A control character has no form in XML 1.0 at all; only a message that repeats a request can hold one.
    clean = re.sub(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]", "\ufffd", text)
    return HttpResponse(status, clean.encode("utf-8", "replace"), "text/xml", (("x-amzn-requestid", request_id),))
