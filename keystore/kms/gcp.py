"""Google Cloud KMS, over plaintext gRPC under its real service name: Encrypt and Decrypt with associated data.

Encrypt goes to the key version when one is configured, otherwise to the key, whose primary version then serves.
Decrypt goes to the key, as Google asks: the ciphertext names its version. The associated data is the encoded context.
"""

from collections.abc import Callable, Mapping
from typing import TypeVar

import grpc
from google.protobuf.message import Message
from keystore_api.google_kms.v1 import resources_pb2, service_pb2

from keystore.crypto.context import encode_context
from keystore.crypto.secret import SecretKey
from keystore.errors import (
    CiphertextError,
    KeyDestroyedError,
    KeyDisabledError,
    KeyPendingDeletionError,
    KeyUnusableError,
    KmsError,
    KmsUnreachableError,
)
from keystore.format.wrapped import WrappedKey
from keystore.kms.channel import CallRefusedError, call, classify, describe_refusal
from keystore.kms.protocol import KeyDescription, receive_secret, require_secret, require_wrapped
from keystore.kms.uri import KeyUri

Reply = TypeVar("Reply", bound=Message)
_Version = resources_pb2.CryptoKeyVersion

STATES: Mapping[int, type[KmsError]] = {
    _Version.DISABLED: KeyDisabledError,
    _Version.DESTROY_SCHEDULED: KeyPendingDeletionError,
    _Version.DESTROYED: KeyDestroyedError,
    _Version.PENDING_GENERATION: KmsUnreachableError,
    _Version.PENDING_IMPORT: KeyUnusableError,
    _Version.IMPORT_FAILED: KeyUnusableError,
    _Version.GENERATION_FAILED: KeyUnusableError,
    _Version.ENABLED: KmsUnreachableError,
}
"""What a version's state means for a call that it forbade.

PENDING_GENERATION passes within a minute. ENABLED: somebody changed it in between, so try again.
"""

_SERVICE = "/google.cloud.kms.v1.KeyManagementService/"


class GcpKms:
    """A crypto key, or one version of it."""

    def __init__(self, uri: KeyUri, channel: grpc.Channel) -> None:
        self._uri, self._channel = uri, channel
        self._version = f"{uri.key}/cryptoKeyVersions/{uri.version}" if uri.version else ""
        self._encrypt = _method(channel, "Encrypt", service_pb2.EncryptResponse)
        self._decrypt = _method(channel, "Decrypt", service_pb2.DecryptResponse)
        self._get_key = _method(channel, "GetCryptoKey", resources_pb2.CryptoKey)
        self._get_version = _method(channel, "GetCryptoKeyVersion", resources_pb2.CryptoKeyVersion)

    def describe(self) -> KeyDescription:
        try:
            version = self._current_version()
        except CallRefusedError as error:
            raise self._error("GetCryptoKeyVersion", error, "") from None
        state = _Version.CryptoKeyVersionState.Name(version.state)
        return KeyDescription("gcp", self._uri.text, version.name, state, version.state == _Version.ENABLED)

    def wrap(self, secret: SecretKey, context: Mapping[str, str]) -> WrappedKey:
        require_secret(secret)
        request = service_pb2.EncryptRequest(
            name=self._version or self._uri.key,
            plaintext=bytes(secret.view()),
            additional_authenticated_data=encode_context(context),
        )
        try:
            reply = call(self._encrypt, request)
        except CallRefusedError as error:
            raise self._error("Encrypt", error, self._version) from None
        return WrappedKey("gcp", self._uri.text, reply.name, reply.ciphertext)

    def unwrap(self, wrapped: WrappedKey, context: Mapping[str, str]) -> SecretKey:
        require_wrapped(wrapped, "gcp")
        request = service_pb2.DecryptRequest(
            name=self._uri.key,
            ciphertext=wrapped.ciphertext,
            additional_authenticated_data=encode_context(context),
        )
        try:
            reply = call(self._decrypt, request)
        except CallRefusedError as error:
            if error.refusal.status is grpc.StatusCode.INVALID_ARGUMENT:
                raise describe_refusal(CiphertextError, self._uri.text, "Decrypt", error.refusal) from None
            raise self._error("Decrypt", error, wrapped.key_version) from None
        return receive_secret(reply.plaintext, self._uri.text)

    def close(self) -> None:
        self._channel.close()

    def _current_version(self) -> resources_pb2.CryptoKeyVersion:
        if self._version:
            return call(self._get_version, service_pb2.GetCryptoKeyVersionRequest(name=self._version))
        return call(self._get_key, service_pb2.GetCryptoKeyRequest(name=self._uri.key)).primary

    def _error(self, action: str, error: CallRefusedError, version: str) -> KmsError:
        refusal = error.refusal
        if refusal.status is grpc.StatusCode.FAILED_PRECONDITION:
            return describe_refusal(self._state_error(version), self._uri.text, action, refusal)
        return describe_refusal(classify(refusal, {}), self._uri.text, action, refusal)

    def _state_error(self, version: str) -> type[KmsError]:
        """Ask which state it is: Google has one status for all that forbid a call."""
        try:
            if version:
                state = call(self._get_version, service_pb2.GetCryptoKeyVersionRequest(name=version)).state
            else:
                state = self._current_version().state
        except CallRefusedError:
            return KeyUnusableError
        return STATES.get(state, KeyUnusableError)


def _method(channel: grpc.Channel, name: str, reply: type[Reply]) -> Callable[..., Reply]:
    """Return what calls one method of the service."""
    return channel.unary_unary(
        _SERVICE + name,
        request_serializer=lambda request: request.SerializeToString(),
        response_deserializer=reply.FromString,
    )
