"""AES keys of a managed HSM: GCM with a vector made here, CBC with the caller's, and key wrap (RFC 3394)."""

import re

from cryptography.hazmat.primitives.padding import PKCS7
from keystore_api.azure_keyvault.v1 import azure_keyvault_pb2 as pb

from kms_emulator.model.blocks import TAG_BYTES, Mode
from kms_emulator.model.errors import BlockError, CiphertextError
from kms_emulator.model.keys import Key, Version
from kms_emulator.model.material import Material
from kms_emulator.wire.azure.bundles import AES_KINDS
from kms_emulator.wire.azure.errors import bad_parameter
from kms_emulator.wire.azure.names import kid
from kms_emulator.wire.call import Call

VALUE_BYTES_MAX = 64 << 10
"""LIMIT: bytes of one value."""

_ALGORITHM = re.compile("A(128|192|256)(GCM|CBCPAD|CBC|KW)")
_BLOCK_BITS = 128


def encrypt(call: Call, request: pb.KeyOperationRequest, key: Key, version: Version) -> pb.KeyOperationResult:
    """Encrypt or wrap with a version that may."""
    form, material = _form(key, request), call.registry.usable(key, version.number)
    call.plaintext_bytes = len(request.value)
    try:
        found = _encrypted(call, request, form, material)
    except BlockError as error:
        raise bad_parameter(f"Property value has an invalid length: {error}.") from None
    found.kid, call.ciphertext_bytes = kid(key, version), len(found.value)
    return found


def decrypt(call: Call, request: pb.KeyOperationRequest, key: Key, version: Version) -> pb.KeyOperationResult:
    """Decrypt or unwrap with a version that may."""
    form, material = _form(key, request), call.registry.usable(key, version.number)
    try:
        value = _decrypted(request, form, material)
    except BlockError as error:
        raise bad_parameter(f"Property value has an invalid length: {error}.") from None
    call.plaintext_bytes = len(value)
    return pb.KeyOperationResult(kid=kid(key, version), value=value)


def _encrypted(call: Call, request: pb.KeyOperationRequest, form: str, material: Material) -> pb.KeyOperationResult:
    if form == "KW":
        return pb.KeyOperationResult(value=material.wrap_key(request.value))
    if form == "GCM":
        # SAFETY: the vector is fresh and ours; one that the caller sends is not looked at.
        iv = call.registry.new_bytes(Mode.GCM.vector_bytes)
        sealed = material.encrypt_blocks(Mode.GCM, iv, request.value, request.aad)
        value, tag = sealed[:-TAG_BYTES], sealed[-TAG_BYTES:]
        return pb.KeyOperationResult(value=value, iv=iv, tag=tag, aad=request.aad)
    iv, value = _vector(request, Mode.CBC), request.value
    if form == "CBCPAD":
        padder = PKCS7(_BLOCK_BITS).padder()
        value = padder.update(value) + padder.finalize()
    return pb.KeyOperationResult(value=material.encrypt_blocks(Mode.CBC, iv, value, b""), iv=iv)


def _decrypted(request: pb.KeyOperationRequest, form: str, material: Material) -> bytes:
    if form == "KW":
        return material.unwrap_key(request.value)
    if form == "GCM":
        if len(request.tag) != TAG_BYTES:
            raise bad_parameter(f"Property tag must have {TAG_BYTES} bytes.")
        sealed = request.value + request.tag
        return material.decrypt_blocks(Mode.GCM, _vector(request, Mode.GCM), sealed, request.aad)
    value = material.decrypt_blocks(Mode.CBC, _vector(request, Mode.CBC), request.value, b"")
    if form == "CBC":
        return value
    try:
        unpadder = PKCS7(_BLOCK_BITS).unpadder()
        return unpadder.update(value) + unpadder.finalize()
    except ValueError:
        raise CiphertextError("the padding is not right") from None


def _form(key: Key, request: pb.KeyOperationRequest) -> str:
    parts = _ALGORITHM.fullmatch(request.alg)
    if parts is None or AES_KINDS[int(parts[1])] is not key.kind:
        raise bad_parameter(f"Algorithm '{request.alg}' is not supported for this key.")
    if not 1 <= len(request.value) <= VALUE_BYTES_MAX:
        raise bad_parameter("Property value has an invalid length.")
    return parts[2]


def _vector(request: pb.KeyOperationRequest, mode: Mode) -> bytes:
    if len(request.iv) != mode.vector_bytes:
        raise bad_parameter(f"Property iv must have {mode.vector_bytes} bytes.")
    return request.iv
