"""Azure Key Vault: Encrypt and Decrypt with RSA-OAEP-256, both at the server, over any wire that makes Azure's calls.

RSA-OAEP binds no context, and anybody with the public key can wrap: what comes back proves nothing. The master key is
derived from it together with the context and checked by a commitment, and the anchors name the keystore file.

The wrapped key records the key identifier (`kid`) with its version, and only that version unwraps it.

Leaves to the wires (`azure_grpc`, `azure_sdk`): how a call is made, and which error type an answer is.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from keystore.crypto.secret import SecretKey
from keystore.errors import CiphertextError, KeyNotFoundError, KeyPendingDeletionError, KmsError
from keystore.format.wrapped import WrappedKey
from keystore.kms.azure_codes import DISABLED
from keystore.kms.protocol import KeyDescription, receive_secret, require_secret, require_wrapped
from keystore.kms.refusals import RefusedError, describe
from keystore.kms.uri import KeyUri

ALGORITHM = "RSA-OAEP-256"

NEEDED = frozenset({"encrypt", "decrypt"})
"""Operations that a key must be made for."""


@dataclass(frozen=True)
class AzureKey:
    """What GetKey tells of a version; from when and until when it may be used, in seconds since 1970, if it is said."""

    version: str
    enabled: bool
    operations: frozenset[str]
    begins_s: int | None = None
    ends_s: int | None = None


class AzureWire(Protocol):
    """Azure's calls to one vault. Each raises `RefusedError` and nothing else."""

    def get_key(self, name: str, version: str) -> AzureKey: ...

    def encrypt(self, name: str, version: str, plaintext: bytes) -> tuple[str, bytes]:
        """Return the version that did it and the ciphertext."""
        ...

    def decrypt(self, name: str, version: str, ciphertext: bytes) -> bytes: ...

    def is_deleted(self, name: str) -> bool:
        """Tell whether the vault has a deleted key of that name; raises nothing."""
        ...

    def close(self) -> None:
        """Give back connections; may be called twice."""
        ...


class AzureKms:
    """One version of a key in a vault."""

    def __init__(self, uri: KeyUri, wire: AzureWire) -> None:
        self._uri, self._wire = uri, wire

    def describe(self) -> KeyDescription:
        try:
            key = self._wire.get_key(self._uri.key, self._uri.version)
        except RefusedError as error:
            if error.code == DISABLED:
                return KeyDescription("azure", self._uri.text, self._kid(self._uri.version), "Disabled", usable=False)
            raise self._error("GetKey", error) from None
        state, usable = "Enabled" if key.enabled else "Disabled", key.enabled and key.operations >= NEEDED
        return KeyDescription(
            "azure", self._uri.text, self._kid(key.version), state, usable, begins_s=key.begins_s, ends_s=key.ends_s
        )

    def wrap(self, secret: SecretKey, context: Mapping[str, str]) -> WrappedKey:
        require_secret(secret)
        try:
            version, ciphertext = self._wire.encrypt(self._uri.key, self._uri.version, bytes(secret.view()))
        except RefusedError as error:
            raise self._error("Encrypt", error) from None
        return WrappedKey("azure", self._uri.text, self._kid(version), ciphertext)

    def unwrap(self, wrapped: WrappedKey, context: Mapping[str, str]) -> SecretKey:
        require_wrapped(wrapped, "azure")
        version = self._recorded_version(wrapped)
        try:
            plaintext = self._wire.decrypt(self._uri.key, version, wrapped.ciphertext)
        except RefusedError as error:
            raise self._error("Decrypt", error) from None
        return receive_secret(plaintext, self._uri.text)

    def close(self) -> None:
        self._wire.close()

    def _kid(self, version: str) -> str:
        """Return the identifier of a version of the configured key."""
        return f"https://{self._uri.place}/keys/{self._uri.key}/{version}"

    def _recorded_version(self, wrapped: WrappedKey) -> str:
        """Return the version of the recorded `kid`, which must name the configured key."""
        expected = self._kid("")
        if not wrapped.key_version.lower().startswith(expected.lower()):
            raise CiphertextError(
                f"{self._uri}: the wrapped key records {wrapped.key_version!r}, another key. Nothing was sent; bring "
                "back the file that holds it."
            )
        return wrapped.key_version[len(expected) :]

    def _error(self, action: str, error: RefusedError) -> KmsError:
        kind = error.kind
        # Azure says KeyNotFound also of a deleted key that can be recovered.
        if kind is KeyNotFoundError and self._wire.is_deleted(self._uri.key):
            kind = KeyPendingDeletionError
        return describe(kind, self._uri.text, action, error.code, error.text)
