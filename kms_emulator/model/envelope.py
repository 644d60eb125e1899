"""The ciphertext of a symmetric key: it names its key and version, and is authenticated with the caller's context.

    offset  bytes  field
         0      4  magic "KMS" and format number 1
         4     16  key uid
        20      4  version number, big-endian
        24     12  nonce
        36      n  AES-256-GCM ciphertext, as long as the plaintext
      36+n     16  tag

The associated data are the first 24 bytes and the context, each behind its length.

SAFETY: nonces are 96 random bits. One version must stay below 2^32 encryptions (NIST SP 800-38D, 8.3); an emulator that
made one a microsecond would reach that after an hour, and it guards nothing but tests.
"""

import struct
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from kms_emulator.model.context import encode_fields
from kms_emulator.model.errors import CiphertextError

MAGIC = b"KMS\x01"
_HEADER = struct.Struct(">4s16sI")
NONCE_BYTES = 12
TAG_BYTES = 16
OVERHEAD_BYTES = _HEADER.size + NONCE_BYTES + TAG_BYTES
"""Bytes that sealing adds to a plaintext."""


@dataclass(frozen=True, slots=True)
class Named:
    """The key and version that a ciphertext names; nothing is proved until it was opened."""

    uid: bytes
    number: int


def read_names(ciphertext: bytes) -> Named:
    """Return what the ciphertext names.

    Raises:
        CiphertextError: not one of ours, or cut.
    """
    if len(ciphertext) < OVERHEAD_BYTES:
        raise CiphertextError("the ciphertext is too short")
    magic, uid, number = _HEADER.unpack_from(ciphertext)
    if magic != MAGIC:
        raise CiphertextError("the ciphertext was not made here")
    return Named(uid, number)


def seal(key: AESGCM, named: Named, plaintext: bytes, context: bytes, nonce: bytes) -> bytes:
    """Return the ciphertext: `len(plaintext) + OVERHEAD_BYTES` bytes. `nonce` is 12 fresh random bytes."""
    header = _HEADER.pack(MAGIC, named.uid, named.number)
    return header + nonce + key.encrypt(nonce, plaintext, encode_fields(header, context))


def open_sealed(key: AESGCM, ciphertext: bytes, context: bytes) -> bytes:
    """Return the plaintext.

    Raises:
        CiphertextError: changed, cut, or bound to another context.
    """
    if len(ciphertext) < OVERHEAD_BYTES:
        raise CiphertextError("the ciphertext is too short")
    header, rest = ciphertext[: _HEADER.size], ciphertext[_HEADER.size :]
    try:
        return key.decrypt(rest[:NONCE_BYTES], rest[NONCE_BYTES:], encode_fields(header, context))
    except InvalidTag:
        raise CiphertextError("the ciphertext was changed, or is bound to another context") from None
