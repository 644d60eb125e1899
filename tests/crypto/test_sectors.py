"""AES-256-XTS over sectors: published vectors, pieces of sectors, and blocks that nobody wrote."""

import cryptography_vectors
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keystore.crypto.secret import SecretKey
from keystore.crypto.sectors import BLOCK_BYTES, SECTOR_BYTES, SectorCipher

VECTORS = "ciphers/AES/XTS/tweak-dataunitseqno/XTSGenAES256.rsp"
KEY = bytes(range(64))
CONTENT = bytes(i * 7 % 251 for i in range(3 * SECTOR_BYTES))


def cases() -> list[dict[str, str]]:
    """Return every NIST CAVP case whose length is a whole number of blocks."""
    with cryptography_vectors.open_vector_file(VECTORS, "r") as lines:
        text = lines.read().replace("\r", "")
    paragraphs = [dict(line.split(" = ") for line in part.splitlines() if " = " in line) for part in text.split("\n\n")]
    return [case for case in paragraphs if int(case.get("DataUnitLen", 1)) % 128 == 0]


def cipher() -> SectorCipher:
    return SectorCipher(SecretKey(KEY))


def test_nist_vectors() -> None:
    found = cases()
    assert len(found) >= 300
    for case in found:
        sectors = SectorCipher(SecretKey(bytes.fromhex(case["Key"])))
        offset = int(case["DataUnitSeqNumber"]) * SECTOR_BYTES
        plain, sealed = bytes.fromhex(case["PT"]), bytes.fromhex(case["CT"])
        assert sectors.encrypt(offset, plain) == sealed
        assert sectors.decrypt(offset, sealed) == plain


@given(st.integers(0, 3 * SECTOR_BYTES // BLOCK_BYTES), st.integers(0, 3 * SECTOR_BYTES // BLOCK_BYTES))
def test_a_piece_is_encrypted_as_the_whole_is(a: int, b: int) -> None:
    start, end = sorted((a * BLOCK_BYTES, b * BLOCK_BYTES))
    whole = cipher().encrypt(0, CONTENT)
    assert cipher().encrypt(start, CONTENT[start:end]) == whole[start:end]
    assert cipher().decrypt(start, whole[start:end]) == CONTENT[start:end]


def test_unwritten_blocks_read_as_zeros_and_written_zeros_do_not_show() -> None:
    written = cipher().encrypt(SECTOR_BYTES, bytes(64))
    assert bytes(BLOCK_BYTES) not in written
    mixed = bytes(32) + written[32:48] + bytes(16)
    assert cipher().decrypt(SECTOR_BYTES, mixed) == bytes(64)
    assert cipher().decrypt(0, b"") == b""


def test_equal_sectors_differ_by_place_and_key() -> None:
    sector = bytes(SECTOR_BYTES)
    other = SectorCipher(SecretKey(KEY[::-1]))
    assert len({cipher().encrypt(0, sector), cipher().encrypt(SECTOR_BYTES, sector), other.encrypt(0, sector)}) == 3


@pytest.mark.parametrize(("offset", "length"), [(8, 16), (0, 15), (16, 17)])
def test_what_is_not_aligned_is_refused(offset: int, length: int) -> None:
    with pytest.raises(ValueError, match="multiples of 16"):
        cipher().encrypt(offset, bytes(length))


def test_wiped_and_wrong_keys_are_refused() -> None:
    wiped = cipher()
    wiped.wipe()
    with pytest.raises(ValueError, match="wiped"):
        wiped.decrypt(0, bytes(16))
    with pytest.raises(ValueError, match="takes 64"):
        SectorCipher(SecretKey(KEY[:32]))
