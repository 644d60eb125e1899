"""A real server of the API on an ephemeral port, with a clock that tests move, on SQLite or on PostgreSQL."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from keystore.control.clock import MovableClock
from keystore.control.database import Database
from keystore.kms.connect import connect
from keystore.kms.local import create_key_file
from keystore.projects.access import ORGANIZATION, PROJECT, Role
from keystore.projects.api_keys import create_key
from keystore.projects.backed_up import local_places
from keystore.projects.organizations import create_organization
from keystore.projects.plane import ProjectPlane
from keystore.projects.sealing import Sealer
from tests.control.conftest import database as database
from tests.control.conftest import database_url as database_url
from tests.control.conftest import opened as opened
from tests.control.conftest import postgres as postgres
from tests.rest.client import Api
from tests.rest.serving import serving


@dataclass(frozen=True)
class Rest:
    """A server, an organisation with a project, and the callers that own them.

    Attributes:
        owner: owns the organisation and has no role in the project but the one that made it: it owns that too.
        organization_id, project_id: of the organisation and its project.
    """

    plane: ProjectPlane
    clock: MovableClock
    url: str
    owner: Api
    organization_id: str
    project_id: str

    @property
    def project(self) -> str:
        """The path of the project."""
        return f"/groups/{self.project_id}"

    def caller(self, *roles: Role, project_id: str | None = None) -> Api:
        """Return a new caller with exactly these roles, of the project or of the organisation."""
        of_project = [role for role in roles if role.of_project]
        scope = (PROJECT, project_id or self.project_id) if of_project else (ORGANIZATION, self.organization_id)
        with self.plane.database.write() as connection:
            key = create_key(connection, self.organization_id, "a test's", *scope, roles, "test", self.clock.now_ns())
        return replace(self.owner, public_key=key.public_key, private_key=str(key.private_key))

    def advance(self, seconds: float) -> None:
        """Move the clock."""
        self.clock.advance(int(seconds * 10**9))


def create_plane(database: Database, directory: Path) -> ProjectPlane:
    """Return a plane on a database, with a platform key of its own and a clock that can be moved."""
    create_key_file(directory / "platform")
    clock, places = MovableClock(database), local_places(directory / "backups")
    sealer = Sealer(f"local://{directory / 'platform'}", connect)
    return ProjectPlane(database, clock, sealer, places)


@pytest.fixture
def plane(database: Database, tmp_path: Path) -> ProjectPlane:
    return create_plane(database, tmp_path)


@pytest.fixture
def rest(plane: ProjectPlane) -> Iterator[Rest]:
    """A server and an organisation with one project."""
    with serving(plane) as url:
        yield found_organization(plane, url)


def found_organization(plane: ProjectPlane, url: str, name: str = "org") -> Rest:
    """Make an organisation with one project."""
    with plane.database.write() as connection:
        organization, key = create_organization(connection, name, plane.clock.now_ns())
    owner = Api(url, key.public_key, str(key.private_key))
    made = owner.post("/groups", {"name": "project", "orgId": organization.id})
    assert made.status == 201, made.body
    return Rest(plane, MovableClock(plane.database), url, owner, organization.id, made.body["id"])
