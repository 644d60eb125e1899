"""RSA encryption with OAEP: which hashes, and how many bytes fit."""

from collections.abc import Mapping
from enum import Enum

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from kms_emulator.model.errors import CiphertextError, LengthError


class RsaPadding(Enum):
    """How RSA pads: OAEP, with the hash that its mask generation uses too."""

    OAEP_SHA1 = "oaep-sha1"
    OAEP_SHA256 = "oaep-sha256"
    OAEP_SHA512 = "oaep-sha512"


_DIGESTS: Mapping[RsaPadding, hashes.HashAlgorithm] = {
    # Clouds offer OAEP over SHA-1, so it must be here; OAEP does not rest on collisions.
    RsaPadding.OAEP_SHA1: hashes.SHA1(),
    RsaPadding.OAEP_SHA256: hashes.SHA256(),
    RsaPadding.OAEP_SHA512: hashes.SHA512(),
}


def oaep(pad: RsaPadding) -> padding.OAEP:
    """Return the padding as `cryptography` takes it."""
    digest = _DIGESTS[pad]
    return padding.OAEP(mgf=padding.MGF1(digest), algorithm=digest, label=None)


def encrypt(public: rsa.RSAPublicKey, plaintext: bytes, pad: RsaPadding) -> bytes:
    """Encrypt under the public key.

    Raises:
        LengthError: more bytes than the modulus less the padding can hold (RFC 8017, 7.1.1).
    """
    length_max = public.key_size // 8 - 2 - 2 * _DIGESTS[pad].digest_size
    if len(plaintext) > length_max:
        raise LengthError(length_max)
    return public.encrypt(plaintext, oaep(pad))


def decrypt(private: rsa.RSAPrivateKey, ciphertext: bytes, pad: RsaPadding) -> bytes:
    """Decrypt with the private key.

    Raises:
        CiphertextError: changed, cut, or made under another key or padding.
    """
    try:
        return private.decrypt(ciphertext, oaep(pad))
    except ValueError:
        raise CiphertextError("the ciphertext was changed or made under another key") from None
