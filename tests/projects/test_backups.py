"""Snapshots of deployments: on schedule and on demand, their keys, and their ends."""

from pathlib import Path

import pytest

from keystore.control.clusters import cluster_named
from keystore.format.kind import SnapshotKind
from keystore.objects.opening import open_place
from keystore.projects.backed_up import connect_to_node
from keystore.projects.backups import RETRY_NS
from keystore.projects.key_names import key_identifier
from keystore.projects.key_usage import usage_of
from keystore.projects.snapshot_rows import SnapshotState
from keystore.snapshots.names import snapshot_ids
from tests.emulator_process import Emulator
from tests.emulator_process import emulator as emulator
from tests.projects.backup_rig import DAY_NS, HOUR_NS, START_NS, BackupRig
from tests.projects.backup_rig import rig as rig
from tests.projects.backup_rig import rig_on_both as rig_on_both


def bytes_of(rig: BackupRig, deployment: str) -> list[str]:
    """Return the names of the snapshots whose bytes are there."""
    return [each.hex() for each in snapshot_ids(open_place(rig.place_of(deployment)))]


@pytest.mark.row("R82", "R99")
def test_snapshots_come_and_go_at_their_time_exactly(rig_on_both: BackupRig, emulator: Emulator) -> None:
    rig = rig_on_both
    key = emulator.create_key("aws")
    rig.configure(key)
    shop = rig.deploy("shop", key)
    rig.run()
    (first,) = rig.snapshots(shop)
    assert first.reason == ""
    assert (first.created_ns, first.kind, first.state) == (START_NS, SnapshotKind.HOURLY, SnapshotState.COMPLETED)
    rig.go_on(3 * HOUR_NS - 1)
    assert len(rig.snapshots(shop)) == 1
    rig.go_on(1)
    stops = rig.go_on(2 * DAY_NS)
    taken = rig.snapshots(shop)[1:]
    assert [row.created_ns - START_NS for row in taken] == [(3 + 6 * number) * HOUR_NS for number in range(9)]
    assert [row.created_ns for row in taken[1:]] == stops
    days = [row.kind >= SnapshotKind.DAILY for row in taken]
    assert days == [True, False, False, False, True, False, False, False, True]
    assert all(row.expires_ns == row.created_ns + 7 * DAY_NS for row in taken if row.kind <= SnapshotKind.DAILY)
    assert bytes_of(rig, shop) == sorted(str(row.node_snapshot_id) for row in [first, *taken])
    rig.set(shop, backup_enabled=False)
    rig.clock.at_ns = first.expires_ns - 1
    rig.run()
    assert first.id in [row.id for row in rig.snapshots(shop)]
    rig.clock.at_ns += 1
    assert first.id not in [row.id for row in rig.snapshots(shop)], "it is shown to nobody from that moment on"
    rig.run()
    assert first.node_snapshot_id not in bytes_of(rig, shop)
    assert len(bytes_of(rig, shop)) == 9
    last_ns = max(row.expires_ns for row in taken)
    rig.go_on(last_ns - rig.clock.at_ns)
    assert rig.snapshots(shop) == []
    assert list(open_place(rig.place_of(shop)).names()) == []
    assert len(rig.events("CPS_SNAPSHOT_DELETED")) == 10


@pytest.mark.row("R78", "R85", "R87", "R88", "R12")
def test_each_snapshot_names_the_key_and_the_credentials_of_its_moment(rig: BackupRig, emulator: Emulator) -> None:
    keys = {provider: emulator.create_key(provider) for provider in ("aws", "azure", "gcp")}
    credentials = {provider: rig.configure(key) for provider, key in keys.items()}
    for provider, key in keys.items():
        row = rig.take(rig.deploy(provider, key))
        assert (row.provider, row.credential_id) == (provider.upper(), credentials[provider])
        assert row.key_uri == key
    made = len(emulator.calls())
    plain = rig.take(rig.deploy("plain"))
    assert (plain.provider, plain.key_uri, plain.credential_id) == ("NONE", None, None)
    assert len(emulator.calls()) == made


@pytest.mark.row("R87")
def test_key_identifiers_are_those_that_were_configured() -> None:
    arn = "arn:aws:kms:eu-west-1:111122223333:key/mrk-1234"
    azure = "https://mykeyvault.vault.azure.net/keys/AtlasKMSKey/a241124e3d364e9eb99fbd3e11124b23"
    gcp = "projects/p/locations/l/keyRings/r/cryptoKeys/k/cryptoKeyVersions/3"
    assert key_identifier(f"aws://eu-west-1/{arn}") == arn
    assert key_identifier(azure) == azure
    assert key_identifier(f"gcp://{gcp}") == gcp


@pytest.mark.row("R80")
def test_a_rotation_changes_no_snapshot(rig: BackupRig, emulator: Emulator) -> None:
    key = emulator.create_key("aws")
    rig.configure(key)
    shop = rig.deploy("shop", key)
    rig.write(shop, b"first")
    before = rig.take(shop)
    place = Path(rig.place_of(shop))
    held = {path: path.read_bytes() for path in place.rglob("*") if path.is_file()}
    new = emulator.create_key("aws")
    rig.configure(new)
    rig.node(shop).change_cmk(new)
    after = rig.take(shop)
    assert (before.key_uri, after.key_uri) == (key, new)
    assert before in rig.snapshots(shop)
    assert {path: path.read_bytes() for path in held} == held


def test_what_is_due_while_disabled_is_passed_over_for_good(rig: BackupRig, emulator: Emulator) -> None:
    key = emulator.create_key("aws")
    rig.configure(key)
    shop = rig.deploy("shop", key)
    rig.run()
    (first,) = rig.snapshots(shop)
    for state in ("DISABLED", "PAUSED"):
        rig.set(shop, state=state)
        rig.go_on(6 * HOUR_NS)
    rig.set(shop, state="IDLE")
    rig.run()
    assert rig.snapshots(shop) == [first], "what was passed over is not made up for"
    skipped = [detail["reason"] for _, detail in rig.events("CPS_SNAPSHOT_SKIPPED")]
    assert skipped == ["skipped: disabled", "skipped: paused"]
    rig.go_on(6 * HOUR_NS)
    assert [row.created_ns - START_NS for row in rig.snapshots(shop)] == [0, 15 * HOUR_NS]
    rig.set(shop, state="DISABLED")
    rig.clock.at_ns = first.expires_ns
    rig.run()
    assert first.node_snapshot_id not in bytes_of(rig, shop), "the retention clock goes on"


def test_a_node_that_is_away_is_asked_again_and_leaves_one_snapshot(rig: BackupRig, emulator: Emulator) -> None:
    key = emulator.create_key("aws")
    rig.configure(key)
    shop = rig.deploy("shop", key)
    rig.run()
    served = rig.nodes.pop((shop, "n1"))
    served.end()
    rig.go_on(3 * HOUR_NS + 1)
    row = rig.snapshots(shop)[-1]
    assert (row.state, row.node_snapshot_id) == (SnapshotState.QUEUED, None)
    assert "does not answer" in row.reason or "reached" in row.reason
    told = len(rig.events("CPS_SNAPSHOT_FAILED"))
    (unknown,) = usage_of(rig.database, rig.place_of, rig.project).problems
    assert row.id in unknown, "it may be there, under a key that nobody knows yet"
    rig.go_on(2 * RETRY_NS)
    assert len(rig.events("CPS_SNAPSHOT_FAILED")) == told == 1, "the same problem is told once"
    rig.clock.at_ns = START_NS + 9 * HOUR_NS
    rig.run()
    states = [each.state for each in rig.snapshots(shop)]
    assert states == [SnapshotState.COMPLETED, SnapshotState.FAILED, SnapshotState.QUEUED]
    assert len(bytes_of(rig, shop)) == 1


def test_a_try_whose_answer_was_lost_is_found_and_not_repeated(rig: BackupRig, emulator: Emulator) -> None:
    key = emulator.create_key("aws")
    rig.configure(key)
    shop = rig.deploy("shop", key)
    with rig.database.write() as connection:
        row = rig.backups.order(connection, rig.deployment(shop), 3, "", "tests")
    with connect_to_node(cluster_named(rig.database, shop), "n1") as client:
        lost = client.create_snapshot(rig.place_of(shop), kind=row.kind, expires_ns=row.expires_ns)
    rig.run()
    found = next(each for each in rig.snapshots(shop) if each.id == row.id)
    assert found.node_snapshot_id == lost.snapshot_id
    assert len(bytes_of(rig, shop)) == 2
