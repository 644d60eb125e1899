"""Key specs and their algorithms in AWS's words, and what each is in the model.

Source: AWS KMS developer guide, "Key spec reference". Not here, because the library behind it has no such primitive:
SM2 (China Regions only), ML_KEM_512 and ED25519_PH_SHA_512.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from kms_emulator.model import signatures
from kms_emulator.model.keypairs import PAIRS, RSA_BITS
from kms_emulator.model.keys import Key, KeyKind, KeyUsage
from kms_emulator.model.paddings import RsaPadding
from kms_emulator.wire.aws.errors import aws_error
from kms_emulator.wire.call import CloudError

SYMMETRIC = "SYMMETRIC_DEFAULT"
"""The default key spec, and its only algorithm."""

USAGES: Mapping[str, KeyUsage] = {
    "ENCRYPT_DECRYPT": KeyUsage.ENCRYPT,
    "SIGN_VERIFY": KeyUsage.SIGN,
    "GENERATE_VERIFY_MAC": KeyUsage.MAC,
    "KEY_AGREEMENT": KeyUsage.AGREE,
    "ENCAPSULATE_DECAPSULATE": KeyUsage.ENCAPSULATE,
}
USAGE_NAMES = {usage: name for name, usage in USAGES.items()}
PADDINGS: Mapping[str, RsaPadding] = {
    "RSAES_OAEP_SHA_1": RsaPadding.OAEP_SHA1,
    "RSAES_OAEP_SHA_256": RsaPadding.OAEP_SHA256,
}
SCHEMES: Mapping[str, signatures.Scheme] = {
    "RSASSA_PKCS1_V1_5_SHA_256": signatures.RSA_PKCS1_SHA256,
    "RSASSA_PKCS1_V1_5_SHA_384": signatures.RSA_PKCS1_SHA384,
    "RSASSA_PKCS1_V1_5_SHA_512": signatures.RSA_PKCS1_SHA512,
    "RSASSA_PSS_SHA_256": signatures.RSA_PSS_SHA256,
    "RSASSA_PSS_SHA_384": signatures.RSA_PSS_SHA384,
    "RSASSA_PSS_SHA_512": signatures.RSA_PSS_SHA512,
    "ECDSA_SHA_256": signatures.ECDSA_SHA256,
    "ECDSA_SHA_384": signatures.ECDSA_SHA384,
    "ECDSA_SHA_512": signatures.ECDSA_SHA512,
    "ED25519_SHA_512": signatures.ED25519,
    "ML_DSA_SHAKE_256": signatures.ML_DSA,
}
NOT_EMULATED = frozenset({"SM2", "ML_KEM_512", "SM2DSA", "SM2PKE", "ED25519_PH_SHA_512"})
"""Specs and algorithms of AWS's model that are refused."""


@dataclass(frozen=True, slots=True)
class Spec:
    """One key spec: its name, its kind in the model, and for each usage that it allows the algorithms."""

    name: str
    kind: KeyKind
    algorithms: Mapping[KeyUsage, tuple[str, ...]]

    @property
    def is_pair(self) -> bool:
        """Tell whether the key has a public half."""
        return self.kind in PAIRS


def _signing(kind: KeyKind) -> dict[KeyUsage, tuple[str, ...]]:
    return {KeyUsage.SIGN: tuple(name for name, scheme in SCHEMES.items() if kind in scheme.kinds)}


def _specs() -> list[Spec]:
    rsa = {kind: {KeyUsage.ENCRYPT: tuple(PADDINGS), **_signing(kind)} for kind in RSA_BITS}
    agreement = {KeyUsage.AGREE: ("ECDH",)}
    return [
        Spec(SYMMETRIC, KeyKind.AES_256, {KeyUsage.ENCRYPT: (SYMMETRIC,)}),
        *(Spec(f"RSA_{RSA_BITS[kind]}", kind, algorithms) for kind, algorithms in rsa.items()),
        Spec("ECC_NIST_P256", KeyKind.EC_P256, {**_signing(KeyKind.EC_P256), **agreement}),
        Spec("ECC_NIST_P384", KeyKind.EC_P384, {**_signing(KeyKind.EC_P384), **agreement}),
        Spec("ECC_NIST_P521", KeyKind.EC_P521, {**_signing(KeyKind.EC_P521), **agreement}),
        Spec("ECC_SECG_P256K1", KeyKind.EC_SECP256K1, _signing(KeyKind.EC_SECP256K1)),
        Spec("ECC_NIST_EDWARDS25519", KeyKind.ED25519, _signing(KeyKind.ED25519)),
        Spec("HMAC_224", KeyKind.HMAC_224, {KeyUsage.MAC: ("HMAC_SHA_224",)}),
        Spec("HMAC_256", KeyKind.HMAC_256, {KeyUsage.MAC: ("HMAC_SHA_256",)}),
        Spec("HMAC_384", KeyKind.HMAC_384, {KeyUsage.MAC: ("HMAC_SHA_384",)}),
        Spec("HMAC_512", KeyKind.HMAC_512, {KeyUsage.MAC: ("HMAC_SHA_512",)}),
        Spec("ML_DSA_44", KeyKind.ML_DSA_44, _signing(KeyKind.ML_DSA_44)),
        Spec("ML_DSA_65", KeyKind.ML_DSA_65, _signing(KeyKind.ML_DSA_65)),
        Spec("ML_DSA_87", KeyKind.ML_DSA_87, _signing(KeyKind.ML_DSA_87)),
        Spec("ML_KEM_768", KeyKind.ML_KEM_768, {KeyUsage.ENCAPSULATE: ("ML_KEM",)}),
        Spec("ML_KEM_1024", KeyKind.ML_KEM_1024, {KeyUsage.ENCAPSULATE: ("ML_KEM",)}),
    ]


SPECS: Mapping[str, Spec] = {spec.name: spec for spec in _specs()}
_BY_KIND = {spec.kind: spec for spec in SPECS.values()}


def spec_of(key: Key) -> Spec:
    """Return the spec of a key."""
    return _BY_KIND[key.kind]


def find_spec(name: str) -> Spec:
    """Return the spec of that name; UnsupportedOperationException for one that is not emulated."""
    spec = SPECS.get(name)
    if spec is None:
        raise not_emulated(f"KeySpec {name}")
    return spec


def algorithms_of(key: Key) -> tuple[str, ...]:
    """Return the algorithms that the key can be used with."""
    return spec_of(key).algorithms[key.usage]


def check_algorithm(key: Key, algorithm: str) -> str:
    """Return the algorithm if the key can be used with it."""
    if algorithm in algorithms_of(key):
        return algorithm
    if algorithm in NOT_EMULATED:
        raise not_emulated(f"Algorithm {algorithm}")
    text = f"Algorithm {algorithm} is incompatible with key spec {spec_of(key).name}."
    raise aws_error("InvalidKeyUsageException", text)


def not_emulated(what: str) -> CloudError:
    """Return the refusal of what AWS has and the emulator has not."""
    return aws_error("UnsupportedOperationException", f"{what} is not emulated.")
