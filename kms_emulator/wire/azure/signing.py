"""Azure operations that sign and verify digests. A curve's signature is r and s, each as long as its field.

Outside its validity (`nbf`, `exp`) a version still verifies.
"""

from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from keystore_api.azure_keyvault.v1 import azure_keyvault_pb2 as pb

from kms_emulator.model import signatures
from kms_emulator.model.errors import SignatureError
from kms_emulator.model.keypairs import CURVES
from kms_emulator.model.keys import Key, KeyKind, Version
from kms_emulator.model.signatures import MessageForm, Scheme
from kms_emulator.wire.azure.crypto import check_validity, usable_version
from kms_emulator.wire.azure.errors import bad_parameter
from kms_emulator.wire.azure.names import kid
from kms_emulator.wire.call import Call

_SCHEMES = {
    "RS256": signatures.RSA_PKCS1_SHA256,
    "RS384": signatures.RSA_PKCS1_SHA384,
    "RS512": signatures.RSA_PKCS1_SHA512,
    "PS256": signatures.RSA_PSS_SHA256,
    "PS384": signatures.RSA_PSS_SHA384,
    "PS512": signatures.RSA_PSS_SHA512,
    "ES256": signatures.ECDSA_SHA256,
    "ES256K": signatures.ECDSA_SHA256,
    "ES384": signatures.ECDSA_SHA384,
    "ES512": signatures.ECDSA_SHA512,
}
_ONE_KIND = {"ES256": KeyKind.EC_P256, "ES256K": KeyKind.EC_SECP256K1}
"""Algorithms that differ by the curve alone."""


def sign(call: Call, request: pb.KeyOperationRequest) -> pb.KeyOperationResult:
    """Sign a digest."""
    key, version = usable_version(call, request, "sign")
    scheme = _scheme(key, request.alg, request.value)
    check_validity(call, version, "sign")
    signature = call.registry.usable(key, version.number).sign(scheme, request.value, MessageForm.DIGEST)
    return pb.KeyOperationResult(kid=kid(key, version), value=_to_wire(key, signature))


def verify(call: Call, request: pb.VerifyRequest) -> pb.VerifyResult:
    """Tell whether a signature is a version's over a digest."""
    key, version = usable_version(call, request, "verify")
    scheme = _scheme(key, request.alg, request.digest)
    return pb.VerifyResult(value=_is_good(call, key, version, scheme, request))


def _is_good(call: Call, key: Key, version: Version, scheme: Scheme, request: pb.VerifyRequest) -> bool:
    try:
        signature = _from_wire(key, request.value)
        call.registry.usable(key, version.number).verify(scheme, request.digest, MessageForm.DIGEST, signature)
    except SignatureError:
        return False
    return True


def _scheme(key: Key, alg: str, digest: bytes) -> Scheme:
    scheme = _SCHEMES.get(alg)
    if scheme is None or key.kind not in scheme.kinds or _ONE_KIND.get(alg, key.kind) is not key.kind:
        raise bad_parameter(f"Algorithm '{alg}' is not supported for this key.")
    if len(digest) != scheme.length_of(MessageForm.DIGEST):
        raise bad_parameter(f"Property digest has an invalid length for algorithm '{alg}'.")
    return scheme


def _to_wire(key: Key, signature: bytes) -> bytes:
    if key.kind not in CURVES:
        return signature
    length = _field_bytes(key)
    return b"".join(number.to_bytes(length, "big") for number in decode_dss_signature(signature))


def _from_wire(key: Key, signature: bytes) -> bytes:
    if key.kind not in CURVES:
        return signature
    length = _field_bytes(key)
    if len(signature) != 2 * length:
        raise SignatureError("a signature of another length")
    return encode_dss_signature(int.from_bytes(signature[:length], "big"), int.from_bytes(signature[length:], "big"))


def _field_bytes(key: Key) -> int:
    return (CURVES[key.kind]().key_size + 7) // 8
