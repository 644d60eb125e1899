"""Google's own client, unmodified, against the emulator: the life of symmetric keys, checksums, errors."""

from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from google.api_core import exceptions
from google.cloud import kms
from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.timestamp_pb2 import Timestamp
from keystore_api.admin.v1 import admin_pb2
from keystore_api.admin.v1.admin_pb2_grpc import AdminStub

from kms_emulator.wire.gcp.crc32c import crc32c
from tests.emulator.running import Running

DAY_S = 86_400
LOCATION = "projects/p/locations/global"
RING = f"{LOCATION}/keyRings/r"
KEY = f"{RING}/cryptoKeys/k"
V1, V2 = f"{KEY}/cryptoKeyVersions/1", f"{KEY}/cryptoKeyVersions/2"
Client = Any  # its own types say protobuf where proto-plus gives datetime and int
States = kms.CryptoKeyVersion.CryptoKeyVersionState


@pytest.fixture
def client(running: Running) -> Iterator[Client]:
    transport = kms.KeyManagementServiceClient.get_transport_class("grpc")
    channel = grpc.insecure_channel(running.server.endpoint)
    client: Client = kms.KeyManagementServiceClient(transport=transport(channel=channel))
    client.create_key_ring(parent=LOCATION, key_ring_id="r", key_ring={})
    yield client
    channel.close()


def create_key(client: Client, **settings: Any) -> Any:
    described = {"purpose": kms.CryptoKey.CryptoKeyPurpose.ENCRYPT_DECRYPT, **settings}
    return client.create_crypto_key(parent=RING, crypto_key_id="k", crypto_key=described)


def switch(client: Client, name: str, state: int) -> Any:
    version = kms.CryptoKeyVersion(name=name, state=state)
    return client.update_crypto_key_version(crypto_key_version=version, update_mask=FieldMask(paths=["state"]))


def advance(admin: AdminStub, seconds: int) -> None:
    admin.AdvanceClock(admin_pb2.AdvanceClockRequest(by=Duration(seconds=seconds)))


@pytest.mark.row("R62")
def test_whole_life_with_the_unmodified_client(client: Client, admin: AdminStub) -> None:
    key = create_key(client)
    assert (key.name, key.primary.name, key.primary.state) == (KEY, V1, States.ENABLED)
    old = client.encrypt(name=KEY, plaintext=b"old")
    assert old.name == V1

    added = client.create_crypto_key_version(parent=KEY, crypto_key_version={})
    assert added.name == V2
    assert client.encrypt(name=KEY, plaintext=b"still old").name == V1
    client.update_crypto_key_primary_version(name=KEY, crypto_key_version_id="2")
    new = client.encrypt(name=KEY, plaintext=b"new")
    assert new.name == V2
    first, second = (client.decrypt(name=KEY, ciphertext=sealed.ciphertext) for sealed in (old, new))
    assert (first.plaintext, first.used_primary) == (b"old", False)
    assert (second.plaintext, second.used_primary) == (b"new", True)

    switch(client, V1, States.DISABLED)
    with pytest.raises(exceptions.FailedPrecondition, match=f"{V1} is not enabled, current state is: DISABLED"):
        client.decrypt(name=KEY, ciphertext=old.ciphertext)
    assert client.decrypt(name=KEY, ciphertext=new.ciphertext).plaintext == b"new"
    switch(client, V1, States.ENABLED)

    scheduled = client.destroy_crypto_key_version(name=V1)
    assert scheduled.state == States.DESTROY_SCHEDULED
    now = admin.GetClock(admin_pb2.GetClockRequest()).now.seconds
    assert abs(scheduled.destroy_time.timestamp() - now - 30 * DAY_S) < 60
    with pytest.raises(exceptions.FailedPrecondition, match="DESTROY_SCHEDULED"):
        client.decrypt(name=KEY, ciphertext=old.ciphertext)
    with pytest.raises(exceptions.FailedPrecondition):
        client.destroy_crypto_key_version(name=V1)
    assert client.restore_crypto_key_version(name=V1).state == States.DISABLED
    switch(client, V1, States.ENABLED)
    assert client.decrypt(name=KEY, ciphertext=old.ciphertext).plaintext == b"old"

    client.destroy_crypto_key_version(name=V1)
    advance(admin, 30 * DAY_S)
    destroyed = client.get_crypto_key_version(name=V1)
    assert (destroyed.state, bool(destroyed.destroy_event_time)) == (States.DESTROYED, True)
    for act in (client.restore_crypto_key_version, client.destroy_crypto_key_version):
        with pytest.raises(exceptions.FailedPrecondition, match="DESTROYED"):
            act(name=V1)
    with pytest.raises(exceptions.FailedPrecondition, match="DESTROYED"):
        client.decrypt(name=KEY, ciphertext=old.ciphertext)


def test_refusal_carries_googles_details(client: Client) -> None:
    create_key(client)
    switch(client, V1, States.DISABLED)
    with pytest.raises(exceptions.FailedPrecondition) as caught:
        client.encrypt(name=KEY, plaintext=b"x")
    violation = caught.value.details[0].violations[0]
    assert (violation.type, violation.subject) == ("KEY_DISABLED", V1)
    trailing = dict(caught.value.errors[0].trailing_metadata())
    assert (trailing["x-kms-error-code"], trailing["x-kms-inner-error-code"]) == ("FAILED_PRECONDITION", "KEY_DISABLED")


def test_associated_data_is_bound(client: Client) -> None:
    create_key(client)
    request = {"name": KEY, "plaintext": b"secret", "additional_authenticated_data": b"aad"}
    sealed = client.encrypt(request=request).ciphertext
    opened = {"name": KEY, "ciphertext": sealed, "additional_authenticated_data": b"aad"}
    assert client.decrypt(request=opened).plaintext == b"secret"
    for aad in (b"", b"aa", b"aad ", b"AAD"):
        with pytest.raises(exceptions.InvalidArgument, match="Decryption failed"):
            client.decrypt(request=opened | {"additional_authenticated_data": aad})


def test_changed_cut_and_foreign_ciphertexts(client: Client) -> None:
    create_key(client)
    other = client.create_crypto_key(
        parent=RING, crypto_key_id="other", crypto_key={"purpose": kms.CryptoKey.CryptoKeyPurpose.ENCRYPT_DECRYPT}
    )
    sealed = client.encrypt(name=KEY, plaintext=b"secret").ciphertext
    for wrong in (sealed[:-1], sealed[:-1] + bytes([sealed[-1] ^ 1]), b"x" * 90, b""):
        with pytest.raises(exceptions.InvalidArgument, match="Decryption failed"):
            client.decrypt(name=KEY, ciphertext=wrong)
    with pytest.raises(exceptions.InvalidArgument, match="correct CryptoKey"):
        client.decrypt(name=other.name, ciphertext=sealed)
    with pytest.raises(exceptions.InvalidArgument):
        client.decrypt(name=V1, ciphertext=sealed)


def test_checksums_are_verified_and_returned(client: Client) -> None:
    create_key(client)
    request: dict[str, Any] = {
        "name": KEY,
        "plaintext": b"secret",
        "additional_authenticated_data": b"aad",
        "plaintext_crc32c": crc32c(b"secret"),
        "additional_authenticated_data_crc32c": crc32c(b"aad"),
    }
    sealed = client.encrypt(request=request)
    assert sealed.verified_plaintext_crc32c
    assert sealed.verified_additional_authenticated_data_crc32c
    assert sealed.ciphertext_crc32c == crc32c(sealed.ciphertext)
    opening: dict[str, Any] = {
        "name": KEY,
        "ciphertext": sealed.ciphertext,
        "ciphertext_crc32c": sealed.ciphertext_crc32c,
        "additional_authenticated_data": b"aad",
    }
    assert client.decrypt(request=opening).plaintext_crc32c == crc32c(b"secret")
    for field in ("plaintext_crc32c", "additional_authenticated_data_crc32c"):
        with pytest.raises(exceptions.InvalidArgument, match=field):
            client.encrypt(request=request | {field: 1})
    with pytest.raises(exceptions.InvalidArgument, match="ciphertext_crc32c"):
        client.decrypt(request=opening | {"ciphertext_crc32c": 1})
    assert not client.encrypt(name=KEY, plaintext=b"x").verified_plaintext_crc32c


def test_key_keeps_what_the_caller_set(client: Client, admin: AdminStub) -> None:
    now = admin.GetClock(admin_pb2.GetClockRequest()).now.seconds
    key = create_key(
        client,
        labels={"team": "red"},
        destroy_scheduled_duration=Duration(seconds=2 * DAY_S),
        rotation_period=Duration(seconds=90 * DAY_S),
        next_rotation_time=Timestamp(seconds=now + 10 * DAY_S),
    )
    assert client.get_crypto_key(name=KEY) == key
    assert dict(key.labels) == {"team": "red"}
    scheduled = client.destroy_crypto_key_version(name=V1)
    assert abs(scheduled.destroy_time.timestamp() - now - 2 * DAY_S) < 60
    advance(admin, 101 * DAY_S)
    rotated = client.get_crypto_key(name=KEY)
    assert rotated.primary.name.endswith("/3")
    assert int(rotated.next_rotation_time.timestamp()) == now + 190 * DAY_S


def test_update_changes_what_the_mask_names(client: Client, admin: AdminStub) -> None:
    create_key(client, labels={"team": "red", "old": "yes"})
    now = admin.GetClock(admin_pb2.GetClockRequest()).now.seconds
    wanted = kms.CryptoKey(
        name=KEY,
        labels={"team": "blue"},
        rotation_period=Duration(seconds=DAY_S),
        next_rotation_time=Timestamp(seconds=now + DAY_S),
    )
    labels = client.update_crypto_key(crypto_key=wanted, update_mask=FieldMask(paths=["labels"]))
    assert (dict(labels.labels), bool(labels.rotation_period)) == ({"team": "blue"}, False)
    rotation = FieldMask(paths=["rotation_period", "next_rotation_time"])
    assert client.update_crypto_key(crypto_key=wanted, update_mask=rotation).rotation_period.days == 1
    ended = client.update_crypto_key(crypto_key={"name": KEY}, update_mask=rotation)
    assert (bool(ended.rotation_period), dict(ended.labels)) == (False, {"team": "blue"})
    for paths in (["purpose"], ["name"], []):
        with pytest.raises(exceptions.InvalidArgument, match="update_mask"):
            client.update_crypto_key(crypto_key=wanted, update_mask=FieldMask(paths=paths))


def test_key_without_version_cannot_encrypt(client: Client) -> None:
    request = {
        "parent": RING,
        "crypto_key_id": "k",
        "crypto_key": {"purpose": kms.CryptoKey.CryptoKeyPurpose.ENCRYPT_DECRYPT},
        "skip_initial_version_creation": True,
    }
    assert not client.create_crypto_key(request=request).primary.name
    with pytest.raises(exceptions.FailedPrecondition, match="no primary version"):
        client.encrypt(name=KEY, plaintext=b"x")
    client.create_crypto_key_version(parent=KEY, crypto_key_version={})
    client.update_crypto_key_primary_version(name=KEY, crypto_key_version_id="1")
    assert client.encrypt(name=KEY, plaintext=b"x").name == V1


def test_lists(client: Client) -> None:
    create_key(client)
    for number in range(5):
        client.create_crypto_key_version(parent=KEY, crypto_key_version={})
        client.create_key_ring(parent=LOCATION, key_ring_id=f"ring-{number}", key_ring={})
    pages = client.list_crypto_key_versions(request={"parent": KEY, "page_size": 4})
    assert [version.name.rpartition("/")[2] for version in pages] == ["1", "2", "3", "4", "5", "6"]
    assert [key.name for key in client.list_crypto_keys(parent=RING)] == [KEY]
    assert len(list(client.list_key_rings(request={"parent": LOCATION, "page_size": 2}))) == 6
    with pytest.raises(exceptions.MethodNotImplemented):
        list(client.list_crypto_keys(request={"parent": RING, "filter": "primary.state=ENABLED"}))


def test_names_that_exist_or_do_not(client: Client) -> None:
    create_key(client)
    with pytest.raises(exceptions.AlreadyExists):
        create_key(client)
    with pytest.raises(exceptions.AlreadyExists):
        client.create_key_ring(parent=LOCATION, key_ring_id="r", key_ring={})
    with pytest.raises(exceptions.NotFound):
        client.get_crypto_key(name=f"{RING}/cryptoKeys/none")
    with pytest.raises(exceptions.NotFound):
        client.get_crypto_key_version(name=V2)
    with pytest.raises(exceptions.NotFound):
        client.update_crypto_key_primary_version(name=KEY, crypto_key_version_id="9")
    with pytest.raises(exceptions.NotFound):
        client.get_key_ring(name=f"{LOCATION}/keyRings/none")
    with pytest.raises(exceptions.InvalidArgument):
        client.get_crypto_key(name="nonsense")
    with pytest.raises(exceptions.InvalidArgument):
        client.create_key_ring(parent=LOCATION, key_ring_id="no spaces", key_ring={})


def test_what_cannot_be_created(client: Client) -> None:
    with pytest.raises(exceptions.InvalidArgument, match="purpose"):
        create_key(client, purpose=0)
    with pytest.raises(exceptions.MethodNotImplemented):
        create_key(client, purpose=kms.CryptoKey.CryptoKeyPurpose.KEY_ENCAPSULATION)
    with pytest.raises(exceptions.InvalidArgument, match="24 hours"):
        create_key(client, destroy_scheduled_duration=Duration(seconds=60))
    with pytest.raises(exceptions.InvalidArgument, match="together"):
        create_key(client, rotation_period=Duration(seconds=DAY_S))
    with pytest.raises(exceptions.NotFound):
        client.get_crypto_key(name=KEY)


def test_fields_have_bounds(client: Client) -> None:
    create_key(client)
    largest = bytes(64 << 10)
    sealed = client.encrypt(name=KEY, plaintext=largest).ciphertext
    assert client.decrypt(name=KEY, ciphertext=sealed).plaintext == largest
    with pytest.raises(exceptions.InvalidArgument, match="plaintext"):
        client.encrypt(name=KEY, plaintext=largest + b"x")
    random = client.generate_random_bytes(location=LOCATION, length_bytes=32, protection_level=kms.ProtectionLevel.HSM)
    assert (len(random.data), random.data_crc32c) == (32, crc32c(random.data))


def test_state_can_only_be_switched(client: Client) -> None:
    create_key(client)
    with pytest.raises(exceptions.InvalidArgument):
        switch(client, V1, States.DESTROYED)
    client.destroy_crypto_key_version(name=V1)
    with pytest.raises(exceptions.FailedPrecondition):
        switch(client, V1, States.ENABLED)
