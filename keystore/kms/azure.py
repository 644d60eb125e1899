"""Azure Key Vault, over the emulator's gRPC shape of it: WrapKey and UnwrapKey with RSA-OAEP-256, at the server.

RSA-OAEP binds no context, and anybody with the public key can wrap: what comes back proves nothing. The master key is
derived from it together with the context and checked by a commitment, and the anchors name the keystore file.

The wrapped key records the key identifier (`kid`) with its version, and only that version unwraps it.
"""

from collections.abc import Mapping

import grpc
from keystore_api.azure_keyvault.v1 import azure_keyvault_pb2 as pb
from keystore_api.azure_keyvault.v1.azure_keyvault_pb2_grpc import AzureKeyVaultStub

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

ALGORITHM = "RSA-OAEP-256"

CODES: Mapping[str, type[KmsError]] = {
    "Unauthorized": KmsCredentialsError,
    "AKV10032": KmsCredentialsError,
    "Forbidden": KmsPermissionError,
    "AccessDenied": KmsPermissionError,
    "ForbiddenByPolicy": KmsPermissionError,
    "ForbiddenByRbac": KmsPermissionError,
    "ForbiddenByFirewall": KmsUnreachableError,
    "ForbiddenByConnection": KmsUnreachableError,
    "KeyNotFound": KeyNotFoundError,
    "VaultNotFound": KeyNotFoundError,
    "KeyDisabled": KeyDisabledError,
    "KeyNotYetValid": KeyUnusableError,
    "KeyExpired": KeyUnusableError,
    "KeyOperationForbidden": KeyUnusableError,
    "KeyOperationNotPermitted": KeyUnusableError,
    "ObjectIsDeletedButRecoverable": KeyPendingDeletionError,
    "ObjectIsBeingDeleted": KeyPendingDeletionError,
    "ObjectIsBeingRecovered": KmsUnreachableError,
    "Throttled": KmsUnreachableError,
    "InternalServerError": KmsUnreachableError,
    "ServiceUnavailable": KmsUnreachableError,
}
"""Azure's codes, inner ones first. An address list (firewall) blocks the way and says nothing about the key."""

UNWRAP_CODES: Mapping[str, type[KmsError]] = {**CODES, "BadParameter": CiphertextError}
"""To UnwrapKey, whose only free parameter is the wrapped key, BadParameter means that."""


class AzureKms:
    """One version of a key in a vault."""

    def __init__(self, uri: KeyUri, channel: grpc.Channel) -> None:
        self._uri, self._channel = uri, channel
        self._vault = uri.place.partition(".")[0]
        self._stub = AzureKeyVaultStub(channel)

    def describe(self) -> KeyDescription:
        request = pb.GetKeyRequest(vault=self._vault, name=self._uri.key, version=self._uri.version)
        try:
            bundle = call(self._stub.GetKey, request)
        except CallRefusedError as error:
            if error.refusal.code == "KeyDisabled":  # Azure does not even show a disabled key
                return KeyDescription("azure", self._uri.text, self._kid(), "Disabled", usable=False)
            raise self._error("GetKey", error, CODES) from None
        enabled = bundle.attributes.enabled
        usable = enabled and {"wrapKey", "unwrapKey"} <= set(bundle.key.key_ops)
        return KeyDescription("azure", self._uri.text, bundle.key.kid, "Enabled" if enabled else "Disabled", usable)

    def wrap(self, secret: SecretKey, context: Mapping[str, str]) -> WrappedKey:
        require_secret(secret)
        request = self._request(self._uri.version, bytes(secret.view()))
        try:
            reply = call(self._stub.WrapKey, request)
        except CallRefusedError as error:
            raise self._error("WrapKey", error, CODES) from None
        return WrappedKey("azure", self._uri.text, reply.kid, reply.value)

    def unwrap(self, wrapped: WrappedKey, context: Mapping[str, str]) -> SecretKey:
        require_wrapped(wrapped, "azure")
        request = self._request(self._recorded_version(wrapped), wrapped.ciphertext)
        try:
            reply = call(self._stub.UnwrapKey, request)
        except CallRefusedError as error:
            raise self._error("UnwrapKey", error, UNWRAP_CODES) from None
        return receive_secret(reply.value, self._uri.text)

    def close(self) -> None:
        self._channel.close()

    def _request(self, version: str, value: bytes) -> pb.KeyOperationRequest:
        return pb.KeyOperationRequest(
            vault=self._vault, name=self._uri.key, version=version, alg=ALGORITHM, value=value
        )

    def _kid(self) -> str:
        """Return the identifier of the configured version."""
        return f"https://{self._uri.place}/keys/{self._uri.key}/{self._uri.version}"

    def _recorded_version(self, wrapped: WrappedKey) -> str:
        """Return the version of the recorded `kid`, which must name the configured key."""
        expected = self._kid().removesuffix(self._uri.version)
        if not wrapped.key_version.lower().startswith(expected.lower()):
            raise CiphertextError(
                f"{self._uri}: the wrapped key records {wrapped.key_version!r}, another key. Nothing was sent; bring "
                "back the file that holds it."
            )
        return wrapped.key_version[len(expected) :]

    def _error(self, action: str, error: CallRefusedError, codes: Mapping[str, type[KmsError]]) -> KmsError:
        kind = classify(error.refusal, codes)
        if kind is KeyNotFoundError and self._is_deleted():
            kind = KeyPendingDeletionError
        return describe_refusal(kind, self._uri.text, action, error.refusal)

    def _is_deleted(self) -> bool:
        """Tell a deleted key that can be recovered from one that never was: Azure says KeyNotFound of both."""
        try:
            call(self._stub.GetDeletedKey, pb.GetDeletedKeyRequest(vault=self._vault, name=self._uri.key))
        except CallRefusedError:
            return False
        return True
