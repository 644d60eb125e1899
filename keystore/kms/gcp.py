"""Google Cloud KMS: Encrypt and Decrypt with associated data, over any wire that makes Google's calls.

Encrypt goes to the key version when one is configured, otherwise to the key, whose primary version then serves.
Decrypt goes to the key, as Google asks: the ciphertext names its version. The associated data is the encoded context.

Leaves to the wires (`gcp_grpc`, `gcp_sdk`): how a call is made, and which error type an answer is.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from keystore.crypto.context import encode_context
from keystore.crypto.secret import SecretKey
from keystore.errors import CiphertextError, KeyUnusableError, KmsError, KmsUnreachableError
from keystore.format.wrapped import WrappedKey
from keystore.kms.gcp_codes import INVALID_ARGUMENT, INVALID_STATE, STATES
from keystore.kms.protocol import KeyDescription, receive_secret, require_secret, require_wrapped
from keystore.kms.refusals import RefusedError, describe
from keystore.kms.uri import KeyUri

ALGORITHMS = frozenset({"GOOGLE_SYMMETRIC_ENCRYPTION", "EXTERNAL_SYMMETRIC_ENCRYPTION"})
"""Of versions that Encrypt takes."""


@dataclass(frozen=True)
class GcpVersion:
    """What is told of a key version."""

    name: str
    state: str
    algorithm: str


class GcpWire(Protocol):
    """Google's calls. Each raises `RefusedError`, whose code is the status, and nothing else."""

    def get_version(self, name: str) -> GcpVersion: ...

    def get_primary(self, key: str) -> GcpVersion:
        """Return the primary version of a key."""
        ...

    def encrypt(self, name: str, plaintext: bytes, aad: bytes) -> tuple[str, bytes]:
        """Return the name of the version that did it and the ciphertext; `name` is a key or a version."""
        ...

    def decrypt(self, key: str, ciphertext: bytes, aad: bytes) -> bytes: ...

    def close(self) -> None:
        """Give back connections; may be called twice."""
        ...


class GcpKms:
    """A crypto key, or one version of it."""

    def __init__(self, uri: KeyUri, wire: GcpWire) -> None:
        self._uri, self._wire = uri, wire
        self._version = f"{uri.key}/cryptoKeyVersions/{uri.version}" if uri.version else ""

    def describe(self) -> KeyDescription:
        try:
            version = self._current_version(self._version)
        except RefusedError as error:
            raise self._error("GetCryptoKeyVersion", error, "") from None
        self._require_mine("GetCryptoKeyVersion", version.name)
        usable = version.state == "ENABLED" and version.algorithm in ALGORITHMS
        return KeyDescription("gcp", self._uri.text, version.name, version.state, usable)

    def wrap(self, secret: SecretKey, context: Mapping[str, str]) -> WrappedKey:
        require_secret(secret)
        name = self._version or self._uri.key
        try:
            version, ciphertext = self._wire.encrypt(name, bytes(secret.view()), encode_context(context))
        except RefusedError as error:
            raise self._error("Encrypt", error, self._version) from None
        self._require_mine("Encrypt", version)
        return WrappedKey("gcp", self._uri.text, version, ciphertext)

    def unwrap(self, wrapped: WrappedKey, context: Mapping[str, str]) -> SecretKey:
        require_wrapped(wrapped, "gcp")
        try:
            plaintext = self._wire.decrypt(self._uri.key, wrapped.ciphertext, encode_context(context))
        except RefusedError as error:
            if error.code == INVALID_ARGUMENT:
                raise describe(CiphertextError, self._uri.text, "Decrypt", error.code, error.text) from None
            raise self._error("Decrypt", error, wrapped.key_version) from None
        return receive_secret(plaintext, self._uri.text)

    def close(self) -> None:
        self._wire.close()

    def _require_mine(self, action: str, version: str) -> None:
        """Refuse an answer about another key, or another version where one is configured."""
        if version != self._version if self._version else not version.startswith(f"{self._uri.key}/cryptoKeyVersions/"):
            raise describe(KmsUnreachableError, self._uri.text, action, "unreadable answer", "it is about another key")

    def _current_version(self, version: str) -> GcpVersion:
        return self._wire.get_version(version) if version else self._wire.get_primary(self._uri.key)

    def _error(self, action: str, error: RefusedError, version: str) -> KmsError:
        kind = self._state_error(version) if error.code == INVALID_STATE else error.kind
        return describe(kind, self._uri.text, action, error.code, error.text)

    def _state_error(self, version: str) -> type[KmsError]:
        """Ask which state it is: Google has one status for all that forbid a call."""
        try:
            return STATES.get(self._current_version(version).state, KeyUnusableError)
        except RefusedError:
            return KeyUnusableError
