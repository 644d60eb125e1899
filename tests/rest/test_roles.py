"""Every route, found in the tables: no answer without a key; a refusal, and its event, for every role but enough."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from keystore.control.database import open_database
from keystore.projects.access import Role
from keystore.projects.events import list_events
from keystore.rest.app import REFUSED
from keystore.rest.routes import ROUTES
from keystore.rest.routing import Route
from tests.rest.client import Api
from tests.rest.conftest import Rest, create_plane, found_organization
from tests.rest.serving import serving

NOBODY = "0" * 24
GUARDED = [route for route in ROUTES if route.roles]


@pytest.fixture(scope="module")
def rest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rest]:
    """One server for all routes: none of these requests changes anything."""
    directory: Path = tmp_path_factory.mktemp("roles")
    database = open_database(f"sqlite:///{directory / 'control.db'}")
    with serving(create_plane(database, directory)) as url:
        yield found_organization(create_plane(database, tmp_path_factory.mktemp("keys")), url)
    database.close()


@pytest.fixture(scope="module")
def callers(rest: Rest) -> dict[Role, Api]:
    """A caller for each role, which has that role only."""
    return {role: rest.caller(role) for role in Role}


def _path(rest: Rest, route: Route) -> str:
    values = {"groupId": rest.project_id, "orgId": rest.organization_id}
    parts = [part[1:-1] if part.startswith("{") else part for part in route.path.split("/")]
    named = [part for part in route.path.split("/") if part.startswith("{")]
    filled = [
        values.get(part, NOBODY if part.endswith("Id") else "nothing") if f"{{{part}}}" in named else part
        for part in parts
    ]
    return "/".join(filled)


def _had(role: Role) -> frozenset[Role]:
    """Return what a caller with a role may do; with one in a project it is a member of the organisation too."""
    return role.includes | ({Role.ORG_MEMBER} if role.of_project else set())


def test_no_two_routes_are_one() -> None:
    assert len({(route.method, route.path) for route in ROUTES}) == len(ROUTES)
    assert len({route.operation_id for route in ROUTES}) == len(ROUTES)


def test_every_route_below_a_project_or_an_organisation_names_its_roles() -> None:
    for route in ROUTES:
        assert bool(route.roles) == ("{groupId}" in route.path or "{orgId}" in route.path), route.operation_id


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.operation_id)
def test_without_a_key_no_route_answers(rest: Rest, route: Route) -> None:
    refused = Api(rest.url).call(route.method, _path(rest, route))
    assert (refused.status, refused.code) == (401, "UNAUTHORIZED")


@pytest.mark.row("R10", "R14")
@pytest.mark.parametrize("route", GUARDED, ids=lambda route: route.operation_id)
def test_a_role_that_is_not_enough_is_refused_and_written_down(
    rest: Rest, callers: dict[Role, Api], route: Route
) -> None:
    wrong = [role for role in Role if not any(needed in _had(role) for needed in route.roles)]
    assert len(wrong) < len(Role)
    with rest.plane.database.read() as connection:
        _, before = list_events(connection, organization_id=rest.organization_id, types=[REFUSED])
    needed = [role.value for role in route.roles]
    for role in wrong:
        refused = callers[role].call(route.method, _path(rest, route))
        assert (refused.status, refused.code, refused.body["parameters"]) == (403, "USER_UNAUTHORIZED", needed)
    with rest.plane.database.read() as connection:
        found, after = list_events(connection, organization_id=rest.organization_id, types=[REFUSED])
    assert after - before == len(wrong)
    found = found[: len(wrong)]
    assert {event.actor for event in found} == {callers[role].public_key for role in wrong}
    for event in found:
        assert event.detail == {"operation": route.operation_id, "needed": needed}
        assert event.project_id == (rest.project_id if "{groupId}" in route.path else None)
