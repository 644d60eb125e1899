"""The anchors file: what is stored is loaded, by the right owner, and places are used again."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keystore.crypto.secret import SecretKey
from keystore.errors import AnchorsDamagedError, AnchorsMissingError, NodeIOError, StoreIOError
from keystore.format import anchors as layout
from keystore.format.anchors import StoreState
from keystore.format.cursor import NotDecodableError
from keystore.keys.files import Files
from keystore.node.anchors import Anchors
from keystore.pages.protocols import AnchorState

NODE_ID = b"n" * 16
ONE, TWO, THREE = b"1" * 16, b"2" * 16, b"3" * 16
STATE = AnchorState(2**40, 2**63, b"t" * 16)


@pytest.fixture
def key() -> SecretKey:
    return SecretKey.generate()


@pytest.fixture
def anchors(tmp_path: Path, key: SecretKey) -> Iterator[Anchors]:
    anchors = Anchors.create(Files(), tmp_path / "anchors", key, NODE_ID, b"f" * 32)
    yield anchors
    anchors.close()


def reopened(tmp_path: Path, key: SecretKey, *stores: bytes) -> Anchors:
    return Anchors.open(Files(), tmp_path / "anchors", key, NODE_ID, stores)


def test_what_is_stored_is_loaded(tmp_path: Path, key: SecretKey, anchors: Anchors) -> None:
    assert anchors.add(ONE).load() is None
    anchors.add(TWO).store(STATE, sync=False)
    assert anchors.of(TWO).load() == STATE
    again = reopened(tmp_path, key, ONE, TWO)
    assert (again.of(ONE).load(), again.of(TWO).load()) == (None, STATE)
    assert again.fingerprints == (b"f" * 32,)
    again.accept(b"f" * 32, b"g" * 32)
    assert reopened(tmp_path, key, ONE, TWO).fingerprints == (b"f" * 32, b"g" * 32)
    with pytest.raises(AnchorsMissingError):
        again.of(THREE)


def test_places_are_used_again(tmp_path: Path, key: SecretKey, anchors: Anchors) -> None:
    for store in (ONE, TWO):
        anchors.add(store)
    anchors.remove(ONE)
    anchors.add(THREE).store(STATE, sync=False)
    assert (tmp_path / "anchors").stat().st_size == 3 * 512
    # TWO never entered the catalogue: a crash came first.
    again = reopened(tmp_path, key, THREE)
    again.add(ONE)
    assert (tmp_path / "anchors").stat().st_size == 3 * 512
    assert again.of(THREE).load() == STATE
    with pytest.raises(AnchorsMissingError):
        again.of(TWO)


def test_zeros_that_a_power_cut_left_are_used_again(tmp_path: Path, key: SecretKey, anchors: Anchors) -> None:
    anchors.add(ONE)
    with (tmp_path / "anchors").open("ab") as file:
        file.write(bytes(512))
    again = reopened(tmp_path, key, ONE)
    again.add(TWO)
    assert (tmp_path / "anchors").stat().st_size == 3 * 512
    assert reopened(tmp_path, key, ONE, TWO).of(TWO).load() is None


def test_another_key_or_node_opens_nothing(tmp_path: Path, key: SecretKey, anchors: Anchors) -> None:
    with pytest.raises(AnchorsDamagedError):
        reopened(tmp_path, SecretKey.generate())
    with pytest.raises(AnchorsDamagedError, match="another node"):
        Anchors.open(Files(), tmp_path / "anchors", key, b"o" * 16, ())


def test_store_has_one_anchor(anchors: Anchors) -> None:
    anchors.add(ONE)
    with pytest.raises(ValueError, match="has an anchor"):
        anchors.add(ONE)


def test_no_two_writings_share_salt_or_nonce(tmp_path: Path, anchors: Anchors) -> None:
    anchor, seen = anchors.add(ONE), set()
    for _ in range(50):
        anchor.store(STATE, sync=False)
        record = (tmp_path / "anchors").read_bytes()[512:1024]
        seen.add((record[32:64], record[80:92]))
    assert len(seen) == 50


class NoSpace(Files):
    def write(self, fd: int, offset: int, data: bytes | bytearray | memoryview) -> None:
        raise OSError(28, "No space left on device")


def test_refused_write_is_told(tmp_path: Path, key: SecretKey, anchors: Anchors) -> None:
    anchors.add(ONE).store(STATE, sync=True)
    full = Anchors.open(NoSpace(), tmp_path / "anchors", key, NODE_ID, [ONE])
    with pytest.raises(NodeIOError, match="No space"):
        full.add(TWO)
    with pytest.raises(StoreIOError, match="No space"):
        full.of(ONE).store(AnchorState(9, 9, b"x" * 16), sync=False)
    assert full.of(ONE).load() == reopened(tmp_path, key, ONE).of(ONE).load() == STATE


@given(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1), st.binary(min_size=16, max_size=16))
def test_payload_of_a_store_is_decoded_to_what_was_encoded(epoch: int, sequence: int, tag: bytes) -> None:
    state = StoreState(epoch, sequence, tag)
    assert layout.decode_state(layout.encode_state(state)) == state
    assert layout.decode_state(layout.encode_state(None)) is None


@given(st.binary(min_size=80, max_size=80))
def test_payload_is_refused_or_means_itself(payload: bytes) -> None:
    """A-3: decoding is strict."""
    with contextlib.suppress(NotDecodableError):
        assert layout.encode_state(layout.decode_state(payload)) == payload
    with contextlib.suppress(NotDecodableError):
        assert layout.encode_fingerprints(layout.decode_fingerprints(payload)) == payload


def test_record_begins_as_the_format_says(tmp_path: Path, anchors: Anchors) -> None:
    """A-2, with the offsets written out."""
    anchors.add(ONE)
    data = (tmp_path / "anchors").read_bytes()
    assert data[:12] == b"CMKA\x01\0\x01\0\0\0\0\0"
    assert data[16:32] == NODE_ID
    assert data[512:524] == b"CMKA\x01\0\x02\0\x01\0\0\0"
    assert data[528:544] == ONE
    assert data[188:512] == bytes(324)
