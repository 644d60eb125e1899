"""Private keys that come from outside."""

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from kms_emulator.model.errors import MaterialError
from kms_emulator.model.keypairs import PAIRS, read_private, to_pkcs8
from kms_emulator.model.keys import KeyKind
from kms_emulator.model.material import Material

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


def test_a_key_is_checked_where_it_comes_in_and_not_where_it_is_used() -> None:
    made = rsa.generate_private_key(65537, 2048).private_numbers()
    spoilt = rsa.RSAPrivateNumbers(made.p, made.q, made.d + 2, made.dmp1, made.dmq1, made.iqmp, made.public_numbers)
    der = to_pkcs8(spoilt.private_key(unsafe_skip_rsa_key_validation=True))
    with pytest.raises(MaterialError, match="is not a rsa-2048 private key"):
        Material.from_outside(KeyKind.RSA_2048, der)
    assert Material(KeyKind.RSA_2048, der).public_numbers() == made.public_numbers
