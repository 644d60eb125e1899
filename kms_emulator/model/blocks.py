"""AES in its standard modes, with nothing of ours around the ciphertext: what is made here opens elsewhere, and back.

CBC does not pad: the plaintext is whole blocks (NIST SP 800-38A). CTR counts in the whole block. GCM ends with the tag,
16 bytes (NIST SP 800-38D).

SAFETY: a vector of GCM must be fresh for each encryption under a key. The caller brings it, and takes none of anybody
else.
"""

from enum import Enum

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from kms_emulator.model.errors import BlockError, CiphertextError

BLOCK_BYTES = 16
TAG_BYTES = 16


class Mode(Enum):
    """A mode of AES."""

    GCM = "gcm"
    CBC = "cbc"
    CTR = "ctr"

    @property
    def vector_bytes(self) -> int:
        """Return the length of the initialization vector."""
        return 12 if self is Mode.GCM else BLOCK_BYTES


def encrypt(key: bytes, mode: Mode, vector: bytes, plaintext: bytes, aad: bytes) -> bytes:
    """Return the ciphertext, with the tag behind it under GCM. `vector` has `mode.vector_bytes`; `aad` is for GCM only.

    Raises:
        BlockError: under CBC, not whole blocks.
    """
    if mode is Mode.GCM:
        return AESGCM(key).encrypt(vector, plaintext, aad)
    _check_blocks(mode, plaintext)
    work = _cipher(key, mode, vector).encryptor()
    return work.update(plaintext) + work.finalize()


def decrypt(key: bytes, mode: Mode, vector: bytes, ciphertext: bytes, aad: bytes) -> bytes:
    """Return the plaintext. Only GCM notices a change.

    Raises:
        CiphertextError: under GCM, changed, cut, or bound to other associated data.
        BlockError: under CBC, not whole blocks.
    """
    if mode is Mode.GCM:
        try:
            return AESGCM(key).decrypt(vector, ciphertext, aad)
        except InvalidTag:
            raise CiphertextError("the ciphertext was changed, or is bound to other associated data") from None
    _check_blocks(mode, ciphertext)
    work = _cipher(key, mode, vector).decryptor()
    return work.update(ciphertext) + work.finalize()


def _cipher(key: bytes, mode: Mode, vector: bytes) -> Cipher[modes.CBC] | Cipher[modes.CTR]:
    cipher = algorithms.AES(key)
    return Cipher(cipher, modes.CBC(vector)) if mode is Mode.CBC else Cipher(cipher, modes.CTR(vector))


def _check_blocks(mode: Mode, text: bytes) -> None:
    if mode is Mode.CBC and len(text) % BLOCK_BYTES:
        raise BlockError(f"CBC takes whole blocks of {BLOCK_BYTES} bytes, not {len(text)} bytes")
