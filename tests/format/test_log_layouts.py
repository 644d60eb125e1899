"""The byte tables of the point-in-time log in docs/FORMAT.md against the code, and what its decoders refuse."""

import itertools
from dataclasses import replace
from typing import Any

import pytest

from keystore.format.cursor import NotDecodableError
from keystore.format.log_body import ROW, LogBody
from keystore.format.log_segment import NUMBER_MAX, SegmentHead, UnknownVersionError, split_front
from keystore.format.log_state import GAPS_MAX, LogState
from tests.format.test_layouts import table_after
from tests.fuzz.log_targets import CIPHERTEXT_BYTES, genuine

FRONT = genuine()["log-front"][0]
STATE = LogState.decode(genuine()["log-state"][0])
BODY = LogBody.decode(genuine()["log-body"][0], CIPHERTEXT_BYTES)


def test_the_head_has_the_fields_of_the_table() -> None:
    rows = table_after("All but the ciphertext is its")
    assert all(a + size == b for (a, size, _), (b, _, _) in itertools.pairwise(rows))
    head = SegmentHead.decode(FRONT)
    values: dict[str, bytes | int] = {
        "magic": b"CMKPTLOG", "version": 1, "suite": 1, "node id": head.node_id, "number": head.number,
        "run": head.run, "checksum": head.previous, "earliest": head.first_ns, "latest": head.last_ns,
        "settled": head.settled_ns, "era": head.era, "commitment": head.commitment, "public key": head.signer,
        "bytes of the sealed state": head.state_bytes, "bytes of the sealed body": head.body_bytes,
        "bytes of the ciphertext": head.ciphertext_bytes, "SHA-256": head.ciphertext_digest,
    }  # fmt: skip
    for name, value in values.items():
        offset, size = next((offset, size) for offset, size, field in rows if field.startswith(name))
        expected = value if isinstance(value, bytes) else value.to_bytes(size, "little")
        assert FRONT[offset : offset + size] == expected, name


def test_a_row_has_the_fields_of_the_table() -> None:
    fields = ROW.fields
    assert fields is not None
    found = [(fields[name][1], fields[name][0].itemsize) for name in ("page", "session", "nonce", "tag")]
    assert found == [(offset, size) for offset, size, _ in table_after("count of rows u32, then the rows")]


def test_what_was_encoded_is_decoded() -> None:
    assert split_front(FRONT).head == SegmentHead.decode(FRONT)
    assert LogState.decode(STATE.encode()) == STATE
    assert LogBody.decode(BODY.encode(), CIPHERTEXT_BYTES).encode() == BODY.encode()


@pytest.mark.parametrize(
    "changes",
    [
        {"number": 0},
        {"number": NUMBER_MAX + 1},
        {"run": 0},
        {"run": 8},
        {"first_ns": 201},
        {"first_ns": 0},
        {"ciphertext_bytes": (1 << 30) + 1},
        {"body_bytes": 1 << 29},
    ],
)
def test_a_head_that_cannot_be_is_refused(changes: dict[str, Any]) -> None:
    head = replace(SegmentHead.decode(FRONT), **changes)
    with pytest.raises(NotDecodableError):
        SegmentHead.decode(head.encode())


def test_a_later_version_is_told_from_damage() -> None:
    with pytest.raises(UnknownVersionError, match="version 2"):
        split_front(FRONT[:8] + b"\2" + FRONT[9:])


@pytest.mark.parametrize("at", range(len(SegmentHead.decode(FRONT).encode())))
def test_every_byte_of_the_head_is_checked_or_shows(at: int) -> None:
    changed = bytearray(FRONT)
    changed[at] ^= 0x20
    with pytest.raises(NotDecodableError):
        split_front(bytes(changed))


def test_a_body_that_breaks_a_rule_is_refused() -> None:
    first, second = BODY.records
    twice, beyond, stranger = first.rows.copy(), first.rows.copy(), first.rows.copy()
    twice["page"][1], beyond["page"][3], stranger["session"][0] = 0, 9, 3
    broken = [
        (second, first),
        (first, replace(second, time_ns=first.time_ns)),
        (replace(first, store=1), second),
        *((replace(first, rows=rows), second) for rows in (twice, beyond, stranger)),
    ]
    for records in broken:
        with pytest.raises(NotDecodableError):
            LogBody.decode(replace(BODY, records=records).encode(), CIPHERTEXT_BYTES)
    with pytest.raises(NotDecodableError):
        LogBody.decode(BODY.encode(), CIPHERTEXT_BYTES + 4096)
    with pytest.raises(NotDecodableError):
        LogBody.decode(BODY.encode() + b"\0", CIPHERTEXT_BYTES)


def test_a_state_that_breaks_a_rule_is_refused() -> None:
    for changed in (replace(STATE, gaps=STATE.gaps[:1] * (GAPS_MAX + 1)),):
        with pytest.raises(NotDecodableError):
            LogState.decode(changed.encode())
    encoded = STATE.encode()
    databases = encoded[12:44]
    with pytest.raises(NotDecodableError):
        LogState.decode(encoded.replace(databases, databases[16:] + databases[:16], 1))
