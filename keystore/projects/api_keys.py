"""API keys: a public half, and a private one that is shown once and kept as a hash.

Invariant: an organisation always has a key that is its owner, so that nobody locks everybody out.
"""

import secrets
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field

import sqlalchemy as sa

from keystore.projects.access import KEY, ORGANIZATION, PROJECT, Caller, Role, hash_of
from keystore.projects.codes import Code
from keystore.projects.events import record_event
from keystore.projects.grants import principals_with, roles_of, set_roles
from keystore.projects.ids import new_id
from keystore.projects.tables import api_keys, grants, organizations

PUBLIC_CHARACTERS = "abcdefghijklmnopqrstuvwxyz"
PUBLIC_LENGTH = 12


@dataclass(frozen=True)
class ApiKey:
    """A key as it can be shown; `private_key` is there at its creation only."""

    id: str
    public_key: str
    description: str
    roles: list[tuple[str, str, Role]]
    private_key: str | None = field(default=None, repr=False)


def create_key(
    connection: sa.Connection,
    organization_id: str,
    description: str,
    scope_kind: str,
    scope_id: str,
    roles: Iterable[Role],
    actor: str,
    now_ns: int,
) -> ApiKey:
    """Make a key with roles in one scope; every key of a project is a member of the organisation too."""
    public, private, key_id = _new_public(), str(uuid.UUID(bytes=secrets.token_bytes(16), version=4)), new_id()
    row = {
        "id": key_id,
        "organization_id": organization_id,
        "public_key": public,
        "private_hash": hash_of(private),
        "description": description,
        "created_ns": now_ns,
    }
    connection.execute(api_keys.insert().values(row))
    if scope_kind == PROJECT:
        set_roles(connection, KEY, key_id, ORGANIZATION, organization_id, [Role.ORG_MEMBER])
    set_roles(connection, KEY, key_id, scope_kind, scope_id, roles)
    found = roles_of(connection, KEY, key_id)
    _record(connection, "API_KEY_CREATED", organization_id, public, actor, now_ns, found)
    return ApiKey(key_id, public, description, found, private)


def list_keys(connection: sa.Connection, scope_id: str) -> list[ApiKey]:
    """Return the keys that have a role in an organisation or project."""
    ids = principals_with(connection, KEY, scope_id)
    rows = connection.execute(sa.select(api_keys).where(api_keys.c.id.in_(ids)).order_by(api_keys.c.id)).all()
    return [ApiKey(row.id, row.public_key, row.description, roles_of(connection, KEY, row.id)) for row in rows]


def key_named(connection: sa.Connection, organization_id: str, key_id: str) -> ApiKey:
    """Return a key of an organisation.

    Raises:
        ApiError: it has none of that id.
    """
    mine = (api_keys.c.id == key_id) & (api_keys.c.organization_id == organization_id)
    row = connection.execute(sa.select(api_keys).where(mine)).one_or_none()
    if row is None:
        raise Code.API_KEY_NOT_FOUND.error(key_id)
    return ApiKey(row.id, row.public_key, row.description, roles_of(connection, KEY, row.id))


def assign(
    connection: sa.Connection,
    caller: Caller,
    key_id: str,
    scope_kind: str,
    scope_id: str,
    roles: Iterable[Role],
    now_ns: int,
) -> ApiKey:
    """Give a key of the caller's organisation exactly these roles in a scope; none takes it out of there.

    Raises:
        ApiError: there is no such key, a role is of another kind of scope, or no owner would be left.
    """
    _lock(connection, caller.organization_id)
    before = key_named(connection, caller.organization_id, key_id)
    set_roles(connection, KEY, key_id, scope_kind, scope_id, roles)
    _require_owner(connection, caller.organization_id)
    after = ApiKey(before.id, before.public_key, before.description, roles_of(connection, KEY, key_id))
    kind = "API_KEY_ROLES_CHANGED"
    _record(connection, kind, caller.organization_id, after.public_key, caller.actor, now_ns, after.roles)
    return after


def delete_key(connection: sa.Connection, caller: Caller, key_id: str, now_ns: int) -> None:
    """Delete a key of the caller's organisation with all its roles.

    Raises:
        ApiError: there is none, or no owner would be left.
    """
    _lock(connection, caller.organization_id)
    key = key_named(connection, caller.organization_id, key_id)
    connection.execute(grants.delete().where(grants.c.principal_kind == KEY, grants.c.principal_id == key_id))
    connection.execute(api_keys.delete().where(api_keys.c.id == key_id))
    _require_owner(connection, caller.organization_id)
    _record(connection, "API_KEY_DELETED", caller.organization_id, key.public_key, caller.actor, now_ns, [])


def _lock(connection: sa.Connection, organization_id: str) -> None:
    """Let nobody else take roles away until the caller's transaction ends: each alone might leave an owner."""
    mine = sa.select(organizations.c.id).where(organizations.c.id == organization_id)
    connection.execute(mine.with_for_update()).one()


def _require_owner(connection: sa.Connection, organization_id: str) -> None:
    if not principals_with(connection, KEY, organization_id, [Role.ORG_OWNER]):
        raise Code.CANNOT_DELETE_LAST_OWNER.error()


def _record(
    connection: sa.Connection,
    event_type: str,
    organization_id: str,
    public_key: str,
    actor: str,
    now_ns: int,
    roles: Iterable[tuple[str, str, Role]],
) -> None:
    detail = {"publicKey": public_key, "roles": [f"{scope_id}:{role.value}" for _, scope_id, role in roles]}
    record_event(connection, event_type, None, None, actor, now_ns, detail, organization_id)


def _new_public() -> str:
    return "".join(secrets.choice(PUBLIC_CHARACTERS) for _ in range(PUBLIC_LENGTH))
