"""Users of the emulated AWS account: made, listed and removed. Secrets come in and never go out."""

from keystore_api.admin.v1 import admin_pb2 as pb

from kms_emulator.admin.errors import MissingError, RefusedError
from kms_emulator.core import Core
from kms_emulator.model.identities import Credential, Identity, IdentityKind
from kms_emulator.model.policy import PolicyError, PolicyKind, parse_policy
from kms_emulator.wire.aws import names
from kms_emulator.wire.aws.principals import (
    ACCESS_KEY_ID_PATTERN,
    ACCESS_KEY_PREFIX,
    NAME_PATTERN,
    SECRET_CHARACTERS_MAX,
    identity_arn,
    name_of,
    new_access_key_id,
    new_id,
    new_secret,
)

POLICY_NAME = "admin"
"""The name of the one policy that a user gets here."""

USERS_MAX = 1000
"""LIMIT: users that admin makes."""


def put_user(core: Core, request: pb.PutUserRequest) -> pb.User:
    """Create a user, or replace its policies by a given one (``{}`` is none) and issue it a given access key.

    A user without an access key gets a fresh one. The answer has the secret of an access key that was made here, once;
    a given one is not repeated.
    """
    if not NAME_PATTERN.fullmatch(request.name):
        raise RefusedError(f"name must match {NAME_PATTERN.pattern}")
    given = _policies(request.policy)
    arn = identity_arn(names.ACCOUNT_ID, IdentityKind.USER, request.name)
    identity = core.identities.get(arn)
    if identity is None and len(_users(core)) >= USERS_MAX:
        raise RefusedError(f"there are {USERS_MAX} users already; remove some")
    credential, made = _credential(core, request, arn, identity)
    kept = identity.policies if identity else {}
    policies = kept if given is None else given
    user_id = identity.id if identity else new_id(IdentityKind.USER, names.ACCOUNT_ID, core.registry.new_bytes)
    created_ns = identity.created_ns if identity else core.now_ns()
    identity = core.identities.put(Identity(arn, IdentityKind.USER, names.ACCOUNT_ID, user_id, created_ns, policies))
    if credential is not None:
        core.identities.issue(credential)
    message = user_message(core, identity)
    if made and credential is not None:
        message.secret_access_key = credential.secret
    return message


def list_users(core: Core) -> list[pb.User]:
    """Return all users, by name."""
    return [user_message(core, identity) for identity in _users(core)]


def remove_user(core: Core, name: str) -> None:
    """Remove a user; its access keys are refused from now on."""
    arn = identity_arn(names.ACCOUNT_ID, IdentityKind.USER, name)
    if core.identities.get(arn) is None:
        raise MissingError(f"there is no user {name}")
    core.identities.remove(arn)


def user_message(core: Core, identity: Identity) -> pb.User:
    """Return a user without secrets."""
    keys = [credential.id for credential in credentials_of(core, identity.name)]
    policy = next(iter(identity.policies.values()), "")
    return pb.User(name=name_of(identity.name), arn=identity.name, policy=policy, access_key_ids=keys)


def credentials_of(core: Core, arn: str) -> list[Credential]:
    """Return a user's access keys that can be used; not those of its sessions."""
    return [credential for credential in core.identities.credentials_of(arn) if _lasting(credential)]


def _users(core: Core) -> list[Identity]:
    return [identity for identity in core.identities.all() if identity.kind is IdentityKind.USER]


def _lasting(credential: Credential) -> bool:
    return credential.active and credential.expires_ns is None


def _policies(text: str) -> dict[str, str] | None:
    """Return the policies that a request gives: one, none for ``{}``, or None if it says nothing of them."""
    if not text:
        return None
    if "".join(text.split()) == "{}":
        return {}
    try:
        parse_policy(text, PolicyKind.IDENTITY)
    except PolicyError as error:
        raise RefusedError(f"policy: {error}") from None
    return {POLICY_NAME: text}


def _credential(
    core: Core, request: pb.PutUserRequest, arn: str, identity: Identity | None
) -> tuple[Credential | None, bool]:
    """Return the access key to issue, if any, and whether it was made here: for a user without one."""
    if bool(request.access_key_id) is not bool(request.secret_access_key):
        raise RefusedError("access_key_id and secret_access_key belong together")
    if not request.access_key_id and identity is not None and credentials_of(core, arn):
        return None, False
    made = not request.access_key_id
    key_id = request.access_key_id or new_access_key_id(ACCESS_KEY_PREFIX, core.registry.new_bytes)
    secret = request.secret_access_key or new_secret(core.registry.new_bytes)
    if not ACCESS_KEY_ID_PATTERN.fullmatch(key_id) or len(secret) > SECRET_CHARACTERS_MAX:
        raise RefusedError(
            f"access_key_id must match {ACCESS_KEY_ID_PATTERN.pattern}, and the secret have at most "
            f"{SECRET_CHARACTERS_MAX} characters"
        )
    known = core.identities.credential(key_id)
    if known is not None and known.identity != arn:
        raise RefusedError(f"access key {key_id} is another user's, or was")
    return Credential(key_id, secret, arn, arn, names.ACCOUNT_ID, core.now_ns()), made
