"""Faults through unmodified boto3: exception classes, retries, scopes, windows, hanging; and what the log says."""

import concurrent.futures
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError, ReadTimeoutError

from kms_emulator.embedded import KmsEmulator
from tests.emulator.running import wait_until

if TYPE_CHECKING:
    from tests.emulator.faults.conftest import Client


def new_key(client: "Client") -> str:
    return client().create_key()["KeyMetadata"]["KeyId"]


@pytest.mark.parametrize(
    ("fault", "error", "code", "status"),
    [
        ({"kind": "unavailable"}, ClientError, "ServiceUnavailable", 503),
        ({"kind": "throttle"}, ClientError, "ThrottlingException", 400),
        ({"kind": "expired-credentials"}, ClientError, "ExpiredTokenException", 400),
        ({"kind": "addresses", "networks": ["10.0.0.0/8"]}, ClientError, "AccessDeniedException", 400),
        ({"kind": "error", "code": "KMSInternalException"}, ClientError, "KMSInternalException", 500),
        ({"kind": "error", "code": "DependencyTimeoutException"}, ClientError, "DependencyTimeoutException", 500),
        ({"kind": "error", "code": "DisabledException", "message": "no"}, ClientError, "DisabledException", 400),
        ({"kind": "close"}, ConnectionClosedError, "", 0),
    ],
)
def test_the_cloud_s_own_error(
    kms_emulator: KmsEmulator, client: "Client", fault: dict[str, Any], error: type[Exception], code: str, status: int
) -> None:
    key_id = new_key(client)
    number = kms_emulator.faults.add(**fault)
    with pytest.raises(error) as caught:
        client().encrypt(KeyId=key_id, Plaintext=b"secret")
    if isinstance(caught.value, ClientError):
        answer = caught.value.response
        assert (answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]) == (code, status)
    [call] = kms_emulator.calls(operation="Encrypt")
    assert (call.outcome, call.fault, call.address) == (code or "ConnectionClosed", number, "127.0.0.1")
    kms_emulator.faults.remove(number)
    assert client().encrypt(KeyId=key_id, Plaintext=b"secret")["KeyId"].endswith(key_id)


def test_modelled_errors_are_the_client_s_own_classes(kms_emulator: KmsEmulator, client: "Client") -> None:
    key_id, kms = new_key(client), client()
    kms_emulator.faults.add("error", code="KMSInternalException", message="try again")
    with pytest.raises(kms.exceptions.KMSInternalException, match="try again"):
        kms.encrypt(KeyId=key_id, Plaintext=b"secret")


@pytest.mark.parametrize("kind", ["unavailable", "throttle", "close"])
def test_retries_get_through_when_it_is_over(kms_emulator: KmsEmulator, client: "Client", kind: str) -> None:
    key_id = new_key(client)
    kms_emulator.faults.add(kind, operation="Encrypt", count=2)
    answer = client(attempts=3).encrypt(KeyId=key_id, Plaintext=b"secret")
    assert answer["ResponseMetadata"]["RetryAttempts"] == 2
    assert [call.outcome == "OK" for call in kms_emulator.calls(operation="Encrypt")] == [False, False, True]


def test_refusals_are_not_retried(kms_emulator: KmsEmulator, client: "Client") -> None:
    key_id = new_key(client)
    kms_emulator.faults.add("error", code="DisabledException")
    with pytest.raises(ClientError):
        client(attempts=5).encrypt(KeyId=key_id, Plaintext=b"secret")
    assert len(kms_emulator.calls(operation="Encrypt")) == 1


def test_nth_call_and_the_next(kms_emulator: KmsEmulator, client: "Client") -> None:
    key_id, kms = new_key(client), client()
    kms_emulator.faults.add("throttle", operation="Encrypt", first=3, count=2)
    outcomes = []
    for _ in range(6):
        try:
            kms.encrypt(KeyId=key_id, Plaintext=b"secret")
            outcomes.append("OK")
        except ClientError as error:
            outcomes.append(error.response["Error"]["Code"])
    assert outcomes == ["OK", "OK", "ThrottlingException", "ThrottlingException", "OK", "OK"]
    [fault] = kms_emulator.faults.list()
    assert (fault["seen"], fault["met"]) == (6, 2)


def test_key_is_found_by_any_name_and_in_ciphertexts(kms_emulator: KmsEmulator, client: "Client") -> None:
    kms = client()
    key_id, other = new_key(client), new_key(client)
    kms.create_alias(AliasName="alias/app", TargetKeyId=key_id)
    arn = kms.describe_key(KeyId=key_id)["KeyMetadata"]["Arn"]
    sealed = kms.encrypt(KeyId=key_id, Plaintext=b"secret")["CiphertextBlob"]
    for wanted in (key_id, arn, "alias/app"):
        kms_emulator.faults.add("throttle", key=wanted)
        for request in (
            lambda: kms.encrypt(KeyId=key_id, Plaintext=b"s"),
            lambda: kms.encrypt(KeyId="alias/app", Plaintext=b"s"),
            lambda: kms.decrypt(CiphertextBlob=sealed),
            lambda: kms.re_encrypt(CiphertextBlob=sealed, DestinationKeyId=other),
            lambda: kms.describe_key(KeyId=arn),
        ):
            with pytest.raises(ClientError, match="ThrottlingException"):
                request()
        assert kms.encrypt(KeyId=other, Plaintext=b"s")["KeyId"].endswith(other)
        assert kms.list_keys()["Keys"]
        kms_emulator.faults.clear()


def test_window_is_on_the_virtual_clock(kms_emulator: KmsEmulator, client: "Client") -> None:
    key_id, kms = new_key(client), client()
    now = kms_emulator.clock.freeze()
    kms_emulator.faults.add("unavailable", from_time=now + timedelta(hours=1), until_time=now + timedelta(hours=2))
    outcomes = []
    for _ in range(3):
        try:
            kms.encrypt(KeyId=key_id, Plaintext=b"secret")
            outcomes.append("OK")
        except ClientError as error:
            outcomes.append(error.response["Error"]["Code"])
        kms_emulator.clock.advance(hours=1)
    assert outcomes == ["OK", "ServiceUnavailable", "OK"]


def test_callers_are_told_apart(kms_emulator: KmsEmulator, client: "Client") -> None:
    new_key(client)
    kms_emulator.faults.add("expired-credentials", caller="AKIAIOSFODNN7EXAMPLE")
    theirs = client(aws_access_key_id="AKIAIOSFODNN7EXAMPLE", aws_secret_access_key="x")
    with pytest.raises(ClientError, match="ExpiredTokenException"):
        theirs.list_keys()
    assert client().list_keys()["Keys"]
    assert [call.outcome for call in kms_emulator.calls(caller="AKIAIOSFODNN7EXAMPLE")] == ["ExpiredTokenException"]


def test_other_clouds_are_not_meant(kms_emulator: KmsEmulator, client: "Client") -> None:
    kms_emulator.faults.add("close", provider="azure")
    assert new_key(client)


def test_latency_is_waited_for(kms_emulator: KmsEmulator, client: "Client") -> None:
    key_id = new_key(client)
    kms_emulator.faults.add("latency", operation="Encrypt", delay=600.0, count=1)
    with pytest.raises(ReadTimeoutError):
        client(read_timeout=0.1).encrypt(KeyId=key_id, Plaintext=b"secret")
    assert client().encrypt(KeyId=key_id, Plaintext=b"secret")["KeyId"].endswith(key_id)


def test_after_its_latency_a_call_is_done(kms_emulator: KmsEmulator, client: "Client") -> None:
    key_id = new_key(client)
    kms_emulator.faults.add("latency", operation="Encrypt", delay=0.2, count=1)
    assert client().encrypt(KeyId=key_id, Plaintext=b"secret")["KeyId"].endswith(key_id)
    assert [call.outcome for call in kms_emulator.calls(operation="Encrypt")] == ["OK"]


def test_hanging_calls_end_when_the_fault_does(kms_emulator: KmsEmulator, client: "Client") -> None:
    key_id = new_key(client)
    kms_emulator.faults.add("hang", operation="Encrypt")
    with pytest.raises(ReadTimeoutError):
        client(read_timeout=0.1).encrypt(KeyId=key_id, Plaintext=b"secret")
    with concurrent.futures.ThreadPoolExecutor() as pool:
        pending = pool.submit(client().encrypt, KeyId=key_id, Plaintext=b"secret")
        wait_until(lambda: len(kms_emulator.calls(outcome="Hung")) == 2)
        assert client().describe_key(KeyId=key_id)["KeyMetadata"]["KeyId"] == key_id
        kms_emulator.faults.clear()
        with pytest.raises(ConnectionClosedError):
            pending.result(30)
    assert client().encrypt(KeyId=key_id, Plaintext=b"secret")["KeyId"].endswith(key_id)


def test_server_ends_although_calls_hang() -> None:
    with KmsEmulator() as kms, concurrent.futures.ThreadPoolExecutor() as pool:
        kms.faults.add("hang")
        pending = pool.submit(kms.boto3_client().list_keys)
        wait_until(lambda: len(kms.calls(outcome="Hung")) == 1)
        kms.stop()
        assert pending.exception(60) is not None
