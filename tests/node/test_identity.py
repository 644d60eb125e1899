"""The keys by which a node is known: made once, durable before they are used, and never another node's."""

from pathlib import Path

import pytest

from keystore.crypto.secret import SecretKey
from keystore.format.wrapped import WrappedKey
from keystore.keys import keyfile
from keystore.keys.files import Files
from keystore.keys.master import MasterKey
from keystore.kms.protocol import KmsConnector
from keystore.node.anchors import Anchors
from keystore.node.custody import Custody
from keystore.node.directory import Node
from keystore.node.restoring import restore
from keystore.node.snapshotting import snapshot
from keystore.objects.directory import DirectoryPlace
from tests.keys.former_versions import VERSION_2

NODE_ID = b"n" * 16


def identity(node: Node) -> tuple[bytes, bytes]:
    with node.held() as custody:
        return custody.keystore.signing.public, bytes(custody.keystore.snapshot_secret.view())


def test_it_outlives_every_rotation(directory: Path, cmk: str, other_cmk: str, connect: KmsConnector) -> None:
    """K-13"""
    with Node.init(directory, cmk, connect) as node:
        first = identity(node)
        node.rotate_master()
        node.change_cmk(other_cmk)
    with Node.open(directory, connect) as node:
        assert identity(node) == first


def test_a_restored_node_has_one_of_its_own(node: Node, tmp_path: Path, connect: KmsConnector) -> None:
    """K-13"""
    target = DirectoryPlace(tmp_path / "snapshots")
    made = snapshot(node, target)
    restore(target, made.snapshot_id, tmp_path / "restored", connect)
    with Node.open(tmp_path / "restored", connect) as restored:
        assert not set(identity(node)) & set(identity(restored))


@pytest.fixture
def former(tmp_path: Path) -> Path:
    path = tmp_path / "keystore"
    path.write_bytes(VERSION_2)
    with SecretKey(b"\x22" * 32) as anchor_key:
        Anchors.create(Files(), tmp_path / "anchors", anchor_key, NODE_ID, keyfile.fingerprint(VERSION_2)).close()
    return path


def open_former(path: Path) -> Custody:
    loaded = keyfile.load(Files(), path)
    wrapped = WrappedKey("local", "local:///cmk", "", b"w" * 40)
    master = MasterKey(NODE_ID, 3, SecretKey(b"\x11" * 32), wrapped, b"c" * 16)
    keystore = keyfile.open_body(loaded.parts, master.key, path)
    anchors = Anchors.open(Files(), path.parent / "anchors", keystore.anchor_key, NODE_ID, [b"s" * 16])
    return Custody(Files(), path, anchors, loaded, master, keystore, lambda: 5)


def test_that_of_a_former_version_is_written_once_when_it_is_needed(former: Path) -> None:
    """K-11: opening changes nothing."""
    custody = open_former(former)
    assert former.read_bytes() == VERSION_2
    made = custody.keystore.signing.public
    for _ in range(2):
        custody.make_identity_durable()
        assert custody.file_generation == 8
    custody.close()
    custody = open_former(former)
    assert (custody.keystore.signing.public, custody.file_generation) == (made, 8)
    custody.make_identity_durable()
    assert custody.file_generation == 8
    custody.close()


def test_that_of_a_former_version_comes_with_any_other_writing(former: Path) -> None:
    """K-11"""
    custody = open_former(former)
    custody.change(lambda keystore: keystore.with_outside_anchor(None))
    custody.make_identity_durable()
    assert custody.file_generation == 8
    custody.close()
