"""A large file through the whole life of its keys: peak memory of each phase, and the bytes each reads and writes."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from keystore.kms.connect import connector
from keystore.kms.local import create_key_file
from keystore.node.directory import Node
from keystore.pages.file import EncryptedFile
from keystore.testing import CountingBlockFile, new_store
from tests.soak.life import write_input

MIB = 1 << 20
PEAK_BYTES_MAX = 300_000_000
"""LIMIT: peak memory of every phase, interpreter and libraries included, whatever the size of the file."""
FIXED_BYTES = 6 * MIB
"""What a phase may read beside the data: modules, keystore file, headers, slot map; and write: growth, checkpoints."""
ROTATION_BYTES_MAX = 64 * 1024


def run_phase(phase: str, place: Path) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.soak.life", phase, str(place)],
        check=True,
        stdout=subprocess.PIPE,
        timeout=1800,
        cwd=Path(__file__).parents[2],
    )
    found = json.loads(done.stdout)
    assert isinstance(found, dict)
    print(f"{phase:<9}{found['seconds']:>8.2f} s  peak {found['peak_bytes'] / 1e6:>6.1f} MB  "
          f"read {found['read'] / 1e6:>8.1f} MB  written {found['written'] / 1e6:>8.1f} MB")  # fmt: skip
    return found


def live(place: Path, length: int) -> None:
    """Take a file of `length` bytes through import, snapshot, rotation, restore and export; assert what each takes."""
    sha256 = write_input(place / "input", length)
    create_key_file(place / "cmk")
    Node.init(place / "node", f"local://{place / 'cmk'}", connector()).close()
    found = {phase: run_phase(phase, place) for phase in ("import", "snapshot", "rotate", "restore", "export")}
    assert found["import"]["sha256"] == found["export"]["sha256"] == sha256
    for took in found.values():
        assert took["peak_bytes"] < PEAK_BYTES_MAX, took
    for phase in ("import", "snapshot", "restore"):
        assert length <= found[phase]["read"] < 1.02 * length + FIXED_BYTES, found[phase]
        assert length <= found[phase]["written"] < 1.02 * length + FIXED_BYTES, found[phase]
    assert length <= found["export"]["read"] < 1.02 * length + FIXED_BYTES
    assert found["rotate"]["written"] < ROTATION_BYTES_MAX
    assert found["rotate"]["read"] < FIXED_BYTES


def test_64_mib(tmp_path: Path) -> None:
    live(tmp_path, 64 * MIB)


@pytest.mark.soak
def test_1_gib(tmp_path: Path) -> None:
    live(tmp_path, 1024 * MIB)


def test_bytes_and_calls_at_the_disk(tmp_path: Path) -> None:
    """What 64 MiB cost the file of a store: each byte is written once and read once, in large calls."""
    length, page_size = 64 * MIB, 16384
    file = CountingBlockFile.create(tmp_path / "store")
    with new_store(file, page_size) as store:
        made = file.counts
        with EncryptedFile(store) as sealed:
            for at in range(0, length, MIB):
                sealed.write(bytes([at // MIB]) * MIB)
        written = file.counts.since(made)
        assert length < written.bytes_written < 1.01 * length
        assert written.bytes_read < 0.01 * length
        before = file.counts
        with store.pin() as pin:
            pages = sum(len(batch.page_nos) for batch in pin.sealed())
        copied = file.counts.since(before)
        assert pages == length // page_size
        assert length <= copied.bytes_read < 1.01 * length
        assert copied.bytes_written < 0.01 * length
        assert copied.reads < pages / 8
