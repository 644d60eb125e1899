"""AWS KMS, over the emulator's gRPC shape of it: Encrypt and Decrypt with an encryption context.

A wrapped key names its KMS key itself, and records the ARN. A configured key id or ARN is sent along with Decrypt, so
that AWS refuses a ciphertext of any other key; behind an alias the recorded ARN is sent, because an alias may have been
pointed elsewhere since.
"""

from collections.abc import Mapping

import grpc
from keystore_api.aws_kms.v1 import aws_kms_pb2 as pb
from keystore_api.aws_kms.v1.aws_kms_pb2_grpc import AwsKmsStub

from keystore.crypto.secret import SecretKey
from keystore.errors import (
    CiphertextError,
    KeyDisabledError,
    KeyNotFoundError,
    KeyPendingDeletionError,
    KeyUnusableError,
    KmsCredentialsError,
    KmsError,
    KmsPermissionError,
    KmsUnreachableError,
)
from keystore.format.wrapped import WrappedKey
from keystore.kms.channel import CallRefusedError, call, classify, describe_refusal
from keystore.kms.protocol import KeyDescription, receive_secret, require_secret, require_wrapped
from keystore.kms.uri import KeyUri

CODES: Mapping[str, type[KmsError]] = {
    "UnrecognizedClientException": KmsCredentialsError,
    "InvalidClientTokenId": KmsCredentialsError,
    "InvalidSignatureException": KmsCredentialsError,
    "SignatureDoesNotMatch": KmsCredentialsError,
    "IncompleteSignature": KmsCredentialsError,
    "MissingAuthenticationToken": KmsCredentialsError,
    "MissingAuthenticationTokenException": KmsCredentialsError,
    "ExpiredTokenException": KmsCredentialsError,
    "ExpiredToken": KmsCredentialsError,
    "RequestExpired": KmsCredentialsError,
    "AccessDeniedException": KmsPermissionError,
    "AccessDenied": KmsPermissionError,
    "NotAuthorized": KmsPermissionError,
    "OptInRequired": KmsPermissionError,
    "InvalidGrantTokenException": KmsPermissionError,
    "NotFoundException": KeyNotFoundError,
    "InvalidArnException": KeyNotFoundError,
    "DisabledException": KeyDisabledError,
    "InvalidKeyUsageException": KeyUnusableError,
    "InvalidCiphertextException": CiphertextError,
    "IncorrectKeyException": CiphertextError,
    "KeyUnavailableException": KmsUnreachableError,
    "DependencyTimeoutException": KmsUnreachableError,
    "KMSInternalException": KmsUnreachableError,
    "InternalFailure": KmsUnreachableError,
    "ServiceUnavailable": KmsUnreachableError,
    "ThrottlingException": KmsUnreachableError,
    "LimitExceededException": KmsUnreachableError,
    "RequestLimitExceeded": KmsUnreachableError,
}
"""AWS's error codes (API reference of KMS: Encrypt, Decrypt, DescribeKey, and the common errors)."""

STATES: Mapping[str, type[KmsError]] = {
    "Disabled": KeyDisabledError,
    "PendingDeletion": KeyPendingDeletionError,
    "PendingReplicaDeletion": KeyPendingDeletionError,
    "PendingImport": KeyUnusableError,
    "Unavailable": KmsUnreachableError,
    "Updating": KmsUnreachableError,
    "Creating": KmsUnreachableError,
    "Enabled": KmsUnreachableError,
}
"""What a key state means for a call that it forbade.

Unavailable: the key store behind it cannot be reached. Enabled: somebody changed it in between, so try again.
"""


class AwsKms:
    """A KMS key of one region."""

    def __init__(self, uri: KeyUri, channel: grpc.Channel) -> None:
        self._uri, self._channel = uri, channel
        self._stub = AwsKmsStub(channel)

    def describe(self) -> KeyDescription:
        try:
            metadata = self._metadata()
        except CallRefusedError as error:
            raise self._error("DescribeKey", error) from None
        usable = metadata.key_state == "Enabled" and metadata.key_usage == "ENCRYPT_DECRYPT"
        return KeyDescription("aws", self._uri.text, metadata.arn, metadata.key_state, usable)

    def wrap(self, secret: SecretKey, context: Mapping[str, str]) -> WrappedKey:
        require_secret(secret)
        request = pb.EncryptRequest(
            region=self._uri.place,
            key_id=self._uri.key,
            plaintext=bytes(secret.view()),
            encryption_context=dict(context),
        )
        try:
            reply = call(self._stub.Encrypt, request)
        except CallRefusedError as error:
            raise self._error("Encrypt", error) from None
        return WrappedKey("aws", self._uri.text, reply.key_id, reply.ciphertext_blob)

    def unwrap(self, wrapped: WrappedKey, context: Mapping[str, str]) -> SecretKey:
        require_wrapped(wrapped, "aws")
        is_alias = self._uri.key.startswith("alias/") or ":alias/" in self._uri.key
        request = pb.DecryptRequest(
            region=self._uri.place,
            key_id=wrapped.key_version if is_alias else self._uri.key,
            ciphertext_blob=wrapped.ciphertext,
            encryption_context=dict(context),
        )
        try:
            reply = call(self._stub.Decrypt, request)
        except CallRefusedError as error:
            raise self._error("Decrypt", error) from None
        return receive_secret(reply.plaintext, self._uri.text)

    def close(self) -> None:
        self._channel.close()

    def _metadata(self) -> pb.KeyMetadata:
        request = pb.DescribeKeyRequest(region=self._uri.place, key_id=self._uri.key)
        return call(self._stub.DescribeKey, request).key_metadata

    def _error(self, action: str, error: CallRefusedError) -> KmsError:
        refusal = error.refusal
        if refusal.code == "KMSInvalidStateException":
            return describe_refusal(self._state_error(), self._uri.text, action, refusal)
        return describe_refusal(classify(refusal, CODES), self._uri.text, action, refusal)

    def _state_error(self) -> type[KmsError]:
        """Ask which state it is: AWS has one code for all that forbid a call."""
        try:
            return STATES.get(self._metadata().key_state, KeyUnusableError)
        except CallRefusedError:
            return KeyUnusableError
