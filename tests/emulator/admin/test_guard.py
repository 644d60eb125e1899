"""The guard of keys in use: what each cloud answers, to its own unmodified client, and what is not kept."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from azure.core.exceptions import HttpResponseError
from azure.keyvault.keys import KeyClient
from botocore.exceptions import ClientError
from google.api_core import exceptions
from google.cloud import kms
from google.protobuf.field_mask_pb2 import FieldMask

from kms_emulator.cli.exits import NOT_FOUND, USAGE
from kms_emulator.core import Core
from kms_emulator.embedded import KmsEmulator
from kms_emulator.model.guard import USES_MAX, Guard
from kms_emulator.model.keys import Key, KeyKind
from kms_emulator.storage.directory import DataDir
from tests.emulator.running import run_cli

if TYPE_CHECKING:
    from mypy_boto3_kms import KMSClient

Client = Any


@contextmanager
def refused_by_aws(users: str) -> Iterator[None]:
    with pytest.raises(ClientError) as found:
        yield
    assert found.value.response["Error"]["Code"] == "KMSInvalidStateException"
    assert f"is in use by {users}." in found.value.response["Error"]["Message"]
    assert found.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400


def test_aws(kms_emulator: KmsEmulator, aws_kms_client: "KMSClient") -> None:
    key = aws_kms_client.create_key()["KeyMetadata"]
    aws_kms_client.create_alias(AliasName="alias/cmk", TargetKeyId=key["KeyId"])
    kms_emulator.guard.add("alias/cmk", "node a")
    kms_emulator.guard.add(key["Arn"], "snapshot b")
    aws_kms_client.disable_key(KeyId=key["KeyId"])  # it is off
    aws_kms_client.enable_key(KeyId=key["KeyId"])
    kms_emulator.guard.on()
    with refused_by_aws("node a, snapshot b"):
        aws_kms_client.disable_key(KeyId=key["KeyId"])
    with refused_by_aws("node a, snapshot b"):
        aws_kms_client.schedule_key_deletion(KeyId=key["KeyId"])
    assert aws_kms_client.describe_key(KeyId=key["KeyId"])["KeyMetadata"]["KeyState"] == "Enabled"
    assert [call.outcome for call in kms_emulator.calls(operation="ScheduleKeyDeletion")] == [
        "KMSInvalidStateException"
    ]
    other = aws_kms_client.create_key()["KeyMetadata"]["KeyId"]
    aws_kms_client.schedule_key_deletion(KeyId=other)
    kms_emulator.guard.remove("node a")
    with refused_by_aws("snapshot b"):
        aws_kms_client.disable_key(KeyId=key["KeyId"])
    kms_emulator.guard.remove("snapshot b")
    aws_kms_client.schedule_key_deletion(KeyId=key["KeyId"])


def test_imported_material_stays(kms_emulator: KmsEmulator, aws_kms_client: "KMSClient") -> None:
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import padding
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

    key = aws_kms_client.create_key(Origin="EXTERNAL")["KeyMetadata"]["KeyId"]
    asked = aws_kms_client.get_parameters_for_import(
        KeyId=key, WrappingAlgorithm="RSAES_OAEP_SHA_256", WrappingKeySpec="RSA_2048"
    )
    public = serialization.load_der_public_key(asked["PublicKey"])
    assert isinstance(public, RSAPublicKey)
    oaep = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)
    aws_kms_client.import_key_material(
        KeyId=key,
        ImportToken=asked["ImportToken"],
        EncryptedKeyMaterial=public.encrypt(bytes(range(32)), oaep),
        ExpirationModel="KEY_MATERIAL_DOES_NOT_EXPIRE",
    )
    kms_emulator.guard.add(key, "node")
    kms_emulator.guard.on()
    with refused_by_aws("node"):
        aws_kms_client.delete_imported_key_material(KeyId=key)
    kms_emulator.guard.off()
    aws_kms_client.delete_imported_key_material(KeyId=key)


@contextmanager
def refused_by_azure() -> Iterator[None]:
    with pytest.raises(HttpResponseError, match=r"in use by node") as found:
        yield
    assert found.value.status_code == 409
    assert found.value.response is not None
    error = json.loads(found.value.response.text())["error"]
    assert (error["code"], error["innererror"]["code"]) == ("Conflict", "KeyInUse")


def test_azure(kms_emulator: KmsEmulator, azure_key_client: KeyClient) -> None:
    first = azure_key_client.create_rsa_key("cmk")
    second = azure_key_client.create_rsa_key("cmk")
    assert first.id is not None
    kms_emulator.guard.add(first.id, "node")
    kms_emulator.guard.on()
    with refused_by_azure():
        azure_key_client.update_key_properties("cmk", first.properties.version, enabled=False)
    azure_key_client.update_key_properties("cmk", second.properties.version, enabled=False)
    with refused_by_azure():
        azure_key_client.begin_delete_key("cmk")
    kms_emulator.guard.off()
    azure_key_client.begin_delete_key("cmk").wait()
    kms_emulator.guard.on()
    with refused_by_azure():
        azure_key_client.purge_deleted_key("cmk")
    kms_emulator.guard.remove("node")
    azure_key_client.purge_deleted_key("cmk")


@pytest.fixture
def google(kms_emulator: KmsEmulator) -> Iterator[Client]:
    channel = grpc.insecure_channel(kms_emulator.grpc_endpoint)
    transport = kms.KeyManagementServiceClient.get_transport_class("grpc")
    yield kms.KeyManagementServiceClient(transport=transport(channel=channel))
    channel.close()


def test_google(kms_emulator: KmsEmulator, google: Client) -> None:
    ring = google.create_key_ring(parent="projects/p/locations/global", key_ring_id="r", key_ring={})
    settings = {"purpose": kms.CryptoKey.CryptoKeyPurpose.ENCRYPT_DECRYPT}
    key = google.create_crypto_key(parent=ring.name, crypto_key_id="k", crypto_key=settings).name
    first, second = f"{key}/cryptoKeyVersions/1", f"{key}/cryptoKeyVersions/2"
    google.create_crypto_key_version(parent=key, crypto_key_version={})
    kms_emulator.guard.add(first, "node")
    kms_emulator.guard.on()
    disabled = kms.CryptoKeyVersion(name=first, state=kms.CryptoKeyVersion.CryptoKeyVersionState.DISABLED)
    acts: list[Client] = [
        lambda: google.destroy_crypto_key_version(name=first),
        lambda: google.update_crypto_key_version(crypto_key_version=disabled, update_mask=FieldMask(paths=["state"])),
    ]
    for act in acts:
        with pytest.raises(exceptions.FailedPrecondition, match="is in use by node") as found:
            act()
        [detail] = found.value.details
        [violation] = detail.violations
        assert (violation.type, violation.subject, violation.description) == ("KEY_IN_USE", first, "node")
    google.destroy_crypto_key_version(name=second)
    kms_emulator.guard.remove("node")
    google.destroy_crypto_key_version(name=first)
    # The whole key, in use: then every version is.
    google.create_crypto_key_version(parent=key, crypto_key_version={})
    kms_emulator.guard.add(key, "somebody")
    with pytest.raises(exceptions.FailedPrecondition, match="somebody"):
        google.destroy_crypto_key_version(name=f"{key}/cryptoKeyVersions/3")


def test_time_goes_on(kms_emulator: KmsEmulator, aws_kms_client: "KMSClient") -> None:
    key = aws_kms_client.create_key()["KeyMetadata"]["KeyId"]
    aws_kms_client.schedule_key_deletion(KeyId=key, PendingWindowInDays=7)
    kms_emulator.guard.add(key, "node")
    kms_emulator.guard.on()
    kms_emulator.clock.advance(days=8)
    with pytest.raises(aws_kms_client.exceptions.NotFoundException):
        aws_kms_client.describe_key(KeyId=key)


def test_a_use_is_noted_once_and_a_reset_forgets(kms_emulator: KmsEmulator, aws_kms_client: "KMSClient") -> None:
    key = aws_kms_client.create_key()["KeyMetadata"]["KeyId"]
    assert kms_emulator.guard.add(key, "node") == kms_emulator.guard.add(key, "node") == 1
    assert kms_emulator.guard.add(key, "other") == 2
    kms_emulator.guard.remove("other")
    assert kms_emulator.guard.add(key, "other") == 3
    kms_emulator.guard.on()
    state = kms_emulator.state()["guard"]
    assert (state["on"], [use["user"] for use in state["uses"]]) == (True, ["node", "other"])
    kms_emulator.reset()
    assert kms_emulator.state()["guard"] == {"on": False, "uses": []}


def test_the_message_names_a_few_users(kms_emulator: KmsEmulator, aws_kms_client: "KMSClient") -> None:
    key = aws_kms_client.create_key()["KeyMetadata"]["KeyId"]
    for number in range(7):
        kms_emulator.guard.add(key, f"n{number}")
    kms_emulator.guard.on()
    with refused_by_aws("n0, n1, n2, n3, n4 and 2 more"):
        aws_kms_client.disable_key(KeyId=key)


@pytest.mark.parametrize(
    "key",
    [
        "alias/none",
        "00000000-0000-4000-8000-000000000000",
        "arn:aws:kms:us-east-1:111122223333:key/none",
        "https://local-vault.vault.azure.net/keys/none",
        "https://nowhere",
        "projects/p/locations/global/keyRings/r/cryptoKeys/none",
        "",
    ],
)
def test_no_such_key(kms_emulator: KmsEmulator, key: str) -> None:
    with pytest.raises(ValueError, match=r"there is no key|is not https"):
        kms_emulator.guard.add(key, "node")


def test_no_such_user(kms_emulator: KmsEmulator, aws_kms_client: "KMSClient") -> None:
    key = aws_kms_client.create_key()["KeyMetadata"]["KeyId"]
    for user in ("", "a\nb", "n" * 201):
        with pytest.raises(ValueError, match="1 to 200 characters"):
            kms_emulator.guard.add(key, user)
    with pytest.raises(ValueError, match="no use of a key with the user nobody"):
        kms_emulator.guard.remove("nobody")


def test_it_survives_the_process(tmp_path: Path) -> None:
    with DataDir(tmp_path / "data") as opened:
        core = Core(opened.store)
        key = core.registry.add_version(
            core.registry.create("aws", "us-east-1/k", KeyKind.AES_256, 0), core.registry.new_aes(), 0
        )
        core.guard.add(key, None, "k", "node")
        core.guard.switch(True)
    with DataDir(tmp_path / "data") as opened:
        guard = Core(opened.store).guard
        assert (guard.on, [use.user for use in guard.uses]) == (True, ["node"])


def test_the_uses_have_a_limit() -> None:
    core = Core()
    guard = Guard(core._store, {})
    key = Key(b"u" * 16, "aws", "us-east-1/k", KeyKind.AES_256, 0, 0)
    guard._uses = tuple(guard.add(key, None, "k", "node") for _ in range(1)) * USES_MAX
    with pytest.raises(ValueError, match="10000 uses already"):
        guard.add(key, None, "k", "other")


def test_the_command(kms_emulator: KmsEmulator, aws_kms_client: "KMSClient") -> None:
    def run(*arguments: str, code: int = 0) -> str:
        done = run_cli("guard", *arguments, endpoint=kms_emulator.grpc_endpoint)
        assert done.returncode == code, done.stderr
        return done.stdout or done.stderr

    key = aws_kms_client.create_key()["KeyMetadata"]["Arn"]
    assert run("list") == "The guard is off.\n"
    assert run("add", key, "node a") == f"node a uses {key} (number 1).\n"
    assert run("on") == "The guard is on.\n"
    assert run("list").splitlines()[-1].split("  ")[-1] == "node a"
    with refused_by_aws("node a"):
        aws_kms_client.disable_key(KeyId=key)
    assert json.loads(run("list", "--json"))["uses"][0]["key"] == key
    assert run("off") == "The guard is off.\n"
    assert run("remove", "node a") == "node a uses no key any more (1 removed).\n"
    run("remove", "node a", code=NOT_FOUND)
    run("add", "alias/none", "node a", code=NOT_FOUND)
    run("add", key, "", code=USAGE)
