"""A statement of an outside anchor, bytes to values and back.

Leaves to `keystore.node.outside`: sealing, and the place. All integers are unsigned and little-endian.

Head of 48 bytes: magic `CMKOUTSD`, version u16 = 1, suite u16 = 1, sealed bytes u32, node id 16, number u64, time of
writing u64 (ns since 1970). Then the body, sealed under the anchor key with the head as associated data.

- **A-7** Body: file generation u64 and SHA-256 of the keystore file in force, count u32 of stores; each: id 16, epoch
  u64, sequence u64, tag 16, in the order of their ids. Nothing follows.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from keystore.format.anchors import StoreState
from keystore.format.cursor import Cursor, NotDecodableError

MAGIC: Final = b"CMKOUTSD"
VERSION: Final = 1
SUITE: Final = 1
"""AES-256-GCM, HKDF-SHA256."""

STATEMENT_BYTES_MAX: Final = 1 << 26
"""LIMIT: bytes of a statement, for more stores than an anchors file has records."""

_HEAD = struct.Struct("<8sHHI16sQQ")
_KEYFILE = struct.Struct("<Q32sI")
_STORE = struct.Struct("<16sQQ16s")


@dataclass(frozen=True)
class StatementHead:
    """The clear part: whose statement it is, which one, and when it was written."""

    node_id: bytes
    number: int
    written_ns: int


@dataclass(frozen=True)
class StatementBody:
    """What is stated: the keystore file in force, and how far each store had come."""

    file_generation: int
    fingerprint: bytes
    stores: Mapping[bytes, StoreState]


def encode_head(head: StatementHead, sealed_bytes: int) -> bytes:
    """Return the head for a sealed body of `sealed_bytes` bytes (section 18)."""
    return _HEAD.pack(MAGIC, VERSION, SUITE, sealed_bytes, head.node_id, head.number, head.written_ns)


def split(data: bytes) -> tuple[StatementHead, bytes, bytes]:
    """Return the head, its bytes, and the sealed body.

    Raises:
        NotDecodableError: it is no statement, or was cut.
    """
    cursor = Cursor(data)
    magic, version, suite, sealed_bytes, node_id, number, written_ns = cursor.unpack(_HEAD, "the head")
    if (magic, version, suite) != (MAGIC, VERSION, SUITE):
        raise NotDecodableError(f"it begins with {magic!r}, version {version}, suite {suite}")
    sealed = cursor.take(sealed_bytes, "the body")
    cursor.end()
    return StatementHead(node_id, number, written_ns), data[: _HEAD.size], sealed


def encode_body(body: StatementBody) -> bytes:
    """Return the body in clear (A-7)."""
    rows = [
        _STORE.pack(store_id, state.epoch, state.sequence, state.tag) for store_id, state in sorted(body.stores.items())
    ]
    return _KEYFILE.pack(body.file_generation, body.fingerprint, len(rows)) + b"".join(rows)


def decode_body(data: bytes | bytearray) -> StatementBody:
    """Return the values of a body.

    Raises:
        NotDecodableError: it breaks A-7.
    """
    cursor = Cursor(data)
    generation, fingerprint, count = cursor.unpack(_KEYFILE, "the keystore file")
    rows = [cursor.unpack(_STORE, "a store") for _ in range(min(count, len(data) // _STORE.size + 1))]
    cursor.end()
    if any(not former[0] < row[0] for former, row in pairwise(rows)):
        raise NotDecodableError("the ids of its stores do not rise")
    return StatementBody(generation, fingerprint, {row[0]: StoreState(*row[1:]) for row in rows})
