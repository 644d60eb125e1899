"""Google's algorithms: what each is for, the material it needs, and how that is used."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain

from keystore_api.google_kms.v1 import resources_pb2 as pb

from kms_emulator.model import signatures
from kms_emulator.model.blocks import Mode
from kms_emulator.model.keys import KeyKind, KeyUsage
from kms_emulator.model.material import RsaPadding
from kms_emulator.model.signatures import MessageForm, Scheme
from kms_emulator.wire.gcp.errors import invalid, not_emulated

Algorithms = pb.CryptoKeyVersion
Purposes = pb.CryptoKey
PURPOSE_USAGES: Mapping[int, KeyUsage] = {
    Purposes.ENCRYPT_DECRYPT: KeyUsage.ENCRYPT,
    Purposes.RAW_ENCRYPT_DECRYPT: KeyUsage.ENCRYPT,
    Purposes.ASYMMETRIC_SIGN: KeyUsage.SIGN,
    Purposes.ASYMMETRIC_DECRYPT: KeyUsage.ENCRYPT,
    Purposes.MAC: KeyUsage.MAC,
}
"""The purposes that are served."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """What an algorithm is.

    Attributes:
        scheme: for signing, with the form in which messages come.
        pad: for asymmetric decryption.
        mode: for raw encryption.
    """

    purpose: int
    kind: KeyKind
    scheme: Scheme | None = None
    form: MessageForm = MessageForm.DIGEST
    pad: RsaPadding | None = None
    mode: Mode | None = None


def name_of(enum: object, number: int) -> str:
    """Return the name of an enum's value, or its number if it has none."""
    known = enum.DESCRIPTOR.values_by_number.get(number)  # type: ignore[attr-defined] # every enum has one
    return str(number) if known is None else str(known.name)


def recipe_of(algorithm: int, purpose: int) -> Recipe:
    """Return an algorithm's recipe, if it is one for the purpose and served.

    Raises:
        CloudError: INVALID_ARGUMENT, or UNIMPLEMENTED for what Google has and this emulator does not.
    """
    name = name_of(Algorithms.CryptoKeyVersionAlgorithm, algorithm)
    if algorithm not in RECIPES and name != str(algorithm) and algorithm:
        raise not_emulated(f"The algorithm {name}")
    if algorithm not in RECIPES or RECIPES[algorithm].purpose != purpose:
        text = f"The algorithm {name} is not supported for the purpose "
        raise invalid(f"{text}{name_of(Purposes.CryptoKeyPurpose, purpose)}.")
    return RECIPES[algorithm]


def _rsa_kinds() -> Iterator[tuple[str, KeyKind]]:
    yield from (("2048", KeyKind.RSA_2048), ("3072", KeyKind.RSA_3072), ("4096", KeyKind.RSA_4096))


def _rsa() -> Iterator[tuple[str, Recipe]]:
    for bits, kind in _rsa_kinds():
        hashes = ("SHA256", "SHA512") if kind is KeyKind.RSA_4096 else ("SHA256",)
        for digest in hashes:
            for pad in ("PSS", "PKCS1"):
                scheme = _SCHEMES[f"{pad}_{digest}"]
                yield f"RSA_SIGN_{pad}_{bits}_{digest}", Recipe(Purposes.ASYMMETRIC_SIGN, kind, scheme)
        for digest in (*hashes, "SHA1"):
            recipe = Recipe(Purposes.ASYMMETRIC_DECRYPT, kind, pad=RsaPadding[f"OAEP_{digest}"])
            yield f"RSA_DECRYPT_OAEP_{bits}_{digest}", recipe


def _curves() -> Iterator[tuple[str, Recipe]]:
    sign = Purposes.ASYMMETRIC_SIGN
    yield "EC_SIGN_P256_SHA256", Recipe(sign, KeyKind.EC_P256, signatures.ECDSA_SHA256)
    yield "EC_SIGN_P384_SHA384", Recipe(sign, KeyKind.EC_P384, signatures.ECDSA_SHA384)
    yield "EC_SIGN_SECP256K1_SHA256", Recipe(sign, KeyKind.EC_SECP256K1, signatures.ECDSA_SHA256)
    yield "EC_SIGN_ED25519", Recipe(sign, KeyKind.ED25519, signatures.ED25519, MessageForm.WHOLE)


def _ml_dsa() -> Iterator[tuple[str, Recipe]]:
    for size in ("44", "65", "87"):
        kind, scheme = KeyKind[f"ML_DSA_{size}"], signatures.ML_DSA
        yield f"PQ_SIGN_ML_DSA_{size}", Recipe(Purposes.ASYMMETRIC_SIGN, kind, scheme, MessageForm.WHOLE)
        yield f"PQ_SIGN_ML_DSA_{size}_EXTERNAL_MU", Recipe(Purposes.ASYMMETRIC_SIGN, kind, scheme, MessageForm.MU)


def _symmetric() -> Iterator[tuple[str, Recipe]]:
    yield "GOOGLE_SYMMETRIC_ENCRYPTION", Recipe(Purposes.ENCRYPT_DECRYPT, KeyKind.AES_256)
    for digest in ("224", "256", "384", "512"):
        yield f"HMAC_SHA{digest}", Recipe(Purposes.MAC, KeyKind[f"HMAC_{digest}"])
    for bits, mode in ((bits, mode) for bits in ("128", "256") for mode in Mode):
        recipe = Recipe(Purposes.RAW_ENCRYPT_DECRYPT, KeyKind[f"AES_{bits}"], mode=mode)
        yield f"AES_{bits}_{mode.name}", recipe


_SCHEMES: Mapping[str, Scheme] = {
    "PSS_SHA256": signatures.RSA_PSS_SHA256,
    "PSS_SHA512": signatures.RSA_PSS_SHA512,
    "PKCS1_SHA256": signatures.RSA_PKCS1_SHA256,
    "PKCS1_SHA512": signatures.RSA_PKCS1_SHA512,
}
RECIPES: Mapping[int, Recipe] = {
    Algorithms.CryptoKeyVersionAlgorithm.Value(name): recipe
    for name, recipe in chain(_symmetric(), _rsa(), _curves(), _ml_dsa())
}
"""Every algorithm that is served."""
