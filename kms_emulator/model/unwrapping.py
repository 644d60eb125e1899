"""Material on its way in: wrapped under an RSA key of the service, unwrapped here.

Two ways (PKCS #11 names them CKM_RSA_PKCS_OAEP and CKM_RSA_AES_KEY_WRAP): OAEP alone, for what fits into the modulus;
or an AES key under OAEP, followed by the material under AES key wrap with padding (RFC 5649).
"""

from dataclasses import dataclass

from cryptography.hazmat.primitives import keywrap
from cryptography.hazmat.primitives.asymmetric import rsa

from kms_emulator.model.errors import CiphertextError
from kms_emulator.model.paddings import RsaPadding, padding_of

_AES_KEY_BYTES = frozenset({16, 24, 32})


@dataclass(frozen=True, slots=True)
class Wrapping:
    """How material is wrapped: the hash of OAEP, and whether an AES key lies between."""

    pad: RsaPadding
    through_aes: bool


def unwrap(private: rsa.RSAPrivateKey, wrapping: Wrapping, wrapped: bytes) -> bytes:
    """Return the material.

    Raises:
        CiphertextError: changed, cut, or wrapped in another way or under another key.
    """
    modulus_bytes = private.key_size // 8
    head, rest = (wrapped[:modulus_bytes], wrapped[modulus_bytes:]) if wrapping.through_aes else (wrapped, b"")
    try:
        opened = private.decrypt(head, padding_of(wrapping.pad))
        if not wrapping.through_aes:
            return opened
        if len(opened) not in _AES_KEY_BYTES:
            raise ValueError("not an AES key")
        return keywrap.aes_key_unwrap_with_padding(opened, rest)
    except (ValueError, keywrap.InvalidUnwrap):
        raise CiphertextError("the key material cannot be unwrapped") from None
