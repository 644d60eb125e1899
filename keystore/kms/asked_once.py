"""A connector that asks for each wrapped secret once, and remembers the answer until it is closed.

A restore to a time opens a snapshot and many segments, of several eras; the master key of one era is wrapped once.
"""

from collections.abc import Mapping
from typing import Self

from keystore.crypto.secret import SecretKey
from keystore.kms.protocol import KeyDescription, Kms, KmsConnector, WrappedKey

_Question = tuple[bytes, tuple[tuple[str, str], ...]]


class AskedOnce:
    """Gives clients by key URI, as `connect` does. A context manager that wipes what was remembered."""

    def __init__(self, connect: KmsConnector) -> None:
        self._connect = connect
        self._known: dict[_Question, SecretKey] = {}

    def __call__(self, key_uri: str) -> Kms:
        return _Remembering(self, key_uri)

    def unwrap(self, key_uri: str, wrapped: WrappedKey, context: Mapping[str, str]) -> SecretKey:
        """Return the secret, from the KMS or as it was remembered; the caller wipes it."""
        question = wrapped.ciphertext, tuple(sorted(context.items()))
        if question not in self._known:
            kms = self._connect(key_uri)
            try:
                self._known[question] = kms.unwrap(wrapped, context)
            finally:
                kms.close()
        return SecretKey(self._known[question].view())

    def connect(self, key_uri: str) -> Kms:
        """Return a client that remembers nothing."""
        return self._connect(key_uri)

    def close(self) -> None:
        """Wipe what was remembered; may be called twice."""
        for secret in self._known.values():
            secret.wipe()
        self._known.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Remembering:
    """One key; connects only for what is not known."""

    def __init__(self, owner: AskedOnce, key_uri: str) -> None:
        self._owner, self._uri = owner, key_uri

    def describe(self) -> KeyDescription:
        kms = self._owner.connect(self._uri)
        try:
            return kms.describe()
        finally:
            kms.close()

    def wrap(self, secret: SecretKey, context: Mapping[str, str]) -> WrappedKey:
        kms = self._owner.connect(self._uri)
        try:
            return kms.wrap(secret, context)
        finally:
            kms.close()

    def unwrap(self, wrapped: WrappedKey, context: Mapping[str, str]) -> SecretKey:
        return self._owner.unwrap(self._uri, wrapped, context)

    def close(self) -> None:
        """Nothing is kept open here."""
