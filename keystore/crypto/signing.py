"""Signs with Ed25519 (RFC 8032), over libsodium as PyNaCl brings it.

The seed is a `SecretKey` and is handed to libsodium where it lies: PyNaCl's own `SigningKey` would keep copies of it in
objects of Python that nobody can wipe. What libsodium expands it to lives in such memory too, for one signature.

SAFETY: Ed25519 takes no randomness for a signature, so there is none to repeat. A message begins with the magic of what
it is; so a signature of one kind of object is none of another.
"""

import hmac
from typing import Final, Self

from nacl._sodium import ffi, lib
from nacl.exceptions import BadSignatureError
from nacl.signing import VerifyKey

from keystore.crypto.secret import SecretKey

SEED_BYTES: Final = 32
PUBLIC_BYTES: Final = 32
SIGNATURE_BYTES: Final = 64
_EXPANDED_BYTES: Final = 64

Message = bytes | bytearray | memoryview


class SignatureError(Exception):
    """The signature is not of this message and key; the caller says what that means."""


class SigningKey:
    """Owns a seed of 32 bytes, and wipes it.

    Attributes:
        public: the public key, 32 bytes; not secret.
    """

    __slots__ = ("_seed", "public")

    def __init__(self, seed: SecretKey) -> None:
        """Take over `seed`.

        Raises:
            ValueError: it has not 32 bytes.
        """
        if len(seed) != SEED_BYTES:
            raise ValueError(f"the seed has {len(seed)} bytes; Ed25519 takes {SEED_BYTES}")
        self._seed = seed
        with self._expanded() as key:
            self.public = bytes(key.view()[SEED_BYTES:])

    @classmethod
    def generate(cls) -> Self:
        """Take a seed from the operating system's generator."""
        return cls(SecretKey.generate(SEED_BYTES))

    @property
    def seed(self) -> SecretKey:
        return self._seed

    def sign(self, message: Message) -> bytes:
        """Return the signature of `message`, 64 bytes.

        Raises:
            ValueError: the key was wiped.
        """
        signed, length = bytearray(SIGNATURE_BYTES + len(message)), ffi.new("unsigned long long *")
        with self._expanded() as key:
            lib.crypto_sign(
                ffi.from_buffer(signed), length, ffi.from_buffer(message), len(message), ffi.from_buffer(key.view())
            )
        self._seed.check()
        return bytes(signed[:SIGNATURE_BYTES])

    def wipe(self) -> None:
        """Wipe the seed; may be called twice."""
        self._seed.wipe()

    @property
    def wiped(self) -> bool:
        return self._seed.wiped

    def _expanded(self) -> SecretKey:
        """Return seed and public key as libsodium signs with them; the caller wipes it."""
        seed, public = ffi.from_buffer(self._seed.view()), bytearray(PUBLIC_BYTES)
        return SecretKey.filled(
            _EXPANDED_BYTES,
            lambda out: lib.crypto_sign_seed_keypair(ffi.from_buffer(public), ffi.from_buffer(out), seed),
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SigningKey) and hmac.compare_digest(self.public, other.public)

    def __hash__(self) -> int:
        return hash(self.public)

    def __repr__(self) -> str:
        return f"<SigningKey {self.public.hex()}>"


def verify(public: bytes, message: Message, signature: bytes) -> None:
    """Return if `signature` is of `message` by the owner of `public`.

    Raises:
        SignatureError: it is not, or is no signature, or `public` is no public key.
    """
    if len(public) != PUBLIC_BYTES or len(signature) != SIGNATURE_BYTES:
        raise SignatureError(
            f"a public key of {len(public)} and a signature of {len(signature)} bytes; {PUBLIC_BYTES} and "
            f"{SIGNATURE_BYTES} are needed"
        )
    try:
        VerifyKey(public).verify(bytes(message), signature)
    except BadSignatureError:
        raise SignatureError(f"it is not signed by {public.hex()}, or was changed") from None
