"""Faults over gRPC, in the words of the three clouds, and from the command line."""

import json
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from google.protobuf.message import Message
from keystore_api.admin.v1 import admin_pb2
from keystore_api.admin.v1.admin_pb2_grpc import AdminStub
from keystore_api.aws_kms.v1 import aws_kms_pb2
from keystore_api.aws_kms.v1.aws_kms_pb2_grpc import AwsKmsStub
from keystore_api.azure_keyvault.v1 import azure_keyvault_pb2
from keystore_api.azure_keyvault.v1.azure_keyvault_pb2_grpc import AzureKeyVaultStub
from keystore_api.google_kms.v1 import service_pb2

from kms_emulator.cli.exits import NOT_FOUND, USAGE
from kms_emulator.embedded import KmsEmulator
from tests.emulator.running import refused, run_cli, wait_until

RING = "projects/p/locations/l/keyRings/r"
NAME = f"{RING}/cryptoKeys/k"
GOOGLE = "/google.cloud.kms.v1.KeyManagementService/"
TIMEOUT_S = 30.0
S = grpc.StatusCode


def ask(channel: grpc.Channel, provider: str) -> None:
    """Ask a cloud for one key that there is not."""
    if provider == "aws":
        AwsKmsStub(channel).DescribeKey(aws_kms_pb2.DescribeKeyRequest(key_id="k"), timeout=TIMEOUT_S)
    elif provider == "azure":
        request = azure_keyvault_pb2.GetKeyRequest(vault="contoso", name="k")
        AzureKeyVaultStub(channel).GetKey(request, timeout=TIMEOUT_S)
    else:
        google(channel, "GetCryptoKey", service_pb2.GetCryptoKeyRequest(name=NAME))


def google(channel: grpc.Channel, operation: str, request: Message) -> None:
    """Ask Google, whose service has another name than the messages' package."""
    call: grpc.UnaryUnaryMultiCallable[Message, bytes] = channel.unary_unary(
        f"{GOOGLE}{operation}", lambda message: message.SerializeToString(), lambda data: data
    )
    call(request, timeout=TIMEOUT_S)


@pytest.mark.parametrize(
    ("provider", "kind", "code", "inner", "status"),
    [
        ("aws", "unavailable", "ServiceUnavailable", "", S.UNAVAILABLE),
        ("aws", "throttle", "ThrottlingException", "", S.RESOURCE_EXHAUSTED),
        ("aws", "expired-credentials", "ExpiredTokenException", "", S.UNAUTHENTICATED),
        ("aws", "addresses", "AccessDeniedException", "", S.PERMISSION_DENIED),
        ("aws", "error", "NotFoundException", "", S.NOT_FOUND),
        ("azure", "unavailable", "ServiceUnavailable", "", S.UNAVAILABLE),
        ("azure", "throttle", "Throttled", "VaultRequestTypeLimitReached", S.RESOURCE_EXHAUSTED),
        ("azure", "expired-credentials", "Unauthorized", "", S.UNAUTHENTICATED),
        ("azure", "addresses", "Forbidden", "ForbiddenByFirewall", S.PERMISSION_DENIED),
        ("azure", "error", "Conflict", "", S.ALREADY_EXISTS),
        ("gcp", "unavailable", "UNAVAILABLE", "", S.UNAVAILABLE),
        ("gcp", "throttle", "RESOURCE_EXHAUSTED", "", S.RESOURCE_EXHAUSTED),
        ("gcp", "expired-credentials", "UNAUTHENTICATED", "", S.UNAUTHENTICATED),
        ("gcp", "addresses", "PERMISSION_DENIED", "", S.PERMISSION_DENIED),
        ("gcp", "error", "ABORTED", "", S.ABORTED),
    ],
)
def test_each_cloud_has_its_own_words(
    kms_emulator: KmsEmulator, channel: grpc.Channel, provider: str, kind: str, code: str, inner: str, status: S
) -> None:
    fields: dict[str, dict[str, object]] = {"addresses": {"networks": ["10.0.0.0/8"]}, "error": {"code": code}}
    kms_emulator.faults.add(kind, provider=provider, **fields.get(kind, {}))
    with refused(code, inner) as seen:
        ask(channel, provider)
    assert seen.status is status
    kms_emulator.faults.clear()
    with pytest.raises(grpc.RpcError) as caught:
        ask(channel, provider)
    assert isinstance(caught.value, grpc.Call)
    assert caught.value.code() is S.NOT_FOUND


def test_azure_says_when_to_come_back(kms_emulator: KmsEmulator, channel: grpc.Channel) -> None:
    kms_emulator.faults.add("throttle", retry_after_s=7)
    with pytest.raises(grpc.RpcError) as caught:
        ask(channel, "azure")
    assert isinstance(caught.value, grpc.Call)
    assert ("retry-after", "7") in [tuple(pair) for pair in caught.value.trailing_metadata()]


@pytest.mark.parametrize("provider", ["aws", "azure", "gcp"])
def test_closed_and_hanging_connections(kms_emulator: KmsEmulator, channel: grpc.Channel, provider: str) -> None:
    number = kms_emulator.faults.add("close", provider=provider)
    with pytest.raises(grpc.RpcError) as caught:
        ask(channel, provider)
    assert isinstance(caught.value, grpc.Call)
    assert caught.value.code() is S.UNAVAILABLE
    kms_emulator.faults.remove(number)
    kms_emulator.faults.add("hang", provider=provider)
    with ThreadPoolExecutor(1) as pool:
        pending = pool.submit(ask, channel, provider)
        wait_until(lambda: [call.outcome for call in kms_emulator.calls()] == ["ConnectionClosed", "Hung"])
        assert not pending.done()
        kms_emulator.faults.clear()
        error = pending.exception(TIMEOUT_S)
    assert isinstance(error, grpc.Call)
    assert error.code() is S.UNAVAILABLE


@pytest.mark.parametrize(
    ("provider", "key"),
    [("azure", "contoso.vault.azure.net/keys/k"), ("azure", "k"), ("gcp", NAME), ("gcp", "cryptoKeys/k"), ("gcp", "k")],
)
def test_keys_of_azure_and_google(kms_emulator: KmsEmulator, channel: grpc.Channel, provider: str, key: str) -> None:
    kms_emulator.faults.add("close", key=f"{key}2")
    kms_emulator.faults.add("throttle", key=key)
    with pytest.raises(grpc.RpcError) as caught:
        ask(channel, provider)
    assert isinstance(caught.value, grpc.Call)
    assert caught.value.code() is S.RESOURCE_EXHAUSTED


def test_google_s_versions_belong_to_their_key(kms_emulator: KmsEmulator, channel: grpc.Channel) -> None:
    kms_emulator.faults.add("throttle", key=NAME)
    request = service_pb2.DestroyCryptoKeyVersionRequest(name=f"{NAME}/cryptoKeyVersions/1")
    with refused("RESOURCE_EXHAUSTED"):
        google(channel, "DestroyCryptoKeyVersion", request)


def test_admin_itself_never_fails(kms_emulator: KmsEmulator, channel: grpc.Channel) -> None:
    kms_emulator.faults.add("close")
    assert len(AdminStub(channel).ListFaults(admin_pb2.ListFaultsRequest()).faults) == 1
    reply = AdminStub(channel).RemoveFaults(admin_pb2.RemoveFaultsRequest())
    assert reply.removed == 1


def test_command_line(kms_emulator: KmsEmulator) -> None:
    here = kms_emulator.grpc_endpoint

    def run(*arguments: str, code: int = 0) -> str:
        done = run_cli("fault", *arguments, endpoint=here)
        assert done.returncode == code, done.stderr
        return done.stdout or done.stderr

    assert (
        run("add", "throttle", "--provider", "aws", "--operation", "Decrypt", "--first", "2", "--count", "3") == "1\n"
    )
    added = json.loads(run("add", "latency", "--delay", "1.5", "--until", "2030-01-01T00:00:00Z", "--json"))
    assert (added["number"], added["delay"], added["until_time"]) == (2, 1.5, "2030-01-01T00:00:00Z")
    assert run("add", "latency", "--delay", "2m", "--json").count('"delay": 120.0') == 1
    assert run("add", "addresses", "--network", "10.0.0.0/8", "--network", "::1") == "4\n"
    rows = [line.split() for line in run("list").splitlines()]
    assert rows[1] == ["1", "throttle", "aws", "Decrypt", "all", "0", "of", "3", "0"]
    assert len(json.loads(run("list", "--json"))["faults"]) == 4
    assert "needs a delay" in run("add", "latency", code=USAGE)
    assert "until_time" in run("add", "close", "--until", "soon", code=USAGE)
    assert run("remove", "1", "2") == "2 removed.\n"
    assert "there is no fault 9" in run("remove", "9", code=NOT_FOUND)
    run("remove", code=USAGE)
    assert json.loads(run("remove", "--all", "--json")) == {"removed": 2}
