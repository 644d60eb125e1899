"""Alerts, alert configurations, keys and people over the API."""

import pytest
import sqlalchemy as sa

from keystore.projects.access import Role
from keystore.projects.alert_configs import create_provider_configs
from keystore.projects.alert_types import NETWORK_ACCESS_DENIED
from keystore.projects.alerts import close_alert, evaluate_rotation_alert, raise_alert
from keystore.projects.mail import list_mails
from keystore.projects.tables import configurations
from tests.projects.founding import add_configuration
from tests.rest.client import Answered
from tests.rest.conftest import Rest

TO_OWNERS = [{"typeName": "GROUP", "roles": ["GROUP_OWNER"]}]
ROTATION = "AWS_ENCRYPTION_KEY_NEEDS_ROTATION"


def _config(rest: Rest, event_type: str) -> dict[str, object]:
    found = rest.owner.get(f"{rest.project}/alertConfigs").body["results"]
    return next(config for config in found if config["eventTypeName"] == event_type)


def test_alerts_can_be_looked_at_while_they_are_open_and_afterwards(rest: Rest) -> None:
    now_ns = rest.clock.now_ns()
    with rest.plane.database.write() as connection:
        about = (rest.project_id, NETWORK_ACCESS_DENIED)
        alert_id = raise_alert(connection, *about, now_ns, provider="AWS", detail={"reason": "timed out"})
    (found,) = rest.owner.get(f"{rest.project}/alerts?status=OPEN").body["results"]
    assert found["id"] == alert_id
    assert (found["eventTypeName"], found["status"], found["cloudProvider"]) == (NETWORK_ACCESS_DENIED, "OPEN", "AWS")
    assert found["detail"] == {"reason": "timed out"}
    assert "resolved" not in found
    with rest.plane.database.write() as connection:
        assert close_alert(connection, *about, now_ns + 10**9, provider="AWS")
    assert rest.owner.get(f"{rest.project}/alerts?status=OPEN").body == {"results": [], "totalCount": 0}
    closed = rest.owner.get(f"{rest.project}/alerts/{alert_id}").body
    assert closed["status"] == "CLOSED"
    assert closed["resolved"] > closed["created"]
    assert rest.owner.get(f"{rest.project}/alerts/{'0' * 24}").code == "ALERT_NOT_FOUND"
    assert rest.owner.get(f"{rest.project}/alerts?status=GONE").code == "INVALID_QUERY_PARAMETER"


@pytest.mark.row("R31", "R32")
def test_the_threshold_of_a_key_is_edited_and_turned_off_over_the_api(rest: Rest) -> None:
    add_configuration(rest.plane.database, rest.project_id, "AWS", rest.clock.now_ns())
    with rest.plane.database.write() as connection:
        create_provider_configs(connection, rest.project_id, "AWS", rest.clock.now_ns())
    config = _config(rest, ROTATION)
    assert config["threshold"] == {"operator": "GREATER_THAN", "threshold": 90, "units": "DAYS"}
    assert config["enabled"] is True
    rest.advance(100 * 86400)
    with rest.plane.database.write() as connection:
        row = connection.execute(sa.select(configurations)).one()
        evaluate_rotation_alert(connection, row, rest.clock.now_ns())
    assert _open(rest) == [ROTATION]
    place = f"{rest.project}/alertConfigs/{config['id']}"
    body = {"eventTypeName": ROTATION, "enabled": True, "notifications": TO_OWNERS, "threshold": {"threshold": 365}}
    assert rest.owner.call("PUT", place, body).body["threshold"]["threshold"] == 365
    assert _open(rest) == []
    body["threshold"] = {"threshold": 99}
    assert rest.owner.call("PUT", place, body).status == 200
    assert _open(rest) == [ROTATION]
    assert rest.owner.patch(place, {"enabled": False}).body["enabled"] is False
    assert _open(rest) == []


def _open(rest: Rest) -> list[str]:
    return [alert["eventTypeName"] for alert in rest.owner.get(f"{rest.project}/alerts?status=OPEN").body["results"]]


def test_a_configuration_that_cannot_be_is_refused(rest: Rest) -> None:
    place, threshold = f"{rest.project}/alertConfigs", {"threshold": 5}
    rotation = "GCP_ENCRYPTION_KEY_NEEDS_ROTATION"
    good: dict[str, object] = {"eventTypeName": rotation, "notifications": TO_OWNERS, "threshold": threshold}
    network: dict[str, object] = {"eventTypeName": NETWORK_ACCESS_DENIED, "notifications": TO_OWNERS}
    email: list[object] = [{"typeName": "EMAIL", "emailAddress": "x"}]
    cases: list[tuple[dict[str, object], int, str, str]] = [
        ({**good, "eventTypeName": "CPU"}, 400, "INVALID_EVENT_TYPE", "eventTypeName"),
        ({**good, "threshold": None}, 400, "THRESHOLD_REQUIRED", "threshold"),
        ({**network, "threshold": threshold}, 400, "THRESHOLD_NOT_ALLOWED", "threshold"),
        (network, 409, "ALERT_CONFIG_ALREADY_EXISTS", "eventTypeName"),
        ({**good, "threshold": {"threshold": 0}}, 400, "INVALID_ATTRIBUTE", "threshold.threshold"),
        ({**good, "threshold": {"threshold": 5, "units": "HOURS"}}, 400, "INVALID_ATTRIBUTE", "threshold.units"),
        ({**good, "notifications": list[object]()}, 400, "INVALID_ATTRIBUTE", "notifications"),
        ({**good, "notifications": [*TO_OWNERS] * 26}, 400, "INVALID_ATTRIBUTE", "notifications"),
        ({**good, "notifications": email}, 400, "INVALID_ATTRIBUTE", "notifications[0].emailAddress"),
        ({**good, "notifications": [{"typeName": "PAGER"}]}, 400, "INVALID_ATTRIBUTE", "notifications[0].typeName"),
        ({"eventTypeName": NETWORK_ACCESS_DENIED}, 400, "MISSING_ATTRIBUTE", "notifications"),
    ]
    before = rest.owner.get(place).body
    for body, status, code, field in cases:
        refused = rest.owner.post(place, body)
        assert (refused.status, refused.code, _field(refused)) == (status, code, field)
    assert rest.owner.get(place).body == before
    made = rest.owner.post(place, good)
    assert made.status == 201
    assert rest.owner.delete(f"{place}/{made.body['id']}").status == 204
    assert rest.owner.get(place).body == before
    one = f"{place}/{_config(rest, NETWORK_ACCESS_DENIED)['id']}"
    assert rest.owner.call("PUT", one, good).code == "INVALID_ATTRIBUTE"
    for path in (f"{place}/{made.body['id']}", f"{place}/{'0' * 24}"):
        assert rest.owner.get(path).code == "ALERT_CONFIG_NOT_FOUND"
        assert rest.owner.patch(path, {"enabled": True}).code == "ALERT_CONFIG_NOT_FOUND"
        assert rest.owner.delete(path).code == "ALERT_CONFIG_NOT_FOUND"


def _field(refused: Answered) -> str:
    return str(refused.body["badRequestDetail"]["fields"][0]["field"])


def test_whom_an_alert_tells_can_be_changed(rest: Rest) -> None:
    config = _config(rest, NETWORK_ACCESS_DENIED)
    to_team = [{"typeName": "EMAIL", "emailAddress": "team@example.org"}]
    body = {"eventTypeName": NETWORK_ACCESS_DENIED, "enabled": True, "notifications": to_team}
    assert rest.owner.call("PUT", f"{rest.project}/alertConfigs/{config['id']}", body).body["notifications"] == to_team
    with rest.plane.database.write() as connection:
        raise_alert(connection, rest.project_id, NETWORK_ACCESS_DENIED, 1, provider="AWS")
        assert [mail.recipient for mail in list_mails(connection, rest.project_id)] == ["team@example.org"]


def test_a_key_has_the_roles_that_it_was_given_until_they_are_taken(rest: Rest) -> None:
    keys = f"{rest.project}/apiKeys"
    made = rest.owner.post(keys, {"desc": "robot", "roles": ["GROUP_READ_ONLY"]})
    assert made.status == 201
    assert {role.get("groupId"): role["roleName"] for role in made.body["roles"]} == {
        None: "ORG_MEMBER",
        rest.project_id: "GROUP_READ_ONLY",
    }
    listed = rest.owner.get(keys).body["results"]
    assert made.body["id"] in [key["id"] for key in listed]
    assert not any("privateKey" in key for key in listed)
    robot = type(rest.owner)(rest.url, made.body["publicKey"], made.body["privateKey"])
    assert robot.get(rest.project).status == 200
    assert robot.patch(rest.project, {"name": "mine"}).status == 403
    one = f"{keys}/{made.body['id']}"
    assert rest.owner.patch(one, {"roles": ["GROUP_OWNER"]}).status == 200
    assert robot.patch(rest.project, {"name": "mine"}).status == 200
    assert rest.owner.delete(one).status == 204
    assert robot.get(rest.project).status == 403
    assert rest.owner.delete(one).code == "API_KEY_NOT_FOUND"
    assert rest.owner.delete(f"/orgs/{rest.organization_id}/apiKeys/{made.body['id']}").status == 204
    assert robot.get("/groups").status == 401


def test_who_owns_the_organisation_can_make_itself_an_owner_of_a_project(rest: Rest) -> None:
    other = rest.caller(Role.ORG_OWNER)
    assert other.get(rest.project).status == 403
    keys = other.get(f"/orgs/{rest.organization_id}/apiKeys").body["results"]
    own = next(key["id"] for key in keys if key["publicKey"] == other.public_key)
    assert other.patch(f"{rest.project}/apiKeys/{own}", {"roles": ["GROUP_OWNER"]}).status == 200
    assert other.get(rest.project).status == 200


def test_the_last_owner_of_an_organisation_stays(rest: Rest) -> None:
    (own,) = rest.owner.get(f"/orgs/{rest.organization_id}/apiKeys").body["results"]
    refused = rest.owner.delete(f"/orgs/{rest.organization_id}/apiKeys/{own['id']}")
    assert (refused.status, refused.code) == (409, "CANNOT_DELETE_LAST_OWNER")
    assert rest.owner.get(rest.project).status == 200


def test_people_come_and_go(rest: Rest) -> None:
    users = f"{rest.project}/users"
    made = rest.owner.post(users, {"username": "A@example.org", "roles": ["GROUP_OWNER", "GROUP_READ_ONLY"]})
    assert (made.status, made.body["username"]) == (201, "a@example.org")
    again = rest.owner.post(users, {"username": "a@EXAMPLE.org", "roles": ["GROUP_READ_ONLY"]})
    assert (again.body["id"], again.body["roles"]) == (made.body["id"], ["GROUP_READ_ONLY"])
    assert rest.owner.get(users).body == {"results": [again.body], "totalCount": 1}
    assert rest.owner.post(users, {"username": "nobody", "roles": ["GROUP_OWNER"]}).code == "INVALID_ATTRIBUTE"
    assert rest.owner.post(users, {"username": "a@b", "roles": ["ORG_OWNER"]}).code == "INVALID_ATTRIBUTE"
    assert rest.owner.delete(f"{users}/{made.body['id']}").status == 204
    assert rest.owner.delete(f"{users}/{made.body['id']}").code == "USER_NOT_FOUND"
    types = [event["eventTypeName"] for event in rest.owner.get(f"{rest.project}/events").body["results"]]
    assert types[0] == "REMOVED_FROM_GROUP"
    organization = rest.owner.get(f"/orgs/{rest.organization_id}/events").body
    assert organization["totalCount"] > len(types)


def test_events_come_in_pages_by_type_and_one_by_one(rest: Rest) -> None:
    for number in range(5):
        assert rest.owner.patch(rest.project, {"name": f"name {number}"}).status == 200
    place = f"{rest.project}/events"
    page = rest.owner.get(f"{place}?eventType=GROUP_NAME_CHANGED&itemsPerPage=2&pageNum=2").body
    assert page["totalCount"] == 5
    assert [event["detail"]["name"] for event in page["results"]] == ["name 2", "name 1"]
    both = rest.owner.get(f"{place}?eventType=GROUP_NAME_CHANGED&eventType=GROUP_CREATED").body
    assert both["totalCount"] == 6
    one = page["results"][0]
    assert one["publicKey"] == rest.owner.public_key
    assert rest.owner.get(f"{place}/{one['id']}").body == one
    assert rest.owner.get(f"{place}/{'0' * 24}").code == "EVENT_NOT_FOUND"


def test_the_addresses_to_allow_are_told(rest: Rest) -> None:
    assert rest.owner.get("/controlPlaneIPAddresses").body == {"controlPlane": {"outbound": []}}
    assert rest.owner.get(f"{rest.project}/ipAddresses").body["services"] == {"clusters": []}
