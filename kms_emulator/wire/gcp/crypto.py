"""Google operations that encrypt and decrypt, with the checksums of their fields; and random bytes."""

from keystore_api.google_kms.v1 import resources_pb2
from keystore_api.google_kms.v1 import service_pb2 as pb

from kms_emulator.model.errors import KeyMissingError
from kms_emulator.wire.call import Call
from kms_emulator.wire.gcp import names, resources
from kms_emulator.wire.gcp.checksums import AAD, FIELD_BYTES_MAX, check_length, checksum, verify
from kms_emulator.wire.gcp.errors import invalid
from kms_emulator.wire.gcp.keys import primary_of
from kms_emulator.wire.gcp.lookup import check_location, find_key, find_version
from kms_emulator.wire.gcp.usable import check_purpose

CIPHERTEXT_BYTES_MAX = FIELD_BYTES_MAX + 1024
_PURPOSE = resources_pb2.CryptoKey.ENCRYPT_DECRYPT
RANDOM_BYTES_MIN, RANDOM_BYTES_MAX = 8, 1024


def encrypt(call: Call, request: pb.EncryptRequest) -> pb.EncryptResponse:
    """Encrypt up to 64 KiB under a key's primary version, or under the version named."""
    call.plaintext_bytes = len(request.plaintext)
    if names.VERSION_PATTERN.fullmatch(request.name):
        key, version = find_version(call, request.name)
        check_purpose(key, _PURPOSE)
    else:
        key = find_key(call, request.name)
        check_purpose(key, _PURPOSE)
        version = key.versions[primary_of(key) - 1]
    check_length("plaintext", request.plaintext)
    check_length(AAD, request.additional_authenticated_data)
    verified_plaintext, verified_aad = verify(request, "plaintext"), verify(request, AAD)
    call.key, call.key_version = key.name, str(version.number)
    ciphertext = call.registry.seal(key, version.number, request.plaintext, request.additional_authenticated_data)
    call.ciphertext_bytes = len(ciphertext)
    return pb.EncryptResponse(
        name=names.version_name(key, version),
        ciphertext=ciphertext,
        ciphertext_crc32c=checksum(ciphertext),
        verified_plaintext_crc32c=verified_plaintext,
        verified_additional_authenticated_data_crc32c=verified_aad,
        protection_level=resources.template_of(key, version).level,
    )


def decrypt(call: Call, request: pb.DecryptRequest) -> pb.DecryptResponse:
    """Decrypt with the version that the ciphertext names; the request names its key."""
    call.ciphertext_bytes = len(request.ciphertext)
    key = find_key(call, request.name)
    check_purpose(key, _PURPOSE)
    check_length("ciphertext", request.ciphertext, CIPHERTEXT_BYTES_MAX)
    check_length(AAD, request.additional_authenticated_data)
    verify(request, "ciphertext")
    verify(request, AAD)
    try:
        named, version = call.registry.named_in(names.REALM, request.ciphertext)
    except KeyMissingError:
        raise _wrong_key() from None
    if named.uid != key.uid:
        raise _wrong_key()
    call.key_version = str(version.number)
    plaintext = call.registry.open(key, version.number, request.ciphertext, request.additional_authenticated_data)
    call.plaintext_bytes = len(plaintext)
    return pb.DecryptResponse(
        plaintext=plaintext,
        plaintext_crc32c=checksum(plaintext),
        used_primary=version.number == key.primary,
        protection_level=resources.template_of(key, version).level,
    )


def generate_random_bytes(call: Call, request: pb.GenerateRandomBytesRequest) -> pb.GenerateRandomBytesResponse:
    """Return 8 to 1024 random bytes of the protection level HSM, the only one that Google offers."""
    check_location(request.location)
    if request.protection_level != resources_pb2.HSM:
        raise invalid("The protection level of random bytes must be HSM.")
    if not RANDOM_BYTES_MIN <= request.length_bytes <= RANDOM_BYTES_MAX:
        raise invalid(f"length_bytes must be between {RANDOM_BYTES_MIN} and {RANDOM_BYTES_MAX}.")
    data = call.registry.new_bytes(request.length_bytes)
    return pb.GenerateRandomBytesResponse(data=data, data_crc32c=checksum(data))


def _wrong_key() -> Exception:
    return invalid("Decryption failed: verify that 'name' refers to the correct CryptoKey.")
