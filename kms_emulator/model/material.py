"""The bytes of one key version, and the only place that uses them. Never shown by `repr`, never pickled."""

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, NoReturn, Self

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, hmac, keywrap
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import load_der_public_key

from kms_emulator.model import blocks, envelope, keypairs, paddings, signatures
from kms_emulator.model.errors import BlockError, CiphertextError, MaterialError, PeerKeyError, SignatureError
from kms_emulator.model.keys import KeyKind
from kms_emulator.model.paddings import RsaPadding as RsaPadding
from kms_emulator.model.unwrapping import Wrapping, unwrap

SYMMETRIC_BYTES: Mapping[KeyKind, int] = {
    KeyKind.AES_128: 16,
    KeyKind.AES_192: 24,
    KeyKind.AES_256: 32,
    KeyKind.HMAC_224: 28,
    KeyKind.HMAC_256: 32,
    KeyKind.HMAC_384: 48,
    KeyKind.HMAC_512: 64,
}
"""Length of the secret of each kind that is not a key pair."""

_HMAC_DIGESTS: Mapping[KeyKind, hashes.HashAlgorithm] = {
    KeyKind.HMAC_224: hashes.SHA224(),
    KeyKind.HMAC_256: hashes.SHA256(),
    KeyKind.HMAC_384: hashes.SHA384(),
    KeyKind.HMAC_512: hashes.SHA512(),
}


class Material:
    """Secret bytes of one version: as many as `SYMMETRIC_BYTES` says, or PKCS #8 DER for a key pair."""

    def __init__(self, kind: KeyKind, secret: bytes) -> None:
        self.kind, self._secret = kind, secret

    @classmethod
    def generate(cls, kind: KeyKind, entropy: Callable[[int], bytes]) -> Self:
        """Make material of any kind. RSA takes tens of milliseconds to seconds: keep it off an event loop."""
        length = SYMMETRIC_BYTES.get(kind)
        return cls(kind, keypairs.generate(kind) if length is None else entropy(length))

    @classmethod
    def generate_rsa(cls, kind: KeyKind) -> Self:
        """Make an RSA key pair, as `generate` does."""
        return cls(kind, keypairs.generate(kind))

    @classmethod
    def from_outside(cls, kind: KeyKind, secret: bytes) -> Self:
        """Make material of what somebody imports: raw bytes, or a private key in PKCS #8.

        Raises:
            MaterialError: of the wrong length, form or kind.
        """
        length = SYMMETRIC_BYTES.get(kind)
        if length is None:
            return cls(kind, keypairs.to_pkcs8(keypairs.read_private(kind, secret)))
        if len(secret) != length:
            raise MaterialError(f"{kind.value} key material has {length} bytes, not {len(secret)}")
        return cls(kind, secret)

    def to_stored(self) -> bytes:
        """Return the secret bytes, for the store only."""
        return self._secret

    def fingerprint(self, lineage: bytes) -> str:
        """Return 32 hexadecimal digits by which a key knows its imported material again; they say nothing about it."""
        mac = hmac.HMAC(self._secret, hashes.SHA256())
        mac.update(b"fingerprint of imported material\x00" + lineage)
        return mac.finalize()[:16].hex()

    # -- symmetric keys

    def seal(self, named: envelope.Named, plaintext: bytes, context: bytes, nonce: bytes) -> bytes:
        """Seal with AES-256-GCM; see `envelope`."""
        return envelope.seal(self._aead, named, plaintext, context, nonce)

    def open(self, ciphertext: bytes, context: bytes) -> bytes:
        """Open what `seal` made."""
        return envelope.open_sealed(self._aead, ciphertext, context)

    def encrypt_blocks(self, mode: blocks.Mode, vector: bytes, plaintext: bytes, aad: bytes) -> bytes:
        """Encrypt in a mode of AES, into a ciphertext that names nothing; see `blocks`."""
        return blocks.encrypt(self._secret, mode, vector, plaintext, aad)

    def decrypt_blocks(self, mode: blocks.Mode, vector: bytes, ciphertext: bytes, aad: bytes) -> bytes:
        """Decrypt what was encrypted here or elsewhere; see `blocks`."""
        return blocks.decrypt(self._secret, mode, vector, ciphertext, aad)

    def wrap_key(self, key: bytes) -> bytes:
        """Wrap a key of 16 bytes and more, in eights (RFC 3394).

        Raises:
            BlockError: of another length.
        """
        if len(key) < 16 or len(key) % 8:
            raise BlockError("a key that is wrapped has 16 bytes or more, in eights")
        return keywrap.aes_key_wrap(self._secret, key)

    def unwrap_key(self, wrapped: bytes) -> bytes:
        """Return the key that `wrap_key` wrapped.

        Raises:
            CiphertextError: changed, cut, or wrapped under another key.
        """
        try:
            return keywrap.aes_key_unwrap(self._secret, wrapped)
        except keywrap.InvalidUnwrap:
            raise CiphertextError("the key cannot be unwrapped") from None

    def mac(self, message: bytes) -> bytes:
        """Return the HMAC of the message, with the hash of the key's kind (RFC 2104)."""
        return self._hmac(message).finalize()

    def check_mac(self, message: bytes, code: bytes) -> None:
        """Return if the code is the message's; SignatureError if not. Takes the same time for every wrong one."""
        try:
            self._hmac(message).verify(code)
        except InvalidSignature:
            raise SignatureError("the code is not this key's over this message") from None

    def _hmac(self, message: bytes) -> hmac.HMAC:
        mac = hmac.HMAC(self._secret, _HMAC_DIGESTS[self.kind])
        mac.update(message)
        return mac

    # -- key pairs

    def public_der(self) -> bytes:
        """Return the public half as SubjectPublicKeyInfo DER."""
        return keypairs.to_spki(self._private.public_key())

    def public_raw(self) -> bytes:
        """Return the public half as the bare bytes of its standard (FIPS 203, 204), for kinds that have them."""
        raw: bytes = self._private.public_key().public_bytes_raw()
        return raw

    def public_numbers(self) -> rsa.RSAPublicNumbers:
        """Return modulus and exponent of an RSA key."""
        return self._rsa.public_key().public_numbers()

    def public_point(self) -> tuple[int, int]:
        """Return the coordinates of the public point of a key on a curve."""
        numbers = self._private.public_key().public_numbers()
        return numbers.x, numbers.y

    def rsa_encrypt(self, plaintext: bytes, pad: RsaPadding) -> bytes:
        """Encrypt under the public half; see `paddings`."""
        return paddings.encrypt(self._rsa.public_key(), plaintext, pad)

    def rsa_decrypt(self, ciphertext: bytes, pad: RsaPadding) -> bytes:
        """Decrypt with the private half; see `paddings`."""
        return paddings.decrypt(self._rsa, ciphertext, pad)

    def unwrap(self, wrapping: Wrapping, wrapped: bytes) -> bytes:
        """Return material that was wrapped under the public half; see `unwrapping`."""
        return unwrap(self._rsa, wrapping, wrapped)

    def sign(self, scheme: signatures.Scheme, message: bytes, form: signatures.MessageForm) -> bytes:
        """Sign; see `signatures`."""
        return signatures.sign(self._private, scheme, message, form)

    def verify(self, scheme: signatures.Scheme, message: bytes, form: signatures.MessageForm, signature: bytes) -> None:
        """Return if the signature is good; see `signatures`."""
        signatures.verify(self._private.public_key(), scheme, message, form, signature)

    def agree(self, peer_der: bytes) -> bytes:
        """Return the shared secret with a peer's public key (SubjectPublicKeyInfo DER): x of the common point.

        Raises:
            PeerKeyError: not a public key, or one on another curve.
        """
        try:
            peer = load_der_public_key(peer_der)
            if not isinstance(peer, ec.EllipticCurvePublicKey):
                raise ValueError("not a key on an elliptic curve")
            # The cofactor of these curves is 1: this is the cofactor primitive of SP 800-56A too.
            secret: bytes = self._private.exchange(ec.ECDH(), peer)
        except (ValueError, UnsupportedAlgorithm) as error:
            raise PeerKeyError("the public key is not one on this key's curve") from error
        return secret

    def encapsulate(self) -> tuple[bytes, bytes]:
        """Return a fresh shared secret and its encapsulation under the public half (FIPS 203)."""
        secret, encapsulated = self._private.public_key().encapsulate()
        return secret, encapsulated

    def decapsulate(self, encapsulated: bytes) -> bytes:
        """Return the shared secret. A changed encapsulation gives another secret, as FIPS 203 has it.

        Raises:
            CiphertextError: of the wrong length.
        """
        try:
            secret: bytes = self._private.decapsulate(encapsulated)
        except ValueError:
            raise CiphertextError("not an encapsulation for this key") from None
        return secret

    @cached_property
    def _aead(self) -> AESGCM:
        """Made once: that costs as much as sealing a small plaintext."""
        return AESGCM(self._secret)

    @cached_property
    def _private(self) -> Any:
        return keypairs.read_private(self.kind, self._secret, known=True)

    @property
    def _rsa(self) -> rsa.RSAPrivateKey:
        private = self._private
        if not isinstance(private, rsa.RSAPrivateKey):
            raise TypeError("the material is not an RSA key")
        return private

    def __repr__(self) -> str:
        return f"<Material {self.kind.value}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("key material is never pickled or copied")
