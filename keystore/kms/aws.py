"""AWS KMS: Encrypt and Decrypt with an encryption context, over any wire that makes AWS's calls.

A wrapped key names its KMS key itself, and records the ARN. A configured key id or ARN is sent along with Decrypt, so
that AWS refuses a ciphertext of any other key; behind an alias the recorded ARN is sent, because an alias may have been
pointed elsewhere since.

Leaves to the wires (`aws_grpc`, `aws_boto3`): how a call is made, and which error type an answer is.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from keystore.crypto.secret import SecretKey
from keystore.errors import KeyUnusableError, KmsError, KmsUnreachableError
from keystore.format.wrapped import WrappedKey
from keystore.kms.aws_codes import INVALID_STATE, STATES
from keystore.kms.protocol import KeyDescription, receive_secret, require_secret, require_wrapped
from keystore.kms.refusals import RefusedError, describe
from keystore.kms.uri import KeyUri


@dataclass(frozen=True)
class AwsKey:
    """What DescribeKey tells."""

    arn: str
    state: str
    usage: str


class AwsWire(Protocol):
    """AWS's calls in one region. Each raises `RefusedError` and nothing else."""

    def describe_key(self, key_id: str) -> AwsKey: ...

    def encrypt(self, key_id: str, plaintext: bytes, context: Mapping[str, str]) -> tuple[str, bytes]:
        """Return the ARN of the key and the ciphertext."""
        ...

    def decrypt(self, key_id: str, ciphertext: bytes, context: Mapping[str, str]) -> bytes: ...

    def close(self) -> None:
        """Give back connections; may be called twice."""
        ...


class AwsKms:
    """A KMS key of one region."""

    def __init__(self, uri: KeyUri, wire: AwsWire) -> None:
        self._uri, self._wire = uri, wire
        self._is_alias = uri.key.startswith("alias/") or ":alias/" in uri.key

    def describe(self) -> KeyDescription:
        try:
            key = self._wire.describe_key(self._uri.key)
        except RefusedError as error:
            raise self._error("DescribeKey", error) from None
        self._require_mine("DescribeKey", key.arn)
        usable = key.state == "Enabled" and key.usage == "ENCRYPT_DECRYPT"
        return KeyDescription("aws", self._uri.text, key.arn, key.state, usable)

    def wrap(self, secret: SecretKey, context: Mapping[str, str]) -> WrappedKey:
        require_secret(secret)
        try:
            arn, ciphertext = self._wire.encrypt(self._uri.key, bytes(secret.view()), context)
        except RefusedError as error:
            raise self._error("Encrypt", error) from None
        self._require_mine("Encrypt", arn)
        return WrappedKey("aws", self._uri.text, arn, ciphertext)

    def _require_mine(self, action: str, arn: str) -> None:
        """Refuse an answer about another key; an alias may mean any."""
        key = self._uri.key
        if not self._is_alias and arn != key and arn.rpartition("/")[2] != key:
            raise describe(KmsUnreachableError, self._uri.text, action, "unreadable answer", "it is about another key")

    def unwrap(self, wrapped: WrappedKey, context: Mapping[str, str]) -> SecretKey:
        require_wrapped(wrapped, "aws")
        key_id = wrapped.key_version if self._is_alias else self._uri.key
        try:
            plaintext = self._wire.decrypt(key_id, wrapped.ciphertext, context)
        except RefusedError as error:
            raise self._error("Decrypt", error, wrapped.key_version) from None
        return receive_secret(plaintext, self._uri.text)

    def close(self) -> None:
        self._wire.close()

    def _error(self, action: str, error: RefusedError, key_id: str = "") -> KmsError:
        kind = self._state_error(key_id or self._uri.key) if error.code == INVALID_STATE else error.kind
        return describe(kind, self._uri.text, action, error.code, error.text)

    def _state_error(self, key_id: str) -> type[KmsError]:
        """Ask which state that key is in: AWS has one code for all that forbid a call."""
        try:
            return STATES.get(self._wire.describe_key(key_id).state, KeyUnusableError)
        except RefusedError:
            return KeyUnusableError
