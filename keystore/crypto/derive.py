"""Derives keys from keys: HKDF with SHA-256 (RFC 5869), every input length-prefixed.

Invariants:
1. No two purposes share an `info`: the purpose stands first in it, length-prefixed like every other field.
2. A derived key is checked by its commitment before it is used, so that a wrong key is told from damaged bytes.
"""

import hmac

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from keystore.crypto.context import encode_fields
from keystore.crypto.secret import SecretKey

COMMITMENT_BYTES = 16
"""Length of a key commitment; 128 bits make a second key with the same commitment as hard as breaking AES-128."""


def derive(key: SecretKey, salt: bytes, purpose: str, *context: bytes, length: int = 32) -> SecretKey:
    """Derive `length` bytes (at most 8160) from `key` for `purpose`, bound to `context`."""
    info = encode_fields(purpose.encode(), *context)
    hkdf = HKDF(algorithm=SHA256(), length=length, salt=salt, info=info)
    derived = SecretKey.filled(length, lambda out: hkdf.derive_into(key.view(), out))
    key.check()
    return derived


def derive_committed(
    key: SecretKey, salt: bytes, purpose: str, *context: bytes, keys: int = 1
) -> tuple[tuple[SecretKey, ...], bytes]:
    """Derive `keys` keys of 32 bytes and a commitment to them, all from one expansion.

    Returns the keys and the 16-byte commitment. The commitment tells nothing about the keys and differs for another
    `key` (collision resistance of HMAC-SHA256).
    """
    with derive(key, salt, purpose, *context, length=32 * keys + COMMITMENT_BYTES) as out:
        view = out.view()
        parts = tuple(SecretKey(view[32 * i : 32 * i + 32]) for i in range(keys))
        return parts, bytes(view[32 * keys :])


def commitments_equal(a: bytes, b: bytes) -> bool:
    """Compare two commitments in constant time."""
    return hmac.compare_digest(a, b)
