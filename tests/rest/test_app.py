"""What the API says of requests that it refuses before any resource is asked."""

import base64
import json

import sqlalchemy as sa

from keystore.projects.access import PROJECT_ROLES, Role
from keystore.projects.events import list_events
from keystore.projects.tables import projects
from keystore.rest.media import BODY_BYTES_MAX
from tests.rest.client import Api
from tests.rest.conftest import Rest


def _basic(text: str) -> dict[str, str]:
    return {"Authorization": f"Basic {base64.b64encode(text.encode()).decode()}"}


def test_without_a_key_nothing_is_answered(rest: Rest) -> None:
    for header in ("", "Basic", "Basic ???", "Bearer abc", "Basic bm9jb2xvbg==", "Basic w6k6eA=="):
        refused = Api(rest.url).call("GET", rest.project, headers={"Authorization": header} if header else {})
        assert (refused.status, refused.code) == (401, "UNAUTHORIZED")
        assert refused.headers["www-authenticate"].startswith("Basic")


def test_half_a_key_is_none(rest: Rest) -> None:
    owner = rest.owner
    for text in (f"{owner.public_key}:", f"{owner.public_key}:{owner.private_key}x", f"other:{owner.private_key}"):
        assert Api(rest.url).call("GET", rest.project, headers=_basic(text)).status == 401


def test_a_missing_role_is_refused_and_written_down(rest: Rest) -> None:
    for role in PROJECT_ROLES:
        answered = rest.caller(role).patch(rest.project, {"name": "renamed"})
        assert answered.status == (200 if role is Role.GROUP_OWNER else 403)
    with rest.plane.database.read() as connection:
        found, total = list_events(connection, project_id=rest.project_id, types=["ACCESS_REFUSED"])
    assert total == len(PROJECT_ROLES) - 1
    assert all(event.detail == {"operation": "updateGroup", "needed": ["GROUP_OWNER"]} for event in found)
    assert len({event.actor for event in found}) == total


def test_who_owns_the_organisation_only_reads_nothing_of_a_project(rest: Rest) -> None:
    refused = rest.caller(Role.ORG_OWNER).get(rest.project)
    assert (refused.status, refused.code) == (403, "USER_UNAUTHORIZED")
    assert refused.body["parameters"] == ["GROUP_READ_ONLY"]


def test_events_of_the_organisation_have_no_project_that_the_caller_may_not_read(rest: Rest) -> None:
    events = f"/orgs/{rest.organization_id}/events"
    stranger = rest.caller(Role.ORG_OWNER).get(events).body
    assert stranger["results"]
    assert stranger["totalCount"] == len(stranger["results"])
    assert [event for event in stranger["results"] if "groupId" in event] == []
    own = rest.owner.get(events).body["results"]
    assert {event["groupId"] for event in own if "groupId" in event} == {rest.project_id}


def test_the_host_that_a_request_names_changes_nothing(rest: Rest) -> None:
    for host in ("[", "a#", "a?itemsPerPage=0", "a b"):
        answered = rest.owner.call("GET", "/groups?itemsPerPage=1", headers={"Host": host})
        assert (answered.status, len(answered.body["results"])) == (200, 1)
        refused = rest.owner.call("GET", "/nothing", headers={"Host": host})
        assert (refused.status, refused.body["parameters"]) == (404, ["/api/atlas/v2/nothing"])


def test_an_address_to_which_no_mail_can_be_written_is_refused(rest: Rest) -> None:
    for address in ("a@b.c\n", "a\r\nBcc: x@y.z", "a,b@c.d", '"a@b.c', "a(b@c.d", "a@b c"):
        refused = rest.owner.post(f"{rest.project}/users", {"username": address, "roles": ["GROUP_OWNER"]})
        assert (refused.status, refused.code) == (400, "INVALID_ATTRIBUTE")
        assert "such as name@example.org" in refused.body["detail"]


def test_what_has_another_form_is_told_which_one_is_wanted(rest: Rest) -> None:
    told = {
        "/events?clusterId=x": "The query parameter clusterId is invalid: it has 24 hexadecimal digits.",
        "/events?eventType=x": "The query parameter eventType[0] is invalid: it has letters A-Z and _, such as",
    }
    for query, detail in told.items():
        assert rest.owner.get(f"{rest.project}{query}").body["detail"].startswith(detail)
    assert "it is a text in one line" in rest.owner.patch(rest.project, {"name": "a\nb"}).body["detail"]


BODIES: dict[bytes, tuple[str, str | None]] = {
    b"": ("INVALID_JSON", None),
    b"{": ("INVALID_JSON", None),
    b'{"name": "a\\u0000b"}': ("INVALID_JSON", None),
    b'{"name": "\xff"}': ("INVALID_JSON", None),
    b'{"name": "\\ud800"}': ("INVALID_JSON", None),
    b"[" * 5000: ("INVALID_ATTRIBUTE", "body"),
    b"{}": ("MISSING_ATTRIBUTE", "name"),
    b'{"name": 1}': ("INVALID_ATTRIBUTE", "name"),
    b'{"name": null}': ("INVALID_ATTRIBUTE", "name"),
    b'{"name": ""}': ("INVALID_ATTRIBUTE", "name"),
    b'{"name": "a\\n"}': ("INVALID_ATTRIBUTE", "name"),
    b'{"name": "a\\nb"}': ("INVALID_ATTRIBUTE", "name"),
    json.dumps({"name": "x" * 65}).encode(): ("INVALID_ATTRIBUTE", "name"),
    b'{"name": "a", "colour": "red"}': ("INVALID_ATTRIBUTE", "colour"),
}


def test_a_body_that_is_not_what_was_wanted_changes_nothing(rest: Rest) -> None:
    for body, (code, field) in BODIES.items():
        refused = rest.owner.call("PATCH", rest.project, body)
        assert (refused.status, refused.code) == (400, code), body[:40]
        assert set(refused.body) == {"detail", "error", "errorCode", "parameters", "reason", "badRequestDetail"}
        assert refused.body["error"] == 400
        assert field is None or refused.body["badRequestDetail"]["fields"][0]["field"] == field
    with rest.plane.database.read() as connection:
        assert connection.scalars(sa.select(projects.c.name)).all() == ["project"]


def test_a_body_has_a_limit(rest: Rest) -> None:
    refused = rest.owner.call("PATCH", rest.project, b" " * (BODY_BYTES_MAX + 1))
    assert (refused.status, refused.code) == (413, "REQUEST_TOO_LARGE")


def test_a_body_of_another_media_type_is_refused(rest: Rest) -> None:
    for given in ("text/plain", "application/vnd.atlas.2020-01-01+json", "", "multipart/form-data"):
        refused = rest.owner.call("PATCH", rest.project, b'{"name": "x"}', {"Content-Type": given})
        assert (refused.status, refused.code) == (415, "UNSUPPORTED_MEDIA_TYPE")


def test_it_answers_in_the_media_type_that_is_taken(rest: Rest) -> None:
    versioned = "application/vnd.atlas.2023-01-01+json"
    for accept, given in [
        ("*/*", versioned),
        ("application/vnd.atlas.2024-05-30+json", versioned),
        ("application/json", "application/json"),
        ("application/json;q=1, application/vnd.atlas.2023-01-01+json", versioned),
    ]:
        assert rest.owner.call("GET", rest.project, headers={"Accept": accept}).headers["content-type"] == given
    assert rest.owner.call("GET", rest.project, headers={"Accept": "text/html"}).status == 406


def test_a_query_that_cannot_be_is_refused(rest: Rest) -> None:
    for query in ("pageNum=0", "pageNum=x", "pageNum=1&pageNum=2", "colour=red", "pageNum=%00", "itemsPerPage=501"):
        refused = rest.owner.get(f"/groups?{query}")
        assert (refused.status, refused.code) == (400, "INVALID_QUERY_PARAMETER")
        assert refused.body["badRequestDetail"]["fields"][0]["field"] == query.partition("=")[0]


def test_paths_ids_and_methods_that_are_not_there(rest: Rest) -> None:
    assert rest.owner.get("/nowhere").code == "RESOURCE_NOT_FOUND"
    assert rest.owner.get("/groups/").code == "RESOURCE_NOT_FOUND"
    assert rest.owner.get("/groups/short").code == "INVALID_ID"
    assert rest.owner.get(f"/groups/{'0' * 24}").code == "GROUP_NOT_FOUND"
    refused = rest.owner.call("PUT", rest.project)
    assert (refused.status, refused.headers["allow"]) == (405, "GET, PATCH")
