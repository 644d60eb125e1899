"""Projects, configurations and deployments as rows, for tests of what is done about them."""

import sqlalchemy as sa

from keystore.projects.change_order import ChangeState
from keystore.projects.conditions import Condition, Life
from keystore.projects.deployment_rows import (
    Deployment,
    deployment_of,
    insert_deployment,
    move_change,
    open_changes,
    store_condition,
)
from keystore.projects.ids import new_id
from keystore.projects.shapes import Shape
from keystore.projects.tables import configurations, credentials, organizations, projects


def make_project(connection: sa.Connection, name: str = "shop") -> str:
    """Make a project in an organisation of its own and return its id."""
    organization_id, project_id = new_id(), new_id()
    connection.execute(organizations.insert().values(id=organization_id, name=name, created_ns=0))
    row = {"id": project_id, "organization_id": organization_id, "name": name, "created_ns": 0}
    connection.execute(projects.insert().values(row))
    return project_id


def make_configuration(connection: sa.Connection, project_id: str, provider: str, key_uri: str) -> None:
    """Give a project a valid configuration."""
    credential_id = new_id()
    sealed = {"id": credential_id, "project_id": project_id, "provider": provider, "sealed": b"", "created_ns": 0}
    connection.execute(credentials.insert().values(sealed))
    row = {
        "project_id": project_id,
        "provider": provider,
        "fields": {},
        "credential_id": credential_id,
        "key_uri": key_uri,
        "state": "valid",
        "reason": "",
        "since_ns": 0,
        "rotated_ns": 0,
        "revision": 1,
    }
    connection.execute(configurations.insert().values(row))


def make_deployment(
    connection: sa.Connection, project_id: str, name: str, provider: str = "NONE", condition: Condition | None = None
) -> Deployment:
    """Make a deployment that is alive, without processes."""
    deployment_id = new_id()
    insert_deployment(
        connection, deployment_id, project_id, name, Shape("AWS", "US_EAST_1", "M10", provider=provider), 0
    )
    return become(connection, deployment_id, condition or Condition(Life.ALIVE))


def become(connection: sa.Connection, deployment_id: str, condition: Condition) -> Deployment:
    """Give a deployment a condition."""
    return store_condition(connection, deployment_of(connection, deployment_id), condition, 0)


def apply_all(connection: sa.Connection, deployment_id: str) -> None:
    """Take every change for applied."""
    for change in open_changes(connection, deployment_id):
        move_change(connection, change.seq, change.state, ChangeState.APPLIED)
