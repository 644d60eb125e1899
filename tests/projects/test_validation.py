"""Checks every 15 minutes and on demand, and what follows: the real SDKs at the real emulator, the time by hand."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from keystore.control.database import Database
from keystore.kms.connect import connect
from keystore.projects.alert_types import CONFIG_NO_LONGER_VALID, NETWORK_ACCESS_DENIED, key_invalid
from keystore.projects.conditions import State
from keystore.projects.outcomes import FAILED, SUCCEEDED
from keystore.projects.sealing import Sealer
from keystore.projects.validation import INTERVAL_NS, Validation, next_on_grid
from kms_emulator.embedded import KmsEmulator
from tests.control.on_sqlite import database_url as database_url
from tests.projects.providers import CLOUDS, FAULTS, Aws, Azure, Cloud, be_unreachable
from tests.projects.providers import aws as aws
from tests.projects.providers import azure as azure
from tests.projects.providers import cloud as cloud
from tests.projects.providers import kms as kms
from tests.projects.test_checks import REVOKED
from tests.projects.validating import OWNERS, S, Validating

DISABLED, ENABLED = "CLUSTER_INSTANCE_DISABLED", "CLUSTER_INSTANCE_ENABLED"
RESTARTED = "CLUSTER_INSTANCE_RESTARTED"


@pytest.fixture
def world(database: Database, tmp_path: Path) -> Validating:
    return Validating.on(database, tmp_path)


def alerts_of(provider: str) -> set[str]:
    return {key_invalid(provider), CONFIG_NO_LONGER_VALID}


@pytest.mark.row("R39", "R41", "R45", "R54", "R56", "R57", "R126", "N4", "N5")
@pytest.mark.parametrize("way", ["disable", "delete", "permission"])
@pytest.mark.parametrize("cloud", CLOUDS, indirect=True)
def test_a_key_that_was_revoked_stops_its_clusters_at_the_tick_and_only_those(
    world: Validating, cloud: Cloud, way: str
) -> None:
    provider, code = cloud.provider, REVOKED[cloud.provider, way]
    world.save(cloud)
    for name, keys in (("one", provider), ("two", provider), ("plain", "NONE"), ("other", _another(provider))):
        world.cluster(name, keys)
    start_ns = world.clock.at_ns
    take, give = cloud.ways[way]
    world.pass_time(60)
    take()

    world.pass_time(4 * 60)  # a look in between tells, and stops nothing
    seen = Validation(world.plane).check_all(world.project_id, "key")[provider]
    assert (seen.state, seen.error_code) == ("invalid", code)
    assert world.pass_time(10 * 60 - 1) == 0
    assert len(world.running) == 4
    assert world.mails == []

    assert world.pass_time(1) == 1
    assert world.clock.at_ns == start_ns + INTERVAL_NS
    assert world.running == ["other", "plain"]
    assert {name for name, state in world.states.items() if state is State.DISABLED} == {"one", "two"}
    assert world.open_alerts == alerts_of(provider)
    assert [mail.recipient for mail in world.mails] == list(OWNERS)
    for mail in world.mails:
        assert mail.created_ns == world.clock.at_ns
        assert [mail.body.count(f"- {name}\n") for name in ("one", "two", "plain", "other")] == [1, 1, 0, 0]
    stopped = [event for event in world.events if event.type == DISABLED]
    assert [(event.detail["cluster"], event.at_ns) for event in stopped] == [
        ("one", world.clock.at_ns),
        ("two", world.clock.at_ns),
    ]
    assert world.event_types.count(FAILED) == 1

    mails, events = len(world.mails), len(world.events)
    assert [world.pass_time(900) for _ in range(3)] == [1, 1, 1]
    assert (len(world.mails), len(world.events)) == (mails, events)

    give()
    world.pass_time(899)
    assert "one" not in world.running
    world.pass_time(1)
    assert len(world.running) == 4
    assert world.states["one"] is State.DISABLED  # until a member serves
    for name in ("one", "two"):
        world.serve(name)
    assert set(world.states.values()) == {State.IDLE}
    assert world.open_alerts == set()
    order = [kind for kind in world.event_types if kind in (FAILED, SUCCEEDED, DISABLED, RESTARTED, ENABLED)]
    assert order == [FAILED, DISABLED, DISABLED, SUCCEEDED, RESTARTED, RESTARTED, ENABLED, ENABLED]
    assert world.configuration(provider).state == "valid"


@pytest.mark.row("R40", "R102")
@pytest.mark.parametrize("cloud", CLOUDS, indirect=True)
def test_credentials_that_are_taken_back_stop_its_clusters_at_the_tick(world: Validating, cloud: Cloud) -> None:
    world.save(cloud, **cloud.short_lived())
    world.cluster("one", cloud.provider)
    cloud.lose_credentials()
    world.pass_time(899)
    assert world.running == ["one"]
    assert world.pass_time(1) == 1
    assert (world.running, world.states) == ([], {"one": State.DISABLED})
    found = world.configuration(cloud.provider)
    assert found.error_code is not None
    assert "CREDENTIALS" in found.error_code
    assert world.open_alerts == alerts_of(cloud.provider)


@pytest.mark.row("R30", "R35", "N7")
def test_a_rotation_by_the_kms_itself_changes_nothing_of_the_project(world: Validating, aws: Aws) -> None:
    world.save(aws)
    world.pass_time(900)
    aws.client.enable_key_rotation(KeyId=aws.key)
    before = world.configuration("AWS")
    aws.kms.clock.advance(days=400)
    assert aws.client.list_key_rotations(KeyId=aws.key)["Rotations"]
    assert world.pass_time(900) == 1
    after = world.configuration("AWS")
    assert after.state == "valid"
    assert replace(after, checked_ns=before.checked_ns) == before
    ours, theirs = ({call.operation for call in aws.kms.calls(caller=f"user/{name}")} for name in ("atlas", "owner"))
    assert ours == {"DescribeKey", "Encrypt", "Decrypt"}
    assert "EnableKeyRotation" in theirs


def _another(provider: str) -> str:
    return "GCP" if provider == "AWS" else "AWS"


@pytest.mark.row("R42", "R127")
@pytest.mark.parametrize("how", [how for how in FAULTS if how != "hangs"])
@pytest.mark.parametrize("cloud", CLOUDS, indirect=True)
def test_who_cannot_be_reached_stops_nothing_and_opens_the_network_alert(
    world: Validating, cloud: Cloud, how: str
) -> None:
    world.save(cloud)
    world.cluster("one", cloud.provider)
    be_unreachable(cloud, how)
    ticks = 10 if cloud.provider == "GCP" else 2
    stay_up(world, ticks)
    found = world.configuration(cloud.provider)
    assert (found.state, found.error_code) == ("unreachable", "ENCRYPTION_AT_REST_KMS_NOT_REACHABLE")
    assert world.open_alerts == {NETWORK_ACCESS_DENIED}
    assert world.event_types.count(NETWORK_ACCESS_DENIED) == 1
    assert {mail.created_ns for mail in world.mails} == {world.clock.at_ns - (ticks - 1) * INTERVAL_NS}
    assert len(world.mails) == len(OWNERS)
    cloud.kms.faults.clear()
    world.pass_time(900)
    assert world.open_alerts == set()
    assert world.event_types[-1] == "ENCRYPTION_AT_REST_KMS_NETWORK_ACCESS_RESTORED" or SUCCEEDED in world.event_types
    assert world.configuration(cloud.provider).state == "valid"
    assert DISABLED not in world.event_types


@pytest.mark.row("R42")
@pytest.mark.parametrize("ticks", [1, pytest.param(10, marks=pytest.mark.soak)])
def test_a_provider_that_hangs_is_given_up_in_bounded_time(world: Validating, azure: Azure, ticks: int) -> None:
    world.save(azure)
    world.cluster("one", "AZURE")
    be_unreachable(azure, "hangs")
    stay_up(world, ticks)
    assert world.configuration("AZURE").state == "unreachable"
    assert world.open_alerts == {NETWORK_ACCESS_DENIED}


@pytest.mark.row("R42")
@pytest.mark.parametrize("endpoint", ["https://127.0.0.1:9", "https://nowhere.invalid:443"])
def test_a_closed_port_and_a_name_that_nobody_knows_stop_nothing(
    world: Validating, azure: Azure, endpoint: str
) -> None:
    world.save(azure)
    world.cluster("one", "AZURE")
    azure.ways["disable"][0]()  # which nobody learns
    world.restart(kms_endpoint=endpoint)
    stay_up(world, 10)
    assert world.open_alerts == {NETWORK_ACCESS_DENIED}


def stay_up(world: Validating, ticks: int) -> None:
    """Let so many checks come and find that nothing was stopped."""
    for _ in range(ticks):
        assert world.pass_time(900) == 1
        assert (world.running, world.states) == (["one"], {"one": State.IDLE})


@pytest.mark.row("R37")
def test_one_check_for_each_quarter_of_an_hour_whatever_restarts(world: Validating, aws: Aws) -> None:
    world.save(aws)
    start_ns = world.clock.at_ns
    for _ in range(6):
        world.pass_time(450)
        world.restart()
        assert world.run_due() == 0
    world.restart()
    assert world.pass_time(2000) == 1  # it was down for two checks and a bit: one is made up for
    world.pass_time(900 * 4 + 450 * 6 - 2000 - 2700 + 900)
    scheduled = [row for row in world.checks if row.cause == "scheduled"]
    due = [(row.due_ns - start_ns) // S for row in scheduled]
    assert due[:4] == [900, 1800, 2700, 3600]
    assert all(at % 900 == 0 for at in due)
    assert len(set(due)) == len(due)
    assert [row.outcome for row in world.checks] == ["valid"] * len(world.checks)


@pytest.mark.row("R37")
def test_an_answer_from_before_another_check_or_long_ago_stops_nothing_and_starts_nothing(
    world: Validating, aws: Aws
) -> None:
    world.save(aws)
    world.cluster("one", "AWS")
    take, give = aws.ways["disable"]
    validation = Validation(world.plane)

    take()
    job = world.claim(900)
    seen = validation.look(job)
    assert validation.check_all(world.project_id, "key")["AWS"].state == "invalid"
    give()  # and before the process goes on, somebody sees that the customer put the key right
    assert validation.try_again(world.project_id, "AWS", "key").state == "valid"
    assert not validation.conclude(job, seen, lambda connection: None)
    assert (world.running, world.mails) == (["one"], [])
    assert validation.conclude(job, validation.look(job), lambda connection: None)
    assert world.running == ["one"]

    take()
    job = world.claim(900)
    seen = validation.look(job)
    give()  # killed between question and record, and an hour later somebody goes on
    world.clock.at_ns += 3600 * S
    assert not validation.conclude(job, seen, lambda connection: None)
    assert validation.conclude(job, validation.look(job), lambda connection: None)
    assert (world.running, world.mails) == (["one"], [])
    scheduled = [row for row in world.checks if row.cause == "scheduled"]
    assert [row.outcome for row in scheduled] == ["valid", "valid"]
    assert len({row.due_ns for row in scheduled}) == 2


@pytest.mark.row("R37")
def test_a_platform_key_that_is_away_leaves_the_grid_as_it_is(
    world: Validating, aws: Aws, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    world.save(aws)
    world.cluster("one", "AWS")
    start_ns = world.clock.at_ns
    aws.ways["disable"][0]()
    world.restart(sealer=Sealer(f"local://{tmp_path / 'away'}", connect))
    assert world.pass_time(1000) == 1
    assert (world.running, world.configuration("AWS").state) == (["one"], "valid")
    assert "cannot be opened" in caplog.text
    world.restart(sealer=Sealer(f"local://{tmp_path / 'platform'}", connect))
    assert (world.pass_time(799), world.pass_time(1)) == (0, 1)
    assert world.running == []
    assert [row.due_ns for row in world.checks if row.cause == "scheduled"] == [start_ns + 2 * INTERVAL_NS]


@pytest.mark.parametrize(
    ("at", "now", "expected"),
    [(900, 900, 1800), (900, 901, 1800), (900, 1799, 1800), (900, 1800, 2700), (900, 0, 1800)],
)
def test_the_grid(at: int, now: int, expected: int) -> None:
    assert next_on_grid(at * S, now * S) == expected * S


def test_a_paused_cluster_gets_no_mail_and_stays_down(world: Validating, aws: Aws) -> None:
    world.save(aws)
    world.cluster("one", "AWS")
    world.pause("one")
    aws.ways["disable"][0]()
    world.pass_time(900)
    assert (world.mails, world.running) == ([], [])
    aws.ways["disable"][1]()
    world.pass_time(900)
    assert (world.running, world.states) == ([], {"one": State.PAUSED})


@pytest.mark.row("R113", "R127", "R128", "R129")
@pytest.mark.parametrize("rules", [{"networks": ["127.0.0.21/32", "127.0.0.22/32"]}, {"anywhere": True}])
def test_a_control_plane_whose_address_is_not_allowed_stops_nothing_until_it_is(
    world: Validating, kms: KmsEmulator, rules: dict[str, Any]
) -> None:
    kms.reset()
    azure = Azure(kms)
    kms.azure.put_vault(networks=["127.0.0.21/32"])
    world.restart(source_address="127.0.0.21")
    world.save(azure)
    world.cluster("one", "AZURE")
    world.restart(source_address="127.0.0.22")  # the control plane gains an address
    azure.kms.azure.put_application(revoke=True, client_id=azure.application.client_id)
    world.pass_time(900)
    assert (world.running, world.open_alerts) == (["one"], {NETWORK_ACCESS_DENIED})
    assert world.checks[-1].address == "127.0.0.22"
    kms.azure.put_vault(**rules)
    world.pass_time(900)
    assert (world.running, world.open_alerts) == ([], alerts_of("AZURE"))


def test_a_configuration_that_is_removed_and_made_again_has_one_row_of_checks(world: Validating, aws: Aws) -> None:
    world.save(aws)
    world.pass_time(300)
    world.send({"awsKms": {"enabled": False}})
    world.save(aws)
    assert world.pass_time(600) == 0
    assert world.pass_time(300) == 1
    assert world.pass_time(900) == 1
