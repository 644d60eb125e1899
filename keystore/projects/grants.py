"""Roles given to keys and people, in an organisation or a project."""

from collections.abc import Iterable, Sequence

import sqlalchemy as sa

from keystore.projects.access import PROJECT, Role
from keystore.projects.codes import Code
from keystore.projects.tables import grants


def set_roles(
    connection: sa.Connection,
    principal_kind: str,
    principal_id: str,
    scope_kind: str,
    scope_id: str,
    roles: Iterable[Role],
) -> None:
    """Give exactly `roles` in a scope; none takes all away.

    Raises:
        ApiError: a role is not one of that kind of scope.
    """
    wanted = sorted(set(roles))
    for role in wanted:
        if role.of_project != (scope_kind == PROJECT):
            raise Code.INVALID_ROLE.error(role, field="roles")
    here = {
        "principal_kind": principal_kind,
        "principal_id": principal_id,
        "scope_kind": scope_kind,
        "scope_id": scope_id,
    }
    connection.execute(grants.delete().where(*(grants.c[name] == value for name, value in here.items())))
    if wanted:
        connection.execute(grants.insert(), [{**here, "role": role.value} for role in wanted])


def roles_of(connection: sa.Connection, principal_kind: str, principal_id: str) -> list[tuple[str, str, Role]]:
    """Return every role of a principal: kind and id of the scope, and the role."""
    mine = (grants.c.principal_kind == principal_kind) & (grants.c.principal_id == principal_id)
    columns = (grants.c.scope_kind, grants.c.scope_id, grants.c.role)
    rows = connection.execute(sa.select(*columns).where(mine).order_by(*columns)).all()
    return [(kind, scope_id, Role(role)) for kind, scope_id, role in rows]


def principals_with(
    connection: sa.Connection, principal_kind: str, scope_id: str, roles: Sequence[Role] = ()
) -> list[str]:
    """Return who has one of `roles` in a scope, or any role if none are named; in the order of their ids."""
    wanted = [grants.c.principal_kind == principal_kind, grants.c.scope_id == scope_id]
    wanted += [grants.c.role.in_([role.value for role in roles])] if roles else []
    query = sa.select(grants.c.principal_id).where(*wanted).distinct().order_by(grants.c.principal_id)
    return list(connection.scalars(query))


def forget_scope(connection: sa.Connection, scope_id: str) -> None:
    """Take away every role in an organisation or project that is no more."""
    connection.execute(grants.delete().where(grants.c.scope_id == scope_id))
