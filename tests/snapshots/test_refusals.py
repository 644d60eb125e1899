"""Restores that the KMS refuses: the type says why, the message what to do, and the target was never there."""

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from keystore_api.admin.v1 import admin_pb2, admin_pb2_grpc
from keystore_api.aws_kms.v1 import aws_kms_pb2, aws_kms_pb2_grpc
from keystore_api.azure_keyvault.v1 import azure_keyvault_pb2, azure_keyvault_pb2_grpc

from keystore.demo.emulator import PROVIDERS, REGION, VAULT, CloudKeys, EmulatorProcess
from keystore.errors import (
    KeyDestroyedError,
    KeyDisabledError,
    KeyNotFoundError,
    KeyPendingDeletionError,
    KmsInvalidError,
    KmsUnreachableError,
    SnapshotDamagedError,
)
from keystore.kms.connect import connector
from keystore.kms.uri import parse
from keystore.node.directory import Node
from keystore.node.restoring import restore
from keystore.node.snapshot_export import export_from_snapshot
from keystore.node.snapshotting import snapshot
from keystore.objects.directory import DirectoryPlace
from keystore.snapshots.keys import derive_map_key
from keystore.snapshots.manifest import read_manifest
from tests.snapshots.conftest import contents, leftovers, objects

PAGE = 4096


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmulatorProcess]:
    with EmulatorProcess(tmp_path_factory.mktemp("emulator") / "log") as process:
        yield process


@pytest.fixture(scope="module")
def cloud(emulator: EmulatorProcess) -> Iterator[CloudKeys]:
    with CloudKeys(emulator.endpoint) as keys:
        yield keys


@pytest.fixture
def names() -> Iterator[str]:
    """Names for keys, all different."""
    return _NAMES


_NAMES = (f"refusal-{number}" for number in range(1000))


def take(tmp_path: Path, emulator: EmulatorProcess, key: str) -> tuple[DirectoryPlace, bytes]:
    """Take a snapshot of a node with one file under `key`, then move the node to a new key."""
    (tmp_path / "source").write_bytes(b"content" * 5000)
    target = DirectoryPlace(tmp_path / "snapshots")
    with Node.init(tmp_path / "node", key, connector(emulator.endpoint)) as node:
        node.import_file("db", "file", tmp_path / "source", page_size=4096)
        return target, snapshot(node, target).snapshot_id


@pytest.mark.row("R91")
@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_disabled_key_refuses_and_enabled_again_restores(
    tmp_path: Path, emulator: EmulatorProcess, cloud: CloudKeys, names: Iterator[str], provider: str
) -> None:
    connect = connector(emulator.endpoint)
    old, new = cloud.create(provider, next(names)), cloud.create(provider, next(names))
    target, snapshot_id = take(tmp_path, emulator, old)
    with Node.open(tmp_path / "node", connect) as node:
        node.rotate_master()
        node.change_cmk(new)
    cloud.set_enabled(old, enabled=False)
    with pytest.raises(KeyDisabledError) as caught:
        restore(target, snapshot_id, tmp_path / "restored", connect, key=new)
    assert "Re-enable the key" in str(caught.value)
    assert str(caught.value).count(old) == 1
    assert snapshot_id.hex() in str(caught.value)
    assert leftovers(tmp_path, "restored") == []
    cloud.set_enabled(old, enabled=True)
    restore(target, snapshot_id, tmp_path / "restored", connect, key=new)
    assert contents(tmp_path / "restored", connect, tmp_path / "out") == {("db", "file"): b"content" * 5000}


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_restore_may_go_to_another_cloud(
    tmp_path: Path, emulator: EmulatorProcess, cloud: CloudKeys, names: Iterator[str], provider: str
) -> None:
    connect = connector(emulator.endpoint)
    target, snapshot_id = take(tmp_path, emulator, cloud.create(provider, next(names)))
    other = cloud.create(PROVIDERS[(PROVIDERS.index(provider) + 1) % 3], next(names))
    restore(target, snapshot_id, tmp_path / "restored", connect, key=other)
    with Node.open(tmp_path / "restored", connect) as node:
        assert node.master_info.key_id == other
        assert node.verify().ok


def test_a_key_of_the_new_node_that_cannot_be_used(
    tmp_path: Path, emulator: EmulatorProcess, cloud: CloudKeys, names: Iterator[str]
) -> None:
    target, snapshot_id = take(tmp_path, emulator, cloud.create("aws", next(names)))
    new = cloud.create("gcp", next(names))
    cloud.set_enabled(new, enabled=False)
    with pytest.raises(KeyDisabledError, match=new):
        restore(target, snapshot_id, tmp_path / "restored", connector(emulator.endpoint), key=new)
    assert leftovers(tmp_path, "restored") == []


@pytest.mark.row("R90", "R97")
def test_a_key_pending_deletion_and_then_gone(tmp_path: Path) -> None:
    """With an emulator of its own, because it moves the clock."""
    with EmulatorProcess(tmp_path / "log") as emulator, CloudKeys(emulator.endpoint) as cloud:
        key, connect = cloud.create("aws", "k"), connector(emulator.endpoint)
        target, snapshot_id = take(tmp_path, emulator, key)
        with grpc.insecure_channel(emulator.endpoint) as channel:
            aws_kms_pb2_grpc.AwsKmsStub(channel).ScheduleKeyDeletion(
                aws_kms_pb2.ScheduleKeyDeletionRequest(region=REGION, key_id=parse(key).key, pending_window_in_days=7)
            )
            with pytest.raises(KeyPendingDeletionError, match="Cancel the deletion"):
                restore(target, snapshot_id, tmp_path / "restored", connect)
            admin_pb2_grpc.AdminStub(channel).AdvanceClock(
                admin_pb2.AdvanceClockRequest(by=Duration(seconds=8 * 86400))
            )
            with pytest.raises((KeyNotFoundError, KeyDestroyedError), match="final"):
                restore(target, snapshot_id, tmp_path / "restored", connect)
        assert leftovers(tmp_path, "restored") == []


@pytest.mark.row("R90")
def test_a_deleted_azure_key(tmp_path: Path, emulator: EmulatorProcess, cloud: CloudKeys, names: Iterator[str]) -> None:
    key = cloud.create("azure", next(names))
    target, snapshot_id = take(tmp_path, emulator, key)
    with grpc.insecure_channel(emulator.endpoint) as channel:
        azure_keyvault_pb2_grpc.AzureKeyVaultStub(channel).DeleteKey(
            azure_keyvault_pb2.DeleteKeyRequest(vault=VAULT, name=parse(key).key)
        )
    with pytest.raises(KmsInvalidError, match="without the key of its day"):
        restore(target, snapshot_id, tmp_path / "restored", connector(emulator.endpoint))
    assert leftovers(tmp_path, "restored") == []


def test_an_unreachable_kms(tmp_path: Path) -> None:
    with EmulatorProcess(tmp_path / "log") as emulator, CloudKeys(emulator.endpoint) as cloud:
        target, snapshot_id = take(tmp_path, emulator, cloud.create("gcp", "k"))
        connect = connector(emulator.endpoint)
    with pytest.raises(KmsUnreachableError, match="Restore again once"):
        restore(target, snapshot_id, tmp_path / "restored", connect)
    assert leftovers(tmp_path, "restored") == []


@pytest.mark.row("R95")
def test_only_the_key_of_the_era_is_asked(tmp_path: Path) -> None:
    """Three eras under three clouds, all in one chain of increments; each restore unwraps with its own key alone."""
    with EmulatorProcess(tmp_path / "log") as emulator, CloudKeys(emulator.endpoint) as cloud:
        connect, target = connector(emulator.endpoint), DirectoryPlace(tmp_path / "snapshots")
        keys = [cloud.create(provider, "k") for provider in PROVIDERS]
        eras: list[tuple[int, bytes, list[bytes]]] = []
        pages = [bytes([page]) * PAGE for page in range(60)]
        with Node.init(tmp_path / "node", keys[0], connect) as node:
            node.import_file("db", "file", BytesIO(b"".join(pages)), page_size=PAGE)
            for number, key in enumerate(keys):
                if number:
                    node.change_cmk(key)
                for turn in range(2):
                    node.rotate_master()
                    pages[10 * number + turn] = bytes([100 + number, turn]) * (PAGE // 2)
                    with node.using_store("db", "file") as store:
                        store.commit({10 * number + turn: pages[10 * number + turn]})
                    made = snapshot(node, target)
                    assert made.parent == (eras[-1][1] if eras else None)
                    eras.append((number, made.snapshot_id, list(pages)))
        before = objects(target.path)
        for number, snapshot_id, expected in eras:
            for other in keys:
                cloud.set_enabled(other, enabled=other == keys[number])
            calls = len(cloud.calls())
            restored = tmp_path / f"restored-{snapshot_id.hex()}"
            restore(target, snapshot_id, restored, connect)
            asked = [call for call in cloud.calls()[calls:] if call.operation in ("Decrypt", "UnwrapKey")]
            named = read_manifest(target, snapshot_id).head.wrapped
            assert {call.provider for call in asked} == {PROVIDERS[number]}
            assert {call.key in named.key_version or named.key_version in call.key for call in asked} == {True}
            assert contents(restored, connect, tmp_path / "out") == {("db", "file"): b"".join(expected)}
        assert objects(target.path) == before


@pytest.mark.row("R90")
def test_a_purged_key_closes_the_manifests_of_its_era_and_not_the_pages_that_later_ones_share(tmp_path: Path) -> None:
    """S-4, S-16: the node still reads the map of the first snapshot, and nothing opens its data keys."""
    with EmulatorProcess(tmp_path / "log") as emulator, CloudKeys(emulator.endpoint) as cloud:
        connect, target = connector(emulator.endpoint), DirectoryPlace(tmp_path / "snapshots")
        former, present = cloud.create("aws", "former"), cloud.create("azure", "present")
        with Node.init(tmp_path / "node", former, connect) as node:
            node.import_file("db", "file", BytesIO(b"shared" * 20_000), page_size=PAGE)
            first = snapshot(node, target).snapshot_id
            node.change_cmk(present)
            second = snapshot(node, target)
            assert second.parent == first
            purge_aws(emulator.endpoint, former)
            for fails in (
                lambda: restore(target, first, tmp_path / "restored", connect),
                lambda: restore(target, first, tmp_path / "restored", connect, key=present),
                lambda: export_from_snapshot(target, first, "db", "file", tmp_path / "out", connect),
            ):
                with pytest.raises((KeyNotFoundError, KeyDestroyedError), match="final"):
                    fails()
            assert leftovers(tmp_path, "restored") == []
            manifest = read_manifest(target, first)
            with node.held() as custody, derive_map_key(custody.keystore.snapshot_secret, first) as map_key:
                assert [store.name for store in manifest.open_map(map_key).stores] == ["file"]
                for key in (map_key, custody.keystore.snapshot_secret, custody.master.snapshot_key(first)):
                    with pytest.raises(SnapshotDamagedError):
                        manifest.open_keys(key)
        shared = {pack.pack_id for pack in manifest.head.packs}
        assert shared == {pack.pack_id for pack in read_manifest(target, second.snapshot_id).head.packs}
        restore(target, second.snapshot_id, tmp_path / "restored", connect)
        assert contents(tmp_path / "restored", connect, tmp_path / "out") == {("db", "file"): b"shared" * 20_000}


def purge_aws(endpoint: str, key: str) -> None:
    with grpc.insecure_channel(endpoint) as channel:
        aws_kms_pb2_grpc.AwsKmsStub(channel).ScheduleKeyDeletion(
            aws_kms_pb2.ScheduleKeyDeletionRequest(region=REGION, key_id=parse(key).key, pending_window_in_days=7)
        )
        admin_pb2_grpc.AdminStub(channel).AdvanceClock(admin_pb2.AdvanceClockRequest(by=Duration(seconds=8 * 86400)))
