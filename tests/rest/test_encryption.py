"""`encryptionAtRest` over HTTP: what is stored, what is answered, who may, and that no secret is anywhere."""

import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from keystore.projects.access import Caller, Role
from keystore.projects.checks import check
from keystore.projects.conditions import Condition, Life
from keystore.projects.fields import BLOCKS
from keystore.projects.tables import alert_configs, configurations, credentials
from keystore.rest.asking import ASKING_MAX, ORGANIZATION_ASKING_MAX, PROJECT_ASKING_MAX, asking, asking_now
from keystore.rest.routing import Call
from kms_emulator.embedded import KmsEmulator
from tests.control.on_sqlite import database_url as database_url
from tests.projects.made import make_deployment
from tests.projects.providers import CLOUDS, Aws, Azure, Cloud
from tests.projects.providers import aws as aws
from tests.projects.providers import azure as azure
from tests.projects.providers import kms as kms
from tests.rest.client import Answered
from tests.rest.conftest import Rest, found_organization
from tests.rest.test_clusters import NOT_OWNERS

SECRETS = ("secretAccessKey", "secret", "serviceAccountKey")


@pytest.fixture
def clouds(kms: KmsEmulator) -> list[Cloud]:
    kms.reset()
    return [kind(kms) for kind in CLOUDS.values()]


def path(rest: Rest, more: str = "") -> str:
    return f"{rest.project}/encryptionAtRest{more}"


def patch(rest: Rest, body: Any) -> Answered:
    return rest.owner.patch(path(rest), body)


def rows(rest: Rest, table: sa.Table) -> list[dict[str, Any]]:
    with rest.plane.database.read() as connection:
        return [dict(row._mapping) for row in connection.execute(sa.select(table))]


def events(rest: Rest) -> list[str]:
    found = rest.owner.get(f"{rest.project}/events").body["results"]
    return [event["eventTypeName"] for event in found][::-1]


def make_cluster(rest: Rest, name: str, provider: str) -> None:
    with rest.plane.database.write() as connection:
        make_deployment(connection, rest.project_id, name, provider, Condition(Life.ALIVE))


def test_what_the_last_checks_found_is_listed_for_readers(rest: Rest, aws: Aws) -> None:
    where, reader = path(rest, "/AWS/checks"), rest.caller(Role.GROUP_READ_ONLY)
    assert reader.get(where).code == "ENCRYPTION_AT_REST_NOT_ENABLED"
    assert patch(rest, aws.body()).status == 200
    aws.grant("kms:DescribeKey", "kms:Encrypt")
    rest.owner.get(path(rest))
    aws.grant("kms:DescribeKey", "kms:Encrypt", "kms:Decrypt")
    assert rest.owner.post(path(rest, "/AWS/tryAgain")).status == 200
    found = reader.get(where).body
    assert found["totalCount"] == 3
    assert [(each["cause"], each["outcome"]) for each in found["results"]] == [
        ("try_again", "VALID"),
        ("demand", "INVALID"),
        ("save", "VALID"),
    ]
    _, refused, saved = found["results"]
    assert refused["errorCode"] == "NO_PERMISSION_TO_ENCRYPT_DECRYPT"
    assert "kms:Decrypt is missing" in refused["reason"]
    assert not {"errorCode", "reason", "due"} & set(saved)
    assert reader.get(f"{where}?itemsPerPage=1&pageNum=2").body["results"] == [refused]
    assert rest.caller(Role.ORG_READ_ONLY).get(where).status == 403
    assert rest.owner.get(path(rest, "/OTHER/checks")).status == 400


@pytest.mark.row("R10", "R18", "R19", "R31", "R75", "R138", "R139")
def test_all_three_providers_are_set_at_once_and_shown_without_secrets(rest: Rest, clouds: list[Cloud]) -> None:
    empty = {"awsKms": {"enabled": False}, "azureKeyVault": {"enabled": False}, "googleCloudKms": {"enabled": False}}
    before = rest.owner.get(path(rest)).body
    assert before == {**empty, "enabledForSearchNodes": False}
    body = {BLOCKS[cloud.provider]: cloud.block() for cloud in clouds}
    saved = patch(rest, body)
    assert saved.status == 200, saved.body
    shown = rest.owner.get(path(rest)).body
    for cloud in clouds:
        found, given = shown[BLOCKS[cloud.provider]], cloud.block()
        assert {name: found[name] for name in given if name not in SECRETS} == {
            name: value for name, value in given.items() if name not in SECRETS
        }
        assert (found["valid"], found["state"]) == (True, "VALID")
        assert not set(SECRETS) & set(found)
    assert events(rest).count("ENCRYPTION_AT_REST_CONFIGURATION_UPDATED") == 1
    wanted = {f"{cloud.provider}_ENCRYPTION_KEY_NEEDS_ROTATION" for cloud in clouds}
    assert wanted <= {row["event_type"] for row in rows(rest, alert_configs)}


@pytest.mark.row("R74", "R118")
def test_no_secret_is_in_an_answer_an_event_or_the_database_file(rest: Rest, kms: KmsEmulator, tmp_path: Path) -> None:
    kms.reset()
    canary = "canary-7f3a-secret-of-a-customer"
    aws, azure, google = Aws(kms), Azure(kms), CLOUDS["GCP"](kms)
    kms.users.put("atlas", access_key_id="AKIACANARYCANARYCANA", secret_access_key=canary)
    known: dict[str, Any] = {"client_id": azure.application.client_id, "tenant": azure.application.tenant}
    kms.azure.put_application(secret=canary, **known)
    account = google.block()["serviceAccountKey"]
    secrets = [canary, account.split("\\n")[1], account.split("\\n")[5]]
    told = [
        patch(rest, aws.body(accessKeyID="AKIACANARYCANARYCANA", secretAccessKey=canary)),
        patch(rest, azure.body(secret=canary)),
        patch(rest, google.body()),
        patch(rest, {"awsKms": {"secretAccessKey": canary + "x"}}),
        patch(rest, {"azureKeyVault": {"secret": f" {canary}"}}),
        patch(rest, {"azureKeyVault": {"secret": canary + "x"}}),
        patch(rest, {"googleCloudKms": {"serviceAccountKey": account[:-2]}}),
        patch(rest, {"googleCloudKms": {"serviceAccountKey": 7}}),
        rest.owner.get(path(rest)),
        rest.owner.get(f"{rest.project}/events"),
        rest.owner.get(f"{rest.project}/alerts"),
    ]
    assert [each.status for each in told] == [200, 200, 200, 400, 400, 400, 400, 400, 200, 200, 200]
    shown = "".join(str(each.body) for each in told)
    files = b"".join(file.read_bytes() for file in tmp_path.rglob("control.db*"))
    assert b"ENCRYPTION_AT_REST_CONFIGURATION_UPDATED" in files
    for secret in secrets:
        assert secret not in shown
        assert secret.encode() not in files


@pytest.mark.row("R10")
@pytest.mark.parametrize("role", NOT_OWNERS)
def test_who_does_not_own_the_project_changes_nothing(rest: Rest, aws: Aws, role: Role) -> None:
    caller = rest.caller(role)
    for answered in (
        caller.patch(path(rest), aws.body()),
        caller.post(path(rest, "/AWS/tryAgain")),
        caller.post(path(rest, "/AWS/rotateKey"), aws.new_key()),
    ):
        assert (answered.status, answered.code) == (403, "USER_UNAUTHORIZED")
    assert rows(rest, configurations) == rows(rest, credentials) == []
    assert caller.get(path(rest)).status == (200 if role.of_project else 403)


@pytest.mark.row("R17")
def test_the_section_is_found_from_the_organisation_and_hidden_from_who_has_no_access(rest: Rest, aws: Aws) -> None:
    assert patch(rest, aws.body()).status == 200
    (organization,) = rest.owner.get("/orgs").body["results"]
    (project,) = rest.owner.get(f"/orgs/{organization['id']}/groups").body["results"]
    section = f"/groups/{project['id']}/encryptionAtRest"
    assert rest.owner.get(section).body["awsKms"]["enabled"] is True
    stranger = found_organization(rest.plane, rest.url, "stranger").owner
    for act in (stranger.get(section), stranger.patch(section, {"awsKms": {"enabled": False}})):
        assert (act.status, act.code) == (404, "GROUP_NOT_FOUND")
    member = rest.caller(Role.ORG_MEMBER)
    assert (member.get(section).status, member.patch(section, {}).status) == (403, 403)
    assert rest.owner.get(f"/groups/{'0' * 24}/encryptionAtRest").status == 404
    assert rest.owner.get(section).body["awsKms"]["valid"] is True


@pytest.mark.row("R36", "R67", "R70", "R72")
def test_what_a_provider_refuses_is_not_stored_and_the_former_stays(rest: Rest, aws: Aws) -> None:
    wrong = patch(rest, aws.body(secretAccessKey="w" * 40))
    assert (wrong.status, wrong.code) == (400, "INVALID_AWS_CREDENTIALS")
    assert wrong.body["badRequestDetail"]["fields"][0]["field"] == "awsKms"
    assert rows(rest, configurations) == rows(rest, credentials) == []
    assert patch(rest, aws.body()).status == 200
    before = rows(rest, configurations), rows(rest, credentials)
    assert patch(rest, {"awsKms": {"region": "EU_WEST_1"}}).status == 404
    aws.grant("kms:Encrypt", "kms:Decrypt")
    refused = patch(rest, {"awsKms": aws.new_key()})
    assert (refused.code, refused.body["parameters"]) == ("NO_PERMISSION_TO_ENCRYPT_DECRYPT", ["kms:DescribeKey"])
    assert (rows(rest, configurations), rows(rest, credentials)) == before
    assert events(rest)[-1] == "ENCRYPTION_AT_REST_CONFIGURATION_VALIDATION_FAILED"


@pytest.mark.row("R65", "R73", "R75", "R132", "R133", "R134", "R135", "R139")
@pytest.mark.parametrize("provider", CLOUDS)
def test_rotating_moves_the_clusters_of_that_provider(rest: Rest, clouds: list[Cloud], provider: str) -> None:
    rotate, others = path(rest, f"/{provider}/rotateKey"), [cloud for cloud in clouds if cloud.provider != provider]
    refused = rest.owner.post(rotate, {})
    assert (refused.status, refused.code) == (409, "CANNOT_ROTATE_KEY_ENCRYPTION_DISABLED")
    for each in clouds:
        assert patch(rest, each.body()).status == 200
    make_cluster(rest, "mine", provider)
    make_cluster(rest, "other", others[0].provider)
    (cloud,) = (each for each in clouds if each.provider == provider)
    block, new = BLOCKS[cloud.provider], cloud.new_key()
    before = rows(rest, configurations), rows(rest, credentials)
    assert "banner" not in rest.owner.get(path(rest)).body[block]
    assert rest.owner.post(rotate, {}).code == "MISSING_ATTRIBUTE"
    wrong = {"AWS": {"secretAccessKey": "w" * 40}, "AZURE": {"secret": "wrong"}, "GCP": foreign_account(cloud)}[
        provider
    ]
    told = rest.owner.post(rotate, {**new, **wrong})
    assert (told.status, "CREDENTIALS" in told.code) == (400, True), "the key and who asks for it go together"
    assert known(rest) == known_of(*before)
    assert pending(rest, "mine") == []
    assert "ENCRYPTION_AT_REST_KEY_ROTATION_STARTED" not in events(rest)

    turned = rest.owner.post(rotate, new)
    assert turned.status == 200, turned.body
    assert {name: turned.body[block][name] for name in new} == new
    assert turned.body[block]["movingClusters"] == ["mine"]
    assert "Do not disable or delete" in turned.body[block]["banner"]
    (key_id,) = new.values()
    known_now, seen = (rows(rest, configurations), rows(rest, credentials)), events(rest)
    again = rest.owner.post(rotate, new)
    assert (again.status, again.code) == (400, "ENCRYPTION_AT_REST_KEY_UNCHANGED")
    assert (known_of(rows(rest, configurations), rows(rest, credentials)), events(rest)) == (known_of(*known_now), seen)
    assert pending(rest, "mine") == [{"encryptionAtRestProvider": provider, "keyId": key_id}]
    assert pending(rest, "other") == []
    assert events(rest).count("ENCRYPTION_AT_REST_KEY_ROTATION_STARTED") == 1
    after = known(rest)
    assert {name: value for name, value in after[provider].items() if value != known_of(*before)[provider][name]} == new
    for other in others:
        assert after[other.provider] == known_of(*before)[other.provider]
        assert "banner" not in turned.body[BLOCKS[other.provider]]

    both = rest.owner.post(rotate, {**cloud.new_key(), **cloud.new_credentials()})
    assert both.status == 200, both.body
    assert known(rest)[provider]["credential"] != after[provider]["credential"]
    assert len(pending(rest, "mine")) == 2
    # it is complete when the last cluster has moved
    assert f"{provider}_ENCRYPTION_KEY_ROTATED" not in events(rest)


def foreign_account(cloud: Cloud) -> dict[str, str]:
    """Return the key of a service account that may do nothing with a cloud's key."""
    cloud.kms.gcp.remove_account(gone := cloud.kms.gcp.put_account("gone"))
    return {"serviceAccountKey": json.dumps(gone.key_file)}


def known(rest: Rest) -> dict[str, dict[str, str]]:
    """Return what is stored of each provider: the fields that name key, vault and caller, and which credentials."""
    return known_of(rows(rest, configurations), rows(rest, credentials))


def known_of(found: list[dict[str, Any]], kept: list[dict[str, Any]]) -> dict[str, dict[str, str]]:
    present = {row["id"] for row in kept if row["retired_ns"] is None}
    assert present == {row["credential_id"] for row in found}
    return {row["provider"]: {**row["fields"], "credential": row["credential_id"]} for row in found}


def pending(rest: Rest, cluster: str) -> list[dict[str, Any]]:
    waiting = rest.owner.get(f"{rest.project}/clusters/{cluster}").body["pendingChanges"]
    return [each["change"] for each in waiting if each["kind"] == "key"]


@pytest.mark.row("R110", "R137")
def test_a_key_of_another_vault_is_refused_and_the_vault_stays(rest: Rest, azure: Azure) -> None:
    assert patch(rest, azure.body()).status == 200
    make_cluster(rest, "one", "AZURE")
    before = rows(rest, configurations)
    foreign = azure.key_of_second_vault()
    there = azure.kms.azure.vault_url("127.0.0.2")
    assert check(azure.settings(keyVaultName="local-vault-2", keyIdentifier=foreign), there).is_valid
    for refused in (
        patch(rest, {"azureKeyVault": {"keyIdentifier": foreign}}),
        rest.owner.post(path(rest, "/AZURE/rotateKey"), {"keyIdentifier": foreign}),
    ):
        assert (refused.status, refused.code) == (400, "AZURE_KEY_VAULT_KEY_NOT_IN_VAULT")
        assert "local-vault" in refused.body["detail"]
    moved = patch(rest, {"azureKeyVault": {"keyIdentifier": foreign, "keyVaultName": "local-vault-2"}})
    assert (moved.status, moved.code) == (409, "CANNOT_CHANGE_AZURE_KEY_VAULT")
    assert rows(rest, configurations) == before


@pytest.mark.row("R123")
def test_a_provider_is_removed_only_when_no_cluster_uses_it(rest: Rest, aws: Aws) -> None:
    assert patch(rest, aws.body()).status == 200
    make_cluster(rest, "one", "AWS")
    refused = patch(rest, {"awsKms": {"enabled": False}})
    assert (refused.status, refused.code) == (409, "CANNOT_DISABLE_ENCRYPTION_AT_REST")
    assert "one" in refused.body["detail"]
    with rest.plane.database.write() as connection:
        connection.execute(sa.text("UPDATE deployments SET provider = 'NONE'"))
    assert patch(rest, {"awsKms": {"enabled": False, "region": "US_EAST_1"}}).status == 400
    removed = patch(rest, {"awsKms": {"enabled": False}})
    assert (removed.status, removed.body["awsKms"]) == (200, {"enabled": False})
    assert rows(rest, configurations) == rows(rest, credentials) == []
    assert patch(rest, {"awsKms": {"enabled": False}}).status == 200


@pytest.mark.row("R111")
def test_projects_that_share_a_vault_are_warned_and_not_refused(rest: Rest, azure: Azure) -> None:
    assert "warnings" not in patch(rest, azure.body()).body["azureKeyVault"]
    made = rest.owner.post("/groups", {"name": "second", "orgId": rest.organization_id}).body["id"]
    saved = rest.owner.patch(f"/groups/{made}/encryptionAtRest", azure.body())
    assert saved.status == 200
    warnings = saved.body["azureKeyVault"]["warnings"]
    assert [text.split()[1] for text in warnings] == ["vault", "application", "resource"]
    assert all("project" in text for text in warnings)


@pytest.mark.row("R11")
@pytest.mark.parametrize("provider", ["ORACLE", "aws", "NONE"])
def test_a_provider_that_is_none_is_refused(rest: Rest, provider: str) -> None:
    for act in ("tryAgain", "rotateKey"):
        body: object = {} if act == "rotateKey" else None
        refused = rest.owner.post(path(rest, f"/{provider}/{act}"), body)
        assert (refused.status, refused.code) == (400, "INVALID_ENCRYPTION_AT_REST_PROVIDER")
    assert rest.owner.post(path(rest, "/AWS/tryAgain")).code == "ENCRYPTION_AT_REST_NOT_ENABLED"


def call_of(rest: Rest, project_id: str, organization_id: str) -> Call:
    return Call(rest.plane, Caller("", "", organization_id, frozenset()), {"groupId": project_id}, None, None)


def test_where_too_many_requests_wait_for_providers_one_more_waits_for_none(rest: Rest, aws: Aws) -> None:
    assert patch(rest, aws.body()).status == 200
    other = found_organization(rest.plane, rest.url, "other")
    aws.ways["disable"][0]()
    with ExitStack() as waiting:
        for _ in range(PROJECT_ASKING_MAX):
            waiting.enter_context(asking_now(call_of(rest, rest.project_id, rest.organization_id)))
        known = rest.owner.get(path(rest))
        assert (known.status, known.body["awsKms"]["valid"]) == (200, True)
        for refused in (
            patch(rest, {"awsKms": {"enabled": False}}),
            rest.owner.post(path(rest, "/AWS/tryAgain")),
            rest.owner.post(path(rest, "/AWS/rotateKey"), {"region": "EU_WEST_1"}),
        ):
            assert (refused.status, refused.code) == (503, "SERVICE_UNAVAILABLE")
        asked = patch(other, aws.body())  # turns are left to another organisation
        assert asked.code == "AWS_KMS_CUSTOMER_MASTER_KEY_NOT_ENABLED"
    assert rest.owner.get(path(rest)).body["awsKms"]["valid"] is False


def test_requests_that_wait_for_providers_leave_turns_to_other_projects_and_organizations(rest: Rest) -> None:
    def one_more(waiting: ExitStack, project: str, organization: str) -> bool:
        return waiting.enter_context(asking(call_of(rest, project, organization)))

    for _ in range(2):  # turns come back
        with ExitStack() as waiting:
            first = [one_more(waiting, "a", "one") for _ in range(PROJECT_ASKING_MAX + 1)]
            assert first == [True] * PROJECT_ASKING_MAX + [False]
            left = ORGANIZATION_ASKING_MAX - PROJECT_ASKING_MAX
            assert [one_more(waiting, f"b{turn}", "one") for turn in range(left + 1)] == [True] * left + [False]
            left = ASKING_MAX - ORGANIZATION_ASKING_MAX
            assert [one_more(waiting, f"c{turn}", f"o{turn}") for turn in range(left + 1)] == [True] * left + [False]
