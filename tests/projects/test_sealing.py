"""Sealing what the control database must not hold in clear."""

from pathlib import Path

import pytest

from keystore.errors import ControlError, KmsError
from keystore.kms.connect import connect
from keystore.kms.local import create_key_file
from keystore.kms.protocol import Kms
from keystore.projects.sealing import Sealer

SECRET = b"canary: the secret access key"


class Counted:
    """Connects to key files and counts how often."""

    def __init__(self) -> None:
        self.connected: list[str] = []

    def __call__(self, key_id: str) -> Kms:
        self.connected.append(key_id)
        return connect(key_id)


@pytest.fixture
def key_uri(tmp_path: Path) -> str:
    create_key_file(tmp_path / "platform")
    return f"local://{tmp_path / 'platform'}"


def test_another_process_opens_what_one_sealed_and_nothing_shows_it(key_uri: str) -> None:
    blob = Sealer(key_uri, connect).seal(SECRET, "project/AWS")
    assert SECRET not in blob
    assert Sealer(key_uri, connect).open(blob, "project/AWS") == SECRET


def test_the_kms_is_asked_once_for_all_that_a_process_seals(key_uri: str) -> None:
    counted = Counted()
    sealer = Sealer(key_uri, counted)
    blobs = [sealer.seal(SECRET, f"{number}") for number in range(5)]
    assert len(set(blobs)) == 5
    assert [sealer.open(blob, f"{number}") for number, blob in enumerate(blobs)] == [SECRET] * 5
    assert counted.connected == [key_uri]
    other = Counted()
    opening = Sealer(key_uri, other)
    assert [opening.open(blob, f"{number}") for number, blob in enumerate(blobs)] == [SECRET] * 5
    assert other.connected == [key_uri]
    opening.close()
    assert opening.open(blobs[0], "0") == SECRET
    assert other.connected == [key_uri] * 2


def test_what_was_moved_changed_or_cut_does_not_open(key_uri: str) -> None:
    sealer = Sealer(key_uri, connect)
    blob = sealer.seal(SECRET, "project/AWS")
    with pytest.raises(ControlError, match="another row"):
        sealer.open(blob, "other/AWS")
    for at in (0, len(blob) - len(SECRET), len(blob) - 1):
        changed = bytearray(blob)
        changed[at] ^= 1
        with pytest.raises(ControlError, match="save the credentials again"):
            sealer.open(bytes(changed), "project/AWS")
    for length in (0, 1, 3, len(blob) - 1):
        with pytest.raises(ControlError):
            sealer.open(blob[:length], "project/AWS")


def test_another_platform_key_opens_nothing(key_uri: str, tmp_path: Path) -> None:
    blob = Sealer(key_uri, connect).seal(SECRET, "project/AWS")
    create_key_file(tmp_path / "other")
    with pytest.raises(KmsError):
        Sealer(f"local://{tmp_path / 'other'}", connect).open(blob, "project/AWS")
