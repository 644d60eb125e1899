"""Who may do what: callers known by an API key, and their roles in an organisation and its projects.

Leaves to others: how a key comes with a request (`keystore.rest`), and giving roles (`keystore.projects.api_keys`).

Invariants:
1. A role of the organisation is none in its projects: its owner who lacks a role in a project reads nothing of it.
2. What another organisation has does not exist: it is not found, and never forbidden.
"""

import hashlib
import hmac
from dataclasses import dataclass
from enum import StrEnum

import sqlalchemy as sa

from keystore.errors import AccessError
from keystore.projects.codes import Code
from keystore.projects.tables import api_keys, grants, projects


class Role(StrEnum):
    """Roles, by their names in the Atlas API."""

    ORG_OWNER = "ORG_OWNER"
    ORG_GROUP_CREATOR = "ORG_GROUP_CREATOR"
    ORG_MEMBER = "ORG_MEMBER"
    ORG_READ_ONLY = "ORG_READ_ONLY"
    GROUP_OWNER = "GROUP_OWNER"
    GROUP_CLUSTER_MANAGER = "GROUP_CLUSTER_MANAGER"
    GROUP_BACKUP_MANAGER = "GROUP_BACKUP_MANAGER"
    GROUP_DATA_ACCESS_ADMIN = "GROUP_DATA_ACCESS_ADMIN"
    GROUP_DATA_ACCESS_READ_WRITE = "GROUP_DATA_ACCESS_READ_WRITE"
    GROUP_DATA_ACCESS_READ_ONLY = "GROUP_DATA_ACCESS_READ_ONLY"
    GROUP_READ_ONLY = "GROUP_READ_ONLY"

    @property
    def of_project(self) -> bool:
        """Whether it is given in a project; the others are given in an organisation."""
        return self.name.startswith("GROUP_")

    @property
    def includes(self) -> frozenset["Role"]:
        """What who has it may also do: an owner everything in its scope, and everybody there may read."""
        same = frozenset(role for role in Role if role.of_project == self.of_project)
        if self in (Role.GROUP_OWNER, Role.ORG_OWNER):
            return same
        return frozenset({self, Role.GROUP_READ_ONLY if self.of_project else Role.ORG_MEMBER})


PROJECT_ROLES = tuple(role for role in Role if role.of_project)
ORGANIZATION_ROLES = tuple(role for role in Role if not role.of_project)

KEY, USER = "key", "user"
ORGANIZATION, PROJECT = "org", "project"


@dataclass(frozen=True)
class Caller:
    """Who asks.

    Attributes:
        id: of the API key.
        actor: its public half, which events name.
        roles: where (id of an organisation or project) it has which.
    """

    id: str
    actor: str
    organization_id: str
    roles: frozenset[tuple[str, Role]]

    def may(self, scope_id: str, role: Role) -> bool:
        """Return whether it has the role in that organisation or project, or one that includes it."""
        return any(where == scope_id and role in had.includes for where, had in self.roles)


def hash_of(private_key: str) -> bytes:
    """Return what is kept of a private key. It has 122 random bits, so that no salt or slowness is needed."""
    return hashlib.sha256(private_key.encode()).digest()


def authenticate(connection: sa.Connection, public_key: str, private_key: str) -> Caller:
    """Return who has that key.

    Raises:
        ApiError: nobody has.
    """
    found = connection.execute(sa.select(api_keys).where(api_keys.c.public_key == public_key)).one_or_none()
    kept = bytes(32) if found is None else found.private_hash
    if not hmac.compare_digest(kept, hash_of(private_key)) or found is None:
        raise Code.UNAUTHORIZED.error()
    return caller_of(connection, found.id)


def caller_of(connection: sa.Connection, key_id: str) -> Caller:
    """Return the caller that an API key, which is there, stands for."""
    key = connection.execute(sa.select(api_keys).where(api_keys.c.id == key_id)).one()
    mine = (grants.c.principal_kind == KEY) & (grants.c.principal_id == key_id)
    rows = connection.execute(sa.select(grants.c.scope_id, grants.c.role).where(mine)).all()
    return Caller(key.id, key.public_key, key.organization_id, frozenset((row[0], Role(row[1])) for row in rows))


def require_role(connection: sa.Connection, caller: Caller, project_id: str, *roles: Role) -> None:
    """Refuse a caller who has none of `roles`, which are of the project or of its organisation.

    Raises:
        AccessError: it has none. Who answers the request records that, in a transaction of its own.
        ApiError: there is no such project in the caller's organisation.
    """
    organization_id = connection.scalar(sa.select(projects.c.organization_id).where(projects.c.id == project_id))
    if organization_id is None or organization_id != caller.organization_id:
        raise Code.GROUP_NOT_FOUND.error(project_id)
    scopes = {True: project_id, False: organization_id}
    if not any(caller.may(scopes[role.of_project], role) for role in roles):
        raise _refused(roles, organization_id, project_id)


def require_organization_role(caller: Caller, organization_id: str, *roles: Role) -> None:
    """Refuse a caller who has none of `roles` in an organisation.

    Raises:
        AccessError, ApiError: as `require_role`.
    """
    if organization_id != caller.organization_id:
        raise Code.ORG_NOT_FOUND.error(organization_id)
    if not any(caller.may(organization_id, role) for role in roles):
        raise _refused(roles, organization_id, None)


def _refused(roles: tuple[Role, ...], organization_id: str, project_id: str | None) -> AccessError:
    needed = tuple(role.value for role in roles)
    detail = Code.USER_UNAUTHORIZED.text.format(" or ".join(needed))
    return AccessError(detail, needed, organization_id, project_id)
