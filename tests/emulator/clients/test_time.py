"""boto3, unmodified, on a clock that is moved: what AWS does over months, in one call."""

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from keystore_api.admin.v1 import admin_pb2
from keystore_api.admin.v1.admin_pb2_grpc import AdminStub

if TYPE_CHECKING:
    from mypy_boto3_kms import KMSClient

TIMEOUT_S = 30


def advance(admin: AdminStub, days: int) -> None:
    request = admin_pb2.AdvanceClockRequest()
    request.by.FromTimedelta(timedelta(days=days))
    admin.AdvanceClock(request, timeout=TIMEOUT_S)


@pytest.mark.row("R35")
@pytest.mark.parametrize(("period", "rotations"), [(None, 1), (90, 4), (365, 1), (400, 1), (401, 0)])
def test_400_days_of_automatic_rotation(kms: "KMSClient", admin: AdminStub, period: int | None, rotations: int) -> None:
    """Each on its day, counted from when rotation was enabled; AWS's default period is 365 days."""
    key_id = kms.create_key()["KeyMetadata"]["KeyId"]
    if period is None:
        kms.enable_key_rotation(KeyId=key_id)
    else:
        kms.enable_key_rotation(KeyId=key_id, RotationPeriodInDays=period)
    days = period or 365
    first = kms.get_key_rotation_status(KeyId=key_id)["NextRotationDate"]
    old = kms.encrypt(KeyId=key_id, Plaintext=b"old")
    advance(admin, 400)

    listed = kms.list_key_rotations(KeyId=key_id)["Rotations"]
    assert sorted(rotation["RotationDate"] for rotation in listed) == [
        first + timedelta(days=days * number) for number in range(rotations)
    ]
    assert {rotation["RotationType"] for rotation in listed} <= {"AUTOMATIC"}
    assert kms.get_key_rotation_status(KeyId=key_id)["NextRotationDate"] == first + timedelta(days=days * rotations)

    new = kms.encrypt(KeyId=key_id, Plaintext=b"new")
    opened = [kms.decrypt(CiphertextBlob=sealed["CiphertextBlob"]) for sealed in (old, new)]
    assert [answer["Plaintext"] for answer in opened] == [b"old", b"new"]
    assert (opened[0]["KeyMaterialId"] == opened[1]["KeyMaterialId"]) == (rotations == 0)


def test_day_by_day_is_the_same_as_at_once(kms: "KMSClient", admin: AdminStub) -> None:
    key_id = kms.create_key()["KeyMetadata"]["KeyId"]
    kms.enable_key_rotation(KeyId=key_id, RotationPeriodInDays=90)
    sealed = []
    for _ in range(40):
        sealed.append(kms.encrypt(KeyId=key_id, Plaintext=b"secret")["CiphertextBlob"])
        advance(admin, 10)
    assert len(kms.list_key_rotations(KeyId=key_id)["Rotations"]) == 4
    materials = [kms.decrypt(CiphertextBlob=blob)["KeyMaterialId"] for blob in sealed]
    assert [materials.count(material) for material in dict.fromkeys(materials)] == [9, 9, 9, 9, 4]


def test_key_pending_deletion_is_gone_after_its_window(kms: "KMSClient", admin: AdminStub) -> None:
    key_id = kms.create_key()["KeyMetadata"]["KeyId"]
    kms.create_alias(AliasName="alias/gone", TargetKeyId=key_id)
    blob = kms.encrypt(KeyId=key_id, Plaintext=b"secret")["CiphertextBlob"]
    kms.schedule_key_deletion(KeyId=key_id, PendingWindowInDays=30)
    advance(admin, 29)
    assert kms.describe_key(KeyId=key_id)["KeyMetadata"]["KeyState"] == "PendingDeletion"
    with pytest.raises(kms.exceptions.KMSInvalidStateException):
        kms.decrypt(CiphertextBlob=blob)
    advance(admin, 2)
    for name in (key_id, "alias/gone"):
        with pytest.raises(kms.exceptions.NotFoundException):
            kms.describe_key(KeyId=name)
    with pytest.raises(kms.exceptions.ClientError) as caught:
        kms.decrypt(CiphertextBlob=blob)
    assert caught.value.response["Error"]["Code"] == "AccessDeniedException"
    with pytest.raises(kms.exceptions.NotFoundException):
        kms.cancel_key_deletion(KeyId=key_id)
    assert kms.list_aliases()["Aliases"] == [] == kms.list_keys()["Keys"]


def test_disabled_key_and_one_pending_deletion_do_not_rotate(kms: "KMSClient", admin: AdminStub) -> None:
    key_ids = [kms.create_key()["KeyMetadata"]["KeyId"] for _ in range(2)]
    for key_id in key_ids:
        kms.enable_key_rotation(KeyId=key_id, RotationPeriodInDays=90)
    kms.disable_key(KeyId=key_ids[0])
    kms.schedule_key_deletion(KeyId=key_ids[1], PendingWindowInDays=30)
    advance(admin, 20)
    kms.cancel_key_deletion(KeyId=key_ids[1])
    advance(admin, 100)
    for key_id in key_ids:
        assert kms.list_key_rotations(KeyId=key_id)["Rotations"] == []
