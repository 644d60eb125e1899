"""Signatures: which schemes there are, which kinds of key can use them, and what each signs.

A message comes whole, as its digest, or (ML-DSA) as the representative mu of FIPS 204, section 6.2. A digest has the
length of the scheme's hash and is not hashed again.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from kms_emulator.model.errors import SignatureError
from kms_emulator.model.keys import KeyKind

MU_BYTES = 64
"""Length of mu (FIPS 204, section 6.2)."""


class MessageForm(Enum):
    """What is handed in to be signed."""

    WHOLE = "whole"
    DIGEST = "digest"
    MU = "mu"


class Padding(Enum):
    """How RSA pads a digest; the salt of PSS is as long as the digest."""

    PSS = "pss"
    PKCS1 = "pkcs1"


_RSA = frozenset({KeyKind.RSA_2048, KeyKind.RSA_3072, KeyKind.RSA_4096})
_ML_DSA = frozenset({KeyKind.ML_DSA_44, KeyKind.ML_DSA_65, KeyKind.ML_DSA_87})


@dataclass(frozen=True, slots=True)
class Scheme:
    """One way to sign.

    Attributes:
        digest: the hash of the message; None where the scheme hashes in its own way.
        pad: for RSA only.
    """

    kinds: frozenset[KeyKind]
    digest: hashes.HashAlgorithm | None = None
    pad: Padding | None = None

    def length_of(self, form: MessageForm) -> int | None:
        """Return the only length that the form may have, or None if any length will do.

        Raises:
            ValueError: the scheme does not take that form.
        """
        if form is MessageForm.WHOLE:
            return None
        if form is MessageForm.DIGEST and self.digest is not None:
            return self.digest.digest_size
        if form is MessageForm.MU and self.kinds == _ML_DSA:
            return MU_BYTES
        raise ValueError(f"the scheme does not take a message as {form.value}")


_SHA256, _SHA384, _SHA512 = hashes.SHA256(), hashes.SHA384(), hashes.SHA512()
RSA_PSS_SHA256 = Scheme(_RSA, _SHA256, Padding.PSS)
RSA_PSS_SHA384 = Scheme(_RSA, _SHA384, Padding.PSS)
RSA_PSS_SHA512 = Scheme(_RSA, _SHA512, Padding.PSS)
RSA_PKCS1_SHA256 = Scheme(_RSA, _SHA256, Padding.PKCS1)
RSA_PKCS1_SHA384 = Scheme(_RSA, _SHA384, Padding.PKCS1)
RSA_PKCS1_SHA512 = Scheme(_RSA, _SHA512, Padding.PKCS1)
ECDSA_SHA256 = Scheme(frozenset({KeyKind.EC_P256, KeyKind.EC_SECP256K1}), _SHA256)
ECDSA_SHA384 = Scheme(frozenset({KeyKind.EC_P384}), _SHA384)
ECDSA_SHA512 = Scheme(frozenset({KeyKind.EC_P521}), _SHA512)
ED25519 = Scheme(frozenset({KeyKind.ED25519}))
ML_DSA = Scheme(_ML_DSA)


def sign(private: Any, scheme: Scheme, message: bytes, form: MessageForm) -> bytes:
    """Return the signature: DER for ECDSA (RFC 3279), otherwise the scheme's own bytes.

    `private` is of one of the scheme's kinds and `message` as long as `length_of` says; the caller checked both.
    """
    signature: bytes = (
        private.sign_mu(message) if form is MessageForm.MU else private.sign(message, *_parameters(scheme, form))
    )
    return signature


def verify(public: Any, scheme: Scheme, message: bytes, form: MessageForm, signature: bytes) -> None:
    """Return if the signature is good.

    Raises:
        SignatureError: it is not this key's over this message, or not a signature at all.
    """
    try:
        if form is MessageForm.MU:
            public.verify_mu(signature, message)
        else:
            public.verify(signature, message, *_parameters(scheme, form))
    except (InvalidSignature, ValueError):
        raise SignatureError("the signature is not this key's over this message") from None


def _parameters(scheme: Scheme, form: MessageForm) -> tuple[Any, ...]:
    """Return what `cryptography` wants to be told besides the message."""
    if scheme.digest is None:
        return ()
    digest = Prehashed(scheme.digest) if form is MessageForm.DIGEST else scheme.digest
    if scheme.pad is None:
        return (ec.ECDSA(digest),)
    if scheme.pad is Padding.PKCS1:
        return (padding.PKCS1v15(), digest)
    return (padding.PSS(padding.MGF1(scheme.digest), padding.PSS.DIGEST_LENGTH), digest)
