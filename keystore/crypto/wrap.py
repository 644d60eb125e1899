"""Seals small secrets under a key: AES-256-GCM with a key derived for this one message from a fresh salt.

Used for the body of the keystore file, the body of a manifest, and whatever else is written whole and rarely. Pages do
not go through here (`kernel` seals those).

SAFETY: each message has a key of its own (32 random bytes of salt through HKDF), so the random nonce can never meet a
second message under the same key, whatever was copied or restored.
"""

import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from keystore.crypto.context import encode_fields
from keystore.crypto.derive import COMMITMENT_BYTES, commitments_equal, derive_committed
from keystore.crypto.secret import SecretKey
from keystore.errors import WrongKeyError

SALT_BYTES = 32
NONCE_BYTES = 12
TAG_BYTES = 16
OVERHEAD_BYTES = SALT_BYTES + COMMITMENT_BYTES + NONCE_BYTES + TAG_BYTES
"""Bytes that `wrap` adds to a secret."""


class WrapDamagedError(Exception):
    """The key is right and the bytes are not; the caller says which file that was."""


def wrap(key: SecretKey, secret: bytes | bytearray | memoryview, purpose: str, *context: bytes) -> bytes:
    """Seal `secret` under `key`, bound to `purpose` and `context`.

    Returns ``salt 32 | commitment 16 | nonce 12 | ciphertext | tag 16``: `len(secret) + OVERHEAD_BYTES` bytes.
    """
    salt, nonce = secrets.token_bytes(SALT_BYTES), secrets.token_bytes(NONCE_BYTES)
    (message_key,), commitment = derive_committed(key, salt, purpose)
    with message_key:
        aad = encode_fields(purpose.encode(), commitment, *context)
        sealed = AESGCM(message_key.view()).encrypt(nonce, secret, aad)
    return salt + commitment + nonce + sealed


def unwrap(key: SecretKey, wrapped: bytes, purpose: str, *context: bytes) -> bytearray:
    """Open what `wrap` sealed; the caller wipes the result.

    Raises:
        WrongKeyError: `wrapped` was sealed under another key or for another purpose.
        WrapDamagedError: it was changed, cut, or bound to another context.
    """
    if len(wrapped) < OVERHEAD_BYTES:
        raise WrapDamagedError(f"{len(wrapped)} bytes; at least {OVERHEAD_BYTES} were expected")
    salt, rest = wrapped[:SALT_BYTES], wrapped[SALT_BYTES:]
    expected, nonce, sealed = rest[:16], rest[16 : 16 + NONCE_BYTES], rest[16 + NONCE_BYTES :]
    (message_key,), commitment = derive_committed(key, salt, purpose)
    with message_key:
        if not commitments_equal(commitment, expected):
            raise WrongKeyError(f"{purpose}: sealed under another key, or its salt was changed")
        out = bytearray(len(sealed) - TAG_BYTES)
        aad = encode_fields(purpose.encode(), expected, *context)
        try:
            AESGCM(message_key.view()).decrypt_into(nonce, sealed, aad, out)
        except InvalidTag:
            raise WrapDamagedError("the authentication tag does not match") from None
    return out
