"""boto3, unmodified: a key from its creation to its end."""

from typing import TYPE_CHECKING

from tests.emulator.aws_http.clients import client, refused
from tests.emulator.running import Running

if TYPE_CHECKING:
    from mypy_boto3_kms import KMSClient


def test_life_of_a_key(kms: "KMSClient") -> None:
    key = kms.create_key(Description="mine", Tags=[{"TagKey": "team", "TagValue": "blue"}])["KeyMetadata"]
    key_id, arn = key["KeyId"], key["Arn"]
    context = {"purpose": "test", "n": "1"}
    old = kms.encrypt(KeyId=key_id, Plaintext=b"secret", EncryptionContext=context)
    assert (old["KeyId"], old["EncryptionAlgorithm"]) == (arn, "SYMMETRIC_DEFAULT")

    kms.rotate_key_on_demand(KeyId=key_id)
    opened = kms.decrypt(CiphertextBlob=old["CiphertextBlob"], EncryptionContext=context)
    assert opened["Plaintext"] == b"secret"
    assert opened["KeyMaterialId"] != kms.describe_key(KeyId=key_id)["KeyMetadata"]["CurrentKeyMaterialId"]

    kms.disable_key(KeyId=key_id)
    with refused("DisabledException", f"{arn} is disabled."):
        kms.decrypt(CiphertextBlob=old["CiphertextBlob"], EncryptionContext=context)
    kms.enable_key(KeyId=key_id)

    scheduled = kms.schedule_key_deletion(KeyId=key_id, PendingWindowInDays=7)
    assert (scheduled["KeyId"], scheduled["KeyState"], scheduled["PendingWindowInDays"]) == (arn, "PendingDeletion", 7)
    assert scheduled["DeletionDate"] > key["CreationDate"]
    with refused("KMSInvalidStateException", f"{arn} is pending deletion."):
        kms.decrypt(CiphertextBlob=old["CiphertextBlob"], EncryptionContext=context)
    assert kms.cancel_key_deletion(KeyId=key_id)["KeyId"] == arn
    assert kms.describe_key(KeyId=key_id)["KeyMetadata"]["KeyState"] == "Disabled"
    kms.enable_key(KeyId=key_id)
    assert kms.decrypt(CiphertextBlob=old["CiphertextBlob"], EncryptionContext=context)["Plaintext"] == b"secret"


def test_region_is_the_signature_s(url: str, kms: "KMSClient", running: Running) -> None:
    elsewhere = client(url, "eu-west-1")
    arn = elsewhere.create_key()["KeyMetadata"]["Arn"]
    assert arn.startswith("arn:aws:kms:eu-west-1:")
    with refused("NotFoundException"):
        kms.describe_key(KeyId=arn)
    sealed = elsewhere.encrypt(KeyId=arn, Plaintext=b"secret")["CiphertextBlob"]
    with refused("AccessDeniedException"):
        kms.decrypt(CiphertextBlob=sealed)
