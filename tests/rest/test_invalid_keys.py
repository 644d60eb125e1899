"""A key that cannot be used any more, over the API: what a look tells, what stops, what may be asked, the ways back.

The KMS is the real emulator, checks come at their time, which tests move; clusters are rows without processes.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from keystore.control.database import Database
from keystore.projects.access import PROJECT, Role
from keystore.projects.alert_types import needs_rotation
from keystore.projects.api_keys import create_key
from keystore.projects.conditions import State
from keystore.projects.fields import BLOCKS
from keystore.projects.tables import projects
from keystore.rest.times import shown
from kms_emulator.embedded import KmsEmulator
from tests.control.on_sqlite import database_url as database_url
from tests.projects.providers import CLOUDS, NEEDED, Aws, Cloud, be_unreachable
from tests.projects.providers import aws as aws
from tests.projects.providers import cloud as cloud
from tests.projects.providers import kms as kms
from tests.projects.test_checks import ASKED
from tests.projects.validating import Validating
from tests.rest.client import Answered, Api
from tests.rest.serving import serving
from tests.rest.test_clusters import specs

DAY_S = 86400
LOCKED = "ENCRYPTION_AT_REST_SETTINGS_INVALID"


@pytest.fixture
def world(database: Database, tmp_path: Path) -> Validating:
    return Validating.on(database, tmp_path)


class Owner:
    """Who owns the project, with its API key."""

    def __init__(self, world: Validating, url: str) -> None:
        with world.plane.database.write() as connection:
            mine = sa.select(projects.c.organization_id).where(projects.c.id == world.project_id)
            scope = (PROJECT, world.project_id, [Role.GROUP_OWNER])
            made = create_key(connection, connection.scalar(mine), "an owner's", *scope, "test", world.clock.at_ns)  # type: ignore[arg-type]
        self.api = Api(url, made.public_key, str(made.private_key))
        self.project = f"/groups/{world.project_id}"
        self.keys = f"{self.project}/encryptionAtRest"

    def save(self, body: dict[str, Any]) -> Answered:
        return self.api.patch(self.keys, body)

    def look(self) -> dict[str, Any]:
        found: dict[str, Any] = self.api.get(self.keys).body
        return found

    def try_again(self, provider: str) -> dict[str, Any]:
        answered = self.api.post(f"{self.keys}/{provider}/tryAgain")
        assert answered.status == 200, answered.body
        found: dict[str, Any] = answered.body[BLOCKS[provider]]  # type: ignore[index]
        return found

    def cluster(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.api.get(f"{self.project}/clusters/{name}").body
        return found

    def open_alerts(self) -> set[str]:
        found = self.api.get(f"{self.project}/alerts?status=OPEN").body["results"]
        return {alert["eventTypeName"] for alert in found}


@pytest.fixture
def owner(world: Validating) -> Iterator[Owner]:
    with serving(world.plane) as url:
        yield Owner(world, url)


@pytest.mark.row("R16", "R19", "R36")
@pytest.mark.parametrize("cloud", CLOUDS, indirect=True)
def test_each_change_is_checked_once_before_it_is_stored(world: Validating, owner: Owner, cloud: Cloud) -> None:
    block = BLOCKS[cloud.provider]
    for change in (cloud.block, cloud.new_credentials, cloud.new_key):
        body = change()
        before = len(cloud.calls())
        saved = owner.save({block: body})
        assert (saved.status, saved.body[block]["valid"]) == (200, True), saved.body
        assert cloud.calls()[before:] == ASKED[cloud.provider]
    kept, checks = world.configuration(cloud.provider), len(world.checks)
    new_key = cloud.new_key()
    cloud.grant()
    refused = owner.save({block: new_key})
    assert (refused.status, refused.code) == (400, "NO_PERMISSION_TO_ENCRYPT_DECRYPT")
    assert (world.configuration(cloud.provider), len(world.checks)) == (kept, checks)


@pytest.mark.row("R38", "R39", "R55", "N4")
def test_a_look_tells_of_each_key_and_stops_nothing(world: Validating, owner: Owner, kms: KmsEmulator) -> None:
    kms.reset()
    clouds = {provider: kind(kms) for provider, kind in CLOUDS.items()}
    assert owner.save({BLOCKS[each.provider]: each.block() for each in clouds.values()}).status == 200
    for provider in clouds:
        world.cluster(provider.lower(), provider)
    world.pass_time(60)
    clouds["AZURE"].ways["disable"][0]()
    be_unreachable(clouds["GCP"], "5xx")
    before = len(clouds["AWS"].calls())

    world.pass_time(4 * 60)
    told = {provider: owner.look()[BLOCKS[provider]] for provider in clouds}
    assert {name: (each["valid"], each["state"]) for name, each in told.items()} == {
        "AWS": (True, "VALID"),
        "AZURE": (False, "INVALID"),
        "GCP": (False, "UNREACHABLE"),
    }
    assert {each["checkedAt"] for each in told.values()} == {shown(world.clock.at_ns)}
    assert clouds["AWS"].calls()[before:] == ASKED["AWS"] * 3  # each of the three looks asked
    assert owner.try_again("AZURE")["state"] == "INVALID"
    assert owner.save({"azureKeyVault": {"secret": "wrong"}}).code == "INVALID_AZURE_CREDENTIALS"
    assert world.running == ["aws", "azure", "gcp"]
    assert world.pass_time(600 - 1) == 0
    assert world.running == ["aws", "azure", "gcp"]
    assert world.pass_time(1) == 3
    assert world.running == ["aws", "gcp"]


@pytest.mark.row("R40", "R46", "R48", "R53", "R57", "R59", "N14")
@pytest.mark.parametrize("cloud", CLOUDS, indirect=True)
def test_a_cluster_without_its_key_takes_changes_and_only_credentials_bring_it_back(
    world: Validating, owner: Owner, cloud: Cloud
) -> None:
    provider, block = cloud.provider, BLOCKS[cloud.provider]
    assert owner.save({block: {**cloud.block(), **cloud.short_lived()}}).status == 200
    world.cluster("orders", provider)
    new_key, place = cloud.new_key(), f"{owner.project}/clusters/orders"
    cloud.lose_credentials()
    world.pass_time(900)
    found = owner.cluster("orders")
    assert (found["stateName"], found["encryptionAtRestProvider"]) == ("DISABLED", provider)
    assert found["stateReason"].startswith("invalid Encryption at Rest settings: ")
    assert found["disabledSince"] == shown(world.clock.at_ns)
    for change in ({"diskSizeGB": 40}, specs("M30")):
        submitted = owner.api.patch(place, change)
        assert (submitted.status, submitted.body["stateName"]) == (202, "DISABLED")
    waiting = [each["change"] for each in owner.cluster("orders")["pendingChanges"]]
    assert waiting == [{"diskSizeGB": 40}, {"instanceSize": "M30"}]

    cloud.grant(*NEEDED[provider])
    credentials, other = cloud.new_credentials(), next(kind for kind in CLOUDS.values() if not isinstance(cloud, kind))
    moved = {block: {"enabled": False}, **other(cloud.kms).body()}
    refusals: dict[str, Callable[[], Answered]] = {
        "another key": lambda: owner.save({block: new_key}),
        "another key, with credentials": lambda: owner.save({block: {**new_key, **credentials}}),
        "another key, by rotation": lambda: owner.api.post(f"{owner.keys}/{provider}/rotateKey", new_key),
        "no key": lambda: owner.save({block: {"enabled": False}}),
        "another provider": lambda: owner.save(moved),
        "no key for the cluster": lambda: owner.api.patch(place, {"encryptionAtRestProvider": "NONE"}),
        "the same by a draft": lambda: owner.api.post(f"{place}/drafts", {"encryptionAtRestProvider": "NONE"}),
    }

    def are_refused() -> None:
        before = world.configuration(provider)
        for name, ask in refusals.items():
            answered = ask()
            assert (answered.status, answered.code) == (400, LOCKED), name
            assert "until access to your current encryption key has been restored" in answered.body["detail"], name
        assert world.configuration(provider) == before
        assert [owner.look()[each]["enabled"] for each in BLOCKS.values()].count(True) == 1

    are_refused()
    be_unreachable(cloud, "refused")  # an outage lifts no lock
    world.pass_time(900)
    assert (world.running, owner.cluster("orders")["stateName"]) == ([], "DISABLED")
    are_refused()
    cloud.kms.faults.clear()

    before = world.configuration(provider)
    saved = owner.save({block: credentials})
    assert (saved.status, saved.body[block]["valid"]) == (200, True), saved.body
    after = world.configuration(provider)
    assert (after.key_uri, after.credential_id == before.credential_id) == (before.key_uri, False)
    assert world.running == ["orders"]


@pytest.mark.row("R41", "R58")
@pytest.mark.parametrize("cloud", CLOUDS, indirect=True)
def test_for_a_key_that_is_gone_for_good_no_other_is_taken(world: Validating, owner: Owner, cloud: Cloud) -> None:
    provider, block = cloud.provider, BLOCKS[cloud.provider]
    assert owner.save(cloud.body()).status == 200
    world.cluster("orders", provider)
    before, new_key = world.configuration(provider), cloud.new_key()
    cloud.destroy()
    world.pass_time(900)
    for _ in range(3):
        world.pass_time(900)
        again = owner.try_again(provider)
        assert (again["valid"], again["state"]) == (False, "INVALID")
        assert before.key_uri.rpartition("/")[2] in again["reason"]
        assert (world.running, world.states) == ([], {"orders": State.DISABLED})
    for changed in (new_key, {**new_key, **cloud.new_credentials()}):
        assert owner.save({block: changed}).code == LOCKED
    after = world.configuration(provider)
    assert (after.key_uri, after.credential_id, after.public) == (before.key_uri, before.credential_id, before.public)


@pytest.mark.row("R54", "R55", "R57")
def test_trying_again_answers_at_once_and_leaves_the_schedule_alone(world: Validating, owner: Owner, aws: Aws) -> None:
    assert owner.save(aws.body()).status == 200
    world.cluster("orders", "AWS")
    take, give = aws.ways["delete"]
    take()
    world.pass_time(900)
    world.pass_time(100)
    assert owner.try_again("AWS")["errorCode"] == "AWS_KMS_CUSTOMER_MASTER_KEY_PENDING_DELETION"
    assert world.running == []
    give()
    assert owner.try_again("AWS")["valid"] is True
    assert world.running == ["orders"]
    assert owner.cluster("orders")["stateName"] == "DISABLED"  # until a member serves
    world.serve("orders")
    assert owner.cluster("orders")["stateName"] == "IDLE"
    assert (world.pass_time(799), world.pass_time(1)) == (0, 1)
    assert [row.cause for row in world.checks] == ["save", "scheduled", "try_again", "try_again", "scheduled"]


@pytest.mark.row("R31", "R32")
def test_an_alert_comes_with_the_key_and_opens_at_the_first_check_after_its_days(
    world: Validating, owner: Owner, aws: Aws
) -> None:
    def configs() -> dict[str, Any]:
        found = owner.api.get(f"{owner.project}/alertConfigs").body["results"]
        return {config["eventTypeName"]: config for config in found}

    kind = needs_rotation("AWS")
    assert owner.save(aws.body(secretAccessKey="w" * 40)).status == 400
    assert kind not in configs()
    assert owner.save(aws.body()).status == 200
    config = configs()[kind]
    assert (config["enabled"], config["threshold"]["threshold"], config["threshold"]["units"]) == (True, 90, "DAYS")
    assert world.pass_time(89 * DAY_S) == 1
    assert owner.open_alerts() == set()
    assert (world.pass_time(DAY_S - 900), world.pass_time(900)) == (1, 1)
    assert owner.open_alerts() == set()
    assert (world.pass_time(899), owner.open_alerts()) == (0, set())
    assert world.pass_time(1) == 1
    assert owner.open_alerts() == {kind}
    place, edited = f"{owner.project}/alertConfigs/{config['id']}", {**config, "threshold": {"threshold": 365}}
    edited = {name: edited[name] for name in ("eventTypeName", "enabled", "notifications", "threshold")}
    assert owner.api.call("PUT", place, edited).status == 200
    assert owner.open_alerts() == set()
    world.pass_time(275 * DAY_S - 900)
    assert owner.open_alerts() == set()
    world.pass_time(900)
    assert owner.open_alerts() == {kind}
    assert owner.api.patch(place, {"enabled": False}).status == 200
    world.pass_time(900)
    assert owner.open_alerts() == set()
