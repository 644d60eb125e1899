"""The Azure shape over a real socket: versions, soft delete, RSA that interoperates, errors in Azure's words."""

import grpc
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from keystore_api.admin.v1 import admin_pb2
from keystore_api.admin.v1.admin_pb2_grpc import AdminStub
from keystore_api.azure_keyvault.v1 import azure_keyvault_pb2 as pb
from keystore_api.azure_keyvault.v1.azure_keyvault_pb2_grpc import AzureKeyVaultStub

from tests.emulator.running import refused

DAY_S = 86_400
VAULT = "contoso"


def create(azure: AzureKeyVaultStub, name: str = "cmk", attributes: pb.KeyAttributes | None = None) -> str:
    bundle = azure.CreateKey(pb.CreateKeyRequest(vault=VAULT, name=name, attributes=attributes))
    return bundle.key.kid.rpartition("/")[2]


def operation(value: bytes, version: str = "", alg: str = "RSA-OAEP-256", name: str = "cmk") -> pb.KeyOperationRequest:
    return pb.KeyOperationRequest(vault=VAULT, name=name, version=version, alg=alg, value=value)


def switch(azure: AzureKeyVaultStub, version: str, *, enabled: bool) -> pb.KeyBundle:
    attributes = pb.KeyAttributes(enabled=enabled)
    return azure.UpdateKey(pb.UpdateKeyRequest(vault=VAULT, name="cmk", version=version, attributes=attributes))


def get(azure: AzureKeyVaultStub, version: str = "") -> pb.KeyBundle:
    return azure.GetKey(pb.GetKeyRequest(vault=VAULT, name="cmk", version=version))


def test_anybody_with_the_public_key_can_wrap(azure: AzureKeyVaultStub) -> None:
    version = create(azure)
    bundle = get(azure)
    assert bundle.key.kid == f"https://contoso.vault.azure.net/keys/cmk/{version}"
    assert (bundle.key.kty, len(bundle.key.n), bundle.attributes.enabled) == ("RSA", 256, True)
    numbers = rsa.RSAPublicNumbers(int.from_bytes(bundle.key.e, "big"), int.from_bytes(bundle.key.n, "big"))
    oaep = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)
    wrapped = numbers.public_key().encrypt(b"k" * 32, oaep)
    assert azure.UnwrapKey(operation(wrapped, version)).value == b"k" * 32


@pytest.mark.parametrize("alg", ["RSA-OAEP-256", "RSA-OAEP", "RSA1_5"])
def test_wrap_and_encrypt_round_trip(azure: AzureKeyVaultStub, alg: str) -> None:
    version = create(azure)
    wrapped = azure.WrapKey(operation(b"k" * 32, alg=alg))
    assert wrapped.kid.endswith(f"/keys/cmk/{version}")
    assert azure.UnwrapKey(operation(wrapped.value, version, alg)).value == b"k" * 32
    sealed = azure.Encrypt(operation(b"data", version, alg))
    assert azure.Decrypt(operation(sealed.value, version, alg)).value == b"data"
    other = "RSA-OAEP" if alg == "RSA-OAEP-256" else "RSA-OAEP-256"
    with refused("BadParameter"):
        azure.UnwrapKey(operation(wrapped.value, version, other))
    length_max = {"RSA-OAEP-256": 190, "RSA-OAEP": 214, "RSA1_5": 245}[alg]
    assert azure.WrapKey(operation(bytes(length_max), alg=alg)).value
    with refused("BadParameter"):
        azure.WrapKey(operation(bytes(length_max + 1), alg=alg))


def test_rotation_makes_a_version_and_old_ones_unwrap(azure: AzureKeyVaultStub) -> None:
    first = create(azure)
    wrapped = azure.WrapKey(operation(b"secret"))
    second = azure.RotateKey(pb.RotateKeyRequest(vault=VAULT, name="cmk")).key.kid.rpartition("/")[2]
    assert second != first
    assert azure.WrapKey(operation(b"secret")).kid.endswith(second)
    assert azure.UnwrapKey(operation(wrapped.value, first)).value == b"secret"
    with refused("BadParameter"):
        azure.UnwrapKey(operation(wrapped.value))
    listed = azure.ListKeyVersions(pb.ListKeyVersionsRequest(vault=VAULT, name="cmk")).value
    assert [item.kid.rpartition("/")[2] for item in listed] == [first, second]


def test_disabled_version_is_forbidden_until_enabled(azure: AzureKeyVaultStub) -> None:
    version = create(azure)
    wrapped = azure.WrapKey(operation(b"secret")).value
    assert not switch(azure, version, enabled=False).attributes.enabled
    with refused("Forbidden", "KeyDisabled") as seen:
        azure.UnwrapKey(operation(wrapped, version))
    assert seen.status is grpc.StatusCode.PERMISSION_DENIED
    assert seen.message == "Operation unwrapKey is not allowed on a disabled key."
    with refused("Forbidden", "KeyDisabled"):
        azure.WrapKey(operation(b"x"))
    with refused("Forbidden", "KeyDisabled"):
        get(azure)
    switch(azure, version, enabled=True)
    assert azure.UnwrapKey(operation(wrapped, version)).value == b"secret"


@pytest.mark.row("R61")
def test_soft_delete_recover_and_purge(azure: AzureKeyVaultStub, admin: AdminStub) -> None:
    version = create(azure)
    wrapped = azure.WrapKey(operation(b"secret")).value
    deleted = azure.DeleteKey(pb.DeleteKeyRequest(vault=VAULT, name="cmk"))
    assert deleted.recovery_id == "https://contoso.vault.azure.net/deletedkeys/cmk"
    assert deleted.scheduled_purge_date.seconds - deleted.deleted_date.seconds == 90 * DAY_S
    with refused("KeyNotFound"):
        azure.UnwrapKey(operation(wrapped, version))
    with refused("Conflict", "ObjectIsDeletedButRecoverable"):
        create(azure)
    assert not azure.ListKeys(pb.ListKeysRequest(vault=VAULT)).value
    assert len(azure.ListDeletedKeys(pb.ListDeletedKeysRequest(vault=VAULT)).value) == 1
    azure.RecoverDeletedKey(pb.RecoverDeletedKeyRequest(vault=VAULT, name="cmk"))
    assert azure.UnwrapKey(operation(wrapped, version)).value == b"secret"

    azure.DeleteKey(pb.DeleteKeyRequest(vault=VAULT, name="cmk"))
    admin.AdvanceClock(admin_pb2.AdvanceClockRequest(by=Duration(seconds=90 * DAY_S)))
    with refused("KeyNotFound"):
        azure.GetDeletedKey(pb.GetDeletedKeyRequest(vault=VAULT, name="cmk"))
    fresh = create(azure)
    with refused("BadParameter"):
        azure.UnwrapKey(operation(wrapped, fresh))

    azure.DeleteKey(pb.DeleteKeyRequest(vault=VAULT, name="cmk"))
    azure.PurgeDeletedKey(pb.PurgeDeletedKeyRequest(vault=VAULT, name="cmk"))
    with refused("KeyNotFound"):
        azure.RecoverDeletedKey(pb.RecoverDeletedKeyRequest(vault=VAULT, name="cmk"))


def test_recovery_keeps_disabled_versions_disabled(azure: AzureKeyVaultStub) -> None:
    version = create(azure)
    switch(azure, version, enabled=False)
    azure.DeleteKey(pb.DeleteKeyRequest(vault=VAULT, name="cmk"))
    recovered = azure.RecoverDeletedKey(pb.RecoverDeletedKeyRequest(vault=VAULT, name="cmk"))
    assert not recovered.attributes.enabled


def test_tampered_and_long_values_are_refused(azure: AzureKeyVaultStub) -> None:
    version = create(azure)
    wrapped = azure.WrapKey(operation(b"secret")).value
    for wrong in (wrapped[:-1], bytes([wrapped[0] ^ 1]) + wrapped[1:], b"", bytes(513)):
        with refused("BadParameter"):
            azure.UnwrapKey(operation(wrong, version))
    with refused("BadParameter"):
        azure.WrapKey(operation(bytes(191)))
    with refused("BadParameter"):
        azure.WrapKey(operation(b"x", alg="RSA1_6"))


def test_validity_stops_wrapping_and_not_unwrapping(azure: AzureKeyVaultStub, admin: AdminStub) -> None:
    now = admin.GetClock(admin_pb2.GetClockRequest()).now.seconds
    limits = pb.KeyAttributes(nbf=Timestamp(seconds=now + DAY_S), exp=Timestamp(seconds=now + 3 * DAY_S))
    version = create(azure, attributes=limits)
    with refused("Forbidden", "KeyNotYetValid"):
        azure.WrapKey(operation(b"x"))
    admin.AdvanceClock(admin_pb2.AdvanceClockRequest(by=Duration(seconds=2 * DAY_S)))
    wrapped = azure.WrapKey(operation(b"secret")).value
    admin.AdvanceClock(admin_pb2.AdvanceClockRequest(by=Duration(seconds=2 * DAY_S)))
    with refused("Forbidden", "KeyExpired"):
        azure.WrapKey(operation(b"x"))
    assert azure.UnwrapKey(operation(wrapped, version)).value == b"secret"


def test_key_operations_are_enforced(azure: AzureKeyVaultStub) -> None:
    azure.CreateKey(pb.CreateKeyRequest(vault=VAULT, name="cmk", key_ops=["wrapKey"]))
    wrapped = azure.WrapKey(operation(b"secret")).value
    with refused("Forbidden"):
        azure.UnwrapKey(operation(wrapped))
    with refused("BadParameter"):
        azure.CreateKey(pb.CreateKeyRequest(vault=VAULT, name="other", key_ops=["juggle"]))


def test_update_keeps_what_is_not_named(azure: AzureKeyVaultStub) -> None:
    request = pb.CreateKeyRequest(vault=VAULT, name="cmk", key_ops=["wrapKey"], tags={"team": "red"})
    azure.CreateKey(request)
    changed = azure.UpdateKey(pb.UpdateKeyRequest(vault=VAULT, name="cmk", tags={"team": "blue"}))
    assert (dict(changed.tags), list(changed.key.key_ops), changed.attributes.enabled) == (
        {"team": "blue"},
        ["wrapKey"],
        True,
    )


def test_names_ignore_case_and_keep_it(azure: AzureKeyVaultStub) -> None:
    version = create(azure, "MyKey")
    found = azure.GetKey(pb.GetKeyRequest(vault="CONTOSO", name="mykey", version=version.upper()))
    assert found.key.kid == f"https://contoso.vault.azure.net/keys/MyKey/{version}"


@pytest.mark.parametrize(("vault", "name"), [("x", "k"), ("contoso", "under_score"), ("contoso", ""), ("", "k")])
def test_bad_names(azure: AzureKeyVaultStub, vault: str, name: str) -> None:
    with refused("BadParameter"):
        azure.CreateKey(pb.CreateKeyRequest(vault=vault, name=name))


def test_unknown_key_version_and_vault(azure: AzureKeyVaultStub) -> None:
    with refused("KeyNotFound"):
        get(azure)
    create(azure)
    with refused("KeyNotFound"):
        get(azure, "0" * 32)
    with refused("KeyNotFound"):
        azure.GetKey(pb.GetKeyRequest(vault="fabrikam", name="cmk"))
    with refused("BadParameter"):
        azure.CreateKey(pb.CreateKeyRequest(vault=VAULT, name="aes", kty="oct"))
    with refused("BadParameter"):
        azure.CreateKey(pb.CreateKeyRequest(vault=VAULT, name="small", key_size=1024))
