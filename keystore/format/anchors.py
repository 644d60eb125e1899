"""A record of the anchors file, bytes to values and back.

Leaves to `keystore.node.anchors`: sealing, and the file. All integers are unsigned and little-endian.

- **A-1** The file is a row of records of 512 bytes. A sector is old or new, never a mixture (F-1), so a record is
  written in place. Record 0 is for the keystore file; each of the others is for a store or free.
- **A-2** Record: magic `CMKA`, version u16 = 1, kind u16 (0 free, 1 keystore file, 2 store), position u32, 4 bytes of
  zeros, id 16 (of the node, of the store, or zeros); then the payload, sealed under the anchor key with these 32 bytes
  as associated data; then zeros.
- **A-3** Payload of 80 bytes. Keystore file: count u32 (1 or 2), then that many SHA-256 of files that are accepted.
  Store: mark u32 (0 nothing yet, 1 a state), epoch u64, sequence u64, tag 16. Free: nothing. Zeros follow.
"""

import struct
from dataclasses import dataclass
from typing import Final

from keystore.format.cursor import Cursor, NotDecodableError

RECORD_BYTES: Final = 512
PAYLOAD_BYTES: Final = 80
PRELUDE_BYTES: Final = 32
SEALED_BYTES: Final = PAYLOAD_BYTES + 76
"""The payload and what sealing adds: salt 32, commitment 16, nonce 12, tag 16."""

MAGIC: Final = b"CMKA"
VERSION: Final = 1
KIND_FREE: Final = 0
KIND_KEYFILE: Final = 1
KIND_STORE: Final = 2

_PRELUDE = struct.Struct("<4sHHI4x16s")
_STATE = struct.Struct("<IQQ16s")
_FINGERPRINT_BYTES = 32


@dataclass(frozen=True)
class Prelude:
    kind: int
    position: int
    owner: bytes


@dataclass(frozen=True)
class StoreState:
    """How far a store had come."""

    epoch: int
    sequence: int
    tag: bytes


def encode_prelude(prelude: Prelude) -> bytes:
    return _PRELUDE.pack(MAGIC, VERSION, prelude.kind, prelude.position, prelude.owner)


def join_record(prelude: bytes, sealed: bytes) -> bytes:
    """Return a record; `sealed` has `SEALED_BYTES` bytes."""
    if len(sealed) != SEALED_BYTES:
        raise ValueError(f"a sealed payload has {SEALED_BYTES} bytes, not {len(sealed)}")
    return (prelude + sealed).ljust(RECORD_BYTES, b"\0")


def split_record(record: bytes) -> tuple[Prelude, bytes, bytes]:
    """Return the prelude, its bytes, and the sealed payload.

    Raises:
        NotDecodableError: it breaks A-2.
    """
    cursor = Cursor(record)
    prelude = cursor.take(PRELUDE_BYTES, "the prelude")
    sealed = cursor.take(SEALED_BYTES, "the payload")
    padding = cursor.take(RECORD_BYTES - PRELUDE_BYTES - SEALED_BYTES, "the padding")
    cursor.end()
    magic, version, kind, position, owner = _PRELUDE.unpack(prelude)
    if magic != MAGIC or version != VERSION or kind > KIND_STORE:
        raise NotDecodableError(f"it begins with {magic!r}, version {version}, kind {kind}")
    if any(padding) or encode_prelude(Prelude(kind, position, owner)) != prelude:
        raise NotDecodableError("its padding is not zeros")
    return Prelude(kind, position, owner), prelude, sealed


def encode_fingerprints(fingerprints: tuple[bytes, ...]) -> bytes:
    """Return the payload for one or two fingerprints (A-3)."""
    return (len(fingerprints).to_bytes(4, "little") + b"".join(fingerprints)).ljust(PAYLOAD_BYTES, b"\0")


def decode_fingerprints(payload: bytes | bytearray) -> tuple[bytes, ...]:
    cursor = Cursor(payload)
    count = int.from_bytes(cursor.take(4, "the count"), "little")
    if count not in (1, 2):
        raise NotDecodableError(f"{count} fingerprints")
    fingerprints = tuple(cursor.take(_FINGERPRINT_BYTES, "a fingerprint") for _ in range(count))
    _require_zeros(cursor)
    return fingerprints


def encode_state(state: StoreState | None) -> bytes:
    """Return the payload for a store (A-3)."""
    fixed = _STATE.pack(1, state.epoch, state.sequence, state.tag) if state else b""
    return fixed.ljust(PAYLOAD_BYTES, b"\0")


def decode_state(payload: bytes | bytearray) -> StoreState | None:
    cursor = Cursor(payload)
    mark, epoch, sequence, tag = cursor.unpack(_STATE, "a state")
    _require_zeros(cursor)
    if mark == 0 and not any(payload):
        return None
    if mark != 1:
        raise NotDecodableError(f"the mark {mark}")
    return StoreState(epoch, sequence, tag)


def _require_zeros(cursor: Cursor) -> None:
    if any(cursor.take(PAYLOAD_BYTES - cursor.at, "the padding")):
        raise NotDecodableError("its padding is not zeros")
