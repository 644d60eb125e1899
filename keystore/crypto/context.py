"""Encodes the structured context of a key or ciphertext into bytes, one to one.

Invariant: two different contexts never encode to the same bytes, because every field carries its length. Joining keys
and values without lengths would let ``{'a': 'bc'}`` open what ``{'ab': 'c'}`` sealed.
"""

import struct
from collections.abc import Mapping

FIELD_BYTES_MAX = 1 << 16
"""LIMIT: bytes of one field; far above any key URI (2048) and small enough to refuse nonsense."""


def encode_fields(*fields: bytes) -> bytes:
    """Return each field behind its length (u32, little-endian), in order.

    Raises:
        ValueError: a field is longer than `FIELD_BYTES_MAX`.
    """
    for field in fields:
        if len(field) > FIELD_BYTES_MAX:
            raise ValueError(f"a context field has {len(field)} bytes; at most {FIELD_BYTES_MAX} are allowed")
    return b"".join(struct.pack("<I", len(field)) + field for field in fields)


def encode_context(context: Mapping[str, str]) -> bytes:
    """Return the canonical form of `context`: a count, then key and value of each entry, sorted by key (UTF-8)."""
    entries = sorted((key.encode(), value.encode()) for key, value in context.items())
    return struct.pack("<I", len(entries)) + b"".join(encode_fields(key, value) for key, value in entries)
