"""Organisations, and their projects.

Leaves to others: what lies in a project; a new one gets the alert configurations that every project has.
"""

from dataclasses import dataclass

import sqlalchemy as sa

from keystore.errors import InputError
from keystore.projects.access import KEY, ORGANIZATION, PROJECT, Caller, Role
from keystore.projects.alert_configs import create_project_configs
from keystore.projects.api_keys import ApiKey, create_key
from keystore.projects.codes import Code
from keystore.projects.events import SYSTEM, record_event
from keystore.projects.grants import set_roles
from keystore.projects.ids import new_id
from keystore.projects.tables import deployments, organizations, projects


@dataclass(frozen=True)
class Organization:
    id: str
    name: str
    created_ns: int


@dataclass(frozen=True)
class Project:
    id: str
    organization_id: str
    name: str
    created_ns: int
    deployments: int


def create_organization(connection: sa.Connection, name: str, now_ns: int) -> tuple[Organization, ApiKey]:
    """Make an organisation and the key of its owner, whose private half is shown here and never again.

    Raises:
        InputError: there is one of that name, or it is none.
    """
    if not name.strip() or len(name) > 64 or not name.isprintable():
        raise InputError("the name of an organisation has 1 to 64 characters in one line. Nothing was changed.")
    if connection.scalar(sa.select(organizations.c.id).where(organizations.c.name == name)) is not None:
        raise InputError(f"there is an organisation {name!r} already. Nothing was changed; its owner makes more keys.")
    made = Organization(new_id(), name, now_ns)
    connection.execute(organizations.insert().values(vars(made)))
    record_event(connection, "ORG_CREATED", None, None, SYSTEM, now_ns, {"name": name}, made.id)
    key = create_key(connection, made.id, "owner", ORGANIZATION, made.id, [Role.ORG_OWNER], SYSTEM, now_ns)
    return made, key


def has_organizations(connection: sa.Connection) -> bool:
    """Tell whether there is any."""
    return connection.scalar(sa.select(organizations.c.id).limit(1)) is not None


def organization_of(connection: sa.Connection, organization_id: str) -> Organization:
    """Return an organisation that is there."""
    row = connection.execute(sa.select(organizations).where(organizations.c.id == organization_id)).one()
    return Organization(row.id, row.name, row.created_ns)


def create_project(connection: sa.Connection, caller: Caller, organization_id: str, name: str, now_ns: int) -> Project:
    """Make a project, which the key that made it owns.

    Raises:
        ApiError: the organisation has one of that name.
    """
    taken = (projects.c.organization_id == organization_id) & (projects.c.name == name)
    if connection.scalar(sa.select(projects.c.id).where(taken)) is not None:
        raise Code.GROUP_ALREADY_EXISTS.error(name, field="name")
    made = Project(new_id(), organization_id, name, now_ns, 0)
    row = {"id": made.id, "organization_id": organization_id, "name": name, "created_ns": now_ns}
    connection.execute(projects.insert().values(row))
    set_roles(connection, KEY, caller.id, PROJECT, made.id, [Role.GROUP_OWNER])
    create_project_configs(connection, made.id, now_ns)
    record_event(connection, "GROUP_CREATED", made.id, None, caller.actor, now_ns, {"name": name})
    return made


def project_of(connection: sa.Connection, project_id: str) -> Project:
    """Return a project that is there."""
    return _projects(connection, projects.c.id == project_id)[0]


def list_projects(connection: sa.Connection, caller: Caller, *, whole_organization: bool) -> list[Project]:
    """Return the projects in which the caller has a role, or all of its organisation, by name."""
    mine = projects.c.organization_id == caller.organization_id
    if not whole_organization:
        mine &= projects.c.id.in_(sorted({scope_id for scope_id, role in caller.roles if role.of_project}))
    return _projects(connection, mine)


def rename_project(connection: sa.Connection, project_id: str, name: str, actor: str, now_ns: int) -> Project:
    """Give a project another name.

    Raises:
        ApiError: the organisation has one of that name.
    """
    project = project_of(connection, project_id)
    taken = (projects.c.organization_id == project.organization_id) & (projects.c.name == name)
    if connection.scalar(sa.select(projects.c.id).where(taken, projects.c.id != project_id)) is not None:
        raise Code.GROUP_ALREADY_EXISTS.error(name, field="name")
    connection.execute(projects.update().where(projects.c.id == project_id).values(name=name))
    detail = {"name": name, "former": project.name}
    record_event(connection, "GROUP_NAME_CHANGED", project_id, None, actor, now_ns, detail)
    return project_of(connection, project_id)


def _projects(connection: sa.Connection, which: sa.ColumnElement[bool]) -> list[Project]:
    living = sa.select(sa.func.count()).select_from(deployments)
    living = living.where(deployments.c.project_id == projects.c.id, deployments.c.terminated_ns.is_(None))
    columns = (projects.c.id, projects.c.organization_id, projects.c.name, projects.c.created_ns)
    rows = connection.execute(
        sa.select(*columns, living.scalar_subquery()).where(which).order_by(projects.c.name)
    ).all()
    return [Project(*row) for row in rows]
