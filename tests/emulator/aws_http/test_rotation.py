"""Rotation through boto3: on its days, on demand, and what it leaves behind. Time is the virtual clock's."""

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from kms_emulator.clock import ClockSetting
from kms_emulator.wire.times import DAY_NS, SECOND_NS
from tests.emulator.aws_http.clients import client, refused
from tests.emulator.running import Running

if TYPE_CHECKING:
    from mypy_boto3_kms import KMSClient

START_NS = 1_800_000_000 * SECOND_NS


class Time:
    """The emulator's clock, standing still until a test moves it."""

    def __init__(self, running: Running) -> None:
        self._core, self._now_ns = running.core, START_NS
        self.pass_days(0)

    def pass_days(self, days: float) -> None:
        self._now_ns += int(days * DAY_NS)
        self._core.set_clock(ClockSetting(0, self._now_ns))


@pytest.fixture
def clock(running: Running) -> Time:
    return Time(running)


@pytest.fixture
def key_id(clock: Time, kms: "KMSClient") -> str:
    return kms.create_key()["KeyMetadata"]["KeyId"]


def rotations(kms: "KMSClient", key_id: str) -> list[Any]:
    return list(kms.list_key_rotations(KeyId=key_id)["Rotations"])


def test_it_is_off_until_enabled(kms: "KMSClient", key_id: str) -> None:
    status = kms.get_key_rotation_status(KeyId=key_id)
    assert (status["KeyRotationEnabled"], "RotationPeriodInDays" in status, "NextRotationDate" in status) == (
        False,
        False,
        False,
    )


def test_400_days_at_90_days(kms: "KMSClient", key_id: str, clock: Time) -> None:
    kms.enable_key_rotation(KeyId=key_id, RotationPeriodInDays=90)
    created = kms.describe_key(KeyId=key_id)["KeyMetadata"]["CreationDate"]
    sealed = []
    for _ in range(5):
        sealed.append(kms.encrypt(KeyId=key_id, Plaintext=b"secret")["CiphertextBlob"])
        clock.pass_days(80)
    found = rotations(kms, key_id)
    assert [entry["RotationDate"] - created for entry in found] == [timedelta(days=90 * n) for n in (4, 3, 2, 1)]
    assert {entry["RotationType"] for entry in found} == {"AUTOMATIC"}
    opened = [kms.decrypt(CiphertextBlob=blob) for blob in sealed]
    assert {reply["Plaintext"] for reply in opened} == {b"secret"}
    # Days 0 and 80, 160, 240, 320: one ciphertext for each material but the last.
    assert len({reply["KeyMaterialId"] for reply in opened}) == 4
    status = kms.get_key_rotation_status(KeyId=key_id)
    assert (status["RotationPeriodInDays"], status["NextRotationDate"] - created) == (90, timedelta(days=450))


def test_period_is_a_year_if_none_is_given(kms: "KMSClient", key_id: str, clock: Time) -> None:
    kms.enable_key_rotation(KeyId=key_id)
    assert kms.get_key_rotation_status(KeyId=key_id)["RotationPeriodInDays"] == 365
    clock.pass_days(364.9)
    assert rotations(kms, key_id) == []
    clock.pass_days(0.1)
    assert len(rotations(kms, key_id)) == 1


def test_new_period_counts_from_its_day(kms: "KMSClient", key_id: str, clock: Time) -> None:
    kms.enable_key_rotation(KeyId=key_id, RotationPeriodInDays=100)
    clock.pass_days(50)
    kms.enable_key_rotation(KeyId=key_id, RotationPeriodInDays=100)
    clock.pass_days(50)
    assert len(rotations(kms, key_id)) == 1
    clock.pass_days(50)
    kms.enable_key_rotation(KeyId=key_id, RotationPeriodInDays=90)
    clock.pass_days(89)
    assert len(rotations(kms, key_id)) == 1
    clock.pass_days(1)
    assert len(rotations(kms, key_id)) == 2


@pytest.mark.parametrize("days", [89, 2561, 0, -1])
def test_period_is_90_to_2560_days(raw_kms: "KMSClient", key_id: str, days: int) -> None:
    with refused("ValidationException") as seen:
        raw_kms.enable_key_rotation(KeyId=key_id, RotationPeriodInDays=days)
    assert f"Value '{days}' at 'rotationPeriodInDays' failed to satisfy constraint" in seen.message


def test_it_ends_when_disabled(kms: "KMSClient", key_id: str, clock: Time) -> None:
    kms.enable_key_rotation(KeyId=key_id)
    kms.disable_key_rotation(KeyId=key_id)
    clock.pass_days(1000)
    assert (rotations(kms, key_id), kms.get_key_rotation_status(KeyId=key_id)["KeyRotationEnabled"]) == ([], False)


def test_disabled_key_rotates_once_when_it_is_enabled(kms: "KMSClient", key_id: str, clock: Time) -> None:
    kms.enable_key_rotation(KeyId=key_id, RotationPeriodInDays=100)
    kms.disable_key(KeyId=key_id)
    clock.pass_days(350)
    assert kms.get_key_rotation_status(KeyId=key_id)["KeyRotationEnabled"] is True
    assert rotations(kms, key_id) == []
    kms.enable_key(KeyId=key_id)
    assert len(rotations(kms, key_id)) == 1
    clock.pass_days(99)
    assert len(rotations(kms, key_id)) == 1
    clock.pass_days(1)
    assert len(rotations(kms, key_id)) == 2


def test_key_pending_deletion_does_not_rotate(kms: "KMSClient", key_id: str, clock: Time) -> None:
    kms.enable_key_rotation(KeyId=key_id, RotationPeriodInDays=90)
    clock.pass_days(80)
    kms.schedule_key_deletion(KeyId=key_id, PendingWindowInDays=30)
    assert kms.get_key_rotation_status(KeyId=key_id)["KeyRotationEnabled"] is False
    clock.pass_days(20)
    assert rotations(kms, key_id) == []
    kms.cancel_key_deletion(KeyId=key_id)
    assert kms.get_key_rotation_status(KeyId=key_id)["KeyRotationEnabled"] is True
    kms.enable_key(KeyId=key_id)
    assert len(rotations(kms, key_id)) == 1


def test_on_demand_leaves_the_schedule_alone(kms: "KMSClient", key_id: str, clock: Time) -> None:
    kms.enable_key_rotation(KeyId=key_id, RotationPeriodInDays=90)
    clock.pass_days(60)
    assert kms.rotate_key_on_demand(KeyId=key_id)["KeyId"] == key_id
    clock.pass_days(30)
    assert [entry["RotationType"] for entry in rotations(kms, key_id)] == ["AUTOMATIC", "ON_DEMAND"]


def test_on_demand_is_refused_just_before_an_automatic_one(kms: "KMSClient", key_id: str, clock: Time) -> None:
    kms.enable_key_rotation(KeyId=key_id, RotationPeriodInDays=90)
    clock.pass_days(90 - 15 / 1440)
    with refused("ConflictException"):
        kms.rotate_key_on_demand(KeyId=key_id)
    clock.pass_days(1)
    kms.rotate_key_on_demand(KeyId=key_id)


def test_automatic_rotations_do_not_count_towards_the_limit(kms: "KMSClient", key_id: str, clock: Time) -> None:
    kms.enable_key_rotation(KeyId=key_id, RotationPeriodInDays=90)
    clock.pass_days(900)
    for _ in range(25):
        kms.rotate_key_on_demand(KeyId=key_id)
    with refused("LimitExceededException"):
        kms.rotate_key_on_demand(KeyId=key_id)
    assert len(rotations(kms, key_id)) == 35


@pytest.mark.parametrize(("spec", "usage"), [("HMAC_256", "GENERATE_VERIFY_MAC"), ("ECC_NIST_P256", "SIGN_VERIFY")])
def test_only_symmetric_keys_rotate(kms: "KMSClient", spec: Any, usage: Any) -> None:
    key_id = kms.create_key(KeySpec=spec, KeyUsage=usage)["KeyMetadata"]["KeyId"]
    for operation in (
        kms.enable_key_rotation,
        kms.disable_key_rotation,
        kms.rotate_key_on_demand,
        kms.list_key_rotations,
    ):
        with refused("UnsupportedOperationException"):
            operation(KeyId=key_id)
    assert kms.get_key_rotation_status(KeyId=key_id)["KeyRotationEnabled"] is False


def test_aws_managed_keys_rotate_every_year(kms: "KMSClient", clock: Time) -> None:
    key_id = kms.describe_key(KeyId="alias/aws/ebs")["KeyMetadata"]["KeyId"]
    assert kms.get_key_rotation_status(KeyId=key_id)["KeyRotationEnabled"] is True
    clock.pass_days(731)
    assert len(rotations(kms, key_id)) == 2
    with refused("AccessDeniedException"):
        kms.disable_key_rotation(KeyId=key_id)


def test_replica_follows_its_primary(kms: "KMSClient", url: str, clock: Time) -> None:
    key_id = kms.create_key(MultiRegion=True)["KeyMetadata"]["KeyId"]
    kms.replicate_key(KeyId=key_id, ReplicaRegion="eu-west-1")
    replica = client(url, "eu-west-1")
    kms.enable_key_rotation(KeyId=key_id, RotationPeriodInDays=90)
    assert replica.get_key_rotation_status(KeyId=key_id)["RotationPeriodInDays"] == 90
    with refused("UnsupportedOperationException"):
        replica.enable_key_rotation(KeyId=key_id)
    clock.pass_days(91)
    sealed = kms.encrypt(KeyId=key_id, Plaintext=b"secret")["CiphertextBlob"]
    assert replica.decrypt(CiphertextBlob=sealed)["Plaintext"] == b"secret"
    assert len(rotations(replica, key_id)) == 1
