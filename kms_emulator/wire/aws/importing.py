"""AWS operations on imported key material, in two steps: a wrapping key with its token, then the wrapped material.

The token holds the private half of the wrapping key and the end of its 24 hours, sealed for one key under a key of the
emulator itself: nothing is remembered in between, and a token outlives a restart.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from cryptography.hazmat.primitives.asymmetric import rsa
from keystore_api.aws_kms.v1 import aws_kms_pb2 as pb

from kms_emulator.model import families, keypairs, lifecycle
from kms_emulator.model.context import encode_fields
from kms_emulator.model.errors import CiphertextError, KeyMissingError, KeyStateError
from kms_emulator.model.keys import Key, KeyKind, Role, Version, VersionState
from kms_emulator.model.material import SYMMETRIC_BYTES, Material
from kms_emulator.model.paddings import RsaPadding
from kms_emulator.model.registry import SERVICE_REALM
from kms_emulator.model.unwrapping import Wrapping, unwrap
from kms_emulator.wire.aws import names
from kms_emulator.wire.aws.errors import aws_error
from kms_emulator.wire.aws.lookup import find_key
from kms_emulator.wire.aws.metadata import material_id
from kms_emulator.wire.aws.rotations import DESCRIPTION
from kms_emulator.wire.aws.specs import not_emulated, spec_of
from kms_emulator.wire.background import run_beside
from kms_emulator.wire.call import Call
from kms_emulator.wire.times import DAY_NS, timestamp, timestamp_ns

TOKEN_LIFE_NS = DAY_NS
"""How long a wrapping key and its token can be used."""

VALID_NS_MAX = 365 * DAY_NS
"""LIMIT: how far ahead imported material may expire."""

TOKEN_KEY = "aws-import-tokens"
_WRAPPINGS: Mapping[str, Wrapping] = {
    "RSAES_OAEP_SHA_1": Wrapping(RsaPadding.OAEP_SHA1, through_aes=False),
    "RSAES_OAEP_SHA_256": Wrapping(RsaPadding.OAEP_SHA256, through_aes=False),
    "RSA_AES_KEY_WRAP_SHA_1": Wrapping(RsaPadding.OAEP_SHA1, through_aes=True),
    "RSA_AES_KEY_WRAP_SHA_256": Wrapping(RsaPadding.OAEP_SHA256, through_aes=True),
}
_WRAPPING_KINDS = {"RSA_2048": KeyKind.RSA_2048, "RSA_3072": KeyKind.RSA_3072, "RSA_4096": KeyKind.RSA_4096}


@dataclass(frozen=True)
class _Token:
    """What a token holds."""

    algorithm: str
    spec: str
    ends_ns: int
    private_der: bytes

    def encode(self) -> bytes:
        document = [self.algorithm, self.spec, self.ends_ns, self.private_der.hex()]
        return json.dumps(document).encode()

    @classmethod
    def decode(cls, text: bytes) -> "_Token":
        algorithm, spec, ends_ns, private_hex = json.loads(text)
        return cls(algorithm, spec, ends_ns, bytes.fromhex(private_hex))


async def get_parameters_for_import(
    call: Call, request: pb.GetParametersForImportRequest
) -> pb.GetParametersForImportResponse:
    """Return a public key to wrap material with, and the token that goes with it."""
    key = _find_importable(call, request.region, request.key_id)
    _check_not_ending(key)
    kind = _wrapping_kind(key, request.wrapping_algorithm, request.wrapping_key_spec)
    private_der, public_der = await run_beside(partial(_make, kind))
    call.tick()
    key = _find_importable(call, request.region, request.key_id)
    ends_ns = call.now_ns + TOKEN_LIFE_NS
    token = _Token(request.wrapping_algorithm, request.wrapping_key_spec, ends_ns, private_der)
    sealing = _token_key(call)
    return pb.GetParametersForImportResponse(
        key_id=names.key_arn(key),
        import_token=call.registry.seal(sealing, 1, token.encode(), _bound(key)),
        public_key=public_der,
        parameters_valid_to=timestamp(ends_ns),
    )


def import_key_material(call: Call, request: pb.ImportKeyMaterialRequest) -> pb.ImportKeyMaterialResponse:
    """Give a key the material that was wrapped for it, for good or until a date."""
    key = _find_importable(call, request.region, request.key_id)
    expires_ns = _expiry(call, request)
    _check_not_ending(key)
    _check_symmetric_options(key, request)
    token = _open_token(call, key, request.import_token)
    private = keypairs.read_private(_WRAPPING_KINDS[token.spec], token.private_der)
    if not isinstance(private, rsa.RSAPrivateKey):
        raise TypeError("a wrapping key is an RSA key")
    secret = unwrap(private, _WRAPPINGS[token.algorithm], request.encrypted_key_material)
    material = Material.from_outside(key.kind, secret)
    known = key.version_by_id(material.fingerprint(key.lineage))
    _check_expected(key, known, request)
    described = {DESCRIPTION: request.key_material_description} if request.key_material_description else {}
    wanted_new = request.import_type == "NEW_KEY_MATERIAL" if request.import_type else None
    changed, number = families.import_material(
        call.registry, key, material, expires_ns, call.now_ns, new=wanted_new, attributes=described
    )
    version = changed.versions[number - 1]
    call.key_version = material_id(changed, version)
    return pb.ImportKeyMaterialResponse(key_id=names.key_arn(changed), key_material_id=_shown_id(changed, version))


def delete_imported_key_material(
    call: Call, request: pb.DeleteImportedKeyMaterialRequest
) -> pb.DeleteImportedKeyMaterialResponse:
    """Let imported material go; the key needs the same again before it can be used."""
    key = _find_importable(call, request.region, request.key_id)
    version = _version(key, request.key_material_id) if request.key_material_id else key.current
    if version is not None and version.state is not VersionState.MISSING:
        call.core.guard.check(key)
        families.drop_material(call.registry, key, version.number, call.now_ns)
    shown = _shown_id(key, version) if version is not None else None
    return pb.DeleteImportedKeyMaterialResponse(key_id=names.key_arn(key), key_material_id=shown)


def _find_importable(call: Call, requested_region: str, identifier: str) -> Key:
    key = find_key(call, requested_region, identifier, aliases=False)
    if not key.imported:
        text = f"{names.key_arn(key)} origin is AWS_KMS which is not valid for this operation."
        raise aws_error("UnsupportedOperationException", text)
    return key


def _check_not_ending(key: Key) -> None:
    if key.state in lifecycle.ENDING:
        raise KeyStateError(key)


def _wrapping_kind(key: Key, algorithm: str, spec: str) -> KeyKind:
    """Return the kind of the wrapping key, if AWS wraps material of this key's kind in that way."""
    if algorithm not in _WRAPPINGS:
        raise not_emulated(f"WrappingAlgorithm {algorithm}")
    if spec not in _WRAPPING_KINDS:
        raise not_emulated(f"WrappingKeySpec {spec}")
    through_aes = _WRAPPINGS[algorithm].through_aes
    too_long = key.kind is KeyKind.EC_P521 and spec == "RSA_2048"
    fits = key.kind not in SYMMETRIC_BYTES if through_aes else key.kind not in keypairs.RSA_BITS and not too_long
    if not fits:
        text = f"Algorithm {algorithm} with wrapping key spec {spec} cannot wrap {spec_of(key).name} key material."
        raise aws_error("UnsupportedOperationException", text)
    return _WRAPPING_KINDS[spec]


def _make(kind: KeyKind) -> tuple[bytes, bytes]:
    private_der = keypairs.generate(kind)
    return private_der, keypairs.public_of(kind, private_der)


def _token_key(call: Call) -> Key:
    try:
        return call.registry.key(SERVICE_REALM, TOKEN_KEY)
    except KeyMissingError:
        empty = call.registry.create(SERVICE_REALM, TOKEN_KEY, KeyKind.AES_256, call.now_ns)
        return call.registry.add_version(empty, call.registry.new_aes(), call.now_ns)


def _bound(key: Key) -> bytes:
    """Return what binds a token to its key; every Region's key of a family is another."""
    return encode_fields(b"import token", key.uid)


def _open_token(call: Call, key: Key, sealed: bytes) -> _Token:
    try:
        token = _Token.decode(call.registry.open(_token_key(call), 1, sealed, _bound(key)))
    except CiphertextError:
        raise aws_error("InvalidImportTokenException") from None
    if token.ends_ns <= call.now_ns:
        raise aws_error("ExpiredImportTokenException")
    return token


def _expiry(call: Call, request: pb.ImportKeyMaterialRequest) -> int | None:
    """Return when the material shall expire."""
    stays = request.expiration_model == "KEY_MATERIAL_DOES_NOT_EXPIRE"
    if stays and request.HasField("valid_to"):
        text = "A validTo date must not be set if the ExpirationModel is KEY_MATERIAL_DOES_NOT_EXPIRE"
        raise aws_error("ValidationException", text)
    if stays:
        return None
    if not request.HasField("valid_to"):
        text = "A validTo date must be set if the ExpirationModel is KEY_MATERIAL_EXPIRES"
        raise aws_error("ValidationException", text)
    expires_ns = timestamp_ns(request.valid_to)
    if not call.now_ns < expires_ns <= call.now_ns + VALID_NS_MAX:
        raise aws_error("ValidationException", "The validTo date must be in the future, at most 365 days from now")
    return expires_ns


def _check_symmetric_options(key: Key, request: pb.ImportKeyMaterialRequest) -> None:
    given = request.import_type or request.key_material_id or request.key_material_description
    if given and key.kind is not KeyKind.AES_256:
        text = (
            "ImportType, KeyMaterialId and KeyMaterialDescription are supported only for symmetric encryption KMS keys."
        )
        raise aws_error("ValidationException", text)
    if request.key_material_id and request.import_type == "NEW_KEY_MATERIAL":
        text = "A KeyMaterialId cannot be specified with the ImportType NEW_KEY_MATERIAL."
        raise aws_error("ValidationException", text)


def _check_expected(key: Key, known: Version | None, request: pb.ImportKeyMaterialRequest) -> None:
    """Refuse material that is not the one named, and new material where it cannot be."""
    if request.key_material_id and (known is None or material_id(key, known) != request.key_material_id):
        raise aws_error("IncorrectKeyMaterialException")
    if request.import_type != "NEW_KEY_MATERIAL" or known is not None:
        return
    if key.role is Role.REPLICA:
        text = f"{names.key_arn(key)} is a multi-Region replica key: import new key material into its primary first."
        raise aws_error("UnsupportedOperationException", text)
    if lifecycle.pending_version(key) is not None:
        text = f"{names.key_arn(key)} has other key material that is pending rotation."
        raise aws_error("KMSInvalidStateException", text)


def _version(key: Key, identifier: str) -> Version:
    for version in key.versions:
        if material_id(key, version) == identifier:
            return version
    raise aws_error("NotFoundException", f"Key material '{identifier}' does not exist")


def _shown_id(key: Key, version: Version) -> str | None:
    """Return the material's id where AWS gives one: for symmetric encryption keys."""
    return material_id(key, version) if key.kind is KeyKind.AES_256 else None
