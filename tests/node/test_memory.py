"""What is left of keys in the memory of a process that closed its node (docs/THREAT_MODEL.md, limit 5)."""

import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path

import pytest

from keystore.crypto.derive import derive
from keystore.crypto.secret import SecretKey
from keystore.keys import keyfile, volume
from keystore.keys.files import Files
from keystore.keys.master import master_context
from keystore.kms.connect import connector
from keystore.kms.protocol import KmsConnector
from keystore.node.directory import Node
from tests.emulator_process import Emulator
from tests.node.memory_victim import TOLD

CHUNK_BYTES = 8 << 20


def writable(process: int) -> Iterator[tuple[str, int, int]]:
    """Yield name, start and length of every writable part of the memory of a process."""
    for line in Path(f"/proc/{process}/maps").read_text().splitlines():
        fields = line.split()
        start, end = (int(part, 16) for part in fields[0].split("-"))
        if "w" in fields[1]:
            yield (fields[5] if len(fields) > 5 else "anonymous"), start, end - start


def search(process: int, keys: Mapping[str, bytes]) -> dict[str, list[str]]:
    """Return, for each key, the parts of memory that have it."""
    found: dict[str, list[str]] = {name: [] for name in keys}
    with Path(f"/proc/{process}/mem").open("rb", buffering=0) as memory:
        for part, start, length in writable(process):
            for at in range(0, length, CHUNK_BYTES):
                memory.seek(start + at)
                try:
                    content = memory.read(min(CHUNK_BYTES + 64, length - at))
                except OSError:
                    continue  # a guard page
                for name, key in keys.items():
                    if key in content:
                        found[name].append(f"{part} at {start + at + content.index(key):x}")
    return found


def read_exactly(process: subprocess.Popen[bytes], length: int) -> bytes:
    assert process.stdout is not None
    data = process.stdout.read(length)
    assert len(data) == length
    return data


def go_on(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    process.stdin.write(b"g")
    process.stdin.flush()


@pytest.fixture
def platform(other_cmk: str) -> str:
    return other_cmk


def secrets_of(directory: Path, connect: KmsConnector) -> dict[str, bytes]:
    """Have the KMS unwrap what it wrapped for the node."""
    head = keyfile.load(Files(), directory / "keystore").head
    record = volume.load(Files(), directory / "volume")
    with closing(connect(head.wrapped.key_id)) as kms:
        master = kms.unwrap(head.wrapped, master_context(head.node_id, head.master_generation))
    with closing(connect(record.wrapped.key_id)) as kms:
        layer = kms.unwrap(record.wrapped, {"keystore:volume": record.volume_id.hex()})
    return {"master secret": bytes(master.view()), "volume secret": bytes(layer.view())}


Found = dict[str, list[str]]


def open_and_close(
    directory: Path, target: Path, cmk: str, platform: str, connect: KmsConnector
) -> tuple[Found, Found]:
    """Let another process live with a node; return where its keys were while it was open, and afterwards."""
    with Node.init(directory, cmk, connect, volume_key=platform) as node:
        node.create_store("d", "g").close()
    command: list[str | Path] = [sys.executable, "-m", "tests.node.memory_victim", directory, target]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        keys = {name: read_exactly(process, 32) for name in TOLD}
        snapshot_id = read_exactly(process, 16)
        with derive(SecretKey(keys["master"]), b"", "snapshot key 1", snapshot_id) as key:
            keys["snapshot"] = bytes(key.view())
        keys |= secrets_of(directory, connect)
        while_open = search(process.pid, keys)
        go_on(process)
        assert read_exactly(process, 6) == b"closed"
        after = search(process.pid, keys)
        go_on(process)
        assert process.wait(60) == 0
    return while_open, after


HELD = {"master", "anchor", "signing", "snapshots", "data 1", "data 2", "volume", "page", "metadata"}
"""The keys that an open node needs. A former master key, a secret of the KMS and a snapshot key are gone by then."""


def there(found: Found) -> set[str]:
    return {name for name, places in found.items() if places}


def test_no_key_is_left_in_memory_after_close(
    directory: Path, tmp_path: Path, cmk: str, platform: str, connect: KmsConnector
) -> None:
    while_open, after = open_and_close(directory, tmp_path / "snapshots", cmk, platform, connect)
    assert there(while_open) == HELD
    assert there(after) == set()


def test_of_what_a_kms_sent_over_the_network_only_the_secret_may_be_left(
    emulator: Emulator, directory: Path, tmp_path: Path, platform: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """gRPC and protobuf make copies that nobody can wipe."""
    monkeypatch.setenv("KEYSTORE_KMS_ENDPOINT", emulator.endpoint)
    connect, cmk = connector(emulator.endpoint), emulator.create_key("aws")
    while_open, after = open_and_close(directory, tmp_path / "snapshots", cmk, platform, connect)
    assert there(while_open) - {"master secret"} == HELD
    assert there(after) <= {"master secret"}
