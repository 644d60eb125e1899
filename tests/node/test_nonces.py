"""No pair of key and nonce seals twice in the life of a node, its copies, and the nodes out of its snapshots."""

import hashlib
import io
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from keystore.crypto import kernel, wrap
from keystore.crypto.secret import SecretKey
from keystore.format.record import CHANGE
from keystore.kms.protocol import KmsConnector
from keystore.node.directory import Node
from keystore.node.restoring import restore
from keystore.node.snapshotting import snapshot
from keystore.objects.directory import DirectoryPlace
from tests.crypto.recording import record_commits

PAGE_BYTES = 4096


@pytest.fixture
def pairs(monkeypatch: pytest.MonkeyPatch, tell: Callable[[str], None]) -> Iterator[list[bytes]]:
    """Everything that this process seals: SHA-256 of the key, then the nonce."""
    found: list[bytes] = []

    class Recorder:
        def __init__(self, key: Any) -> None:
            self._real, self._key = AESGCM(key), hashlib.sha256(key).digest()

        def encrypt(self, nonce: Any, *rest: Any) -> bytes:
            found.append(self._key + bytes(nonce))
            return self._real.encrypt(nonce, *rest)

        def encrypt_into(self, nonce: Any, *rest: Any) -> int:
            return self._real.encrypt_into(nonce, *rest)

        def decrypt(self, *args: Any) -> bytes:
            return self._real.decrypt(*args)

        def decrypt_into(self, *args: Any) -> int:
            return self._real.decrypt_into(*args)

    seal_pages, seal_changes = kernel.KERNEL.seal_pages, kernel.KERNEL.seal_changes

    def recording(key: SecretKey, plaintext: Any, page_size: int, nonces: Any, *rest: Any) -> None:
        found.extend(hashlib.sha256(key.view()).digest() + nonce.tobytes() for nonce in nonces)
        seal_pages(key, plaintext, page_size, nonces, *rest)

    def recording_changes(key: SecretKey, *rest: Any) -> bytes:
        rows = seal_changes(key, *rest)
        nonces = np.frombuffer(rows, CHANGE)["entry"]["nonce"]
        found.extend(hashlib.sha256(key.view()).digest() + nonce.tobytes() for nonce in nonces)
        return rows

    monkeypatch.setattr(wrap, "AESGCM", Recorder)
    monkeypatch.setattr(kernel._CONTEXTS, "_make", Recorder)
    monkeypatch.setattr(kernel.KERNEL, "seal_pages", recording)
    monkeypatch.setattr(kernel.KERNEL, "seal_changes", recording_changes)
    record_commits(monkeypatch, lambda key, nonce: found.append(hashlib.sha256(key.view()).digest() + nonce))
    yield found
    tell(f"{len(found)} seals of a node, its copies and restores, no pair of key and nonce twice")


def use(directory: Path, connect: KmsConnector) -> None:
    with Node.open(directory, connect, ignore_outside_anchor=True) as node:
        for _ in range(3):
            with node.using_store("d", "f") as store:
                store.commit(dict.fromkeys(range(3), b"x" * PAGE_BYTES))
            node.rotate_master()
            node.new_data_key("d")


def test_copies_of_a_node_and_nodes_out_of_its_snapshots(
    directory: Path, cmk: str, connect: KmsConnector, tmp_path: Path, pairs: list[bytes]
) -> None:
    (tmp_path / "outside").mkdir()
    with Node.init(directory, cmk, connect, outside_anchor=str(tmp_path / "outside")) as node:
        node.import_file("d", "f", io.BytesIO(bytes(5 * PAGE_BYTES)), page_size=PAGE_BYTES)
        target = DirectoryPlace(tmp_path / "snapshots")
        snapshot(node, target)
        with node.using_store("d", "f") as store:
            store.commit({1: b"y" * PAGE_BYTES, 1000: b"z" * PAGE_BYTES})
        made = snapshot(node, target)  # of the pages that changed
        assert made.parent is not None
        shutil.copytree(directory, tmp_path / "running")  # as a snapshot of the volume has it
    shutil.copytree(directory, tmp_path / "closed")
    for name in ("one", "two"):
        restore(target, made.snapshot_id, tmp_path / name, connect)
    for _ in range(2):
        for place in (directory, *(tmp_path / name for name in ("running", "closed", "one", "two"))):
            use(place, connect)
            with Node.open(place, connect, ignore_outside_anchor=True) as node:
                snapshot(node, target)
    assert len(pairs) == len(set(pairs)) > 500
