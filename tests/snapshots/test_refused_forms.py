"""Every form of a restore is refused with the same reason, by a running emulator, and before anything is touched."""

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from keystore_api.aws_kms.v1 import aws_kms_pb2
from keystore_api.azure_keyvault.v1 import azure_keyvault_pb2
from keystore_api.google_kms.v1 import resources_pb2, service_pb2

from keystore.demo.emulator import PROVIDERS, REGION, VAULT, CloudKeys
from keystore.errors import (
    KeyDestroyedError,
    KeyDisabledError,
    KeyNotFoundError,
    KeyPendingDeletionError,
    KeystoreError,
    KmsError,
    KmsPermissionError,
    KmsUnreachableError,
    SnapshotProviderError,
)
from keystore.kms import credentials_file
from keystore.kms.connect import connector
from keystore.kms.protocol import KmsConnector
from keystore.kms.uri import parse
from keystore.node.directory import Node
from keystore.node.restoring import restore
from keystore.node.restoring_into import restore_into
from keystore.node.snapshot_export import export_from_snapshot
from keystore.node.snapshotting import snapshot
from keystore.objects.directory import DirectoryPlace
from kms_emulator.embedded import KmsEmulator
from tests.key_files import cmk as cmk
from tests.snapshots.conftest import contents, leftovers
from tests.snapshots.test_restore_into import state_of

CONTENT = b"content" * 3000


@pytest.fixture
def emulator() -> Iterator[KmsEmulator]:
    """One for each test: they move its clock."""
    with KmsEmulator() as emulator:
        yield emulator


@pytest.fixture
def cloud(emulator: KmsEmulator) -> Iterator[CloudKeys]:
    with CloudKeys(emulator.grpc_endpoint) as keys:
        yield keys


@dataclass(frozen=True)
class Scene:
    """A snapshot under a key, and a node that has gone on under another one."""

    place: Path
    target: DirectoryPlace
    snapshot_id: bytes

    @classmethod
    def make(cls, place: Path, old: str, new: str, connect: KmsConnector) -> "Scene":
        (place / "source").write_bytes(CONTENT)
        target = DirectoryPlace(place / "snapshots")
        with Node.init(place / "node", old, connect) as node:
            node.import_file("db", "file", place / "source", page_size=4096)
            made = snapshot(node, target)
            if new != old:
                node.change_cmk(new)
            with node.using_store("db", "file") as store:
                store.commit({0: b"later".ljust(4096)})
        return cls(place, target, made.snapshot_id)

    def forms(self, connect: KmsConnector, open_with: KmsConnector | None = None) -> dict[str, Callable[[], Any]]:
        """Return the three ways to get at the snapshot."""

        def into() -> None:
            with (
                Node.open(self.place / "node", open_with or connect) as node,
                restore_into(node, self.target, self.snapshot_id, connect) as restoring,
            ):
                restoring.run()

        return {
            "new": lambda: restore(self.target, self.snapshot_id, self.place / "restored", connect),
            "into": into,
            "export": lambda: export_from_snapshot(
                self.target, self.snapshot_id, "db", "file", self.place / "exported", connect
            ),
        }

    def refused(
        self, connect: KmsConnector, kind: type[KeystoreError], *words: str, open_with: KmsConnector | None = None
    ) -> None:
        """Require that every form is refused, says why, and leaves all as it was."""
        before = state_of(self.place / "node")
        for name, form in self.forms(connect, open_with).items():
            with pytest.raises(kind) as caught:
                form()
            assert isinstance(caught.value, kind), name
            for word in (*words, self.snapshot_id.hex()):
                assert word in str(caught.value), (name, str(caught.value))
        assert state_of(self.place / "node") == before
        assert leftovers(self.place, "restored") == leftovers(self.place, "export") == []

    def granted(self, connect: KmsConnector) -> None:
        for form in self.forms(connect).values():
            form()
        for directory in ("node", "restored"):
            assert contents(self.place / directory, connect, self.place / "out") == {("db", "file"): CONTENT}
        assert (self.place / "exported").read_bytes() == CONTENT


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_disabled_key_has_to_be_enabled_again(
    tmp_path: Path, emulator: KmsEmulator, cloud: CloudKeys, provider: str
) -> None:
    connect = connector(emulator.grpc_endpoint)
    old, new = (cloud.create(provider, name) for name in ("old", "new"))
    scene = Scene.make(tmp_path, old, new, connect)
    cloud.set_enabled(old, enabled=False)
    scene.refused(connect, KeyDisabledError, "Re-enable the key", old)
    cloud.set_enabled(old, enabled=True)
    cloud_calls = len(cloud.calls())
    scene.granted(connect)
    opened = {call.operation for call in cloud.calls()[cloud_calls:] if parse(old).key in str(call)}
    assert opened & {"Decrypt", "UnwrapKey"}


def delete(cloud: CloudKeys, uri: str) -> None:
    """Delete a key as its owner would, so that it can still be brought back."""
    key = parse(uri)
    if key.provider == "aws":
        cloud._aws.ScheduleKeyDeletion(
            aws_kms_pb2.ScheduleKeyDeletionRequest(region=REGION, key_id=key.key, pending_window_in_days=7)
        )
    elif key.provider == "azure":
        cloud._azure.DeleteKey(azure_keyvault_pb2.DeleteKeyRequest(vault=VAULT, name=key.key))
    else:
        version = f"{key.key}/cryptoKeyVersions/{key.version or 1}"
        request = service_pb2.DestroyCryptoKeyVersionRequest(name=version)
        cloud._google("DestroyCryptoKeyVersion", request, resources_pb2.CryptoKeyVersion)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_deleted_key_can_be_brought_back_until_it_is_gone_for_good(
    tmp_path: Path, emulator: KmsEmulator, cloud: CloudKeys, provider: str
) -> None:
    connect = connector(emulator.grpc_endpoint)
    old, new = (cloud.create(provider, name) for name in ("old", "new"))
    scene = Scene.make(tmp_path, old, new, connect)
    delete(cloud, old)
    with pytest.raises(KmsError) as caught:
        scene.forms(connect)["new"]()
    if provider == "azure":  # a vault over gRPC says of a deleted key that it is not there
        assert isinstance(caught.value, KeyNotFoundError | KeyPendingDeletionError)
    else:
        scene.refused(connect, KeyPendingDeletionError, "Cancel the deletion of the key")
    emulator.clock.advance(days=100)
    with pytest.raises((KeyNotFoundError, KeyDestroyedError)) as gone:
        scene.forms(connect)["new"]()
    scene.refused(connect, type(gone.value), "final")


@pytest.mark.row("R89")
def test_a_missing_permission_is_named(tmp_path: Path, emulator: KmsEmulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """The caller may use the new key, and only encrypt with the old one."""
    with closing(emulator.boto3_client()) as client:
        old, new = (f"aws://{REGION}/{client.create_key()['KeyMetadata']['KeyId']}" for _ in range(2))
    everything = connector(emulator.aws_endpoint)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "nobody")
    scene = Scene.make(tmp_path, old, new, everything)
    allowed = {"Effect": "Allow", "Action": "kms:*", "Resource": "*"}
    denied = {"Effect": "Deny", "Action": "kms:Decrypt", "Resource": f"arn:aws:kms:*:*:key/{parse(old).key}"}
    alice = emulator.users.put("alice", policy={"Version": "2012-10-17", "Statement": [allowed, denied]})
    (tmp_path / "credentials.toml").write_text(
        f'[alice]\nprovider = "aws"\naccess_key_id = "{alice.access_key_id}"\n'
        f'secret_access_key = "{alice.secret_access_key}"\n'
    )
    connect = connector(
        emulator.aws_endpoint, credentials=credentials_file.load(tmp_path / "credentials.toml", "alice")
    )
    scene.refused(connect, KmsPermissionError, "kms:Decrypt", "Give the permission back")
    emulator.users.put("alice", policy={"Version": "2012-10-17", "Statement": [allowed]})
    scene.granted(connect)


def test_an_unreachable_kms_is_worth_another_try(tmp_path: Path, emulator: KmsEmulator, cloud: CloudKeys) -> None:
    connect = connector(emulator.grpc_endpoint)
    scene = Scene.make(tmp_path, cloud.create("gcp", "old"), cloud.create("gcp", "new"), connect)
    away = connector("127.0.0.1:9")
    scene.refused(away, KmsUnreachableError, "Restore again once the KMS can be reached", open_with=connect)
    scene.granted(connect)


@pytest.mark.parametrize("theirs", [*PROVIDERS, "local"])
@pytest.mark.parametrize("ours", ["aws", "local"])
def test_a_snapshot_goes_into_a_node_under_the_same_provider_only(
    tmp_path: Path, emulator: KmsEmulator, cloud: CloudKeys, theirs: str, ours: str, cmk: str
) -> None:
    connect = connector(emulator.grpc_endpoint)
    old, new = (cmk if name == "local" else cloud.create(name, f"k{at}") for at, name in enumerate((theirs, ours)))
    scene = Scene.make(tmp_path, old, new, connect)
    calls = len(cloud.calls())
    if theirs == ours:
        scene.forms(connect)["into"]()
        return
    before = state_of(tmp_path / "node")
    with pytest.raises(SnapshotProviderError, match=r"Nothing was restored; restore into a node under a key") as caught:
        scene.forms(connect)["into"]()
    said = str(caught.value)
    if theirs == "local":
        assert "without a customer key" in said
    elif ours == "local":
        assert f"customer key at {theirs}" in said
    else:
        assert f"at {theirs}" in said
        assert f"at {ours}" in said
    assert state_of(tmp_path / "node") == before
    asked = [call for call in cloud.calls()[calls:] if call.provider == theirs and theirs != ours]
    assert asked == []
