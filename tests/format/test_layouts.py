"""The byte tables of docs/FORMAT.md against the code: the layout is drawn once, and held here."""

import contextlib
import re
import struct
from pathlib import Path

import pytest

from keystore.format import block, header, manifest, pack, record
from keystore.format.entry import ENTRY, SLOT_ROW, encode_aad
from keystore.format.layout import PAGE_SIZES_BYTES, TREE_SLOTS, fanout, first_slot, height, row_bytes

DOCUMENT = (Path(__file__).parents[2] / "docs" / "FORMAT.md").read_text()
ROW = re.compile(r"^\| (\d+) +\| (\d+) +\| ([^|]+?) +\|$", re.MULTILINE)


def table_after(text: str) -> list[tuple[int, int, str]]:
    """Return the rows (offset, bytes, field) of the first table after `text`, as far as they have fixed offsets."""
    start = DOCUMENT.index(text)
    table = DOCUMENT[DOCUMENT.index("| offset", start) :].split("\n\n")[0]
    return [(int(offset), int(size), field) for offset, size, field in ROW.findall(table)]


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("An **entry** of 40 bytes".replace("An ", ""), ENTRY.itemsize),
        ("One layout for the three", block.PRELUDE_BYTES),
        ("Body of a **header**", header.HEADER_BODY_BYTES),
        ("Body of a **record**", record.FIXED_BYTES),
        ("Head, clear; then the sealed map part", manifest._HEAD.size),
        ("A pack begins with", pack.HEADER_BYTES),
        ("A row of a leaf", pack.NODE_ROW.itemsize),
    ],
)
def test_tables_have_no_gap_and_the_size_of_the_code(text: str, size: int) -> None:
    rows, at = table_after(text), 0
    for offset, length, field in rows:
        assert offset == at, field
        at += length
    assert at == size


def test_entry_fields_are_where_the_table_says() -> None:
    fields = ENTRY.fields
    assert fields is not None
    found = [(fields[name][1], fields[name][0].itemsize) for name in ("slot", "session", "nonce", "tag")]
    assert found == [(offset, size) for offset, size, _ in table_after("**entry** of 40 bytes")]


def test_fields_of_a_row_of_a_map_are_where_the_table_says() -> None:
    for kind in (pack.PAGE_ROW, pack.NODE_ROW):
        fields = kind.fields
        assert fields is not None
        found = [(fields[name][1], fields[name][0].itemsize) for name in kind.names or ()]
        assert found == [(offset, size) for offset, size, _ in table_after("A row of a leaf")][: len(found)]
    assert (pack.PAGE_ROW.itemsize, pack.NODE_ROW.itemsize) == (44, 48)


def test_prelude_fields_are_where_the_table_says() -> None:
    values = {
        "version": 8, "suite": 9, "type": 10, "store id": 16, "epoch": 32, "sequence": 40, "data-key generation": 48,
        "runs": 52, "checkpoint": 56, "salt": 64, "commitment": 96, "nonce": 112,
    }  # fmt: skip
    rows = {field: offset for offset, _, field in table_after("One layout for the three")}
    for name, offset in values.items():
        assert any(field.startswith(name) and at == offset for field, at in rows.items()), name
    prelude = block.Prelude(2, 16384, 1, b"i" * 16, 3, 4, 5, 6, 7, b"s" * 32, b"c" * 16, b"n" * 12)
    encoded = prelude.encode()
    assert (encoded[:8], encoded[8], encoded[9], encoded[10], encoded[11]) == (b"CMKPAGES", 2, 1, 2, 14)
    assert struct.unpack_from("<I16sQQIIQ32s16s12s", encoded, 12) == (
        1, b"i" * 16, 3, 4, 5, 6, 7, b"s" * 32, b"c" * 16, b"n" * 12,
    )  # fmt: skip
    assert block.Prelude.decode(encoded + bytes(16), block.RECORD) == prelude


def test_associated_data_of_a_block() -> None:
    aad = encode_aad(16, 3, b"o" * 16, 0x1122)
    assert aad == b"CMKPAGES" + bytes([1, 1, 16, 3]) + bytes(4) + b"o" * 16 + (0x1122).to_bytes(8, "little")


def test_geometry() -> None:
    assert [first_slot(size) for size in PAGE_SIZES_BYTES] == [3, 2, 1, 1, 1]
    assert [fanout(size) for size in PAGE_SIZES_BYTES] == [102, 204, 409, 819, 1638]
    assert [fanout(size, TREE_SLOTS) for size in PAGE_SIZES_BYTES] == [85, 170, 341, 682, 1365]
    assert row_bytes(TREE_SLOTS) == SLOT_ROW.itemsize
    assert [height(blocks, 4096) for blocks in (0, 1, 2, 102, 103, 102**2, 102**2 + 1)] == [0, 0, 1, 1, 2, 2, 3]


@pytest.mark.parametrize("at", range(block.PRELUDE_BYTES - 16))
def test_prelude_refuses_or_shows_every_changed_byte(at: int) -> None:
    """Each byte of the clear part is either checked at once or comes out different, so the seal covers it."""
    prelude = block.Prelude(1, 4096, 1, b"i" * 16, 3, 4, 5, 0, 7, b"s" * 32, b"c" * 16, b"n" * 12)
    changed = bytearray(prelude.encode() + bytes(16))
    changed[at] ^= 0x40
    with contextlib.suppress(block.NotABlockError):
        assert block.Prelude.decode(bytes(changed), block.HEADER) != prelude


def test_record_body_refuses_lengths_that_do_not_add_up() -> None:
    body = record.RecordBody(1, 2, 3, 4, 5, b"t" * 16, 6, 1)
    assert record.RecordBody.decode(body.encode()).encode() == body.encode()
    for cut in (b"", body.encode()[:-1], body.encode() + b"\0"):
        with pytest.raises(block.NotABlockError):
            record.RecordBody.decode(cut)
