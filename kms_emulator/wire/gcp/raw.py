"""Google operations in the standard modes of AES, whose ciphertexts name no key."""

from keystore_api.google_kms.v1 import resources_pb2
from keystore_api.google_kms.v1 import service_pb2 as pb

from kms_emulator.model.blocks import TAG_BYTES, Mode
from kms_emulator.wire.call import Call
from kms_emulator.wire.gcp.checksums import AAD, FIELD_BYTES_MAX, VECTOR, check_length, checksum, verify
from kms_emulator.wire.gcp.errors import invalid
from kms_emulator.wire.gcp.usable import Usable, find_usable

_RAW = resources_pb2.CryptoKey.RAW_ENCRYPT_DECRYPT


def raw_encrypt(call: Call, request: pb.RawEncryptRequest) -> pb.RawEncryptResponse:
    """Encrypt up to 64 KiB. GCM makes its own vector; CBC and CTR take one, or make it."""
    call.plaintext_bytes = len(request.plaintext)
    used = find_usable(call, request.name, _RAW)
    mode = _checked_mode(used, request)
    check_length("plaintext", request.plaintext)
    verified = [verify(request, field) for field in ("plaintext", AAD, VECTOR)]
    vector = _vector(call, mode, request.initialization_vector)
    ciphertext = used.material.encrypt_blocks(mode, vector, request.plaintext, request.additional_authenticated_data)
    call.ciphertext_bytes = len(ciphertext)
    return pb.RawEncryptResponse(
        name=request.name,
        ciphertext=ciphertext,
        ciphertext_crc32c=checksum(ciphertext),
        initialization_vector=vector,
        initialization_vector_crc32c=checksum(vector),
        tag_length=_tag_bytes(mode),
        verified_plaintext_crc32c=verified[0],
        verified_additional_authenticated_data_crc32c=verified[1],
        verified_initialization_vector_crc32c=verified[2],
        protection_level=used.level,
    )


def raw_decrypt(call: Call, request: pb.RawDecryptRequest) -> pb.RawDecryptResponse:
    """Decrypt with the version named: the ciphertext says nothing of it."""
    call.ciphertext_bytes = len(request.ciphertext)
    used = find_usable(call, request.name, _RAW)
    mode = _checked_mode(used, request)
    check_length("ciphertext", request.ciphertext, FIELD_BYTES_MAX + TAG_BYTES)
    verified = [verify(request, field) for field in ("ciphertext", AAD, VECTOR)]
    if len(request.initialization_vector) != mode.vector_bytes:
        raise invalid(_vector_text(mode))
    if request.tag_length not in (0, _tag_bytes(mode)):
        raise invalid(f"tag_length must be {_tag_bytes(mode)} or not set.")
    plaintext = used.material.decrypt_blocks(
        mode, request.initialization_vector, request.ciphertext, request.additional_authenticated_data
    )
    call.plaintext_bytes = len(plaintext)
    return pb.RawDecryptResponse(
        plaintext=plaintext,
        plaintext_crc32c=checksum(plaintext),
        verified_ciphertext_crc32c=verified[0],
        verified_additional_authenticated_data_crc32c=verified[1],
        verified_initialization_vector_crc32c=verified[2],
        protection_level=used.level,
    )


def _checked_mode(used: Usable, request: pb.RawEncryptRequest | pb.RawDecryptRequest) -> Mode:
    """Return the mode; refuse associated data that it does not have or that are too long."""
    assert used.recipe.mode is not None
    if request.additional_authenticated_data and used.recipe.mode is not Mode.GCM:
        raise invalid(f"{AAD} is supported for AES-GCM only.")
    check_length(AAD, request.additional_authenticated_data)
    return used.recipe.mode


def _vector(call: Call, mode: Mode, given: bytes) -> bytes:
    if not given:
        return call.registry.new_bytes(mode.vector_bytes)
    if mode is Mode.GCM:
        raise invalid(f"{VECTOR} cannot be chosen for AES-GCM.")
    if len(given) != mode.vector_bytes:
        raise invalid(_vector_text(mode))
    return given


def _vector_text(mode: Mode) -> str:
    return f"{VECTOR} must have {mode.vector_bytes} bytes for AES-{mode.name}."


def _tag_bytes(mode: Mode) -> int:
    return TAG_BYTES if mode is Mode.GCM else 0
