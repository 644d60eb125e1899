"""An organisation with a project for tests that call no API."""

from dataclasses import dataclass

from keystore.control.database import Database
from keystore.projects.access import Caller, Role, authenticate
from keystore.projects.ids import new_id
from keystore.projects.organizations import create_organization, create_project
from keystore.projects.people import set_person
from keystore.projects.tables import configurations, credentials

FOUNDED_NS = 1_700_000_000 * 10**9


@dataclass(frozen=True)
class Founded:
    """A project, and the caller that owns it."""

    project_id: str
    organization_id: str
    caller: Caller


def found_project(database: Database, name: str = "project", now_ns: int = FOUNDED_NS) -> Founded:
    """Make a project in an organisation of its own."""
    with database.write() as connection:
        organization, key = create_organization(connection, f"org of {name}", now_ns)
        caller = authenticate(connection, key.public_key, str(key.private_key))
        project = create_project(connection, caller, organization.id, name, now_ns)
        caller = authenticate(connection, key.public_key, str(key.private_key))
    return Founded(project.id, organization.id, caller)


def add_person(database: Database, project_id: str, email: str, *roles: Role) -> str:
    """Give somebody roles in a project; return the id."""
    with database.write() as connection:
        return set_person(connection, project_id, email, roles, "test", FOUNDED_NS).id


def add_configuration(database: Database, project_id: str, provider: str = "AWS", now_ns: int = FOUNDED_NS) -> None:
    """Write the row of a key that was valid when it was saved; nobody asks a KMS here."""
    credential_id = new_id()
    with database.write() as connection:
        connection.execute(
            credentials.insert().values(
                id=credential_id, project_id=project_id, provider=provider, sealed=b"", created_ns=now_ns
            )
        )
        connection.execute(
            configurations.insert().values(
                project_id=project_id,
                provider=provider,
                fields={},
                credential_id=credential_id,
                key_uri="aws://us-east-1/key",
                state="valid",
                reason="",
                since_ns=now_ns,
                rotated_ns=now_ns,
                revision=1,
            )
        )
