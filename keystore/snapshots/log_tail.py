"""Where the log of a node ends: read back by the node itself, with its own keys and without a KMS."""

from dataclasses import dataclass, replace

from keystore.crypto.secret import SecretKey
from keystore.errors import LogDamagedError, LogError, PlaceMissingError
from keystore.format.cursor import NotDecodableError
from keystore.format.log_segment import (
    FRONT_BYTES_MAX,
    HEAD_BYTES_MAX,
    NO_SEGMENT,
    NUMBER_MAX,
    Front,
    SegmentHead,
    UnknownVersionError,
    split_front,
)
from keystore.format.log_state import LogState
from keystore.objects.place import ObjectReader, Place
from keystore.snapshots.log_segment import damaged, object_name, open_state, prefix_of, require_signed, state_key

FIRST_BYTES = 64 << 10
"""Bytes of a segment read first: a head always fits, and most fronts do."""


@dataclass(frozen=True)
class LogEnd:
    """The last segment of a log.

    Attributes:
        number: 0 where there is none.
        run: number of the first segment of its run; 0: with the next segment a new run begins.
        checksum: of its front; zeros where it could not be read.
    """

    node_id: bytes
    number: int
    run: int
    checksum: bytes
    settled_ns: int
    state: LogState

    @property
    def clock_ns(self) -> int:
        return self.state.clock_ns

    def after(self, segment: bytes, settled_ns: int) -> "LogEnd":
        """Return the end once `segment` was put, too."""
        front = split_front(segment)
        return replace(
            self, number=front.head.number, run=front.head.run, checksum=front.checksum, settled_ns=settled_ns
        )


def segment_numbers(place: Place, node_id: bytes) -> list[int]:
    """Return the numbers of the segments that are there, ascending; what is no segment by its name is left out."""
    numbers = []
    for named in place.names(prefix_of(node_id)):
        last = named.name.rpartition("/")[2]
        if len(last) == 20 and last.isascii() and last.isdigit() and 0 < int(last) <= NUMBER_MAX:
            numbers.append(int(last))
    return numbers


def read_head(place: Place, node_id: bytes, number: int) -> SegmentHead:
    """Read the clear head of a segment; nothing of it is proven.

    Raises:
        LogDamagedError, LogError: it is no segment, is another one, or has an unknown version.
    """
    with place.open(object_name(node_id, number)) as reader:
        return _decode_head(_read(reader, 0, HEAD_BYTES_MAX), node_id, number, _where(place, number))


def read_front(place: Place, node_id: bytes, number: int) -> Front:
    """Read the front of a segment, of which only the checksum was compared; errors as `read_head`."""
    where = _where(place, number)
    with place.open(object_name(node_id, number)) as reader:
        data = _read(reader, 0, FIRST_BYTES)
        head = _decode_head(data, node_id, number, where)
        length = head.front_bytes
        if length > FRONT_BYTES_MAX or reader.byte_length != length + head.ciphertext_bytes:
            raise damaged(where, f"it has {reader.byte_length} bytes, not {length + head.ciphertext_bytes}")
        data += _read(reader, len(data), length - len(data))
    try:
        return split_front(data)
    except NotDecodableError as error:
        raise damaged(where, str(error)) from None


def _read(reader: ObjectReader, offset: int, bytes_max: int) -> bytes:
    data = bytearray(max(0, min(bytes_max, reader.byte_length - offset)))
    if data:
        reader.read_at(offset, memoryview(data))
    return bytes(data)


def _decode_head(data: bytes, node_id: bytes, number: int, where: str) -> SegmentHead:
    try:
        head = SegmentHead.decode(data)
    except UnknownVersionError as error:
        raise LogError(f"{where} cannot be read: {error}. Nothing was changed; use a later keystore.") from None
    except NotDecodableError as error:
        raise damaged(where, str(error)) from None
    if (head.node_id, head.number) != (node_id, number):
        raise damaged(where, f"it is segment {head.number} of node {head.node_id.hex()}")
    return head


def find_end(place: Place, node_id: bytes, signer: bytes, snapshot_secret: SecretKey, *, new_run: bool) -> LogEnd:
    """Return where the log of this node ends; where the last segment is none of its own, a new run is to begin.

    Raises:
        PlaceError: nobody knows.
    """
    try:
        number = max(segment_numbers(place, node_id), default=0)
    except PlaceMissingError:
        if not new_run:
            raise
        number = 0  # the first segment makes it
    nothing = LogEnd(node_id, number, 0, NO_SEGMENT, 0, LogState(0))
    if number == 0:
        return nothing
    try:
        front = read_front(place, node_id, number)
        require_signed(front, signer, _where(place, number))
        with state_key(snapshot_secret, node_id, number) as key:
            state = open_state(front, key, _where(place, number))
    except LogDamagedError:
        return nothing
    run = 0 if new_run else front.head.run
    return LogEnd(node_id, number, run, front.checksum, front.head.settled_ns, state)


def _where(place: Place, number: int) -> str:
    return f"segment {number} of the log in {place}"
