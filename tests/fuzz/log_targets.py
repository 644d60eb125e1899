"""The decoders of the point-in-time log, and genuine bytes of each."""

import hashlib

import numpy as np

from keystore.format.cursor import NotDecodableError
from keystore.format.log_body import ROW, Event, EventKind, LogBody, LogDataKey, LogRecord, LogStore
from keystore.format.log_segment import Front, SegmentHead, UnknownVersionError, join_front, split_front
from keystore.format.log_state import Gap, GapReason, LogState, StorePosition
from keystore.format.record import SessionRecord
from keystore.format.volume import VolumeRecord
from keystore.format.wrapped import WrappedKey
from tests.fuzz.target import Target

A, B = b"a" * 16, b"b" * 16
CIPHERTEXT_BYTES = 3 * 4096
"""Of the pages that the genuine body names; it is in the head, where a body has no say."""


def _encode_front(front: Front) -> bytes:
    return join_front(front.signed, front.signature)


def _front_with_checksum(data: bytes) -> bytes:
    """Put the right checksum to where the head says that the front ends."""
    try:
        end = SegmentHead.decode(data).front_bytes - 32
    except NotDecodableError:
        return data
    return data[:end] + hashlib.sha256(data[:end]).digest() + data[end + 32 :]


def _body(data: bytes) -> LogBody:
    return LogBody.decode(data, CIPHERTEXT_BYTES)


DECODE = (NotDecodableError, UnknownVersionError)
TARGETS = (
    Target("log-front", split_front, DECODE, _encode_front, _front_with_checksum),
    Target("log-state", LogState.decode, DECODE, LogState.encode),
    Target("log-body", _body, DECODE, LogBody.encode),
)


def genuine() -> dict[str, list[bytes]]:
    """Return the genuine bytes of each target."""
    gaps = tuple(Gap(A, reason, 3, 9, 100, 200) for reason in GapReason)
    stores = {A: StorePosition(A, 2, 9, B, 300, entered=True), B: StorePosition(B, 1, 0, A, closed=True)}
    return {
        "log-front": [_front(volume=volume) for volume in (False, True)],
        "log-state": [LogState(400, frozenset({A, B}), stores, gaps).encode(), LogState(0).encode()],
        "log-body": [_log_body().encode()],
    }


def _front(*, volume: bool) -> bytes:
    wrapped = WrappedKey("aws", "aws://us-east-1/alias/cmk", "arn:aws:kms:us-east-1:111122223333:key/1", b"w" * 184)
    record = VolumeRecord(A, 3, B, WrappedKey("local", "local:///keys/platform", "", b"v" * 140)) if volume else None
    head = SegmentHead(
        A, 7, 3, b"p" * 32, 100, 200, 250, 4, B, b"s" * 32, 80, 120, 8192, b"c" * 32, wrapped, "alice", record
    )  # fmt: skip
    return join_front(head.encode() + b"t" * 80 + b"b" * 120, b"g" * 64) + b"x" * 8192


def _log_body() -> LogBody:
    rows = np.zeros(4, dtype=ROW)
    rows["page"] = [0, 1, 5, 7]
    rows["session"] = [1, 1, 2, 0]
    sessions = tuple(SessionRecord(number, 1, A, b"s" * 32, B) for number in (1, 2))
    records = (
        LogRecord(0, 4, 100, A, B, 9, 77, rows),
        LogRecord(0, 5, 101, B, A, 3, 7, rows[:0]),
    )
    events = (
        Event(EventKind.DATABASE_MADE, 90, 90, A, created_ns=80, name="db"),
        Event(EventKind.STORE_MADE, 99, 95, A, B, 4096, 98, "2024.db"),
        Event(EventKind.STORE_DROPPED, 102, 102, A, B, 4096, 98, "2024.db"),
        Event(EventKind.DATABASE_SHREDDED, 103, 103, A),
    )
    return LogBody(
        b"k" * 108, (LogDataKey(A, 1, 80, b"d" * 108),), events, (LogStore(B, A, 4096, sessions),), records
    )  # fmt: skip
