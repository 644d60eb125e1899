"""Service accounts of Google's projects as the model keeps them: identities whose credentials are public keys."""

import hashlib
import re
from collections.abc import Iterable

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from kms_emulator.model.identities import Credential, Identity, IdentityKind
from kms_emulator.wire.gcp.tokens import read_public_key

EMAIL_PATTERN = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}@[a-z0-9][a-z0-9.-]{0,189}")
_KEY_ID_DIGITS = 40


def identity_of(email: str, roles: Iterable[str], identity_id: str, created_ns: int) -> Identity:
    """Return a service account that holds roles on everything."""
    policies = {role: role for role in roles}
    return Identity(email, IdentityKind.SERVICE_ACCOUNT, _project(email), identity_id, created_ns, policies)


def credential_of(email: str, public_key: str, now_ns: int) -> Credential:
    """Return a key of an account, RSA in PEM; ValueError if it is not one."""
    der = read_public_key(public_key).public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    key_id = hashlib.sha256(der).hexdigest()[:_KEY_ID_DIGITS]
    return Credential(key_id, public_key, email, email, _project(email), now_ns)


def _project(email: str) -> str:
    return email.partition("@")[2].partition(".")[0]
