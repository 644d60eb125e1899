"""What a key management service does for us, and nothing more: it describes, wraps and unwraps.

The promise of every client:

1. `wrap` and `unwrap` move secrets of `SECRET_BYTES` bytes only. Data never goes to a KMS.
2. Every failure is a `KmsError`, and its type separates *invalid* (the KMS said no: what uses the key must stop) from
   *unreachable* (nobody knows: what runs goes on). An answer that the client does not know is never called invalid.
3. Every call ends within a bound. Only AWS's own SDK repeats one, a bounded number of times, and no call that is made
   changes anything at a KMS.
4. `unwrap` returns what the KMS answered, which is not yet proof of anything: RSA wrapping binds no context and anybody
   with the public key can make a wrapped key. The caller derives its key from it and checks a commitment.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from keystore.crypto.secret import SecretKey
from keystore.errors import CiphertextError, InputError
from keystore.format.wrapped import WrappedKey

__all__ = [
    "SECRET_BYTES",
    "KeyDescription",
    "Kms",
    "KmsConnector",
    "NamedCredentials",
    "WrappedKey",
    "receive_secret",
    "reference_of",
    "require_secret",
    "require_wrapped",
]

SECRET_BYTES = 32
"""Bytes of a secret; every KMS can wrap that many in one call."""

CIPHERTEXT_BYTES_MAX = 6144
"""LIMIT: bytes of a wrapped key; the most that AWS takes for Decrypt, and twelve times an RSA-4096 ciphertext."""


@dataclass(frozen=True)
class KeyDescription:
    """What a KMS tells about a key.

    Attributes:
        key_version: as in `WrappedKey.key_version`: what a `wrap` of now would use.
        state: the KMS's own word, such as `Enabled`, `PendingDeletion`, `DESTROY_SCHEDULED`.
        usable: whether `wrap` would be allowed in that state.
        begins_s, ends_s: from when and until when, in seconds since 1970, where the KMS keeps that of a key.
    """

    provider: str
    key_id: str
    key_version: str
    state: str
    usable: bool
    begins_s: int | None = None
    ends_s: int | None = None


class Kms(Protocol):
    """One customer master key, and the way to it."""

    def describe(self) -> KeyDescription:
        """Return the key's state; a disabled key is described, a missing one raises `KeyNotFoundError`."""
        ...

    def wrap(self, secret: SecretKey, context: Mapping[str, str]) -> WrappedKey:
        """Wrap `secret` (`SECRET_BYTES` bytes), bound to `context` where the KMS can do that."""
        ...

    def unwrap(self, wrapped: WrappedKey, context: Mapping[str, str]) -> SecretKey:
        """Return the secret; the caller wipes it.

        Raises:
            CiphertextError: `wrapped` was changed, was made under another key, or is bound to another context.
        """
        ...

    def close(self) -> None:
        """Give back connections and wipe what is secret. May be called twice."""
        ...


KmsConnector = Callable[[str], Kms]
"""Gives the client for a key URI; the caller closes it."""


@runtime_checkable
class NamedCredentials(Protocol):
    """A `KmsConnector` that knows credentials by name, so that a record can say which were used."""

    def reference(self, key_id: str) -> str:
        """Return the name of the credentials in use for a key; empty where they have none."""
        ...

    def by_reference(self, key_id: str, reference: str) -> Kms | None:
        """Return the client for a key under credentials of that name; None where they are not known here."""
        ...


def reference_of(connect: KmsConnector, key_id: str) -> str:
    """Return the name of the credentials that `connect` uses for a key; empty where they have none."""
    return connect.reference(key_id) if isinstance(connect, NamedCredentials) else ""


def require_secret(secret: SecretKey) -> None:
    """Refuse to send anything but a secret of `SECRET_BYTES` bytes.

    Raises:
        InputError: it has another length; nothing was sent.
    """
    if len(secret) != SECRET_BYTES:
        raise InputError(f"a KMS wraps {SECRET_BYTES} bytes, not {len(secret)}; nothing was sent")


def require_wrapped(wrapped: WrappedKey, provider: str) -> None:
    """Refuse a wrapped key that cannot be this provider's.

    Raises:
        CiphertextError: it is another provider's, empty, or too long; nothing was sent.
    """
    if wrapped.provider != provider:
        raise CiphertextError(
            f"a key wrapped by {wrapped.provider!r} was given to {provider!r}. Nothing was sent; use the key URI "
            f"that stands beside it: {wrapped.key_id}"
        )
    if not 0 < len(wrapped.ciphertext) <= CIPHERTEXT_BYTES_MAX:
        raise CiphertextError(
            f"{wrapped.key_id}: a wrapped key has 1 to {CIPHERTEXT_BYTES_MAX} bytes, not {len(wrapped.ciphertext)}. "
            "Nothing was sent; bring back the file that holds it."
        )


def receive_secret(plaintext: bytes | bytearray | memoryview, key_id: str) -> SecretKey:
    """Take what a KMS unwrapped.

    Raises:
        CiphertextError: it is not `SECRET_BYTES` long, so it is nothing that this package wrapped.
    """
    if len(plaintext) != SECRET_BYTES:
        raise CiphertextError(
            f"{key_id}: the KMS unwrapped {len(plaintext)} bytes, not {SECRET_BYTES}: this is not a wrapped master "
            "key. Nothing was written; bring back the file that holds it."
        )
    return SecretKey(plaintext)
