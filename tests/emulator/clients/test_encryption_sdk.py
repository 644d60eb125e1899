"""The AWS Encryption SDK, unmodified: messages under a key, from its creation to its end.

A message holds a data key that KMS generated and wrapped, so the SDK calls GenerateDataKey and Decrypt.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

import aws_encryption_sdk  # type: ignore[import-untyped]
import pytest
from aws_encryption_sdk.exceptions import AWSEncryptionSDKClientError  # type: ignore[import-untyped]
from keystore_api.admin.v1 import admin_pb2
from keystore_api.admin.v1.admin_pb2_grpc import AdminStub

if TYPE_CHECKING:
    from mypy_boto3_kms import KMSClient

CONTEXT = {"purpose": "test", "empty": ""}
PLAINTEXT = b"a message of many bytes " * 500


class Messages:
    """Encrypts and decrypts messages under one key, as a program using the SDK would."""

    def __init__(self, arn: str) -> None:
        self._client = aws_encryption_sdk.EncryptionSDKClient()
        self._provider = aws_encryption_sdk.StrictAwsKmsMasterKeyProvider(key_ids=[arn])

    def encrypt(self) -> bytes:
        message, _ = self._client.encrypt(source=PLAINTEXT, key_provider=self._provider, encryption_context=CONTEXT)
        assert PLAINTEXT[:24] not in message
        return bytes(message)

    def decrypt(self, message: bytes) -> bytes:
        plaintext, header = self._client.decrypt(source=message, key_provider=self._provider)
        assert CONTEXT.items() <= header.encryption_context.items()
        return bytes(plaintext)


@pytest.fixture
def arn(kms: "KMSClient") -> str:
    return kms.create_key()["KeyMetadata"]["Arn"]


def calls(admin: AdminStub) -> list[tuple[str, str]]:
    """Return operation and outcome of each call that used a key's material."""
    log = admin.ListCalls(admin_pb2.ListCallsRequest(provider="aws"), timeout=30).calls
    return [(call.operation, call.outcome) for call in log if call.operation in ("GenerateDataKey", "Decrypt")]


def refused(call: Callable[[], object]) -> None:
    """Expect the SDK's own refusal. It does not pass on what KMS said; the call log tells that."""
    with pytest.raises(AWSEncryptionSDKClientError):
        call()


def test_life_of_a_key(kms: "KMSClient", arn: str, admin: AdminStub) -> None:
    messages = Messages(arn)
    old = messages.encrypt()
    kms.rotate_key_on_demand(KeyId=arn)
    new = messages.encrypt()
    assert [messages.decrypt(message) for message in (old, new)] == [PLAINTEXT] * 2
    assert calls(admin) == [("GenerateDataKey", "OK"), ("GenerateDataKey", "OK"), ("Decrypt", "OK"), ("Decrypt", "OK")]

    kms.disable_key(KeyId=arn)
    refused(lambda: messages.decrypt(old))
    refused(messages.encrypt)
    kms.enable_key(KeyId=arn)
    assert messages.decrypt(old) == PLAINTEXT
    kms.schedule_key_deletion(KeyId=arn, PendingWindowInDays=7)
    refused(lambda: messages.decrypt(old))
    refused(messages.encrypt)
    kms.cancel_key_deletion(KeyId=arn)
    refused(lambda: messages.decrypt(old))
    kms.enable_key(KeyId=arn)
    assert [messages.decrypt(message) for message in (old, new)] == [PLAINTEXT] * 2
    assert calls(admin)[4:] == [
        *(("Decrypt", "DisabledException"), ("GenerateDataKey", "DisabledException"), ("Decrypt", "OK")),
        *(("Decrypt", "KMSInvalidStateException"), ("GenerateDataKey", "KMSInvalidStateException")),
        *(("Decrypt", "DisabledException"), ("Decrypt", "OK"), ("Decrypt", "OK")),
    ]


def test_message_of_another_key_is_refused_before_kms_is_asked(kms: "KMSClient", arn: str, admin: AdminStub) -> None:
    other = kms.create_key()["KeyMetadata"]["Arn"]
    message = Messages(other).encrypt()
    refused(lambda: Messages(arn).decrypt(message))
    assert calls(admin) == [("GenerateDataKey", "OK")]


def test_message_for_two_keys_opens_while_one_is_usable(kms: "KMSClient", arn: str) -> None:
    other = kms.create_key()["KeyMetadata"]["Arn"]
    both = aws_encryption_sdk.StrictAwsKmsMasterKeyProvider(key_ids=[arn, other])
    client = aws_encryption_sdk.EncryptionSDKClient()
    message, _ = client.encrypt(source=PLAINTEXT, key_provider=both, encryption_context=CONTEXT)
    kms.disable_key(KeyId=arn)
    assert client.decrypt(source=message, key_provider=both)[0] == PLAINTEXT
    kms.disable_key(KeyId=other)
    refused(lambda: client.decrypt(source=message, key_provider=both))
