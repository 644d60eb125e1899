"""Projects over the API: made, found, renamed; and what another organisation has does not exist."""

from keystore.projects.access import Role
from tests.rest.conftest import Rest, found_organization


def test_who_makes_a_project_owns_it_and_it_can_be_found(rest: Rest) -> None:
    found = rest.owner.get(rest.project)
    assert found.status == 200
    assert found.body["name"] == "project"
    assert found.body["orgId"] == rest.organization_id
    assert found.body["clusterCount"] == 0
    assert rest.owner.get("/groups").body["results"] == [found.body]
    assert rest.owner.get(f"/orgs/{rest.organization_id}/groups").body == {"results": [found.body], "totalCount": 1}
    assert found.headers["content-type"] == "application/vnd.atlas.2023-01-01+json"


def test_a_name_is_taken_once_in_an_organisation(rest: Rest) -> None:
    other = rest.owner.post("/groups", {"name": "other", "orgId": rest.organization_id})
    again = rest.owner.post("/groups", {"name": "project", "orgId": rest.organization_id})
    assert (again.status, again.code) == (409, "GROUP_ALREADY_EXISTS")
    renamed = rest.owner.patch(f"/groups/{other.body['id']}", {"name": "project"})
    assert (renamed.status, renamed.code) == (409, "GROUP_ALREADY_EXISTS")
    assert rest.owner.patch(f"/groups/{other.body['id']}", {"name": "other"}).body["name"] == "other"
    assert rest.owner.patch(f"/groups/{other.body['id']}", {"name": "third"}).body["name"] == "third"
    assert rest.owner.get("/groups").body["totalCount"] == 2


def test_what_another_organisation_has_is_not_found(rest: Rest) -> None:
    stranger = found_organization(rest.plane, rest.url, "stranger")
    refused = stranger.owner.get(rest.project)
    assert (refused.status, refused.code) == (404, "GROUP_NOT_FOUND")
    assert stranger.owner.get(f"/orgs/{rest.organization_id}").code == "ORG_NOT_FOUND"
    made = stranger.owner.post("/groups", {"name": "x", "orgId": rest.organization_id})
    assert (made.status, made.code) == (404, "ORG_NOT_FOUND")


def test_a_project_needs_a_role_that_may_make_one(rest: Rest) -> None:
    body = {"name": "mine", "orgId": rest.organization_id}
    refused = rest.caller(Role.ORG_MEMBER).post("/groups", body)
    assert (refused.status, refused.body["parameters"]) == (403, ["ORG_OWNER", "ORG_GROUP_CREATOR"])
    assert rest.caller(Role.ORG_GROUP_CREATOR).post("/groups", body).status == 201
