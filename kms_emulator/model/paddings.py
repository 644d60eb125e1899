"""RSA encryption: with OAEP and which hash, or with PKCS #1 v1.5; and how many bytes fit."""

from collections.abc import Mapping
from enum import Enum

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from kms_emulator.model.errors import CiphertextError, LengthError


class RsaPadding(Enum):
    """How RSA pads: OAEP, with the hash that its mask generation uses too; or PKCS #1 v1.5, for old clients."""

    OAEP_SHA1 = "oaep-sha1"
    OAEP_SHA256 = "oaep-sha256"
    OAEP_SHA512 = "oaep-sha512"
    PKCS1 = "pkcs1-v1.5"


_DIGESTS: Mapping[RsaPadding, hashes.HashAlgorithm] = {
    # Clouds offer OAEP over SHA-1, so it must be here; OAEP does not rest on collisions.
    RsaPadding.OAEP_SHA1: hashes.SHA1(),
    RsaPadding.OAEP_SHA256: hashes.SHA256(),
    RsaPadding.OAEP_SHA512: hashes.SHA512(),
}


_PKCS1_BYTES = 11
"""What PKCS #1 v1.5 adds at least (RFC 8017, 7.2.1)."""


def padding_of(pad: RsaPadding) -> padding.AsymmetricPadding:
    """Return the padding as `cryptography` takes it."""
    if pad is RsaPadding.PKCS1:
        return padding.PKCS1v15()
    digest = _DIGESTS[pad]
    return padding.OAEP(mgf=padding.MGF1(digest), algorithm=digest, label=None)


def encrypt(public: rsa.RSAPublicKey, plaintext: bytes, pad: RsaPadding) -> bytes:
    """Encrypt under the public key.

    Raises:
        LengthError: more bytes than the modulus less the padding can hold (RFC 8017, 7.1.1 and 7.2.1).
    """
    added = _PKCS1_BYTES if pad is RsaPadding.PKCS1 else 2 + 2 * _DIGESTS[pad].digest_size
    length_max = public.key_size // 8 - added
    if len(plaintext) > length_max:
        raise LengthError(length_max)
    return public.encrypt(plaintext, padding_of(pad))


def decrypt(private: rsa.RSAPrivateKey, ciphertext: bytes, pad: RsaPadding) -> bytes:
    """Decrypt with the private key.

    Raises:
        CiphertextError: changed, cut, or made under another key or padding. PKCS #1 v1.5 tells less: what was changed
            may come back as other bytes, because OpenSSL gives nobody an oracle.
    """
    try:
        return private.decrypt(ciphertext, padding_of(pad))
    except ValueError:
        raise CiphertextError("the ciphertext was changed or made under another key") from None
