"""Azure's import of a private key that comes as a JSON web key (RFC 7518, section 6)."""

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from keystore_api.azure_keyvault.v1 import azure_keyvault_pb2 as pb

from kms_emulator.model.errors import MaterialError
from kms_emulator.model.keypairs import CURVES, to_pkcs8
from kms_emulator.model.keys import KeyKind
from kms_emulator.model.material import Material
from kms_emulator.wire.azure.bundles import stored_attributes
from kms_emulator.wire.azure.errors import bad_parameter
from kms_emulator.wire.azure.keys import hardware_of, kind_of, store_version
from kms_emulator.wire.call import Call

_NOT_VALID = "The key material that was given is not a valid key"


def import_key(call: Call, request: pb.ImportKeyRequest) -> pb.KeyBundle:
    """Store a private key as a new key, or as a new version of the key that has the name."""
    given = request.key
    if given.kty.removesuffix("-HSM") not in ("RSA", "EC", "oct"):
        raise bad_parameter(f"Key type '{given.kty}' cannot be imported.")
    size = 8 * len(given.k or given.n.lstrip(b"\x00"))
    kind = kind_of(request.vault, given.kty, size, given.crv)
    attributes = stored_attributes({}, request.attributes, given.key_ops, request.tags, call.now_ns, kind=kind)
    try:
        material = Material.from_outside(kind, given.k if given.k else to_pkcs8(_private(kind, given)))
    except (ValueError, MaterialError):
        raise bad_parameter(f"{_NOT_VALID} of type {given.kty}.") from None
    return store_version(call, request, material, hardware_of(given.kty), attributes)


def _private(kind: KeyKind, given: pb.PrivateWebKey) -> PrivateKeyTypes:
    """Return the private key; ValueError if its numbers do not belong together."""
    if kind in CURVES:
        point = ec.EllipticCurvePublicNumbers(_number(given.x), _number(given.y), CURVES[kind]())
        return ec.EllipticCurvePrivateNumbers(_number(given.d), point).private_key()
    n, e, d = _number(given.n), _number(given.e), _number(given.d)
    if max(e, d, *(int.from_bytes(prime, "big") for prime in (given.p, given.q))) >= n:
        raise ValueError("a number is not below the modulus")
    p, q = (_number(given.p), _number(given.q)) if given.p and given.q else _factors(n, e, d)
    parts = (rsa.rsa_crt_dmp1(d, p), rsa.rsa_crt_dmq1(d, q), rsa.rsa_crt_iqmp(p, q))
    return rsa.RSAPrivateNumbers(p, q, d, *parts, rsa.RSAPublicNumbers(e, n)).private_key()


def _factors(n: int, e: int, d: int) -> tuple[int, int]:
    """Return the primes of a modulus; ValueError if there are none to be found."""
    # SAFETY: the search for them goes on for a minute where the exponents do not belong together, or n is a prime.
    if pow(2, e * d, n) != 2 or pow(2, n - 1, n) == 1:
        raise ValueError("the exponents do not belong to the modulus")
    return rsa.rsa_recover_prime_factors(n, e, d)


def _number(value: bytes) -> int:
    if not value:
        raise ValueError("a number is missing")
    return int.from_bytes(value, "big")
