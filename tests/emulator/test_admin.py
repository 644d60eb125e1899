"""Clock, call log, reset, health, reflection; and that no secret shows in any of them."""

import asyncio
import logging
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from keystore_api.admin.v1 import admin_pb2 as pb
from keystore_api.admin.v1.admin_pb2_grpc import AdminStub
from keystore_api.aws_kms.v1 import aws_kms_pb2
from keystore_api.aws_kms.v1.aws_kms_pb2_grpc import AwsKmsStub
from keystore_api.azure_keyvault.v1 import azure_keyvault_pb2
from keystore_api.azure_keyvault.v1.azure_keyvault_pb2_grpc import AzureKeyVaultStub

from kms_emulator import calls
from kms_emulator.calls import CallFilter, CallLog, CallRecord
from kms_emulator.core import Core
from tests.emulator.running import Running, refused

SERVICES = {
    "google.cloud.kms.v1.KeyManagementService",
    "keystore_api.admin.v1.Admin",
    "keystore_api.aws_kms.v1.AwsKms",
    "keystore_api.azure_keyvault.v1.AzureKeyVault",
}
SECRET = b"a plaintext that nobody may see"


def create(aws: AwsKmsStub) -> str:
    return aws.CreateKey(aws_kms_pb2.CreateKeyRequest()).key_metadata.key_id


def listed(admin: AdminStub, **wanted: Any) -> list[pb.Call]:
    return list(admin.ListCalls(pb.ListCallsRequest(**wanted)).calls)


def test_call_log_tells_what_happened_and_lengths_only(aws: AwsKmsStub, admin: AdminStub) -> None:
    key_id = create(aws)
    sealed = aws.Encrypt(aws_kms_pb2.EncryptRequest(key_id=key_id, plaintext=SECRET)).ciphertext_blob
    aws.Decrypt(aws_kms_pb2.DecryptRequest(ciphertext_blob=sealed))
    aws.DisableKey(aws_kms_pb2.DisableKeyRequest(key_id=key_id))
    with refused("DisabledException"):
        aws.Decrypt(aws_kms_pb2.DecryptRequest(ciphertext_blob=sealed))
    with refused("NotFoundException"):
        aws.DescribeKey(aws_kms_pb2.DescribeKeyRequest(key_id="none"))
    found = listed(admin)
    assert [(call.number, call.operation, call.outcome, call.plaintext_bytes) for call in found] == [
        (1, "CreateKey", "OK", 0),
        (2, "Encrypt", "OK", len(SECRET)),
        (3, "Decrypt", "OK", len(SECRET)),
        (4, "DisableKey", "OK", 0),
        (5, "Decrypt", "DisabledException", 0),
        (6, "DescribeKey", "NotFoundException", 0),
    ]
    assert {call.provider for call in found} == {"aws"}
    assert all(call.key.endswith(f"key/{key_id}") for call in found[:5])
    assert found[5].key == "none"
    assert found[1].key_version == found[2].key_version != ""
    assert found[1].ciphertext_bytes == found[2].ciphertext_bytes == len(sealed)
    assert SECRET not in b"".join(call.SerializeToString() for call in found)


def test_call_log_filters(aws: AwsKmsStub, azure: AzureKeyVaultStub, admin: AdminStub) -> None:
    key_id, other = create(aws), create(aws)
    azure.CreateKey(azure_keyvault_pb2.CreateKeyRequest(vault="contoso", name="cmk"))
    with refused("KeyNotFound"):
        azure.GetKey(azure_keyvault_pb2.GetKeyRequest(vault="contoso", name="none"))
    assert len(listed(admin, provider="aws")) == 2
    assert [call.number for call in listed(admin, key=other)] == [2]
    assert [call.number for call in listed(admin, operation="CreateKey", provider="azure")] == [3]
    assert [call.number for call in listed(admin, outcome="KeyNotFound")] == [4]
    assert [call.number for call in listed(admin, after_number=2, limit=1)] == [3]
    assert listed(admin, key=key_id, provider="gcp") == []
    assert admin.ListCalls(pb.ListCallsRequest(limit=1)).total == 4
    with pytest.raises(grpc.RpcError):
        listed(admin, limit=10_001)


def test_call_log_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "CALLS_KEPT_MAX", 3)
    log = CallLog()
    for number in range(5):
        log.add(CallRecord(number, "aws", "Encrypt", "k", "1", "OK", 1, 1))
    assert [call.number for call in log.select(CallFilter())] == [3, 4, 5]
    assert (log.total, log.dropped) == (5, 2)


def test_clock_moves_stands_and_goes_back(admin: AdminStub) -> None:
    start = admin.GetClock(pb.GetClockRequest())
    assert (start.frozen, start.offset.seconds) == (False, 0)
    moved = admin.AdvanceClock(pb.AdvanceClockRequest(by=Duration(seconds=90 * 86_400)))
    assert moved.offset.seconds == 90 * 86_400
    frozen = admin.SetClock(pb.SetClockRequest(now=Timestamp(seconds=1_000_000), frozen=True))
    assert (frozen.now.seconds, frozen.frozen) == (1_000_000, True)
    assert admin.GetClock(pb.GetClockRequest()).now == frozen.now
    later = admin.AdvanceClock(pb.AdvanceClockRequest(by=Duration(seconds=5)))
    assert (later.now.seconds, later.frozen) == (1_000_005, True)
    back = admin.SetClock(pb.SetClockRequest())
    assert (back.frozen, back.offset.seconds) == (False, 0)


@pytest.mark.parametrize(
    "request_", [pb.AdvanceClockRequest(by=Duration(seconds=-1)), pb.AdvanceClockRequest(by=Duration(seconds=1 << 40))]
)
def test_clock_refuses_nonsense(admin: AdminStub, request_: pb.AdvanceClockRequest) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        admin.AdvanceClock(request_)
    assert isinstance(caught.value, grpc.Call)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert admin.GetClock(pb.GetClockRequest()).offset.seconds == 0


def test_new_keys_carry_the_virtual_time(aws: AwsKmsStub, admin: AdminStub) -> None:
    admin.SetClock(pb.SetClockRequest(now=Timestamp(seconds=4_000_000_000), frozen=True))
    created = aws.CreateKey(aws_kms_pb2.CreateKeyRequest()).key_metadata.creation_date
    assert created.seconds == 4_000_000_000


def test_reset_removes_everything(running: Running, aws: AwsKmsStub, admin: AdminStub) -> None:
    key_id = create(aws)
    aws.CreateAlias(aws_kms_pb2.CreateAliasRequest(alias_name="alias/x", target_key_id=key_id))
    admin.AdvanceClock(pb.AdvanceClockRequest(by=Duration(seconds=5)))
    assert admin.GetServerInfo(pb.GetServerInfoRequest()).key_count == 1
    admin.Reset(pb.ResetRequest())
    assert admin.GetServerInfo(pb.GetServerInfoRequest()).key_count == 0
    assert (listed(admin), admin.GetClock(pb.GetClockRequest()).offset.seconds) == ([], 0)
    assert not aws.ListAliases(aws_kms_pb2.ListAliasesRequest()).aliases
    assert running.core.calls.total == 1


def test_health_of_each_service(running: Running) -> None:
    health = health_pb2_grpc.HealthStub(running.channel)
    for name in ("", *SERVICES):
        reply = health.Check(health_pb2.HealthCheckRequest(service=name))
        assert reply.status == health_pb2.HealthCheckResponse.SERVING
    with pytest.raises(grpc.RpcError):
        health.Check(health_pb2.HealthCheckRequest(service="unknown"))


def test_reflection_describes_every_service_under_its_real_name(running: Running) -> None:
    stub = reflection_pb2_grpc.ServerReflectionStub(running.channel)

    def ask(**what: str) -> reflection_pb2.ServerReflectionResponse:
        return next(iter(stub.ServerReflectionInfo(iter([reflection_pb2.ServerReflectionRequest(**what)]))))

    listed_names = {service.name for service in ask(list_services="").list_services_response.service}
    assert listed_names >= SERVICES
    for name in listed_names:
        reply = ask(file_containing_symbol=name)
        assert not reply.HasField("error_response"), name
        assert reply.file_descriptor_response.file_descriptor_proto
    google = ask(file_containing_symbol="google.cloud.kms.v1.KeyManagementService")
    files = [FileDescriptorProto.FromString(raw) for raw in google.file_descriptor_response.file_descriptor_proto]
    assert b"keystore_api" not in b"".join(file.SerializeToString() for file in files)
    described = next(file for file in files if file.service)
    encrypt = next(method for method in described.service[0].method if method.name == "Encrypt")
    assert encrypt.input_type == ".google.cloud.kms.v1.EncryptRequest"


def test_rsa_generation_stalls_nobody(running: Running, aws: AwsKmsStub, azure: AzureKeyVaultStub) -> None:
    request = azure_keyvault_pb2.CreateKeyRequest(vault="contoso", name="big", key_size=4096)
    creating = azure.CreateKey.future(request)
    answered = 0
    for _ in range(100_000):
        if creating.done():
            break
        create(aws)
        answered += 1
    assert len(creating.result().key.n) == 512
    assert answered > 0


def test_fault_inside_shows_no_contents(
    running: Running, aws: AwsKmsStub, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    key_id = create(aws)

    class Broken:
        def seal(self, _named: object, plaintext: bytes, *_rest: object) -> bytes:
            raise ValueError(plaintext)

    for place in running.core.registry._materials:
        monkeypatch.setitem(running.core.registry._materials, place, Broken())
    with caplog.at_level(logging.DEBUG), refused("InternalError") as seen:
        aws.Encrypt(aws_kms_pb2.EncryptRequest(key_id=key_id, plaintext=SECRET))
    assert seen.status is grpc.StatusCode.INTERNAL
    assert "ValueError" in caplog.text
    assert SECRET.decode() not in caplog.text + seen.message
    assert [call.outcome for call in running.core.calls.select(CallFilter())] == ["OK", "InternalError"]


def test_state_and_objects_show_no_material(running: Running, aws: AwsKmsStub) -> None:
    create(aws)
    registry = running.core.registry
    [material] = registry._materials.values()
    secret = material.to_stored()
    shown = " ".join(map(repr, (registry, registry.keys("aws"), registry._materials, running.core, running.server)))
    assert secret.hex() not in shown
    assert repr(secret)[2:-1] not in shown


def test_second_server_on_a_port_is_refused(running: Running) -> None:
    from kms_emulator.server import PortError, start

    second = start(Core(), "127.0.0.1", running.server.port)
    with pytest.raises(PortError, match="in use"):
        asyncio.run_coroutine_threadsafe(second, running.loop).result(30)
