"""The checksums of Google's fields: checked where they are sent, and sent with every answer."""

from google.protobuf.message import Message
from google.protobuf.wrappers_pb2 import Int64Value

from kms_emulator.wire.gcp.crc32c import crc32c
from kms_emulator.wire.gcp.errors import invalid

FIELD_BYTES_MAX = 64 << 10
"""LIMIT: bytes of one field that carries data (Cloud KMS reference)."""

AAD = "additional_authenticated_data"
VECTOR = "initialization_vector"


def checksum(data: bytes) -> Int64Value:
    """Return the checksum of an answer's field."""
    return Int64Value(value=crc32c(data))


def verify(request: Message, field: str, data: bytes | None = None) -> bool:
    """Check a field, or what it stands for, against its checksum, if one was sent; return whether one was."""
    if not request.HasField(f"{field}_crc32c"):
        return False
    content = getattr(request, field) if data is None else data
    if getattr(request, f"{field}_crc32c").value != crc32c(content):
        raise invalid(f"The checksum in field {field}_crc32c did not match the data in field {field}.")
    return True


def check_length(field: str, value: bytes, length_max: int = FIELD_BYTES_MAX) -> None:
    """Refuse a field that is too long."""
    if len(value) > length_max:
        raise invalid(f"The field {field} has {len(value)} bytes; at most {length_max} are allowed.")
