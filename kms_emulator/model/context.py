"""Encodes what a ciphertext is bound to, one to one.

Invariant: two different contexts never encode to the same bytes, because every field carries its length. Joined without
lengths, ``{'a': 'bc'}`` would open what ``{'ab': 'c'}`` sealed.
"""

import struct
from collections.abc import Mapping
from itertools import chain

_encode_length = struct.Struct(">I").pack


def encode_fields(*fields: bytes) -> bytes:
    """Return each field behind its length (u32, big-endian), in order."""
    return b"".join([part for field in fields for part in (_encode_length(len(field)), field)])


def encode_map(context: Mapping[str, str]) -> bytes:
    """Return the canonical form of a map: count, then key and value of each entry, sorted by the key's UTF-8 bytes."""
    entries = sorted((key.encode(), value.encode()) for key, value in context.items())
    return _encode_length(len(entries)) + encode_fields(*chain.from_iterable(entries))
