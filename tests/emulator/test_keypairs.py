"""Private keys that come from outside."""

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from kms_emulator.model.errors import MaterialError
from kms_emulator.model.keypairs import PAIRS, read_private, to_pkcs8
from kms_emulator.model.keys import KeyKind

P, Q = (1 << 4423) - 1, (1 << 4253) - 1
"""Primes (Mersenne's): a check of a key with them takes many seconds."""


@pytest.mark.parametrize("kind", sorted(PAIRS, key=str))
def test_a_key_much_longer_than_any_of_the_kind_is_not_looked_into(kind: KeyKind) -> None:
    e = 65537
    d = pow(e, -1, (P - 1) * (Q - 1))
    parts = rsa.rsa_crt_dmp1(d, P), rsa.rsa_crt_dmq1(d, Q), rsa.rsa_crt_iqmp(P, Q)
    numbers = rsa.RSAPrivateNumbers(P, Q, d, *parts, rsa.RSAPublicNumbers(e, P * Q))
    der = to_pkcs8(numbers.private_key(unsafe_skip_rsa_key_validation=True))
    with pytest.raises(MaterialError, match=r"is not a .* private key in PKCS #8"):
        read_private(kind, der)
