"""Encrypting and decrypting under one key, symmetric or RSA; the operations of `crypto` are made of these two.

A symmetric ciphertext names its key and material, and the context binds it. An RSA ciphertext names nothing: the caller
says which key and algorithm, and there is no context.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from kms_emulator.model import lifecycle
from kms_emulator.model.context import encode_map
from kms_emulator.model.errors import KeyMissingError, LengthError
from kms_emulator.model.keys import Key, KeyUsage, Version
from kms_emulator.wire.aws import names
from kms_emulator.wire.aws.authorize import authorize_ciphertext
from kms_emulator.wire.aws.errors import aws_error
from kms_emulator.wire.aws.lookup import find_key, region
from kms_emulator.wire.aws.metadata import material_id
from kms_emulator.wire.aws.specs import PADDINGS, SYMMETRIC, check_algorithm, spec_of
from kms_emulator.wire.aws.usable import check_dry_run, check_usable
from kms_emulator.wire.call import Call, CloudError

_DECRYPTING = {"ReEncrypt": "ReEncryptFrom"}
"""The permission that decrypting needs, where it is not the operation's own."""


@dataclass(frozen=True)
class Encrypted:
    """A ciphertext, and under what; `material` is empty for keys whose material has no id."""

    key: Key
    ciphertext: bytes
    algorithm: str
    material: str


@dataclass(frozen=True)
class Decrypted:
    """A plaintext, and under what it was; `material` is empty for keys whose material has no id."""

    key: Key
    plaintext: bytes
    algorithm: str
    material: str


@dataclass(frozen=True)
class Ciphertext:
    """What a caller wants decrypted: `identifier` names the key it must be under, or is empty."""

    blob: bytes
    context: Mapping[str, str]
    identifier: str
    algorithm: str


def seal(
    call: Call, key: Key, plaintext: bytes, context: Mapping[str, str], algorithm: str = "", *, dry_run: bool = False
) -> Encrypted:
    """Encrypt under the key's current material; no algorithm means SYMMETRIC_DEFAULT."""
    version = check_usable(call, key, KeyUsage.ENCRYPT)
    chosen = check_algorithm(key, algorithm or SYMMETRIC)
    call.plaintext_bytes = len(plaintext)
    if chosen != SYMMETRIC:
        return _seal_rsa(call, key, plaintext, context, chosen, dry_run=dry_run)
    check_dry_run(dry_run)
    ciphertext = call.registry.seal(key, version.number, plaintext, encode_map(context))
    call.ciphertext_bytes = len(ciphertext)
    return Encrypted(key, ciphertext, chosen, material_id(key, version))


def unseal(call: Call, requested_region: str, sealed: Ciphertext, *, dry_run: bool = False) -> Decrypted:
    """Decrypt with the material that the ciphertext names, or with the RSA key that the caller names."""
    call.ciphertext_bytes = len(sealed.blob)
    action = _DECRYPTING.get(call.operation, "")
    expected = find_key(call, requested_region, sealed.identifier, action=action) if sealed.identifier else None
    if sealed.algorithm not in ("", SYMMETRIC):
        opened = _open_rsa(call, expected, sealed)
    else:
        opened = _open_symmetric(call, region(requested_region), expected, sealed)
    call.plaintext_bytes = len(opened.plaintext)
    check_dry_run(dry_run)
    return opened


def _seal_rsa(
    call: Call, key: Key, plaintext: bytes, context: Mapping[str, str], algorithm: str, *, dry_run: bool
) -> Encrypted:
    _check_no_context(context)
    try:
        ciphertext = call.registry.rsa_encrypt(key, 1, plaintext, PADDINGS[algorithm])
    except LengthError as error:
        text = f"Algorithm {algorithm} and key spec {spec_of(key).name} cannot encrypt data larger than "
        raise aws_error("ValidationException", f"{text}{error.length_max} bytes.") from None
    check_dry_run(dry_run)
    call.ciphertext_bytes = len(ciphertext)
    return Encrypted(key, ciphertext, algorithm, "")


def _open_rsa(call: Call, key: Key | None, sealed: Ciphertext) -> Decrypted:
    if key is None:
        text = f"A key ID is required to decrypt with algorithm {sealed.algorithm}."
        raise aws_error("ValidationException", text)
    check_usable(call, key, KeyUsage.ENCRYPT)
    check_algorithm(key, sealed.algorithm)
    _check_no_context(sealed.context)
    plaintext = call.registry.rsa_decrypt(key, 1, sealed.blob, PADDINGS[sealed.algorithm])
    return Decrypted(key, plaintext, sealed.algorithm, "")


def _open_symmetric(call: Call, place: str, expected: Key | None, sealed: Ciphertext) -> Decrypted:
    if expected is not None and SYMMETRIC not in spec_of(expected).algorithms.get(expected.usage, ()):
        check_usable(call, expected, KeyUsage.ENCRYPT)
        check_algorithm(expected, SYMMETRIC)
    key, version = _named_key(call, place, sealed.blob)
    if expected is None:
        authorize_ciphertext(call, key, action=_DECRYPTING.get(call.operation, ""))
    if expected is not None and expected.uid != key.uid:
        text = "The key ID in the request does not identify a CMK that can perform this operation."
        raise aws_error("IncorrectKeyException", text)
    call.key, call.key_version = names.key_arn(key), material_id(key, version)
    call.uids.append(key.uid)
    lifecycle.check_usable(key, version.number)
    plaintext = call.registry.open(key, version.number, sealed.blob, encode_map(sealed.context))
    return Decrypted(key, plaintext, SYMMETRIC, material_id(key, version))


def _named_key(call: Call, place: str, ciphertext: bytes) -> tuple[Key, Version]:
    """Return what the ciphertext names. A key that is gone or elsewhere is answered like one that is forbidden."""
    try:
        return call.registry.named_in(names.REALM, ciphertext, f"{place}/")
    except KeyMissingError:
        authorize_ciphertext(call, None, action=_DECRYPTING.get(call.operation, ""))
        raise _unknown_key() from None


def _unknown_key() -> CloudError:
    text = (
        "The ciphertext refers to a customer master key that does not exist, does not exist in this region, "
        "or you are not allowed to access."
    )
    return aws_error("AccessDeniedException", text)


def _check_no_context(context: Mapping[str, str]) -> None:
    if context:
        text = "EncryptionContext is supported only for operations with symmetric encryption KMS keys."
        raise aws_error("ValidationException", text)
