"""Backups over HTTP: snapshots with their keys, schedules, restore jobs, key usage; who may what, and refusals."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from keystore.control.database import open_database
from keystore.projects.access import KEY, PROJECT, Caller, Role
from keystore.projects.api_keys import create_key
from keystore.projects.grants import set_roles
from keystore.projects.key_names import key_identifier
from keystore.projects.restore_rules import NOT_INTO_ENCRYPTED, NOT_INTO_PLAIN, OTHER_PROVIDER
from keystore.rest.asking import PROJECT_ASKING_MAX, asking_now
from keystore.rest.routing import Call
from tests.emulator_process import CLOUDS, Emulator
from tests.emulator_process import emulator as emulator
from tests.key_files import new_key
from tests.projects.backup_rig import DAY_NS, HOUR_NS, BackupRig
from tests.rest.client import Api
from tests.rest.serving import serving


@dataclass
class Bench:
    """A rig with a server of the API over it, and callers by their role."""

    rig: BackupRig
    url: str

    def caller(self, role: Role, **more: Role) -> Api:
        """Return a new caller with a role in the rig's project, and with more in others, by their ids."""
        with self.rig.database.write() as connection:
            scope = (PROJECT, self.rig.project)
            key = create_key(connection, self.rig.organization, "a test's", *scope, [role], "test", 0)
            for project, other in more.items():
                set_roles(connection, KEY, key.id, PROJECT, project, [other])
        return Api(self.url, key.public_key, str(key.private_key))

    def path(self, cluster: str, rest: str) -> str:
        return f"/groups/{self.rig.project}/clusters/{cluster}/backup/{rest}"

    def restore(self, api: Api, source: str, target: str, **body: Any) -> Any:
        wanted = {"targetClusterName": target, "targetGroupId": self.rig.project, "deliveryType": "automated", **body}
        return api.post(self.path(source, "restoreJobs"), wanted)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory, emulator: Emulator) -> Iterator[Bench]:
    folder = tmp_path_factory.mktemp("backups")
    database = open_database(f"sqlite:///{folder / 'control.db'}")
    platform = new_key(folder / "platform")
    with BackupRig(folder, database, emulator.endpoint, platform) as rig, serving(rig.plane) as url:
        yield Bench(rig, url)
    database.close()


@pytest.mark.row("R12", "R85", "R86", "R87", "R88", "R100")
def test_every_snapshot_is_listed_with_its_encryption_key_id(bench: Bench, emulator: Emulator) -> None:
    rig, api = bench.rig, bench.caller(Role.GROUP_BACKUP_MANAGER)
    aws, azure, gcp = map(emulator.create_key, CLOUDS)
    shown_as = {
        "list-aws": aws.rpartition("/")[2],
        "list-arn": f"arn:aws:kms:us-east-1:111122223333:key/{aws.rpartition('/')[2]}",
        "list-azure": azure.replace("azure://local-vault/", "https://local-vault.vault.azure.net/keys/"),
        "list-gcp": gcp.removeprefix("gcp://"),
    }
    keys = dict(
        zip(shown_as, (aws, f"aws://us-east-1/{shown_as['list-arn']}", shown_as["list-azure"], gcp), strict=True)
    )
    for name, key in keys.items():
        rig.configure(key)
        rig.deploy(name, key)
    rig.deploy("list-plain")
    for name in (*keys, "list-plain"):
        asked = api.post(bench.path(name, "snapshots"), {"retentionInDays": 3, "description": "before the change"})
        assert (asked.status, asked.body["status"], asked.body["snapshotType"]) == (202, "queued", "onDemand")
    rig.run()
    for name in (*keys, "list-plain"):
        listed = api.get(bench.path(name, "snapshots")).body
        assert listed["totalCount"] == 2
        for shown in listed["results"]:
            assert shown["status"] == "completed"
            assert shown.get("masterKeyUUID") == shown_as.get(name)
            assert ("masterKeyUUID" in shown) == (name in keys)
            assert api.get(bench.path(name, f"snapshots/{shown['id']}")).body == shown
        on_demand = next(each for each in listed["results"] if each["snapshotType"] == "onDemand")
        assert on_demand["description"] == "before the change"
        assert "frequencyType" not in on_demand
    gone = listed["results"][0]
    assert api.delete(bench.path("list-plain", f"snapshots/{gone['id']}")).status == 204
    assert api.get(bench.path("list-plain", f"snapshots/{gone['id']}")).code == "SNAPSHOT_NOT_FOUND"
    rig.run()
    assert len(list(Path(rig.place_of(rig.id_of("list-plain"))).rglob("manifests/*"))) == 1


@pytest.mark.row("R99")
def test_a_schedule_is_shown_changed_and_refused_as_a_whole(bench: Bench, emulator: Emulator) -> None:
    rig, api = bench.rig, bench.caller(Role.GROUP_BACKUP_MANAGER)
    key = emulator.create_key("aws")
    rig.configure(key)
    deployment = rig.deploy("scheduled", key)
    path = bench.path("scheduled", "schedule")
    default = api.get(path).body
    assert (default["referenceHourOfDay"], default["referenceMinuteOfHour"]) == (18, 0)
    assert (default["restoreWindowDays"], default["clusterName"]) == (7, "scheduled")
    kinds = [item["frequencyType"] for item in default["policies"][0]["policyItems"]]
    assert kinds == ["hourly", "daily", "weekly", "monthly", "yearly"]
    item = {"frequencyType": "hourly", "frequencyInterval": 6, "retentionUnit": "days", "retentionValue": 2}
    wanted = {"referenceHourOfDay": 3, "restoreWindowDays": 2, "policies": [{"policyItems": [item]}]}
    refusals: list[dict[str, Any]] = [
        {"restoreWindowDays": 8},
        {"referenceHourOfDay": 24},
        {"policies": [{"policyItems": [{**item, "frequencyInterval": 5}]}]},
        {"policies": []},
        {"policies": [{"policyItems": [{**item, "frequencyType": "often"}]}]},
        {"referenceHourOfDay": "3"},
        {"unknown": 1},
    ]
    for body in refusals:
        assert api.patch(path, body).status == 400
    assert api.patch(path, {"restoreWindowDays": 8}).code == "INVALID_BACKUP_SCHEDULE"
    assert api.get(path).body == default
    changed = api.patch(path, wanted)
    assert changed.status == 200
    assert changed.body["policies"][0]["id"] == default["policies"][0]["id"]
    assert changed.body["nextSnapshot"].endswith("T03:00:00Z") or changed.body["nextSnapshot"][11:13] in ("15", "21")
    rig.go_on(DAY_NS)
    rows = rig.snapshots(deployment)
    times = [row.created_ns % DAY_NS // HOUR_NS for row in rows][1:]
    assert times == [21, 3, 9, 15]
    body = {"updateSnapshots": True, "policies": [{"policyItems": [{**item, "retentionValue": 3}]}]}
    assert api.patch(path, body).status == 200
    assert all(row.expires_ns == row.created_ns + 3 * DAY_NS for row in rig.snapshots(deployment))


@pytest.mark.row("R89", "R91", "R97")
def test_a_restore_by_the_api_needs_the_key_of_the_snapshot(bench: Bench, emulator: Emulator) -> None:
    rig, api = bench.rig, bench.caller(Role.GROUP_OWNER)
    old, new = emulator.create_key("aws"), emulator.create_key("aws")
    rig.configure(old)
    shop = rig.deploy("restored", old)
    rig.write(shop, b"then")
    row = rig.take(shop)
    rig.configure(new)
    rig.node(shop).change_cmk(new)
    rig.write(shop, b"now")
    emulator.disable(old)
    refused = bench.restore(api, "restored", "restored", snapshotId=row.id)
    assert (refused.status, refused.code) == (400, "INVALID_SNAPSHOT_RESTORE_ENCRYPTION")
    assert "Re-enable the key" in refused.body["detail"]
    emulator.enable(old)
    emulator.schedule_deletion(old)
    refused = bench.restore(api, "restored", "restored", snapshotId=row.id)
    assert (refused.status, "Cancel the deletion" in refused.body["detail"]) == (400, True)
    emulator.cancel_deletion(old)
    assert bench.restore(api, "restored", "restored", snapshotId=row.id).status == 400, (
        "it is disabled, as AWS leaves it"
    )
    assert rig.read(shop) == b"now"
    emulator.enable(old)
    accepted = bench.restore(api, "restored", "restored", snapshotId=row.id)
    assert (accepted.status, accepted.body["status"]) == (202, "queued")
    assert bench.restore(api, "restored", "restored", snapshotId=row.id).code == "ATLAS_CLUSTER_RESTORE_IN_PROGRESS"
    off = api.patch(f"/groups/{rig.project}/clusters/restored", {"encryptionAtRestProvider": "NONE"})
    assert (off.status, off.code) == (409, "ATLAS_CLUSTER_RESTORE_IN_PROGRESS")
    rig.run()
    job = api.get(bench.path("restored", f"restoreJobs/{accepted.body['id']}")).body
    assert (job["status"], job["restoredMembers"], job["targetClusterName"]) == ("completed", ["n1"], "restored")
    assert rig.read(shop) == b"then"
    listed = api.get(bench.path("restored", "restoreJobs")).body
    assert [each["id"] for each in listed["results"]] == [job["id"]]
    late = api.delete(bench.path("restored", f"restoreJobs/{job['id']}"))
    assert (late.status, late.code) == (409, "CANNOT_CANCEL_RESTORE_JOB")


def test_a_restore_that_has_touched_nothing_is_cancelled(bench: Bench) -> None:
    rig, api = bench.rig, bench.caller(Role.GROUP_OWNER)
    shop = rig.deploy("cancelled")
    rig.write(shop, b"then")
    row = rig.take(shop)
    rig.write(shop, b"now")
    job = bench.restore(api, "cancelled", "cancelled", snapshotId=row.id).body
    assert api.delete(bench.path("cancelled", f"restoreJobs/{job['id']}")).status == 204
    rig.run()
    assert api.get(bench.path("cancelled", f"restoreJobs/{job['id']}")).body["cancelled"] is True
    assert rig.read(shop) == b"now"


def test_a_snapshot_goes_into_a_cluster_of_another_project_by_the_same_rules(bench: Bench, emulator: Emulator) -> None:
    rig, keys = bench.rig, [emulator.create_key(provider) for provider in ("aws", "aws", "gcp")]
    rig.configure(keys[0])
    taken = {}
    for name, key in (("leaving", keys[0]), ("leaving-plain", None)):
        rig.write(source := rig.deploy(name, key), b"of the other project")
        taken[name] = rig.take(source)
    with rig.another_project("the other") as other:
        for key in keys[1:]:
            rig.configure(key)
        targets = {"same": keys[1], "gcp": keys[2], "plain": None}
        deployed = {name: rig.deploy(name, key) for name, key in targets.items()}
        for target in deployed.values():
            rig.write(target, b"own")
    rig.run()  # their first snapshots: a restore that meets one waits a minute
    here_alone, there_alone = (
        bench.caller(Role.GROUP_OWNER),
        bench.caller(Role.GROUP_READ_ONLY, **{other: Role.GROUP_OWNER}),
    )
    reader_there = bench.caller(Role.GROUP_OWNER, **{other: Role.GROUP_CLUSTER_MANAGER})
    api = bench.caller(Role.GROUP_BACKUP_MANAGER, **{other: Role.GROUP_OWNER})

    def restore(who: Api, source: str, target: str) -> Any:
        return bench.restore(who, source, target, targetGroupId=other, snapshotId=taken[source].id)

    for who in (here_alone, there_alone, reader_there):
        refused = restore(who, "leaving", "same")
        assert (refused.status, refused.code) == (403, "USER_UNAUTHORIZED")
    for source, target, told in (
        ("leaving", "gcp", OTHER_PROVIDER),
        ("leaving", "plain", NOT_INTO_PLAIN),
        ("leaving-plain", "same", NOT_INTO_ENCRYPTED),
    ):
        refused = restore(api, source, target)
        assert (refused.status, refused.code) == (400, "INVALID_SNAPSHOT_RESTORE_ENCRYPTION")
        assert told in refused.body["detail"]
    assert {rig.read(target) for target in deployed.values()} == {b"own"}

    before = len(emulator.calls(keys[0].rpartition("/")[2]))
    for source, target in (("leaving", "same"), ("leaving-plain", "plain")):
        job = restore(api, source, target)
        assert (job.status, job.body["targetGroupId"]) == (202, other)
        rig.run()
        done = api.get(bench.path(source, f"restoreJobs/{job.body['id']}")).body
        assert (done["status"], done["targetClusterName"]) == ("completed", target)
        assert rig.read(deployed[target]) == b"of the other project"
    assert "Encrypt" not in [call.operation for call in emulator.calls(keys[0].rpartition("/")[2])[before:]]
    assert rig.node(deployed["same"]).master_info.key_id == keys[1]
    reader = bench.caller(Role.GROUP_READ_ONLY, **{other: Role.GROUP_READ_ONLY})
    for project in (rig.project, other):  # who reads the events of either learns of it
        events = reader.get(f"/groups/{project}/events?eventType=CPS_RESTORE_SUCCESSFUL").body["results"]
        assert {row.id for row in taken.values()} <= {event["detail"]["snapshotId"] for event in events}


@pytest.mark.row("R78", "R88")
def test_a_snapshot_that_is_asked_for_while_keys_go_on_or_off_is_under_those_of_its_moment(
    bench: Bench, emulator: Emulator
) -> None:
    rig, api = bench.rig, bench.caller(Role.GROUP_OWNER)
    key = emulator.create_key("aws")
    rig.configure(key)
    deployment = rig.deploy("converted")
    rig.write(deployment, b"content" * 9000)
    node, asked = rig.node(deployment), list[str]()

    def ask_once(done: int, total: int) -> None:
        if not asked:
            answered = api.post(bench.path("converted", "snapshots"), {"retentionInDays": 1})
            assert answered.status == 202
            asked.append(answered.body["id"])
            rig.run()

    for provider, wanted, volume in (("AWS", key, rig.platform_key), ("NONE", rig.platform_key, None)):
        rig.alter(deployment, state="UPDATING", provider="AWS")
        node.convert(wanted, volume, progress=ask_once)
        shown = api.get(bench.path("converted", f"snapshots/{asked.pop()}")).body
        assert (shown["status"], shown["encryptionAtRestProvider"]) == ("completed", provider)
        assert shown.get("masterKeyUUID") == (key_identifier(key) if provider == "AWS" else None)
        assert bench.restore(api, "converted", "converted", snapshotId=shown["id"]).code == "CANNOT_RESTORE_TO_TARGET"
        rig.alter(deployment, state="IDLE", provider=provider)
        rig.write(deployment, b"later")
        assert bench.restore(api, "converted", "converted", snapshotId=shown["id"]).status == 202
        rig.run()
        assert rig.read(deployment) == b"content" * 9000


def test_a_restore_to_a_time_is_within_the_window_of_a_cluster_with_a_log(bench: Bench) -> None:
    rig, api = bench.rig, bench.caller(Role.GROUP_OWNER)
    rig.deploy("no-log")
    now_s = rig.clock.now_ns() // 10**9
    bodies = [
        {"pointInTimeUTCSeconds": now_s - 60},
        {"oplogTs": now_s - 60, "oplogInc": 1},
    ]
    for body in bodies:
        refused = bench.restore(api, "no-log", "no-log", deliveryType="pointInTime", **body)
        assert (refused.status, refused.code) == (400, "INVALID_PIT_RESTORE_TIME")
        assert "continuous backups are off" in refused.body["detail"]
    rig.alter(rig.id_of("no-log"), pit_enabled=True)
    for seconds in (now_s + 3600, now_s - 8 * 86400):
        refused = bench.restore(api, "no-log", "no-log", deliveryType="pointInTime", pointInTimeUTCSeconds=seconds)
        assert "not within the restore window" in refused.body["detail"]
    for wrong in ({}, {"pointInTimeUTCSeconds": now_s, "oplogTs": now_s}):
        assert bench.restore(api, "no-log", "no-log", deliveryType="pointInTime", **wrong).code == "INVALID_ATTRIBUTE"
    assert bench.restore(api, "no-log", "no-log").code == "MISSING_ATTRIBUTE"


@pytest.mark.row("R81", "R86", "R124")
def test_key_usage_lists_clusters_and_snapshots_by_key(bench: Bench, emulator: Emulator) -> None:
    rig, api = bench.rig, bench.caller(Role.GROUP_OWNER)
    key = emulator.create_key("azure")
    rig.configure(key)
    used = rig.deploy("used", key)
    rig.write(used, b"of the former cluster")
    rig.run()
    rig.alter(used, state="TERMINATED", terminated_ns=rig.clock.now_ns())
    latter = rig.deploy("used", key, backup_enabled=False)
    report = api.get(f"/groups/{rig.project}/encryptionAtRest/keyUsage").body
    assert report["problems"] == []
    (found,) = (each for each in report["results"] if each["keyId"] == key_identifier(key))
    assert (found["provider"], found["configured"], found["clusters"]) == ("AZURE", True, ["used"])
    (row,) = rig.snapshots(used)
    assert [each["snapshotId"] for each in found["snapshots"]] == [row.id]
    assert found["unusedFrom"] is None
    # it is found under the name of its cluster, which another one has now
    assert [each["id"] for each in api.get(bench.path("used", "snapshots")).body["results"]] == [row.id]
    job = bench.restore(api, "used", "used", snapshotId=row.id).body
    rig.run()
    assert api.get(bench.path("used", f"restoreJobs/{job['id']}")).body["status"] == "completed"
    assert rig.read(latter) == b"of the former cluster"
    assert [each["id"] for each in api.get(bench.path("used", "restoreJobs")).body["results"]] == [job["id"]]
    assert api.delete(bench.path("used", f"snapshots/{row.id}")).status == 204
    rig.run()
    report = api.get(f"/groups/{rig.project}/encryptionAtRest/keyUsage").body
    assert [each["snapshots"] for each in report["results"] if each["keyId"] == key_identifier(key)] == [[]]


READS = ("snapshots", "schedule", "restoreJobs")


def test_a_role_may_do_what_it_is_for(bench: Bench) -> None:
    rig = bench.rig
    rig.deploy("roles")
    rig.run()
    (row,) = rig.snapshots(rig.id_of("roles"))
    changes: list[tuple[str, str, Any]] = [
        ("POST", "snapshots", {"retentionInDays": 1}),
        ("PATCH", "schedule", {"referenceHourOfDay": 18}),
        ("DELETE", f"snapshots/{row.id}", None),
    ]
    for role in (Role.GROUP_READ_ONLY, Role.GROUP_CLUSTER_MANAGER, Role.GROUP_DATA_ACCESS_ADMIN):
        api = bench.caller(role)
        assert [api.get(bench.path("roles", path)).status for path in READS] == [200] * 3
        for method, path, body in changes:
            refused = api.call(method, bench.path("roles", path), body)
            assert (refused.status, refused.code) == (403, "USER_UNAUTHORIZED")
    manager = bench.caller(Role.GROUP_BACKUP_MANAGER)
    restore = bench.restore(manager, "roles", "roles", snapshotId=row.id)
    assert (restore.status, restore.code) == (403, "USER_UNAUTHORIZED"), "the target's owner is needed"
    assert [manager.call(method, bench.path("roles", path), body).status for method, path, body in changes] == [
        202,
        200,
        204,
    ]


def test_what_is_not_there_or_cannot_be_is_refused(bench: Bench) -> None:
    rig, api = bench.rig, bench.caller(Role.GROUP_OWNER)
    rig.deploy("here")
    rig.run()
    (row,) = rig.snapshots(rig.id_of("here"))
    rig.deploy("elsewhere")
    nobody = "0" * 24
    for path in READS:
        assert api.get(bench.path("nowhere", path)).code == "CLUSTER_NOT_FOUND"
    assert api.get(bench.path("here", f"snapshots/{nobody}")).code == "SNAPSHOT_NOT_FOUND"
    assert api.get(bench.path("elsewhere", f"snapshots/{row.id}")).code == "SNAPSHOT_NOT_FOUND"
    assert api.get(bench.path("here", f"restoreJobs/{nobody}")).code == "RESTORE_JOB_NOT_FOUND"
    assert bench.restore(api, "here", "nowhere", snapshotId=row.id).code == "CLUSTER_NOT_FOUND"
    caller = Caller("", "", rig.organization, frozenset())
    with ExitStack() as waiting:  # for nodes that wait for their providers
        for _ in range(PROJECT_ASKING_MAX):
            waiting.enter_context(asking_now(Call(rig.plane, caller, {"groupId": rig.project}, None, None)))
        busy = bench.restore(api, "here", "here", snapshotId=row.id)
    assert (busy.status, busy.code) == (503, "SERVICE_UNAVAILABLE")
    assert api.get(bench.path("here", "restoreJobs")).body["totalCount"] == 0
    for body in ({}, {"retentionInDays": 0}, {"retentionInDays": 1, "more": 1}, {"retentionInDays": "1"}):
        assert api.post(bench.path("here", "snapshots"), body).status == 400
    assert len(rig.snapshots(rig.id_of("here"))) == 1
    rig.alter(rig.id_of("here"), state="DISABLED")
    refused = api.post(bench.path("here", "snapshots"), {"retentionInDays": 1})
    assert (refused.status, refused.code) == (409, "CLUSTER_NOT_RUNNING")
    assert bench.restore(api, "here", "here", snapshotId=row.id).code == "CANNOT_RESTORE_TO_TARGET"
    rig.alter(rig.id_of("here"), state="IDLE", backup_enabled=False)
    assert api.post(bench.path("here", "snapshots"), {"retentionInDays": 1}).code == "BACKUPS_NOT_ENABLED"
