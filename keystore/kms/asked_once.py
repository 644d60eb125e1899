"""A connector that asks for each wrapped secret once, and remembers the answer until it is closed.

A restore to a time opens a snapshot and many segments, of several eras; the master key of one era is wrapped once.
"""

from collections.abc import Mapping
from typing import Self

from keystore.crypto.secret import SecretKey
from keystore.kms.protocol import KeyDescription, Kms, KmsConnector, NamedCredentials, WrappedKey, reference_of

_Question = tuple[bytes, tuple[tuple[str, str], ...]]


class AskedOnce:
    """Gives clients by key URI, as `connect` does. A context manager that wipes what was remembered."""

    def __init__(self, connect: KmsConnector) -> None:
        self._connect = connect
        self._known: dict[_Question, SecretKey] = {}

    def __call__(self, key_uri: str) -> Kms:
        return _Remembering(self, key_uri)

    def reference(self, key_id: str) -> str:
        """Return the name of the credentials in use for a key; empty where they have none."""
        return reference_of(self._connect, key_id)

    def by_reference(self, key_id: str, reference: str) -> Kms | None:
        """Return the client for a key under credentials of that name; None where they are not known here."""
        connect = self._connect
        kms = connect.by_reference(key_id, reference) if isinstance(connect, NamedCredentials) else None
        return None if kms is None else _Remembering(self, key_id, kms)

    def unwrap(
        self, key_uri: str, wrapped: WrappedKey, context: Mapping[str, str], given: Kms | None = None
    ) -> SecretKey:
        """Return the secret, from the KMS, by the client that is given if any, or as it was remembered.

        The caller wipes it.
        """
        question = wrapped.ciphertext, tuple(sorted(context.items()))
        if question not in self._known and given is not None:
            self._known[question] = given.unwrap(wrapped, context)
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
    """One key; connects only for what is not known, unless a client of its own is given."""

    def __init__(self, owner: AskedOnce, key_uri: str, given: Kms | None = None) -> None:
        self._owner, self._uri, self._given = owner, key_uri, given

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
        return self._owner.unwrap(self._uri, wrapped, context, self._given)

    def close(self) -> None:
        if self._given is not None:
            self._given.close()
