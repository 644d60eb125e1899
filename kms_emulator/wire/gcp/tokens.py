"""JSON web tokens as service accounts sign them: read, and verified against a public key (RFC 7515, RS256 only)."""

import base64
import binascii
import json
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import load_pem_public_key

SKEW_MAX_S = 300
"""How early or late a token may be (google-auth counts with as much on the other side)."""

LIFETIME_MAX_S = 3600
"""How long a token may be good (OAuth 2.0 for service accounts)."""

TOKEN_CHARACTERS_MAX = 8192
"""LIMIT: length of a token."""


class TokenError(Exception):
    """The token is not one, is not signed by its account, or is not good now; the text says which."""


@dataclass(frozen=True, slots=True)
class Token:
    """What a token says; nothing is proved until `verify`."""

    key_id: str
    issuer: str
    audience: str
    scopes: tuple[str, ...]
    issued_s: int
    expires_s: int
    signed: bytes
    signature: bytes


def read_token(text: str) -> Token:
    """Return what a token says; TokenError if it is not one."""
    try:
        if len(text) > TOKEN_CHARACTERS_MAX:
            raise ValueError("too long")
        head, body, signature = text.split(".")
        header, claims = _object(head), _object(body)
        if header.get("alg") != "RS256":
            raise ValueError("not RS256")
        return Token(
            str(header.get("kid", "")),
            str(claims["iss"]),
            str(claims.get("aud", "")),
            tuple(str(claims.get("scope", "")).split()),
            int(claims["iat"]),
            int(claims["exp"]),
            f"{head}.{body}".encode(),
            _decode(signature),
        )
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError, binascii.Error):
        raise TokenError("not a JSON web token signed with RS256") from None


def verify(token: Token, public_pem: str, now_s: int) -> None:
    """Return if the signature is the key's and the time is right."""
    key = read_public_key(public_pem)
    try:
        key.verify(token.signature, token.signed, padding.PKCS1v15(), hashes.SHA256())
    except InvalidSignature:
        raise TokenError("Invalid JWT Signature.") from None
    if token.expires_s - token.issued_s > LIFETIME_MAX_S or token.issued_s > now_s + SKEW_MAX_S:
        raise TokenError("Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe.")
    if token.expires_s < now_s - SKEW_MAX_S:
        raise TokenError("Invalid JWT: the token is expired.")


def read_public_key(pem: str) -> rsa.RSAPublicKey:
    """Return an RSA public key; ValueError if the text is none."""
    try:
        key = load_pem_public_key(pem.encode())
    except UnsupportedAlgorithm:
        raise ValueError("not an RSA public key in PEM") from None
    if not isinstance(key, rsa.RSAPublicKey):
        raise ValueError("not an RSA public key in PEM")
    return key


def _object(part: str) -> dict[str, Any]:
    value = json.loads(_decode(part))
    if not isinstance(value, dict):
        raise ValueError("not an object")
    return value


def _decode(part: str) -> bytes:
    return base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True)
