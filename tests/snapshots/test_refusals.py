"""Restores that the KMS refuses: the type says why, the message what to do, and the target was never there."""

from collections.abc import Iterator
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
)
from keystore.kms.connect import connector
from keystore.kms.uri import parse
from keystore.node.directory import Node
from keystore.node.snapshotting import restore, snapshot
from keystore.snapshots.target import LocalTarget
from tests.snapshots.conftest import contents, leftovers


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


def take(tmp_path: Path, emulator: EmulatorProcess, key: str) -> tuple[LocalTarget, bytes]:
    """Take a snapshot of a node with one file under `key`, then move the node to a new key."""
    (tmp_path / "source").write_bytes(b"content" * 5000)
    target = LocalTarget(tmp_path / "snapshots")
    with Node.init(tmp_path / "node", key, connector(emulator.endpoint)) as node:
        node.import_file("db", "file", tmp_path / "source", page_size=4096)
        return target, snapshot(node, target).snapshot_id


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


def test_only_the_key_of_the_era_is_asked(tmp_path: Path) -> None:
    """Three eras under three clouds; each restore unwraps with its own key while the others are disabled."""
    with EmulatorProcess(tmp_path / "log") as emulator, CloudKeys(emulator.endpoint) as cloud:
        connect, target = connector(emulator.endpoint), LocalTarget(tmp_path / "snapshots")
        keys = [cloud.create(provider, "k") for provider in PROVIDERS]
        eras = []
        with Node.init(tmp_path / "node", keys[0], connect) as node:
            for number, key in enumerate(keys):
                if number:
                    node.change_cmk(key)
                node.rotate_master()
                (tmp_path / "source").write_bytes(b"%d" % number * 9000)
                node.import_file("db", f"file{number}", tmp_path / "source")
                eras.append(snapshot(node, target).snapshot_id)
        for number, snapshot_id in enumerate(eras):
            for other in keys:
                cloud.set_enabled(other, enabled=other == keys[number])
            before = len(cloud.calls())
            restore(target, snapshot_id, tmp_path / f"restored{number}", connect)
            unwraps = [call for call in cloud.calls()[before:] if call.operation in ("Decrypt", "UnwrapKey")]
            assert {call.provider for call in unwraps} == {PROVIDERS[number]}
            found = contents(tmp_path / f"restored{number}", connect, tmp_path / "out")
            assert found == {("db", f"file{at}"): b"%d" % at * 9000 for at in range(number + 1)}
