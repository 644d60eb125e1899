"""Clusters over the API: made, changed in one step or by a draft, paused, deleted; and who may do what."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import sqlalchemy as sa

from keystore.projects.access import Role
from keystore.projects.conditions import Condition, Life
from keystore.projects.events import list_events
from keystore.projects.keyed_deployments import disable_deployments
from keystore.projects.metering import meter
from keystore.projects.shapes import CLOUDS, KEY_PROVIDERS, SHARED_TIERS
from keystore.projects.tables import changes, configurations, deployments
from tests.cli.running import keystore
from tests.projects.made import apply_all, become, make_configuration
from tests.rest.client import Answered
from tests.rest.conftest import Rest

PROVIDERS = KEY_PROVIDERS[1:]
NOT_OWNERS = [role for role in Role if role is not Role.GROUP_OWNER]


def body(name: str = "orders", tier: str = "M10", cloud: str = "AWS", **more: object) -> dict[str, Any]:
    region = {
        "providerName": cloud,
        "regionName": "US_EAST_1",
        "electableSpecs": {"instanceSize": tier, "nodeCount": 1},
    }
    return {"name": name, "replicationSpecs": [{"regionConfigs": [region]}], **more}


def specs(tier: str) -> dict[str, Any]:
    """Return a body that sets the tier."""
    return {"replicationSpecs": [{"regionConfigs": [{"electableSpecs": {"instanceSize": tier}}]}]}


def configure(rest: Rest, *providers: str) -> None:
    with rest.plane.database.write() as connection:
        for provider in providers:
            make_configuration(connection, rest.project_id, provider, f"{provider.lower()}://place/key")


def made(rest: Rest, name: str = "orders", **more: Any) -> Answered:
    """Make a cluster and take it for running."""
    answered = rest.owner.post(f"{rest.project}/clusters", body(name, **more))
    assert answered.status == 201, answered.body
    with rest.plane.database.write() as connection:
        apply_all(connection, answered.body["id"])
        become(connection, answered.body["id"], Condition(Life.ALIVE))
    return answered


def rows(rest: Rest) -> list[Any]:
    """Return all that is stored of clusters."""
    with rest.plane.database.read() as connection:
        tables = (deployments, changes)
        return [connection.execute(sa.select(table).order_by(sa.literal_column("1"))).all() for table in tables]


def refused(rest: Rest, ask: Callable[[], Answered], status: int, code: str) -> Answered:
    """Ask what must be refused, and make sure that nothing was changed."""
    before = rows(rest)
    answered = ask()
    assert (answered.status, answered.code) == (status, code), answered.body
    assert rows(rest) == before
    return answered


def events(rest: Rest, event: str) -> list[dict[str, Any]]:
    with rest.plane.database.read() as connection:
        return [dict(found.detail) for found in list_events(connection, types=[event])[0]]


def test_a_request_may_say_of_which_type_the_cluster_is(rest: Rest) -> None:
    clusters = f"{rest.project}/clusters"
    sharded = body("x", clusterType="SHARDED")
    told = refused(rest, partial(rest.owner.post, clusters, sharded), 400, "INVALID_ATTRIBUTE").body
    assert told["parameters"][0] == "clusterType"
    assert made(rest, clusterType="REPLICASET").body["clusterType"] == made(rest, "unsaid").body["clusterType"]


@pytest.mark.row("R1", "R2", "R3")
def test_customer_keys_are_refused_on_every_shared_tier(rest: Rest) -> None:
    configure(rest, *PROVIDERS)
    code, clusters = "CANNOT_USE_ENCRYPTION_AT_REST_TENANT", f"{rest.project}/clusters"
    made(rest, "keyed", encryptionAtRestProvider="AWS")
    for tier in SHARED_TIERS:
        made(rest, tier, tier=tier)
        for provider in PROVIDERS:
            on = {"encryptionAtRestProvider": provider}
            refused(rest, partial(rest.owner.post, clusters, body("x", tier, **on)), 400, code)
            refused(rest, partial(rest.owner.patch, f"{clusters}/{tier}", on), 400, code)
        refused(rest, partial(rest.owner.patch, f"{clusters}/keyed", specs(tier)), 400, code)


@pytest.mark.row("R11", "R15", "R23", "R25")
def test_customer_keys_need_a_configuration_and_go_on_for_the_cluster_that_asks(rest: Rest) -> None:
    clusters = f"{rest.project}/clusters"
    made(rest, "plain")
    for provider in PROVIDERS:
        wanted = body("x", encryptionAtRestProvider=provider)
        refused(rest, partial(rest.owner.post, clusters, wanted), 400, "ENCRYPTION_AT_REST_NOT_ENABLED")
        on = {"encryptionAtRestProvider": provider}
        refused(rest, partial(rest.owner.patch, f"{clusters}/plain", on), 400, "ENCRYPTION_AT_REST_NOT_ENABLED")
    before = rows(rest)
    configure(rest, *PROVIDERS)
    assert rows(rest) == before  # a configuration alone changes no cluster
    for cloud in CLOUDS:
        for provider in PROVIDERS:
            found = made(rest, f"{cloud}-{provider}", cloud=cloud, encryptionAtRestProvider=provider).body
            assert (found["encryptionAtRestProvider"], found["stateName"]) == (provider, "CREATING")
            assert not [name for name in found if "key" in name.lower()]
    assert rest.owner.get(f"{clusters}/plain").body["encryptionAtRestProvider"] == "NONE"
    of_its_own = {"encryptionAtRestProvider": "AWS", "customerMasterKeyID": "another"}
    refused(rest, lambda: rest.owner.patch(f"{clusters}/plain", of_its_own), 400, "INVALID_ATTRIBUTE")
    answered = refused(
        rest,
        lambda: rest.owner.post(clusters, body("x", encryptionAtRestProvider="IBM")),
        400,
        "INVALID_ENCRYPTION_AT_REST_PROVIDER",
    )
    assert answered.body["badRequestDetail"]["fields"][0]["field"] == "encryptionAtRestProvider"


@pytest.mark.row("R14")
def test_only_a_project_owner_turns_customer_keys_on_or_off(rest: Rest) -> None:
    configure(rest, "AWS")
    made(rest)
    clusters, on = f"{rest.project}/clusters", {"encryptionAtRestProvider": "AWS"}
    for caller in map(rest.caller, NOT_OWNERS):
        refused(rest, partial(caller.patch, f"{clusters}/orders", on), 403, "USER_UNAUTHORIZED")
        refused(rest, partial(caller.post, clusters, body("x", **on)), 403, "USER_UNAUTHORIZED")
    told = events(rest, "ACCESS_REFUSED")
    assert len(told) == 2 * len(NOT_OWNERS)
    assert all("GROUP_OWNER" in each["needed"] for each in told)
    manager = rest.caller(Role.GROUP_CLUSTER_MANAGER)
    refused(rest, partial(manager.post, f"{clusters}/orders/drafts", on), 403, "USER_UNAUTHORIZED")
    draft = rest.owner.post(f"{clusters}/orders/drafts", on).body["id"]
    refused(rest, partial(manager.post, f"{clusters}/orders/drafts/{draft}/apply"), 403, "USER_UNAUTHORIZED")
    assert manager.patch(f"{clusters}/orders", {"diskSizeGB": 50}).status == 202
    assert rest.owner.patch(f"{clusters}/orders", on).status == 202
    refused(
        rest,
        partial(manager.patch, f"{clusters}/orders", {"encryptionAtRestProvider": "NONE"}),
        403,
        "USER_UNAUTHORIZED",
    )


@pytest.mark.row("R22", "R24")
def test_a_draft_changes_nothing_until_it_is_applied_and_then_exactly_what_was_reviewed(rest: Rest) -> None:
    configure(rest, "AZURE")
    made(rest)
    cluster = f"{rest.project}/clusters/orders"
    before = rest.owner.get(cluster).body
    opened = rest.owner.post(f"{cluster}/drafts", {"diskSizeGB": 40})
    assert opened.status == 201
    draft = f"{cluster}/drafts/{opened.body['id']}"
    assert rest.owner.patch(draft, {"encryptionAtRestProvider": "AZURE"}).status == 200
    reviewed = rest.owner.get(draft).body["changes"]
    assert reviewed == {
        "diskSizeGB": {"from": 10, "to": 40},
        "encryptionAtRestProvider": {"from": "NONE", "to": "AZURE"},
    }
    assert rest.owner.get(cluster).body == before
    applied = rest.owner.post(f"{draft}/apply")
    assert applied.status == 202
    (pending,) = applied.body["pendingChanges"]
    assert pending["change"] == {name: change["to"] for name, change in reviewed.items()}
    assert (pending["state"], applied.body["stateName"]) == ("queued", "UPDATING")
    assert "Do not disable or delete" in applied.body["banner"]
    refused(rest, lambda: rest.owner.post(f"{draft}/apply"), 404, "DRAFT_NOT_FOUND")


@pytest.mark.row("R24")
def test_a_draft_of_a_cluster_that_was_changed_meanwhile_is_refused(rest: Rest) -> None:
    made(rest)
    cluster = f"{rest.project}/clusters/orders"
    draft = f"{cluster}/drafts/{rest.owner.post(f'{cluster}/drafts', {'diskSizeGB': 40}).body['id']}"
    assert rest.owner.patch(cluster, {"diskSizeGB": 30}).status == 202
    refused(rest, lambda: rest.owner.post(f"{draft}/apply"), 409, "STALE_DRAFT")
    assert rest.owner.delete(draft).status == 204
    refused(rest, lambda: rest.owner.get(draft), 404, "DRAFT_NOT_FOUND")


@pytest.mark.row("R98", "R100")
def test_legacy_backups_and_customer_keys_are_refused_in_both_orders(rest: Rest) -> None:
    configure(rest, "AWS")
    made(rest, "legacy", backupEnabled=True, backupType="LEGACY")
    keyed = made(rest, "keyed", encryptionAtRestProvider="AWS", backupEnabled=True).body
    assert keyed["backupType"] == "CLOUD"
    code, clusters = "CANNOT_USE_ENCRYPTION_AT_REST_BACKUP_TYPE", f"{rest.project}/clusters"
    refused(rest, lambda: rest.owner.patch(f"{clusters}/legacy", {"encryptionAtRestProvider": "AWS"}), 400, code)
    for legacy in ({"backupType": "LEGACY"}, {"backupEnabled": True, "backupType": "LEGACY"}):
        refused(rest, partial(rest.owner.patch, f"{clusters}/keyed", legacy), 400, code)
    wanted = body("x", encryptionAtRestProvider="AWS", backupEnabled=True, backupType="LEGACY")
    refused(rest, lambda: rest.owner.post(clusters, wanted), 400, code)


@pytest.mark.row("R48", "R50")
def test_a_disabled_cluster_takes_updates_and_patches(rest: Rest) -> None:
    configure(rest, "AWS")
    made(rest, encryptionAtRestProvider="AWS")
    cluster = f"{rest.project}/clusters/orders"
    with rest.plane.database.write() as connection:
        connection.execute(configurations.update().values(state="invalid"))
        disable_deployments(connection, rest.project_id, "AWS", "the key is disabled", rest.clock.now_ns())
    for change in ({"diskSizeGB": 40}, specs("M30")):
        assert rest.owner.patch(cluster, change).status == 202
    waiting = rest.owner.get(cluster).body
    assert [pending["change"] for pending in waiting["pendingChanges"]] == [{"diskSizeGB": 40}, {"instanceSize": "M30"}]
    assert (waiting["stateName"], waiting["diskSizeGB"]) == ("DISABLED", 10)
    for version in ("7.1.0", "6.0.9", "7"):
        wrong = partial(rest.owner.post, f"{cluster}/patch", {"mongoDBVersion": version})
        refused(rest, wrong, 400, "INVALID_ATTRIBUTE")
    patched = rest.owner.post(f"{cluster}/patch", {"mongoDBVersion": "7.0.4"})
    assert (patched.status, patched.body["pendingChanges"][-1]["kind"]) == (202, "patch")


def test_a_pause_comes_alone_and_a_paused_cluster_takes_no_change(rest: Rest) -> None:
    made(rest)
    cluster = f"{rest.project}/clusters/orders"
    refused(rest, lambda: rest.owner.patch(cluster, {"paused": True, "diskSizeGB": 40}), 400, "INVALID_ATTRIBUTE")
    assert rest.owner.patch(cluster, {"paused": True}).body["stateName"] == "PAUSED"
    refused(rest, lambda: rest.owner.patch(cluster, {"diskSizeGB": 40}), 409, "CANNOT_UPDATE_PAUSED_CLUSTER")
    assert rest.owner.patch(cluster, {"paused": False}).body["stateName"] == "IDLE"
    charged = rest.owner.get(f"{rest.project}/usage").body["results"]
    assert sorted((line["kind"], "end" in line) for line in charged) == [
        ("INSTANCE", False),
        ("INSTANCE", True),
        ("STORAGE", False),
    ]


def test_what_a_deleted_cluster_was_charged_for_is_under_its_name(rest: Rest) -> None:
    former = made(rest).body["id"]
    with rest.plane.database.write() as connection:
        gone = become(connection, former, Condition(Life.GONE))
        meter(connection, rest.project_id, former, gone.shape, gone.condition, rest.clock.now_ns())
    present = made(rest).body["id"]
    assert present != former
    charged = rest.owner.get(f"{rest.project}/usage").body["results"]
    assert {(line["clusterId"], line["clusterName"], "end" in line) for line in charged} == {
        (former, "orders", True),
        (present, "orders", False),
    }
    names = ("KEYSTORE_API_URL", "KEYSTORE_API_PUBLIC_KEY", "KEYSTORE_API_PRIVATE_KEY")
    env = dict(zip(names, (rest.url, rest.owner.public_key, rest.owner.private_key), strict=True))
    table = keystore("project", "usage", rest.project_id, env=env)
    assert (table.code, former in table.out, present in table.out) == (0, False, False)
    assert table.out.count("orders") == len(charged)


def test_what_is_not_there_or_not_a_cluster_is_refused(rest: Rest) -> None:
    made(rest)
    clusters = f"{rest.project}/clusters"
    refused(rest, lambda: rest.owner.get(f"{clusters}/nothing"), 404, "CLUSTER_NOT_FOUND")
    refused(rest, lambda: rest.owner.post(clusters, body()), 409, "DUPLICATE_CLUSTER_NAME")
    refused(rest, lambda: rest.owner.post(clusters, body("a b")), 400, "INVALID_ATTRIBUTE")
    refused(rest, lambda: rest.owner.post(clusters, {"name": "x"}), 400, "MISSING_ATTRIBUTE")
    refused(rest, lambda: rest.owner.post(f"{clusters}/orders/nodes/n9/replace"), 404, "NODE_NOT_FOUND")
    refused(rest, lambda: rest.owner.post(f"{clusters}/orders/drafts", {"paused": True}), 400, "INVALID_ATTRIBUTE")
    assert rest.owner.delete(f"{clusters}/orders").status == 202
    refused(rest, lambda: rest.owner.delete(f"{clusters}/orders"), 409, "CLUSTER_ALREADY_REQUESTED_DELETION")
