"""Key pairs made of given randomness alone, so that the same randomness makes the same pair.

Only for `RepeatedEntropy`: OpenSSL takes no randomness from outside. RSA primes are found here, by the method of
FIPS 186-5, A.1.3, with Miller-Rabin rounds on random bases; nothing here runs in constant time.
"""

import hashlib
from collections.abc import Callable
from math import gcd, isqrt

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa, mlkem, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

from kms_emulator.model.keypairs import CURVES, PUBLIC_EXPONENT, RSA_BITS, to_pkcs8
from kms_emulator.model.keys import KeyKind

CANDIDATES_MAX = 100_000
"""LIMIT: numbers looked at for one prime; one in some 700 odd ones of 2048 bits is prime."""

ROUNDS = 5
"""Miller-Rabin rounds: error below 2^-112 for random numbers of 1024 bits and more (FIPS 186-5, table B.1)."""

_SIEVE_MAX = 2000
_SMALL_PRIMES = [n for n in range(3, _SIEVE_MAX, 2) if all(n % d for d in range(3, isqrt(n) + 1, 2))]
_FROM_SEED: dict[KeyKind, tuple[int, Callable[[bytes], PrivateKeyTypes]]] = {
    KeyKind.ED25519: (32, ed25519.Ed25519PrivateKey.from_private_bytes),
    KeyKind.ML_DSA_44: (32, mldsa.MLDSA44PrivateKey.from_seed_bytes),
    KeyKind.ML_DSA_65: (32, mldsa.MLDSA65PrivateKey.from_seed_bytes),
    KeyKind.ML_DSA_87: (32, mldsa.MLDSA87PrivateKey.from_seed_bytes),
    KeyKind.ML_KEM_768: (64, mlkem.MLKEM768PrivateKey.from_seed_bytes),
    KeyKind.ML_KEM_1024: (64, mlkem.MLKEM1024PrivateKey.from_seed_bytes),
}
Entropy = Callable[[int], bytes]


def generate(kind: KeyKind, entropy: Entropy) -> bytes:
    """Return a private key as PKCS #8 DER; an RSA key of 4096 bits takes seconds."""
    if kind in RSA_BITS:
        return to_pkcs8(_rsa(RSA_BITS[kind], entropy))
    if kind in CURVES:
        curve = CURVES[kind]()
        # One byte more than the curve's size: the remainder is then as good as even, and always below the order.
        number = int.from_bytes(entropy(curve.key_size // 8 + 1), "big") % (1 << curve.key_size - 2)
        return to_pkcs8(ec.derive_private_key(number + 1, curve))
    length, make = _FROM_SEED[kind]
    return to_pkcs8(make(entropy(length)))


def _rsa(bits: int, entropy: Entropy) -> rsa.RSAPrivateKey:
    p = _prime(bits // 2, entropy)
    q = _prime(bits // 2, entropy)
    phi = (p - 1) * (q - 1)
    d = pow(PUBLIC_EXPONENT, -1, phi // gcd(p - 1, q - 1))
    public = rsa.RSAPublicNumbers(PUBLIC_EXPONENT, p * q)
    parts = (rsa.rsa_crt_dmp1(d, p), rsa.rsa_crt_dmq1(d, q), rsa.rsa_crt_iqmp(p, q))
    return rsa.RSAPrivateNumbers(p, q, d, *parts, public).private_key()


def _prime(bits: int, entropy: Entropy) -> int:
    """Return the first prime at or after a random number whose two highest bits are set."""
    start = int.from_bytes(entropy(bits // 8), "big") | 3 << bits - 2 | 1
    for candidate in range(start, start + 2 * CANDIDATES_MAX, 2):
        usable = gcd(candidate - 1, PUBLIC_EXPONENT) == 1 and all(candidate % small for small in _SMALL_PRIMES)
        if usable and _is_prime(candidate):
            return candidate
    raise ArithmeticError("no prime among so many candidates")


def _is_prime(candidate: int) -> bool:
    odd, twos = candidate - 1, 0
    while odd % 2 == 0:  # ends: the number halves
        odd, twos = odd // 2, twos + 1
    return all(_passes(candidate, base, odd, twos) for base in _bases(candidate))


def _bases(candidate: int) -> list[int]:
    text = candidate.to_bytes(candidate.bit_length() // 8 + 1, "big")
    digests = (hashlib.sha256(text + bytes([number])).digest() for number in range(ROUNDS))
    return [2 + int.from_bytes(digest, "big") % (candidate - 3) for digest in digests]


def _passes(candidate: int, base: int, odd: int, twos: int) -> bool:
    power = pow(base, odd, candidate)
    if power in (1, candidate - 1):
        return True
    for _ in range(twos - 1):
        power = power * power % candidate
        if power == candidate - 1:
            return True
    return False
