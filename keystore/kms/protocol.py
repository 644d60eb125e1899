"""What a key management service does for us, and nothing more: it describes, wraps and unwraps.

The promise of every client:

1. `wrap` and `unwrap` move secrets of `SECRET_BYTES` bytes only. Data never goes to a KMS.
2. Every failure is a `KmsError`, and its type separates *invalid* (the KMS said no: what uses the key must stop) from
   *unreachable* (nobody knows: what runs goes on). An answer that the client does not know is never called invalid.
3. Every call has a deadline. No call is repeated behind the caller's back.
4. `unwrap` returns what the KMS answered, which is not yet proof of anything: RSA wrapping binds no context and anybody
   with the public key can make a wrapped key. The caller derives its key from it and checks a commitment.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from keystore.crypto.secret import SecretKey
from keystore.format.wrapped import WrappedKey

__all__ = ["SECRET_BYTES", "KeyDescription", "Kms", "KmsConnector", "WrappedKey"]

SECRET_BYTES = 32
"""Bytes of a secret; every KMS can wrap that many in one call."""


@dataclass(frozen=True)
class KeyDescription:
    """What a KMS tells about a key.

    Attributes:
        key_version: as in `WrappedKey.key_version`: what a `wrap` of now would use.
        state: the KMS's own word, such as `Enabled`, `PendingDeletion`, `DESTROY_SCHEDULED`.
        usable: whether `wrap` would be allowed in that state.
    """

    provider: str
    key_id: str
    key_version: str
    state: str
    usable: bool


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
