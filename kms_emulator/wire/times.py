"""Nanoseconds since 1970 to the wire's timestamps and back."""

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

SECOND_NS = 1_000_000_000
DAY_NS = 86_400 * SECOND_NS


def timestamp(time_ns: int) -> Timestamp:
    """Return the time to the microsecond, as the clouds give it."""
    seconds, rest_ns = divmod(time_ns, SECOND_NS)
    return Timestamp(seconds=seconds, nanos=rest_ns // 1000 * 1000)


def timestamp_ns(value: Timestamp) -> int:
    """Return nanoseconds since 1970."""
    return value.seconds * SECOND_NS + value.nanos


def duration(length_ns: int) -> Duration:
    """Return the duration; both parts carry its sign."""
    sign = -1 if length_ns < 0 else 1
    seconds, rest_ns = divmod(abs(length_ns), SECOND_NS)
    return Duration(seconds=sign * seconds, nanos=sign * rest_ns)


def duration_ns(value: Duration) -> int:
    """Return nanoseconds."""
    return value.seconds * SECOND_NS + value.nanos
