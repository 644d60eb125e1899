"""The record of a volume key: where its fields are, and that nothing else decodes (V-1, V-2)."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keystore.format.cursor import NotDecodableError
from keystore.format.volume import NO_VOLUME, RECORD_BYTES_MAX, VolumeRecord
from keystore.format.wrapped import WrappedKey
from tests.format.test_layouts import table_after

RECORD = VolumeRecord(b"i" * 16, 3, b"c" * 16, WrappedKey("aws", "aws://r/k", "arn", b"wrapped"))
ids = st.binary(min_size=16, max_size=16).filter(lambda value: value != NO_VOLUME)
records = st.builds(
    VolumeRecord,
    ids,
    st.integers(1, 2**32 - 1),
    st.binary(min_size=16, max_size=16),
    st.builds(WrappedKey, st.text(max_size=9), st.text(max_size=99), st.text(max_size=99), st.binary(max_size=600)),
)


def signed(content: bytes) -> bytes:
    return content + hashlib.sha256(content).digest()


@given(records)
def test_what_is_encoded_is_decoded(record: VolumeRecord) -> None:
    assert VolumeRecord.decode(record.encode()) == record


def test_fields_are_where_the_table_says() -> None:
    data, values = RECORD.encode(), {}
    for offset, length, field in table_after("hold the record of the volume key"):
        values[field.split(",")[0].split(":")[0]] = data[offset : offset + length]
    assert values["magic `CMKVOLUM`"] == b"CMKVOLUM"
    assert values["generation"] == b"\3\0\0\0"
    assert (values["volume id"], values["commitment of the volume key"]) == (b"i" * 16, b"c" * 16)


def test_no_changed_or_cut_record_decodes() -> None:
    data = RECORD.encode()
    for at in range(len(data)):
        with pytest.raises(NotDecodableError):
            VolumeRecord.decode(data[:at])
        with pytest.raises(NotDecodableError):
            VolumeRecord.decode(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])


@pytest.mark.parametrize(
    ("offset", "value", "says"),
    [
        (8, b"\2\0", "version 2"),
        (10, b"\2\0", "suite 2"),
        (12, bytes(4), "generation or id is zero"),
        (16, bytes(16), "generation or id is zero"),
        (48, b"\xff\xff\xff\xff", "claims 4294967295 bytes"),
    ],
)
def test_what_nobody_writes_is_refused_under_a_right_checksum_too(offset: int, value: bytes, says: str) -> None:
    content = bytearray(RECORD.encode()[:-32])
    content[offset : offset + len(value)] = value
    with pytest.raises(NotDecodableError, match=says):
        VolumeRecord.decode(signed(bytes(content)))


def test_nothing_may_follow_and_nothing_long_is_read() -> None:
    with pytest.raises(NotDecodableError, match="follow"):
        VolumeRecord.decode(signed(RECORD.encode()[:-32] + b"x"))
    with pytest.raises(NotDecodableError, match="more than"):
        VolumeRecord.decode(bytes(RECORD_BYTES_MAX + 1))
