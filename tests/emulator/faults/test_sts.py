"""Faults of AWS as STS's clients meet them: in its own codes, with its statuses."""

from typing import TYPE_CHECKING, Any, cast

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError

from kms_emulator.embedded import KmsEmulator

if TYPE_CHECKING:
    from mypy_boto3_sts import STSClient

ONE_TRY = Config(retries={"total_max_attempts": 1, "mode": "standard"})
ROLE = "arn:aws:iam::111122223333:role/app"


@pytest.fixture
def sts(kms_emulator: KmsEmulator) -> "STSClient":
    return cast("STSClient", kms_emulator.boto3_client("sts", config=ONE_TRY))


ERRORS: list[tuple[dict[str, Any], str, int]] = [
    ({"kind": "unavailable"}, "ServiceUnavailable", 503),
    ({"kind": "throttle"}, "Throttling", 400),
    ({"kind": "expired-credentials"}, "ExpiredToken", 403),
    ({"kind": "addresses", "networks": ["10.0.0.0/8"]}, "AccessDenied", 403),
    ({"kind": "error", "code": "RegionDisabledException", "operation": "AssumeRole"}, "RegionDisabledException", 400),
]


@pytest.mark.parametrize(("fault", "code", "status"), ERRORS)
def test_errors_are_those_of_sts(
    kms_emulator: KmsEmulator, sts: "STSClient", fault: dict[str, Any], code: str, status: int
) -> None:
    number = kms_emulator.faults.add(provider="aws", **fault)
    with pytest.raises(ClientError) as caught:
        sts.assume_role(RoleArn=ROLE, RoleSessionName="test")
    answer = caught.value.response
    assert (answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]) == (code, status)
    [call] = kms_emulator.calls(operation="AssumeRole")
    assert (call.outcome, call.fault) == (code, number)
    kms_emulator.faults.remove(number)
    assert sts.assume_role(RoleArn=ROLE, RoleSessionName="test")["Credentials"]["AccessKeyId"]


def test_a_refused_network_is_named_with_the_operation(kms_emulator: KmsEmulator, sts: "STSClient") -> None:
    kms_emulator.faults.add("addresses", networks=("10.0.0.0/8",))
    with pytest.raises(ClientError, match="not authorized to perform: sts:GetCallerIdentity with an explicit deny"):
        sts.get_caller_identity()


def test_an_outage_drops_connections_and_one_of_azure_does_not(kms_emulator: KmsEmulator, sts: "STSClient") -> None:
    kms_emulator.faults.add("close", provider="azure")
    assert sts.get_caller_identity()["Account"] == "111122223333"
    kms_emulator.faults.add("close")
    with pytest.raises(ConnectionClosedError):
        sts.get_caller_identity()
    assert [call.outcome for call in kms_emulator.calls(operation="GetCallerIdentity")] == ["OK", "ConnectionClosed"]


def test_one_operation_of_sts_leaves_the_others_alone(kms_emulator: KmsEmulator, sts: "STSClient") -> None:
    kms_emulator.faults.add("latency", operation="GetCallerIdentity", delay=0.001)
    kms_emulator.faults.add("throttle", operation="AssumeRole")
    assert sts.get_caller_identity()["Account"] == "111122223333"
    assert kms_emulator.boto3_client().list_keys()["Keys"] == []
    assert [fault["met"] for fault in kms_emulator.faults.list()] == [1, 0]
    with pytest.raises(ValueError, match="did you mean AssumeRole"):
        kms_emulator.faults.add("throttle", operation="AsumeRole")
