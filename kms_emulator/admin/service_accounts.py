"""Service accounts of the emulated Google projects: made, listed and removed. Only public keys come here."""

from keystore_api.admin.v1 import admin_pb2 as pb

from kms_emulator.admin.errors import MissingError, RefusedError
from kms_emulator.core import Core
from kms_emulator.model.identities import Credential, Identity, IdentityKind
from kms_emulator.wire.gcp.accounts import EMAIL_PATTERN, credential_of, identity_of
from kms_emulator.wire.gcp.roles import ROLES

ACCOUNTS_MAX = 1000
"""LIMIT: service accounts that admin makes."""


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
    identity_id = known.id if known else core.registry.new_bytes(8).hex()
    created_ns = known.created_ns if known else core.now_ns()
    identity = identity_of(request.email, request.roles, identity_id, created_ns)
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
        made = credential_of(request.email, request.public_key, core.now_ns())
    except ValueError:
        raise RefusedError("public_key is not an RSA public key in PEM") from None
    known = core.identities.credential(made.id)
    if known is not None and known.identity != request.email:
        raise RefusedError(f"key {made.id} is another account's, or was")
    return made
