"""The bytes of one key version, and the only place that uses them. Never shown by `repr`, never pickled."""

from enum import Enum
from functools import cached_property
from typing import NoReturn, Self

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from kms_emulator.model import envelope
from kms_emulator.model.errors import CiphertextError, LengthError
from kms_emulator.model.keys import KeyKind

PUBLIC_EXPONENT = 65537
_RSA_BITS = {KeyKind.RSA_2048: 2048, KeyKind.RSA_3072: 3072, KeyKind.RSA_4096: 4096}
_AES_KEY_BYTES = 32


class RsaPadding(Enum):
    """How RSA pads: OAEP, with the hash that its mask generation uses too."""

    OAEP_SHA1 = "oaep-sha1"
    OAEP_SHA256 = "oaep-sha256"


class Material:
    """Secret bytes of one version: 32 for AES-256, PKCS #8 DER for RSA."""

    def __init__(self, kind: KeyKind, secret: bytes) -> None:
        self.kind, self._secret = kind, secret

    @classmethod
    def from_random(cls, random: bytes) -> Self:
        """Make an AES-256 key of 32 random bytes."""
        if len(random) != _AES_KEY_BYTES:
            raise ValueError(f"an AES-256 key has {_AES_KEY_BYTES} bytes, not {len(random)}")
        return cls(KeyKind.AES_256, random)

    @classmethod
    def generate_rsa(cls, kind: KeyKind) -> Self:
        """Make an RSA key pair. Takes tens of milliseconds to seconds: keep it off an event loop."""
        private = rsa.generate_private_key(PUBLIC_EXPONENT, _RSA_BITS[kind])
        form = serialization.PrivateFormat.PKCS8
        return cls(kind, private.private_bytes(serialization.Encoding.DER, form, serialization.NoEncryption()))

    def to_stored(self) -> bytes:
        """Return the secret bytes, for the store only."""
        return self._secret

    def seal(self, named: envelope.Named, plaintext: bytes, context: bytes, nonce: bytes) -> bytes:
        """Seal with AES-256-GCM; see `envelope`."""
        return envelope.seal(self._secret, named, plaintext, context, nonce)

    def open(self, ciphertext: bytes, context: bytes) -> bytes:
        """Open what `seal` made."""
        return envelope.open_sealed(self._secret, ciphertext, context)

    def public_numbers(self) -> rsa.RSAPublicNumbers:
        """Return modulus and exponent of an RSA key."""
        return self._private.public_key().public_numbers()

    def rsa_encrypt(self, plaintext: bytes, pad: RsaPadding) -> bytes:
        """Encrypt under the public key.

        Raises:
            LengthError: more bytes than the modulus less the padding can hold.
        """
        digest = _digest(pad)
        length_max = self._private.key_size // 8 - 2 - 2 * digest.digest_size
        if len(plaintext) > length_max:
            raise LengthError(length_max)
        return self._private.public_key().encrypt(plaintext, _oaep(digest))

    def rsa_decrypt(self, ciphertext: bytes, pad: RsaPadding) -> bytes:
        """Decrypt with the private key.

        Raises:
            CiphertextError: changed, cut, or made under another key or padding.
        """
        try:
            return self._private.decrypt(ciphertext, _oaep(_digest(pad)))
        except ValueError:
            raise CiphertextError("the ciphertext was changed or made under another key") from None

    @cached_property
    def _private(self) -> rsa.RSAPrivateKey:
        private = serialization.load_der_private_key(self._secret, password=None)
        if not isinstance(private, rsa.RSAPrivateKey):
            raise TypeError("the stored material is not an RSA key")
        return private

    def __repr__(self) -> str:
        return f"<Material {self.kind.value}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("key material is never pickled or copied")


def _digest(pad: RsaPadding) -> hashes.HashAlgorithm:
    # Key Vault offers OAEP over SHA-1 under the name RSA-OAEP, so it must be here; OAEP does not rest on collisions.
    return hashes.SHA256() if pad is RsaPadding.OAEP_SHA256 else hashes.SHA1()


def _oaep(digest: hashes.HashAlgorithm) -> padding.OAEP:
    return padding.OAEP(mgf=padding.MGF1(digest), algorithm=digest, label=None)
