"""Seals what a data directory holds under a passphrase or the content of a key file.

    root keys    Argon2id of the secret with a random salt of 16 bytes: one for values, one for the digest over all rows
                 (`digest`); the header keeps salt and cost
    sealed value nonce (12 bytes) | AES-256-GCM ciphertext | tag (16 bytes)
    associated   the value's place, each part behind its length: table, then the columns that name the row

So a value that was moved to another row does not open. The header also holds a sealed empty value: it tells a wrong
secret from a damaged directory before anything is read or written.

Not sealed: names of aliases and folders, uids, sizes and how many rows there are.

SAFETY: nonces are 96 random bits; a directory stays far below 2^32 writes (NIST SP 800-38D, 8.3).
"""

import json
import secrets
from typing import Protocol, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from kms_emulator.model.context import encode_fields
from kms_emulator.storage.errors import DataDirDamagedError, DataDirKeyError

OPERATIONS, MEMORY_BYTES = 3, 64 << 20
"""Cost of Argon2id: libsodium's "interactive" memory and one pass more, some 0.1 s; RFC 9106 asks for 64 MiB and 3."""

OPERATIONS_MAX, MEMORY_BYTES_MAX = 16, 1 << 30
"""LIMIT: what a header may ask for; a damaged one must not take all memory."""

SECRET_BYTES_MAX = 1 << 16
"""LIMIT: bytes of a passphrase or key file."""

_KEY_BYTES, _SALT_BYTES, _NONCE_BYTES = 32, 16, 12
_CHECK = ("sealing", "check")


class Sealer(Protocol):
    """Turns a value into what the file holds, and back."""

    def seal(self, place: tuple[str, ...], value: bytes) -> bytes:
        """Return the value as it is stored at `place`."""

    def open(self, place: tuple[str, ...], stored: bytes) -> bytes:
        """Return the value of what is stored at `place`; DataDirDamagedError if it was changed or moved."""


class Clear:
    """Stores values as they are."""

    def seal(self, place: tuple[str, ...], value: bytes) -> bytes:
        return value

    def open(self, place: tuple[str, ...], stored: bytes) -> bytes:
        return stored


class Sealed:
    """Stores values under a key."""

    def __init__(self, keys: bytes) -> None:
        self._aead, self.digest_key = AESGCM(keys[:_KEY_BYTES]), keys[_KEY_BYTES:]

    @classmethod
    def create(cls, secret: bytes) -> tuple[Self, str]:
        """Return a sealer with a fresh salt, and the header from which `unlock` makes it again."""
        salt = secrets.token_bytes(_SALT_BYTES)
        sealer = cls(_derive(secret, salt, OPERATIONS, MEMORY_BYTES))
        check = sealer.seal(_CHECK, b"")
        header = {"salt": salt.hex(), "operations": OPERATIONS, "memory": MEMORY_BYTES, "check": check.hex()}
        return sealer, json.dumps(header, sort_keys=True)

    @classmethod
    def unlock(cls, secret: bytes, header: str) -> Self:
        """Return the sealer of a header.

        Raises:
            DataDirKeyError: another secret than the one it was made with.
            ValueError, KeyError, TypeError: not a header.
        """
        fields = json.loads(header)
        operations, memory = int(fields["operations"]), int(fields["memory"])
        if not (0 < operations <= OPERATIONS_MAX and 0 < memory <= MEMORY_BYTES_MAX):
            raise ValueError("the header asks for a cost that no version of this program used")
        sealer = cls(_derive(secret, bytes.fromhex(fields["salt"]), operations, memory))
        try:
            sealer.open(_CHECK, bytes.fromhex(fields["check"]))
        except DataDirDamagedError:
            raise DataDirKeyError("the passphrase or key file is not the one it was sealed with") from None
        return sealer

    def seal(self, place: tuple[str, ...], value: bytes) -> bytes:
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + self._aead.encrypt(nonce, value, _bound(place))

    def open(self, place: tuple[str, ...], stored: bytes) -> bytes:
        try:
            return self._aead.decrypt(stored[:_NONCE_BYTES], stored[_NONCE_BYTES:], _bound(place))
        except (InvalidTag, ValueError, TypeError):
            raise DataDirDamagedError(f"a sealed value of {place[0]} was changed or moved") from None


def _bound(place: tuple[str, ...]) -> bytes:
    return encode_fields(b"kms-emulator data directory", *(part.encode() for part in place))


def _derive(secret: bytes, salt: bytes, operations: int, memory: int) -> bytes:
    # Imported here: it takes time that only those with sealed directories should pay.
    from nacl.pwhash import argon2id

    return argon2id.kdf(2 * _KEY_BYTES, secret, salt, opslimit=operations, memlimit=memory)
