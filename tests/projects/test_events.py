"""Events: written with what happened, in its order."""

import pytest

from keystore.control.database import Database
from keystore.projects.events import SYSTEM, list_events, record_event
from keystore.projects.tables import organizations, projects

ORG, PROJECT, OTHER = "a" * 24, "b" * 24, "c" * 24


@pytest.fixture
def project(database: Database) -> str:
    with database.write() as connection:
        connection.execute(organizations.insert().values(id=ORG, name="org", created_ns=1))
        connection.execute(projects.insert().values(id=PROJECT, organization_id=ORG, name="p", created_ns=1))
    return PROJECT


def test_events_come_back_latest_first_with_the_organisation_of_their_project(database: Database, project: str) -> None:
    with database.write() as connection:
        for number, kind in enumerate(["ONE", "TWO", "ONE"]):
            record_event(connection, kind, project, None, SYSTEM, number, {"number": number})
        record_event(connection, "ONE", OTHER, None, SYSTEM, 9, {})
    with database.read() as connection:
        found, total = list_events(connection, project_id=project, types=["ONE"], limit=1)
        assert (total, [(event.detail, event.organization_id) for event in found]) == (2, [({"number": 2}, ORG)])
        found, total = list_events(connection, organization_id=ORG, skip=1)
        assert (total, [event.at_ns for event in found]) == (3, [1, 0])
        assert len({event.id for event in found}) == 2


def test_an_event_of_what_did_not_happen_is_not_there(database: Database, project: str) -> None:
    with pytest.raises(KeyError), database.write() as connection:  # noqa: PT012
        record_event(connection, "ONE", project, None, SYSTEM, 1, {})
        raise KeyError
    with database.read() as connection:
        assert list_events(connection, project_id=project) == ([], 0)
