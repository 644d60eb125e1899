"""Service accounts of the emulated Google projects: made, listed and removed. Only public keys come here."""

import hashlib
import re

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from keystore_api.admin.v1 import admin_pb2 as pb

from kms_emulator.admin.errors import MissingError, RefusedError
from kms_emulator.core import Core
from kms_emulator.model.identities import Credential, Identity, IdentityKind
from kms_emulator.wire.gcp.roles import ROLES
from kms_emulator.wire.gcp.tokens import read_public_key

EMAIL_PATTERN = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}@[a-z0-9][a-z0-9.-]{0,189}")
ACCOUNTS_MAX = 1000
"""LIMIT: service accounts that admin makes."""

_KEY_ID_DIGITS = 40


def put_service_account(core: Core, request: pb.PutServiceAccountRequest) -> pb.ServiceAccount:
    """Create a service account, or replace its roles; give it one more key, if the request has one."""
    if not EMAIL_PATTERN.fullmatch(request.email):
        raise RefusedError(f"email must match {EMAIL_PATTERN.pattern}")
    unknown = sorted(set(request.roles) - set(ROLES))
    if unknown:
        raise RefusedError(f"there is no role {unknown[0]}; there are {', '.join(sorted(ROLES))}")
    known = core.identities.get(request.email)
    if known is None and len(_accounts(core)) >= ACCOUNTS_MAX:
        raise RefusedError(f"there are {ACCOUNTS_MAX} service accounts already; remove some")
    credential = _credential(core, request) if request.public_key else None
    project = request.email.partition("@")[2].partition(".")[0]
    identity = Identity(
        request.email,
        IdentityKind.SERVICE_ACCOUNT,
        project,
        known.id if known else core.registry.new_bytes(8).hex(),
        known.created_ns if known else core.now_ns(),
        {role: role for role in request.roles},
    )
    core.identities.put(identity)
    if credential is not None:
        core.identities.issue(credential)
    message = _message(core, identity)
    message.key_id = credential.id if credential is not None else ""
    return message


def list_service_accounts(core: Core) -> list[pb.ServiceAccount]:
    """Return all service accounts, by email."""
    return [_message(core, identity) for identity in _accounts(core)]


def remove_service_account(core: Core, email: str) -> None:
    """Remove a service account; its keys and tokens are refused from now on."""
    known = core.identities.get(email)
    if known is None or known.kind is not IdentityKind.SERVICE_ACCOUNT:
        raise MissingError(f"there is no service account {email}")
    core.identities.remove(email)


def _accounts(core: Core) -> list[Identity]:
    return [identity for identity in core.identities.all() if identity.kind is IdentityKind.SERVICE_ACCOUNT]


def _message(core: Core, identity: Identity) -> pb.ServiceAccount:
    keys = [item.id for item in core.identities.credentials_of(identity.name) if item.active and not item.token]
    return pb.ServiceAccount(email=identity.name, roles=sorted(identity.policies), key_ids=keys)


def _credential(core: Core, request: pb.PutServiceAccountRequest) -> Credential:
    """Return the key of a request, under an id that its bytes give it."""
    try:
        public = read_public_key(request.public_key)
    except ValueError:
        raise RefusedError("public_key is not an RSA public key in PEM") from None
    der = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    key_id = hashlib.sha256(der).hexdigest()[:_KEY_ID_DIGITS]
    known = core.identities.credential(key_id)
    if known is not None and known.identity != request.email:
        raise RefusedError(f"key {key_id} is another account's, or was")
    project = request.email.partition("@")[2].partition(".")[0]
    return Credential(key_id, request.public_key, request.email, request.email, project, core.now_ns())
