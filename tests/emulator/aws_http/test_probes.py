"""What other emulators get wrong, asked of this one by an unmodified boto3: one test for each row of that table."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from kms_emulator.model.identities import Credential, Identity, IdentityKind
from tests.emulator.aws_http.clients import client, refused
from tests.emulator.running import Running

if TYPE_CHECKING:
    from mypy_boto3_kms import KMSClient


@pytest.fixture
def key_id(kms: "KMSClient") -> str:
    return kms.create_key()["KeyMetadata"]["KeyId"]


def test_contexts_that_read_the_same_when_joined_are_not_the_same(kms: "KMSClient", key_id: str) -> None:
    sealed = kms.encrypt(KeyId=key_id, Plaintext=b"x", EncryptionContext={"a": "bc"})["CiphertextBlob"]
    with refused("InvalidCiphertextException", ""):
        kms.decrypt(CiphertextBlob=sealed, EncryptionContext={"ab": "c"})


def test_tampered_last_byte_is_refused(kms: "KMSClient", key_id: str) -> None:
    sealed = kms.encrypt(KeyId=key_id, Plaintext=b"x")["CiphertextBlob"]
    with refused("InvalidCiphertextException", ""):
        kms.decrypt(CiphertextBlob=sealed[:-1] + bytes([sealed[-1] ^ 1]))


def test_decrypt_under_another_key_is_refused(kms: "KMSClient", key_id: str) -> None:
    sealed = kms.encrypt(KeyId=key_id, Plaintext=b"x")["CiphertextBlob"]
    other = kms.create_key()["KeyMetadata"]["KeyId"]
    with refused(
        "IncorrectKeyException",
        "The key ID in the request does not identify a CMK that can perform this operation.",
    ):
        kms.decrypt(CiphertextBlob=sealed, KeyId=other)


def test_disabled_key_does_no_cryptography(kms: "KMSClient", key_id: str) -> None:
    sealed = kms.encrypt(KeyId=key_id, Plaintext=b"x")["CiphertextBlob"]
    kms.disable_key(KeyId=key_id)
    attempts: list[Callable[[], object]] = [
        lambda: kms.encrypt(KeyId=key_id, Plaintext=b"x"),
        lambda: kms.decrypt(CiphertextBlob=sealed),
        lambda: kms.generate_data_key(KeyId=key_id, KeySpec="AES_256"),
    ]
    for refuse in attempts:
        with refused("DisabledException"):
            refuse()


def test_key_pending_deletion_does_nothing(kms: "KMSClient", key_id: str) -> None:
    sealed = kms.encrypt(KeyId=key_id, Plaintext=b"x")["CiphertextBlob"]
    reply = kms.schedule_key_deletion(KeyId=key_id, PendingWindowInDays=7)
    assert reply["KeyState"] == "PendingDeletion"
    attempts: list[Callable[[], object]] = [
        lambda: kms.encrypt(KeyId=key_id, Plaintext=b"x"),
        lambda: kms.decrypt(CiphertextBlob=sealed),
        lambda: kms.enable_key(KeyId=key_id),
        lambda: kms.schedule_key_deletion(KeyId=key_id),
    ]
    for refuse in attempts:
        with refused("KMSInvalidStateException"):
            refuse()


@pytest.mark.parametrize("days", [3, 6, 31])
def test_deletion_window_is_7_to_30_days(kms: "KMSClient", key_id: str, days: int) -> None:
    with refused("ValidationException"):
        kms.schedule_key_deletion(KeyId=key_id, PendingWindowInDays=days)


def test_rotation_changes_the_material_and_old_ciphertexts_open(kms: "KMSClient", key_id: str) -> None:
    sealed = kms.encrypt(KeyId=key_id, Plaintext=b"x")["CiphertextBlob"]
    before = kms.decrypt(CiphertextBlob=sealed)["KeyMaterialId"]
    kms.rotate_key_on_demand(KeyId=key_id)
    again = kms.decrypt(CiphertextBlob=sealed)
    assert (again["Plaintext"], again["KeyMaterialId"]) == (b"x", before)
    made = kms.generate_data_key(KeyId=key_id, KeySpec="AES_256")
    assert made["KeyMaterialId"] != before
    rotations = kms.list_key_rotations(KeyId=key_id, IncludeKeyMaterial="ALL_KEY_MATERIAL")["Rotations"]
    assert [(entry["KeyMaterialId"], entry["KeyMaterialState"]) for entry in rotations] == [
        (made["KeyMaterialId"], "CURRENT"),
        (before, "NON_CURRENT"),
    ]


def test_key_for_imported_material_waits_for_it(kms: "KMSClient") -> None:
    key = kms.create_key(Origin="EXTERNAL")["KeyMetadata"]
    assert (key["KeyState"], key["Enabled"]) == ("PendingImport", False)
    with refused("KMSInvalidStateException", f"{key['Arn']} is pending import."):
        kms.encrypt(KeyId=key["KeyId"], Plaintext=b"x")


def user(running: Running, name: str) -> dict[str, str]:
    """Make a user who may do everything; return what boto3 takes as its access key."""
    arn = f"arn:aws:iam::{ACCOUNT}:user/{name}"
    identities = running.core.identities
    identities.put(Identity(arn, IdentityKind.USER, ACCOUNT, f"AIDA{name.upper()}", 0, {"all": ALLOW_ALL}))
    issued = identities.issue(Credential(f"AKIA{name.upper()}", "secret/of/the/user", arn, arn, ACCOUNT, 0))
    return {"aws_access_key_id": issued.id, "aws_secret_access_key": issued.secret}


def test_denying_key_policy_is_enforced(url: str, running: Running) -> None:
    caller = client(url, **user(running, "reader"))
    key = caller.create_key()["KeyMetadata"]
    sealed = caller.encrypt(KeyId=key["KeyId"], Plaintext=b"x")["CiphertextBlob"]
    caller.put_key_policy(KeyId=key["KeyId"], Policy=DENY_DECRYPT)
    with refused("AccessDeniedException") as seen:
        caller.decrypt(CiphertextBlob=sealed)
    assert ("user/reader" in seen.message, "kms:Decrypt" in seen.message) == (True, True)


def test_wrong_secret_key_is_refused(url: str, running: Running) -> None:
    access = user(running, "reader")
    with refused("InvalidSignatureException") as seen:
        client(url, **access | {"aws_secret_access_key": "wrong"}).list_keys()
    assert access["aws_secret_access_key"] not in seen.message
    assert client(url, **access).list_keys()["Keys"] == []


def test_dry_run_says_that_it_would_have_succeeded(kms: "KMSClient", key_id: str) -> None:
    message = "The request would have succeeded, but the DryRun option is set."
    sealed = kms.encrypt(KeyId=key_id, Plaintext=b"x")["CiphertextBlob"]
    attempts: list[Callable[[], object]] = [
        lambda: kms.encrypt(KeyId=key_id, Plaintext=b"x", DryRun=True),
        lambda: kms.decrypt(CiphertextBlob=sealed, DryRun=True),
        lambda: kms.re_encrypt(CiphertextBlob=sealed, DestinationKeyId=key_id, DryRun=True),
        lambda: kms.generate_data_key(KeyId=key_id, KeySpec="AES_256", DryRun=True),
        lambda: kms.generate_data_key_without_plaintext(KeyId=key_id, KeySpec="AES_256", DryRun=True),
    ]
    for refuse in attempts:
        with refused("DryRunOperationException", message):
            refuse()


def test_plaintext_of_4097_bytes_is_refused(kms: "KMSClient", key_id: str) -> None:
    with refused("ValidationException"):
        kms.encrypt(KeyId=key_id, Plaintext=bytes(4097))


def test_key_behind_an_alias_of_aws_is_managed_by_aws(kms: "KMSClient") -> None:
    found = kms.describe_key(KeyId="alias/aws/s3")["KeyMetadata"]
    assert (found["KeyManager"], found["KeyState"]) == ("AWS", "Enabled")
    assert kms.describe_key(KeyId="alias/aws/s3")["KeyMetadata"] == found


ACCOUNT = "111122223333"
ALLOW_ALL = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"kms:*","Resource":"*"}]}'
DENY_DECRYPT = """{"Version":"2012-10-17","Statement":[
{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:root"},"Action":"kms:*","Resource":"*"},
{"Effect":"Deny","Principal":"*","Action":"kms:Decrypt","Resource":"*"}]}"""
