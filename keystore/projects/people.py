"""People of a project, to whom mail goes."""

from collections.abc import Iterable
from dataclasses import dataclass

import sqlalchemy as sa

from keystore.projects.access import PROJECT, USER, Role
from keystore.projects.codes import Code
from keystore.projects.events import record_event
from keystore.projects.grants import principals_with, roles_of, set_roles
from keystore.projects.ids import new_id
from keystore.projects.tables import users


@dataclass(frozen=True)
class Person:
    """Somebody with roles in a project."""

    id: str
    email: str
    roles: list[Role]


def set_person(
    connection: sa.Connection, project_id: str, email: str, roles: Iterable[Role], actor: str, now_ns: int
) -> Person:
    """Give somebody exactly these roles in a project.

    Raises:
        ApiError: a role is not one of a project.
    """
    address = email.lower()
    user_id = connection.scalar(sa.select(users.c.id).where(users.c.email == address))
    if user_id is None:
        user_id = new_id()
        connection.execute(users.insert().values(id=user_id, email=address, name="", created_ns=now_ns))
    set_roles(connection, USER, user_id, PROJECT, project_id, roles)
    person = _person(connection, project_id, user_id)
    detail = {"username": address, "roles": [role.value for role in person.roles]}
    record_event(connection, "USER_ROLES_CHANGED_AUDIT", project_id, None, actor, now_ns, detail)
    return person


def list_people(connection: sa.Connection, project_id: str) -> list[Person]:
    """Return everybody with a role in a project, by address."""
    found = [_person(connection, project_id, user_id) for user_id in principals_with(connection, USER, project_id)]
    return sorted(found, key=lambda person: person.email)


def remove_person(connection: sa.Connection, project_id: str, user_id: str, actor: str, now_ns: int) -> None:
    """Take somebody out of a project.

    Raises:
        ApiError: nobody of that id is in it.
    """
    if user_id not in principals_with(connection, USER, project_id):
        raise Code.USER_NOT_FOUND.error(user_id)
    person = _person(connection, project_id, user_id)
    set_roles(connection, USER, user_id, PROJECT, project_id, [])
    record_event(connection, "REMOVED_FROM_GROUP", project_id, None, actor, now_ns, {"username": person.email})


def _person(connection: sa.Connection, project_id: str, user_id: str) -> Person:
    email = connection.execute(sa.select(users.c.email).where(users.c.id == user_id)).scalar_one()
    mine = roles_of(connection, USER, user_id)
    return Person(user_id, email, [role for _, scope_id, role in mine if scope_id == project_id])
