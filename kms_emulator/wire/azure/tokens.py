"""Access tokens: JSON web tokens (RFC 7519) signed with RS256 under a key of the emulator itself.

The key is made when the first token is asked for, and goes with a reset: older tokens are then nobody's.
"""

import base64
import binascii
import json
from collections.abc import Mapping
from functools import partial
from typing import Any

from kms_emulator.core import Core
from kms_emulator.model.errors import KeyMissingError, SignatureError
from kms_emulator.model.keys import Key, KeyKind
from kms_emulator.model.registry import SERVICE_REALM
from kms_emulator.model.signatures import RSA_PKCS1_SHA256, MessageForm
from kms_emulator.wire.azure.applications import Application
from kms_emulator.wire.background import run_beside
from kms_emulator.wire.times import SECOND_NS

TOKEN_KEY = "azure/tokens"
TOKEN_BYTES_MAX = 16 << 10
"""LIMIT: bytes of a token that are looked at; those made here have about 900."""


async def issue(core: Core, application: Application, audience: str, lifetime_s: int) -> str:
    """Return a token for an application, good for `lifetime_s` of the emulator's clock."""
    key = await _made_key(core)
    now_s = core.now_ns() // SECOND_NS
    claims = {
        "aud": audience,
        "iss": f"https://sts.windows.net/{application.account}/",
        "iat": now_s,
        "nbf": now_s,
        "exp": now_s + lifetime_s,
        "appid": application.client_id,
        "oid": application.object_id,
        "sub": application.object_id,
        "tid": application.account,
        "ver": "1.0",
    }
    head = {"typ": "JWT", "alg": "RS256", "kid": key.versions[0].id}
    signed = f"{_part(head)}.{_part(claims)}"
    signature = core.registry.usable(key, 1).sign(RSA_PKCS1_SHA256, signed.encode(), MessageForm.WHOLE)
    return f"{signed}.{_base64url(signature)}"


def read(core: Core, token: str) -> Mapping[str, Any] | None:
    """Return the claims of a token that was made here, expired or not; None for any other."""
    key, parts = _key(core), token.split(".")
    if key is None or len(parts) != 3 or len(token) > TOKEN_BYTES_MAX:
        return None
    try:
        signature = base64.urlsafe_b64decode(parts[2] + "=" * (-len(parts[2]) % 4))
        signed = f"{parts[0]}.{parts[1]}".encode()
        core.registry.usable(key, 1).verify(RSA_PKCS1_SHA256, signed, MessageForm.WHOLE, signature)
    except (SignatureError, ValueError, binascii.Error):
        return None
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    return claims


async def public_keys(core: Core) -> dict[str, Any]:
    """Return the JSON web key set that tokens can be verified with."""
    key = await _made_key(core)
    numbers = core.registry.rsa_public(key, 1)
    n, e = (_base64url(number.to_bytes((number.bit_length() + 7) // 8, "big")) for number in numbers)
    return {"keys": [{"kty": "RSA", "use": "sig", "alg": "RS256", "kid": key.versions[0].id, "n": n, "e": e}]}


async def _made_key(core: Core) -> Key:
    found = _key(core)
    if found is not None:
        return found
    material = await run_beside(partial(core.registry.new_material, KeyKind.RSA_2048))
    found = _key(core)  # another request may have been faster
    if found is not None:
        return found
    now_ns = core.now_ns()
    empty = core.registry.create(SERVICE_REALM, TOKEN_KEY, KeyKind.RSA_2048, now_ns)
    return core.registry.add_version(empty, material, now_ns)


def _key(core: Core) -> Key | None:
    try:
        return core.registry.key(SERVICE_REALM, TOKEN_KEY)
    except KeyMissingError:
        return None


def _part(value: object) -> str:
    return _base64url(json.dumps(value, separators=(",", ":")).encode())


def _base64url(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()
