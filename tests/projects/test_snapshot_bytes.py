"""What lies in the place of a deployment's snapshots: no plaintext, and which keys it takes to read it."""

from pathlib import Path

import pytest

from keystore.control.clusters import cluster_named
from keystore.errors import ApiError, KmsError
from keystore.node.snapshot_export import export_from_snapshot
from keystore.objects.opening import open_place
from keystore.projects.backed_up import connect_to_node
from keystore.snapshots.manifest import read_manifest
from tests.emulator_process import Emulator
from tests.emulator_process import emulator as emulator
from tests.projects.backup_rig import BackupRig
from tests.projects.backup_rig import rig as rig
from tests.snapshots.test_restore_into import state_of

CANARY = b"a canary that sings in clear only" * 40


def files_of(place: str) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in Path(place).rglob("*") if path.is_file()}


@pytest.mark.row("R4", "R84", "R92")
@pytest.mark.parametrize("has_customer_key", [True, False])
def test_no_snapshot_holds_plaintext(rig: BackupRig, emulator: Emulator, has_customer_key: bool) -> None:
    key = emulator.create_key("aws") if has_customer_key else None
    if key is not None:
        rig.configure(key)
    shop = rig.deploy("shop", key, pit_enabled=True)
    rig.write(shop, CANARY)
    row = rig.take(shop)
    rig.node(shop).log.flush()
    held = files_of(rig.place_of(shop)) | files_of(str(rig.node(shop).directory))
    assert len(held) > 5
    assert not any(CANARY[:16] in content for content in held.values())
    assert rig.restore(row, shop).state == "completed"
    assert rig.read(shop) == CANARY


@pytest.mark.row("R5", "R79", "R93", "R94")
def test_a_snapshot_takes_the_customers_key_and_the_platform_key(rig: BackupRig, emulator: Emulator) -> None:
    key = emulator.create_key("gcp")
    rig.configure(key)
    shop, plain = rig.deploy("shop", key), rig.deploy("plain")
    rig.write(shop, CANARY)
    row, other = rig.take(shop), rig.take(plain)
    head = read_manifest(open_place(rig.place_of(shop)), bytes.fromhex(row.place[1])).head
    assert head.volume is not None
    assert (head.wrapped.key_id, head.volume.wrapped.key_id) == (key, rig.platform_key)
    below = read_manifest(open_place(rig.place_of(plain)), bytes.fromhex(other.place[1])).head
    assert (below.wrapped.key_id, below.volume) == (rig.platform_key, None)
    platform = Path(rig.platform_key.removeprefix("local://"))
    away = platform.rename(platform.with_name("away"))
    with pytest.raises(ApiError, match="platform key of its volume layer"):
        rig.restore(row, shop)
    away.rename(platform)
    emulator.disable(key)
    with pytest.raises(ApiError, match="the key of its day"):
        rig.restore(row, shop)
    emulator.enable(key)
    assert rig.restore(row, shop).state == "completed"


@pytest.mark.row("R7")
def test_a_kms_sees_master_keys_of_32_bytes_and_nothing_else(rig: BackupRig, emulator: Emulator) -> None:
    key = emulator.create_key("aws")
    rig.configure(key)
    shop = rig.deploy("shop", key, pit_enabled=True)
    rig.write(shop, CANARY)
    before = len(emulator.calls(key.rpartition("/")[2]))
    row = rig.take(shop)
    assert len(emulator.calls(key.rpartition("/")[2])) == before, "a snapshot asks no KMS"
    assert rig.restore(row, shop).state == "completed"
    calls = emulator.calls(key.rpartition("/")[2])[1:]  # the first is the customer's, who made the key
    assert {call.operation for call in calls} == {"DescribeKey", "Encrypt", "Decrypt"}
    assert {call.plaintext_bytes for call in calls if call.operation != "DescribeKey"} == {32}


@pytest.mark.row("R90", "R125")
@pytest.mark.parametrize("provider", ["aws", "azure", "gcp"])
def test_with_the_key_destroyed_no_way_leads_to_the_data(
    rig: BackupRig, emulator: Emulator, tmp_path: Path, provider: str
) -> None:
    old, new = emulator.create_key(provider), emulator.create_key(provider)
    rig.configure(old)
    shop, plain = rig.deploy("shop", old, pit_enabled=True), rig.deploy("plain")
    rig.write(shop, CANARY)
    row = rig.take(shop)
    rig.node(shop).log.flush()
    rig.node(shop).change_cmk(new)
    rig.write(shop, b"nothing to hide")
    emulator.schedule_deletion(old)
    emulator.advance(91)
    location, name = row.place
    states = [state_of(rig.node(each).directory) for each in (shop, plain)]
    for target, point_ns in ((shop, None), (shop, row.created_ns), (plain, None)):
        with pytest.raises(ApiError):
            rig.restore(row, target, point_ns)
    with connect_to_node(cluster_named(rig.database, shop), "n1") as client, pytest.raises(KmsError):
        client.restore(location, name, tmp_path / "new node")
    with pytest.raises(KmsError):
        export_from_snapshot(open_place(location), bytes.fromhex(name), "db", "file", tmp_path / "out", rig.connect)
    assert [state_of(rig.node(each).directory) for each in (shop, plain)] == states
    assert not (tmp_path / "new node").exists()
    assert not (tmp_path / "out").exists()
    wrapped = read_manifest(open_place(location), bytes.fromhex(name)).head.wrapped
    assert wrapped.key_id == old, "the only wrapped copy of its master key"
