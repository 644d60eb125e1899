"""Who calls: a service account, by a bearer token that it signed itself or was given for one that it signed.

A known service account is always verified. Anybody else is held to no policy, unless the server runs with strict
authentication; an account that was removed is never taken for unknown.

The age of what an account signs is measured against the host's clock, as its library does; what it was given for that
ends on the virtual clock.
"""

import hashlib
import hmac

from kms_emulator.core import Core
from kms_emulator.model.identities import Credential
from kms_emulator.wire.call import Caller
from kms_emulator.wire.gcp.errors import unauthenticated
from kms_emulator.wire.gcp.tokens import Token, TokenError, read_token, verify
from kms_emulator.wire.times import SECOND_NS

SCOPES = frozenset({"https://www.googleapis.com/auth/cloud-platform", "https://www.googleapis.com/auth/cloudkms"})
"""The scopes of which a token has one."""

_AUDIENCE_PREFIX = "https://cloudkms."
_ID_DIGITS = 40


def authenticate(core: Core, authorization: str, address: str) -> Caller:
    """Return who sent an ``authorization`` header, or none.

    Raises:
        CloudError: UNAUTHENTICATED.
    """
    scheme, _, text = authorization.partition(" ")
    if scheme.lower() != "bearer" or not text:
        if core.strict_auth:
            raise unauthenticated("CREDENTIALS_MISSING")
        return Caller(address=address)
    session = core.identities.credential(session_id(text))
    if session is not None:
        return _session_caller(core, session, text, address)
    try:
        token = read_token(text)
    except TokenError:
        if core.strict_auth:
            raise unauthenticated("ACCESS_TOKEN_TYPE_UNSUPPORTED") from None
        return Caller(address=address)
    try:
        credential = find_signer(core, token)
    except TokenError:
        raise unauthenticated("ACCESS_TOKEN_TYPE_UNSUPPORTED") from None
    if credential is None:
        if core.strict_auth:
            raise unauthenticated("ACCOUNT_STATE_INVALID")
        return Caller(access_key_id=token.key_id, address=address)
    if not token.audience.startswith(_AUDIENCE_PREFIX) and not SCOPES & set(token.scopes):
        raise unauthenticated("ACCESS_TOKEN_SCOPE_INSUFFICIENT")
    return Caller(credential.account, credential.principal, credential.id, address)


def find_signer(core: Core, token: Token) -> Credential | None:
    """Return the key of the account that signed a token, or None if nobody knows the account.

    Raises:
        TokenError: the account is known, and the token is not signed by it, or not good now.
    """
    named = core.identities.credential(token.key_id)
    known = [named] if named is not None else core.identities.credentials_of(token.issuer)
    keys = [item for item in known if item.active and item.identity == token.issuer and item.expires_ns is None]
    if not known:
        return None
    refused = TokenError("Invalid JWT: the account was removed, or the key is another account's.")
    for credential in keys:
        try:
            verify(token, credential.secret, core.clock.host_ns() // SECOND_NS)
            return credential
        except TokenError as error:
            refused = error
    raise refused


def session_id(text: str) -> str:
    """Return the id of an access token: the log shows ids."""
    return hashlib.sha256(text.encode()).hexdigest()[:_ID_DIGITS]


def _session_caller(core: Core, session: Credential, text: str, address: str) -> Caller:
    if not hmac.compare_digest(session.token.encode(), text.encode()) or not session.active:
        raise unauthenticated("ACCESS_TOKEN_TYPE_UNSUPPORTED")
    if session.expired(core.now_ns()):
        raise unauthenticated("ACCESS_TOKEN_EXPIRED")
    return Caller(session.account, session.principal, session.id, address)
