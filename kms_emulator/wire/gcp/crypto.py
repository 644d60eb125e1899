"""Google operations that encrypt and decrypt, with the checksums of their fields; and random bytes."""

from google.protobuf.message import Message
from google.protobuf.wrappers_pb2 import Int64Value
from keystore_api.google_kms.v1 import resources_pb2
from keystore_api.google_kms.v1 import service_pb2 as pb

from kms_emulator.model.errors import KeyMissingError
from kms_emulator.wire.call import Call
from kms_emulator.wire.gcp import names, resources
from kms_emulator.wire.gcp.crc32c import crc32c
from kms_emulator.wire.gcp.errors import invalid
from kms_emulator.wire.gcp.keys import primary_of
from kms_emulator.wire.gcp.lookup import check_location, find_key, find_version

FIELD_BYTES_MAX = 64 << 10
CIPHERTEXT_BYTES_MAX = FIELD_BYTES_MAX + 1024
RANDOM_BYTES_MIN, RANDOM_BYTES_MAX = 8, 1024
_AAD = "additional_authenticated_data"


def encrypt(call: Call, request: pb.EncryptRequest) -> pb.EncryptResponse:
    """Encrypt up to 64 KiB under a key's primary version, or under the version named."""
    call.plaintext_bytes = len(request.plaintext)
    if names.VERSION_PATTERN.fullmatch(request.name):
        key, version = find_version(call, request.name)
    else:
        key = find_key(call, request.name)
        version = key.versions[primary_of(key) - 1]
    _check_length("plaintext", request.plaintext, FIELD_BYTES_MAX)
    _check_length(_AAD, request.additional_authenticated_data, FIELD_BYTES_MAX)
    verified_plaintext, verified_aad = _verify(request, "plaintext"), _verify(request, _AAD)
    call.key, call.key_version = key.name, str(version.number)
    ciphertext = call.registry.seal(key, version.number, request.plaintext, request.additional_authenticated_data)
    call.ciphertext_bytes = len(ciphertext)
    return pb.EncryptResponse(
        name=names.version_name(key, version),
        ciphertext=ciphertext,
        ciphertext_crc32c=Int64Value(value=crc32c(ciphertext)),
        verified_plaintext_crc32c=verified_plaintext,
        verified_additional_authenticated_data_crc32c=verified_aad,
        protection_level=resources.template_of(key, version).level,
    )


def decrypt(call: Call, request: pb.DecryptRequest) -> pb.DecryptResponse:
    """Decrypt with the version that the ciphertext names; the request names its key."""
    call.ciphertext_bytes = len(request.ciphertext)
    key = find_key(call, request.name)
    _check_length("ciphertext", request.ciphertext, CIPHERTEXT_BYTES_MAX)
    _check_length(_AAD, request.additional_authenticated_data, FIELD_BYTES_MAX)
    _verify(request, "ciphertext")
    _verify(request, _AAD)
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
        plaintext_crc32c=Int64Value(value=crc32c(plaintext)),
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
    return pb.GenerateRandomBytesResponse(data=data, data_crc32c=Int64Value(value=crc32c(data)))


def _verify(request: Message, field: str) -> bool:
    """Check a field against its checksum, if one was sent; return whether one was."""
    if not request.HasField(f"{field}_crc32c"):
        return False
    if getattr(request, f"{field}_crc32c").value != crc32c(getattr(request, field)):
        raise invalid(f"The checksum in field {field}_crc32c did not match the data in field {field}.")
    return True


def _check_length(field: str, value: bytes, length_max: int) -> None:
    if len(value) > length_max:
        raise invalid(f"The field {field} has {len(value)} bytes; at most {length_max} are allowed.")


def _wrong_key() -> Exception:
    return invalid("Decryption failed: verify that 'name' refers to the correct CryptoKey.")
