"""Key pairs by kind: made, read from PKCS #8, and written again. All arithmetic is `cryptography`'s.

The private half is PKCS #8 DER (RFC 5958), the public half SubjectPublicKeyInfo DER (RFC 5280). Reading checks that the
key is of the kind asked for, so that a P-384 key never hides behind a P-256 record.
"""

from collections.abc import Callable, Mapping
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa, mlkem, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes, PublicKeyTypes

from kms_emulator.model.errors import MaterialError
from kms_emulator.model.keys import KeyKind

PUBLIC_EXPONENT = 65537
RSA_BITS: Mapping[KeyKind, int] = {KeyKind.RSA_2048: 2048, KeyKind.RSA_3072: 3072, KeyKind.RSA_4096: 4096}
SMALL_DER_BYTES_MAX = 512
"""LIMIT: bytes of a private key that is not RSA."""

CURVES: Mapping[KeyKind, type[ec.EllipticCurve]] = {
    KeyKind.EC_P256: ec.SECP256R1,
    KeyKind.EC_P384: ec.SECP384R1,
    KeyKind.EC_P521: ec.SECP521R1,
    KeyKind.EC_SECP256K1: ec.SECP256K1,
}
_PLAIN: Mapping[KeyKind, Any] = {
    KeyKind.ED25519: ed25519.Ed25519PrivateKey,
    KeyKind.ML_DSA_44: mldsa.MLDSA44PrivateKey,
    KeyKind.ML_DSA_65: mldsa.MLDSA65PrivateKey,
    KeyKind.ML_DSA_87: mldsa.MLDSA87PrivateKey,
    KeyKind.ML_KEM_768: mlkem.MLKEM768PrivateKey,
    KeyKind.ML_KEM_1024: mlkem.MLKEM1024PrivateKey,
}
"""Kinds without a parameter: their class alone makes and tells them."""

PAIRS = frozenset({*RSA_BITS, *CURVES, *_PLAIN})
"""The kinds that are key pairs."""


def generate(kind: KeyKind) -> bytes:
    """Return a fresh private key as PKCS #8 DER. RSA takes up to seconds: keep it off an event loop."""
    return to_pkcs8(_generator(kind)())


def read_private(kind: KeyKind, der: bytes, *, known: bool = False) -> PrivateKeyTypes:
    """Return the private key of PKCS #8 DER.

    Whether an RSA key's numbers belong together takes a quarter of a second to see; it is not looked at in a key that
    is `known`, as it was made or read here before.

    Raises:
        MaterialError: not PKCS #8, not a valid key, or one of another kind.
    """
    try:
        if len(der) > _der_bytes_max(kind):
            # SAFETY: whether the primes of a huge modulus are primes takes minutes, with the event loop held.
            raise ValueError("longer than any key of the kind")
        private = serialization.load_der_private_key(der, None, unsafe_skip_rsa_key_validation=known)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise MaterialError(f"the key material is not a {kind.value} private key in PKCS #8") from None
    if not _is_of(kind, private):
        raise MaterialError(f"the key material is a private key of another kind than {kind.value}")
    return private


def public_of(kind: KeyKind, der: bytes) -> bytes:
    """Return the public half, as SubjectPublicKeyInfo DER, of a private key that `generate` made."""
    return to_spki(read_private(kind, der).public_key())


def to_pkcs8(private: PrivateKeyTypes) -> bytes:
    """Return the one DER form of a private key, so that equal keys are equal bytes."""
    form = serialization.PrivateFormat.PKCS8
    return private.private_bytes(serialization.Encoding.DER, form, serialization.NoEncryption())


def to_spki(public: PublicKeyTypes) -> bytes:
    """Return a public key as SubjectPublicKeyInfo DER."""
    return public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def _generator(kind: KeyKind) -> Callable[[], PrivateKeyTypes]:
    if kind in RSA_BITS:
        return lambda: rsa.generate_private_key(PUBLIC_EXPONENT, RSA_BITS[kind])
    if kind in CURVES:
        return lambda: ec.generate_private_key(CURVES[kind]())
    generator: Callable[[], PrivateKeyTypes] = _PLAIN[kind].generate
    return generator


def _der_bytes_max(kind: KeyKind) -> int:
    """Return a bound of a private key's bytes: RSA's numbers have four and a half times those of the modulus."""
    return RSA_BITS[kind] * 5 // 8 if kind in RSA_BITS else SMALL_DER_BYTES_MAX


def _is_of(kind: KeyKind, private: PrivateKeyTypes) -> bool:
    if kind in RSA_BITS:
        return isinstance(private, rsa.RSAPrivateKey) and private.key_size == RSA_BITS[kind]
    if kind in CURVES:
        return isinstance(private, ec.EllipticCurvePrivateKey) and isinstance(private.curve, CURVES[kind])
    return isinstance(private, _PLAIN[kind])
