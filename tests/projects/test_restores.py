"""Restores between deployments: the key of each era, what refuses before anything is touched, logs, lost keys."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from keystore.control.database import open_database
from keystore.control.tables import clusters
from keystore.errors import ApiError
from keystore.objects.opening import open_place
from keystore.projects.expiry import delete_early
from keystore.projects.key_usage import usage_of
from keystore.projects.restore_rules import (
    NO_CREDENTIALS,
    NOT_INTO_ENCRYPTED,
    NOT_INTO_PLAIN,
    OTHER_PROVIDER,
    RestoreSource,
    RestoreTarget,
    require_restorable,
)
from keystore.projects.tables import credentials, deployments
from keystore.snapshots.log_eras import log_eras
from keystore.snapshots.names import snapshot_ids
from tests.control.postgres import Postgres
from tests.emulator_process import CLOUDS, Emulator
from tests.emulator_process import emulator as emulator
from tests.key_files import new_key
from tests.node.test_clouds import key_name
from tests.projects.backup_rig import DAY_NS, HOUR_NS, BackupRig
from tests.projects.backup_rig import rig as rig
from tests.projects.backup_rig import rig_on_both as rig_on_both
from tests.projects.beside import beside
from tests.snapshots.test_restore_into import state_of


@pytest.fixture
def rig_on_postgresql(tmp_path: Path, emulator: Emulator, postgres: Postgres) -> Iterator[BackupRig]:
    database = open_database(postgres.create_database())
    with BackupRig(tmp_path, database, emulator.endpoint, new_key(tmp_path / "platform")) as rig:
        yield rig
    database.close()


# -- rules ------------------------------------------------------------------------------------------------------------

SOURCE = RestoreSource("0" * 24, "completed", "AWS", "us-east-1", "7.0.1", has_credentials=True)
TARGET = RestoreTarget("shop", "IDLE", "AWS", "us-east-1", "7.0.1", has_open_restore=False)


def with_(base: RestoreSource | RestoreTarget, **values: object) -> dict[str, object]:
    return {**vars(base), **values}


RULES: list[tuple[dict[str, object], dict[str, object], int, str, str]] = [
    ({"provider": "NONE", "region": ""}, {}, 400, "INVALID_SNAPSHOT_RESTORE_ENCRYPTION", NOT_INTO_ENCRYPTED),
    ({}, {"provider": "NONE", "region": ""}, 400, "INVALID_SNAPSHOT_RESTORE_ENCRYPTION", NOT_INTO_PLAIN),
    ({}, {"provider": "AZURE", "region": ""}, 400, "INVALID_SNAPSHOT_RESTORE_ENCRYPTION", OTHER_PROVIDER),
    ({"state": "queued"}, {}, 409, "SNAPSHOT_NOT_COMPLETED", "queued"),
    ({"has_credentials": False}, {}, 400, "INVALID_SNAPSHOT_RESTORE_ENCRYPTION", NO_CREDENTIALS),
    ({}, {"region": "eu-west-1"}, 400, "INVALID_SNAPSHOT_RESTORE_ENCRYPTION", "in region us-east-1"),
    ({}, {"state": "PAUSED"}, 400, "CLUSTER_PAUSED_CANNOT_RESTORE", "paused"),
    ({}, {"state": "DISABLED"}, 403, "CANNOT_RESTORE_TO_TARGET", "DISABLED"),
    ({}, {"state": "DELETED"}, 403, "CANNOT_RESTORE_TO_TARGET", "DELETED"),
    ({}, {"has_open_restore": True}, 409, "ATLAS_CLUSTER_RESTORE_IN_PROGRESS", "in progress"),
    ({"version": "7.0.10"}, {"version": "7.0.9"}, 403, "CANNOT_RESTORE_TO_TARGET", "needs 7.0.10"),
]


@pytest.mark.parametrize(("source", "target", "status", "code", "text"), RULES)
def test_a_rule_that_is_broken_refuses_with_its_code_and_text(
    source: dict[str, object], target: dict[str, object], status: int, code: str, text: str
) -> None:
    with pytest.raises(ApiError) as refused:
        require_restorable(
            RestoreSource(**with_(SOURCE, **source)),  # type: ignore[arg-type]
            RestoreTarget(**with_(TARGET, **target)),  # type: ignore[arg-type]
        )
    assert (refused.value.status, refused.value.code) == (status, code)
    assert text in str(refused.value)


def test_what_breaks_no_rule_is_allowed() -> None:
    require_restorable(SOURCE, TARGET)
    require_restorable(SOURCE, RestoreTarget(**with_(TARGET, version="7.0.10")))  # type: ignore[arg-type]


# -- eras -------------------------------------------------------------------------------------------------------------


@pytest.mark.row("R95")
@pytest.mark.parametrize("provider", CLOUDS)
def test_snapshots_of_three_eras_are_restored_each_with_its_own_key(
    rig: BackupRig, emulator: Emulator, provider: str
) -> None:
    keys = [emulator.create_key(provider) for _ in range(4)]
    rig.configure(keys[0])
    shop = rig.deploy("shop", keys[0])
    rows = []
    for number, key in enumerate(keys[1:]):
        rig.write(shop, b"era %d" % number)
        rows.append(rig.take(shop))
        rig.configure(key)
        rig.node(shop).change_cmk(key)
    rig.write(shop, b"now")
    for number, row in enumerate(rows):
        assert row.key_uri == keys[number]
        counts = [len(emulator.calls(name)) for name in map(key_name, keys)]
        done = rig.restore(row, shop)
        assert (done.state, done.restored, done.reason) == ("completed", ["n1"], "")
        assert rig.read(shop) == b"era %d" % number
        asked = [len(emulator.calls(name)) - before for name, before in zip(map(key_name, keys), counts, strict=True)]
        assert [count > 0 for count in asked] == [each == number for each in range(3)] + [True]
        opened = [
            call for call in emulator.calls(key_name(keys[number]))[counts[number] :] if call.operation == "Decrypt"
        ]
        assert len(opened) == 2, "the check, and the restore"
    assert rig.node(shop).master_info.key_id == keys[3], "it is under its own key all the time"


@pytest.mark.row("R89", "R91", "R97")
def test_a_key_that_is_disabled_refuses_before_the_target_is_touched(rig: BackupRig, emulator: Emulator) -> None:
    old, new = emulator.create_key("aws"), emulator.create_key("aws")
    rig.configure(old)
    shop = rig.deploy("shop", old, members=("n1", "n2", "n3"))
    rig.write(shop, b"then")
    row = rig.take(shop)
    for member in ("n1", "n2", "n3"):
        rig.node(shop, member).change_cmk(new)
    rig.write(shop, b"now")
    emulator.disable(old)
    states = [state_of(rig.node(shop, member).directory) for member in ("n1", "n2", "n3")]
    with pytest.raises(ApiError, match="Re-enable the key, and restore again") as refused:
        rig.restore(row, shop)
    assert (refused.value.status, refused.value.code) == (400, "INVALID_SNAPSHOT_RESTORE_ENCRYPTION")
    assert [state_of(rig.node(shop, member).directory) for member in ("n1", "n2", "n3")] == states
    emulator.enable(old)
    done = rig.restore(row, shop)
    assert (done.state, done.restored) == ("completed", ["n1", "n2", "n3"])
    assert [rig.read(shop, member) for member in ("n1", "n2", "n3")] == [b"then"] * 3
    generations = [rig.node(shop, member).master_info.generation for member in ("n1", "n2", "n3")]
    assert generations == [3, 3, 3], "each has made a new master key under its own CMK"
    told = rig.events("CPS_RESTORE_STARTED", "CPS_RESTORE_SUCCESSFUL")
    assert {detail["cluster"] for _, detail in told} == {"shop"}
    assert [each for each, _ in told] == ["CPS_RESTORE_STARTED", "CPS_RESTORE_SUCCESSFUL"]


@pytest.mark.row("R90", "R125")
def test_a_key_that_is_destroyed_ends_every_way_to_its_snapshots(rig: BackupRig, emulator: Emulator) -> None:
    old, new = emulator.create_key("aws"), emulator.create_key("aws")
    rig.configure(old)
    shop = rig.deploy("shop", old, pit_enabled=True)
    rig.write(shop, b"secret of the shop")
    row = rig.take(shop)
    rig.node(shop).log.flush()
    rig.node(shop).change_cmk(new)
    emulator.schedule_deletion(old)
    emulator.advance(31)
    before = state_of(rig.node(shop).directory)
    for point_ns in (None, row.created_ns):
        with pytest.raises(ApiError, match=r"final|deleted|not tell"):
            rig.restore(row, shop, point_ns)
    assert state_of(rig.node(shop).directory) == before
    emulator.advance(1)
    with pytest.raises(ApiError, match=r"final|deleted"):
        rig.restore(row, shop)


def test_a_refusal_names_the_snapshot_as_its_owner_knows_it(rig: BackupRig) -> None:
    shop = rig.deploy("shop")
    row = rig.take(shop)
    assert row.node_snapshot_id is not None
    for path in Path(rig.place_of(shop)).rglob("*"):
        if path.is_file() and row.node_snapshot_id in str(path):
            path.unlink()
    with pytest.raises(ApiError) as refused:
        rig.restore(row, shop)
    assert row.id in str(refused.value)
    assert row.node_snapshot_id not in str(refused.value)


# -- the log ----------------------------------------------------------------------------------------------------------


@pytest.mark.row("R96")
def test_a_restore_to_a_time_goes_through_segments_of_two_eras(rig: BackupRig, emulator: Emulator) -> None:
    old, new = emulator.create_key("aws"), emulator.create_key("aws")
    rig.configure(old)
    shop = rig.deploy("shop", old, pit_enabled=True)
    rig.run()
    (row,) = rig.snapshots(shop)
    node = rig.node(shop)
    assert node.log.info is not None
    rig.write(shop, b"first canary")
    first_ns = _settled(rig, shop)
    node.change_cmk(new)
    rig.write(shop, b"second canary")
    second_ns = _settled(rig, shop)
    rig.write(shop, b"third canary")
    _settled(rig, shop)
    place = open_place(rig.place_of(shop))
    eras = list(log_eras(place))
    assert [era.last.wrapped.key_id for era in eras] == [old, new]
    objects = [path.read_bytes() for path in Path(rig.place_of(shop)).rglob("*") if path.is_file()]
    assert not any(b"canary" in content for content in objects)
    for point_ns, content in ((second_ns, b"second canary"), (first_ns, b"first canary")):
        done = rig.restore(row, shop, point_ns)
        assert (done.state, done.delivery, done.reason) == ("completed", "pointInTime", "")
        assert rig.read(shop) == content
    with pytest.raises(ApiError) as refused:
        rig.restore(row, shop, second_ns + 10**18)
    assert refused.value.code == "INVALID_PIT_RESTORE_TIME"
    emulator.disable(old)
    with pytest.raises(ApiError, match="Re-enable"):
        rig.restore(row, shop, second_ns)
    report = usage_of(rig.database, rig.place_of, rig.project)
    assert all(use.segments for use in report.keys)
    emulator.enable(old)
    rig.set(shop, pit_enabled=False)
    rig.go_on(1)
    assert node.log.info is None
    assert list(log_eras(place)) == [], "what was logged goes with the log"
    assert row in rig.snapshots(shop), "snapshots stay"


def _settled(rig: BackupRig, deployment: str) -> int:
    node = rig.node(deployment)
    node.log.flush()
    assert node.log.info is not None
    return node.log.info.status.settled_ns


# -- usage ------------------------------------------------------------------------------------------------------------


@pytest.mark.row("R81", "R82", "R83", "R124")
def test_a_key_is_used_until_the_last_snapshot_of_any_cluster_is_gone(rig: BackupRig, emulator: Emulator) -> None:
    old, new = emulator.create_key("aws"), emulator.create_key("aws")
    first_credential = rig.configure(old)
    shop, gone = rig.deploy("shop", old), rig.deploy("gone", old)
    rig.write(shop, b"content")
    kept = rig.take(gone, days=3)
    rig.take(shop, days=1)

    def users(key: str) -> tuple[list[str], int]:
        report = usage_of(rig.database, rig.place_of, rig.project)
        assert report.problems == []
        found = next((use for use in report.keys if key.endswith(use.key_id)), None)
        return (sorted(each.name for each in found.deployments), len(found.snapshots)) if found else ([], 0)

    rig.run()
    assert users(old) == (["gone", "shop"], 4)
    rig.set(gone, state="TERMINATED", terminated_ns=rig.clock.now_ns())
    assert users(old) == (["shop"], 4)
    rig.configure(new)
    rig.node(shop).change_cmk(new)
    with rig.database.write() as connection:
        connection.execute(clusters.update().where(clusters.c.name == shop).values(customer_key=new))
    rig.set(shop, backup_enabled=False)
    rig.run()
    remaining = rig.take(shop, days=30)
    assert users(old) == ([], 4)
    rig.go_on(DAY_NS)
    assert users(old) == ([], 3)
    rig.go_on(2 * DAY_NS - 1)
    assert users(old) == ([], 3)
    rig.go_on(1)
    assert users(old) == ([], 2)
    assert kept.id not in [row.id for row in rig.snapshots(gone)]
    rig.go_on(5 * DAY_NS)
    assert users(old) == ([], 0)
    assert list(open_place(rig.place_of(gone)).names()) == [], "wrapped keys go with the bytes"
    with rig.database.read() as connection:
        assert first_credential not in [row.id for row in connection.execute(credentials.select())]
    emulator.schedule_deletion(old)
    emulator.advance(31)
    rig.nodes.pop((shop, "n1")).end()
    rig.serve_again(shop, "n1")
    rig.write(shop, b"later")
    assert rig.restore(remaining, shop).state == "completed"
    assert rig.read(shop) == b"content"
    rig.set(shop, backup_enabled=True)
    assert rig.restore(rig.take(shop), shop).state == "completed"


# -- several members, several clusters ---------------------------------------------------------------------------------


def test_a_restore_goes_into_another_cluster_of_the_same_provider(rig: BackupRig, emulator: Emulator) -> None:
    keys = [emulator.create_key("gcp") for _ in range(2)]
    rig.configure(keys[0])
    source = rig.deploy("source", keys[0])
    rig.write(source, b"from elsewhere")
    row = rig.take(source)
    target, plain = rig.deploy("target", keys[1], members=("n1", "n2")), rig.deploy("plain")
    rig.write(target, b"to be lost", "other")
    assert rig.restore(row, target).state == "completed"
    assert [rig.read(target, member) for member in ("n1", "n2")] == [b"from elsewhere"] * 2
    assert [list(rig.node(target, member).databases["db"].stores) for member in ("n1", "n2")] == [["file"]] * 2
    with pytest.raises(ApiError, match=NOT_INTO_PLAIN):
        rig.restore(row, plain)
    with pytest.raises(ApiError, match=NOT_INTO_ENCRYPTED):
        rig.restore(rig.take(plain), target)


def test_a_member_that_falls_is_waited_for_and_the_others_are_not_restored_again(
    rig_on_both: BackupRig, emulator: Emulator
) -> None:
    rig = rig_on_both
    key = emulator.create_key("aws")
    rig.configure(key)
    shop = rig.deploy("shop", key, members=("n1", "n2"))
    rig.write(shop, b"then")
    row = rig.take(shop)
    rig.write(shop, b"now")
    job = rig.restores.order(row, rig.deployment(shop), None, "tests")
    fallen = rig.nodes.pop((shop, "n2"))
    fallen.end()
    rig.run()
    assert (rig.job(job.id).state, rig.job(job.id).restored) == ("inProgress", ["n1"])
    assert rig.job(job.id).reason
    generation = rig.node(shop).master_info.generation
    with rig.database.write() as connection:
        delete_early(connection, row, rig.clock.now_ns(), "tests")
    rig.run()
    assert row.id not in [each.id for each in rig.snapshots(shop)]
    with pytest.raises(ApiError) as gone:
        rig.restores.order(row, rig.deployment(rig.deploy("late", key)), None, "tests")
    assert gone.value.code == "SNAPSHOT_NOT_FOUND"
    rig.serve_again(shop, "n2")
    rig.go_on(HOUR_NS)
    assert row.node_snapshot_id not in [each.hex() for each in snapshot_ids(open_place(rig.place_of(shop)))]
    assert (rig.job(job.id).state, rig.job(job.id).restored) == ("completed", ["n1", "n2"])
    assert [rig.read(shop, member) for member in ("n1", "n2")] == [b"then"] * 2
    assert rig.node(shop).master_info.generation == generation


def test_no_restore_is_ordered_into_a_cluster_that_somebody_pauses_meanwhile(
    rig_on_postgresql: BackupRig, emulator: Emulator
) -> None:
    rig = rig_on_postgresql
    key = emulator.create_key("aws")
    rig.configure(key)
    shop = rig.deploy("shop", key)
    rig.write(shop, b"then")
    row, target = rig.take(shop), rig.deployment(shop)
    with beside(rig.database, lambda: rig.restores.order(row, target, None, "tests")) as (connection, other):
        connection.execute(deployments.update().where(deployments.c.id == shop).values(state="PAUSED", paused=True))
    assert isinstance(other.raised, ApiError)
    assert other.raised.code == "CLUSTER_PAUSED_CANNOT_RESTORE"
