"""Random bytes, data keys, re-encryption, dry runs and the record of uses, through boto3."""

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from kms_emulator.calls import CallFilter
from kms_emulator.clock import ClockSetting
from kms_emulator.wire.times import DAY_NS
from tests.emulator.aws_http.clients import client, refused
from tests.emulator.running import Running

if TYPE_CHECKING:
    from mypy_boto3_kms import KMSClient

DRY = "The request would have succeeded, but the DryRun option is set."


@pytest.fixture
def key(kms: "KMSClient") -> Any:
    return kms.create_key()["KeyMetadata"]


@pytest.mark.parametrize(
    ("wanted", "length"),
    [
        ({"KeySpec": "AES_128"}, 16),
        ({"KeySpec": "AES_256"}, 32),
        ({"NumberOfBytes": 1}, 1),
        ({"NumberOfBytes": 1024}, 1024),
    ],
)
def test_data_keys(kms: "KMSClient", key: Any, wanted: Any, length: int) -> None:
    made = kms.generate_data_key(KeyId=key["KeyId"], EncryptionContext={"a": "b"}, **wanted)
    hidden = kms.generate_data_key_without_plaintext(KeyId=key["KeyId"], EncryptionContext={"a": "b"}, **wanted)
    assert "Plaintext" not in hidden
    for reply in (made, hidden):
        assert (reply["KeyId"], reply["KeyMaterialId"]) == (key["Arn"], key["CurrentKeyMaterialId"])
        with refused("InvalidCiphertextException"):
            kms.decrypt(CiphertextBlob=reply["CiphertextBlob"])
    opened = kms.decrypt(CiphertextBlob=hidden["CiphertextBlob"], EncryptionContext={"a": "b"})["Plaintext"]
    assert (len(opened), len(made["Plaintext"])) == (length, length)


@pytest.mark.parametrize("wanted", [{}, {"KeySpec": "AES_128", "NumberOfBytes": 16}])
def test_data_key_has_a_spec_or_a_length(kms: "KMSClient", key: Any, wanted: Any) -> None:
    with refused("ValidationException", "Please specify either number of bytes or key spec."):
        kms.generate_data_key(KeyId=key["KeyId"], **wanted)


def test_random_bytes(kms: "KMSClient") -> None:
    one, two = (kms.generate_random(NumberOfBytes=1024)["Plaintext"] for _ in range(2))
    assert (len(one), len(two), one == two) == (1024, 1024, False)
    with refused("ValidationException"):
        kms.generate_random()


def test_re_encrypt(kms: "KMSClient", key: Any, running: Running) -> None:
    other = kms.create_key()["KeyMetadata"]
    sealed = kms.encrypt(KeyId=key["KeyId"], Plaintext=b"secret", EncryptionContext={"a": "b"})["CiphertextBlob"]
    arguments: Any = {
        "CiphertextBlob": sealed,
        "SourceEncryptionContext": {"a": "b"},
        "DestinationKeyId": other["KeyId"],
        "DestinationEncryptionContext": {"c": "d"},
    }
    moved = kms.re_encrypt(**arguments)
    assert (moved["SourceKeyId"], moved["KeyId"]) == (key["Arn"], other["Arn"])
    assert (moved["SourceKeyMaterialId"], moved["DestinationKeyMaterialId"]) == (
        key["CurrentKeyMaterialId"],
        other["CurrentKeyMaterialId"],
    )
    opened = kms.decrypt(CiphertextBlob=moved["CiphertextBlob"], EncryptionContext={"c": "d"})
    assert (opened["Plaintext"], opened["KeyId"]) == (b"secret", other["Arn"])
    with refused("InvalidCiphertextException"):
        kms.re_encrypt(**arguments | {"SourceEncryptionContext": {}})
    with refused("IncorrectKeyException"):
        kms.re_encrypt(**arguments, SourceKeyId=other["KeyId"])
    kms.disable_key(KeyId=other["KeyId"])
    with refused("DisabledException"):
        kms.re_encrypt(**arguments)
    assert b"secret" not in repr(list(running.core.calls.select(CallFilter()))).encode()


def test_dry_run_without_a_ciphertext(kms: "KMSClient", key: Any) -> None:
    with refused("DryRunOperationException", DRY):
        kms.decrypt(KeyId=key["KeyId"], DryRun=True, DryRunModifiers=["IGNORE_CIPHERTEXT"])
    with refused("DryRunOperationException", DRY):
        kms.re_encrypt(
            SourceKeyId=key["KeyId"],
            DestinationKeyId=key["KeyId"],
            DryRun=True,
            DryRunModifiers=["IGNORE_CIPHERTEXT"],
        )
    for wrong in ({"DryRun": True}, {"KeyId": key["KeyId"]}, {"KeyId": key["KeyId"], "DryRun": True}):
        with refused("ValidationException"):
            kms.decrypt(**wrong)
    with refused("ValidationException"):
        kms.decrypt(DryRun=True, DryRunModifiers=["IGNORE_CIPHERTEXT"])
    with refused("ValidationException"):
        kms.decrypt(KeyId=key["KeyId"], DryRunModifiers=["IGNORE_CIPHERTEXT"])
    kms.disable_key(KeyId=key["KeyId"])
    with refused("DisabledException"):
        kms.decrypt(KeyId=key["KeyId"], DryRun=True, DryRunModifiers=["IGNORE_CIPHERTEXT"])


def test_last_use_of_a_key(kms: "KMSClient", key: Any, running: Running) -> None:
    before = kms.get_key_last_usage(KeyId=key["KeyId"])
    assert (before["KeyLastUsage"], before["KeyId"]) == ({}, key["KeyId"])
    assert before["TrackingStartDate"] == before["KeyCreationDate"] == key["CreationDate"]
    sealed = kms.encrypt(KeyId=key["KeyId"], Plaintext=b"x")
    running.core.set_clock(ClockSetting(DAY_NS))
    with refused("InvalidCiphertextException"):
        kms.decrypt(CiphertextBlob=sealed["CiphertextBlob"], EncryptionContext={"a": "b"})
    with refused("DryRunOperationException"):
        kms.encrypt(KeyId=key["KeyId"], Plaintext=b"x", DryRun=True)
    kms.describe_key(KeyId=key["KeyId"])
    used = kms.get_key_last_usage(KeyId=key["KeyId"])["KeyLastUsage"]
    assert (used["Operation"], used["KmsRequestId"]) == ("Encrypt", sealed["ResponseMetadata"]["RequestId"])
    other = kms.create_key()["KeyMetadata"]["KeyId"]
    kms.re_encrypt(CiphertextBlob=sealed["CiphertextBlob"], DestinationKeyId=other)
    for key_id in (key["KeyId"], other):
        again = kms.get_key_last_usage(KeyId=key_id)["KeyLastUsage"]
        assert again["Operation"] == "ReEncrypt"
        assert again["Timestamp"] - used["Timestamp"] >= timedelta(hours=23)


def test_regions_are_apart(url: str, kms: "KMSClient", key: Any, running: Running) -> None:
    elsewhere = client(url, "eu-west-1")
    with refused("NotFoundException", "Invalid arn us-east-1"):
        elsewhere.describe_key(KeyId=key["Arn"])
    sealed = kms.encrypt(KeyId=key["KeyId"], Plaintext=b"x")["CiphertextBlob"]
    with refused("AccessDeniedException") as seen:
        elsewhere.decrypt(CiphertextBlob=sealed)
    assert seen.message == (
        "The ciphertext refers to a customer master key that does not exist, does not exist in this region, "
        "or you are not allowed to access."
    )
