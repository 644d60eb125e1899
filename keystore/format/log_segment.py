"""A segment of the point-in-time log: clear head, sealed state, sealed body, signature, checksum, ciphertext of pages.

    head | sealed state | sealed body | signature 64 | SHA-256 of all before 32 | ciphertext

What stands before the ciphertext is the *front*. The head has the SHA-256 of the ciphertext, so the checksum of the
front stands for the whole segment: the next one names it, and so does a snapshot. Pages need not be read to follow the
log. All integers are unsigned and little-endian.

Leaves to others: state and body in clear (`log_state`, `log_body`), sealing and signing (`keystore.snapshots`).
"""

import hashlib
import struct
from dataclasses import dataclass
from typing import Final, Self

from keystore.format.cursor import Cursor, NotDecodableError, encode_field
from keystore.format.volume import VolumeRecord
from keystore.format.wrapped import WrappedKey

MAGIC: Final = b"CMKPTLOG"
VERSION: Final = 1
SUITE: Final = 1
"""AES-256-GCM, HKDF-SHA256, Ed25519."""

FRONT_BYTES_MAX: Final = 256 << 20
"""LIMIT: bytes of a front; the largest commit has 2^18 rows of 40 bytes, and a state 57 bytes for each store."""
CIPHERTEXT_BYTES_MAX: Final = 1 << 30
"""LIMIT: bytes of the ciphertext; a segment ends at 8 MiB, or after one commit that is larger."""
NUMBER_MAX: Final = (1 << 63) - 1
HEAD_BYTES_MAX: Final = 1 << 15
"""LIMIT: bytes of a head; the fields of two wrapped keys, 2048 + 6144 + 2048 each, fit."""

SIGNATURE_BYTES: Final = 64
CHECKSUM_BYTES: Final = 32
NO_SEGMENT: Final = bytes(CHECKSUM_BYTES)
"""Checksum of the segment before, where a run begins after none that could be read."""

_VOLUME: Final = 1
_HEAD = struct.Struct("<8sBBHI16sQQ32sQQQI16s32sIIQ32s")


_FIELDS = (
    *("node_id", "number", "run", "previous", "first_ns", "last_ns", "settled_ns", "era", "commitment", "signer"),
    *("state_bytes", "body_bytes", "ciphertext_bytes", "ciphertext_digest"),
)


class UnknownVersionError(NotDecodableError):
    """A segment of a later version or suite: nothing is wrong with it, this program is too old."""


@dataclass(frozen=True)
class SegmentHead:
    """The clear part.

    Attributes:
        number: from 1; one more than the segment before.
        run: number of the first segment since the log was enabled.
        previous: checksum of the segment before.
        first_ns, last_ns: earliest and latest time of a record or event in it; zeros where it has none.
        settled_ns: every record before this time is in this segment or an earlier one, or in a gap that is named.
        era: generation of the master key that its log key is derived from.
        commitment: of that master key.
        signer: the node's public key.
        wrapped: that master key as the CMK wrapped it.
        credential: names the credentials that reached the CMK; never a secret.
        volume: the volume key under which the ciphertext is encrypted a second time, if it is.
    """

    node_id: bytes
    number: int
    run: int
    previous: bytes
    first_ns: int
    last_ns: int
    settled_ns: int
    era: int
    commitment: bytes
    signer: bytes
    state_bytes: int
    body_bytes: int
    ciphertext_bytes: int
    ciphertext_digest: bytes
    wrapped: WrappedKey
    credential: str = ""
    volume: VolumeRecord | None = None

    @property
    def front_bytes(self) -> int:
        """Bytes before the ciphertext."""
        return len(self.encode()) + self.state_bytes + self.body_bytes + SIGNATURE_BYTES + CHECKSUM_BYTES

    def encode(self) -> bytes:
        wrapped = self.wrapped
        texts = (wrapped.provider.encode(), wrapped.key_id.encode(), wrapped.key_version.encode(), wrapped.ciphertext)
        rest = b"".join(map(encode_field, (*texts, self.credential.encode())))
        rest += encode_field(self.volume.encode()) if self.volume else b""
        return _HEAD.pack(
            MAGIC,
            VERSION,
            SUITE,
            _VOLUME if self.volume else 0,
            _HEAD.size + len(rest),
            self.node_id,
            self.number,
            self.run,
            self.previous,
            self.first_ns,
            self.last_ns,
            self.settled_ns,
            self.era,
            self.commitment,
            self.signer,
            self.state_bytes,
            self.body_bytes,
            self.ciphertext_bytes,
            self.ciphertext_digest,
        ) + rest  # fmt: skip

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read the head at the start of `data`; what follows it is not looked at.

        Raises:
            NotDecodableError: it is none, or breaks L-1 or L-2.
            UnknownVersionError: it is one of another version or suite.
        """
        length = head_bytes(data)
        cursor = Cursor(data[:length])
        fixed = cursor.unpack(_HEAD, "the head")
        flags, values = fixed[3], dict(zip(_FIELDS, fixed[5:], strict=True))
        wrapped = WrappedKey(
            cursor.text("the provider"),
            cursor.text("the key URI"),
            cursor.text("the key version"),
            cursor.field("the wrapped master key"),
        )
        credential = cursor.text("the credential")
        volume = VolumeRecord.decode(cursor.field("the volume key")) if flags & _VOLUME else None
        cursor.end()
        head = cls(**values, wrapped=wrapped, credential=credential, volume=volume)
        if head.encode() != data[:length]:
            raise NotDecodableError("its flags are unknown")
        head._require_sane()
        return head

    def _require_sane(self) -> None:
        if not 1 <= self.run <= self.number <= NUMBER_MAX:
            raise NotDecodableError(f"number {self.number} of a run that began at {self.run}")
        if not self.first_ns <= self.last_ns or (self.first_ns == 0) != (self.last_ns == 0):
            raise NotDecodableError(f"times from {self.first_ns} to {self.last_ns}")
        if self.ciphertext_bytes > CIPHERTEXT_BYTES_MAX or self.front_bytes > FRONT_BYTES_MAX:
            raise NotDecodableError("it claims more bytes than a segment has")


def head_bytes(data: bytes) -> int:
    """Return the length of the head at the start of `data`; errors as `SegmentHead.decode`."""
    if len(data) < _HEAD.size:
        raise NotDecodableError(f"{len(data)} bytes; a segment has at least {_HEAD.size}")
    magic, version, suite, _, length = _HEAD.unpack_from(data)[:5]
    if magic != MAGIC:
        raise NotDecodableError("the magic of a segment is missing")
    if (version, suite) != (VERSION, SUITE):
        raise UnknownVersionError(f"segment version {version}, suite {suite}; this program knows {VERSION}, {SUITE}")
    if not _HEAD.size <= length <= min(len(data), HEAD_BYTES_MAX):
        raise NotDecodableError(f"a head of {length} bytes in {len(data)}")
    return int(length)


@dataclass(frozen=True)
class Front:
    """What stands before the ciphertext, apart but not opened.

    Attributes:
        signed: everything that the signature is of.
        checksum: of everything before it; stands for the whole segment.
    """

    head: SegmentHead
    encoded_head: bytes
    sealed_state: bytes
    sealed_body: bytes
    signature: bytes
    checksum: bytes

    @property
    def signed(self) -> bytes:
        return self.encoded_head + self.sealed_state + self.sealed_body


def join_front(signed: bytes, signature: bytes) -> bytes:
    """Return the front of what was signed."""
    content = signed + signature
    return content + hashlib.sha256(content).digest()


def split_front(data: bytes) -> Front:
    """Take the front at the start of `data` apart; what follows it is not looked at.

    Raises:
        NotDecodableError: a length or the checksum does not fit (L-1 to L-3).
        UnknownVersionError: another version or suite.
    """
    length = head_bytes(data)
    head = SegmentHead.decode(data[:length])
    if head.front_bytes > len(data):
        raise NotDecodableError(f"a front of {head.front_bytes} bytes in {len(data)}")
    cursor = Cursor(data[: head.front_bytes])
    encoded = cursor.take(length, "the head")
    state = cursor.take(head.state_bytes, "the state")
    body = cursor.take(head.body_bytes, "the body")
    signature = cursor.take(SIGNATURE_BYTES, "the signature")
    content = data[: cursor.at]
    checksum = cursor.take(CHECKSUM_BYTES, "the checksum")
    if hashlib.sha256(content).digest() != checksum:
        raise NotDecodableError("its checksum does not match")
    return Front(head, encoded, state, body, signature, checksum)
